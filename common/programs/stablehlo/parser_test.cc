// Text to module: forms that must be understood, and errors that must say where.
#include "common/programs/stablehlo/parser.h"

#include <gtest/gtest.h>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/printer.h"

namespace megalith::stablehlo {
namespace {

std::string Main(const std::string& body, const std::string& args = "%x: tensor<2xf32>",
                 const std::string& result = "tensor<2xf32>") {
  return StrCat("func.func public @main(", args, ") -> ", result, " {\n", body, "\n}\n");
}

Status ParseStatus(std::string_view text, const ParseOptions& options = {}) {
  return ParseModule(text, options).status();
}

TEST(ParseModuleTest, ErrorsNameLineAndColumn) {
  struct Case {
    std::string text, where, what;
  };
  const Case cases[] = {
      {"", "line 1, column 1", "no module"},
      {"module {", "line 1, column 9", "'}'"},
      {"module {\n  func.func @f(%x tensor<f32>) {", "line 2, column 19", "':'"},
      {Main("  %0 = stablehlo.add %x, %y : tensor<2xf32>\n  return %0 : tensor<2xf32>"),
       "line 2, column 26", "%y is not defined"},
      {Main("  %0 = stablehlo.frobnicate %x : tensor<2xf32>"), "line 2, column 8",
       "stablehlo.frobnicate is not supported"},
      {Main("  %0 = stablehlo.negate %x : tensor<3xf32>"), "line 2, column 30",
       "has type tensor<2xf32>"},
      {Main("  %0:2 = stablehlo.negate %x : tensor<2xf32>"), "line 2, column 10",
       "has 1 results, but 2 are named"},
      {Main("  %x = stablehlo.negate %x : tensor<2xf32>"), "line 2, column 3", "already defined"},
      {Main("  return %x#1 : tensor<2xf32>"), "line 2, column 12", "has 1 results"},
      {Main("  %0 = stablehlo.constant dense<[1.0, 2.0, 3.0]> : tensor<2xf32>"),
       "line 2, column 44", "more than the 2"},
      {Main("  %0 = stablehlo.constant dense<[1.0]> : tensor<2xf32>"), "line 2, column 33",
       "has 1 elements"},
      {Main("  %0 = stablehlo.constant dense<1> : tensor<f32>"), "line 2, column 33",
       "floating-point"},
      {Main("  %0 = stablehlo.constant dense<300> : tensor<i8>"), "line 2, column 33",
       "does not fit into i8"},
      {Main("  %0 = stablehlo.constant dense<-1> : tensor<ui8>"), "line 2, column 33",
       "does not fit into ui8"},
      {Main("  %0 = stablehlo.constant dense<\"0x00\"> : tensor<2xf32>"), "line 2, column 33",
       "has 1 bytes"},
      {Main("  %0 = stablehlo.constant dense<\"0x0\"> : tensor<2xf32>"), "line 2, column 33",
       "even number"},
      {Main("  %0 = stablehlo.iota dim = 0 : tensor<2xf99>"), "line 2, column 42",
       "unknown element type"},
      {Main("  %0 = stablehlo.iota dim = 0 : tensor<?xf32>"), "line 2, column 40",
       "dynamic dimension"},
      {Main("  %0 = stablehlo.compare QQ, %x, %x : (tensor<2xf32>, tensor<2xf32>) -> tensor<2xi1>"),
       "line 2, column 26", "not a value of comparison_direction"},
      {Main("  %0 = \"stablehlo.negate\"(%x) {a = 1, a = 2} : (tensor<2xf32>) -> tensor<2xf32>"),
       "line 2, column 39", "given twice"},
      {Main("  %0 = \"stablehlo.negate(%x) : (tensor<2xf32>) -> tensor<2xf32>"), "line 2, column 8",
       "not closed"},
      {Main("  %0 = stablehlo.negate %x : tuple<tensor<2xf32>>"), "line 2, column 30",
       "tuple is not supported"},
      {Main("  %0 = stablehlo.add %x, : tensor<2xf32>"), "line 2, column 26", "an operand"},
      {Main(
           "  %0 = stablehlo.slice %x [0:99999999999999999999] : (tensor<2xf32>) -> tensor<2xf32>"),
       "line 2, column 30", "64 bits"},
      {Main("  %0 = stablehlo.while(%i = %x) : tensor<2xf32>\n  cond {\n  }"), "line 5, column 1",
       "'do'"},
      {"func.func @f() {\n  return\n}\nfunc.func @f() {\n  return\n}", "line 4, column 11",
       "defined twice"},
      {"#a = 1 : i64\n#a = 2 : i64", "line 2, column 1", "defined twice"},
      {"module {} module {}", "line 1, column 11", "one module"},
      {std::string("module {\n  \xff\n}"), "line 2, column 3", "not UTF-8"},
      {"module { func.func private @f(tensor<f32>) -> tensor<f32> }", "line 1, column 31",
       "without a body"},
  };
  for (const Case& c : cases) {
    const Status s = ParseStatus(c.text);
    EXPECT_FALSE(s.ok()) << c.text;
    EXPECT_NE(s.message().find(c.where + ":"), std::string::npos) << s.message() << "\n" << c.text;
    EXPECT_NE(s.message().find(c.what), std::string::npos) << s.message() << "\n" << c.text;
  }
}

TEST(ParseModuleTest, UnsupportedThingsAreUnimplemented) {
  for (const char* op : {"stablehlo.frobnicate", "stablehlo.infeed", "stablehlo.dynamic_reshape",
                         "sdy.named_computation", "stablehlo.batch_norm_grad", "arith.addf"}) {
    const Status s =
        ParseStatus(Main(StrCat("  %0 = \"", op, "\"(%x) : (tensor<2xf32>) -> tensor<2xf32>")));
    EXPECT_EQ(s.code(), Code::kUnimplemented) << op;
    EXPECT_NE(s.message().find(op), std::string::npos) << s.message();
  }
}

// Every way to write a constant.
TEST(ParseModuleTest, ReadsConstants) {
  struct Case {
    const char *text, *type;
    std::vector<double> values;
  };
  const Case cases[] = {
      {"dense<1.5>", "tensor<f32>", {1.5}},
      {"dense<-1.5>", "tensor<2xf32>", {-1.5, -1.5}},
      {"dense<[1.0, 2.5e1, -3.0E-1]>", "tensor<3xf64>", {1, 25, -0.3}},
      {"dense<[[1, 2], [3, 4]]>", "tensor<2x2xi32>", {1, 2, 3, 4}},
      {"dense<0x7F800000>", "tensor<f32>", {INFINITY}},
      {"dense<[0xFF800000, 0x3F800000]>", "tensor<2xf32>", {-INFINITY, 1}},
      {"dense<0x3F80>", "tensor<bf16>", {1}},
      {"dense<0x38>", "tensor<f8E4M3FN>", {1}},
      {"dense<[true, false]>", "tensor<2xi1>", {1, 0}},
      {"dense<true>", "tensor<3xi1>", {1, 1, 1}},
      {"dense<\"0x0000803F00000040\">", "tensor<2xf32>", {1, 2}},
      {"dense<\"0x0100\">", "tensor<2xi1>", {1, 0}},
      {"dense<\"0x05\">", "tensor<5xi1>", {1, 0, 1, 0, 0}},
      {"dense<\"0x07\">", "tensor<3xui8>", {7, 7, 7}},
      {"dense<>", "tensor<0x3xf32>", {}},
      {"dense<[-8, 7]>", "tensor<2xi4>", {-8, 7}},
      {"dense<0xFF>", "tensor<i8>", {-1}},
      {"dense<18446744073709551615>", "tensor<ui64>", {18446744073709551615.0}},
      {"dense<-9223372036854775808>", "tensor<i64>", {-9223372036854775808.0}},
      {"dense<1.0e400>", "tensor<f64>", {INFINITY}},
      {"dense<1.0e-400>", "tensor<f64>", {0}},
  };
  for (const Case& c : cases) {
    const std::string text = Main(
        StrCat("  %0 = stablehlo.constant ", c.text, " : ", c.type, "\n  return %0 : ", c.type), "",
        c.type);
    const auto module = ParseModule(text);
    ASSERT_TRUE(module.ok()) << module.status().ToString() << "\n" << text;
    const auto out = Evaluate(*module, {});
    ASSERT_TRUE(out.ok()) << out.status().ToString();
    ASSERT_EQ(out->at(0).size(), static_cast<int64_t>(c.values.size())) << c.text;
    for (size_t i = 0; i < c.values.size(); ++i) {
      EXPECT_EQ(out->at(0).DoubleAt(static_cast<int64_t>(i)), c.values[i])
          << c.text << " element " << i;
    }
  }
}

TEST(ParseModuleTest, ReadsComplexConstants) {
  const char* type = "tensor<2xcomplex<f32>>";
  const auto module = ParseModule(
      Main(StrCat("  %0 = stablehlo.constant dense<[(1.0,-2.0), (0x7F800000,0.5)]> : ", type,
                  "\n  return %0 : ", type),
           "", type));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const Tensor t = Evaluate(*module, {})->at(0);
  EXPECT_EQ(t.ComplexAt(0), std::complex<double>(1, -2));
  EXPECT_EQ(t.ComplexAt(1), std::complex<double>(INFINITY, 0.5));
}

// The generic form of every construct reads to the same module as the pretty one.
TEST(ParseModuleTest, GenericFormReadsTheSame) {
  const std::string pretty = R"(module @m attributes {mhlo.num_partitions = 1 : i32} {
  func.func public @main(%arg0: tensor<2x3xf32>, %arg1: tensor<i32>) -> (tensor<2xf32> {jax.result_info = "result"}) {
    %cst = stablehlo.constant dense<0.000000e+00> : tensor<f32>
    %0 = stablehlo.reduce(%arg0 init: %cst) applies stablehlo.add across dimensions = [1] : (tensor<2x3xf32>, tensor<f32>) -> tensor<2xf32>
    %1 = stablehlo.transpose %arg0, dims = [1, 0] : (tensor<2x3xf32>) -> tensor<3x2xf32>
    %2 = stablehlo.dot_general %arg0, %1, contracting_dims = [1] x [0], precision = [DEFAULT, HIGHEST] : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>
    %3 = stablehlo.slice %2 [0:1, 0:2] : (tensor<2x2xf32>) -> tensor<1x2xf32>
    %4 = stablehlo.reshape %3 : (tensor<1x2xf32>) -> tensor<2xf32>
    %5:2 = stablehlo.while(%iterArg = %arg1, %iterArg_0 = %4) : tensor<i32>, tensor<2xf32>
    cond {
      %8 = stablehlo.compare LT, %iterArg, %arg1, SIGNED : (tensor<i32>, tensor<i32>) -> tensor<i1>
      stablehlo.return %8 : tensor<i1>
    } do {
      stablehlo.return %iterArg, %0 : tensor<i32>, tensor<2xf32>
    }
    %6 = call @f(%5#1) : (tensor<2xf32>) -> tensor<2xf32>
    %7 = stablehlo.custom_call @Sharding(%6) {backend_config = ""} : (tensor<2xf32>) -> tensor<2xf32>
    return %7 : tensor<2xf32>
  }
  func.func private @f(%arg0: tensor<2xf32>) -> tensor<2xf32> {
    return %arg0 : tensor<2xf32>
  }
}
)";
  const std::string generic = R"(
"builtin.module"() <{sym_name = "m"}> ({
^bb0:
  "func.func"() <{arg_attrs = [{}, {}], function_type = (tensor<2x3xf32>, tensor<i32>) -> tensor<2xf32>, res_attrs = [{jax.result_info = "result"}], sym_name = "main", sym_visibility = "public"}> ({
  ^bb0(%a: tensor<2x3xf32>, %b: tensor<i32>):
    %c = "stablehlo.constant"() <{value = dense<0.0> : tensor<f32>}> : () -> tensor<f32>
    %0 = "stablehlo.reduce"(%a, %c) <{dimensions = dense<1> : tensor<1xi64>}> ({
    ^bb0(%p: tensor<f32>, %q: tensor<f32>):
      %s = "stablehlo.add"(%p, %q) : (tensor<f32>, tensor<f32>) -> tensor<f32>
      "stablehlo.return"(%s) : (tensor<f32>) -> ()
    }) : (tensor<2x3xf32>, tensor<f32>) -> tensor<2xf32>
    %1 = "stablehlo.transpose"(%a) {permutation = array<i64: 1, 0>} : (tensor<2x3xf32>) -> tensor<3x2xf32>
    %2 = "stablehlo.dot_general"(%a, %1) <{dot_dimension_numbers = #stablehlo.dot<lhs_contracting_dimensions = [1], rhs_contracting_dimensions = [0]>, precision_config = [#stablehlo<precision DEFAULT>, #stablehlo<precision HIGHEST>]}> : (tensor<2x3xf32>, tensor<3x2xf32>) -> tensor<2x2xf32>
    %3 = "stablehlo.slice"(%2) <{limit_indices = array<i64: 1, 2>, start_indices = dense<0> : tensor<2xi64>, strides = array<i64: 1, 1>}> : (tensor<2x2xf32>) -> tensor<1x2xf32>
    %4 = "stablehlo.reshape"(%3) : (tensor<1x2xf32>) -> tensor<2xf32>
    %5:2 = "stablehlo.while"(%b, %4) ({
    ^bb0(%i: tensor<i32>, %v: tensor<2xf32>):
      %t = "stablehlo.compare"(%i, %b) <{compare_type = #stablehlo<comparison_type SIGNED>, comparison_direction = #stablehlo<comparison_direction LT>}> : (tensor<i32>, tensor<i32>) -> tensor<i1>
      "stablehlo.return"(%t) : (tensor<i1>) -> ()
    }, {
    ^bb0(%i: tensor<i32>, %v: tensor<2xf32>):
      "stablehlo.return"(%i, %0) : (tensor<i32>, tensor<2xf32>) -> ()
    }) : (tensor<i32>, tensor<2xf32>) -> (tensor<i32>, tensor<2xf32>)
    %6 = "func.call"(%5#1) <{callee = @f}> : (tensor<2xf32>) -> tensor<2xf32>
    %7 = "stablehlo.custom_call"(%6) <{call_target_name = "Sharding"}> {backend_config = ""} : (tensor<2xf32>) -> tensor<2xf32>
    "func.return"(%7) : (tensor<2xf32>) -> ()
  }) : () -> ()
  "func.func"() <{function_type = (tensor<2xf32>) -> tensor<2xf32>, sym_name = "f", sym_visibility = "private"}> ({
  ^bb0(%a: tensor<2xf32>):
    "func.return"(%a) : (tensor<2xf32>) -> ()
  }) : () -> ()
}) {mhlo.num_partitions = 1 : i32} : () -> ()
)";
  const auto a = ParseModule(pretty);
  ASSERT_TRUE(a.ok()) << a.status().ToString();
  EXPECT_EQ(PrintModule(*a), pretty);
  const auto b = ParseModule(generic);
  ASSERT_TRUE(b.ok()) << b.status().ToString();
  EXPECT_EQ(PrintModule(*b), pretty);
}

TEST(ParseModuleTest, SkipsLocationsCommentsAndForeignAttributes) {
  const auto module = ParseModule(R"(
#loc = loc(unknown)
#loc1 = loc("f.py":3:4)
#alias = dense<[1, 0]> : tensor<2xi64>
module @m {  // a comment
  sdy.mesh @mesh = <["a"=1]>
  func.func public @main(%x: tensor<2x3xf32> {sdy.sharding = #sdy.sharding<@mesh, [{}, {"a"}]>} loc("x")) -> tensor<3x2xf32> {
    %0 = sdy.sharding_constraint %x <@mesh, [{}, {"a"}]> : tensor<2x3xf32> loc(#loc1)
    %1 = "stablehlo.transpose"(%0) <{permutation = #alias}> : (tensor<2x3xf32>) -> tensor<3x2xf32> loc(callsite("f"(#loc1) at #loc))
    return %1 : tensor<3x2xf32> loc(#loc)
  } loc(#loc)
} loc(#loc)
)");
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  const std::string printed = PrintModule(*module);
  EXPECT_NE(printed.find("sdy.mesh @mesh = <[\"a\"=1]>"), std::string::npos);
  EXPECT_NE(printed.find("{sdy.sharding = #sdy.sharding<@mesh, [{}, {\"a\"}]>}"),
            std::string::npos);
  EXPECT_EQ(printed.find("loc("), std::string::npos);
}

// --- limits ---

std::string Repeat(std::string_view piece, int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += piece;
  return out;
}

// MLIR prints two commas here, but reads (and we print) one.
TEST(ParseModuleTest, ReadsDynamicSliceOfAScalar) {
  for (const std::string operands : {"%x, , sizes = []", "%x, sizes = []"}) {
    const Result<Module> m =
        ParseModule(Main(StrCat("  %0 = stablehlo.dynamic_slice ", operands,
                                " : (tensor<f32>) -> tensor<f32>\n  return %0 : tensor<f32>"),
                         "%x: tensor<f32>", "tensor<f32>"));
    ASSERT_TRUE(m.ok()) << m.status().ToString();
    EXPECT_NE(PrintModule(*m).find("dynamic_slice %arg0, sizes = []"), std::string::npos)
        << PrintModule(*m);
  }
}

TEST(ParseLimitsTest, DeepNestingIsAnErrorNotACrash) {
  constexpr int kDeep = 100000;
  const std::string texts[] = {
      StrCat("module attributes {a = ", Repeat("[", kDeep), "} {}"),
      StrCat("module attributes {a = ", Repeat("{a = ", kDeep), "} {}"),
      StrCat("module attributes {a = ", Repeat("#stablehlo<", kDeep), "} {}"),
      Main(StrCat("  %0 = stablehlo.constant dense<", Repeat("[", kDeep), "1.0", Repeat("]", kDeep),
                  "> : tensor<2xf32>")),
      Main(Repeat("  \"stablehlo.case\"(%x) ({\n", kDeep)),
      Main(Repeat("  stablehlo.while() cond {\n", kDeep)),
      StrCat("#a = ", Repeat("(", kDeep)),
      StrCat("#a = loc", Repeat("(", kDeep)),
      Main(StrCat("  %0 = stablehlo.iota dim = 0 : tensor<", Repeat("1x", kDeep), "f32>")),
      StrCat("module {\n", Repeat("module {", kDeep)),
  };
  for (const std::string& text : texts) {
    const Status s = ParseStatus(text);
    EXPECT_FALSE(s.ok()) << text.substr(0, 60);
    EXPECT_LT(s.message().size(), 1000u);
  }
  EXPECT_EQ(ParseStatus(texts[0]).code(), Code::kResourceExhausted);
  EXPECT_NE(ParseStatus(texts[0]).message().find("max_nesting"), std::string::npos);
  EXPECT_NE(ParseStatus(texts[8]).message().find("max_rank"), std::string::npos);
}

TEST(ParseLimitsTest, HugeDimensionsAreRefused) {
  for (const char* type :
       {"tensor<9223372036854775807xf32>", "tensor<9223372036854775808xf32>",
        "tensor<4294967296x4294967296xf32>", "tensor<99999999999999999999999xi1>",
        "tensor<3037000500x3037000500xi8>"}) {
    const Status s = ParseStatus(Main(StrCat("  %0 = stablehlo.iota dim = 0 : ", type)));
    EXPECT_FALSE(s.ok()) << type;
  }
  // Nothing of a huge shape with a zero in it is ever allocated.
  const char* empty = "tensor<0x9223372036854775807xf32>";
  const auto module = ParseModule(Main(
      StrCat("  %0 = stablehlo.iota dim = 0 : ", empty, "\n  return %0 : ", empty), "", empty));
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  EXPECT_TRUE(Evaluate(*module, {}).ok());
}

TEST(ParseLimitsTest, AHugeSplatCostsNothingUntilItIsEvaluated) {
  const char* type = "tensor<1048576x4096xf64>";
  const std::string text = Main(
      StrCat("  %0 = stablehlo.constant dense<1.0> : ", type, "\n  return %0 : ", type), "", type);
  const auto module = ParseModule(text);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  EXPECT_NE(PrintModule(*module).find("dense<1.000000e+00>"), std::string::npos);
  EvalLimits limits;
  limits.max_bytes_per_value = 1 << 20;
  EXPECT_EQ(Evaluate(*module, {}, {}, limits).status().code(), Code::kResourceExhausted);
}

TEST(ParseLimitsTest, CountsOperationsAndBytes) {
  std::string body;
  for (int i = 0; i < 100; ++i)
    StrAppend(&body, "  %", i, " = stablehlo.negate %x : tensor<2xf32>\n");
  const std::string text = Main(body + "  return %0 : tensor<2xf32>");
  EXPECT_TRUE(ParseStatus(text).ok());
  ParseOptions options;
  options.limits.max_ops = 50;
  EXPECT_EQ(ParseStatus(text, options).code(), Code::kResourceExhausted);
  EXPECT_NE(ParseStatus(text, options).message().find("line 52, column 9: more than max_ops = 50"),
            std::string::npos)
      << ParseStatus(text, options).message();
  options.limits = {};
  options.limits.max_text_bytes = 1000;
  EXPECT_NE(ParseStatus(text, options).message().find("max_text_bytes"), std::string::npos);
}

TEST(ParseLimitsTest, LargeProgramsParse) {
  std::string text = "func.func @main(%x: tensor<2xf32>) -> tensor<2xf32> {\n";
  text.reserve(60'000'000);
  for (int i = 0; i < 300'000; ++i)
    StrAppend(&text, "%", i, " = stablehlo.negate %x : tensor<2xf32>\n");
  text += "return %0 : tensor<2xf32>\n}";
  const auto module = ParseModule(text);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  EXPECT_EQ(module->CountOps(), 300'001u);
}

TEST(ParseLimitsTest, RandomBytesAreErrors) {
  Rng rng(17);
  for (int i = 0; i < 2000; ++i) {
    std::string bytes(rng.Below(200), '\0');
    for (char& c : bytes) c = static_cast<char>(rng.Below(256));
    const Status s = ParseStatus(bytes);
    EXPECT_FALSE(s.ok());
    EXPECT_FALSE(FindInvalidUtf8(s.message()).has_value());
  }
}

}  // namespace
}  // namespace megalith::stablehlo

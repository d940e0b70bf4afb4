// Invalid programs, each with what the message must say.
#include "common/programs/stablehlo/verify.h"

#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/builder.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

struct Case {
  const char* op;  // after "%0 = ", with %x: tensor<4x6xf32>, %i: tensor<i32>, %n: tensor<3x1xi32>,
                   // %p: tensor<i1>
  const char* what;
};

const Case kBadOps[] = {
    {"stablehlo.not %x : tensor<4x6xf32>", "wanted boolean or integer elements"},
    {"stablehlo.complex %i, %i : (tensor<i32>, tensor<i32>) -> tensor<complex<f32>>",
     "wanted float elements"},
    {"\"stablehlo.add\"(%x, %i) : (tensor<4x6xf32>, tensor<i32>) -> tensor<4x6xf32>",
     "operand 1 has type tensor<i32>"},
    {"\"stablehlo.add\"(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>", "1 operands, wanted 2"},
    {"\"stablehlo.negate\"(%x) : (tensor<4x6xf32>) -> tensor<4x7xf32>",
     "result 0 has type tensor<4x7xf32>, wanted tensor<4x6xf32>"},
    {"\"stablehlo.negate\"(%x) ({}) : (tensor<4x6xf32>) -> tensor<4x6xf32>", "1 regions, wanted 0"},
    {"\"stablehlo.transpose\"(%x) : (tensor<4x6xf32>) -> tensor<6x4xf32>",
     "attribute 'permutation' is missing"},
    {"\"stablehlo.compare\"(%x, %x) <{comparison_direction = #stablehlo<precision HIGH>}> : "
     "(tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xi1>",
     "is a precision, wanted comparison_direction"},
    {"stablehlo.compare LT, %x, %x, SIGNED : (tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4x6xi1>",
     "compare_type SIGNED does not fit"},
    {"stablehlo.transpose %x, dims = [0, 0] : (tensor<4x6xf32>) -> tensor<4x4xf32>",
     "names dimension 0 twice"},
    {"stablehlo.transpose %x, dims = [0, 2] : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "permutation[1] is 2, wanted a dimension in [0, 2)"},
    {"stablehlo.transpose %x, dims = [0] : (tensor<4x6xf32>) -> tensor<4xf32>",
     "permutation has 1 entries, wanted 2"},
    {"stablehlo.reshape %x : (tensor<4x6xf32>) -> tensor<5x5xf32>",
     "different numbers of elements"},
    {"stablehlo.broadcast_in_dim %x, dims = [0, 1] : (tensor<4x6xf32>) -> tensor<4x7xf32>",
     "does not broadcast"},
    {"stablehlo.broadcast_in_dim %x, dims = [1, 1] : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "names dimension 1 twice"},
    {"stablehlo.slice %x [0:5, 0:6] : (tensor<4x6xf32>) -> tensor<5x6xf32>",
     "slice [0:5:1] of dimension 0"},
    {"stablehlo.slice %x [0:4, 0:6:0] : (tensor<4x6xf32>) -> tensor<4x6xf32>", "slice [0:6:0]"},
    {"stablehlo.slice %x [0:4] : (tensor<4x6xf32>) -> tensor<4xf32>", "wanted 2"},
    {"stablehlo.dynamic_slice %x, %i, sizes = [1, 1] : (tensor<4x6xf32>, tensor<i32>) -> "
     "tensor<1x1xf32>",
     "1 start indices, wanted 2"},
    {"stablehlo.dynamic_slice %x, %i, %i, sizes = [5, 1] : (tensor<4x6xf32>, tensor<i32>, "
     "tensor<i32>) -> tensor<5x1xf32>",
     "slice_sizes[0] is 5"},
    {"stablehlo.dynamic_update_slice %x, %n, %i, %i : (tensor<4x6xf32>, tensor<3x1xi32>, "
     "tensor<i32>, tensor<i32>) -> tensor<4x6xf32>",
     "does not fit into"},
    {"stablehlo.concatenate %x, %n, dim = 0 : (tensor<4x6xf32>, tensor<3x1xi32>) -> "
     "tensor<7x6xf32>",
     "does not concatenate"},
    {"stablehlo.concatenate %x, dim = 2 : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "dimension[0] is 2"},
    {"stablehlo.pad %x, %i, low = [0, 0], high = [0, 0], interior = [0, 0] : (tensor<4x6xf32>, "
     "tensor<i32>) -> tensor<4x6xf32>",
     "padding value has type"},
    {"stablehlo.iota dim = 1 : tensor<4xf32>", "iota_dimension[0] is 1"},
    {"stablehlo.reverse %x, dims = [-1] : tensor<4x6xf32>", "dimensions[0] is -1"},
    {"stablehlo.dot_general %x, %x, contracting_dims = [1] x [0] : (tensor<4x6xf32>, "
     "tensor<4x6xf32>) -> tensor<4x6xf32>",
     "differ in size"},
    {"stablehlo.dot_general %x, %x, batching_dims = [0] x [], contracting_dims = [1] x [1] : "
     "(tensor<4x6xf32>, tensor<4x6xf32>) -> tensor<4xf32>",
     "1 and 0 batching"},
    {"stablehlo.dot_general %x, %n, contracting_dims = [] x [] : (tensor<4x6xf32>, "
     "tensor<3x1xi32>) -> tensor<4x6x3x1xf32>",
     "no product of"},
    {"stablehlo.cholesky %x, lower = true : tensor<4x6xf32>", "wanted square matrices"},
    {"stablehlo.fft %x, type = FFT, length = [6] : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "wanted complex elements"},
    {"stablehlo.fft %x, type = RFFT, length = [5] : (tensor<4x6xf32>) -> tensor<4x3xcomplex<f32>>",
     "fft_length[0] is 5"},
    {"stablehlo.reduce_precision %x, format = e0m3 : tensor<4x6xf32>", "exponent bit"},
    {"stablehlo.select %i, %x, %x : (tensor<i32>, tensor<4x6xf32>, tensor<4x6xf32>) -> "
     "tensor<4x6xf32>",
     "wanted boolean elements"},
    {"stablehlo.clamp %i, %x, %i : (tensor<i32>, tensor<4x6xf32>, tensor<i32>) -> tensor<4x6xf32>",
     "operand 0 has type tensor<i32>"},
    {"stablehlo.bitcast_convert %x : (tensor<4x6xf32>) -> tensor<4x6xf64>",
     "must hold one element of"},
    {"stablehlo.convert %x : (tensor<4x6xf32>) -> tensor<6x4xf32>", "wanted the shape of"},
    {"\"stablehlo.gather\"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], "
     "collapsed_slice_dims = [0], start_index_map = [0, 1], index_vector_dim = 1>, slice_sizes = "
     "array<i64: 1, 6>}> : (tensor<4x6xf32>, tensor<3x1xi32>) -> tensor<3x6xf32>",
     "index map has 2 entries, index vectors have 1"},
    {"\"stablehlo.gather\"(%x, %n) <{dimension_numbers = #stablehlo.gather<offset_dims = [1], "
     "collapsed_slice_dims = [0], start_index_map = [0], index_vector_dim = 1>, slice_sizes = "
     "array<i64: 2, 6>}> : (tensor<4x6xf32>, tensor<3x1xi32>) -> tensor<3x6xf32>",
     "slice_sizes[0] is 2, wanted [0, 1]"},
    {"\"stablehlo.case\"(%x) ({ stablehlo.return %i : tensor<i32> }) : (tensor<4x6xf32>) -> "
     "tensor<i32>",
     "index has type"},
    {"\"stablehlo.case\"(%i) ({ stablehlo.return %i : tensor<i32> }, { stablehlo.return %x : "
     "tensor<4x6xf32> }) : (tensor<i32>) -> tensor<i32>",
     "branch 1 returns"},
    {"\"stablehlo.if\"(%p) ({ stablehlo.return %i : tensor<i32> }) : (tensor<i1>) -> tensor<i32>",
     "1 regions, wanted 2"},
    {"stablehlo.while(%a = %i) : tensor<i32> cond { stablehlo.return %a : tensor<i32> } do { "
     "stablehlo.return %a : tensor<i32> }",
     "the condition returns"},
    {"stablehlo.while(%a = %i) : tensor<i32> cond { stablehlo.return %p : tensor<i1> } do { "
     "stablehlo.return %x : tensor<4x6xf32> }",
     "the body returns"},
    {"\"stablehlo.case\"(%i) ({ %q = stablehlo.negate %x : tensor<4x6xf32> }) : (tensor<i32>) -> "
     "tensor<4x6xf32>",
     "must be a terminator"},
    {"\"stablehlo.case\"(%i) ({ return %x : tensor<4x6xf32> }) : (tensor<i32>) -> tensor<4x6xf32>",
     "wanted stablehlo.return"},
    {"\"stablehlo.sort\"(%x) <{dimension = 5 : i64}> ({ ^bb0(%a: tensor<f32>, %b: tensor<f32>): "
     "stablehlo.return %p : tensor<i1> }) : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "dimension is 5"},
    {"func.call @nothing(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "there is no function @nothing"},
    {"func.call @main(%x) : (tensor<4x6xf32>) -> tensor<4x6xf32>", "takes 4 arguments, got 1"},
    {"stablehlo.rng_bit_generator %x, algorithm = DEFAULT : (tensor<4x6xf32>) -> (tensor<4x6xf32>, "
     "tensor<2xui32>)",
     "state has type"},
    {"\"stablehlo.all_gather\"(%x) <{all_gather_dim = 0 : i64, replica_groups = dense<[[0, 1]]> : "
     "tensor<1x2xi64>}> : (tensor<4x6xf32>) -> tensor<4x6xf32>",
     "wanted tensor<8x6xf32>"},
};

TEST(VerifyTest, RefusesInvalidOps) {
  for (const Case& c : kBadOps) {
    const std::string text = StrCat(
        "func.func @main(%x: tensor<4x6xf32>, %i: tensor<i32>, %n: tensor<3x1xi32>, %p: "
        "tensor<i1>) {\n  %0",
        std::string_view(c.op).find("rng_bit") != std::string_view::npos ? ":2" : "", " = ", c.op,
        "\n  return\n}");
    const Status s = ParseModule(text).status();
    EXPECT_FALSE(s.ok()) << c.op;
    EXPECT_NE(s.message().find(c.what), std::string::npos) << s.message() << "\n" << c.op;
    EXPECT_NE(s.message().find("@main"), std::string::npos) << s.message();
    EXPECT_NE(s.message().find("line 2"), std::string::npos) << s.message();
  }
}

TEST(VerifyTest, RefusesRecursion) {
  const auto f = [](const char* name, const char* callee) {
    return StrCat("func.func @", name, "(%x: tensor<f32>) -> tensor<f32> {\n%0 = call @", callee,
                  "(%x) : (tensor<f32>) -> tensor<f32>\nreturn %0 : tensor<f32>\n}\n");
  };
  for (const std::string& text : {f("main", "main"), f("main", "a") + f("a", "b") + f("b", "a")}) {
    const Status s = ParseModule(text).status();
    EXPECT_EQ(s.code(), Code::kInvalidArgument);
    EXPECT_NE(s.message().find("calls itself"), std::string::npos) << s.message();
  }
}

TEST(VerifyTest, LimitsCallDepth) {
  std::string text =
      "func.func @f0(%x: tensor<f32>) -> tensor<f32> {\nreturn %x : tensor<f32>\n}\n";
  for (int i = 1; i < 20; ++i) {
    StrAppend(&text, "func.func ", i == 19 ? "@main" : StrCat("private @f", i),
              "(%x: tensor<f32>) -> tensor<f32> {\n%0 = call @f", i - 1,
              "(%x) : (tensor<f32>) -> tensor<f32>\nreturn %0 : tensor<f32>\n}\n");
  }
  EXPECT_TRUE(ParseModule(text).ok()) << ParseModule(text).status().ToString();
  ParseOptions options;
  options.limits.max_call_depth = 10;
  EXPECT_EQ(ParseModule(text, options).status().code(), Code::kResourceExhausted);
}

// Modules put together by hand can break rules that text cannot.
TEST(VerifyTest, ChecksValueIds) {
  Func f;
  f.name = "main";
  f.body.args.push_back(f.AddValue({DType::kF32, {2}}));
  f.results = {{DType::kF32, {2}}};
  Op op;
  op.def = FindOp("stablehlo.negate");
  op.operands = {0};
  op.first_result = f.AddValue({DType::kF32, {2}});
  op.num_results = 1;
  Op ret;
  ret.def = FindOp("func.return");
  ret.operands = {1};
  const auto check = [&](Op o, Op r) {
    Func g = f;
    g.body.ops = {std::move(o), std::move(r)};
    Module m;
    EXPECT_TRUE(m.AddFunc(std::move(g)).ok());
    return Verify(m);
  };
  EXPECT_TRUE(check(op, ret).ok()) << check(op, ret).ToString();
  Op bad = op;
  bad.operands = {1};  // its own result
  EXPECT_NE(check(bad, ret).message().find("used where it is not defined"), std::string::npos);
  bad.operands = {99};
  EXPECT_FALSE(check(bad, ret).ok());
  bad = op;
  bad.first_result = 0;
  EXPECT_NE(check(bad, ret).message().find("defined twice"), std::string::npos);
  bad.first_result = 7;
  EXPECT_NE(check(bad, ret).message().find("not in the table of types"), std::string::npos);
  bad = op;
  bad.def = nullptr;
  EXPECT_FALSE(check(bad, ret).ok());
  Op wrong_return = ret;
  wrong_return.operands = {};
  EXPECT_NE(check(op, wrong_return).message().find("other types than its signature"),
            std::string::npos);
}

}  // namespace
}  // namespace megalith::stablehlo

// What the parser takes, what it refuses and where it says the fault is, and that its cost is that
// of the text.
#include "common/programs/ir/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/op_def.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"

namespace megalith::ir {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr std::string_view kSmall =
    "{ lambda a:f32[2]; b:f32[3,2] c:bool[]. let\n"
    "    d:f32[2] = reduce_sum[axes=(np.int64(0),) out_sharding=None] b\n"
    "    e:f32[2] = jit[name=f jaxpr={ lambda ; d:f32[2] f:f32[2]. let e:f32[2] = add d f in (e,) "
    "}] d\n"
    "      a\n"
    "    g:i32[] = convert_element_type[new_dtype=int32 weak_type=False] c\n"
    "    h:f32[2] = cond[\n"
    "      branches=(\n"
    "        { lambda ; i:f32[2]. let j:f32[2] = mul i -1.5e-07:f32[] in (j,) }\n"
    "        { lambda ; k:f32[2]. let l:f32[2] = sin k in (l,) }\n"
    "      )\n"
    "    ] g e\n"
    "  in (h, 2:i32[]) }";

Result<JaxprPtr> Parse(std::string_view text, const ParseLimits& limits = {}) {
  return ParseJaxpr(text, ops::AllOps(), limits);
}

std::string ErrorOf(std::string_view text, const ParseLimits& limits = {}) {
  const auto parsed = Parse(text, limits);
  return parsed.ok() ? "no error" : parsed.status().ToString();
}

// A program of these equations on inputs a:f32[] and b:f32[3].
std::string WithEqns(std::string_view eqns, std::string_view outs = "") {
  return StrCat("{ lambda ; a:f32[] b:f32[3]. let\n    ", eqns, "\n  in (", outs, ") }");
}

struct Wrong {
  std::string_view text;
  std::string_view says;
};

TEST(ParseJaxprTest, StructureErrorsNameTheirPlace) {
  const Wrong cases[] = {
      {"", "line 1, column 1: expected '{' at the start of a jaxpr, found the end of the text"},
      {"{", "line 1, column 2: expected 'lambda' after '{', found the end of the text"},
      {"{ lamda", "line 1, column 3: expected 'lambda' after '{', found 'lamda'"},
      {"{ lambda ; a", "line 1, column 13: expected ':' and a type after 'a'"},
      {"{ lambda ; a:f33[]", "line 1, column 14: unknown type 'f33'"},
      {"{ lambda ; a:f32", "line 1, column 14: unknown type 'f32'"},
      {"{ lambda ; a:f32[1,]",
       "line 1, column 20: expected a dimension from 0 to 2^63-1, found ']'"},
      {"{ lambda ; a:f32[9223372036854775808]",
       "line 1, column 18: expected a dimension from 0 to 2^63-1"},
      {"{ lambda ; a:f32[-1]",
       "line 1, column 18: expected a dimension from 0 to 2^63-1, found '-1]'"},
      {"{ lambda ; a:f32[] a:f32[]. let in () }", "line 1, column 20: variable 'a' is bound twice"},
      {"{ lambda ; a:f32[].\nlet\n in (b,) }",
       "line 3, column 6: variable 'b' is not defined here"},
      {"{ lambda ; a:f32[].\nlet\n in (a,) } x",
       "line 3, column 12: text after the end of the program"},
      {"{ lambda ; a:f32[]. let in (a a) }",
       "line 1, column 31: expected ',' or ')' after an output, found 'a)'"},
      {"{ lambda ; a:f32[]. let in (_,) }",
       "'_' is returned but no value of its type was called '_'"},
      {"let f { lambda ; . let in () }", "expected 'name = ' after 'let'"},
      {"let f = { lambda ; . let in () } in let f = { lambda ; . let in () } in { lambda ; . let "
       "in () }",
       "shared jaxpr 'f' is defined twice"},
      {"{ lambda ; a:Ref{f32[3]}. let in () }", "values of type 'Ref' are not supported"},
      {"{ lambda ; a:f32[3@x]. let in () }", "dimensions sharded over a mesh are not supported"},
  };
  for (const Wrong& c : cases) EXPECT_THAT(ErrorOf(c.text), HasSubstr(c.says)) << c.text;
}

TEST(ParseJaxprTest, EquationErrorsNameTheirPlace) {
  const Wrong cases[] = {
      {"c:f32[] = frobnicate a", "line 2, column 15: primitive 'frobnicate' is not supported"},
      {"c:f32[] = sin", "line 2, column 15: sin takes 1 operands, got 0"},
      {"c:f32[] = sin a a", "line 2, column 15: sin takes 1 operands, got 2"},
      {"c:f32[] d:f32[] = sin a", "sin gives 1 results, got 2 binders"},
      {"c:f32[] = sin q", "line 2, column 19: variable 'q' is not defined here"},
      {"c:f32[] = sin c", "variable 'c' is not defined here"},
      {"c:f32[] = integer_pow a", "line 2, column 15: integer_pow needs the parameter 'y'"},
      {"c:f32[] = integer_pow[] a", "integer_pow: line 2, column 28: parameter 'y' is missing"},
      {"c:f32[] = integer_pow[y=2 y=3] a", "parameter 'y' is given twice"},
      {"c:f32[] = integer_pow[z=2] a", "unknown parameter 'z'"},
      {"c:f32[] = integer_pow[y=99999999999999999999] a",
       "parameter 'y' of integer_pow must be an integer, got 1e+20"},
      {"c:f32[] = integer_pow[y=0x10] a", "'0x10' is not a number of at most 64 bits"},
      {"c:f32[] = integer_pow[y=2",
       "line 3, column 3: expected 'name=value' or ']' among parameters, found 'in'"},
      {"c:f32[] = mul a 1.5", "expected ':' and a type after the literal 1.5"},
      {"c:f32[] = mul a 1.5:i32[]", "'1.5' is not a literal of type i32[]"},
      {"c:f32[] = mul a 300:i8[]", "'300' is not a literal of type i8[]"},
      {"c:f32[] = mul a 1.5:f32[3]", "a literal must have rank 0"},
      {"c:f32[] = mul a [1 2]:f32[2]", "array-valued literals are not accepted"},
      {"c:f32[] = mul a (1:c64[]", "expected ':' and a type after the literal (1:c64[]"},
      {"c:f32[] = jit[name=f jaxpr=g] a",
       "expected a jaxpr or the name of a shared one, found 'g]'"},
      {"c:f32[] = add _ a", "'_' is read but nothing was called '_'"},
      {"_:f32[] = sin a\n    _:f32[] = cos a\n    c:f32[] = neg _", "AMBIGUOUS_DROPVAR"},
  };
  for (const Wrong& c : cases) EXPECT_THAT(ErrorOf(WithEqns(c.text)), HasSubstr(c.says)) << c.text;
}

TEST(ParseJaxprTest, UnknownPrimitivesAreUnimplemented) {
  const auto parsed = Parse(WithEqns("c:f32[] = frobnicate[x=1] a", "c,"));
  EXPECT_EQ(parsed.status().code(), Code::kUnimplemented);
  EXPECT_EQ(parsed.status().python_class(), "NotImplementedError");
}

TEST(ParseJaxprTest, EveryBeginningOfAProgramIsAnError) {
  ASSERT_TRUE(Parse(kSmall).ok()) << ErrorOf(kSmall);
  for (size_t n = 0; n < kSmall.size(); ++n) {
    const auto parsed = Parse(kSmall.substr(0, n));
    ASSERT_FALSE(parsed.ok()) << n;
    EXPECT_NE(parsed.status().code(), Code::kInternal) << n;
    EXPECT_FALSE(parsed.status().message().empty()) << n;
  }
}

TEST(ParseJaxprTest, EveryDamagedByteIsReadOrRefused) {
  for (size_t at = 0; at < kSmall.size(); ++at) {
    for (const char c : {'\0', ' ', '\n', '(', ')', '[', ']', '{', '}', ',', ';', ':', '=', '_',
                         'a', '0', '-', '<', '\''}) {
      std::string text(kSmall);
      text[at] = c;
      const auto parsed = Parse(text);
      EXPECT_TRUE(!parsed.ok() || !Print(*parsed).empty());
    }
  }
}

TEST(ParseJaxprTest, TextMustBeUtf8) {
  for (const std::string_view bad : {"\xff", "\xc3", "\xed\xa0\x80", "\xf5\x80\x80\x80"}) {
    const std::string text =
        StrCat("{ lambda ; a:f32[]. let b:f32[] = jit[name=", bad, " jaxpr=f] a in (b,) }");
    EXPECT_THAT(ErrorOf(text),
                StartsWith("INVALID_ARGUMENT: the program text is not UTF-8 at byte 43"))
        << bad.size();
  }
}

TEST(ParseJaxprTest, NamesMayBeUnicodeAndZerosAreNoEnd) {
  const auto named = Parse(
      "{ lambda ; a:f32[]. let b:f32[] = jit[name=\xce\xbb jaxpr={ lambda ; a:f32[]. let  in (a,) "
      "}] a in (b,) }");
  ASSERT_TRUE(named.ok()) << named.status().ToString();
  EXPECT_THAT(Print(*named), HasSubstr("name=\xce\xbb"));
  EXPECT_THAT(ErrorOf(std::string_view("{ lambda ; a:f32[]. let in (a,) }\0", 34)),
              HasSubstr("text after the end"));
}

// Where a list of operands breaks, the next line may begin with a literal that looks like the
// binder of a variable.
TEST(ParseJaxprTest, LiteralsAtTheStartOfALineAreNoBinders) {
  const JaxprPtr jaxpr = *Parse(
      "{ lambda ; a:f32[]. let\n"
      "    b:bool[] = eq a\n"
      "      inf:f32[]\n"
      "    nan:f32[] = select_n b a\n"
      "      nan:f32[]\n"
      "    inf:f32[] = neg nan\n"
      "    c:f32[] = add nan inf\n"
      "  in (c,) }");
  EXPECT_EQ(jaxpr->eqns().size(), 4u);
  EXPECT_TRUE(jaxpr->operands(jaxpr->eqns()[1])[2].is_literal());
  EXPECT_FALSE(jaxpr->operands(jaxpr->eqns()[3])[0].is_literal());
}

// ---- limits ----

TEST(ParseJaxprTest, DimensionsReachTwoToTheSixtyThree) {
  const auto parsed = Parse("{ lambda ; a:f32[9223372036854775807,0]. let in (a,) }");
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ((*parsed)->InAvals()[0].Text(), "f32[9223372036854775807,0]");
}

TEST(ParseJaxprTest, RankIsLimited) {
  std::string dims = "1";
  for (int i = 0; i < 64; ++i) dims += ",1";
  EXPECT_THAT(ErrorOf(StrCat("{ lambda ; a:f32[", dims, "]. let in (a,) }")),
              StartsWith("RESOURCE_EXHAUSTED: line 1, column 147: an array has more than 64 "
                         "dimensions (limit max_rank)"));
}

TEST(ParseJaxprTest, BytesAreLimited) {
  ParseLimits limits;
  limits.max_bytes = 10;
  EXPECT_EQ(ErrorOf("{ lambda ; . let in () }", limits),
            "RESOURCE_EXHAUSTED: the program text has 24 bytes, more than 10 (limit max_bytes)");
}

std::string Repeated(std::string_view piece, size_t n) {
  std::string out;
  out.reserve(piece.size() * n);
  for (size_t i = 0; i < n; ++i) out += piece;
  return out;
}

TEST(ParseJaxprTest, OpenBracketsAtAnyDepthAreRefused) {
  constexpr size_t kDeep = 100'000;
  for (const std::string_view open :
       {"(", "[", "f(x=", "{ lambda ; . let b:f32[] = jit[name=f jaxpr=", "<"}) {
    for (const std::string_view param :
         {"c:f32[] = integer_pow[y=", "c:f32[] = scan[jaxpr=", "c:f32[] = cond[branches="}) {
      const auto parsed = Parse(WithEqns(StrCat(param, Repeated(open, kDeep))));
      ASSERT_FALSE(parsed.ok());
      EXPECT_TRUE(parsed.status().code() == Code::kResourceExhausted ||
                  parsed.status().code() == Code::kInvalidArgument)
          << parsed.status().ToString();
    }
  }
  EXPECT_FALSE(Parse(Repeated("{", kDeep)).ok());
  EXPECT_FALSE(Parse(Repeated("let f = ", kDeep)).ok());
}

std::string NestedCalls(int levels) {
  const std::string open = "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=";
  return StrCat(Repeated(open, static_cast<size_t>(levels)),
                "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }",
                Repeated("] a in (b,) }", static_cast<size_t>(levels)));
}

TEST(ParseJaxprTest, NestedJaxprsAreLimited) {
  EXPECT_TRUE(Parse(NestedCalls(100)).ok());
  EXPECT_THAT(ErrorOf(NestedCalls(101)),
              HasSubstr("jaxprs are nested deeper than 100 levels (limit max_depth)"));
  EXPECT_THAT(ErrorOf(NestedCalls(100'000)), HasSubstr("(limit max_depth)"));
}

TEST(ParseJaxprTest, SharedJaxprsNestAsDeepAsWrittenOut) {
  std::string text = "let f0 = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in\n";
  for (int i = 1; i <= 100; ++i) {
    StrAppend(&text, "let f", i, " = { lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f", i - 1,
              "] a in (b,) } in\n");
  }
  EXPECT_TRUE(
      Parse(StrCat(text, "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f99] a in (b,) }"))
          .ok());
  EXPECT_THAT(
      ErrorOf(StrCat(text, "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f100] a in (b,) }")),
      HasSubstr("(limit max_depth)"));
}

TEST(ParseJaxprTest, NestedTuplesAreLimited) {
  const auto tuples = [](size_t n) {
    return StrCat("{ lambda ; a:f32[]. let b:f32[] = reduce_precision[exponent_bits=",
                  Repeated("(", n), Repeated(",)", n), " mantissa_bits=1] a in (b,) }");
  };
  EXPECT_THAT(ErrorOf(tuples(33)), HasSubstr("reduce_precision"));
  EXPECT_THAT(ErrorOf(tuples(34)),
              HasSubstr("a parameter is nested deeper than 32 levels (limit max_value_depth)"));
  EXPECT_THAT(ErrorOf(tuples(100'000)), HasSubstr("(limit max_value_depth)"));
}

// The deepest text that the limits let through: what reads it must not run out of stack.
TEST(ParseJaxprTest, JaxprsInTuplesInJaxprsStayWithinTheStack) {
  const std::string open = StrCat(
      "{ lambda ; a:f32[]. let b:f32[] = custom_linear_solve[const_lengths=", Repeated("f(x=", 30));
  const std::string text = Repeated(open, 100);
  EXPECT_FALSE(Parse(text).ok());
}

TEST(ParseJaxprTest, EquationsAreLimited) {
  ParseLimits limits;
  limits.max_eqns = 2;
  EXPECT_TRUE(Parse(WithEqns("c:f32[] = sin a\n    d:f32[] = sin c"), limits).ok());
  EXPECT_THAT(
      ErrorOf(WithEqns("c:f32[] = sin a\n    d:f32[] = sin c\n    e:f32[] = sin d"), limits),
      HasSubstr("line 4, column 5: more than 2 equations (limit max_eqns)"));
}

// ---- cost ----

// Parses and, if it parses, prints a text of `n` pieces: so many that work which grows with their
// square runs into the test's time limit.
void ExpectLinear(std::string_view what, size_t n, const std::function<std::string(size_t)>& text) {
  const auto parsed = Parse(text(n), {.guess_dropped = true});
  EXPECT_TRUE(!parsed.ok() || !Print(*parsed).empty()) << what;
}

TEST(ParseJaxprTest, ReadsAMillionEquations) {
  std::string text = "{ lambda ; a:f32[]. let\n";
  text.reserve(40'000'000);
  for (int i = 0; i < 1'000'000; ++i)
    StrAppend(&text, "    b", i, ":f32[] = sin ", i == 0 ? "a" : StrCat("b", i - 1), "\n");
  text += "  in (b999999,) }";
  const auto parsed = Parse(text);
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ((*parsed)->eqns().size(), 1'000'000u);
}

TEST(ParseJaxprTest, CostIsLinear) {
  ExpectLinear("equations", 200'000,
               [](size_t n) { return WithEqns(Repeated("_:f32[] = sin a\n", n)); });
  ExpectLinear("operands", 200'000, [](size_t n) {
    return WithEqns(StrCat("c:f32[] = concatenate[dimension=0] ", Repeated("b ", n)));
  });
  ExpectLinear("literals", 200'000, [](size_t n) {
    return WithEqns(StrCat("c:f32[] = concatenate[dimension=0] ", Repeated("nan:f32[]\n", n)));
  });
  ExpectLinear("outputs", 200'000, [](size_t n) { return WithEqns("", Repeated("a, ", n)); });
  ExpectLinear("dropped outputs", 100'000, [](size_t n) {
    return WithEqns(Repeated("_:f32[] = sin a\n", n), Repeated("_, ", n));
  });
  ExpectLinear("more dropped outputs than binders", 200'000,
               [](size_t n) { return WithEqns("_:f32[] = sin a", Repeated("_, ", n)); });
  ExpectLinear("shared jaxprs", 100'000, [](size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i)
      StrAppend(&text, "let f", i, " = { lambda ; a:f32[]. let  in (a,) } in\n");
    return StrCat(text, "{ lambda ; . let in () }");
  });
  ExpectLinear("nested jaxprs", 50'000, [](size_t n) {
    return WithEqns(Repeated(
        "_:f32[] = jit[name=f jaxpr={ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }] a\n", n));
  });
  ExpectLinear("integers", 400'000, [](size_t n) {
    return WithEqns(StrCat("c:f32[] = transpose[permutation=(", Repeated("1, ", n), ")] b"));
  });
  ExpectLinear("raw text", 400'000, [](size_t n) {
    return WithEqns(StrCat("c:f32[] = jit[name=", Repeated("x ", n),
                           " jaxpr={ lambda ; a:f32[]. let  in (a,) }] a"));
  });
  ExpectLinear("blanks", 2000'000, [](size_t n) { return WithEqns(Repeated(" ", n)); });
}

}  // namespace
}  // namespace megalith::ir

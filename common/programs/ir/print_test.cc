// Printing: layout, names, sharing, and that the cost is that of the text.
#include "common/programs/ir/print.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/literal.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ops/registry.h"

namespace megalith::ir {
namespace {

using ::testing::HasSubstr;

JaxprPtr Parse(std::string_view text) {
  const auto parsed = ParseJaxpr(text, ops::AllOps());
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString() << "\n" << text;
  return parsed.ok() ? *parsed : nullptr;
}

TEST(PrintTest, AShortJaxprIsOneLine) {
  const std::string text = "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }";
  EXPECT_EQ(Print(Parse(text)), text);
  EXPECT_EQ(Print(Parse("{ lambda ; . let in () }")), "{ lambda ; . let  in () }");
}

TEST(PrintTest, WidthDecidesWhereLinesBreak) {
  const JaxprPtr jaxpr = Parse("{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }");
  EXPECT_EQ(Print(jaxpr, {.width = 48}),
            "{ lambda ; a:f32[]. let\n    b:f32[] = sin a\n  in (b,) }");
  EXPECT_EQ(Print(jaxpr, {.width = 49}), "{ lambda ; a:f32[]. let b:f32[] = sin a in (b,) }");
  EXPECT_EQ(Print(jaxpr, {.width = 0}),
            "{ lambda ; a:f32[]. let\n    b:f32[] = sin a\n  in (b,) }");
}

TEST(PrintTest, ShapesCanBeLeftOut) {
  EXPECT_EQ(Print(Parse("{ lambda ; a:f32[]. let b:f32[] = mul a 2.0:f32[] in (b,) }"),
                  {.print_shapes = false}),
            "{ lambda ; a. let b = mul a 2.0:f32[] in (b,) }");
}

TEST(PrintTest, NamesFollowTheOrderOfVisits) {
  EXPECT_EQ(Print(Parse(
                "{ lambda x:f32[2]; y:f32[2]. let z:f32[2] = add x y; q:f32[2] = sin y in (z,) }")),
            "{ lambda a:f32[2]; b:f32[2]. let c:f32[2] = add a b; _:f32[2] = sin b in (c,) }");
}

TEST(PrintTest, NamesSkipThoseOfSharedJaxprs) {
  const std::string text =
      "let d = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in\n"
      "{ lambda ; c:f32[]. let\n"
      "    e:f32[] = jit[name=d jaxpr=d] c\n"
      "    f:f32[] = jit[name=d jaxpr=d] e\n"
      "  in (f,) }";
  EXPECT_EQ(Print(Parse(text)), text);
}

TEST(PrintTest, TheNameAfterZzIsBaa) {
  std::string inputs;
  for (int i = 0; i < 677; ++i) StrAppend(&inputs, "v", i, ":f32[] ");
  const std::string text = Print(Parse(StrCat("{ lambda ; ", inputs, ". let in () }")));
  EXPECT_THAT(text, HasSubstr("z:f32[] ba:f32[]"));
  EXPECT_THAT(text, HasSubstr("zz:f32[] baa:f32[]"));
}

TEST(PrintTest, ListsFillTheirLines) {
  std::string inputs;
  for (int i = 0; i < 30; ++i) StrAppend(&inputs, "v", i, ":f32[3] ");
  const std::string text = Print(Parse(StrCat("{ lambda ; ", inputs, ". let in () }")));
  for (const std::string_view line : Split(text, '\n')) EXPECT_LE(line.size(), 90u) << line;
  EXPECT_GT(Split(text, '\n').size(), 3u);
}

struct Printed {
  Literal literal;
  std::string_view text;
};

TEST(LiteralTest, PrintsAsPythonDoes) {
  const Printed cases[] = {
      {Literal::Float(DType::kF32, 1), "1.0:f32[]"},
      {Literal::Float(DType::kF32, -0.0), "-0.0:f32[]"},
      {Literal::Float(DType::kF32, 0.1), "0.10000000149011612:f32[]"},
      {Literal::Float(DType::kF32, 0.1, /*weak=*/true), "0.1:f32[]"},
      {Literal::Float(DType::kF64, 1e16), "1e+16:f64[]"},
      {Literal::Float(DType::kF64, 123456789012345680.0), "1.2345678901234568e+17:f64[]"},
      {Literal::Float(DType::kF64, 5e-324), "5e-324:f64[]"},
      {Literal::Float(DType::kBF16, 3.140625), "3.140625:bf16[]"},
      {Literal::Float(DType::kF16, 1e9), "inf:f16[]"},
      {Literal::Float(DType::kF32, NAN), "nan:f32[]"},
      {Literal::Float(DType::kF32, -INFINITY), "-inf:f32[]"},
      {Literal::Int(DType::kBool, 1), "True:bool[]"},
      {Literal::Int(DType::kI8, 200), "-56:i8[]"},
      {Literal::Int(DType::kU64, -1), "18446744073709551615:u64[]"},
      {Literal::Int(DType::kI64, INT64_MIN), "-9223372036854775808:i64[]"},
      {Literal::Complex(DType::kC64, {0, 1}), "1j:c64[]"},
      {Literal::Complex(DType::kC64, {-0.0, 1}), "(-0+1j):c64[]"},
      {Literal::Complex(DType::kC128, {1.5, -2}), "(1.5-2j):c128[]"},
      {Literal::Complex(DType::kC64, {NAN, -INFINITY}), "(nan-infj):c64[]"},
      {Literal::Float0(), "(b'',):float0[]"},
  };
  for (const Printed& c : cases) EXPECT_EQ(c.literal.Text(), c.text);
}

TEST(LiteralTest, WhatPrintsReadsBack) {
  for (const std::string_view literal : {"1.0:f32[]",
                                         "-0.0:f32[]",
                                         "0.1:f32[]",
                                         "1e+16:f64[]",
                                         "5e-324:f64[]",
                                         "3.140625:bf16[]",
                                         "inf:f16[]",
                                         "nan:f32[]",
                                         "-inf:f32[]",
                                         "True:bool[]",
                                         "-56:i8[]",
                                         "18446744073709551615:u64[]",
                                         "-9223372036854775808:i64[]",
                                         "1j:c64[]",
                                         "(-0+1j):c64[]",
                                         "(1.5-2j):c128[]",
                                         "(nan-infj):c64[]",
                                         "(b'',):float0[]",
                                         "infj:c64[]",
                                         "nanj:c64[]",
                                         "1e-07j:c128[]",
                                         "(1e-07-1e+22j):c128[]"}) {
    const std::string text = StrCat("{ lambda ; . let  in (", literal, ",) }");
    EXPECT_EQ(Print(Parse(text)), text);
  }
}

TEST(LiteralTest, NumbersThatPythonWouldNotPrintAreNone) {
  for (const std::string_view text : {"", "-", "+1", ".5", "1.", "e5", "0x10", "1e", "--1", "1_0",
                                      "infinity", "NaN", " 1", "1 ", "1.5f"}) {
    if (text == "1.") continue;  // Python's own digits end so in no str(), but float() takes them
    EXPECT_EQ(ParsePythonFloat(text), std::nullopt) << text;
  }
  for (const std::string_view text :
       {"", "j", "()", "(1)", "(1+j)", "1+2j", "(1+2)", "(1+2j", "(+2j)", "((1+2j))", "1"}) {
    EXPECT_EQ(ParsePythonComplex(text), std::nullopt) << text;
  }
}

// f0 = sin, f1 calls f0 twice, ... : 2^60 calls in a text of 60 lines.
JaxprPtr Doubling(int levels) {
  std::string text = "let f0 = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in\n";
  for (int i = 1; i < levels; ++i) {
    StrAppend(&text, "let f", i, " = { lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f", i - 1,
              "] a; c:f32[] = jit[name=f jaxpr=f", i - 1, "] b in (c,) } in\n");
  }
  return Parse(StrCat(text, "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f", levels - 1,
                      "] a; c:f32[] = jit[name=f jaxpr=f", levels - 1, "] b in (c,) }"));
}

// As JAX prints them, definitions spell out those that follow: the text is as long as the program
// without sharing.
TEST(PrintTest, TextsThatDoubleWithEachLevelEndAtTheLimit) {
  const JaxprPtr jaxpr = Doubling(60);
  const auto text = PrintWithin(1 << 20, jaxpr);
  EXPECT_EQ(text.status().ToString(),
            "RESOURCE_EXHAUSTED: the text of the program has more than 1048576 bytes");
}

TEST(PrintTest, TheLimitIsExact) {
  const JaxprPtr jaxpr = Doubling(4);
  const std::string text = Print(jaxpr);
  EXPECT_EQ(*PrintWithin(text.size(), jaxpr), text);
  EXPECT_EQ(PrintWithin(text.size() - 1, jaxpr).status().code(), Code::kResourceExhausted);
  EXPECT_EQ(PrintWithin(0, jaxpr).status().code(), Code::kResourceExhausted);
}

}  // namespace
}  // namespace megalith::ir

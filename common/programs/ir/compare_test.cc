// Equality of programs: level N1 of texts, level N3 of dags, exact bytes.
#include "common/programs/ir/compare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/parse.h"
#include "common/programs/ops/registry.h"

namespace megalith::ir {
namespace {

JaxprPtr Parse(std::string_view text) {
  const auto parsed = ParseJaxpr(text, ops::AllOps());
  EXPECT_TRUE(parsed.ok()) << parsed.status().ToString() << "\n" << text;
  return parsed.ok() ? *parsed : nullptr;
}

std::string Bytes(std::string_view text) { return CanonicalBytes(Closed(Parse(text))); }

constexpr std::string_view kProgram =
    "{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin a; d:f32[3] = cos b; e:f32[3] = sub c d in "
    "(e,) }";

TEST(NormalizeTextTest, NumpyIntegersAndAddressesAreEvenedOut) {
  EXPECT_EQ(NormalizeText("axes=(np.int64(1), np.int64(-2)) f at 0x7fa0>"),
            "axes=(1, -2) f at 0x0>");
  EXPECT_EQ(NormalizeText("np.int64("), "np.int64(");
  EXPECT_EQ(NormalizeText(" at 0x"), " at 0x0");
}

TEST(SameDagTest, NamesOrderAndDeadEquationsDoNotCount) {
  const JaxprPtr program = Parse(kProgram);
  for (const std::string_view text :
       {"{ lambda ; x:f32[3] y:f32[3]. let z:f32[3] = sin x; w:f32[3] = cos y; v:f32[3] = sub z w "
        "in (v,) }",
        "{ lambda ; a:f32[3] b:f32[3]. let d:f32[3] = cos b; c:f32[3] = sin a; e:f32[3] = sub c d "
        "in (e,) }",
        "{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin a; _:f32[3] = tan a; d:f32[3] = cos b; "
        "e:f32[3] = sub c d in (e,) }"}) {
    EXPECT_TRUE(SameDag(*program, *Parse(text))) << text;
  }
}

TEST(SameDagTest, OperandsTypesParametersAndOutputsCount) {
  const JaxprPtr program = Parse(kProgram);
  for (const std::string_view text : {"{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin a; "
                                      "d:f32[3] = cos b; e:f32[3] = sub d c in (e,) }",
                                      "{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin b; "
                                      "d:f32[3] = cos a; e:f32[3] = sub c d in (e,) }",
                                      "{ lambda ; a:f32[4] b:f32[4]. let c:f32[4] = sin a; "
                                      "d:f32[4] = cos b; e:f32[4] = sub c d in (e,) }",
                                      "{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin a; "
                                      "d:f32[3] = cos b; e:f32[3] = sub c d in (e, e) }",
                                      "{ lambda ; a:f32[3] b:f32[3] f:f32[3]. let c:f32[3] = sin "
                                      "a; d:f32[3] = cos b; e:f32[3] = sub c d in (e,) }",
                                      "{ lambda ; a:f32[3] b:f32[3]. let c:f32[3] = sin a; "
                                      "d:f32[3] = cos b; e:f32[3] = add c d in (e,) }"}) {
    EXPECT_FALSE(SameDag(*program, *Parse(text))) << text;
    EXPECT_FALSE(ExplainDag(*program, *Parse(text)).empty() && Parse(text)->invars().size() == 2)
        << text;
  }
}

TEST(SameDagTest, SharingDoesNotCount) {
  EXPECT_TRUE(SameDag(*Parse("let f = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in { "
                             "lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f] a; "
                             "c:f32[] = jit[name=f jaxpr=f] b in (c,) }"),
                      *Parse("{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr={ lambda ; "
                             "a:f32[]. let b:f32[] = sin a in (b,) }] a; "
                             "c:f32[] = jit[name=f jaxpr={ lambda ; d:f32[]. let e:f32[] = sin d "
                             "in (e,) }] b in (c,) }")));
}

TEST(CanonicalBytesTest, NamesDoNotCountAndEverythingElseDoes) {
  const std::string bytes = Bytes(kProgram);
  EXPECT_EQ(bytes, Bytes("{ lambda ; x:f32[3] y:f32[3]. let z:f32[3] = sin x; w:f32[3] = cos y; "
                         "v:f32[3] = sub z w in (v,) }"));
  EXPECT_NE(bytes, Bytes("{ lambda ; a:f32[3] b:f32[3]. let d:f32[3] = cos b; c:f32[3] = sin a; "
                         "e:f32[3] = sub c d in (e,) }"));
  EXPECT_NE(Bytes("{ lambda ; a:f32[]. let b:f32[] = mul a 0.0:f32[] in (b,) }"),
            Bytes("{ lambda ; a:f32[]. let b:f32[] = mul a -0.0:f32[] in (b,) }"));
}

TEST(CanonicalBytesTest, SharingKeepsThemShort) {
  std::string text = "let f0 = { lambda ; a:f32[]. let b:f32[] = sin a in (b,) } in\n";
  for (int i = 1; i < 60; ++i) {
    StrAppend(&text, "let f", i, " = { lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f", i - 1,
              "] a; c:f32[] = jit[name=f jaxpr=f", i - 1, "] b in (c,) } in\n");
  }
  const JaxprPtr jaxpr =
      Parse(StrCat(text, "{ lambda ; a:f32[]. let b:f32[] = jit[name=f jaxpr=f59] a in (b,) }"));
  EXPECT_LT(CanonicalBytes(Closed(jaxpr)).size(), 100'000u);
  EXPECT_TRUE(SameDag(*jaxpr, *jaxpr));
}

}  // namespace
}  // namespace megalith::ir

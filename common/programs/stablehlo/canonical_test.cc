// Canonical form: one form for all spellings.
#include <gtest/gtest.h>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo {
namespace {

const std::string kDirectory =
    std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";

Module ParseOrFail(const std::string& text) {
  auto m = ParseModule(text);
  EXPECT_TRUE(m.ok()) << m.status().ToString() << "\n" << text;
  return m.ok() ? *std::move(m) : Module();
}
std::string BytesOrFail(const Module& m) {
  const auto b = CanonicalBytes(m);
  EXPECT_TRUE(b.ok()) << b.status().ToString();
  return b.ok() ? *b : "";
}

class CanonicalFixtureTest : public testing::TestWithParam<std::string> {};

// The two texts of one program have one canonical form. Exception: complex_arith, whose .txt has a
// complex exponential expanded into real arithmetic; recognising that expansion would undo what its
// producer decided.
TEST_P(CanonicalFixtureTest, UpgradedAndLoweredTextAgree) {
  const Module upgraded = ParseOrFail(ReadFileOrFail(kDirectory + GetParam() + ".txt"));
  const Module lowered = ParseOrFail(ReadFileOrFail(kDirectory + GetParam() + ".lowered.txt"));
  if (GetParam() == "complex_arith") {
    EXPECT_NE(BytesOrFail(upgraded), BytesOrFail(lowered));
    return;
  }
  EXPECT_EQ(PrintModule(*Canonicalize(upgraded)), PrintModule(*Canonicalize(lowered)));
  EXPECT_EQ(BytesOrFail(upgraded), BytesOrFail(lowered));
}

INSTANTIATE_TEST_SUITE_P(Programs, CanonicalFixtureTest,
                         testing::ValuesIn(NamesIn(kDirectory, ".json")),
                         [](const auto& info) { return info.param; });

// What each region takes from outside was found by a search through all regions before it.
TEST(CanonicalizeTest, ManyBranchesTakeLinearTime) {
  std::string text =
      "func.func @main(%i: tensor<i32>, %x: tensor<f32>) -> tensor<f32> {\n  %r = "
      "\"stablehlo.case\"(%i) (";
  for (int branch = 0; branch < 100'000; ++branch) {
    text += branch == 0 ? "{\n" : ", {\n";
    text += "stablehlo.return %x : tensor<f32> }";
  }
  text += ") : (tensor<i32>) -> tensor<f32>\n  return %r : tensor<f32>\n}\n";
  const auto module = ParseModule(text);
  ASSERT_TRUE(module.ok()) << module.status().ToString();
  EXPECT_TRUE(Canonicalize(*module).ok());
}

}  // namespace
}  // namespace megalith::stablehlo

// The programs of conformance/fixtures/stablehlo, written and computed by JAX: they parse, print
// back byte by byte, evaluate to JAX's numbers.
#include <gtest/gtest.h>

#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo {
namespace {

const std::string kDirectory =
    std::string(MEGALITH_SOURCE_DIR) + "/conformance/fixtures/stablehlo/";

class FixtureTest : public testing::TestWithParam<std::string> {};

std::vector<std::string> Programs() { return NamesIn(kDirectory, ".json"); }

TEST(FixtureListTest, HasTwentyFivePrograms) { EXPECT_EQ(Programs().size(), 25u); }

TEST_P(FixtureTest, PrintsBackByteByByte) {
  for (const char* form : {".txt", ".lowered.txt"}) {
    const std::string text = ReadFileOrFail(kDirectory + GetParam() + form);
    const auto module = ParseModule(text);
    ASSERT_TRUE(module.ok()) << form << ": " << module.status().ToString();
    EXPECT_EQ(PrintModule(*module), text) << form;
  }
}

TEST_P(FixtureTest, EvaluatesToTheNumbersOfJax) {
  const NumericCase c = ParseNumericCase(ReadFileOrFail(kDirectory + GetParam() + ".json"));
  for (const char* form : {".txt", ".lowered.txt"}) {
    const auto module = ParseModule(ReadFileOrFail(kDirectory + GetParam() + form));
    ASSERT_TRUE(module.ok()) << form << ": " << module.status().ToString();
    const auto out = Evaluate(*module, c.inputs);
    ASSERT_TRUE(out.ok()) << form << ": " << out.status().ToString();
    ASSERT_EQ(out->size(), c.outputs.size());
    for (size_t i = 0; i < out->size(); ++i) {
      EXPECT_EQ(Difference((*out)[i], c.outputs[i], c.rtol, c.atol), "") << form << " output " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Programs, FixtureTest, testing::ValuesIn(Programs()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace megalith::stablehlo

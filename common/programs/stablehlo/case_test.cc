// The cases of conformance/cases/stablehlo, which XLA's CPU backend answered: every op over dtypes,
// shapes and special values, and small JAX programs.
#include <gtest/gtest.h>

#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/evaluate.h"
#include "common/programs/stablehlo/parser.h"
#include "common/programs/stablehlo/printer.h"
#include "common/programs/stablehlo/test_util.h"

namespace megalith::stablehlo {
namespace {

const std::string kDirectory = std::string(MEGALITH_SOURCE_DIR) + "/conformance/cases/stablehlo/";

class CaseFileTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    cases_ = ReadCaseFile(kDirectory + GetParam() + ".case");
    ASSERT_FALSE(cases_.empty());
  }
  std::vector<CaseFileEntry> cases_;
};

void ExpectOutputs(const Module& module, const CaseFileEntry& c, const char* what) {
  const auto out = Evaluate(module, c.numbers.inputs);
  ASSERT_TRUE(out.ok()) << what << ": " << out.status().ToString();
  ASSERT_EQ(out->size(), c.numbers.outputs.size());
  for (size_t i = 0; i < out->size(); ++i) {
    const std::string difference =
        Difference((*out)[i], c.numbers.outputs[i], c.numbers.rtol, c.numbers.atol);
    EXPECT_EQ(difference, "") << what << ", output " << i;
  }
}

TEST_P(CaseFileTest, EvaluatesToTheNumbersOfXla) {
  for (const CaseFileEntry& c : cases_) {
    SCOPED_TRACE(c.name);
    const auto module = ParseModule(c.program);
    ASSERT_TRUE(module.ok()) << module.status().ToString();
    ExpectOutputs(*module, c, "as written");
  }
}

TEST_P(CaseFileTest, CanonicalFormEvaluatesToTheSame) {
  for (const CaseFileEntry& c : cases_) {
    SCOPED_TRACE(c.name);
    const auto bytes = CanonicalBytes(*ParseModule(c.program));
    ASSERT_TRUE(bytes.ok()) << bytes.status().ToString();
    const auto decoded = DecodeModule(*bytes);
    ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
    EXPECT_EQ(*CanonicalBytes(*decoded), *bytes) << "canonical form of the canonical form";
    ExpectOutputs(*decoded, c, "canonical");
  }
}

// Programs JAX printed print back byte by byte; those spelled by hand print to a text that prints
// back.
TEST_P(CaseFileTest, PrintsBack) {
  for (const CaseFileEntry& c : cases_) {
    SCOPED_TRACE(c.name);
    const std::string printed = PrintModule(*ParseModule(c.program));
    if (GetParam().starts_with("jax_")) {
      EXPECT_EQ(printed, c.program);
    }
    const auto again = ParseModule(printed);
    ASSERT_TRUE(again.ok()) << again.status().ToString();
    EXPECT_EQ(PrintModule(*again), printed);
  }
}

INSTANTIATE_TEST_SUITE_P(Files, CaseFileTest, testing::ValuesIn(NamesIn(kDirectory, ".case")),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace megalith::stablehlo

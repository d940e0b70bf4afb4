#include "clients/cli/conformance/optimizer_cases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/file_system.h"

namespace megalith::conformance {
namespace {

std::string Fixture() {
  return *RealFileSystem().Read(MEGALITH_SOURCE_DIR "/conformance/fixtures/optimizers.json",
                                1 << 24);
}

TEST(OptimizerCasesTest, EveryGoldenCaseAgreesInEveryModeItNames) {
  const Result<Reports> reports = RunOptimizerCases(Fixture());
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  for (const auto& [family, report] : *reports) {
    EXPECT_EQ(report.values, report.cases) << family;
    for (const Failure& f : report.failures) ADD_FAILURE() << f.id << ": " << f.reason;
  }
  EXPECT_EQ(reports->at("optimizers/monolith").cases, 46);
  EXPECT_EQ(reports->at("optimizers/corrected").cases, 46);
  EXPECT_EQ(reports->at("schedules").cases, 2);
}

TEST(OptimizerCasesTest, AWrongExpectationIsAFailureThatNamesThePlace) {
  std::string text = Fixture();
  const std::string_view right = "-0.10000000149011612";  // the weight after its first step
  const size_t at = text.find(right, text.find("sgd_basic"));
  ASSERT_NE(at, std::string::npos);
  text.replace(at, right.size(), "-0.10001");
  const Result<Reports> reports = RunOptimizerCases(text);
  ASSERT_TRUE(reports.ok());
  const FamilyReport& report = reports->at("optimizers/monolith");
  ASSERT_EQ(report.failures.size(), 1U);
  EXPECT_EQ(report.failures[0].id, "optimizers/monolith/sgd_basic");
  EXPECT_THAT(report.failures[0].reason, ::testing::HasSubstr("step 0: weights[0]"));
}

TEST(OptimizerCasesTest, KnowsItsFilesBySchema) {
  EXPECT_TRUE(IsOptimizerCases(Fixture()));
  EXPECT_FALSE(IsOptimizerCases("{\"schema\": 3}"));
  EXPECT_FALSE(IsOptimizerCases("[1"));
  EXPECT_FALSE(RunOptimizerCases("{}").ok());
}

}  // namespace
}  // namespace megalith::conformance

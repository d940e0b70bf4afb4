#include "common/learning/embedding/initializers/initializer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <vector>

namespace megalith::embedding {
namespace {

std::vector<float> Fill(std::string_view name, std::vector<std::pair<std::string, double>> fields,
                        uint64_t key, int64_t dim) {
  const InitializerDef* const def = *FindRecord(Initializers(), name, "initializer");
  const Params params = *BindFields({std::string(name), std::move(fields)}, def->fields);
  std::vector<float> out(static_cast<size_t>(dim), NAN);
  def->fill(params, key, dim, out.data());
  return out;
}

TEST(InitializerRecordsTest, EveryRecordFillsAllElementsTheSameWayTwice) {
  for (const InitializerDef* def : Initializers()) {
    for (size_t i = 0; i <= def->samples.size(); ++i) {
      std::vector<std::pair<std::string, double>> fields;
      for (const auto& s : i == 0 ? Sample{}.settings : def->samples[i - 1].settings) {
        if (!s.name.empty()) fields.emplace_back(s.name, s.value);
      }
      const std::vector<float> first = Fill(def->name, fields, 11, 33);
      EXPECT_TRUE(std::ranges::all_of(first, [](float x) { return std::isfinite(x); }))
          << def->name;
      EXPECT_EQ(Fill(def->name, fields, 11, 33), first) << def->name;
    }
  }
}

TEST(InitializersTest, ConstantsAreConstant) {
  EXPECT_THAT(Fill("zeros", {}, 1, 2), ::testing::ElementsAre(0, 0));
  EXPECT_THAT(Fill("ones", {}, 1, 2), ::testing::ElementsAre(1, 1));
  EXPECT_THAT(Fill("constants", {{"constant", -2.5}}, 1, 2), ::testing::ElementsAre(-2.5F, -2.5F));
}

TEST(InitializersTest, UniformValuesStayInTheirRangeWithItsMeanAndSpread) {
  const std::vector<float> values =
      Fill("random_uniform", {{"minval", -1}, {"maxval", 3}}, 7, 40000);
  double sum = 0;
  double squares = 0;
  for (const float x : values) {
    ASSERT_GE(x, -1);
    ASSERT_LT(x, 3);
    sum += x;
    squares += (x - 1.0) * (x - 1.0);
  }
  // The mean's standard deviation is 4/sqrt(12*40000) = 0.0058; the variance is 16/12.
  EXPECT_NEAR(sum / 40000, 1, 0.03);
  EXPECT_NEAR(squares / 40000, 16.0 / 12, 0.04);
  EXPECT_NE(Fill("random_uniform", {}, 7, 4), Fill("random_uniform", {}, 8, 4));
}

TEST(InitializersTest, TheEndOfTheRangeIsExcludedWhateverRoundingDoes) {
  const double end = std::nextafter(1.0F, 2.0F);
  for (uint64_t key = 0; key < 64; ++key) {
    for (const float x : Fill("random_uniform", {{"minval", 1}, {"maxval", end}}, key, 64)) {
      ASSERT_EQ(x, 1.0F);
    }
  }
}

TEST(InitializersTest, ARangeFromTheWrongEndIsRefused) {
  const InitializerDef* const def = *FindRecord(Initializers(), "random_uniform", "initializer");
  const Params params = *BindFields({"random_uniform", {{"minval", 1}}}, def->fields);
  EXPECT_EQ(def->check(params).code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::embedding

#include "common/learning/embedding/learning_rate.h"

#include <gtest/gtest.h>

#include <cmath>

namespace megalith::embedding {
namespace {

TEST(LearningRateTest, DecaysAlongAPowerAndStaysAtTheEnd) {
  const PolynomialDecay schedule{.initial = 0.1F, .end = 0.001F, .decay_steps = 100, .power = 2};
  ASSERT_TRUE(Check(schedule).ok());
  EXPECT_FLOAT_EQ(RateAt(schedule, 0), 0.1F);
  EXPECT_FLOAT_EQ(RateAt(schedule, 50), 0.099F / 4 + 0.001F);
  EXPECT_FLOAT_EQ(RateAt(schedule, 100), 0.001F);
  EXPECT_FLOAT_EQ(RateAt(schedule, INT64_MAX), 0.001F);
  EXPECT_FLOAT_EQ(RateAt(schedule, -5), 0.1F);
}

TEST(LearningRateTest, ACycleBeginsAgainOverALongerWay) {
  const PolynomialDecay schedule{.initial = 1, .end = 0, .decay_steps = 10, .cycle = true};
  EXPECT_FLOAT_EQ(RateAt(schedule, 0), 1);
  EXPECT_FLOAT_EQ(RateAt(schedule, 10), 0);
  EXPECT_FLOAT_EQ(RateAt(schedule, 15), 0.25F);
  EXPECT_FLOAT_EQ(RateAt(schedule, 20), 0);
  EXPECT_FLOAT_EQ(RateAt(schedule, 25), 1 - 25.0F / 30);
}

TEST(LearningRateTest, WarmUpStartsAtZeroAndNoneIsConstant) {
  EXPECT_EQ(WarmedUp(0.1F, 10, 0), 0);
  EXPECT_FLOAT_EQ(WarmedUp(0.1F, 10, 5), 0.05F);
  EXPECT_FLOAT_EQ(WarmedUp(0.1F, 10, 11), 0.1F);
  EXPECT_EQ(WarmedUp(0.1F, 0, 0), 0.1F);
}

TEST(LearningRateTest, RefusesSchedulesWithoutAValue) {
  EXPECT_FALSE(Check({.decay_steps = 0}).ok());
  EXPECT_FALSE(Check({.power = -1}).ok());
  EXPECT_FALSE(Check({.initial = NAN}).ok());
}

}  // namespace
}  // namespace megalith::embedding

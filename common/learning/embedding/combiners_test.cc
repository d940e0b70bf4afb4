#include "common/learning/embedding/combiners.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace megalith::embedding {
namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::FloatEq;

constexpr std::array<int64_t, 4> kSplits = {0, 2, 2, 3};  // two rows, none, one
const std::vector<float> kRows = {3, 1, 4, 1, 5, 9};
constexpr Bags kBags = {.splits = kSplits, .dim = 2};

std::vector<float> Forward(std::string_view name, int64_t limit = 0) {
  const Combiner combiner = *Combiner::Make(name, limit);
  std::vector<float> out(static_cast<size_t>(kBags.batch() * combiner.OutputWidth(2)), 77);
  EXPECT_TRUE(combiner.Forward(kBags, kRows, out).ok());
  return out;
}

std::vector<float> Backward(std::string_view name, const std::vector<float>& gradient,
                            int64_t limit = 0) {
  const Combiner combiner = *Combiner::Make(name, limit);
  std::vector<float> out(kRows.size(), 77);
  EXPECT_TRUE(combiner.Backward(kBags, kRows, gradient, out).ok());
  return out;
}

const std::vector<float> kGradient = {1, 2, 3, 4, 5, 6};

TEST(CombinersTest, SumAddsRowsAndHandsItsGradientToEach) {
  EXPECT_THAT(Forward("sum"), ElementsAre(7, 2, 0, 0, 5, 9));
  EXPECT_THAT(Backward("sum", kGradient), ElementsAre(1, 2, 1, 2, 5, 6));
}

TEST(CombinersTest, TheMeanOfNoRowsIsZeros) {
  EXPECT_THAT(Forward("mean"), ElementsAre(3.5F, 1, 0, 0, 5, 9));
  EXPECT_THAT(Backward("mean", kGradient), ElementsAre(0.5F, 1, 0.5F, 1, 5, 6));
}

TEST(CombinersTest, SqrtnTakesTheRootOfSquares) {
  EXPECT_THAT(Forward("sqrtn"), ElementsAre(5, FloatEq(1.41421356F), 0, 0, 5, 9));
  EXPECT_THAT(Backward("sqrtn", kGradient), ElementsAre(FloatEq(0.6F), FloatEq(1.41421356F),
                                                        FloatEq(0.8F), FloatEq(1.41421356F), 5, 6));
}

TEST(CombinersTest, TheGradientOfTheRootOfZerosIsZero) {
  const Combiner combiner = *Combiner::Make("sqrtn");
  const std::vector<float> rows(kRows.size());
  std::vector<float> out(kRows.size(), 77);
  ASSERT_TRUE(combiner.Backward(kBags, rows, kGradient, out).ok());
  EXPECT_THAT(out, Each(0));
}

TEST(CombinersTest, FirstNPadsAndDrops) {
  EXPECT_THAT(Forward("first_n", 1), ElementsAre(3, 1, 0, 0, 5, 9));
  EXPECT_THAT(Forward("first_n", 3),
              ElementsAre(3, 1, 4, 1, 0, 0, 0, 0, 0, 0, 0, 0, 5, 9, 0, 0, 0, 0));
  EXPECT_THAT(Backward("first_n", kGradient, 1), ElementsAre(1, 2, 0, 0, 5, 6));
}

TEST(CombinersTest, MoreSamplesThanDimsAreInBounds) {  // quirk 10
  const std::vector<int64_t> splits = {0, 1, 1, 2, 2, 3, 3};
  const Bags bags{.splits = splits, .dim = 1};
  const std::vector<float> rows = {1, 2, 3};
  const std::vector<float> gradient = {1, 2, 3, 4, 5, 6};
  std::vector<float> out(3);
  ASSERT_TRUE(Combiner::Make("mean")->Backward(bags, rows, gradient, out).ok());
  EXPECT_THAT(out, ElementsAre(1, 3, 5));
}

TEST(CombinersTest, RefusesSizesThatDoNotAgree) {
  const Combiner sum = *Combiner::Make("sum");
  const Combiner first = *Combiner::Make("first_n", int64_t{1} << 62);
  std::vector<float> out(6);
  const std::vector<int64_t> descending = {0, 3, 2};
  const std::vector<int64_t> shifted = {1, 3};
  const std::vector<int64_t> huge = {0, INT64_MAX};
  EXPECT_FALSE(sum.Forward({.splits = descending, .dim = 2}, kRows, out).ok());
  EXPECT_FALSE(sum.Forward({.splits = shifted, .dim = 2}, kRows, out).ok());
  EXPECT_FALSE(sum.Forward({.splits = huge, .dim = 2}, kRows, out).ok());
  EXPECT_FALSE(sum.Forward({.splits = {}, .dim = 2}, kRows, out).ok());
  EXPECT_FALSE(sum.Forward({.splits = kSplits, .dim = 0}, kRows, out).ok());
  EXPECT_FALSE(sum.Forward(kBags, kRows, std::span(out).first(5)).ok());
  EXPECT_FALSE(sum.Backward(kBags, kRows, kGradient, std::span(out).first(5)).ok());
  EXPECT_FALSE(first.Forward(kBags, kRows, out).ok());
}

TEST(CombinersTest, RefusesUnknownNamesAndLimits) {
  EXPECT_FALSE(Combiner::Make("max").ok());
  EXPECT_FALSE(Combiner::Make("sum", 3).ok());
  EXPECT_FALSE(Combiner::Make("first_n").ok());
}

}  // namespace
}  // namespace megalith::embedding

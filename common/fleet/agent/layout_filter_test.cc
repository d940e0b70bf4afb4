#include "common/fleet/agent/layout_filter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(LayoutFiltersTest, FirstThatMatchesAndHoldsAccepts) {
  const auto filters = *LayoutFilters::Parse({"entry; True", "ps_{i}; i % 2 == 1"}, -1, 0);
  EXPECT_TRUE(filters.Accepts("entry"));
  EXPECT_TRUE(filters.Accepts("entry_2"));  // anchored at the start only
  EXPECT_TRUE(filters.Accepts("ps_1"));
  EXPECT_FALSE(filters.Accepts("ps_2"));
  EXPECT_FALSE(filters.Accepts("dense_0"));
  EXPECT_FALSE(filters.Accepts("xps_1"));
  EXPECT_FALSE(filters.Accepts("ps_99999999999999999999"));
  EXPECT_FALSE(filters.Accepts(""));
}

TEST(LayoutFiltersTest, ShardOfTheContainerIsFilledIn) {
  const auto filters = *LayoutFilters::Parse({"ps_{i};i % ${shard_num} == ${shard_id}"}, 2, 3);
  EXPECT_TRUE(filters.Accepts("ps_5"));
  EXPECT_FALSE(filters.Accepts("ps_4"));
  EXPECT_THAT(filters.Texts(), ElementsAre("ps_(?P<i>\\d+);i % 3 == 2"));
  EXPECT_TRUE(
      LayoutFilters::Parse({"ps_{i};i % ${shard_num} == ${shard_id}"}, -1, 0)->Accepts("ps_7"));
}

TEST(LayoutFiltersTest, WithoutFiltersEverythingIsAccepted) {
  EXPECT_TRUE(LayoutFilters().Accepts("ps_0"));
  EXPECT_TRUE(LayoutFilters::Parse({"ps_0"}, 0, 1)->Accepts("ps_0"));
  EXPECT_TRUE(LayoutFilters::Parse({"ps_\\d{2}"}, 0, 1)->Accepts("ps_12"));
  EXPECT_TRUE(LayoutFilters::Parse({"g{a}_{b};a < b"}, 0, 1)->Accepts("g1_2"));
  EXPECT_FALSE(LayoutFilters::Parse({"ps_{i};1 / i == 1"}, 0, 1)->Accepts("ps_0"));
}

TEST(LayoutFiltersTest, ErrorsNameTheFilter) {
  const std::pair<const char*, const char*> cases[] = {{"ps_(;True", "missing )"},
                                                       {"ps_{i};k == 1", "'k' is no name"},
                                                       {"ps_{a b};True", "invalid named capture"},
                                                       {"ps(?=x);True", "invalid perl operator"}};
  for (const auto& [text, wanted] : cases) {
    const Status status = LayoutFilters::Parse({text}, 0, 1).status();
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << text;
    EXPECT_THAT(status.ToString(), HasSubstr(wanted)) << text;
    EXPECT_THAT(status.ToString(), HasSubstr("layout filter")) << text;
  }
}

}  // namespace
}  // namespace megalith::agent

#include "common/learning/embedding/row_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;
using ::testing::HasSubstr;

using Row = std::vector<std::byte>;

SegmentConfig Segment(int64_t dim, RuleConfig optimizer, RuleConfig initializer = {.name = "zeros"},
                      RuleConfig compressor = {.name = "fp32"}) {
  return {.dim = dim,
          .initializer = std::move(initializer),
          .optimizer = std::move(optimizer),
          .compressor = std::move(compressor)};
}

std::unique_ptr<RowLayout> Layout(TableConfig config) {
  Result<std::unique_ptr<RowLayout>> layout = RowLayout::Make(config);
  EXPECT_TRUE(layout.ok()) << layout.status().ToString();
  return *std::move(layout);
}

Row NewRow(const RowLayout& layout, Fid fid = 1) {
  Row row(layout.payload_bytes());
  layout.Init(fid, row.data());
  return row;
}

std::vector<float> ReadRow(const RowLayout& layout, const Row& row) {
  std::vector<float> out(static_cast<size_t>(layout.dim()));
  layout.Read(row.data(), out.data());
  return out;
}

TEST(RowLayoutTest, StateFollowsTheWeightsOfAllSegments) {
  const auto layout =
      Layout({.segments = {Segment(2, {.name = "sgd"}), Segment(3, {.name = "adagrad"})}});
  EXPECT_EQ(layout->dim(), 5);
  EXPECT_EQ(layout->slices(), 2);
  EXPECT_EQ(layout->payload_bytes(), (5 + 3) * sizeof(float));
}

TEST(RowLayoutTest, EachSegmentStepsWithItsOwnRuleAndRate) {
  const auto layout =
      Layout({.segments = {Segment(1, {.name = "sgd"}, {"constants", {{"constant", 0.5}}}),
                           Segment(1, {"adagrad", {{"initial_accumulator_value", 3}}}, {"ones"})}});
  Row row = NewRow(*layout);
  EXPECT_THAT(ReadRow(*layout, row), ElementsAre(0.5F, 1));
  const std::vector<float> gradient = {1, 1};
  const std::vector<float> rates = {0.25F, 0.5F};
  EXPECT_FALSE(layout->Step({.gradient = gradient, .learning_rates = rates}, row.data()).guarded);
  EXPECT_THAT(ReadRow(*layout, row), ElementsAre(0.25F, 0.75F));
}

TEST(RowLayoutTest, ARandomRowDependsOnFidAndSeedAlone) {
  TableConfig config{.segments = {Segment(40, {.name = "sgd"}, {.name = "random_uniform"})}};
  const Row first = NewRow(*Layout(config), 7);
  EXPECT_EQ(NewRow(*Layout(config), 7), first);
  EXPECT_NE(NewRow(*Layout(config), 8), first);
  config.seed = 1;
  EXPECT_NE(NewRow(*Layout(config), 7), first);
}

TEST(RowLayoutTest, ADumpOfSixteenWeightsWithoutStateTakes97Bytes) {
  const auto layout = Layout({.segments = {Segment(16, {.name = "sgd"})}});
  const Fid fid = 3;
  std::string dump;
  layout->AppendEntryDump(&fid, 0, NewRow(*layout).data(), dump);
  EXPECT_EQ(dump.size(), 97U);
}

TEST(RowLayoutTest, RefusesWhatNoRecordKnows) {
  const auto message = [](SegmentConfig segment) {
    const auto layout = RowLayout::Make({.segments = {std::move(segment)}});
    EXPECT_EQ(layout.status().code(), Code::kInvalidArgument);
    return layout.status().message();
  };
  EXPECT_THAT(message(Segment(0, {.name = "sgd"})), HasSubstr("dim is 0"));
  EXPECT_THAT(message(Segment(RowLayout::kMaxDim + 1, {.name = "sgd"})), HasSubstr("dim is 65537"));
  EXPECT_THAT(message(Segment(1, {.name = "adagard"})), HasSubstr("did you mean 'adagrad'"));
  EXPECT_THAT(message(Segment(1, {"sgd", {{"learning_rat", 1}}})),
              HasSubstr("did you mean 'learning_rate'"));
  EXPECT_THAT(message(Segment(1, {"adagrad", {{"initial_accumulator_value", -1}}})),
              HasSubstr("segment 0: 'adagrad': field 'initial_accumulator_value' is -1"));
  EXPECT_EQ(RowLayout::Make({}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::embedding

#include "common/learning/embedding/row_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace megalith::embedding {
namespace {

using ::testing::DoubleNear;
using ::testing::Each;
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

// Worked trace of embedding-tables.md section 2.1, recorded from Monolith's table.
class WorkedTraceTest : public ::testing::Test {
 protected:
  void Step(Row& row) {
    const std::vector<float> gradient = {1, 1, 1};
    const std::vector<float> rates = {0.1F, 0.2F};
    layout_->Step({.gradient = gradient, .learning_rates = rates}, row.data());
  }
  const std::unique_ptr<RowLayout> layout_ =
      Layout({.segments = {Segment(1, {.name = "ftrl"}, {"constants", {{"constant", 0.5}}}),
                           Segment(2, {.name = "adagrad"}, {.name = "ones"})},
              .compatibility = Compatibility::kMonolith});
};

TEST_F(WorkedTraceTest, AssignKeepsStateAndAStepGoesOnFromThere) {
  Row row = NewRow(*layout_);
  layout_->Assign(std::vector<float>{1, 2, 3}.data(), row.data());
  Step(row);
  EXPECT_THAT(ReadRow(*layout_, row),
              ElementsAre(FloatEq(0.603142321F), FloatEq(1.80930746F), FloatEq(2.80930758F)));
  const std::vector<NamedState> state = layout_->State(row.data());
  EXPECT_EQ(state[0].optimizer, "ftrl");
  EXPECT_EQ(state[0].arrays[0].name, "norm");
  EXPECT_THAT(state[0].arrays[0].values, ElementsAre(DoubleNear(1.1, 1e-6)));
  EXPECT_THAT(state[0].arrays[1].values, ElementsAre(DoubleNear(-6.32581, 1e-4)));
  EXPECT_THAT(state[1].arrays[0].values, Each(DoubleNear(1.1, 1e-6)));
}

TEST_F(WorkedTraceTest, ANewRowStepsFromItsInitialValues) {
  Row row = NewRow(*layout_);
  Step(row);
  EXPECT_THAT(ReadRow(*layout_, row),
              ElementsAre(FloatEq(0.253898054F), FloatEq(0.809307456F), FloatEq(0.809307456F)));
  EXPECT_THAT(layout_->State(row.data())[0].arrays[1].values,
              ElementsAre(DoubleNear(-2.66290498, 1e-5)));
}

TEST_F(WorkedTraceTest, AssignAddStartsFromTheInitialValues) {
  Row row = NewRow(*layout_);
  layout_->AssignAdd(std::vector<float>{1, 2, 3}.data(), row.data());
  EXPECT_THAT(ReadRow(*layout_, row), ElementsAre(1.5F, 3, 4));
}

TEST(RowLayoutTest, DefaultLearningRatesWarmUpFromZero) {
  const auto layout =
      Layout({.segments = {Segment(1, {"sgd", {{"learning_rate", 0.5}, {"warmup_steps", 4}}}),
                           Segment(1, {"rmsprop", {{"learning_rate", 0.25}}}),
                           Segment(1, {.name = "dc", .base = {{.name = "adagrad"}}})}});
  EXPECT_THAT(layout->DefaultLearningRates(0), ElementsAre(0, 0.25F, 0.001F));
  EXPECT_THAT(layout->DefaultLearningRates(1), ElementsAre(0.125F, 0.25F, 0.001F));
  EXPECT_THAT(layout->DefaultLearningRates(100), ElementsAre(0.5F, 0.25F, 0.001F));
}

TEST(RowLayoutTest, DelayCompensationWithoutASnapshotStepsPlainlyAndSaysSo) {
  const auto layout = Layout({.segments = {Segment(2, {"dc", {{"lambda_", 0.5}}, {{"sgd"}}})}});
  const std::vector<float> gradient = {1, 2};
  const std::vector<float> rates = {1};
  Row plain = NewRow(*layout);
  EXPECT_TRUE(
      layout->Step({.gradient = gradient, .learning_rates = rates}, plain.data()).snapshot_missing);
  EXPECT_THAT(ReadRow(*layout, plain), ElementsAre(-1, -2));
  Row moved = NewRow(*layout);
  const std::vector<float> snapshot = {1, 0};
  EXPECT_FALSE(layout
                   ->Step({.gradient = gradient, .learning_rates = rates, .snapshot = snapshot},
                          moved.data())
                   .snapshot_missing);
  EXPECT_THAT(ReadRow(*layout, moved), ElementsAre(-0.5F, -2));
  EXPECT_THAT(gradient, ElementsAre(1, 2));
}

TEST(RowLayoutTest, StochasticRoundingKeepsToHalvesOfItsOwnSegmentAndIsUnbiased) {
  SegmentConfig rounded = Segment(1, {.name = "sgd"});
  rounded.stochastic_rounding_float16 = true;
  const auto layout = Layout({.segments = {rounded, Segment(1, {.name = "sgd"})}, .seed = 5});
  const std::vector<float> rates = {1, 1};
  // A quarter of the way from 1 to the next half, 1 + 2^-10; and likewise among subnormal halves.
  for (const auto& [low, unit] : {std::pair{1.0F, 0x1p-10F}, std::pair{0x1p-20F, 0x1p-24F}}) {
    const float target = low + unit / 4;
    int ups = 0;
    for (int i = 0; i < 4000; ++i) {
      Row row = NewRow(*layout);
      layout->Step({.gradient = std::vector<float>{-target, -target}, .learning_rates = rates},
                   row.data());
      const std::vector<float> values = ReadRow(*layout, row);
      EXPECT_EQ(values[1], target);
      ASSERT_TRUE(values[0] == low || values[0] == low + unit) << values[0];
      ups += values[0] != low;
    }
    EXPECT_NEAR(ups, 1000, 140);  // five standard deviations
  }
}

TEST(RowLayoutTest, StochasticRoundingStaysFinite) {
  SegmentConfig rounded = Segment(2, {.name = "sgd"});
  rounded.stochastic_rounding_float16 = true;
  const auto layout = Layout({.segments = {rounded}});
  Row row = NewRow(*layout);
  layout->Step(
      {.gradient = std::vector<float>{-70000, 65519}, .learning_rates = std::vector<float>{1}},
      row.data());
  EXPECT_THAT(ReadRow(*layout, row), ElementsAre(65504, -65504));
}

TEST(RowLayoutTest, RefusesOptimizersThatCannotBeMeant) {
  const auto refusal = [](int64_t dim, RuleConfig rule) {
    return RowLayout::Make({.segments = {Segment(dim, std::move(rule))}}).status();
  };
  EXPECT_EQ(refusal(1, {"dynamic_wd_adagrad", {{"enable_dynamic_wd", 1}}}).code(),
            Code::kUnimplemented);
  EXPECT_THAT(refusal(1, {"dynamic_wd_adagrad", {{"enable_dynamic_wd", 1}}}).message(),
              HasSubstr("enable_dynamic_wd"));
  EXPECT_EQ(refusal(2, {.name = "batch_softmax"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {.name = "dc"}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {.name = "dc", .base = {{.name = "dc"}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {.name = "sgd", .base = {{.name = "sgd"}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"adam", {{"beta1", 0.999999999}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"adam", {{"use_nesterov", 0.5}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"sgd", {{"warmup_steps", 1.5}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"sgd", {{"learning_rate", NAN}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"sgd", {{"learning_rate", 1e39}}}).code(), Code::kInvalidArgument);
  EXPECT_EQ(refusal(1, {"sgd", {{"learning_rate", 1}, {"learning_rate", 2}}}).code(),
            Code::kInvalidArgument);
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

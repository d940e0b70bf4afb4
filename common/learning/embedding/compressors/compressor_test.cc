// Values of embedding-tables.md section 6, recorded from Monolith's compressors.
#include "common/learning/embedding/compressors/compressor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/foundation/tensor/half.h"
#include "common/foundation/tensor/small_float.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

using Row = std::vector<std::byte>;

constexpr float kInf = std::numeric_limits<float>::infinity();

std::unique_ptr<RowLayout> Layout(int64_t dim, RuleConfig compressor, EntryKind kind) {
  return *RowLayout::Make(
      {.segments = {{.dim = dim, .compressor = std::move(compressor)}}, .kind = kind});
}

Row Stored(const std::vector<float>& values, const RuleConfig& compressor) {
  const auto layout = Layout(static_cast<int64_t>(values.size()), compressor, EntryKind::kServing);
  Row row(layout->payload_bytes());
  layout->Assign(values.data(), row.data());
  return row;
}

std::vector<float> Served(const std::vector<float>& values, const RuleConfig& compressor) {
  const auto layout = Layout(static_cast<int64_t>(values.size()), compressor, EntryKind::kServing);
  Row row(layout->payload_bytes());
  layout->Assign(values.data(), row.data());
  std::vector<float> out(values.size());
  layout->Read(row.data(), out.data());
  return out;
}

TEST(CompressorTest, Fp16RoundsToNearest) {
  const Row row = Stored({1.0F / 3, -0.1F, 70000, 1e-8F, 6e-5F}, {.name = "fp16"});
  std::vector<uint16_t> halves(5);
  std::memcpy(halves.data(), row.data(), row.size());
  EXPECT_THAT(halves, ElementsAre(0x3555, 0xae66, 0x7c00, 0, 0x03ef));
}

TEST(CompressorTest, HalvesConvertAsIeeeSays) {
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto half = static_cast<uint16_t>(bits);
    const float value = tensor::FloatOf(half);
    const double wanted = tensor::DecodeSmallFloat(tensor::DType::kF16, half);
    if (std::isnan(wanted)) {
      EXPECT_TRUE(std::isnan(value)) << bits;
      EXPECT_TRUE(std::isnan(tensor::FloatOf(tensor::HalfOf(value)))) << bits;
      continue;
    }
    ASSERT_EQ(value, wanted) << bits;
    ASSERT_EQ(tensor::HalfOf(value), half) << bits;
    // The floats around it and around the tie above it.
    for (const float near :
         {value, (value + tensor::FloatOf(static_cast<uint16_t>(half + 1))) / 2}) {
      for (const float x : {std::nextafter(near, -kInf), near, std::nextafter(near, kInf)}) {
        if (!std::isfinite(x)) continue;
        ASSERT_EQ(tensor::HalfOf(x), tensor::EncodeSmallFloat(tensor::DType::kF16, x)) << x;
      }
    }
  }
}

TEST(CompressorTest, FixedPointRoundsClampsAndTakesNanAsZero) {
  const std::vector<float> values = {0.5F, 0.995F,        1,    -1,   0.0039063F, 0.00390624F, 5,
                                     -5,   std::nanf(""), kInf, -kInf};
  const Row row = Stored(values, {.name = "fixed_r8"});
  std::vector<int8_t> stored(row.size());
  std::memcpy(stored.data(), row.data(), row.size());
  EXPECT_THAT(stored, ElementsAre(64, 127, 127, -128, 1, 0, 127, -128, 0, 127, -128));
  EXPECT_EQ(Served({0.995F}, {.name = "fixed_r8"})[0], 0.9921875F);
}

TEST(CompressorTest, OneBitServesTheSignAtTheAmplitude) {
  std::vector<float> values(19, 0.25F);
  values[0] = -3;
  values[1] = 0;
  values[18] = -1e-30F;
  const std::vector<float> served = Served(values, {"one_bit", {{"amplitude", 0.5}}});
  for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(served[i], values[i] > 0 ? 0.5F : -0.5F);
  EXPECT_EQ(Stored(values, {.name = "one_bit"}).size(), 3U);
}

TEST(CompressorTest, ServingAddsInTheUncompressedValues) {
  const auto layout = Layout(2, {.name = "fixed_r8"}, EntryKind::kServing);
  Row row(layout->payload_bytes());
  layout->Init(1, row.data());
  layout->AssignAdd(std::vector<float>{0.25F, 0.75F}.data(), row.data());
  layout->AssignAdd(std::vector<float>{0.25F, 0.75F}.data(), row.data());
  std::vector<float> out(2);
  layout->Read(row.data(), out.data());
  EXPECT_THAT(out, ElementsAre(0.5F, 0.9921875F));
}

TEST(TrainingReadTest, FixedPointReadsQuantisedAndStepsStraightThrough) {
  const auto layout = Layout(2, {.name = "fixed_r8"}, EntryKind::kTraining);
  Row row(layout->payload_bytes());
  layout->Assign(std::vector<float>{0.995F, 0.3F}.data(), row.data());
  std::vector<float> out(2);
  layout->Read(row.data(), out.data());
  EXPECT_THAT(out, ElementsAre(0.9921875F, 38.0F / 128));
  EXPECT_THAT(layout->Weights(row.data()), ElementsAre(0.995F, 0.3F));
  layout->Step({.gradient = std::vector<float>{1, 0}, .learning_rates = std::vector<float>{0.5F}},
               row.data());
  EXPECT_THAT(layout->Weights(row.data()), ElementsAre(0.495F, 0.3F));
}

TEST(TrainingReadTest, OneBitReadsTheCurveAndGradientsTakeItsSlope) {
  const auto layout = Layout(1, {.name = "one_bit"}, EntryKind::kTraining);
  const std::vector<float> rates = {1};
  const std::vector<float> gradient = {1};
  const float start = 0.3F;
  // The scale stays between multiples of step_size.
  const std::vector<std::pair<int64_t, float>> factors = {{0, 0.0915136933F},
                                                          {1, 0.0915136933F},
                                                          {200, 0.11873547F},
                                                          {201, 0.11873547F},
                                                          {1000, 0.148952693F}};
  for (const auto& [step, factor] : factors) {
    Row row(layout->payload_bytes());
    layout->Assign(&start, row.data());
    float read = 0;
    if (step == 0) {
      layout->Read(row.data(), &read);
      EXPECT_FLOAT_EQ(read, 0.0291312616F);
    }
    layout->Step({.gradient = gradient, .learning_rates = rates, .global_step = step}, row.data());
    EXPECT_FLOAT_EQ(start - layout->Weights(row.data())[0], start - (start - factor)) << step;
  }
  EXPECT_THAT(gradient, ElementsAre(1)) << "the caller's gradient changed";
}

TEST(TrainingReadTest, SegmentsReadEachInItsOwnWay) {
  const auto layout =
      *RowLayout::Make({.segments = {{.dim = 1},
                                     {.dim = 1, .compressor = {.name = "fixed_r8"}},
                                     {.dim = 1, .compressor = {.name = "fp16"}},
                                     {.dim = 1, .compressor = {.name = "one_bit"}}}});
  Row row(layout->payload_bytes());
  layout->Assign(std::vector<float>{0.3F, 0.3F, 0.3F, 0.3F}.data(), row.data());
  std::vector<float> out(4);
  layout->Read(row.data(), out.data());
  EXPECT_THAT(out, ElementsAre(0.3F, 0.296875F, 0.3F, FloatEq(0.0291312616F)));
}

// Every record at every vector level, for all remainders of lanes.
TEST(CompressorRecordsTest, LevelsAgreeAndWhatWasDecodedEncodesToItself) {
  for (const CompressorDef* def : Compressors()) {
    const Params params = *BindFields({.name = std::string(def->name)}, def->fields);
    for (int64_t dim = 1; dim <= 70; ++dim) {
      std::vector<float> values(static_cast<size_t>(dim));
      for (size_t i = 0; i < values.size(); ++i) {
        values[i] = std::sin(static_cast<float>(i * i + values.size()));
      }
      Row first;
      for (int level = 0; level <= static_cast<int>(MachineVectorLevel()); ++level) {
        Row stored(def->bytes(dim));
        def->encode.at[level](
            {.params = &params, .values = values.data(), .stored = stored.data(), .dim = dim});
        if (level == 0) first = stored;
        ASSERT_EQ(stored, first) << def->name << " dim " << dim << " level " << level;
        std::vector<float> decoded(values.size());
        def->decode.at[level](
            {.params = &params, .stored = stored.data(), .values = decoded.data(), .dim = dim});
        Row again(def->bytes(dim));
        def->encode.at[level](
            {.params = &params, .values = decoded.data(), .stored = again.data(), .dim = dim});
        ASSERT_EQ(again, stored) << def->name << " dim " << dim << " level " << level;
      }
    }
  }
}

}  // namespace
}  // namespace megalith::embedding

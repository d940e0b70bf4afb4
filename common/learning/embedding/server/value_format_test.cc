#include "common/learning/embedding/server/value_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace megalith::embedding {
namespace {

using ::testing::ElementsAre;
using ::testing::ElementsAreArray;

TEST(ValueFormatTest, NumbersThatAFormatHoldsComeBack) {
  const std::vector<float> values = {0.0F, -1.5F, 0.25F, 1024.0F};
  for (const ValueFormat format : {ValueFormat::kFp32, ValueFormat::kFp16, ValueFormat::kBf16}) {
    std::string bytes;
    AppendValues(values, format, &bytes);
    EXPECT_EQ(bytes.size(), values.size() * BytesOf(format));
    EXPECT_THAT(UnpackValues(bytes, format)->span(), ElementsAreArray(values));
  }
}

uint16_t Bf16Of(float value) {
  uint16_t bits = 0;
  PackValues({&value, 1}, ValueFormat::kBf16, reinterpret_cast<char*>(&bits));
  return bits;
}

TEST(ValueFormatTest, Bf16RoundsToNearestEven) {
  EXPECT_EQ(Bf16Of(1.0F), 0x3F80);
  EXPECT_EQ(Bf16Of(std::nextafter(1.00390625F, 2.0F)), 0x3F81);
  EXPECT_EQ(Bf16Of(1.00390625F), 0x3F80);  // half way, even below
  EXPECT_EQ(Bf16Of(1.01171875F), 0x3F82);  // half way, even above
  EXPECT_EQ(Bf16Of(std::numeric_limits<float>::max()), 0x7F80);
  EXPECT_GT(Bf16Of(std::numeric_limits<float>::quiet_NaN()) & 0x7F, 0);
}

TEST(ValueFormatTest, UnalignedBytesAreRead) {
  std::string bytes = "?";
  AppendIds(std::vector<Fid>{-1, 7}, &bytes);
  EXPECT_THAT(UnpackIds(std::string_view(bytes).substr(1))->span(), ElementsAre(-1, 7));
}

TEST(ValueFormatTest, PartsOfNumbersAreRefused) {
  EXPECT_EQ(UnpackIds("1234567").status().code(), Code::kInvalidArgument);
  EXPECT_EQ(UnpackValues("123", ValueFormat::kFp32).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(UnpackValues("1", ValueFormat::kBf16).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(UnpackValues("", ValueFormat::kFp32)->size(), 0u);
}

}  // namespace
}  // namespace megalith::embedding

#include "common/learning/embedding/fid.h"

#include <gtest/gtest.h>

namespace megalith::embedding {
namespace {

TEST(FidTest, ComposesSlotAndSignatureOfBothLayouts) {
  EXPECT_EQ(*MakeFidV1(7, 5), (int64_t{7} << 54) | 5);
  EXPECT_EQ(*MakeFidV2(7, 5), (int64_t{7} << 48) | 5);
  EXPECT_EQ(static_cast<uint64_t>(*MakeFidV1(1023, ~uint64_t{0})), ~uint64_t{0});
  EXPECT_EQ(*MakeFidV2(32767, ~uint64_t{0}), INT64_MAX);
}

TEST(FidTest, RefusesSlotsThatDoNotFit) {
  EXPECT_EQ(MakeFidV1(1024, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeFidV2(32768, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeFidV1(-1, 0).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ConvertV1ToV2(*MakeFidV1(3, 4), 32768).status().code(), Code::kInvalidArgument);
}

TEST(FidTest, RefusesBit63AsV2) {
  EXPECT_TRUE(CheckFidV2(INT64_MAX).ok());
  EXPECT_EQ(CheckFidV2(INT64_MIN).code(), Code::kInvalidArgument);
}

TEST(FidTest, ConversionDropsTheUpperSignatureBits) {
  const Fid v1 = *MakeFidV1(900, (uint64_t{0x3F} << 48) | 42);
  EXPECT_EQ(ConvertV1ToV2(v1), *MakeFidV2(900, 42));
  EXPECT_EQ(*ConvertV1ToV2(v1, 30000), *MakeFidV2(30000, 42));
}

TEST(FidTest, ReadsSlotsOfEveryWord) {
  EXPECT_EQ(SlotV1(*MakeFidV1(1023, 1)), 1023);
  EXPECT_EQ(SlotV2(*MakeFidV2(32767, 1)), 32767);
  EXPECT_EQ(SlotV2(INT64_MIN | *MakeFidV2(12, 1)), 12);
}

TEST(FidTest, ShardIsTheSignedRemainderAndNeverNegative) {
  EXPECT_EQ(ShardOf(13, 5), 3);
  EXPECT_EQ(ShardOf(-1, 5), 4);
  EXPECT_EQ(ShardOf(-5, 5), 0);
  EXPECT_EQ(ShardOf(INT64_MIN, 1), 0);
  EXPECT_EQ(ShardOf(INT64_MIN, 8), 0);
}

}  // namespace
}  // namespace megalith::embedding

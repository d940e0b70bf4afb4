#include "common/learning/embedding/dump/dump_messages.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

using ::testing::HasSubstr;

std::string Bytes(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ' ') digits += c;
  return std::string(AsText(HexDecode(digits).value()));
}

// Vectors of checkpoint-format.md, sections 5 and 7.
const std::string kTableBytes = Bytes("0a 09 66 63 5f 73 6c 6f 74 5f 37 10 01");
const std::string kMetaBytes = Bytes(
    "08 00 10 3c 18 01 21 33 33 33 33 33 33 f3 3f 2a 0e 08 07 10 02 18 05 20 10 28 00 30 00 38 00");
const std::string kDataBytes = Bytes("08 90 4e 10 00 10 11 10 ff ff 03");

const MultiTableMeta kTable = {.table_name = "fc_slot_7", .num_entries = 1};
const FilterSplitMeta kMeta = {
    .total_size = 60,
    .num_elements = 1,
    .fill_rate = 1.2,
    .sliding = SlidingFilterMeta{
        .split_num = 7, .max_forward_step = 2, .max_backward_step = 5, .max_step = 16}};
const FilterSplitData kData = {.offset = 10000, .cells = {0, 17, 65535}};

TEST(DumpMessagesTest, EncodeTheSpecificationsVectors) {
  EXPECT_EQ(Encode(kTable), kTableBytes);
  EXPECT_EQ(Encode(kMeta), kMetaBytes);
  EXPECT_EQ(Encode(kData), kDataBytes);
}

TEST(DumpMessagesTest, DecodeTheSpecificationsVectors) {
  EXPECT_EQ(*DecodeMultiTableMeta(kTableBytes), kTable);
  EXPECT_EQ(*DecodeFilterSplitMeta(kMetaBytes), kMeta);
  EXPECT_EQ(*DecodeFilterSplitData(kDataBytes), kData);
}

TEST(DumpMessagesTest, LargeNumbersComeBack) {
  const FilterSplitMeta meta = {
      .failure_count = UINT64_MAX,
      .total_size = UINT64_MAX - 1,
      .num_elements = 1ull << 40,
      .fill_rate = -0.0,
      .sliding = SlidingFilterMeta{UINT32_MAX, 1, 2, 3, 4, 5, UINT64_MAX}};
  EXPECT_EQ(*DecodeFilterSplitMeta(Encode(meta)), meta);
  const FilterSplitMeta plain = {.total_size = 3};
  EXPECT_EQ(*DecodeFilterSplitMeta(Encode(plain)), plain);
  FilterSplitData data;
  for (size_t i = 0; i < kCellsPerRecord; ++i) data.cells.push_back(static_cast<uint16_t>(7 * i));
  EXPECT_EQ(*DecodeFilterSplitData(Encode(data)), data);
}

TEST(DumpMessagesTest, OtherOrdersPackedListsAndUnknownFieldsAreRead) {
  EXPECT_EQ(*DecodeMultiTableMeta(Bytes("10 01 7a 01 00 0a 09 66 63 5f 73 6c 6f 74 5f 37")),
            kTable);
  EXPECT_EQ(*DecodeFilterSplitData(Bytes("12 05 00 11 ff ff 03 08 90 4e")), kData);
  EXPECT_EQ(*DecodeMultiTableMeta(""), MultiTableMeta());
}

TEST(DumpMessagesTest, WhatIsNoSuchMessageIsAnError) {
  for (size_t cut = 1; cut < kMetaBytes.size(); ++cut) {
    const auto read = DecodeFilterSplitMeta(std::string_view(kMetaBytes).substr(0, cut));
    if (read.ok()) {
      EXPECT_FALSE(*read == kMeta);
    } else {
      EXPECT_EQ(read.status().code(), Code::kDataLoss);
    }
  }
  EXPECT_THAT(DecodeMultiTableMeta(Bytes("08 01")).status().message(),
              HasSubstr("MultiHashTableMetadata: field 1 has wire type 0, wanted 2"));
  EXPECT_THAT(DecodeFilterSplitData(Bytes("10 80 80 04")).status().message(),
              HasSubstr("cell 0 is 65536"));
  EXPECT_FALSE(DecodeFilterSplitMeta(Bytes("20 01")).ok());
  EXPECT_FALSE(DecodeFilterSplitMeta(Bytes("2a 02 0a 00")).ok());
}

}  // namespace
}  // namespace megalith::embedding

// The bytes of checkpoint-format.md section 4.
#include "common/learning/embedding/entry_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

using Row = std::vector<std::byte>;

std::string Bytes(std::string_view hex) {
  std::string out;
  for (size_t i = 0; i < hex.size();) {
    if (hex[i] == ' ' || hex[i] == '\n') {
      ++i;
      continue;
    }
    out += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    i += 2;
  }
  return out;
}

std::unique_ptr<RowLayout> Layout(std::vector<SegmentConfig> segments,
                                  EntryKind kind = EntryKind::kTraining) {
  return *RowLayout::Make({.segments = std::move(segments), .kind = kind});
}

constexpr Fid kVectorFid = (int64_t{7} << 48) | 5;
const std::string_view kVectorA =
    "09 05 00 00 00 00 00 07 00 15 00 00 80 3f 15 00 00 00 bf 15 00 00 80 3e 1a 1c 0a 0c 1a 0a 0d "
    "00 00 80 3e 15 00 00 c0 3f 0a 0c 0a 0a 0d cd cc cc 3d 0d 00 00 00 40 20 d2 dd e2 85 06";

std::unique_ptr<RowLayout> VectorLayout() {
  return Layout(
      {{.dim = 1, .optimizer = {.name = "ftrl"}}, {.dim = 2, .optimizer = {.name = "adagrad"}}});
}

Status ParseInto(const RowLayout& layout, std::string_view dump) {
  Row row(layout.payload_bytes());
  return layout.ParseEntryDump(dump, row.data()).status();
}

TEST(EntryDumpTest, ByteVectorAReadsAndWritesBack) {
  const auto layout = VectorLayout();
  Row row(layout->payload_bytes());
  const std::string bytes = Bytes(kVectorA);
  ASSERT_EQ(bytes.size(), 60U);
  const auto parsed = layout->ParseEntryDump(bytes, row.data());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->fid, kVectorFid);
  EXPECT_EQ(parsed->timestamp, 1622716114);
  EXPECT_THAT(layout->Weights(row.data()), ElementsAre(1, -0.5F, 0.25F));
  const std::vector<NamedState> state = layout->State(row.data());
  EXPECT_THAT(state[0].arrays[0].values, ElementsAre(1.5));
  EXPECT_THAT(state[0].arrays[1].values, ElementsAre(0.25));
  EXPECT_THAT(state[1].arrays[0].values, ElementsAre(0.1F, 2));
  std::string written = "before";
  layout->AppendEntryDump(&kVectorFid, 1622716114, row.data(), written);
  EXPECT_EQ(written, "before" + bytes);
  written.clear();
  layout->AppendEntryDump(nullptr, 1622716114, row.data(), written);
  EXPECT_EQ(written, bytes.substr(9));
}

TEST(EntryDumpTest, PackedNumbersReadToo) {
  const auto layout = VectorLayout();
  Row row(layout->payload_bytes());
  // id, num packed, opt with both arrays packed, no timestamp.
  const std::string packed = Bytes(
      "09 05 00 00 00 00 00 07 00 12 0c 00 00 80 3f 00 00 00 bf 00 00 80 3e 1a 1e "
      "0a 0e 1a 0c 0a 04 00 00 80 3e 12 04 00 00 c0 3f 0a 0c 0a 0a 0a 08 cd cc cc 3d 00 00 00 40");
  const auto parsed = layout->ParseEntryDump(packed, row.data());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->timestamp, 0);
  std::string written;
  layout->AppendEntryDump(&kVectorFid, 1622716114, row.data(), written);
  EXPECT_EQ(written, Bytes(kVectorA));
}

TEST(EntryDumpTest, ShorterValuesAndNoStateLeaveTheInitialOnes) {
  const auto layout = Layout({{.dim = 3,
                               .initializer = {.name = "ones"},
                               .optimizer = {"adagrad", {{"initial_accumulator_value", 2}}}}});
  Row row(layout->payload_bytes());
  ASSERT_TRUE(
      layout->ParseEntryDump(Bytes("09 01 00 00 00 00 00 00 00 15 00 00 00 40"), row.data()).ok());
  EXPECT_THAT(layout->Weights(row.data()), ElementsAre(2, 1, 1));
  EXPECT_THAT(layout->State(row.data())[0].arrays[0].values, ElementsAre(2, 2, 2));
}

TEST(EntryDumpTest, SegmentsThatWriteNoElementAreSkipped) {
  const auto layout = Layout({{.dim = 1, .optimizer = {.name = "moving_average"}},
                              {.dim = 1, .optimizer = {.name = "adagrad"}},
                              {.dim = 1, .optimizer = {.name = "moving_average"}}});
  const Fid fid = 3;
  Row row(layout->payload_bytes());
  layout->Init(fid, row.data());
  std::string dump;
  layout->AppendEntryDump(&fid, 0, row.data(), dump);
  EXPECT_EQ(dump.substr(9 + 3 * 5), Bytes("1a 09 0a 07 0a 05 0d cd cc cc 3d 20 00"));
  Row restored(layout->payload_bytes());
  ASSERT_TRUE(layout->ParseEntryDump(dump, restored.data()).ok());
  EXPECT_EQ(restored, row);
  const auto alone = Layout({{.dim = 1, .optimizer = {.name = "moving_average"}}});
  dump.clear();
  alone->AppendEntryDump(nullptr, 0, row.data(), dump);
  EXPECT_EQ(dump.substr(5), Bytes("1a 00 20 00"));
}

TEST(EntryDumpTest, StateOfAnotherShapeIsRefusedNamingSegmentAndFid) {
  const std::string vector = Bytes(kVectorA);
  const auto message = [&](std::vector<SegmentConfig> segments) {
    const Status status = ParseInto(*Layout(std::move(segments)), vector);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    return status.message();
  };
  EXPECT_THAT(message({{.dim = 1, .optimizer = {.name = "ftrl"}},
                       {.dim = 2, .optimizer = {.name = "sgd"}}}),
              AllOf(HasSubstr("segment 1"), HasSubstr("fid 1970324836974597"), HasSubstr("'sgd'")));
  EXPECT_THAT(message({{.dim = 1, .optimizer = {.name = "ftrl"}},
                       {.dim = 3, .optimizer = {.name = "adagrad"}}}),
              HasSubstr("segment 1: 'norm' has 2 numbers, wanted 3"));
  EXPECT_THAT(message({{.dim = 2, .optimizer = {.name = "ftrl"}},
                       {.dim = 1, .optimizer = {.name = "adagrad"}}}),
              HasSubstr("segment 0"));
  EXPECT_THAT(message({{.dim = 3, .optimizer = {.name = "adagrad"}}}),
              HasSubstr("state of 2 segments, wanted 1"));
  EXPECT_THAT(message({{.dim = 2, .optimizer = {.name = "sgd"}}}),
              HasSubstr("more values than the table's dim, 2"));
}

TEST(EntryDumpTest, AMessageWithoutIdIsRefused) {
  EXPECT_EQ(ParseInto(*VectorLayout(), Bytes(kVectorA).substr(9)).code(), Code::kInvalidArgument);
  EXPECT_EQ(ParseInto(*VectorLayout(), "").code(), Code::kInvalidArgument);
}

TEST(EntryDumpTest, EveryTruncationAndEveryFlippedByteIsReadSafely) {
  const auto layout = VectorLayout();
  const std::string bytes = Bytes(kVectorA);
  for (size_t size = 0; size < bytes.size(); ++size) {
    const Status status = ParseInto(*layout, bytes.substr(0, size));
    // Cut between fields it is a message that holds less.
    EXPECT_NE(status.code(), Code::kInternal) << size;
  }
  for (size_t at = 0; at < bytes.size(); ++at) {
    for (const int flip : {1, 2, 4, 8, 16, 32, 64, 128, 255}) {
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(damaged[at] ^ flip);
      const Status status = ParseInto(*layout, damaged);
      EXPECT_NE(status.code(), Code::kInternal) << at;
    }
  }
}

TEST(EntryDumpTest, AServingTableCompressesValuesAndDropsTheRest) {
  const auto layout = Layout(
      {{.dim = 1, .compressor = {.name = "fp16"}}, {.dim = 2, .compressor = {.name = "fixed_r8"}}},
      EntryKind::kServing);
  EXPECT_EQ(layout->payload_bytes(), 4U);
  Row row(layout->payload_bytes());
  const auto parsed = layout->ParseEntryDump(Bytes(kVectorA), row.data());
  ASSERT_TRUE(parsed.ok()) << parsed.status().ToString();
  EXPECT_EQ(parsed->timestamp, 0);
  std::vector<float> values(3);
  layout->Read(row.data(), values.data());
  EXPECT_THAT(values, ElementsAre(1, -0.5F, 0.25F));
}

}  // namespace
}  // namespace megalith::embedding

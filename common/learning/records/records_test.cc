#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/crc32c.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/record_file.h"
#include "common/learning/records/record_stream.h"
#include "common/learning/records/snappy_stream.h"

namespace megalith::records {
namespace {

using ::testing::HasSubstr;

std::string FromHex(std::string_view text) {
  std::string digits;
  for (const char c : text)
    if (c != ' ' && c != '\n') digits += c;
  return std::string(AsText(HexDecode(digits).value()));
}

// Byte vector A of checkpoint-format.md section 4: an EntryDump, its record, and a Snappy file.
const std::string kEntry = FromHex(
    "09 05 00 00 00 00 00 07 00 15 00 00 80 3f 15 00 00 00 bf 15 00 00 80 3e 1a 1c 0a 0c 1a 0a 0d "
    "00 00 80 3e 15 00 00 c0 3f 0a 0c 0a 0a 0d cd cc cc 3d 0d 00 00 00 40 20 d2 dd e2 85 06");
const std::string kRecord =
    FromHex("3c 00 00 00 00 00 00 00 c8 b7 a3 52") + kEntry + FromHex("92 1e 4f 8d");
const std::string kSnappyFile = FromHex(
    "00 00 00 49 4c 04 3c 00 09 01 18 c8 b7 a3 52 09 05 00 01 01 2c 07 00 15 00 00 80 3f 15 00 00 "
    "00 bf 01 0a a0 3e 1a 1c 0a 0c 1a 0a 0d 00 00 80 3e 15 00 00 c0 3f 0a 0c 0a 0a 0d cd cc cc 3d "
    "0d 00 00 00 40 20 d2 dd e2 85 06 92 1e 4f 8d");

std::string Frame(const std::vector<std::string>& payloads) {
  std::string out;
  StringSink sink(&out);
  RecordWriter writer(&sink);
  for (const std::string& payload : payloads) EXPECT_TRUE(writer.Write(payload).ok());
  EXPECT_EQ(writer.records(), payloads.size());
  EXPECT_EQ(writer.bytes(), out.size());
  return out;
}

std::string FrameSnappy(const std::vector<std::string>& payloads) {
  std::string out;
  StringSink sink(&out);
  SnappySink snappy(&sink);
  RecordWriter writer(&snappy);
  for (const std::string& payload : payloads) EXPECT_TRUE(writer.Write(payload).ok());
  EXPECT_TRUE(snappy.Flush().ok());
  return out;
}

struct ReadAll {
  std::vector<std::string> payloads;
  Status status;
};

ReadAll Drain(RecordReader& reader) {
  ReadAll out;
  while (true) {
    const auto next = reader.Next();
    if (!next.ok()) {
      out.status = next.status();
      // An error stays.
      EXPECT_EQ(reader.Next().status().message(), next.status().message());
      return out;
    }
    if (!next->has_value()) return out;
    out.payloads.emplace_back(**next);
  }
}

ReadAll Parse(std::string_view stream, RecordLimits limits = {}) {
  StringSource source(stream);
  RecordReader reader(&source, "'file'", limits);
  return Drain(reader);
}

ReadAll ParseSnappy(std::string_view stream, SnappyLimits limits = {}) {
  StringSource source(stream);
  SnappySource snappy(&source, "'file'", limits);
  RecordReader reader(&snappy, "'file' uncompressed");
  return Drain(reader);
}

TEST(RecordsTest, WritesAndReadsTheSpecificationsVector) {
  EXPECT_EQ(Frame({kEntry}), kRecord);
  EXPECT_EQ(Parse(kRecord).payloads, std::vector<std::string>{kEntry});
}

TEST(RecordsTest, AnyPayloadsComeBack) {
  const uint64_t seed = 11;
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  std::vector<std::string> payloads = {"", std::string(1, '\0'), std::string(3'000'000, 'x'), ""};
  for (int i = 0; i < 200; ++i) {
    std::string payload(rng.Below(5000), '\0');
    for (char& c : payload) c = static_cast<char>(rng.Next());
    payloads.push_back(payload);
  }
  const ReadAll plain = Parse(Frame(payloads));
  EXPECT_TRUE(plain.status.ok()) << plain.status.ToString();
  EXPECT_EQ(plain.payloads, payloads);
  const ReadAll snappy = ParseSnappy(FrameSnappy(payloads));
  EXPECT_TRUE(snappy.status.ok()) << snappy.status.ToString();
  EXPECT_EQ(snappy.payloads, payloads);
}

TEST(RecordsTest, AnEmptyFileHasNoRecords) {
  EXPECT_TRUE(Parse("").status.ok());
  EXPECT_TRUE(Parse("").payloads.empty());
  EXPECT_TRUE(ParseSnappy("").status.ok());
  EXPECT_TRUE(ParseSnappy("").payloads.empty());
}

TEST(RecordsTest, AFileCutAnywhereGivesTheWholeRecordsAndSaysWhereItEnds) {
  const std::vector<std::string> payloads = {"first", "", "third record"};
  const std::string file = Frame(payloads);
  std::vector<size_t> borders = {0};
  for (const std::string& payload : payloads)
    borders.push_back(borders.back() + 16 + payload.size());
  for (size_t cut = 0; cut < file.size(); ++cut) {
    size_t whole = 0;
    while (borders[whole + 1] <= cut) ++whole;
    const ReadAll read = Parse(std::string_view(file).substr(0, cut));
    EXPECT_EQ(read.payloads.size(), whole) << "cut at " << cut;
    EXPECT_EQ(read.status.ok(), cut == borders[whole]) << "cut at " << cut;
    if (read.status.ok()) continue;
    EXPECT_EQ(read.status.code(), Code::kDataLoss);
    EXPECT_THAT(read.status.message(),
                HasSubstr(StrCat("'file' offset ", borders[whole], " (record ", whole, "): ")));
  }
}

TEST(RecordsTest, AFlippedBitIsNeverContent) {
  const std::vector<std::string> payloads = {"first", "", "third record"};
  const std::string file = Frame(payloads);
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const ReadAll read = Parse(damaged);
      EXPECT_EQ(read.status.code(), Code::kDataLoss) << at << " bit " << bit;
      ASSERT_LT(read.payloads.size(), payloads.size());
      for (size_t i = 0; i < read.payloads.size(); ++i) EXPECT_EQ(read.payloads[i], payloads[i]);
    }
  }
}

TEST(RecordsTest, SaysWhichChecksumIsWrong) {
  std::string length = Frame({"abc"});
  length[9] ^= 1;
  EXPECT_THAT(Parse(length).status.message(), HasSubstr("the checksum of the record's length"));
  std::string payload = Frame({"abc", "def"});
  payload[19 + 13] ^= 1;
  EXPECT_THAT(Parse(payload).status.message(),
              HasSubstr("'file' offset 19 (record 1): the checksum of the 3 bytes of payload"));
}

std::string HeaderOf(uint64_t length) {
  ByteWriter header;
  header.U64(length);
  header.U32(MaskCrc32c(Crc32c(header.data())));
  return header.Take();
}

TEST(RecordsTest, ALengthThatLiesCostsNoMemory) {
  const ReadAll refused = Parse(HeaderOf(uint64_t{1} << 62) + "abc");
  EXPECT_EQ(refused.status.code(), Code::kResourceExhausted);
  EXPECT_THAT(refused.status.message(), HasSubstr("max_payload_bytes"));
  EXPECT_EQ(Parse(HeaderOf(UINT64_MAX)).status.code(), Code::kResourceExhausted);
  // Below the limit the stream simply ends.
  EXPECT_EQ(Parse(HeaderOf(200 << 20) + "abc").status.code(), Code::kDataLoss);
  EXPECT_EQ(Parse(Frame({"abcd"}), {.max_payload_bytes = 3}).status.code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(Parse(Frame({"abcd"}), {.max_payload_bytes = 4}).status.ok());
}

TEST(RecordsTest, TellsWhereItIs) {
  const std::string file = Frame({"abc", "de"});
  StringSource source(file);
  RecordReader reader(&source, "'file'");
  EXPECT_EQ(reader.offset(), 0u);
  ASSERT_TRUE(reader.Next().ok());
  EXPECT_EQ(reader.offset(), 19u);
  EXPECT_EQ(reader.record(), 1u);
}

// Of Snappy only the decoding is fixed; this is what TensorFlow's writer made of vector A.
TEST(SnappyTest, ReadsTheSpecificationsVector) {
  EXPECT_EQ(ParseSnappy(kSnappyFile).payloads, std::vector<std::string>{kEntry});
}

TEST(SnappyTest, WholeAppendsFillBlocksAndLongOnesAreCut) {
  std::string out;
  StringSink sink(&out);
  SnappySink snappy(&sink);
  const std::string half(kSnappyBlockBytes / 2, 'a');
  ASSERT_TRUE(snappy.Append(half).ok());
  ASSERT_TRUE(snappy.Append(half).ok());
  EXPECT_TRUE(out.empty());  // full, but nothing had to go yet
  ASSERT_TRUE(snappy.Append("b").ok());
  const size_t first = out.size();
  EXPECT_GT(first, 4u);
  ASSERT_TRUE(snappy.Append(std::string(2 * kSnappyBlockBytes + 1, 'c')).ok());
  ASSERT_TRUE(snappy.Flush().ok());
  // Blocks: the two halves; "b"; two whole ones of c; the last c.
  std::vector<size_t> blocks;
  for (size_t at = 0; at < out.size();) {
    const std::string_view size = std::string_view(out).substr(at, 4);
    uint32_t n = 0;
    for (const char c : size) n = n << 8 | static_cast<uint8_t>(c);
    size_t length = 0;
    for (int i = 0;; ++i) {
      const auto byte = static_cast<uint8_t>(out[at + 4 + i]);
      length |= static_cast<size_t>(byte & 0x7f) << (7 * i);
      if (byte < 0x80) break;
    }
    blocks.push_back(length);
    at += 4 + n;
  }
  EXPECT_EQ(blocks,
            (std::vector<size_t>{kSnappyBlockBytes, 1, kSnappyBlockBytes, kSnappyBlockBytes, 1}));
}

TEST(SnappyTest, ACutOrFlippedFileIsNeverOtherContent) {
  const std::vector<std::string> payloads = {"first", std::string(40, 'z'), "third record"};
  const std::string file = FrameSnappy(payloads);
  for (size_t cut = 1; cut < file.size(); ++cut) {
    const ReadAll read = ParseSnappy(std::string_view(file).substr(0, cut));
    EXPECT_EQ(read.status.code(), Code::kDataLoss) << cut;
    EXPECT_THAT(read.status.message(), HasSubstr("'file' offset 0 (block 0): "));
  }
  for (size_t at = 0; at < file.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string damaged = file;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      const ReadAll read = ParseSnappy(damaged);
      // Two encodings may mean the same bytes: then nothing is lost.
      if (read.status.ok()) {
        EXPECT_EQ(read.payloads, payloads) << at << " bit " << bit;
      } else {
        for (size_t i = 0; i < read.payloads.size(); ++i) EXPECT_EQ(read.payloads[i], payloads[i]);
      }
    }
  }
}

TEST(SnappyTest, SizesThatLieAreRefusedBeforeAllocation) {
  // 4 GiB of compressed bytes.
  EXPECT_EQ(ParseSnappy("\xff\xff\xff\xff").status.code(), Code::kResourceExhausted);
  // Six bytes that claim to be 2^32 - 1.
  EXPECT_EQ(ParseSnappy(FromHex("00000006 ffffffff0f 00")).status.code(), Code::kResourceExhausted);
  // Six bytes that claim to be 2^20: below the limit, but no block is that dense.
  EXPECT_EQ(ParseSnappy(FromHex("00000006 808040 000000")).status.code(), Code::kDataLoss);
  EXPECT_EQ(ParseSnappy(FromHex("00000000")).status.code(), Code::kDataLoss);
  EXPECT_EQ(ParseSnappy(FrameSnappy({"abcd"}), {.max_block_bytes = 19}).status.code(),
            Code::kResourceExhausted);
  EXPECT_TRUE(ParseSnappy(FrameSnappy({"abcd"}), {.max_block_bytes = 20}).status.ok());
}

TEST(SnappyTest, TheDensestBlockIsRead) {
  const std::string zeros(kSnappyBlockBytes, '\0');
  std::string out;
  StringSink sink(&out);
  SnappySink snappy(&sink);
  ASSERT_TRUE(snappy.Append(zeros).ok());
  ASSERT_TRUE(snappy.Flush().ok());
  StringSource source(out);
  SnappySource back(&source, "'file'");
  std::string read(zeros.size() + 1, 'x');
  EXPECT_EQ(*back.Read(read), zeros.size());
  EXPECT_EQ(read.substr(0, zeros.size()), zeros);
}

TEST(RecordFileTest, ErrorsNameTheFileInBothForms) {
  const TempDirectory directory;
  FileSystem& files = RealFileSystem();
  const std::string path = JoinPath(directory.path(), "table-00000-of-00001");
  ASSERT_TRUE(files.WriteAtomically(path, Frame({"abc"}).substr(0, 17)).ok());
  auto plain = OpenRecords(files, path, Compression::kNone);
  ASSERT_TRUE(plain.ok());
  EXPECT_THAT((*plain)->Next().status().message(), HasSubstr(StrCat("'", path, "' offset 0")));

  // A whole Snappy file around a stream whose second record is damaged.
  std::string stream = Frame({"abc", "def"});
  stream[19 + 13] ^= 1;
  std::string out;
  StringSink sink(&out);
  SnappySink snappy(&sink);
  ASSERT_TRUE(snappy.Append(stream).ok());
  ASSERT_TRUE(snappy.Flush().ok());
  ASSERT_TRUE(files.WriteAtomically(path, out).ok());
  auto packed = OpenRecords(files, path, Compression::kSnappy);
  ASSERT_TRUE(packed.ok());
  EXPECT_EQ((*packed)->Next()->value(), "abc");
  EXPECT_THAT((*packed)->Next().status().message(),
              HasSubstr(StrCat("'", path, "' uncompressed offset 19 (record 1)")));
  EXPECT_EQ(OpenRecords(files, path + "x", Compression::kNone).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace megalith::records

#include "common/learning/records/wire.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"

namespace megalith::records {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(std::string_view hex) { return std::string(AsText(HexDecode(hex).value())); }

std::vector<WireField> All(std::string_view message, Status* status) {
  std::vector<WireField> out;
  WireReader in(message);
  while (in.Next()) out.push_back(in.field());
  *status = in.status();
  return out;
}

std::string ErrorOf(std::string_view message) {
  Status status;
  All(message, &status);
  return status.ok() ? "" : status.message();
}

// The examples of protobuf's own description of its encoding.
TEST(WireTest, WritesWhatTheEncodingsDescriptionShows) {
  std::string out;
  WireWriter writer(&out);
  writer.Varint(1, 150);
  writer.Bytes(2, "testing");
  const size_t begun = writer.Begin(3);
  writer.Varint(1, 150);
  writer.End(begun);
  EXPECT_EQ(HexEncode(AsBytes(out)), "089601120774657374696e671a03089601");
}

TEST(WireTest, ReadsWhatItWrites) {
  std::string out;
  WireWriter writer(&out);
  writer.Varint(1, UINT64_MAX);
  writer.Fixed32(2, 0xdeadbeef);
  writer.Fixed64(3, 0x0123456789abcdef);
  writer.Float(4, -0.5f);
  writer.Double(5, 1.2);
  writer.Bytes((1u << 29) - 1, "");
  Status status;
  const std::vector<WireField> fields = All(out, &status);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(fields.size(), 6u);
  EXPECT_EQ(fields[0].value, UINT64_MAX);
  EXPECT_EQ(fields[1].value, 0xdeadbeef);
  EXPECT_EQ(fields[2].value, 0x0123456789abcdef);
  EXPECT_EQ(fields[3].AsFloat(), -0.5f);
  EXPECT_EQ(fields[4].AsDouble(), 1.2);
  EXPECT_EQ(fields[5].number, (1u << 29) - 1);
  EXPECT_EQ(fields[5].type, WireType::kBytes);
  EXPECT_EQ(fields[5].bytes, "");
}

TEST(WireTest, LongMessagesNest) {
  std::string out;
  WireWriter writer(&out);
  const size_t outer = writer.Begin(1);
  const size_t inner = writer.Begin(2);
  writer.Bytes(3, std::string(1000, 'x'));
  writer.End(inner);
  writer.End(outer);
  Status status;
  const auto level1 = All(out, &status);
  ASSERT_EQ(level1.size(), 1u);
  const auto level2 = All(level1[0].bytes, &status);
  ASSERT_EQ(level2.size(), 1u);
  const auto level3 = All(level2[0].bytes, &status);
  ASSERT_EQ(level3.size(), 1u);
  EXPECT_EQ(level3[0].bytes, std::string(1000, 'x'));
}

TEST(WireTest, SkipsGroups) {
  // Group 1 { 1: 5, group 2 { } , 3: "a" }, then field 4: 7.
  Status status;
  const auto fields = All(Bytes("0b08051314"
                                "1a01610c"
                                "2007"),
                          &status);
  ASSERT_TRUE(status.ok()) << status.ToString();
  ASSERT_EQ(fields.size(), 1u);
  EXPECT_EQ(fields[0].number, 4u);
  EXPECT_EQ(fields[0].value, 7u);
}

TEST(WireTest, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(ErrorOf(Bytes("0896")), HasSubstr("offset 1: it ends inside a varint"));
  EXPECT_THAT(ErrorOf(Bytes("08ffffffffffffffffffff01")), HasSubstr("more than ten bytes"));
  EXPECT_THAT(ErrorOf(Bytes("1203aabb")), HasSubstr("a field of 3 bytes, 2 are left"));
  EXPECT_THAT(ErrorOf(Bytes("12ffffffffffffffffff01aa")), HasSubstr("1 are left"));
  EXPECT_THAT(ErrorOf(Bytes("09aabb")), HasSubstr("fixed number"));
  EXPECT_THAT(ErrorOf(Bytes("0001")), HasSubstr("field number"));
  EXPECT_THAT(ErrorOf(Bytes("80808080800101")), HasSubstr("field number"));
  EXPECT_THAT(ErrorOf(Bytes("0e01")), HasSubstr("wire type 6"));
  EXPECT_THAT(ErrorOf(Bytes("0c")), HasSubstr("not begun"));
  EXPECT_THAT(ErrorOf(Bytes("0b14")), HasSubstr("not begun"));
  EXPECT_THAT(ErrorOf(Bytes("0b")), HasSubstr("inside a group"));
  EXPECT_THAT(ErrorOf(std::string(1000, '\x0b')), HasSubstr("100 deep"));
  EXPECT_EQ(ErrorOf(std::string(99, '\x0b') + std::string(99, '\x0c')), "");
}

TEST(WireTest, RepeatedNumbersComePackedOrNot) {
  std::string out;
  WireWriter writer(&out);
  const float values[] = {1.0f, -0.5f};
  writer.UnpackedFloats(2, values);
  writer.Bytes(2, std::string_view(reinterpret_cast<const char*>(values), sizeof(values)));
  std::vector<float> floats;
  WireReader in(out);
  while (in.Next()) ASSERT_TRUE(AppendFloats(in.field(), &floats).ok());
  EXPECT_THAT(floats, ElementsAre(1.0f, -0.5f, 1.0f, -0.5f));

  std::vector<uint64_t> numbers;
  ASSERT_TRUE(AppendVarints({.number = 2, .type = WireType::kVarint, .value = 300}, &numbers).ok());
  const std::string packed = Bytes("0011ffff03");
  ASSERT_TRUE(
      AppendVarints({.number = 2, .type = WireType::kBytes, .bytes = packed}, &numbers).ok());
  EXPECT_THAT(numbers, ElementsAre(300, 0, 17, 65535));
}

TEST(WireTest, RepeatedNumbersOfAnotherTypeOrCutAreErrors) {
  std::vector<float> floats;
  EXPECT_FALSE(AppendFloats({.number = 2, .type = WireType::kVarint}, &floats).ok());
  EXPECT_FALSE(AppendFloats({.type = WireType::kBytes, .bytes = "abc"}, &floats).ok());
  std::vector<uint64_t> numbers;
  EXPECT_FALSE(AppendVarints({.type = WireType::kFixed32}, &numbers).ok());
  EXPECT_FALSE(AppendVarints({.type = WireType::kBytes, .bytes = "\x80"}, &numbers).ok());
  EXPECT_FALSE(
      AppendVarints({.type = WireType::kBytes, .bytes = std::string(11, '\x80')}, &numbers).ok());
}

}  // namespace
}  // namespace megalith::records

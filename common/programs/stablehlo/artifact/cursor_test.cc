// Numbers of MLIR bytecode, by the examples of its definition.
#include "common/programs/stablehlo/artifact/cursor.h"

#include <gtest/gtest.h>

namespace megalith::stablehlo::artifact {
namespace {

uint64_t VarintOf(std::string_view bytes) {
  Cursor in(bytes);
  const auto v = in.Varint();
  EXPECT_TRUE(v.ok() && in.done());
  return v.ok() ? *v : 0;
}

TEST(CursorTest, ReadsNumbersOfEveryLength) {
  EXPECT_EQ(VarintOf("\x01"), 0u);
  EXPECT_EQ(VarintOf("\xff"), 127u);
  EXPECT_EQ(VarintOf(std::string_view("\x02\x02", 2)), 128u);
  EXPECT_EQ(VarintOf("\xfe\xff"), 16383u);
  EXPECT_EQ(VarintOf(std::string_view("\x04\x00\x02", 3)), 16384u);
  EXPECT_EQ(VarintOf(std::string_view("\x80\xff\xff\xff\xff\xff\xff\xff", 8)),
            (uint64_t{1} << 56) - 1);
  EXPECT_EQ(VarintOf(std::string_view("\0\xff\xff\xff\xff\xff\xff\xff\xff", 9)), UINT64_MAX);
}

TEST(CursorTest, SignedNumbersAlternate) {
  for (const auto& [byte, want] : {std::pair{'\x01', 0}, {'\x03', -1}, {'\x05', 1}, {'\x07', -2}}) {
    const std::string bytes(1, byte);
    EXPECT_EQ(*Cursor(bytes).SignedVarint(), want);
  }
}

TEST(CursorTest, ErrorsNameTheOffsetInTheFile) {
  Cursor in(std::string_view("\x02", 1), 40);
  const Status s = in.Varint().status();
  EXPECT_EQ(s.code(), Code::kInvalidArgument);
  EXPECT_NE(s.message().find("byte 41"), std::string::npos) << s.message();
}

TEST(CursorTest, CountsBeyondTheBytesAreRefused) {
  Cursor in("\x09\x01\x01");  // four things in two bytes
  EXPECT_FALSE(in.Count().ok());
}

}  // namespace
}  // namespace megalith::stablehlo::artifact

// Encoding, checking and loading of machine code, with hand-assembled functions.
#include "common/machines/runtime/cpu/code_image.h"

#include <gtest/gtest.h>

#include <random>

namespace megalith::runtime {
namespace {

// mov [rcx], rsi; ret: writes `begin` where `scratch` points.
constexpr char kStoreBegin[] = "\x48\x89\x31\xC3";

CodeImage Sample() {
  CodeImage image;
  image.bytes = std::string(64, '\xCC') + std::string(kStoreBegin, 4);
  image.entries = {{.loop = 5, .offset = 64, .scratch_bytes = 8}, {.loop = 2, .offset = 64}};
  image.target = "x86-64";
  image.compiler = "by hand";
  return image;
}

TEST(CodeImageTest, DecodesWhatItEncoded) {
  const auto decoded = DecodeCodeImage(EncodeCodeImage(Sample()));
  ASSERT_TRUE(decoded.ok()) << decoded.status().ToString();
  EXPECT_EQ(*decoded, Sample());
}

TEST(CodeImageTest, HasTheDocumentedLayout) {
  CodeImage image;
  image.bytes = "\xC3";
  image.entries = {{.loop = 2, .offset = 0, .scratch_bytes = 64}};
  image.target = "x86-64";
  image.compiler = "me";
  const std::string golden(
      "\x02\0\0\0"
      "\x06\0\0\0\0\0\0\0x86-64"
      "\x02\0\0\0\0\0\0\0me"
      "\x01\0\0\0"
      "\0\0\0\0"
      "\x02\0\0\0"
      "\0\0\0\0\0\0\0\0"
      "\x40\0\0\0\0\0\0\0"
      "\x01\0\0\0\0\0\0\0\xC3",
      65);
  EXPECT_EQ(EncodeCodeImage(image), golden);
}

TEST(CodeImageTest, RunsLoadedCode) {
  const auto code = LoadedCode::Load(Sample());
  ASSERT_TRUE(code.ok()) << code.status().ToString();
  const LoadedCode::Function function = (*code)->Find(5);
  ASSERT_NE(function.run, nullptr);
  EXPECT_EQ(function.scratch_bytes, 8u);
  int64_t seen = 0;
  function.run(nullptr, 42, 43, &seen);
  EXPECT_EQ(seen, 42);
  EXPECT_EQ((*code)->Find(3).run, nullptr);
  EXPECT_EQ((*code)->Find(1000).run, nullptr);
}

TEST(CodeImageTest, LoadsAnImageWithoutKernels) {
  const auto code = LoadedCode::Load(CodeImage{.target = "x86-64"});
  ASSERT_TRUE(code.ok()) << code.status().ToString();
  EXPECT_EQ((*code)->Find(0).run, nullptr);
}

TEST(CodeImageTest, RefusesEveryTruncation) {
  const std::string bytes = EncodeCodeImage(Sample());
  for (size_t n = 0; n < bytes.size(); ++n) {
    EXPECT_EQ(DecodeCodeImage(std::string_view(bytes).substr(0, n)).status().code(),
              Code::kDataLoss)
        << n;
  }
  EXPECT_EQ(DecodeCodeImage(bytes + "x").status().code(), Code::kDataLoss);
}

TEST(CodeImageTest, SurvivesRandomDamage) {
  const std::string bytes = EncodeCodeImage(Sample());
  std::mt19937_64 random(1);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = bytes;
    for (int n = 1 + static_cast<int>(random() % 4); n > 0; --n) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto decoded = DecodeCodeImage(damaged);
    if (!decoded.ok()) {
      EXPECT_EQ(decoded.status().code(), Code::kDataLoss);
      continue;
    }
    for (const CodeImage::Entry& entry : decoded->entries) {
      EXPECT_LT(entry.offset, decoded->bytes.size());
    }
  }
}

TEST(CodeImageTest, RefusesEntriesOutsideTheCodeOrTwice) {
  CodeImage outside = Sample();
  outside.entries[0].offset = outside.bytes.size();
  EXPECT_EQ(DecodeCodeImage(EncodeCodeImage(outside)).status().code(), Code::kDataLoss);
  EXPECT_EQ(LoadedCode::Load(outside).status().code(), Code::kDataLoss);
  CodeImage twice = Sample();
  twice.entries[1].loop = 5;
  EXPECT_EQ(DecodeCodeImage(EncodeCodeImage(twice)).status().code(), Code::kDataLoss);
  CodeImage large = Sample();
  large.entries[0].loop = UINT32_MAX;
  EXPECT_EQ(DecodeCodeImage(EncodeCodeImage(large)).status().code(), Code::kDataLoss);
}

TEST(CodeImageTest, RefusesCodeForAnotherProcessor) {
  CodeImage image = Sample();
  image.target = "x86-64 no-such-feature";
  EXPECT_EQ(LoadedCode::Load(image).status().code(), Code::kFailedPrecondition);
}

TEST(CodeImageTest, ComparesTargetsByWord) {
  EXPECT_TRUE(TargetSuffices("x86-64 avx avx2", "x86-64 avx2"));
  EXPECT_TRUE(TargetSuffices("x86-64 avx avx2", ""));
  EXPECT_FALSE(TargetSuffices("x86-64 avx2", "x86-64 avx"));
  EXPECT_TRUE(TargetSuffices(ProcessorTarget(), ProcessorTarget()));
  EXPECT_EQ(ProcessorTarget().substr(0, 6), "x86-64");
}

}  // namespace
}  // namespace megalith::runtime

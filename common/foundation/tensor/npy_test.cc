#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npy.h"
#include "common/foundation/tensor/npz.h"

namespace megalith::tensor {
namespace {

using ::testing::HasSubstr;

// A .npy file with this dictionary and these elements.
std::string File(const std::string& dictionary, const std::string& elements, char major = 1) {
  const std::string header = dictionary + "\n";
  std::string out = "\x93NUMPY";
  out += major;
  out += '\0';
  out += static_cast<char>(header.size() & 0xff);
  out += static_cast<char>(header.size() >> 8);
  if (major > 1) out += std::string(2, '\0');
  return out + header + elements;
}

std::string Dictionary(const std::string& descr, const std::string& shape, bool fortran = false) {
  return StrCat("{'descr': ", descr, ", 'fortran_order': ", fortran ? "True" : "False",
                ", 'shape': ", shape, ", }");
}

Tensor Numbered(DType dtype, const Shape& shape) {
  Tensor t = *Tensor::Create(dtype, shape);
  for (int64_t i = 0; i < t.size() && !IsFloat0(dtype); ++i) {
    if (IsBool(dtype)) {
      t.SetInt(i, i % 2);
    } else {
      t.SetDouble(i, static_cast<double>(i % 2));
    }
  }
  return t;
}

TEST(NpyTest, EveryDTypeAndShapeRoundTrips) {
  for (int i = 1; i < kNumDTypes; ++i) {
    const auto dtype = static_cast<DType>(i);
    if (IsKey(dtype)) continue;
    for (const Shape& shape : {Shape{}, Shape{0}, Shape{5}, Shape{2, 3}, Shape{2, 0, 3}}) {
      const Tensor t = Numbered(dtype, shape);
      const auto file = EncodeNpy(t);
      ASSERT_TRUE(file.ok()) << Name(dtype);
      const auto back = ParseNpy(*file);
      ASSERT_TRUE(back.ok()) << Name(dtype) << ": " << back.status().ToString();
      EXPECT_TRUE(back->BitEquals(t)) << t.TypeText();
    }
  }
  EXPECT_EQ(EncodeNpy(*Tensor::Create(DType::kKeyFry, Shape{})).status().code(),
            Code::kUnimplemented);
}

TEST(NpyTest, ElementsStartAtAMultipleOf64) {
  const std::string file = *EncodeNpy(Numbered(DType::kF32, Shape{2, 3}));
  EXPECT_EQ((file.size() - 24) % 64, 0u);
  EXPECT_THAT(file, HasSubstr("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"));
}

TEST(NpyTest, FortranOrderIsTurned) {
  // Columns of [[0, 2, 4], [1, 3, 5]].
  const Tensor t =
      *ParseNpy(File(Dictionary("'|u1'", "(2, 3)", true), std::string("\0\1\2\3\4\5", 6)));
  const uint8_t want[] = {0, 2, 4, 1, 3, 5};
  for (int i = 0; i < 6; ++i) EXPECT_EQ(t.IntAt(i), want[i]);
}

TEST(NpyTest, BigEndianIsTurned) {
  EXPECT_EQ(ParseNpy(File(Dictionary("'>i4'", "(1,)"), std::string("\0\0\1\2", 4)))->IntAt(0), 258);
  const Tensor c =
      *ParseNpy(File(Dictionary("'>c8'", "()"), std::string("\x3f\x80\0\0\x40\0\0\0", 8)));
  EXPECT_EQ(c.ComplexAt(0), std::complex<double>(1, 2));
}

TEST(NpyTest, VoidElementsAreTheTypesThatNumpySavesSo) {
  EXPECT_EQ(ParseNpy(File(Dictionary("'<V2'", "(1,)"), std::string("\x80\x3f", 2)))->dtype(),
            DType::kBF16);
  EXPECT_EQ(ParseNpy(File(Dictionary("'<f1'", "(1,)"), "x"))->dtype(), DType::kF8E5M2);
  const std::string one = File(Dictionary("'|V1'", "(1,)"), "x");
  EXPECT_THAT(ParseNpy(one).status().message(), HasSubstr("name the dtype"));
  EXPECT_EQ(ParseNpy(one, {.void_dtype = DType::kF8E4M3FN})->dtype(), DType::kF8E4M3FN);
}

TEST(NpyTest, LaterVersionsAreRead) {
  for (const char major : {'\2', '\3'}) {
    EXPECT_EQ(ParseNpy(File(Dictionary("'|i1'", "()"), "\7", major))->IntAt(0), 7);
  }
  EXPECT_EQ(ParseNpy(File(Dictionary("'|i1'", "()"), "\7", '\4')).status().code(),
            Code::kUnimplemented);
}

TEST(NpyTest, EveryTruncationIsAnError) {
  const std::string file = *EncodeNpy(Numbered(DType::kF32, Shape{2, 3}));
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_EQ(ParseNpy(std::string_view(file).substr(0, n)).status().code(), Code::kInvalidArgument)
        << n;
  }
  EXPECT_THAT(ParseNpy(file + "x").status().message(),
              HasSubstr("has 25 bytes of elements, f32[2,3] needs 24"));
}

TEST(NpyTest, MalformedHeadersAreErrors) {
  const std::vector<std::string> malformed = {
      "",
      "{",
      "{}",
      "nonsense",
      "{'descr': '<f4'}",
      Dictionary("'<f4'", "(1,)") + "x",
      Dictionary("'<f4'", "(-1,)"),
      Dictionary("'<f4'", "(1"),
      Dictionary("'<f4'", "1"),
      Dictionary("'<f4", "()"),
      Dictionary("[('a', '<f4'", "()"),
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (), }",
      "{'descr': '<f4', 'fortran_order': false, 'shape': (), }",
      "{'x': 1}",
      Dictionary("'<f4'", "(99999999999999999999,)"),
      Dictionary("'<f4'", "(" + std::string(200, '1') + ",)")};
  for (const std::string& m : malformed) {
    EXPECT_EQ(ParseNpy(File(m, "1234")).status().code(), Code::kInvalidArgument) << m;
  }
  for (const char* descr : {"'|O'", "'<U4'", "'<M8[s]'", "[('a', '<f4')]", "'<f3'", "'key<fry>'"}) {
    EXPECT_EQ(ParseNpy(File(Dictionary(descr, "()"), "")).status().code(), Code::kUnimplemented)
        << descr;
  }
}

TEST(NpyTest, SizesAreBoundedBeforeAnythingIsAllocated) {
  EXPECT_EQ(ParseNpy(File(Dictionary("'<f4'", "(9223372036854775807, 9223372036854775807)"), ""))
                .status()
                .code(),
            Code::kResourceExhausted);
  EXPECT_EQ(
      ParseNpy(*EncodeNpy(Numbered(DType::kF32, Shape{10})), {.max_bytes = 39}).status().code(),
      Code::kResourceExhausted);
}

NamedTensors TwoArrays() {
  return {{"a", Numbered(DType::kF32, Shape{2, 3})},
          {"umlaut \xc3\xa4", Numbered(DType::kBF16, Shape{1000})}};
}

TEST(NpzTest, RoundTripsStoredAndDeflated) {
  for (const bool compress : {false, true}) {
    const std::string file = *EncodeNpz(TwoArrays(), compress);
    const NamedTensors back = *ParseNpz(file);
    ASSERT_EQ(back.size(), 2u);
    for (size_t i = 0; i < 2; ++i) {
      EXPECT_EQ(back[i].first, TwoArrays()[i].first);
      EXPECT_TRUE(back[i].second.BitEquals(TwoArrays()[i].second));
    }
    EXPECT_EQ(*EncodeNpz(TwoArrays(), compress), file);
  }
  EXPECT_TRUE(ParseNpz(*EncodeNpz({}, false))->empty());
}

TEST(NpzTest, EveryTruncationIsAnError) {
  const std::string file = *EncodeNpz({{"a", Numbered(DType::kF32, Shape{2})}}, true);
  for (size_t n = 0; n < file.size(); ++n)
    EXPECT_FALSE(ParseNpz(std::string_view(file).substr(0, n)).ok()) << n;
}

TEST(NpzTest, FlippedBytesNeverGiveOtherValues) {
  const NamedTensors arrays = {{"a", Numbered(DType::kF32, Shape{20})}};
  const std::string file = *EncodeNpz(arrays, true);
  for (size_t i = 0; i < file.size(); ++i) {
    std::string damaged = file;
    damaged[i] = static_cast<char>(damaged[i] ^ 0x10);
    const auto back = ParseNpz(damaged);
    if (back.ok() && !back->empty()) {
      EXPECT_TRUE((*back)[0].second.BitEquals(arrays[0].second)) << i;
    }
  }
}

TEST(NpzTest, BombsAreRefused) {
  const std::string file =
      *EncodeNpz({{"zeros", *Tensor::Create(DType::kU8, Shape{10'000'000})}}, true);
  EXPECT_LT(file.size(), 20'000u);
  EXPECT_EQ(ParseNpz(file, {.max_bytes = 1'000'000}).status().code(), Code::kResourceExhausted);
}

TEST(NpzTest, TwoArraysOfOneNameAreRefused) {
  const Tensor t = Numbered(DType::kF32, Shape{});
  EXPECT_EQ(EncodeNpz({{"a", t}, {"a", t}}, false).status().code(), Code::kInvalidArgument);
}

// NumPy itself is the judge where it is installed.
TEST(NpzTest, NumpyReadsOursAndWeReadNumpys) {
  const char* python = std::getenv("MEGALITH_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "MEGALITH_PYTHON names no Python with NumPy and ml_dtypes";
  const TempDirectory directory;
  const std::string ours = JoinPath(directory.path(), "ours.npz");
  const std::string theirs = JoinPath(directory.path(), "theirs.npz");
  const std::string script = JoinPath(directory.path(), "copy.py");
  ASSERT_TRUE(RealFileSystem().WriteAtomically(ours, *EncodeNpz(TwoArrays(), true)).ok());
  ASSERT_TRUE(
      RealFileSystem()
          .WriteAtomically(script, StrCat("import ml_dtypes, numpy as np\n"
                                          "a = dict(np.load('",
                                          ours,
                                          "'))\n"
                                          "assert str(a['umlaut \xc3\xa4'].dtype) == 'bfloat16'\n"
                                          "np.savez_compressed('",
                                          theirs, "', **a)\n"))
          .ok());
  ASSERT_EQ(std::system(StrCat(python, " ", script).c_str()), 0);
  const NamedTensors back = *ParseNpz(*RealFileSystem().Read(theirs));
  ASSERT_EQ(back.size(), 2u);
  for (size_t i = 0; i < 2; ++i) EXPECT_TRUE(back[i].second.BitEquals(TwoArrays()[i].second));
}

}  // namespace
}  // namespace megalith::tensor

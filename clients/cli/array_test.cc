#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "clients/cli/array_spec.h"
#include "clients/cli/array_text.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/npy.h"

namespace megalith::cli {
namespace {

using tensor::DType;
using tensor::Tensor;
using ::testing::HasSubstr;

class ArraySpecTest : public ::testing::Test {
 protected:
  std::string Path(const std::string& name) const { return JoinPath(directory_.path(), name); }
  void Save(const std::string& name, const std::string& bytes) {
    CHECK(RealFileSystem().WriteAtomically(Path(name), bytes).ok());
  }
  // Type, values and "~" if weak; or the error.
  std::string Read(const std::string& word, bool x64 = false) {
    const auto arrays = ReadArrays(word, RealFileSystem(), x64);
    if (!arrays.ok()) return arrays.status().ToString();
    std::vector<std::string> texts;
    for (const ArrayValue& a : *arrays) {
      texts.push_back(
          StrCat(a.tensor.TypeText(), a.weak_type ? "~" : "", " ", ArrayText(a.tensor)));
    }
    return Join(texts, "; ");
  }
  TempDirectory directory_;
};

TEST_F(ArraySpecTest, FillsTypedArrays) {
  EXPECT_EQ(Read("f32[2]:zeros"), "f32[2] [0. 0.]");
  EXPECT_EQ(Read("bf16[2]:ones"), "bf16[2] [1. 1.]");
  EXPECT_EQ(Read("i8[2,2]:iota"), "i8[2,2] [[0 1]\n [2 3]]");
  EXPECT_EQ(Read("f32:1.5"), "f32[] 1.5");
  EXPECT_EQ(Read("f32[]~:-2"), "f32[]~ -2.0");
  EXPECT_EQ(Read("f64[1]:nan"), "f64[1] [nan]");
  EXPECT_EQ(Read("c64[2]:iota"), "c64[2] [0.+0.j 1.+0.j]");
  EXPECT_EQ(Read("bool[2]:true"), "bool[2] [ True  True]");
  EXPECT_EQ(Read("key<fry>[2]:zeros"), "key<fry>[2] [[0 0]\n [0 0]]");
  EXPECT_EQ(Read("float0[0]:zeros"), "float0[0] []");
  EXPECT_EQ(Read("u64[1]:18446744073709551615"), "u64[1] [18446744073709551615]");
}

TEST_F(ArraySpecTest, ReadsLists) {
  EXPECT_EQ(Read("f32[2,2]:[[1, 2.5], [\"nan\", \"-inf\"]]"),
            "f32[2,2] [[ 1.   2.5]\n [ nan -inf]]");
  EXPECT_EQ(Read("c64[1]:[[1, -2]]"), "c64[1] [1.-2.j]");
  EXPECT_EQ(Read("key<fry>[]:[7, 9]"), "key<fry>[] [7 9]");
  EXPECT_EQ(Read("bool[2]:[true, 0]"), "bool[2] [ True False]");
  EXPECT_EQ(Read("f32[0]:[]"), "f32[0] []");
}

TEST_F(ArraySpecTest, TakesPythonNumbersAndLists) {
  EXPECT_EQ(Read("1.5"), "f32[]~ 1.5");
  EXPECT_EQ(Read("3"), "i32[]~ 3");
  EXPECT_EQ(Read("3", true), "i64[]~ 3");
  EXPECT_EQ(Read("true"), "bool[] True");
  EXPECT_EQ(Read("-inf"), "f32[]~ -inf");
  EXPECT_EQ(Read("[1, 2]"), "i32[2] [1 2]");
  EXPECT_EQ(Read("[[1.5], [2]]", true), "f64[2,1] [[1.5]\n [2. ]]");
  EXPECT_EQ(Read("[]"), "f32[0] []");
}

TEST_F(ArraySpecTest, RefusesWhatDoesNotFit) {
  const std::pair<const char*, const char*> kCases[] = {
      {"i8[1]:300", "300 does not fit i8"},
      {"u8[1]:-1", "-1 does not fit u8"},
      {"i32[1]:1.5", "expects whole numbers for i32, got 1.5"},
      {"i32[2]:[1]", "expects lists of 2 in dimension 0, got one of 1"},
      {"i32[1,2]:[1]", "expects lists of 2 in dimension 1, got 1"},
      {"f32[2]:[1,", "the list is not JSON"},
      {"f32[2]:foo", "expects zeros, ones, iota, a number, a list or @FILE, got 'foo'"},
      {"f32[2]:", "expects zeros"},
      {"f32[x]:ones", "type 'f32[x]'"},
      {"bool[3]:iota", "bool has no iota"},
      {"bool[]:2", "expects true or false, got 2"},
      {"key<fry>[]:ones", "key<fry> knows zeros and lists of words"},
      {"f32[1000000,1000000]:zeros", "RESOURCE_EXHAUSTED"},
      {"nonsense", "expects FILE.npy"},
      {"[1, [2]]", "expects"},
  };
  for (const auto& [word, message] : kCases) EXPECT_THAT(Read(word), HasSubstr(message)) << word;
}

TEST_F(ArraySpecTest, ReadsFilesAndNamesWhatIsWrongWithThem) {
  const Tensor t = Tensor::Scalar(DType::kF32, 2.5).Reshaped({1});
  ASSERT_TRUE(WriteArrays(Path("a.npy"), {t}, RealFileSystem()).ok());
  EXPECT_EQ(Read(Path("a.npy")), "f32[1] [2.5]");
  EXPECT_EQ(Read("f32[1]:@" + Path("a.npy")), "f32[1] [2.5]");
  EXPECT_THAT(Read("f32[2]:@" + Path("a.npy")), HasSubstr("file has f32[1], expected f32[2]"));
  const std::string bytes = *tensor::EncodeNpy(t);
  Save("short.npy", bytes.substr(0, bytes.size() - 1));
  EXPECT_THAT(Read(Path("short.npy")), HasSubstr("INVALID_ARGUMENT"));
  Save("empty.npy", "");
  EXPECT_THAT(Read(Path("empty.npy")), HasSubstr("INVALID_ARGUMENT"));
  EXPECT_THAT(Read(Path("absent.npy")), HasSubstr("NOT_FOUND"));
}

TEST_F(ArraySpecTest, ArchivesComeBackInOrder) {
  const Tensor a = Tensor::Scalar(DType::kBF16, 2.5);
  const Tensor b = Tensor::Scalar(DType::kC64, std::complex<double>(1, 2)).Reshaped({1});
  const auto key = ReadArrays("key<fry>[1]:[[1,2]]", RealFileSystem(), false);
  ASSERT_TRUE(key.ok());
  const std::string path = Path("a.npz");
  ASSERT_TRUE(WriteArrays(path, {a, b, (*key)[0].tensor}, RealFileSystem()).ok());
  EXPECT_EQ(Read(path), "bf16[] 2.5; c64[1] [1.+2.j]; u32[1,2] [[1 2]]");
  EXPECT_EQ(Read(path + ":arr_1"), "c64[1] [1.+2.j]");
  EXPECT_THAT(Read(path + ":x"), HasSubstr("archive has no array 'x', only arr_0, arr_1, arr_2"));
  EXPECT_THAT(WriteArrays(Path("b.npy"), {a, b}, RealFileSystem()).message(),
              HasSubstr("use .npz"));
  EXPECT_THAT(WriteArrays(Path("b.txt"), {a}, RealFileSystem()).message(),
              HasSubstr("neither .npy nor .npz"));
}

Tensor Floats(std::initializer_list<float> values) {
  Tensor t = *Tensor::Create(DType::kF32, {static_cast<int64_t>(values.size())});
  int64_t i = 0;
  for (const float v : values) t.SetDouble(i++, static_cast<double>(v));
  return t;
}

// Expectations are what str(numpy.array) gives.
TEST(ArrayTextTest, FormatsFloatsAsNumPyDoes) {
  EXPECT_EQ(ArrayText(Floats({1, 2.5F, -3.25F})), "[ 1.    2.5  -3.25]");
  EXPECT_EQ(ArrayText(Floats({0.1F, 1.0F / 3})), "[0.1        0.33333334]");
  EXPECT_EQ(ArrayText(Floats({1, 1e10F})), "[1.e+00 1.e+10]");
  EXPECT_EQ(ArrayText(Floats({1.5e-7F, 1})), "[1.5e-07 1.0e+00]");
  EXPECT_EQ(ArrayText(Floats({NAN, 1, -INFINITY})), "[ nan   1. -inf]");
  EXPECT_EQ(ArrayText(Floats({-0.0F, 0})), "[-0.  0.]");
  EXPECT_EQ(ArrayText(Floats({})), "[]");
}

TEST(ArrayTextTest, WrapsAndShortens) {
  Tensor t = *Tensor::Create(DType::kI32, {40});
  for (int64_t i = 0; i < 40; ++i) t.SetInt(i, i);
  EXPECT_EQ(ArrayText(t),
            "[ 0  1  2  3  4  5  6  7  8  9 10 11 12 13 14 15 16 17 18 19 20 21 22 23\n"
            " 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39]");
  EXPECT_EQ(ArrayText(t, {.threshold = 10}), "[ 0  1  2 ... 37 38 39]");
  EXPECT_EQ(
      ArrayText(t.Reshaped({8, 5}), {.threshold = 10, .edge_items = 2}),
      "[[ 0  1 ...  3  4]\n [ 5  6 ...  8  9]\n ...\n [30 31 ... 33 34]\n [35 36 ... 38 39]]");
  EXPECT_EQ(ArrayText(t.Reshaped({2, 2, 10}), {.threshold = 10, .edge_items = 1}),
            "[[[ 0 ...  9]\n  [10 ... 19]]\n\n [[20 ... 29]\n  [30 ... 39]]]");
}

}  // namespace
}  // namespace megalith::cli

// Random numbers against the known answers of spec/transforms.md section 7.
#include <gtest/gtest.h>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/sample_runner.h"

namespace megalith::ops {
namespace {

using tensor::DType;

Tensor Words(const tensor::Shape& shape, const std::vector<uint32_t>& values) {
  Tensor t = *Tensor::Create(DType::kU32, shape);
  for (size_t i = 0; i < values.size(); ++i) t.SetInt(static_cast<int64_t>(i), values[i]);
  return t;
}

// The elements of every result of a program, as bits.
std::vector<int64_t> RunWords(const std::string& text, const Tensors& inputs) {
  const Result<ir::JaxprPtr> jaxpr = LoadSample(text);
  EXPECT_TRUE(jaxpr.ok()) << jaxpr.status().ToString();
  if (!jaxpr.ok()) return {};
  const Result<Tensors> outs = Evaluate(*jaxpr, inputs);
  EXPECT_TRUE(outs.ok()) << outs.status().ToString();
  if (!outs.ok()) return {};
  std::vector<int64_t> values;
  for (const Tensor& t : *outs) {
    for (int64_t i = 0; i < t.size(); ++i) values.push_back(t.IntAt(i));
  }
  return values;
}

// key 42 as `k`, then what `body` makes of it.
std::vector<int64_t> WithKey42(const std::string& body) {
  return RunWords(
      StrCat("{ lambda ; a:u32[2]. let k:key<fry>[] = random_wrap[impl=fry] a; ", body, " }"),
      {Words({2}, {0, 42})});
}

std::vector<int64_t> Hash(const std::vector<uint32_t>& operands) {
  Tensors inputs;
  for (const uint32_t word : operands) inputs.push_back(Words({}, {word}));
  return RunWords(
      "{ lambda ; a:u32[] b:u32[] c:u32[] d:u32[]. let e:u32[] f:u32[] = threefry2x32 a b c d in "
      "(e, f) }",
      inputs);
}

TEST(ThreefryTest, HashesAsTheReferenceVectorsSay) {
  EXPECT_EQ(Hash({0, 0, 0, 0}), (std::vector<int64_t>{0x6b200159, 0x99ba4efe}));
  EXPECT_EQ(Hash({~0u, ~0u, ~0u, ~0u}), (std::vector<int64_t>{0x1cb996fc, 0xbb002be7}));
  EXPECT_EQ(Hash({0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3}),
            (std::vector<int64_t>{0xc4923a9c, 0x483df7a0}));
}

TEST(RandomSeedTest, TakesTheHighWordFromLongSeedsOnly) {
  const std::string text =
      "{ lambda ; a:DT[]. let b:key<fry>[] = random_seed[impl=fry] a; c:u32[2] = random_unwrap b "
      "in "
      "(c,) }";
  std::string narrow = text;
  narrow.replace(narrow.find("DT"), 2, "i32");
  std::string wide = text;
  wide.replace(wide.find("DT"), 2, "i64");
  EXPECT_EQ(RunWords(narrow, {Tensor::Scalar(DType::kI32, -5)}),
            (std::vector<int64_t>{0, 4294967291}));
  EXPECT_EQ(RunWords(wide, {Tensor::Scalar(DType::kI64, -5)}),
            (std::vector<int64_t>{4294967295, 4294967291}));
}

TEST(RandomSplitTest, GivesTheKnownKeys) {
  EXPECT_EQ(
      WithKey42("s:key<fry>[2] = random_split[shape=(2,)] k; w:u32[2,2] = random_unwrap s in (w,)"),
      (std::vector<int64_t>{1832780943, 270669613, 64467757, 2916123636}));
}

TEST(RandomFoldInTest, GivesTheKnownKey) {
  EXPECT_EQ(
      WithKey42("s:key<fry>[] = random_fold_in k 7:u32[]; w:u32[2] = random_unwrap s in (w,)"),
      (std::vector<int64_t>{2547012911, 1371500959}));
}

TEST(RandomBitsTest, GivesTheKnownBits) {
  EXPECT_EQ(WithKey42("b:u32[4] = random_bits[bit_width=32 shape=(4,)] k in (b,)"),
            (std::vector<int64_t>{2098992034, 2919706841, 2646866425, 2409546199}));
  EXPECT_EQ(WithKey42("b:u8[4] = random_bits[bit_width=8 shape=(4,)] k in (b,)"),
            (std::vector<int64_t>{162, 217, 249, 215}));
}

// jax.random.uniform in f32: 23 random mantissa bits below the exponent of 1, less 1.
TEST(RandomBitsTest, MakesTheKnownUniformNumbers) {
  EXPECT_EQ(
      WithKey42(
          "b:u32[4] = random_bits[bit_width=32 shape=(4,)] k; c:u32[4] = shift_right_logical b "
          "9:u32[]; "
          "d:u32[4] = or c 1065353216:u32[]; e:f32[4] = bitcast_convert_type[new_dtype=float32] d; "
          "f:f32[4] = sub e 1.0:f32[]; g:u32[4] = bitcast_convert_type[new_dtype=uint32] f in "
          "(g,)"),
      (std::vector<int64_t>{1056585764, 1059981104, 1058915320, 1057988288}));
}

TEST(RandomBitsTest, Draws64BitsAsHighAndLowWord) {
  const auto low = WithKey42(
      "b:u64[3] = random_bits[bit_width=64 shape=(3,)] k; c:u32[3] = convert_element_type["
      "new_dtype=uint32 weak_type=False] b in (c,)");
  const auto words = WithKey42(
      "i:u32[3] j:u32[3] = iota_2x32_shape[shape=(3,)] ; w:u32[2] = random_unwrap k; "
      "p:u32[1] = slice[limit_indices=(1,) start_indices=(0,) strides=None] w; "
      "q:u32[] = squeeze[dimensions=(0,)] p; "
      "r:u32[1] = slice[limit_indices=(2,) start_indices=(1,) strides=None] w; "
      "s:u32[] = squeeze[dimensions=(0,)] r; t:u32[3] u:u32[3] = threefry2x32 q s i j "
      "in (u,)");
  EXPECT_EQ(low, words);
}

// Keys of an array are independent: each gives what it gives alone.
TEST(RandomBitsTest, TreatsEveryKeyOfAnArrayAlike) {
  const auto together = WithKey42(
      "s:key<fry>[2] = random_split[shape=(2,)] k; "
      "b:u32[2,3] = random_bits[bit_width=32 shape=(3,)] s in (b,)");
  const auto apart = RunWords(
      "{ lambda ; a:u32[2] c:u32[2]. let k:key<fry>[] = random_wrap[impl=fry] a; "
      "l:key<fry>[] = random_wrap[impl=fry] c; b:u32[3] = random_bits[bit_width=32 shape=(3,)] k; "
      "d:u32[3] = random_bits[bit_width=32 shape=(3,)] l in (b, d) }",
      {Words({2}, {1832780943, 270669613}), Words({2}, {64467757, 2916123636})});
  EXPECT_EQ(together, apart);
}

}  // namespace
}  // namespace megalith::ops

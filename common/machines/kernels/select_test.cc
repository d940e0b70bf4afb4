// The greatest, the smallest and the best few.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/machines/kernels/kernel_testing.h"

namespace megalith::kernels {
namespace {

constexpr DType kTypes[] = {DType::kBool, DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,
                            DType::kI32,  DType::kU32, DType::kI64, DType::kU64, DType::kF16,
                            DType::kBF16, DType::kF32, DType::kF64};

// -1, 0, 1; 2 if unordered.
int Compare(const Tensor& t, int64_t a, int64_t b) {
  if (tensor::IsFloat(t.dtype())) {
    const double x = t.DoubleAt(a), y = t.DoubleAt(b);
    return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
  }
  if (t.dtype() == DType::kU64) {
    const uint64_t x = t.As<uint64_t>()[static_cast<size_t>(a)];
    const uint64_t y = t.As<uint64_t>()[static_cast<size_t>(b)];
    return x < y ? -1 : x > y;
  }
  return t.IntAt(a) < t.IntAt(b) ? -1 : t.IntAt(a) > t.IntAt(b);
}

void ExpectArg(const Tensor& in, size_t dim, bool smallest, DType index, bool values, int threads) {
  Shape rest = in.shape();
  rest.erase(dim);
  std::vector<ArraySpec> out;
  if (values) out.push_back({in.dtype(), rest});
  out.push_back({index, rest});
  const auto got =
      RunKernel("argminmax", {static_cast<int64_t>(dim), smallest}, {in}, out, threads);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const int64_t inner = tensor::RowMajorStrides(in.shape())[dim];
  const int64_t n = in.shape()[dim];
  for (int64_t r = 0; r < *tensor::NumElements(rest); ++r) {
    const auto at = [&](int64_t i) { return (r / inner * n + i) * inner + r % inner; };
    // The body of JAX's reduction, from the first element on.
    int64_t value = 0, place = 0;
    for (int64_t i = 1; i < n; ++i) {
      const int c = Compare(in, at(value), at(i));
      const bool nan = tensor::IsFloat(in.dtype()) && std::isnan(in.DoubleAt(at(value)));
      const bool better = c == (smallest ? -1 : 1) || nan;
      if (!better && c != 0) place = i;
      if (!better) value = i;
    }
    ASSERT_EQ(got->back().IntAt(r), place)
        << tensor::Name(in.dtype()) << "[" << tensor::DimsText(in.shape()) << "] along " << dim;
    if (!values) continue;
    const auto w = static_cast<size_t>(tensor::ByteWidth(in.dtype()));
    ASSERT_EQ((*got)[0].bytes().substr(static_cast<size_t>(r) * w, w),
              in.bytes().substr(static_cast<size_t>(at(value)) * w, w));
  }
}

TEST(ArgMinMaxTest, EqualsTheReductionOfPairs) {
  std::mt19937_64 rng(1);
  for (const DType dtype : kTypes) {
    for (const Shape& shape : {Shape{1}, Shape{9}, Shape{5000}, Shape{7, 33}, Shape{3, 40, 5},
                               Shape{2, 90, 300}, Shape{4, 100, 1}, Shape{3, 0, 2}, Shape{0, 4}}) {
      for (size_t dim = 0; dim < shape.size(); ++dim) {
        if (shape[dim] == 0) continue;
        for (const bool smallest : {false, true}) {
          for (const bool special : {false, true}) {
            ExpectArg(RandomTensor(dtype, shape, rng, special), dim, smallest,
                      rng() % 2 == 0 ? DType::kI32 : DType::kI64, rng() % 2 == 0,
                      1 + static_cast<int>(rng() % 3));
          }
        }
      }
    }
  }
}

TEST(ArgMinMaxTest, SharesALongLine) {
  std::mt19937_64 rng(2);
  for (const DType dtype : {DType::kF32, DType::kU8, DType::kI64}) {
    Tensor t = RandomTensor(dtype, Shape{300001}, rng, false);
    ExpectArg(t, 0, false, DType::kI32, true, 3);
    ExpectArg(t, 0, true, DType::kU32, true, 3);
    if (dtype != DType::kF32) continue;
    t.SetDouble(200000, std::nan(""));
    t.SetDouble(250000, std::nan(""));
    ExpectArg(t, 0, false, DType::kI32, true, 3);
  }
}

TEST(ArgMinMaxTest, GivesTheWorstElementOfAnEmptyDimension) {
  const Tensor t = *Tensor::Create(DType::kF32, Shape{2, 0});
  const auto got =
      RunKernel("argminmax", {1, 1}, {t}, {{DType::kF32, Shape{2}}, {DType::kI32, Shape{2}}});
  ASSERT_TRUE(got.ok());
  EXPECT_EQ((*got)[0].As<float>()[1], HUGE_VALF);
  EXPECT_EQ((*got)[1].As<int32_t>()[1], 0);
}

TEST(ArgMinMaxTest, RefusesWhatDoesNotFit) {
  const ArraySpec in{DType::kF32, Shape{4, 300}};
  const ArraySpec index{DType::kI32, Shape{4}}, values{DType::kF32, Shape{4}};
  EXPECT_TRUE(PrepareByName("argminmax", {1, 0}, {in}, {index}).ok());
  EXPECT_TRUE(PrepareByName("argminmax", {1, 0}, {in}, {values, index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {0, 0}, {in}, {index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {2, 0}, {in}, {index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 2}, {in}, {index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1}, {in}, {index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 0, 0}, {in}, {index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 0}, {in}, {values}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 0}, {in}, {index, index}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 0}, {in}, {{DType::kI8, Shape{4}}}).ok());
  EXPECT_FALSE(PrepareByName("argminmax", {1, 0}, {{DType::kC64, in.shape}}, {index}).ok());
}

void ExpectTopK(const Tensor& in, int64_t k, int threads) {
  Shape shape = in.shape();
  const int64_t n = shape.back();
  shape[shape.size() - 1] = k;
  const auto got =
      RunKernel("top_k", {}, {in}, {{in.dtype(), shape}, {DType::kI32, shape}}, threads);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const auto w = static_cast<size_t>(tensor::ByteWidth(in.dtype()));
  const auto key = [&](int64_t i) {  // ascending with the total order
    if (!tensor::IsFloat(in.dtype())) {
      const auto v = static_cast<uint64_t>(in.IntAt(i));
      return static_cast<int64_t>(in.dtype() == DType::kU64 ? v ^ uint64_t{1} << 63 : v);
    }
    int64_t bits = 0;
    std::memcpy(&bits, in.bytes().data() + static_cast<size_t>(i) * w, w);
    bits = static_cast<int64_t>(static_cast<uint64_t>(bits) << (64 - 8 * w));
    return bits < 0 ? bits ^ INT64_MAX : bits;
  };
  for (int64_t r = 0; r < *tensor::NumElements(shape) / std::max<int64_t>(k, 1); ++r) {
    std::vector<int64_t> order(static_cast<size_t>(n));
    std::iota(order.begin(), order.end(), 0);
    std::ranges::stable_sort(order,
                             [&](int64_t a, int64_t b) { return key(r * n + a) > key(r * n + b); });
    for (int64_t i = 0; i < k; ++i) {
      const int64_t want = order[static_cast<size_t>(i)];
      ASSERT_EQ((*got)[1].IntAt(r * k + i), want)
          << tensor::Name(in.dtype()) << " " << n << " " << k;
      ASSERT_EQ((*got)[0].bytes().substr(static_cast<size_t>(r * k + i) * w, w),
                in.bytes().substr(static_cast<size_t>(r * n + want) * w, w));
    }
  }
}

TEST(TopKTest, GivesTheBestOfEveryType) {
  std::mt19937_64 rng(3);
  for (const DType dtype : kTypes) {
    for (const int64_t n : {1, 5, 64, 130, 600, 4000}) {
      for (const int64_t k : {0, 1, 3, 8, 50, 600, 4000}) {
        if (k > n) continue;
        ExpectTopK(RandomTensor(dtype, Shape{3, n}, rng, rng() % 2 == 0), k, 2);
      }
    }
  }
}

TEST(TopKTest, SharesALongRow) {
  std::mt19937_64 rng(4);
  for (const DType dtype : {DType::kF32, DType::kBF16, DType::kF64, DType::kU8}) {
    for (const int64_t k : {1, 10, 1000}) {
      ExpectTopK(RandomTensor(dtype, Shape{100003}, rng, false), k, 3);
      ExpectTopK(RandomTensor(dtype, Shape{2, 70001}, rng, true), k, 3);
    }
  }
}

TEST(TopKTest, FindsTheBestOfAnAscendingRow) {
  Tensor t = *Tensor::Create(DType::kI32, Shape{20000});
  for (int64_t i = 0; i < t.size(); ++i) t.SetInt(i, i);
  ExpectTopK(t, 7, 1);
}

TEST(TopKTest, RefusesWhatDoesNotFit) {
  const ArraySpec in{DType::kF32, Shape{4, 30}};
  const ArraySpec v{DType::kF32, Shape{4, 3}}, i{DType::kI32, Shape{4, 3}};
  EXPECT_TRUE(PrepareByName("top_k", {}, {in}, {v, i}).ok());
  EXPECT_FALSE(PrepareByName("top_k", {1}, {in}, {v, i}).ok());
  EXPECT_FALSE(PrepareByName("top_k", {}, {in}, {v, v}).ok());
  EXPECT_FALSE(PrepareByName("top_k", {}, {v}, {in, {DType::kI32, in.shape}}).ok());
  EXPECT_FALSE(PrepareByName("top_k", {}, {in}, {v}).ok());
  const ArraySpec scalar{DType::kF32, Shape{}};
  EXPECT_FALSE(PrepareByName("top_k", {}, {scalar}, {scalar, {DType::kI32, Shape{}}}).ok());
}

}  // namespace
}  // namespace megalith::kernels

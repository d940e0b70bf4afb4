#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <numeric>

#include "common/machines/kernels/kernel_testing.h"
#include "common/machines/kernels/sort_keys.h"

namespace megalith::kernels {
namespace {

constexpr DType kKeyTypes[] = {DType::kBool, DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,
                               DType::kI32,  DType::kU32, DType::kI64, DType::kU64, DType::kF16,
                               DType::kBF16, DType::kF32, DType::kF64};

struct KeySpec {
  int64_t operand;
  SortOrder order;
  bool descending;
};

// Sign and magnitude of the total order, as a double that compares alike: exact for what tests use.
int64_t TotalBits(const Tensor& t, int64_t i) {
  const int width = tensor::ByteWidth(t.dtype());
  int64_t bits = 0;
  std::memcpy(&bits, static_cast<const char*>(t.data()) + i * width, static_cast<size_t>(width));
  bits = static_cast<int64_t>(static_cast<uint64_t>(bits) << (64 - 8 * width));
  return bits < 0 ? bits ^ INT64_MAX : bits;
}

// -1, 0, 1; NaN compares as the order says. 2: unordered.
int Compare(const Tensor& t, int64_t a, int64_t b, SortOrder order) {
  if (!tensor::IsFloat(t.dtype())) {
    if (t.dtype() == DType::kU64) {
      const uint64_t x = t.As<uint64_t>()[static_cast<size_t>(a)];
      const uint64_t y = t.As<uint64_t>()[static_cast<size_t>(b)];
      return x < y ? -1 : x > y;
    }
    return t.IntAt(a) < t.IntAt(b) ? -1 : t.IntAt(a) > t.IntAt(b);
  }
  if (order == SortOrder::kTotal) {
    return TotalBits(t, a) < TotalBits(t, b) ? -1 : TotalBits(t, a) > TotalBits(t, b);
  }
  const double x = t.DoubleAt(a);
  const double y = t.DoubleAt(b);
  if (std::isnan(x) || std::isnan(y)) {
    if (order == SortOrder::kPlain) return 2;
    return std::isnan(x) && std::isnan(y) ? 0 : std::isnan(x) ? 1 : -1;
  }
  return x < y ? -1 : x > y;
}

// A stable sort of positions by plain comparison, line by line.
std::vector<Tensor> Expected(const std::vector<Tensor>& in, size_t dim,
                             const std::vector<KeySpec>& keys) {
  std::vector<Tensor> out;
  for (const Tensor& t : in) out.push_back(*Tensor::Create(t.dtype(), t.shape()));
  int64_t outer = 1, inner = 1;
  const int64_t n = in[0].shape()[dim];
  for (size_t i = 0; i < in[0].rank(); ++i)
    (i < dim ? outer : inner) *= i == dim ? 1 : in[0].shape()[i];
  for (int64_t o = 0; o < outer; ++o) {
    for (int64_t i = 0; i < inner; ++i) {
      const auto at = [&](int64_t j) { return (o * n + j) * inner + i; };
      std::vector<int64_t> order(static_cast<size_t>(n));
      std::iota(order.begin(), order.end(), 0);
      std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
        for (const KeySpec& k : keys) {
          const int c = Compare(in[static_cast<size_t>(k.operand)], at(a), at(b), k.order);
          if (c != 0) return k.descending ? c == 1 : c == -1;
        }
        return false;
      });
      for (size_t k = 0; k < in.size(); ++k) {
        const int w = tensor::ByteWidth(in[k].dtype());
        for (int64_t j = 0; j < n; ++j) {
          std::memcpy(
              static_cast<char*>(out[k].mutable_data()) + at(j) * w,
              static_cast<const char*>(in[k].data()) + at(order[static_cast<size_t>(j)]) * w,
              static_cast<size_t>(w));
        }
      }
    }
  }
  return out;
}

std::vector<int64_t> Params(size_t dim, const std::vector<KeySpec>& keys) {
  std::vector<int64_t> p{static_cast<int64_t>(dim), static_cast<int64_t>(keys.size())};
  for (const KeySpec& k : keys) {
    p.push_back(k.operand);
    p.push_back(static_cast<int64_t>(k.order));
    p.push_back(k.descending);
  }
  return p;
}

void ExpectSorted(const std::vector<Tensor>& in, size_t dim, const std::vector<KeySpec>& keys,
                  int threads = 1) {
  std::vector<ArraySpec> specs;
  for (const Tensor& t : in) specs.push_back(SpecOf(t));
  const auto got = RunKernel("sort", Params(dim, keys), in, specs, threads);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const std::vector<Tensor> want = Expected(in, dim, keys);
  for (size_t k = 0; k < in.size(); ++k) {
    ASSERT_TRUE((*got)[k].bytes() == want[k].bytes())
        << "operand " << k << " " << tensor::Name(in[k].dtype()) << "["
        << tensor::DimsText(in[k].shape()) << "] along " << dim;
  }
}

TEST(SortTest, SortsElementsOfEveryTypeInEveryOrder) {
  std::mt19937_64 rng(1);
  for (const DType dtype : kKeyTypes) {
    for (const int64_t n : {0, 1, 2, 15, 16, 17, 64, 65, 128, 129, 500, 3000}) {
      for (const bool descending : {false, true}) {
        for (const SortOrder order : {SortOrder::kUniform, SortOrder::kTotal}) {
          ExpectSorted({RandomTensor(dtype, Shape{n}, rng)}, 0, {{0, order, descending}});
        }
      }
    }
  }
}

TEST(SortTest, KeepsTheOrderOfEqualKeysWithAnyPayload) {
  std::mt19937_64 rng(2);
  constexpr DType kPayloads[] = {DType::kI32, DType::kU8, DType::kBF16, DType::kF64, DType::kC128};
  for (const DType dtype : kKeyTypes) {
    for (const DType payload : kPayloads) {
      for (const int64_t n : {1, 40, 300}) {
        const Tensor keys = RandomTensor(dtype, Shape{3, n}, rng);
        const Tensor beside = RandomTensor(payload, Shape{3, n}, rng, false);
        ExpectSorted({keys, beside}, 1, {{0, SortOrder::kUniform, false}});
        ExpectSorted({beside, keys, beside}, 1, {{1, SortOrder::kUniform, true}});
      }
    }
  }
}

TEST(SortTest, SortsBySeveralKeys) {
  std::mt19937_64 rng(3);
  for (const DType first : kKeyTypes) {
    for (const DType second : kKeyTypes) {
      const Shape shape{2, 200};
      const std::vector<Tensor> in = {RandomTensor(first, shape, rng),
                                      RandomTensor(second, shape, rng),
                                      RandomTensor(DType::kF32, shape, rng)};
      ExpectSorted(in, 1,
                   {{0, SortOrder::kUniform, false},
                    {1, SortOrder::kTotal, true},
                    {2, SortOrder::kUniform, false}});
      ExpectSorted(in, 1, {{2, SortOrder::kUniform, true}, {1, SortOrder::kUniform, false}});
    }
  }
}

TEST(SortTest, SortsAlongAnyDimension) {
  std::mt19937_64 rng(4);
  for (const DType dtype : kKeyTypes) {
    for (size_t dim = 0; dim < 3; ++dim) {
      for (const Shape& shape : {Shape{3, 50, 37}, Shape{40, 1, 16}, Shape{1, 9, 100}}) {
        ExpectSorted({RandomTensor(dtype, shape, rng)}, dim, {{0, SortOrder::kUniform, false}}, 2);
        ExpectSorted({RandomTensor(dtype, shape, rng), RandomTensor(DType::kI16, shape, rng)}, dim,
                     {{0, SortOrder::kUniform, true}}, 3);
      }
    }
  }
}

TEST(SortTest, SortsLongLinesOnSeveralThreads) {
  std::mt19937_64 rng(5);
  for (const DType dtype : {DType::kF32, DType::kU8, DType::kBF16, DType::kI64}) {
    for (const bool special : {false, true}) {
      const Tensor keys = RandomTensor(dtype, Shape{200001}, rng, special);
      ExpectSorted({keys}, 0, {{0, SortOrder::kUniform, false}}, 3);
      ExpectSorted({keys, RandomTensor(DType::kI32, keys.shape(), rng)}, 0,
                   {{0, SortOrder::kUniform, false}}, 3);
    }
  }
}

// Keys of which some are far more frequent, so that a digit leaves long stretches to sort.
TEST(SortTest, SortsLongLinesOfUnevenKeys) {
  std::mt19937_64 rng(8);
  for (const DType dtype : {DType::kI32, DType::kI64, DType::kF32}) {
    for (const int64_t spread : {1, 2, 70000}) {
      const Shape shape{150003};
      Tensor keys = *Tensor::Create(dtype, shape);
      for (int64_t i = 0; i < shape[0]; ++i) {
        const auto small = static_cast<int64_t>(rng() % static_cast<uint64_t>(spread));
        const int64_t value = rng() % 1000 == 0 ? 1 << 30 : small;
        if (dtype == DType::kF32) {
          keys.SetDouble(i, static_cast<double>(value));
        } else {
          keys.SetInt(i, value);
        }
      }
      const Tensor second = RandomTensor(DType::kI64, shape, rng);
      const KeySpec first_key{0, SortOrder::kUniform, false};
      ExpectSorted({keys}, 0, {first_key}, 3);
      ExpectSorted({keys, second}, 0, {first_key}, 3);
      ExpectSorted({keys, second}, 0, {first_key, {1, SortOrder::kUniform, true}}, 3);
    }
  }
}

TEST(SortTest, SortsOneArrayWithoutScratch) {
  const ArraySpec f{DType::kF32, Shape{1000000}};
  const auto kernel = PrepareByName("sort", {0, 1, 0, 1, 0}, {f}, {f});
  ASSERT_TRUE(kernel.ok());
  EXPECT_EQ(kernel->scratch_bytes, 0U);
}

TEST(SortTest, EqualsInsertionAndMergesWhereNanHasNoOrder) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Tensor t = *Tensor::Create(DType::kF32, Shape{8});
  const float values[] = {3, nan, 1, 2, nan, 0, -1, 5};
  std::ranges::copy(values, t.MutableAs<float>().begin());
  const auto got = RunKernel("sort", Params(0, {{0, SortOrder::kPlain, false}}), {t}, {SpecOf(t)});
  ASSERT_TRUE(got.ok());
  // Nothing moves past NaN.
  const float want[] = {3, nan, 1, 2, nan, -1, 0, 5};
  EXPECT_EQ(std::memcmp((*got)[0].data(), want, sizeof(want)), 0);
}

TEST(SortTest, PlainOrderWithoutNanIsStableForZeros) {
  std::mt19937_64 rng(6);
  Tensor t = RandomTensor(DType::kF32, Shape{300}, rng, false);
  for (int64_t i = 0; i < 300; i += 3) t.SetDouble(i, i % 2 == 0 ? 0.0 : -0.0);
  ExpectSorted({t}, 0, {{0, SortOrder::kPlain, false}});
  ExpectSorted({t, t}, 0, {{1, SortOrder::kPlain, true}});
}

TEST(SortTest, RefusesWhatDoesNotFit) {
  const ArraySpec f{DType::kF32, Shape{4, 5}};
  const ArraySpec c{DType::kC64, Shape{4, 5}};
  const ArraySpec other{DType::kF32, Shape{5, 4}};
  EXPECT_TRUE(PrepareByName("sort", {1, 1, 0, 1, 0}, {f}, {f}).ok());
  const std::vector<std::vector<int64_t>> bad = {{},
                                                 {1},
                                                 {1, 1},
                                                 {1, 1, 0, 1},
                                                 {1, 1, 0, 1, 0, 0},
                                                 {2, 1, 0, 1, 0},
                                                 {-1, 1, 0, 1, 0},
                                                 {1, 0},
                                                 {1, 1, 1, 1, 0},
                                                 {1, 1, 0, 3, 0},
                                                 {1, 1, 0, 1, 2},
                                                 {1, 65, 0, 1, 0},
                                                 {1, INT64_MAX, 0, 1, 0}};
  for (const auto& params : bad) EXPECT_FALSE(PrepareByName("sort", params, {f}, {f}).ok());
  EXPECT_FALSE(PrepareByName("sort", {1, 1, 0, 1, 0}, {c}, {c}).ok());
  EXPECT_FALSE(PrepareByName("sort", {1, 1, 0, 1, 0}, {f}, {other}).ok());
  EXPECT_FALSE(PrepareByName("sort", {1, 1, 0, 1, 0}, {f, other}, {f, other}).ok());
  EXPECT_FALSE(PrepareByName("sort", {1, 1, 0, 1, 0}, {f}, {f, f}).ok());
  EXPECT_FALSE(PrepareByName("sort", {1, 1, 0, 1, 0}, {}, {}).ok());
}

TEST(SortTest, StopsWhenCancelled) {
  std::mt19937_64 rng(7);
  const Tensor t = RandomTensor(DType::kF32, Shape{64, 100}, rng);
  Tensor out = *Tensor::Create(DType::kF32, t.shape());
  const auto kernel = PrepareByName("sort", {1, 1, 0, 1, 0}, {SpecOf(t)}, {SpecOf(t)});
  ASSERT_TRUE(kernel.ok());
  const ScratchRoom scratch(kernel->scratch_bytes);
  WorkPool pool(2);
  Cancellation cancellation;
  cancellation.Cancel();
  const Status status =
      CallKernel(*kernel, {t.data()}, {out.mutable_data()}, scratch.data, pool, &cancellation);
  EXPECT_EQ(status.code(), Code::kCancelled);
}

}  // namespace
}  // namespace megalith::kernels

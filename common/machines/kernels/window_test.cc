#include <gtest/gtest.h>

#include "common/machines/kernels/kernel_testing.h"
#include "common/machines/kernels/window_kernels.h"

namespace megalith::kernels {
namespace {

constexpr DType kTypes[] = {DType::kBool, DType::kI8,  DType::kU8,  DType::kI16, DType::kU16,
                            DType::kI32,  DType::kU32, DType::kI64, DType::kU64, DType::kBF16,
                            DType::kF16,  DType::kF32, DType::kF64};

struct Window {
  Shape in;
  Dims size, stride, low, high, base, dilation;
};

const Window kWindows[] = {
    // Pooling, channels last and first.
    {{2, 9, 8, 5},
     {1, 3, 3, 1},
     {1, 2, 2, 1},
     {0, 1, 1, 0},
     {0, 1, 0, 0},
     {1, 1, 1, 1},
     {1, 1, 1, 1}},
    {{2, 3, 12, 40},
     {1, 1, 2, 2},
     {1, 1, 2, 2},
     {0, 0, 0, 0},
     {0, 0, 0, 0},
     {1, 1, 1, 1},
     {1, 1, 1, 1}},
    {{2, 30, 30, 17},
     {1, 3, 2, 1},
     {1, 1, 1, 1},
     {0, 1, 1, 0},
     {0, 1, 0, 0},
     {1, 1, 1, 1},
     {1, 1, 1, 1}},
    // Dilations, negative padding, windows wider than the array.
    {{11, 13}, {3, 2}, {1, 2}, {2, 3}, {1, 0}, {2, 3}, {2, 1}},
    {{20, 7}, {4, 3}, {3, 1}, {-2, 1}, {-1, 4}, {1, 2}, {1, 3}},
    {{6}, {9}, {1}, {5}, {4}, {1}, {1}},
    {{10}, {1}, {3}, {0}, {0}, {1}, {1}},
    // No dimensions; no elements; nothing in the window.
    {{}, {}, {}, {}, {}, {}, {}},
    {{0, 3}, {1, 2}, {1, 1}, {2, 0}, {1, 0}, {1, 1}, {1, 1}},
    {{4, 5}, {0, 2}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
    {{3, 0}, {2, 1}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
    // Running, both ways, along each dimension.
    {{7, 40}, {1, 40}, {1, 1}, {0, 39}, {0, 0}, {1, 1}, {1, 1}},
    {{50, 9}, {50, 1}, {1, 1}, {0, 0}, {49, 0}, {1, 1}, {1, 1}},
    {{3, 20, 300}, {1, 20, 1}, {1, 1, 1}, {0, 19, 0}, {0, 0, 0}, {1, 1, 1}, {1, 1, 1}},
};

Shape Result(const Window& w) {
  Shape out;
  for (size_t d = 0; d < w.in.size(); ++d) {
    const int64_t base = w.in[d] == 0 ? 0 : (w.in[d] - 1) * w.base[d] + 1;
    const int64_t size = w.size[d] == 0 ? 0 : (w.size[d] - 1) * w.dilation[d] + 1;
    const int64_t padded = base + w.low[d] + w.high[d];
    out.push_back(padded < size || padded <= 0 ? 0 : (padded - size) / w.stride[d] + 1);
  }
  return out;
}

// Calls visit(output, input) for every pair a window joins, in order.
template <typename Visit>
void ForEach(const Window& w, const Visit& visit) {
  const Shape out = Result(w);
  const Dims out_strides = tensor::RowMajorStrides(out);
  const Dims in_strides = tensor::RowMajorStrides(w.in);
  const Dims positions = tensor::RowMajorStrides(w.size);
  for (int64_t o = 0; o < *tensor::NumElements(out); ++o) {
    for (int64_t p = 0; p < *tensor::NumElements(w.size); ++p) {
      int64_t at = 0;
      bool inside = true;
      for (size_t d = 0; d < out.size() && inside; ++d) {
        const int64_t place = o / out_strides[d] % out[d] * w.stride[d] +
                              p / positions[d] % w.size[d] * w.dilation[d] - w.low[d];
        inside = place >= 0 && place % w.base[d] == 0 && place / w.base[d] < w.in[d];
        at += place / w.base[d] * in_strides[d];
      }
      if (inside) visit(o, at);
    }
  }
}

std::vector<int64_t> Params(std::vector<int64_t> first, const Window& w, bool dilations) {
  const auto list = [&](const Dims& d) {
    first.push_back(static_cast<int64_t>(d.size()));
    first.insert(first.end(), d.begin(), d.end());
  };
  for (const Dims& d : {w.size, w.stride, w.low, w.high}) list(d);
  if (dilations) {
    list(w.base);
    list(w.dilation);
  }
  return first;
}

// Numbers whose sums and products are exact, zeros of both signs, now and then infinity or NaN.
Tensor ExactTensor(DType dtype, const Shape& shape, CombineKind kind, std::mt19937_64& rng) {
  Tensor t = RandomTensor(dtype, shape, rng);
  if (!tensor::IsFloat(dtype)) return t;
  for (int64_t i = 0; i < t.size(); ++i) {
    const bool product = kind == CombineKind::kMultiply;
    const double numbers[] = {1, -1, product ? 1.0 : 2.0, product ? -1.0 : -3.0, -0.0, 0.0};
    const double rare[] = {HUGE_VAL, -HUGE_VAL, std::nan(""), 0, -0.0};
    t.SetDouble(i, rng() % 400 == 0 ? rare[rng() % 5] : numbers[rng() % (product ? 4 : 6)]);
  }
  return t;
}

// Narrow floats widened.
Tensor Widened(const Tensor& t) {
  if (!tensor::IsFloat(t.dtype()) || tensor::BitWidth(t.dtype()) >= 32)
    return *Tensor::FromBytes(t.dtype(), t.shape(), t.bytes());
  Tensor wide = *Tensor::Create(DType::kF32, t.shape());
  for (int64_t i = 0; i < t.size(); ++i) wide.SetDouble(i, t.DoubleAt(i));
  return wide;
}
Tensor Narrowed(const Tensor& t, DType dtype) {
  if (t.dtype() == dtype) return t;
  Tensor narrow = *Tensor::Create(dtype, t.shape());
  for (int64_t i = 0; i < t.size(); ++i) narrow.SetDouble(i, t.DoubleAt(i));
  return narrow;
}

void ExpectWindow(const Window& w, DType dtype, CombineKind kind, std::mt19937_64& rng,
                  int threads) {
  const Tensor in = ExactTensor(dtype, w.in, kind, rng);
  const Tensor initial = ExactTensor(dtype, Shape{}, kind, rng);
  const auto got = RunKernel("reduce_window", Params({static_cast<int64_t>(kind)}, w, true),
                             {in, initial}, {{dtype, Result(w)}}, threads);
  ASSERT_TRUE(got.ok()) << got.status().ToString();
  const Tensor wide = Widened(in);
  const Tensor first = Widened(initial);
  Tensor want = *Tensor::Create(wide.dtype(), Result(w));
  for (int64_t i = 0; i < want.size(); ++i) CombineAt(CombineKind::kReplace, &want, i, first, 0);
  ForEach(w, [&](int64_t o, int64_t at) { CombineAt(kind, &want, o, wide, at); });
  ASSERT_TRUE(SameElements((*got)[0], Narrowed(want, dtype)))
      << tensor::Name(dtype) << "[" << tensor::DimsText(w.in) << "] combination "
      << static_cast<int>(kind);
}

TEST(ReduceWindowTest, FoldsEveryTypeAndCombination) {
  std::mt19937_64 rng(1);
  for (const Window& w : kWindows) {
    for (const DType dtype : kTypes) {
      for (int64_t k = 1; k < kNumCombineKinds; ++k) {
        if (tensor::IsFloat(dtype) && k >= static_cast<int64_t>(CombineKind::kAnd)) continue;
        ExpectWindow(w, dtype, static_cast<CombineKind>(k), rng, 1 + static_cast<int>(rng() % 3));
      }
    }
  }
}

TEST(ReduceWindowTest, RefusesDamagedParameters) {
  std::mt19937_64 rng(2);
  for (const Window& w : kWindows) {
    const std::vector<int64_t> good = Params({1}, w, true);
    const ArraySpec in{DType::kF32, w.in}, value{DType::kF32, Shape{}};
    const ArraySpec out{DType::kF32, Result(w)};
    ASSERT_TRUE(PrepareByName("reduce_window", good, {in, value}, {out}).ok());
    for (size_t cut = 0; cut < good.size(); ++cut) {
      EXPECT_FALSE(PrepareByName("reduce_window",
                                 {good.begin(), good.begin() + static_cast<int64_t>(cut)},
                                 {in, value}, {out})
                       .ok());
    }
    for (size_t at = 0; at < good.size(); ++at) {
      for (const int64_t v : {int64_t{-1}, int64_t{0}, int64_t{2}, int64_t{77}, INT64_MAX}) {
        std::vector<int64_t> bad = good;
        bad[at] = v;
        if (!PrepareByName("reduce_window", bad, {in, value}, {out}).ok()) continue;
        EXPECT_TRUE(RunKernel("reduce_window", bad,
                              {RandomTensor(DType::kF32, w.in, rng),
                               RandomTensor(DType::kF32, Shape{}, rng)},
                              {out})
                        .ok());
      }
    }
  }
  const ArraySpec in{DType::kC64, Shape{4}}, value{DType::kC64, Shape{}};
  EXPECT_FALSE(
      PrepareByName("reduce_window", {1, 1, 1, 1, 1, 1, 0, 1, 0, 1, 1, 1, 1}, {in, value}, {in})
          .ok());
}

TEST(CumulativeTest, FoldsAlongAnyDimensionBothWays) {
  std::mt19937_64 rng(3);
  const Shape shapes[] = {{1},     {5},        {9, 30},     {4, 7, 3}, {2, 3, 600},
                          {40000}, {3, 70001}, {100001, 2}, {0},       {3, 0, 2}};
  for (const Shape& shape : shapes) {
    for (const DType dtype : kTypes) {
      for (int64_t k = 1; k < kNumCombineKinds; ++k) {
        const auto kind = static_cast<CombineKind>(k);
        if (tensor::IsFloat(dtype) && k >= static_cast<int64_t>(CombineKind::kAnd)) continue;
        if (*tensor::NumElements(shape) > 10000 && k > 3) continue;
        const size_t dim = rng() % shape.size();
        const bool reverse = rng() % 2 == 0;
        const bool has_initial = rng() % 2 == 0;
        std::vector<Tensor> in{ExactTensor(dtype, shape, kind, rng)};
        if (has_initial) in.push_back(ExactTensor(dtype, Shape{}, kind, rng));
        const auto got = RunKernel("cumulative", {k, static_cast<int64_t>(dim), reverse}, in,
                                   {SpecOf(in[0])}, 3);
        ASSERT_TRUE(got.ok()) << got.status().ToString();
        const Tensor wide = Widened(in[0]);
        Tensor want = *Tensor::Create(wide.dtype(), shape);
        const int64_t inner = tensor::RowMajorStrides(shape)[dim];
        const int64_t n = shape[dim];
        for (int64_t e = 0; e < wide.size(); ++e) {
          const int64_t i = e / inner % n;
          const int64_t at = reverse ? e - i * inner + (n - 1 - i) * inner : e;
          if (i > 0) {
            CombineAt(CombineKind::kReplace, &want, at, want, reverse ? at + inner : at - inner);
          } else {
            CombineAt(CombineKind::kReplace, &want, at, has_initial ? Widened(in[1]) : wide,
                      has_initial ? 0 : at);
            if (!has_initial) continue;
          }
          CombineAt(kind, &want, at, wide, at);
        }
        ASSERT_TRUE(SameElements((*got)[0], Narrowed(want, dtype)))
            << tensor::Name(dtype) << "[" << tensor::DimsText(shape) << "] along " << dim
            << " combination " << k << (reverse ? " reversed" : "");
      }
    }
  }
}

TEST(CumulativeTest, RefusesWhatDoesNotFit) {
  const ArraySpec f{DType::kF32, Shape{4, 5}}, value{DType::kF32, Shape{}};
  EXPECT_TRUE(PrepareByName("cumulative", {1, 1, 0}, {f}, {f}).ok());
  for (const std::vector<int64_t>& bad : std::vector<std::vector<int64_t>>{{},
                                                                           {1},
                                                                           {1, 1},
                                                                           {1, 1, 0, 0},
                                                                           {0, 1, 0},
                                                                           {8, 1, 0},
                                                                           {1, 2, 0},
                                                                           {1, -1, 0},
                                                                           {1, 1, 2},
                                                                           {5, 1, 0}}) {
    EXPECT_FALSE(PrepareByName("cumulative", bad, {f}, {f}).ok());
  }
  EXPECT_FALSE(PrepareByName("cumulative", {1, 1, 0}, {f, f}, {f}).ok());
  EXPECT_FALSE(PrepareByName("cumulative", {1, 1, 0}, {f, value, value}, {f}).ok());
  EXPECT_FALSE(PrepareByName("cumulative", {1, 1, 0}, {value}, {f}).ok());
  EXPECT_FALSE(PrepareByName("cumulative", {1, 0, 0}, {value}, {value}).ok());
}

TEST(SelectAndScatterTest, AddsTheSourceWhereTheWindowSelects) {
  std::mt19937_64 rng(4);
  const Window windows[] = {
      {{2, 9, 8, 5},
       {1, 3, 3, 1},
       {1, 2, 2, 1},
       {0, 1, 1, 0},
       {0, 1, 0, 0},
       {1, 1, 1, 1},
       {1, 1, 1, 1}},
      {{3, 2, 12, 40},
       {1, 1, 2, 2},
       {1, 1, 2, 2},
       {0, 0, 0, 0},
       {0, 0, 0, 0},
       {1, 1, 1, 1},
       {1, 1, 1, 1}},
      {{2, 10, 300}, {1, 4, 1}, {1, 1, 1}, {0, 3, 0}, {0, 2, 0}, {1, 1, 1}, {1, 1, 1}},
      {{7}, {3}, {2}, {5}, {4}, {1}, {1}},
      {{}, {}, {}, {}, {}, {}, {}},
      {{0, 3}, {1, 2}, {1, 1}, {2, 0}, {1, 0}, {1, 1}, {1, 1}},
      {{4, 5}, {0, 2}, {1, 1}, {0, 0}, {0, 0}, {1, 1}, {1, 1}},
  };
  for (const Window& w : windows) {
    for (const DType dtype : kTypes) {
      if (dtype == DType::kBool) continue;
      for (int64_t select = 0; select < 4; ++select) {
        const Tensor in = RandomTensor(dtype, w.in, rng);
        const Tensor source = RandomTensor(dtype, Result(w), rng, false);
        const Tensor initial = RandomTensor(dtype, Shape{}, rng, false);
        const auto got = RunKernel("select_and_scatter", Params({select, 1}, w, false),
                                   {in, source, initial}, {SpecOf(in)}, 2);
        ASSERT_TRUE(got.ok()) << got.status().ToString();
        Tensor want = *Tensor::Create(dtype, w.in);
        for (int64_t i = 0; i < want.size(); ++i)
          CombineAt(CombineKind::kReplace, &want, i, initial, 0);
        const auto keeps = [&](int64_t a, int64_t b) {
          const bool floats = tensor::IsFloat(dtype);
          if (floats) {
            const double x = in.DoubleAt(a), y = in.DoubleAt(b);
            return select == 0 ? x >= y : select == 1 ? x <= y : select == 2 ? x > y : x < y;
          }
          const bool u = dtype == DType::kU64;
          const int64_t x = in.IntAt(a), y = in.IntAt(b);
          const bool less = u ? static_cast<uint64_t>(x) < static_cast<uint64_t>(y) : x < y;
          return select == 0   ? !less
                 : select == 1 ? less || x == y
                 : select == 2 ? !less && x != y
                               : less;
        };
        std::vector<int64_t> chosen(static_cast<size_t>(source.size()), -1);
        ForEach(w, [&](int64_t o, int64_t at) {
          int64_t& c = chosen[static_cast<size_t>(o)];
          if (c < 0 || !keeps(c, at)) c = at;
        });
        for (int64_t o = 0; o < source.size(); ++o) {
          const int64_t c = chosen[static_cast<size_t>(o)];
          if (c >= 0) CombineAt(CombineKind::kAdd, &want, c, source, o);
        }
        ASSERT_TRUE(SameElements((*got)[0], want))
            << tensor::Name(dtype) << "[" << tensor::DimsText(w.in) << "] selection " << select;
      }
    }
  }
}

TEST(SelectAndScatterTest, RefusesDamagedParameters) {
  const ArraySpec in{DType::kF32, Shape{6, 4}}, value{DType::kF32, Shape{}};
  const ArraySpec source{DType::kF32, Shape{3, 4}};
  const std::vector<int64_t> good = {0, 1, 2, 2, 1, 2, 2, 1, 2, 0, 0, 2, 0, 0};
  EXPECT_TRUE(PrepareByName("select_and_scatter", good, {in, source, value}, {in}).ok());
  for (size_t cut = 0; cut < good.size(); ++cut) {
    EXPECT_FALSE(PrepareByName("select_and_scatter",
                               {good.begin(), good.begin() + static_cast<int64_t>(cut)},
                               {in, source, value}, {in})
                     .ok());
  }
  for (size_t at = 0; at < good.size(); ++at) {
    std::vector<int64_t> bad = good;
    bad[at] = 100;
    EXPECT_FALSE(PrepareByName("select_and_scatter", bad, {in, source, value}, {in}).ok()) << at;
  }
}

}  // namespace
}  // namespace megalith::kernels

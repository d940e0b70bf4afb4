#include "common/machines/kernels/convolution.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <functional>
#include <random>
#include <type_traits>
#include <vector>

#include "common/foundation/tensor/small_float.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

using testing::MakeRun;
using c64 = std::complex<float>;
using c128 = std::complex<double>;

// What a case is made of, in canonical order; the layout says where dimensions lie.
struct Case {
  int64_t batch, features, outputs;  // of the input, in all groups
  std::vector<int64_t> in, taps;
  std::vector<ConvWindow> window;
  int64_t feature_groups = 1, batch_groups = 1;
};

std::vector<int64_t> OutputSizes(const Case& c) {
  std::vector<int64_t> out;
  for (size_t i = 0; i < c.in.size(); ++i) {
    const ConvWindow& w = c.window[i];
    const int64_t size =
        (c.in[i] == 0 ? 0 : (c.in[i] - 1) * w.base_dilation + 1) + w.pad_low + w.pad_high;
    const int64_t window = (c.taps[i] - 1) * w.window_dilation + 1;
    out.push_back(window > size ? 0 : (size - window) / w.stride + 1);
  }
  return out;
}

// Layout 0: features last (NHWC, HWIO); 1: first (NCHW, OIHW); 2: batch and feature swapped, as
// gradients with respect to kernels have it (CHWN, NHWO, HWNC).
ConvParams Params(const Case& c, int layout) {
  ConvParams p;
  const auto rank = static_cast<int64_t>(c.in.size());
  const auto spatial = [&](int64_t from) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < rank; ++i) out.push_back(from + i);
    return out;
  };
  p.window = c.window;
  p.feature_groups = c.feature_groups;
  p.batch_groups = c.batch_groups;
  switch (layout) {
    case 0:
      p.input_batch = p.output_batch = 0;
      p.input_feature = p.output_feature = rank + 1;
      p.input_spatial = p.output_spatial = spatial(1);
      p.kernel_spatial = spatial(0);
      p.kernel_input_feature = rank;
      p.kernel_output_feature = rank + 1;
      break;
    case 1:
      p.input_batch = p.output_batch = 0;
      p.input_feature = p.output_feature = 1;
      p.input_spatial = p.output_spatial = p.kernel_spatial = spatial(2);
      p.kernel_output_feature = 0;
      p.kernel_input_feature = 1;
      break;
    default:
      p.input_feature = 0;
      p.input_spatial = spatial(1);
      p.input_batch = rank + 1;
      p.kernel_input_feature = 0;
      p.kernel_spatial = spatial(1);
      p.kernel_output_feature = rank + 1;
      p.output_spatial = spatial(0);
      p.output_batch = rank;
      p.output_feature = rank + 1;
  }
  return p;
}

Shape ShapeOf(int64_t first, int64_t first_at, int64_t second, int64_t second_at,
              const std::vector<int64_t>& sizes, const std::vector<int64_t>& at) {
  Shape s(sizes.size() + 2, 0);
  s[static_cast<size_t>(first_at)] = first;
  s[static_cast<size_t>(second_at)] = second;
  for (size_t i = 0; i < sizes.size(); ++i) s[static_cast<size_t>(at[i])] = sizes[i];
  return s;
}

template <typename S>
struct Traits;
template <>
struct Traits<float> {
  static constexpr DType kType = DType::kF32;
  using Sum = double;
};
template <>
struct Traits<double> {
  static constexpr DType kType = DType::kF64;
  using Sum = double;
};
template <>
struct Traits<tensor::BF16> {
  static constexpr DType kType = DType::kBF16;
  using Sum = double;
};
template <>
struct Traits<c64> {
  static constexpr DType kType = DType::kC64;
  using Sum = c128;
};
template <>
struct Traits<int32_t> {
  static constexpr DType kType = DType::kI32;
  using Sum = uint64_t;
};
template <>
struct Traits<int8_t> {
  static constexpr DType kType = DType::kI8;
  using Sum = uint64_t;
};

template <typename S>
typename Traits<S>::Sum Value(S s) {
  if constexpr (std::is_same_v<S, tensor::BF16>) {
    return static_cast<float>(s);
  } else if constexpr (std::is_same_v<S, c64>) {
    return {s.real(), s.imag()};
  } else {
    return static_cast<typename Traits<S>::Sum>(s);
  }
}

// Small integers: sums are exact in every type.
template <typename S>
S Random(std::mt19937& rng) {
  const auto draw = [&] { return static_cast<int>(rng() % 7) - 3; };
  if constexpr (std::is_integral_v<S>) {
    return static_cast<S>(rng());
  } else if constexpr (std::is_same_v<S, c64>) {
    const auto re = static_cast<float>(draw());
    return {re, static_cast<float>(draw())};
  } else {
    return S(static_cast<float>(draw()));
  }
}

template <typename S>
S Rounded(typename Traits<S>::Sum sum) {
  if constexpr (std::is_same_v<S, tensor::BF16>) {
    return S(static_cast<float>(sum));
  } else if constexpr (std::is_same_v<S, c64>) {
    return {static_cast<float>(sum.real()), static_cast<float>(sum.imag())};
  } else {
    return static_cast<S>(sum);
  }
}

// Steps through all positions of a grid.
void ForEach(const std::vector<int64_t>& sizes,
             const std::function<void(const std::vector<int64_t>&)>& body) {
  std::vector<int64_t> at(sizes.size(), 0);
  for (const int64_t s : sizes) {
    if (s == 0) return;
  }
  while (true) {
    body(at);
    size_t d = sizes.size();
    while (d > 0 && ++at[d - 1] == sizes[d - 1]) at[--d] = 0;
    if (d == 0) return;
  }
}

template <typename S>
void Check(const Case& c, int layout) {
  const ConvParams p = Params(c, layout);
  const std::vector<int64_t> out_sizes = OutputSizes(c);
  const int64_t in_group = c.features / c.feature_groups;
  const int64_t out_batch = c.batch / c.batch_groups;
  const int64_t splits = c.feature_groups * c.batch_groups;
  const Shape in =
      ShapeOf(c.batch, p.input_batch, c.features, p.input_feature, c.in, p.input_spatial);
  const Shape kernel = ShapeOf(in_group, p.kernel_input_feature, c.outputs, p.kernel_output_feature,
                               c.taps, p.kernel_spatial);
  const Shape out =
      ShapeOf(out_batch, p.output_batch, c.outputs, p.output_feature, out_sizes, p.output_spatial);
  const DType type = Traits<S>::kType;
  Result<testing::KernelRun> run =
      MakeRun("convolution", p.Pack(), {{type, in}, {type, kernel}}, {{type, out}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  std::mt19937 rng(3);
  S* x = run->operand<S>(0);
  S* w = run->operand<S>(1);
  for (int64_t i = 0; i < tensor::NumElements(in); ++i) x[i] = Random<S>(rng);
  for (int64_t i = 0; i < tensor::NumElements(kernel); ++i) w[i] = Random<S>(rng);
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  const Dims is = tensor::RowMajorStrides(in), ks = tensor::RowMajorStrides(kernel),
             os = tensor::RowMajorStrides(out);
  const auto u = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t b = 0; b < out_batch; ++b) {
    for (int64_t o = 0; o < c.outputs; ++o) {
      const int64_t g = o / (c.outputs / splits);
      ForEach(out_sizes, [&](const std::vector<int64_t>& at) {
        typename Traits<S>::Sum sum{};
        ForEach(c.taps, [&](const std::vector<int64_t>& tap) {
          int64_t from = (b + (c.batch_groups > 1 ? g * out_batch : 0)) * is[u(p.input_batch)];
          int64_t with = o * ks[u(p.kernel_output_feature)];
          for (size_t d = 0; d < tap.size(); ++d) {
            const ConvWindow& win = c.window[d];
            const int64_t place = at[d] * win.stride + tap[d] * win.window_dilation - win.pad_low;
            if (place < 0 || place % win.base_dilation != 0 ||
                place / win.base_dilation >= c.in[d]) {
              return;
            }
            from += place / win.base_dilation * is[u(p.input_spatial[d])];
            with += (win.reversal ? c.taps[d] - 1 - tap[d] : tap[d]) * ks[u(p.kernel_spatial[d])];
          }
          for (int64_t f = 0; f < in_group; ++f) {
            const int64_t feature = f + (c.feature_groups > 1 ? g * in_group : 0);
            sum += Value(x[from + feature * is[u(p.input_feature)]]) *
                   Value(w[with + f * ks[u(p.kernel_input_feature)]]);
          }
        });
        int64_t to = b * os[u(p.output_batch)] + o * os[u(p.output_feature)];
        for (size_t d = 0; d < at.size(); ++d) to += at[d] * os[u(p.output_spatial[d])];
        const S want = Rounded<S>(sum);
        ASSERT_EQ(std::memcmp(run->result<S>(0) + to, &want, sizeof(S)), 0)
            << b << " " << o << " " << ::testing::PrintToString(at);
      });
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

std::vector<Case> Cases() {
  const ConvWindow plain, same = {1, 1, 1}, strided = {2, 1, 1}, dilated = {1, 2, 2, 1, 2},
                          transposed = {1, 2, 1, 2}, both = {3, 4, 2, 2, 3, true},
                          cut = {1, -1, -2}, reversed = {1, 1, 1, 1, 1, true};
  return {
      {2, 3, 5, {8, 9}, {3, 3}, {same, same}},
      {3, 17, 33, {5, 6}, {3, 2}, {plain, plain}},
      {2, 4, 6, {9, 11}, {3, 5}, {strided, dilated}},
      {2, 4, 6, {5, 6}, {3, 3}, {transposed, reversed}},
      {2, 2, 3, {7, 8}, {3, 2}, {both, both}},
      {1, 3, 4, {9, 9}, {2, 2}, {cut, cut}},
      {2, 40, 36, {3, 4}, {1, 1}, {plain, plain}},
      {3, 2, 4, {19}, {4}, {strided}},
      {2, 3, 4, {}, {}, {}},
      {1, 2, 3, {4, 3, 5}, {2, 3, 2}, {same, plain, strided}},
      {2, 6, 9, {5, 5}, {2, 3}, {plain, same}, 3, 1},
      {2, 24, 24, {5, 7}, {3, 3}, {same, same}, 24, 1},
      {2, 4, 8, {5, 7}, {3, 3}, {same, strided}, 4, 1},
      {6, 2, 6, {5, 4}, {3, 3}, {same, same}, 1, 3},
      {2, 3, 2, {10, 10}, {8, 7}, {same, same}},
      {2, 3, 2, {2, 2}, {5, 5}, {plain, plain}},
      {8, 3, 5, {6, 30}, {3, 3}, {same, same}},
      {1, 3, 5, {4, 30}, {3, 3}, {strided, same}},
      {1, 2, 40, {3, 40}, {2, 3}, {same, reversed}},
      {2, 4, 6, {4, 26}, {2, 3}, {strided, same}, 2, 1},
      {6, 2, 6, {3, 27}, {3, 3}, {same, same}, 1, 3},
      {2, 6, 9, {5, 12}, {2, 3}, {plain, same}, 3, 1},
      {6, 2, 6, {5, 9}, {3, 3}, {same, same}, 1, 3},
      {0, 3, 2, {5, 5}, {2, 2}, {plain, plain}},
      {2, 0, 2, {5, 5}, {2, 2}, {plain, plain}},
      {2, 3, 2, {0, 5}, {2, 2}, {same, same}},
  };
}

template <typename S>
void CheckAll() {
  const std::vector<Case> cases = Cases();
  for (const Case& c : cases) {
    for (int layout = 0; layout < 3; ++layout) {
      SCOPED_TRACE(::testing::Message()
                   << "case " << &c - cases.data() << " features " << c.features << " in "
                   << ::testing::PrintToString(c.in) << " layout " << layout);
      Check<S>(c, layout);
      if (::testing::Test::HasFatalFailure()) return;
    }
  }
}

TEST(ConvolutionTest, EqualsPlainLoopForF32) { CheckAll<float>(); }
TEST(ConvolutionTest, EqualsPlainLoopForF64) { CheckAll<double>(); }
TEST(ConvolutionTest, EqualsPlainLoopForBf16) { CheckAll<tensor::BF16>(); }
TEST(ConvolutionTest, EqualsPlainLoopForC64) { CheckAll<c64>(); }
TEST(ConvolutionTest, IsExactForI32) { CheckAll<int32_t>(); }
TEST(ConvolutionTest, IsExactForI8) { CheckAll<int8_t>(); }

// JAX compares a product of bf16 with one of the same numbers as f32, to the last bits.
TEST(ConvolutionTest, SumsConvertedOperandsInTheSameOrder) {
  const ConvWindow plain, reversed = {1, 1, 1, 1, 1, true};
  const Case cases[] = {{2, 3, 5, {9, 10}, {4, 5}, {plain, plain}},
                        {2, 17, 6, {5, 6}, {3, 2}, {reversed, plain}}};
  for (const Case& c : cases) {
    for (int layout = 0; layout < 3; ++layout) {
      const ConvParams p = Params(c, layout);
      const Shape in =
          ShapeOf(c.batch, p.input_batch, c.features, p.input_feature, c.in, p.input_spatial);
      const Shape kernel = ShapeOf(c.features, p.kernel_input_feature, c.outputs,
                                   p.kernel_output_feature, c.taps, p.kernel_spatial);
      const Shape out = ShapeOf(c.batch, p.output_batch, c.outputs, p.output_feature,
                                OutputSizes(c), p.output_spatial);
      const auto run_as = [&](DType type) {
        return MakeRun("convolution", p.Pack(), {{type, in}, {type, kernel}}, {{DType::kF32, out}});
      };
      Result<testing::KernelRun> narrow = run_as(DType::kBF16), wide = run_as(DType::kF32);
      ASSERT_TRUE(narrow.ok() && wide.ok());
      std::mt19937 rng(3);
      std::normal_distribution<float> normal;
      for (size_t k = 0; k < 2; ++k) {
        for (int64_t i = 0; i < tensor::NumElements(k == 0 ? in : kernel); ++i) {
          const tensor::BF16 v(normal(rng));
          narrow->operand<tensor::BF16>(k)[i] = v;
          wide->operand<float>(k)[i] = static_cast<float>(v);
        }
      }
      ASSERT_TRUE(narrow->Run(ProcessPool()).ok() && wide->Run(ProcessPool()).ok());
      const auto bytes = static_cast<size_t>(*tensor::NumElements(out)) * sizeof(float);
      EXPECT_EQ(std::memcmp(narrow->result<float>(0), wide->result<float>(0), bytes), 0)
          << "case " << &c - cases << " layout " << layout;
    }
  }
}

TEST(ConvolutionTest, RefusesDamagedParameters) {
  const Case c = {2, 3, 5, {8, 9}, {3, 3}, {ConvWindow{}, ConvWindow{}}};
  const ConvParams good = Params(c, 0);
  const std::vector<ArraySpec> in = {{DType::kF32, {2, 8, 9, 3}}, {DType::kF32, {3, 3, 3, 5}}};
  const std::vector<ArraySpec> out = {{DType::kF32, {2, 6, 7, 5}}};
  ASSERT_TRUE(MakeRun("convolution", good.Pack(), in, out).ok());
  // Every number replaced by others is either harmless or refused, and every cut is refused.
  const Result<std::vector<int64_t>> numbers = UnpackParams(good.Pack());
  ASSERT_TRUE(numbers.ok());
  for (size_t i = 0; i < numbers->size(); ++i) {
    for (const int64_t x : {int64_t{-1}, int64_t{3}, INT64_MAX, INT64_MIN}) {
      std::vector<int64_t> damaged = *numbers;
      damaged[i] = x;
      auto run = MakeRun("convolution", PackParams(damaged), in, out);
      if (!run.ok()) {
        EXPECT_EQ(run.status().code(), Code::kInvalidArgument);
        continue;
      }
      std::memset(run->in[0].data(), 0, run->in[0].size());
      std::memset(run->in[1].data(), 0, run->in[1].size());
      EXPECT_TRUE(run->Run(ProcessPool()).ok());
    }
    const std::vector<int64_t> cut(numbers->begin(), numbers->begin() + static_cast<int64_t>(i));
    EXPECT_EQ(MakeRun("convolution", PackParams(cut), in, out).status().code(),
              Code::kInvalidArgument);
  }
}

}  // namespace
}  // namespace megalith::kernels

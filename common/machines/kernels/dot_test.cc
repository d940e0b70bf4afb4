#include "common/machines/kernels/dot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/small_float.h"
#include "common/machines/kernels/gemm.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

using testing::AlignedBytes;
using testing::MakeRun;

template <typename S>
struct Storage;
#define MEGALITH_STORAGE(type, name, sum)       \
  template <>                                   \
  struct Storage<type> {                        \
    static constexpr DType kType = DType::name; \
    using Sum = sum;                            \
  };
MEGALITH_STORAGE(float, kF32, double)
MEGALITH_STORAGE(double, kF64, double)
MEGALITH_STORAGE(tensor::BF16, kBF16, double)
MEGALITH_STORAGE(tensor::F16, kF16, double)
MEGALITH_STORAGE(std::complex<float>, kC64, std::complex<double>)
MEGALITH_STORAGE(std::complex<double>, kC128, std::complex<double>)
MEGALITH_STORAGE(int8_t, kI8, uint64_t)
MEGALITH_STORAGE(int32_t, kI32, uint64_t)
MEGALITH_STORAGE(uint64_t, kU64, uint64_t)
#undef MEGALITH_STORAGE

template <typename S>
constexpr bool kIsSmall = std::is_same_v<S, tensor::BF16> || std::is_same_v<S, tensor::F16>;
template <typename S>
constexpr bool kIsComplex =
    std::is_same_v<S, std::complex<float>> || std::is_same_v<S, std::complex<double>>;

template <typename S>
typename Storage<S>::Sum Value(S s) {
  if constexpr (kIsSmall<S>) {
    return static_cast<float>(s);
  } else if constexpr (kIsComplex<S>) {
    return {s.real(), s.imag()};
  } else {
    return static_cast<typename Storage<S>::Sum>(s);
  }
}

template <typename S>
S Random(std::mt19937& rng) {
  if constexpr (std::is_integral_v<S>) {
    return static_cast<S>(rng() * 0x9E3779B97F4A7C15ULL);
  } else {
    std::uniform_real_distribution<float> d(-1, 1);
    if constexpr (kIsComplex<S>) {
      return {d(rng), d(rng)};
    } else {
      return S(d(rng));
    }
  }
}

// What one rounding to S and sums in the product type may differ from exact sums of magnitude 1.
template <typename S>
double Tolerance(int64_t k) {
  const double sum =
      std::is_same_v<S, double> || std::is_same_v<S, std::complex<double>> ? 0x1p-52 : 0x1p-23;
  double once = 0;
  if (std::is_same_v<S, tensor::BF16>) once = 0x1p-8;
  if (std::is_same_v<S, tensor::F16>) once = 0x1p-11;
  return (2 * sum * static_cast<double>(k + 1) + once) * static_cast<double>(k + 1);
}

struct Layout {
  bool lhs_t, rhs_t;
  int64_t pad;  // elements between rows
};

template <typename S>
void Compare(Isa isa, int64_t batch, int64_t m, int64_t n, int64_t k, Layout layout,
             WorkPool& pool) {
  GemmProblem p = {.batch = batch, .m = m, .n = n, .k = k};
  p.isa = isa;
  p.out = Storage<S>::kType;
  const auto operand = [&](int64_t rows, int64_t cols, bool t) {
    GemmOperand o = {Storage<S>::kType, 0, 0, t ? 1 : cols + layout.pad, t ? rows + layout.pad : 1};
    o.batch_stride = (rows + layout.pad) * (cols + layout.pad);
    return o;
  };
  p.lhs = operand(m, k, layout.lhs_t);
  p.rhs = operand(k, n, layout.rhs_t);
  ASSERT_TRUE(CheckGemm(p).ok());
  std::mt19937 rng(static_cast<uint32_t>(m * 1000 + n * 10 + k));
  std::vector<S> lhs(static_cast<size_t>(p.lhs.batch_stride * batch));
  std::vector<S> rhs(static_cast<size_t>(p.rhs.batch_stride * batch));
  for (S& x : lhs) x = Random<S>(rng);
  for (S& x : rhs) x = Random<S>(rng);
  AlignedBytes out(static_cast<size_t>(batch * m * n) * sizeof(S));
  const KernelCall call = {nullptr, nullptr, nullptr, pool};
  ASSERT_TRUE(RunGemm(p, lhs.data(), rhs.data(), out.data(), n, call).ok());
  const S* got = out.as<S>();
  for (int64_t b = 0; b < batch; ++b) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        typename Storage<S>::Sum sum{};
        for (int64_t q = 0; q < k; ++q) {
          sum += Value(lhs[static_cast<size_t>(b * p.lhs.batch_stride + i * p.lhs.row_stride +
                                               q * p.lhs.col_stride)]) *
                 Value(rhs[static_cast<size_t>(b * p.rhs.batch_stride + q * p.rhs.row_stride +
                                               j * p.rhs.col_stride)]);
        }
        const S x = got[(b * m + i) * n + j];
        if constexpr (std::is_integral_v<S>) {
          ASSERT_EQ(x, static_cast<S>(sum)) << b << " " << i << " " << j;
        } else {
          ASSERT_LE(std::abs(Value(x) - sum), Tolerance<S>(k)) << b << " " << i << " " << j;
        }
      }
    }
  }
}

template <typename S>
void CompareAll() {
  WorkPool pool(3);
  const std::array<int64_t, 3> shapes[] = {{1, 1, 1},   {1, 17, 5},  {5, 1, 33},   {3, 40, 7},
                                           {9, 31, 16}, {16, 32, 8}, {65, 70, 67}, {7, 130, 300}};
  for (int level = 0; level <= static_cast<int>(MachineIsa()); ++level) {
    for (const auto& [m, n, k] : shapes) {
      for (const Layout layout : {Layout{false, false, 0}, Layout{true, false, 3},
                                  Layout{false, true, 0}, Layout{true, true, 1}}) {
        SCOPED_TRACE(StrCat(IsaName(static_cast<Isa>(level)), " ", m, " ", n, " ", k, " ",
                            layout.lhs_t, layout.rhs_t));
        Compare<S>(static_cast<Isa>(level), 2, m, n, k, layout, pool);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(GemmTest, EqualsPlainLoopForF32) { CompareAll<float>(); }
TEST(GemmTest, EqualsPlainLoopForF64) { CompareAll<double>(); }
TEST(GemmTest, EqualsPlainLoopForBf16) { CompareAll<tensor::BF16>(); }
TEST(GemmTest, EqualsPlainLoopForF16) { CompareAll<tensor::F16>(); }
TEST(GemmTest, EqualsPlainLoopForC64) { CompareAll<std::complex<float>>(); }
TEST(GemmTest, EqualsPlainLoopForC128) { CompareAll<std::complex<double>>(); }
TEST(GemmTest, IsExactForI8) { CompareAll<int8_t>(); }
TEST(GemmTest, IsExactForI32) { CompareAll<int32_t>(); }
TEST(GemmTest, IsExactForU64) { CompareAll<uint64_t>(); }

TEST(GemmTest, EqualsPlainLoopInSeveralBlocks) {
  WorkPool pool(2);
  for (int level = 0; level <= static_cast<int>(MachineIsa()); ++level) {
    for (const Layout layout : {Layout{false, false, 0}, Layout{true, true, 2}}) {
      Compare<float>(static_cast<Isa>(level), 1, 131, 150, 301, layout, pool);
      Compare<double>(static_cast<Isa>(level), 1, 131, 150, 301, layout, pool);
    }
    Compare<float>(static_cast<Isa>(level), 1, 201, 1100, 64, {false, false, 0}, pool);
    Compare<float>(static_cast<Isa>(level), 1, 67, 720, 401, {false, false, 0}, pool);
  }
}

TEST(DotTest, LargeProductsNeedNoScratch) {
  const Shape square = {2048, 2048};
  auto run = MakeRun("dot", DotParams{1, 1, 2048, 2048, 2048, 0, 0, 2048, 1, 0, 0, 2048, 1}.Pack(),
                     {{DType::kF32, square}, {DType::kF32, square}}, {{DType::kF32, square}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  EXPECT_EQ(run->kernel.scratch_bytes, 0U);
}

TEST(DotTest, ZeroDepthGivesZeros) {
  auto run = MakeRun("dot", DotParams{1, 1, 3, 4, 0, 0, 0, 0, 1, 0, 0, 4, 1}.Pack(),
                     {{DType::kF32, {3, 0}}, {DType::kF32, {0, 4}}}, {{DType::kF32, {3, 4}}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  std::memset(run->out[0].data(), 0xFF, 48);
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  for (int i = 0; i < 12; ++i) EXPECT_EQ(run->result<float>(0)[i], 0.0F);
}

TEST(DotTest, EmptyBatchDoesNothing) {
  auto run =
      MakeRun("dot", DotParams{0, 1, 3, 4, 2, 6, 0, 2, 1, 8, 0, 4, 1}.Pack(),
              {{DType::kF32, {0, 3, 2}}, {DType::kF32, {0, 2, 4}}}, {{DType::kF32, {0, 3, 4}}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  EXPECT_TRUE(run->Run(ProcessPool()).ok());
}

TEST(DotTest, InnerBatchDimensionHasItsOwnStride) {
  // einsum("bshd,bthd->bhst")
  const int64_t b = 2, s = 3, h = 2, d = 5;
  const auto p = CanonicalDot({b, s, h, d}, {b, s, h, d}, {{0, 2}, {0, 2}, {3}, {3}});
  ASSERT_TRUE(p);
  auto run = MakeRun("dot", p->Pack(), {{DType::kF32, {b, s, h, d}}, {DType::kF32, {b, s, h, d}}},
                     {{DType::kF32, {b, h, s, s}}});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  const float* x = run->operand<float>(0);
  for (int64_t i = 0; i < b * s * h * d; ++i) {
    run->operand<float>(0)[i] = static_cast<float>(i % 7);
    run->operand<float>(1)[i] = static_cast<float>(i % 5);
  }
  const float* y = run->operand<float>(1);
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  for (int64_t i = 0; i < b * h * s * s; ++i) {
    const int64_t at = i / (h * s * s), head = i / (s * s) % h, row = i / s % s, col = i % s;
    float sum = 0;
    for (int64_t q = 0; q < d; ++q) {
      sum += x[((at * s + row) * h + head) * d + q] * y[((at * s + col) * h + head) * d + q];
    }
    EXPECT_EQ(run->result<float>(0)[i], sum);
  }
}

TEST(DotTest, PropagatesNanAndInfinity) {
  auto run = MakeRun("dot", DotParams{1, 1, 2, 2, 2, 0, 0, 2, 1, 0, 0, 2, 1}.Pack(),
                     {{DType::kF32, {2, 2}}, {DType::kF32, {2, 2}}}, {{DType::kF32, {2, 2}}});
  ASSERT_TRUE(run.ok());
  const float inf = std::numeric_limits<float>::infinity();
  const float lhs[] = {inf, 1, NAN, 1}, rhs[] = {1, 0, 2, 3};
  std::memcpy(run->in[0].data(), lhs, sizeof lhs);
  std::memcpy(run->in[1].data(), rhs, sizeof rhs);
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  const float* out = run->result<float>(0);
  EXPECT_EQ(out[0], inf);
  EXPECT_TRUE(std::isnan(out[1]));
  EXPECT_TRUE(std::isnan(out[2]));
  EXPECT_TRUE(std::isnan(out[3]));
}

TEST(DotTest, MixedTypesMultiplyInTheWiderOne) {
  auto run = MakeRun("dot", DotParams{1, 1, 1, 1, 2, 0, 0, 2, 1, 0, 0, 1, 1}.Pack(),
                     {{DType::kBF16, {1, 2}}, {DType::kF64, {2, 1}}}, {{DType::kF64, {1, 1}}});
  ASSERT_TRUE(run.ok());
  run->operand<tensor::BF16>(0)[0] = tensor::BF16(1.5F);
  run->operand<tensor::BF16>(0)[1] = tensor::BF16(1.0F);
  run->operand<double>(1)[0] = 1.0 + 0x1p-40;
  run->operand<double>(1)[1] = 0.0;
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  EXPECT_EQ(run->result<double>(0)[0], 1.5 * (1.0 + 0x1p-40));
}

TEST(DotTest, EpilogueSeesEachRowOnceAndComplete) {
  for (const int64_t m : {3, 100, 300}) {
    auto run =
        MakeRun("dot", DotParams{1, 1, m, 64, 128, 0, 0, 128, 1, 0, 0, 64, 1}.Pack(),
                {{DType::kF32, {m, 128}}, {DType::kF32, {128, 64}}}, {{DType::kF32, {m, 4, 16}}});
    ASSERT_TRUE(run.ok());
    ASSERT_TRUE(run->kernel.takes_epilogue);
    std::fill_n(run->operand<float>(0), m * 128, 1.0F);
    std::fill_n(run->operand<float>(1), 128 * 64, 1.0F);
    struct Seen {
      float* out;
      std::vector<std::atomic<int>> rows;
    } seen{run->result<float>(0), std::vector<std::atomic<int>>(static_cast<size_t>(m * 4))};
    const RowEpilogue epilogue = {[](void* arg, int64_t begin, int64_t end) {
                                    auto& s = *static_cast<Seen*>(arg);
                                    for (int64_t r = begin; r < end; ++r) {
                                      ++s.rows[static_cast<size_t>(r)];
                                      for (int j = 0; j < 16; ++j) s.out[r * 16 + j] += 1;
                                    }
                                  },
                                  &seen};
    ASSERT_TRUE(run->Run(ProcessPool(), nullptr, &epilogue).ok());
    for (const auto& n : seen.rows) ASSERT_EQ(n.load(), 1);
    for (int64_t i = 0; i < m * 64; ++i) ASSERT_EQ(seen.out[i], 129.0F);
  }
}

TEST(DotTest, StopsWhenTheCallerCancelled) {
  auto run = MakeRun("dot", DotParams{1, 1, 2, 2, 2, 0, 0, 2, 1, 0, 0, 2, 1}.Pack(),
                     {{DType::kF32, {2, 2}}, {DType::kF32, {2, 2}}}, {{DType::kF32, {2, 2}}});
  ASSERT_TRUE(run.ok());
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_EQ(run->Run(ProcessPool(), &cancellation).code(), Code::kCancelled);
}

TEST(DotTest, RefusesWhatDoesNotFit) {
  const std::vector<ArraySpec> in = {{DType::kF32, {3, 4}}, {DType::kF32, {4, 5}}};
  const std::vector<ArraySpec> out = {{DType::kF32, {3, 5}}};
  const DotParams good = {1, 1, 3, 5, 4, 0, 0, 4, 1, 0, 0, 5, 1};
  ASSERT_TRUE(MakeRun("dot", good.Pack(), in, out).ok());
  const auto code = [&](DotParams p) { return MakeRun("dot", p.Pack(), in, out).status().code(); };
  EXPECT_EQ(MakeRun("dot", "1234567", in, out).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("dot", PackParams({}), in, out).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("dot", good.Pack(), {in[0]}, out).status().code(), Code::kInvalidArgument);
  for (const DotParams& bad : {DotParams{1, 1, 3, 5, 4, 0, 0, 5, 1, 0, 0, 5, 1},
                               DotParams{1, 1, 3, 5, 5, 0, 0, 4, 1, 0, 0, 5, 1},
                               DotParams{1, 1, 4, 5, 4, 0, 0, 4, 1, 0, 0, 5, 1},
                               DotParams{1, 1, 3, 5, 4, 0, 0, -4, 1, 0, 0, 5, 1},
                               DotParams{2, 1, 3, 5, 4, 0, 0, 4, 1, 0, 0, 5, 1},
                               DotParams{1, 1, 3, 5, 4, 0, 0, INT64_MAX, 1, 0, 0, 5, 1},
                               DotParams{INT64_MAX, 1, INT64_MAX, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0}}) {
    EXPECT_EQ(code(bad), Code::kInvalidArgument);
  }
}

TEST(DotTest, RefusesTypesItDoesNotKnow) {
  const std::vector<ArraySpec> f8 = {{DType::kF8E4M3FN, {1, 1}}, {DType::kF32, {1, 1}}};
  const DotParams p;
  EXPECT_EQ(MakeRun("dot", p.Pack(), f8, {{DType::kF32, {1, 1}}}).status().code(),
            Code::kUnimplemented);
  const std::vector<ArraySpec> c64 = {{DType::kC64, {1, 1}}, {DType::kF32, {1, 1}}};
  EXPECT_EQ(MakeRun("dot", p.Pack(), c64, {{DType::kC64, {1, 1}}}).status().code(),
            Code::kUnimplemented);
}

TEST(CanonicalDotTest, MergesNeighbouringDimensions) {
  // [2,3,4,5] x [2,4,5,6], batch 0, contracting (4,5): lhs stays where it is.
  const auto p = CanonicalDot({2, 3, 4, 5}, {2, 4, 5, 6}, {{0}, {0}, {3, 2}, {2, 1}});
  ASSERT_TRUE(p);
  EXPECT_EQ(*p, (DotParams{2, 1, 3, 6, 20, 60, 0, 20, 1, 120, 0, 6, 1}));
}

TEST(CanonicalDotTest, ReadsTransposedOperands) {
  const auto p = CanonicalDot({4, 3}, {5, 4}, {{}, {}, {0}, {1}});
  ASSERT_TRUE(p);
  EXPECT_EQ(*p, (DotParams{1, 1, 3, 5, 4, 0, 0, 1, 3, 0, 0, 1, 4}));
}

TEST(CanonicalDotTest, ReadsHeadsInTheMiddle) {
  // Attention: [batch, sequence, heads, depth] for both.
  const auto p = CanonicalDot({2, 7, 3, 4}, {2, 7, 3, 4}, {{0, 2}, {0, 2}, {3}, {3}});
  ASSERT_TRUE(p);
  EXPECT_EQ(*p, (DotParams{2, 3, 7, 7, 4, 84, 4, 12, 1, 84, 4, 1, 12}));
}

TEST(CanonicalDotTest, RefusesContractionsInDifferentOrders) {
  EXPECT_FALSE(CanonicalDot({2, 3, 4}, {4, 3, 5}, {{}, {}, {1, 2}, {1, 0}}));
}

}  // namespace
}  // namespace megalith::kernels

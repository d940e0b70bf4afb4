#include "common/machines/kernels/triangular.h"

#include <gtest/gtest.h>

#include <cmath>
#include <complex>
#include <cstring>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

using testing::MakeRun;
using c64 = std::complex<float>;
using c128 = std::complex<double>;

template <typename T>
constexpr bool kComplex = std::is_same_v<T, c64> || std::is_same_v<T, c128>;
template <typename T>
constexpr bool kSingle = std::is_same_v<T, float> || std::is_same_v<T, c64>;
template <typename T>
constexpr DType kTypeOf = std::is_same_v<T, float>    ? DType::kF32
                          : std::is_same_v<T, double> ? DType::kF64
                          : std::is_same_v<T, c64>    ? DType::kC64
                                                      : DType::kC128;

template <typename T>
T Random(std::mt19937& rng) {
  std::uniform_real_distribution<float> d(-1, 1);
  if constexpr (kComplex<T>) {
    return {d(rng), d(rng)};
  } else {
    return d(rng);
  }
}

template <typename T>
T Conj(T x) {
  if constexpr (kComplex<T>) {
    return std::conj(x);
  } else {
    return x;
  }
}

template <typename T>
double Tolerance(int64_t n) {
  return (kSingle<T> ? 0x1p-23 : 0x1p-52) * 8 * static_cast<double>(n + 4);
}

// Random, with a diagonal that makes it well conditioned; Hermitian if asked.
template <typename T>
std::vector<T> Matrices(int64_t batch, int64_t n, bool hermitian) {
  std::mt19937 rng(static_cast<uint32_t>(n));
  std::vector<T> a(static_cast<size_t>(batch * n * n));
  for (T& x : a) x = Random<T>(rng);
  for (int64_t b = 0; b < batch; ++b) {
    T* m = a.data() + b * n * n;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i && hermitian; ++j) m[j * n + i] = Conj(m[i * n + j]);
      m[i * n + i] = static_cast<T>(static_cast<double>(2 * n));
    }
  }
  return a;
}

template <typename T>
void CheckCholesky(int64_t batch, int64_t n, bool lower) {
  SCOPED_TRACE(n);
  const std::vector<T> a = Matrices<T>(batch, n, true);
  const ArraySpec spec = {kTypeOf<T>, {batch, n, n}};
  Result<testing::KernelRun> run =
      MakeRun("cholesky", PackParams(std::vector<int64_t>{lower}), {spec}, {spec});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  std::memcpy(run->in[0].data(), a.data(), a.size() * sizeof(T));
  T* in = run->operand<T>(0);
  for (int64_t i = 0; i < n; ++i) {  // the other triangle must not matter
    for (int64_t j = i + 1; j < n; ++j) in[lower ? i * n + j : j * n + i] = static_cast<T>(NAN);
  }
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  for (int64_t b = 0; b < batch; ++b) {
    const T* l = run->result<T>(0) + b * n * n;
    const T* want = a.data() + b * n * n;
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        if (lower ? j > i : j < i) {
          ASSERT_EQ(l[i * n + j], T{}) << i << " " << j;
        }
        c128 sum = 0;
        for (int64_t k = 0; k <= std::min(i, j); ++k) {
          sum += lower ? c128(l[i * n + k]) * std::conj(c128(l[j * n + k]))
                       : std::conj(c128(l[k * n + i])) * c128(l[k * n + j]);
        }
        const double scale = 2 * static_cast<double>(n);
        ASSERT_LE(std::abs(sum - c128(want[i * n + j])), Tolerance<T>(n) * scale) << i << " " << j;
      }
    }
  }
}

template <typename T>
void CheckAllCholesky() {
  for (const bool lower : {true, false}) {
    for (const int64_t n : {1, 2, 5, 64, 65, 130, 200}) CheckCholesky<T>(2, n, lower);
  }
}

TEST(CholeskyTest, ReconstructsF32) { CheckAllCholesky<float>(); }
TEST(CholeskyTest, ReconstructsF64) { CheckAllCholesky<double>(); }
TEST(CholeskyTest, ReconstructsC64) { CheckAllCholesky<c64>(); }
TEST(CholeskyTest, ReconstructsC128) { CheckAllCholesky<c128>(); }

TEST(CholeskyTest, IndefiniteMatrixGivesNanInItsTriangleOnly) {
  for (const int64_t n : {3, 100}) {
    for (const bool lower : {true, false}) {
      std::vector<float> a = Matrices<float>(2, n, true);
      a[static_cast<size_t>((n - 1) * n + n - 1)] = -1;
      const ArraySpec spec = {DType::kF32, {2, n, n}};
      Result<testing::KernelRun> run =
          MakeRun("cholesky", PackParams(std::vector<int64_t>{lower}), {spec}, {spec});
      ASSERT_TRUE(run.ok());
      std::memcpy(run->in[0].data(), a.data(), a.size() * 4);
      ASSERT_TRUE(run->Run(ProcessPool()).ok());
      const float* l = run->result<float>(0);
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < n; ++j) {
          const float x = l[i * n + j];
          if (lower ? j <= i : j >= i) {
            ASSERT_TRUE(std::isnan(x));
          } else {
            ASSERT_EQ(x, 0.0F);
          }
          ASSERT_FALSE(std::isnan(l[n * n + i * n + j]));
        }
      }
    }
  }
}

TEST(CholeskyTest, WorksInPlace) {
  const int64_t n = 70;
  const std::vector<double> a = Matrices<double>(1, n, true);
  const ArraySpec spec = {DType::kF64, {n, n}};
  for (const int64_t lower : {0, 1}) {
    Result<testing::KernelRun> run =
        MakeRun("cholesky", PackParams(std::vector<int64_t>{lower}), {spec}, {spec});
    ASSERT_TRUE(run.ok());
    ASSERT_EQ(run->kernel.in_place, 1U);
    std::memcpy(run->in[0].data(), a.data(), a.size() * 8);
    ASSERT_TRUE(run->Run(ProcessPool()).ok());
    const void* in[] = {run->in[0].data()};
    void* out[] = {run->in[0].data()};
    const KernelCall call = {in, out, run->scratch.data(), ProcessPool()};
    ASSERT_TRUE(run->kernel.run(run->kernel.state.get(), call).ok());
    EXPECT_EQ(std::memcmp(run->in[0].data(), run->out[0].data(), a.size() * 8), 0);
  }
}

TEST(CholeskyTest, RefusesWhatDoesNotFit) {
  const ArraySpec f32 = {DType::kF32, {3, 3}}, wide = {DType::kF32, {3, 4}},
                  bf16 = {DType::kBF16, {3, 3}}, vector = {DType::kF32, {3}};
  const std::string good = PackParams(std::vector<int64_t>{1});
  EXPECT_EQ(MakeRun("cholesky", "", {f32}, {f32}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("cholesky", PackParams(std::vector<int64_t>{2}), {f32}, {f32}).status().code(),
            Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("cholesky", good, {wide}, {wide}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("cholesky", good, {f32}, {wide}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("cholesky", good, {vector}, {vector}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(MakeRun("cholesky", good, {bf16}, {bf16}).status().code(), Code::kUnimplemented);
  EXPECT_TRUE(MakeRun("cholesky", good, {{DType::kF32, {0, 3, 3}}}, {{DType::kF32, {0, 3, 3}}})
                  ->Run(ProcessPool())
                  .ok());
}

// The residual of op(a) x = b (or x op(a) = b), every element against the size of its sum.
template <typename T>
void CheckSolve(int64_t n, int64_t m, bool left, bool lower, bool unit, int transpose) {
  SCOPED_TRACE(::testing::Message() << n << " " << m << " " << left << lower << unit << transpose);
  const int64_t batch = 2;
  std::vector<T> a = Matrices<T>(batch, n, false);
  if (unit) {
    for (T& x : a) x = x / static_cast<T>(static_cast<double>(2 * n));
  }
  const Shape b_shape = left ? Shape{batch, n, m} : Shape{batch, m, n};
  const ArraySpec b_spec = {kTypeOf<T>, b_shape};
  Result<testing::KernelRun> run =
      MakeRun("triangular_solve", PackParams(std::vector<int64_t>{left, lower, unit, transpose}),
              {{kTypeOf<T>, {batch, n, n}}, b_spec}, {b_spec});
  ASSERT_TRUE(run.ok()) << run.status().ToString();
  std::memcpy(run->in[0].data(), a.data(), a.size() * sizeof(T));
  T* in_a = run->operand<T>(0);
  for (int64_t i = 0; i < n; ++i) {  // the other triangle must not matter
    for (int64_t j = i + 1; j < n; ++j) in_a[lower ? i * n + j : j * n + i] = static_cast<T>(NAN);
    if (unit) in_a[i * n + i] = static_cast<T>(NAN);
  }
  std::mt19937 rng(7);
  T* b = run->operand<T>(1);
  for (int64_t i = 0; i < batch * n * m; ++i) b[i] = Random<T>(rng);
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  for (int64_t g = 0; g < batch; ++g) {
    const auto op = [&](int64_t i, int64_t j) -> c128 {
      if (transpose != 0) std::swap(i, j);
      if (lower ? j > i : j < i) return 0;
      if (i == j && unit) return 1;
      const c128 x = c128(a[static_cast<size_t>((g * n + i) * n + j)]);
      return transpose == 2 ? std::conj(x) : x;
    };
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < m; ++c) {
        c128 sum = 0;
        double size = 0;
        for (int64_t k = 0; k < n; ++k) {
          const int64_t at = left ? k * m + c : c * n + k;
          const c128 term = (left ? op(i, k) : op(k, i)) * c128(run->result<T>(0)[g * n * m + at]);
          sum += term;
          size += std::abs(term);
        }
        const int64_t at = left ? i * m + c : c * n + i;
        ASSERT_LE(std::abs(sum - c128(b[g * n * m + at])), Tolerance<T>(n) * (size + 1));
      }
    }
  }
}

template <typename T>
void CheckAllSolves() {
  for (int flags = 0; flags < 8; ++flags) {
    for (int transpose = 0; transpose < 3; ++transpose) {
      for (const auto& [n, m] :
           {std::pair<int64_t, int64_t>{1, 1}, {5, 3}, {64, 20}, {75, 1}, {90, 70}}) {
        CheckSolve<T>(n, m, (flags & 1) != 0, (flags & 2) != 0, (flags & 4) != 0, transpose);
        if (::testing::Test::HasFatalFailure()) return;
      }
    }
  }
}

TEST(TriangularSolveTest, SolvesF32) { CheckAllSolves<float>(); }
TEST(TriangularSolveTest, SolvesF64) { CheckAllSolves<double>(); }
TEST(TriangularSolveTest, SolvesC64) { CheckAllSolves<c64>(); }
TEST(TriangularSolveTest, SolvesC128) { CheckAllSolves<c128>(); }

TEST(TriangularSolveTest, ZeroPivotDivides) {
  Result<testing::KernelRun> run =
      MakeRun("triangular_solve", PackParams(std::vector<int64_t>{1, 1, 0, 0}),
              {{DType::kF32, {1, 1}}, {DType::kF32, {1, 2}}}, {{DType::kF32, {1, 2}}});
  ASSERT_TRUE(run.ok());
  run->operand<float>(0)[0] = 0;
  run->operand<float>(1)[0] = 1;
  run->operand<float>(1)[1] = 0;
  ASSERT_TRUE(run->Run(ProcessPool()).ok());
  EXPECT_EQ(run->result<float>(0)[0], std::numeric_limits<float>::infinity());
  EXPECT_TRUE(std::isnan(run->result<float>(0)[1]));
}

TEST(TriangularSolveTest, RefusesWhatDoesNotFit) {
  const ArraySpec a = {DType::kF32, {3, 3}}, b = {DType::kF32, {3, 4}}, d = {DType::kF64, {3, 4}};
  const std::string good = PackParams(std::vector<int64_t>{1, 1, 0, 0});
  const auto code = [](const std::string& params, std::vector<ArraySpec> in, ArraySpec out) {
    return MakeRun("triangular_solve", params, in, {out}).status().code();
  };
  EXPECT_EQ(code(good, {a, b}, b), Code::kOk);
  EXPECT_EQ(code("", {a, b}, b), Code::kInvalidArgument);
  EXPECT_EQ(code(PackParams(std::vector<int64_t>{1, 1, 2, 0}), {a, b}, b), Code::kInvalidArgument);
  EXPECT_EQ(code(PackParams(std::vector<int64_t>{0, 1, 0, 0}), {a, b}, b), Code::kInvalidArgument);
  EXPECT_EQ(code(good, {a, b}, a), Code::kInvalidArgument);
  EXPECT_EQ(code(good, {b, b}, b), Code::kInvalidArgument);
  EXPECT_EQ(code(good, {a, d}, d), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::kernels

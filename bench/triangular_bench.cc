// Speed of the library kernels "cholesky" and "triangular_solve", each beside the textbook loop in
// the element type.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <vector>

#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename F>
double Best(F&& f) {
  f();
  double best = 1e9;
  const double end = Now() + 0.3;
  for (int i = 0; i < 5 || Now() < end; ++i) {
    const double t = Now();
    f();
    best = std::min(best, Now() - t);
  }
  return best;
}

std::vector<float> Dominant(int64_t n) {
  std::vector<float> a(static_cast<size_t>(n * n));
  for (int64_t i = 0; i < n * n; ++i) a[static_cast<size_t>(i)] = static_cast<float>(i % 3);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j)
      a[static_cast<size_t>(j * n + i)] = a[static_cast<size_t>(i * n + j)];
    a[static_cast<size_t>(i * n + i)] = static_cast<float>(4 * n);
  }
  return a;
}

void NaiveCholesky(int64_t n, float* a) {
  for (int64_t j = 0; j < n; ++j) {
    for (int64_t i = j; i < n; ++i) {
      float sum = a[i * n + j];
      for (int64_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(sum) : sum / a[j * n + j];
    }
  }
}

void NaiveSolve(int64_t n, int64_t m, const float* a, float* x) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) {
      for (int64_t c = 0; c < m; ++c) x[i * m + c] -= a[i * n + j] * x[j * m + c];
    }
    for (int64_t c = 0; c < m; ++c) x[i * m + c] /= a[i * n + i];
  }
}

void Cholesky(int64_t batch, int64_t n) {
  const ArraySpec spec = {DType::kF32, {batch, n, n}};
  auto run = testing::MakeRun("cholesky", PackParams(std::vector<int64_t>{1}), {spec}, {spec});
  const std::vector<float> a = Dominant(n);
  for (int64_t b = 0; b < batch; ++b)
    std::copy(a.begin(), a.end(), run->operand<float>(0) + b * n * n);
  WorkPool one(1);
  const double t = Best([&] { (void)run->Run(ProcessPool()); });
  const double t1 = Best([&] { (void)run->Run(one); });
  std::vector<float> copy(a.size());
  const double naive = Best([&] {
    for (int64_t b = 0; b < batch; ++b) {
      std::copy(a.begin(), a.end(), copy.begin());
      NaiveCholesky(n, copy.data());
    }
  });
  std::printf("cholesky %4ld x %4ld: %9.1f us, one thread %9.1f us, loop %9.1f us, ratio %.2f\n",
              static_cast<long>(batch), static_cast<long>(n), t * 1e6, t1 * 1e6, naive * 1e6,
              naive / t);
}

void Solve(int64_t n, int64_t m, bool left) {
  const ArraySpec a = {DType::kF32, {n, n}}, b = {DType::kF32, left ? Shape{n, m} : Shape{m, n}};
  auto run = testing::MakeRun("triangular_solve", PackParams(std::vector<int64_t>{left, 1, 0, 0}),
                              {a, b}, {b});
  const std::vector<float> matrix = Dominant(n);
  std::copy(matrix.begin(), matrix.end(), run->operand<float>(0));
  std::fill_n(run->operand<float>(1), n * m, 1.0F);
  WorkPool one(1);
  const double t = Best([&] { (void)run->Run(ProcessPool()); });
  const double t1 = Best([&] { (void)run->Run(one); });
  std::vector<float> x(static_cast<size_t>(n * m));
  const double naive = Best([&] {
    std::fill(x.begin(), x.end(), 1.0F);
    NaiveSolve(n, m, matrix.data(), x.data());
  });
  std::printf(
      "solve %s %4ld x %4ld: %9.1f us, one thread %9.1f us, loop (left) %9.1f us, ratio %.2f\n",
      left ? "left " : "right", static_cast<long>(n), static_cast<long>(m), t * 1e6, t1 * 1e6,
      naive * 1e6, naive / t);
}

}  // namespace
}  // namespace megalith::kernels

int main() {
  for (const auto& [batch, n] :
       {std::pair<int64_t, int64_t>{1, 16}, {1, 64}, {1, 512}, {1, 1024}, {64, 32}}) {
    megalith::kernels::Cholesky(batch, n);
  }
  for (const bool left : {true, false}) {
    for (const auto& [n, m] : {std::pair<int64_t, int64_t>{32, 32}, {512, 1}, {512, 512}}) {
      megalith::kernels::Solve(n, m, left);
    }
  }
  return 0;
}

// Speed of the library kernel "fft", beside an iterative radix-2 transform in plain loops.
#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <complex>
#include <cstdio>
#include <numbers>
#include <vector>

#include "common/machines/kernels/fft.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

using c64 = std::complex<float>;

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

void Radix2(const std::vector<c64>& roots, c64* x) {
  const auto n = static_cast<int64_t>(2 * roots.size());
  const int bits = std::countr_zero(static_cast<uint64_t>(n));
  for (int64_t i = 0; i < n; ++i) {
    int64_t j = 0;
    for (int b = 0; b < bits; ++b) j |= ((i >> b) & 1) << (bits - 1 - b);
    if (j > i) std::swap(x[i], x[j]);
  }
  for (int64_t half = 1; half < n; half *= 2) {
    for (int64_t start = 0; start < n; start += 2 * half) {
      for (int64_t k = 0; k < half; ++k) {
        const c64 w = roots[static_cast<size_t>(k * (n / (2 * half)))], a = x[start + half + k];
        const c64 odd(a.real() * w.real() - a.imag() * w.imag(),
                      a.real() * w.imag() + a.imag() * w.real());
        x[start + half + k] = x[start + k] - odd;
        x[start + k] += odd;
      }
    }
  }
}

void Run(int64_t batch, int64_t n) {
  const ArraySpec spec = {DType::kC64, {batch, n}};
  auto run = testing::MakeRun("fft", PackParams(std::vector<int64_t>{0, 1, n}), {spec}, {spec});
  if (!run.ok()) return;
  std::fill_n(run->operand<float>(0), 2 * batch * n, 0.25F);
  WorkPool one(1);
  const double t = Best([&] { (void)run->Run(ProcessPool()); });
  const double t1 = Best([&] { (void)run->Run(one); });
  const double flops = 5 * static_cast<double>(batch * n) * std::log2(static_cast<double>(n));
  std::printf("%5lld x %8lld: %9.1f us %6.1f GFLOP/s, one thread %9.1f us, scratch %8llu",
              static_cast<long long>(batch), static_cast<long long>(n), t * 1e6, flops / t * 1e-9,
              t1 * 1e6, static_cast<unsigned long long>(run->kernel.scratch_bytes));
  if (std::has_single_bit(static_cast<uint64_t>(n)) && n > 1) {
    std::vector<c64> roots, x(static_cast<size_t>(n), c64(0.25F));
    for (int64_t k = 0; k < n / 2; ++k) {
      roots.push_back(
          std::polar(1.0F, static_cast<float>(-2 * std::numbers::pi * static_cast<double>(k) /
                                              static_cast<double>(n))));
    }
    const double plain = Best([&] {
      for (int64_t b = 0; b < batch; ++b) Radix2(roots, x.data());
    });
    std::printf(", radix 2 %9.1f us, ratio %.2f", plain * 1e6, plain / t);
  }
  std::printf("\n");
}

}  // namespace
}  // namespace megalith::kernels

int main() {
  for (const auto& [batch, n] : {std::pair<int64_t, int64_t>{1, 16},
                                 {1, 256},
                                 {1, 1024},
                                 {64, 1024},
                                 {1, 4096},
                                 {1, 65536},
                                 {1, 1 << 20},
                                 {1, 1000},
                                 {16, 997},
                                 {1, 44100}}) {
    megalith::kernels::Run(batch, n);
  }
  return 0;
}

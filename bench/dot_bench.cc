// Speed of the library kernel "dot" over a grid of shapes, each beside OpenBLAS in the same process
// if it is installed. OpenBLAS 0.3.21 does not know recent processors: set OPENBLAS_CORETYPE
// (SkylakeX where there is AVX-512) to see its best.
#include <dlfcn.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "common/machines/kernels/dot.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

struct Case {
  int64_t batch, m, n, k;
  bool lhs_t = false, rhs_t = false;
};

double Seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// The least of many runs, in seconds.
template <typename F>
double Best(clockid_t clock, F&& f) {
  f();
  double best = 1e9;
  const double end = Seconds(CLOCK_MONOTONIC) + 0.2;
  for (int i = 0; i < 5 || Seconds(CLOCK_MONOTONIC) < end; ++i) {
    const double t = Seconds(clock);
    f();
    best = std::min(best, Seconds(clock) - t);
  }
  return best;
}

using Sgemm = void (*)(int order, int lhs_t, int rhs_t, int m, int n, int k, float alpha,
                       const float* a, int lda, const float* b, int ldb, float beta, float* c,
                       int ldc);

Sgemm LoadPeer() {
  void* library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  return library == nullptr ? nullptr : reinterpret_cast<Sgemm>(dlsym(library, "cblas_sgemm"));
}

void Run(const Case& c, Sgemm peer) {
  DotParams p;
  p.batch = c.batch;
  p.m = c.m;
  p.n = c.n;
  p.k = c.k;
  p.lhs_batch = c.m * c.k;
  p.lhs_row = c.lhs_t ? 1 : c.k;
  p.lhs_col = c.lhs_t ? c.m : 1;
  p.rhs_batch = c.k * c.n;
  p.rhs_row = c.rhs_t ? 1 : c.n;
  p.rhs_col = c.rhs_t ? c.k : 1;
  auto run = testing::MakeRun(
      "dot", p.Pack(), {{DType::kF32, {c.batch, c.m, c.k}}, {DType::kF32, {c.batch, c.k, c.n}}},
      {{DType::kF32, {c.batch, c.m, c.n}}});
  if (!run.ok()) {
    std::printf("%s\n", run.status().ToString().c_str());
    return;
  }
  for (size_t i = 0; i < 2; ++i) {
    std::fill_n(run->operand<float>(i), run->in[i].size() / sizeof(float), 0.5F);
  }
  const double flops = 2.0 * static_cast<double>(c.batch * c.m) * static_cast<double>(c.n * c.k);
  WorkPool one(1);
  const double t = Best(CLOCK_MONOTONIC, [&] { (void)run->Run(ProcessPool()); });
  const double cpu = Best(CLOCK_THREAD_CPUTIME_ID, [&] { (void)run->Run(one); });
  std::printf("%3lld x %5lld %5lld %5lld %s%s: %9.1f us %6.1f GFLOP/s, CPU of one thread %9.1f us",
              static_cast<long long>(c.batch), static_cast<long long>(c.m),
              static_cast<long long>(c.n), static_cast<long long>(c.k), c.lhs_t ? "t" : "n",
              c.rhs_t ? "t" : "n", t * 1e6, flops / t * 1e-9, cpu * 1e6);
  if (peer != nullptr) {
    constexpr int kRowMajor = 101, kPlain = 111, kTransposed = 112;
    const auto i = [](int64_t x) { return static_cast<int>(x); };
    const double other = Best(CLOCK_MONOTONIC, [&] {
      for (int64_t b = 0; b < c.batch; ++b) {
        peer(kRowMajor, c.lhs_t ? kTransposed : kPlain, c.rhs_t ? kTransposed : kPlain, i(c.m),
             i(c.n), i(c.k), 1, run->operand<float>(0) + b * c.m * c.k, i(c.lhs_t ? c.m : c.k),
             run->operand<float>(1) + b * c.k * c.n, i(c.rhs_t ? c.k : c.n), 0,
             run->result<float>(0) + b * c.m * c.n, i(c.n));
      }
    });
    std::printf(", OpenBLAS %9.1f us, ratio %.2f", other * 1e6, other / t);
  }
  std::printf("\n");
}

}  // namespace
}  // namespace megalith::kernels

int main() {
  using megalith::kernels::Case;
  const auto peer = megalith::kernels::LoadPeer();
  for (const Case& c : {Case{1, 4, 4, 4},
                        Case{1, 16, 16, 16},
                        Case{1, 64, 64, 64},
                        Case{1, 64, 64, 64, false, true},
                        Case{1, 128, 128, 128},
                        Case{1, 256, 256, 256},
                        Case{1, 512, 512, 512},
                        Case{1, 512, 512, 512, false, true},
                        Case{1, 512, 512, 512, true, false},
                        Case{1, 1024, 1024, 1024},
                        Case{1, 2048, 2048, 2048},
                        Case{1, 128, 512, 784},
                        Case{1, 784, 512, 128, true, false},
                        Case{1, 128, 10, 512},
                        Case{1, 4096, 512, 512},
                        Case{1, 512, 128, 512},
                        Case{32, 64, 64, 32, false, true},
                        Case{32, 64, 32, 64},
                        Case{1, 1, 512, 512},
                        Case{1, 1, 512, 512, false, true},
                        Case{1, 512, 1, 512},
                        Case{1, 1, 4096, 4096},
                        Case{1, 8, 512, 512},
                        Case{1, 1000, 1000, 1000}}) {
    megalith::kernels::Run(c, peer);
  }
  return 0;
}

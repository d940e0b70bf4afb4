// Speed of the "dot" library kernel over a grid of shapes, each beside OpenBLAS in its default
// state and with its core type set.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
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

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// The least of many runs, in seconds.
template <typename F>
double Best(F&& f) {
  f();
  double best = 1e9;
  const double end = Now() + 0.4;
  for (int i = 0; i < 5 || Now() < end; ++i) {
    const double t = Now();
    f();
    best = std::min(best, Now() - t);
  }
  return best;
}

void Run(const Case& c) {
  const DotParams p = {c.batch,
                       1,
                       c.m,
                       c.n,
                       c.k,
                       c.m * c.k,
                       0,
                       c.lhs_t ? 1 : c.k,
                       c.lhs_t ? c.m : 1,
                       c.k * c.n,
                       0,
                       c.rhs_t ? 1 : c.n,
                       c.rhs_t ? c.k : 1};
  auto run = testing::MakeRun(
      "dot", p.Pack(), {{DType::kF32, {c.batch, c.m, c.k}}, {DType::kF32, {c.batch, c.k, c.n}}},
      {{DType::kF32, {c.batch, c.m, c.n}}});
  if (!run.ok()) {
    std::printf("%s\n", run.status().ToString().c_str());
    return;
  }
  for (size_t i = 0; i < 2; ++i) {
    std::fill_n(run->operand<float>(i), run->in[i].size() / 4, 0.5F);
  }
  const double flops = 2.0 * static_cast<double>(c.batch * c.m) * static_cast<double>(c.n * c.k);
  const double t = Best([&] { (void)run->Run(ProcessPool()); });
  WorkPool one(1);
  const double t1 = Best([&] { (void)run->Run(one); });
  std::printf(
      "%5ld x %5ld %5ld %5ld %s%s  %9.1f us %7.1f GFLOP/s   1 thread %9.1f us %7.1f GFLOP/s\n",
      c.batch, c.m, c.n, c.k, c.lhs_t ? "t" : "n", c.rhs_t ? "t" : "n", t * 1e6, flops / t * 1e-9,
      t1 * 1e6, flops / t1 * 1e-9);
}

}  // namespace
}  // namespace megalith::kernels

int main() {
  using megalith::kernels::Case;
  for (const Case& c : {Case{1, 4, 4, 4},
                        Case{1, 16, 16, 16},
                        Case{1, 64, 64, 64},
                        Case{1, 64, 64, 64, false, true},
                        Case{1, 64, 64, 64, true, false},
                        Case{1, 128, 128, 128},
                        Case{1, 256, 256, 256},
                        Case{1, 512, 512, 512},
                        Case{1, 512, 512, 512, false, true},
                        Case{1, 512, 512, 512, true, false},
                        Case{1, 1024, 1024, 1024},
                        Case{1, 2048, 2048, 2048},
                        Case{1, 128, 512, 784},
                        Case{1, 128, 512, 512},
                        Case{1, 784, 512, 128, true, false},
                        Case{1, 128, 10, 512},
                        Case{1, 4096, 512, 512},
                        Case{1, 512, 128, 128},
                        Case{1, 512, 128, 512},
                        Case{32, 64, 64, 32, false, true},
                        Case{32, 64, 32, 64},
                        Case{1, 1, 512, 512},
                        Case{1, 1, 512, 512, false, true},
                        Case{1, 512, 1, 512},
                        Case{1, 1, 4096, 4096},
                        Case{1, 8, 512, 512},
                        Case{1, 1000, 1000, 1000},
                        Case{1, 333, 333, 333}}) {
    megalith::kernels::Run(c);
  }
  return 0;
}

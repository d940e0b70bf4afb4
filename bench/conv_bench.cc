// Speed of the library kernel "convolution" on layers of small networks and their gradients, each
// beside the plain loop over taps.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <vector>

#include "common/machines/kernels/convolution.h"
#include "common/machines/kernels/kernel_test_util.h"

namespace megalith::kernels {
namespace {

// CPU time of this thread, which other load on the machine does not change much.
double CpuNow() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename F>
double Best(F&& f, double (*now)() = Now) {
  f();
  double best = 1e9;
  const double end = Now() + 0.3;
  for (int i = 0; i < 3 || Now() < end; ++i) {
    const double t = now();
    f();
    best = std::min(best, now() - t);
  }
  return best;
}

struct Layer {
  int64_t n, size, c, o, taps;
};

// The same sums by loops, features last.
void Loops(const Layer& l, const float* x, const float* w, float* y) {
  const int64_t pad = l.taps / 2;
  std::fill_n(y, l.n * l.size * l.size * l.o, 0.0F);
  for (int64_t b = 0; b < l.n; ++b) {
    for (int64_t i = 0; i < l.size * l.size; ++i) {
      float* to = y + (b * l.size * l.size + i) * l.o;
      for (int64_t t = 0; t < l.taps * l.taps; ++t) {
        const int64_t r = i / l.size + t / l.taps - pad, q = i % l.size + t % l.taps - pad;
        if (r < 0 || q < 0 || r >= l.size || q >= l.size) continue;
        const float* from = x + ((b * l.size + r) * l.size + q) * l.c;
        for (int64_t f = 0; f < l.c; ++f) {
          const float* row = w + (t * l.c + f) * l.o;
          for (int64_t o = 0; o < l.o; ++o) to[o] += from[f] * row[o];
        }
      }
    }
  }
}

void Run(const char* name, const ConvParams& p, const Shape& in, const Shape& kernel,
         const Shape& out, double flops, double loop) {
  auto run = testing::MakeRun("convolution", p.Pack(), {{DType::kF32, in}, {DType::kF32, kernel}},
                              {{DType::kF32, out}});
  if (!run.ok()) {
    std::printf("%s: %s\n", name, run.status().ToString().c_str());
    return;
  }
  for (size_t i = 0; i < 2; ++i) {
    std::fill_n(run->operand<float>(i), run->in[i].size() / 4, 0.5F);
  }
  WorkPool one(1);
  const double t = Best([&] { (void)run->Run(ProcessPool()); });
  const double t1 = Best([&] { (void)run->Run(one); }, CpuNow);
  std::printf(
      "  %-16s %9.1f us %7.1f GFLOP/s, CPU of one thread %9.1f us, scratch %llu, ratio %.2f\n",
      name, t * 1e6, flops / t * 1e-9, t1 * 1e6,
      static_cast<unsigned long long>(run->kernel.scratch_bytes), loop / t);
}

void Bench(const Layer& l) {
  const int64_t pad = l.taps / 2, s = l.size, k = l.taps;
  const double flops =
      2.0 * static_cast<double>(l.n * s * s * l.c) * static_cast<double>(l.o * k * k);
  std::printf("n %lld, %lld x %lld, %lld to %lld, %lld x %lld taps\n", (long long)l.n, (long long)s,
              (long long)s, (long long)l.c, (long long)l.o, (long long)k, (long long)k);
  std::vector<float> x(static_cast<size_t>(l.n * s * s * l.c), 0.5F),
      w(static_cast<size_t>(k * k * l.c * l.o), 0.5F), y(static_cast<size_t>(l.n * s * s * l.o));
  const double loop = Best([&] { Loops(l, x.data(), w.data(), y.data()); });
  const ConvWindow window = {1, pad, pad};
  ConvParams p;
  p.window = {window, window};
  p.input_feature = p.output_feature = 3;
  p.input_spatial = p.output_spatial = {1, 2};
  p.kernel_spatial = {0, 1};
  p.kernel_input_feature = 2;
  p.kernel_output_feature = 3;
  Run("NHWC", p, {l.n, s, s, l.c}, {k, k, l.c, l.o}, {l.n, s, s, l.o}, flops, loop);
  ConvParams dx = p;
  dx.kernel_input_feature = 3;
  dx.kernel_output_feature = 2;
  for (ConvWindow& d : dx.window) d.reversal = true;
  Run("NHWC d input", dx, {l.n, s, s, l.o}, {k, k, l.c, l.o}, {l.n, s, s, l.c}, flops, loop);
  ConvParams dw = p;
  dw.input_feature = 0;
  dw.input_batch = 3;
  dw.kernel_input_feature = 0;
  dw.kernel_spatial = {1, 2};
  dw.kernel_output_feature = 3;
  dw.output_batch = 2;
  dw.output_spatial = {0, 1};
  Run("NHWC d kernel", dw, {l.n, s, s, l.c}, {l.n, s, s, l.o}, {k, k, l.c, l.o}, flops, loop);
  ConvParams nchw;
  nchw.window = {window, window};
  nchw.input_feature = nchw.output_feature = nchw.kernel_input_feature = 1;
  nchw.input_spatial = nchw.output_spatial = nchw.kernel_spatial = {2, 3};
  Run("NCHW", nchw, {l.n, l.c, s, s}, {l.o, l.c, k, k}, {l.n, l.o, s, s}, flops, loop);
  ConvParams ndx = nchw;
  ndx.kernel_input_feature = 0;
  ndx.kernel_output_feature = 1;
  for (ConvWindow& d : ndx.window) d.reversal = true;
  Run("NCHW d input", ndx, {l.n, l.o, s, s}, {l.o, l.c, k, k}, {l.n, l.c, s, s}, flops, loop);
  ConvParams ndw = nchw;
  ndw.input_batch = ndw.output_batch = 1;
  ndw.input_feature = 0;
  ndw.kernel_input_feature = 0;
  ndw.kernel_output_feature = 1;
  ndw.output_batch = 1;
  ndw.output_feature = 0;
  Run("NCHW d kernel", ndw, {l.n, l.c, s, s}, {l.n, l.o, s, s}, {l.o, l.c, k, k}, flops, loop);
}

}  // namespace
}  // namespace megalith::kernels

int main() {
  using megalith::kernels::Layer;
  for (const Layer& l : {Layer{32, 28, 16, 32, 3}, Layer{32, 28, 1, 16, 3},
                         Layer{32, 14, 64, 64, 3}, Layer{8, 28, 128, 256, 1}}) {
    megalith::kernels::Bench(l);
  }
  return 0;
}

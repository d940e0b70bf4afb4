// Kernels that sort and move data, each against a plain way of doing the same in the same run:
// data_bench [filter]. Prints milliseconds (least of several runs) and the ratio to the peer's.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <functional>
#include <numeric>

#include "common/machines/kernels/kernel_testing.h"

namespace megalith::kernels {
namespace {

double Milliseconds(const std::function<void()>& before, const std::function<void()>& work) {
  double best = 1e30;
  double total = 0;
  for (int i = 0; i < 50 && (i < 5 || total < 300); ++i) {
    before();
    const auto start = std::chrono::steady_clock::now();
    work();
    const double ms =
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
    best = std::min(best, ms);
    total += ms;
  }
  return best;
}

class Bench {
 public:
  explicit Bench(std::string filter) : filter_(std::move(filter)) {}

  void Run(const std::string& title, std::string_view kernel_name,
           const std::vector<int64_t>& params, const std::vector<Tensor>& in,
           const std::vector<ArraySpec>& out, const std::string& peer,
           const std::function<void()>& peer_before, const std::function<void()>& peer_work,
           bool in_place = false) {
    if (title.find(filter_) == std::string::npos) return;
    std::vector<ArraySpec> specs;
    std::vector<const void*> from;
    for (const Tensor& t : in) {
      specs.push_back(SpecOf(t));
      from.push_back(t.data());
    }
    const auto kernel = PrepareByName(kernel_name, params, specs, out);
    if (!kernel.ok()) {
      std::printf("%-34s %s\n", title.c_str(), kernel.status().ToString().c_str());
      return;
    }
    std::vector<Tensor> results;
    std::vector<void*> to;
    for (const ArraySpec& spec : out) {
      results.push_back(*Tensor::Create(spec.dtype, spec.shape));
      to.push_back(results.back().mutable_data());
    }
    if (in_place) {
      std::memcpy(to[0], from[0], results[0].byte_size());
      from[0] = to[0];
    }
    const ScratchRoom scratch(kernel->scratch_bytes);
    double ms[2];
    for (const int threads : {1, 2}) {
      WorkPool pool(threads);
      ms[threads - 1] = Milliseconds(
          [] {}, [&] { (void)CallKernel(*kernel, from, to, scratch.data, pool).ok(); });
    }
    const double peer_ms = Milliseconds(peer_before, peer_work);
    std::printf("%-34s %9.3f ms, 2 threads %9.3f ms, %s %9.3f ms: %.2fx, %.2fx\n", title.c_str(),
                ms[0], ms[1], peer.c_str(), peer_ms, peer_ms / ms[0], peer_ms / ms[1]);
  }

 private:
  std::string filter_;
};

void SortBenches(Bench& bench, std::mt19937_64& rng) {
  for (const auto& [rows, n] : std::vector<std::pair<int64_t, int64_t>>{
           {1, 1 << 20}, {1, 1 << 24}, {1 << 10, 1 << 10}, {1 << 14, 64}, {1 << 16, 16}}) {
    const Tensor t = RandomTensor(DType::kF32, Shape{rows, n}, rng, false);
    std::vector<float> copy;
    const auto fill = [&] { copy.assign(t.As<float>().begin(), t.As<float>().end()); };
    const auto sort = [&] {
      for (int64_t r = 0; r < rows; ++r) std::sort(copy.data() + r * n, copy.data() + (r + 1) * n);
    };
    const std::string size = StrCat(rows, "x", n);
    bench.Run("sort f32 " + size, "sort", {1, 1, 0, 1, 0}, {t}, {SpecOf(t)}, "std::sort", fill,
              sort);
    if (n > (1 << 20)) continue;
    const ArraySpec index{DType::kI32, t.shape()};
    Tensor iota = *Tensor::Create(DType::kI32, t.shape());
    for (int64_t i = 0; i < iota.size(); ++i) iota.SetInt(i, i % n);
    std::vector<int32_t> order;
    bench.Run(
        "argsort f32 " + size, "sort", {1, 1, 0, 1, 0}, {t, iota}, {SpecOf(t), index},
        "std::stable_sort",
        [&] { order.assign(iota.As<int32_t>().begin(), iota.As<int32_t>().end()); },
        [&] {
          for (int64_t r = 0; r < rows; ++r) {
            const float* row = t.As<float>().data() + r * n;
            std::stable_sort(order.data() + r * n, order.data() + (r + 1) * n,
                             [&](int32_t a, int32_t b) { return row[a] < row[b]; });
          }
        });
  }
}

}  // namespace
}  // namespace megalith::kernels

int main(int argc, char** argv) {
  std::mt19937_64 rng(1);
  megalith::kernels::Bench bench(argc > 1 ? argv[1] : "");
  megalith::kernels::SortBenches(bench, rng);
  return 0;
}

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

Tensor Indices(int64_t n, int64_t most, std::mt19937_64& rng) {
  Tensor t = *Tensor::Create(DType::kI32, Shape{n, 1});
  for (int64_t i = 0; i < n; ++i)
    t.SetInt(i, static_cast<int64_t>(rng() % static_cast<uint64_t>(most)));
  return t;
}

// Rows of a table: 1 M of 32 floats; and single elements.
void IndexBenches(Bench& bench, std::mt19937_64& rng) {
  for (const int64_t row : {32, 1}) {
    const int64_t n = 1 << 20;
    const Tensor table = RandomTensor(DType::kF32, Shape{n, row}, rng, false);
    const Tensor updates = RandomTensor(DType::kF32, Shape{n, row}, rng, false);
    const Tensor indices = Indices(n, n, rng);
    const std::vector<float> from(table.As<float>().begin(), table.As<float>().end());
    std::vector<float> to(from);
    const int32_t* at = indices.As<int32_t>().data();
    const std::string size = StrCat(" 1Mx", row, " f32");
    bench.Run(
        "gather" + size, "gather", {1, 1, 1, 0, 0, 0, 1, 0, 1, 2, 1, row}, {table, indices},
        {SpecOf(table)}, "loop", [] {},
        [&] {
          for (int64_t i = 0; i < n; ++i) {
            for (int64_t j = 0; j < row; ++j)
              to[static_cast<size_t>(i * row + j)] = from[static_cast<size_t>(at[i] * row + j)];
          }
        });
    const float* u = updates.As<float>().data();
    const auto add = [&] {
      for (int64_t i = 0; i < n; ++i) {
        for (int64_t j = 0; j < row; ++j)
          to[static_cast<size_t>(at[i] * row + j)] += u[i * row + j];
      }
    };
    for (const bool in_place : {true, false}) {
      bench.Run((in_place ? "scatter-add in place" : "scatter-add") + size, "scatter",
                {1, 1, 1, 0, 0, 0, 1, 0, 1, 1}, {table, indices, updates}, {SpecOf(table)},
                in_place ? "loop" : "copy and loop", [] {},
                [&] {
                  if (!in_place) std::memcpy(to.data(), from.data(), from.size() * 4);
                  add();
                },
                in_place);
    }
  }
}

void CopyBenches(Bench& bench, std::mt19937_64& rng) {
  for (const DType dtype : {DType::kU8, DType::kBF16, DType::kF32, DType::kF64}) {
    for (const int64_t n : {256, 2048, 4096}) {
      const Tensor t = RandomTensor(dtype, Shape{n, n}, rng, false);
      std::vector<char> to(t.byte_size());
      bench.Run(
          StrCat("transpose ", tensor::Name(dtype), " ", n, "x", n), "strided_copy",
          {0, 2, n, n, 0, 2, n, 1, 0, 2, 1, n}, {t}, {SpecOf(t)}, "memcpy", [] {},
          [&] { std::memcpy(to.data(), t.data(), to.size()); });
    }
  }
  const Tensor t = RandomTensor(DType::kF32, Shape{16, 128, 8, 64}, rng, false);
  std::vector<char> to(t.byte_size());
  bench.Run(
      "swap heads f32 16x128x8x64", "strided_copy",
      {0, 4, 16, 8, 128, 64, 0, 4, 65536, 8192, 64, 1, 0, 4, 65536, 64, 512, 1}, {t},
      {{DType::kF32, Shape{16, 8, 128, 64}}}, "memcpy", [] {},
      [&] { std::memcpy(to.data(), t.data(), to.size()); });
  bench.Run(
      "reverse f32 1M", "strided_copy", {0, 1, 1 << 20, 0, 1, 1, (1 << 20) - 1, 1, -1},
      {RandomTensor(DType::kF32, Shape{1 << 20}, rng, false)}, {{DType::kF32, Shape{1 << 20}}},
      "memcpy", [] {}, [&] { std::memcpy(to.data(), t.data(), 4 << 20); });
}

void WindowBenches(Bench& bench, std::mt19937_64& rng) {
  for (const auto& [rows, n] :
       std::vector<std::pair<int64_t, int64_t>>{{1, 1 << 20}, {1024, 1024}, {65536, 16}}) {
    const Tensor t = RandomTensor(DType::kF32, Shape{rows, n}, rng, false);
    const float* x = t.As<float>().data();
    std::vector<float> to(static_cast<size_t>(t.size()));
    bench.Run(
        StrCat("cumsum f32 ", rows, "x", n), "cumulative", {1, 1, 0}, {t}, {SpecOf(t)}, "loop",
        [] {},
        [&] {
          for (int64_t r = 0; r < rows; ++r) {
            float sum = 0;
            for (int64_t i = 0; i < n; ++i)
              to[static_cast<size_t>(r * n + i)] = sum += x[r * n + i];
          }
        });
    bench.Run(
        StrCat("cumsum f32 columns ", rows, "x", n), "cumulative", {1, 0, 0}, {t}, {SpecOf(t)},
        "loop", [] {},
        [&] {
          std::memcpy(to.data(), x, to.size() * 4);
          for (int64_t i = n; i < rows * n; ++i)
            to[static_cast<size_t>(i)] += to[static_cast<size_t>(i - n)];
        });
    const ArraySpec index{DType::kI32, Shape{rows}};
    std::vector<int64_t> places(static_cast<size_t>(rows));
    bench.Run(
        StrCat("argmax f32 ", rows, "x", n), "argminmax", {1, 0}, {t}, {index}, "std::max_element",
        [] {},
        [&] {
          for (int64_t r = 0; r < rows; ++r)
            places[static_cast<size_t>(r)] = std::max_element(x + r * n, x + (r + 1) * n) - x;
        });
    bench.Run(
        StrCat("argmax f32 columns ", rows, "x", n), "argminmax", {0, 0}, {t},
        {{DType::kI32, Shape{n}}}, "memcpy", [] {},
        [&] { std::memcpy(to.data(), x, to.size() * 4); });
    const int64_t k = std::min<int64_t>(n, 10);
    bench.Run(
        StrCat("top_k 10 f32 ", rows, "x", n), "top_k", {}, {t},
        {{DType::kF32, Shape{rows, k}}, {DType::kI32, Shape{rows, k}}}, "std::partial_sort",
        [&] { std::memcpy(to.data(), x, to.size() * 4); },
        [&] {
          for (int64_t r = 0; r < rows; ++r) {
            float* row = to.data() + r * n;
            std::partial_sort(row, row + k, row + n, std::greater<>());
          }
        });
  }
  const Tensor image = RandomTensor(DType::kF32, Shape{8, 112, 112, 64}, rng, false);
  const Tensor zero = *Tensor::Create(DType::kF32, Shape{});
  std::vector<char> to(image.byte_size());
  const auto copy = [&] { std::memcpy(to.data(), image.data(), to.size()); };
  const ArraySpec half{DType::kF32, Shape{8, 56, 56, 64}};
  bench.Run(
      "max pool NHWC 3x3/2", "reduce_window",
      {4, 4, 1, 3, 3, 1, 4, 1, 2, 2, 1, 4, 0, 0, 0, 0, 4, 0, 1, 1, 0, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1},
      {image, zero}, {half}, "memcpy", [] {}, copy);
  const Tensor planes = image.Reshaped(Shape{8, 64, 112, 112});
  bench.Run(
      "max pool NCHW 3x3/2", "reduce_window",
      {4, 4, 1, 1, 3, 3, 4, 1, 1, 2, 2, 4, 0, 0, 0, 0, 4, 0, 0, 1, 1, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1},
      {planes, zero}, {{DType::kF32, Shape{8, 64, 56, 56}}}, "memcpy", [] {}, copy);
  bench.Run(
      "sum pool NHWC 5x5", "reduce_window",
      {1, 4, 1, 5, 5, 1, 4, 1, 1, 1, 1, 4, 0, 2, 2, 0, 4, 0, 2, 2, 0, 4, 1, 1, 1, 1, 4, 1, 1, 1, 1},
      {image, zero}, {SpecOf(image)}, "memcpy", [] {}, copy);
  const Tensor source = RandomTensor(DType::kF32, half.shape, rng, false);
  bench.Run(
      "max pool gradient NHWC 3x3/2", "select_and_scatter",
      {0, 1, 4, 1, 3, 3, 1, 4, 1, 2, 2, 1, 4, 0, 0, 0, 0, 4, 0, 1, 1, 0}, {image, source, zero},
      {SpecOf(image)}, "memcpy", [] {}, copy);
  bench.Run(
      "max pool gradient NCHW 3x3/2", "select_and_scatter",
      {0, 1, 4, 1, 1, 3, 3, 4, 1, 1, 2, 2, 4, 0, 0, 0, 0, 4, 0, 0, 1, 1},
      {planes, source.Reshaped(Shape{8, 64, 56, 56}), zero}, {SpecOf(planes)}, "memcpy", [] {},
      copy);
}

void RngBenches(Bench& bench, std::mt19937_64&) {
  Tensor state = *Tensor::Create(DType::kU64, Shape{2});
  const ArraySpec bits{DType::kU32, Shape{1 << 20}};
  std::vector<uint32_t> to(1 << 20);
  std::mt19937 peer;
  for (const int64_t kind : {0, 1}) {
    bench.Run(
        kind == 0 ? "threefry 1M u32" : "philox 1M u32", "rng_bit_generator", {kind}, {state},
        {SpecOf(state), bits}, "std::mt19937", [] {}, [&] { std::ranges::generate(to, peer); });
  }
}

}  // namespace
}  // namespace megalith::kernels

int main(int argc, char** argv) {
  std::mt19937_64 rng(1);
  megalith::kernels::Bench bench(argc > 1 ? argv[1] : "");
  megalith::kernels::SortBenches(bench, rng);
  megalith::kernels::IndexBenches(bench, rng);
  megalith::kernels::CopyBenches(bench, rng);
  megalith::kernels::WindowBenches(bench, rng);
  megalith::kernels::RngBenches(bench, rng);
  return 0;
}

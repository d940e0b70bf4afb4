// Nanoseconds per element of the tile routines beside a scalar loop over the C library, and what
// the tile interpreter adds to them.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "common/machines/kernels/math_reference.h"
#include "common/machines/kernels/tile_sets.h"
#include "common/machines/runtime/loop_tiles.h"

namespace megalith {
namespace {

using kernels::ScalarOp;
using runtime::DType;

// Least of some runs of about a millisecond.
template <typename F>
double Nanoseconds(F&& f) {
  using Clock = std::chrono::steady_clock;
  double best = 1e30;
  for (int run = 0; run < 15; ++run) {
    int turns = 0;
    const auto start = Clock::now();
    double seconds = 0;
    do {
      f();
      ++turns;
      seconds = std::chrono::duration<double>(Clock::now() - start).count();
    } while (seconds < 1e-3);
    best = std::min(best, seconds * 1e9 / turns);
  }
  return best;
}

constexpr int kElements = 512;

template <typename T>
void BenchOp(ScalarOp op, DType type, double (*reference)(double)) {
  std::vector<T> x(kElements), y(kElements), out(kElements);
  for (int i = 0; i < kElements; ++i) {
    x[static_cast<size_t>(i)] = static_cast<T>(0.05 + 0.9 * i / kElements);
    y[static_cast<size_t>(i)] = static_cast<T>(1.5 - 0.9 * i / kElements);
  }
  const void* in[] = {x.data(), y.data()};
  std::printf("%-16s %s", std::string(kernels::FindScalarOp(op)->name).c_str(),
              sizeof(T) == 4 ? "f32" : "f64");
  for (const kernels::TileSet& set : kernels::TileSetsHere()) {
    const kernels::TileFn fn = kernels::FindIn(set, op, type, type);
    const double ns = Nanoseconds([&] { fn(in, 0, out.data(), kElements, 0); });
    std::printf("  %s %7.3f", std::string(set.name).c_str(), ns / kElements);
  }
  if (reference != nullptr) {
    const double ns = Nanoseconds([&] {
      for (int i = 0; i < kElements; ++i) {
        const auto at = static_cast<size_t>(i);
        out[at] = static_cast<T>(reference(static_cast<double>(x[at])));
      }
    });
    std::printf("  scalar loop %7.3f", ns / kElements);
  }
  std::printf("\n");
}

// out = tanh(a * b + a) over rows of `inner`, b the same for every row.
runtime::LoopKernel RowKernel(int64_t rows, int64_t inner) {
  runtime::LoopKernel k;
  k.buffers = 3;
  k.outer = {rows, inner};
  runtime::LoopStage stage;
  stage.loads.push_back({.buffer = 0, .dtype = DType::kF32, .strides = {inner, 1}});
  stage.loads.push_back({.buffer = 1, .dtype = DType::kF32, .strides = {0, 1}});
  stage.instrs = {{ScalarOp::kLoad, DType::kF32, {}, 0},
                  {ScalarOp::kLoad, DType::kF32, {}, 1},
                  {ScalarOp::kMultiply, DType::kF32, {0, 1, 0}, 0},
                  {ScalarOp::kAdd, DType::kF32, {2, 0, 0}, 0},
                  {ScalarOp::kMaximum, DType::kF32, {3, 1, 0}, 0}};
  stage.stores.push_back({{.buffer = 2, .dtype = DType::kF32, .strides = {inner, 1}}, 4});
  k.stages.push_back(stage);
  return k;
}

// out[row] = sum over the row.
runtime::LoopKernel SumKernel(int64_t rows, int64_t inner) {
  runtime::LoopKernel k;
  k.buffers = 2;
  k.outer = {rows};
  k.vector_outer = false;
  runtime::LoopStage stage;
  stage.dims = {{inner, true}};
  stage.loads.push_back({.buffer = 0, .dtype = DType::kF32, .strides = {inner, 1}});
  stage.instrs = {{ScalarOp::kLoad, DType::kF32, {}, 0}};
  stage.reductions = {{runtime::ReduceKind::kSum, 0, 0}};
  stage.stores.push_back({{.buffer = 1, .dtype = DType::kF32, .strides = {1, 0}}, 0});
  k.stages.push_back(stage);
  return k;
}

void BenchKernel(const char* name, const runtime::LoopKernel& kernel, int64_t elements,
                 std::vector<size_t> sizes) {
  std::vector<std::vector<float>> memory;
  std::vector<void*> buffers;
  for (const size_t size : sizes) memory.emplace_back(size, 0.5f);
  for (auto& m : memory) buffers.push_back(m.data());
  const runtime::TileProgram program(kernel);
  void* scratch = std::aligned_alloc(64, (program.scratch_bytes() + 63) / 64 * 64);
  const double ns =
      Nanoseconds([&] { program.Run(buffers.data(), 0, kernel.OuterPoints(), scratch); });
  std::printf("%-32s %12.1f ns a run %8.3f ns an element\n", name, ns,
              ns / static_cast<double>(elements));
  std::free(scratch);
}

void Run() {
  for (const ScalarOp op : {ScalarOp::kAdd, ScalarOp::kMultiply, ScalarOp::kDivide,
                            ScalarOp::kMaximum, ScalarOp::kSqrt}) {
    BenchOp<float>(op, DType::kF32, nullptr);
    BenchOp<double>(op, DType::kF64, nullptr);
  }
  for (const kernels::MathReference& r : kernels::MathReferences()) {
    BenchOp<float>(r.op, DType::kF32, r.of1);
    BenchOp<double>(r.op, DType::kF64, r.of1);
  }
  BenchKernel("3 ops, 1 row of 8", RowKernel(1, 8), 8, {8, 8, 8});
  BenchKernel("3 ops, 2000 rows of 8", RowKernel(2000, 8), 16000, {16000, 8, 16000});
  BenchKernel("3 ops, 20 rows of 1000", RowKernel(20, 1000), 20000, {20000, 1000, 20000});
  BenchKernel("sum, 2000 rows of 10", SumKernel(2000, 10), 20000, {20000, 2000});
  BenchKernel("sum, 100 rows of 200", SumKernel(100, 200), 20000, {20000, 100});
  BenchKernel("sum, 10 rows of 2000", SumKernel(10, 2000), 20000, {20000, 10});
}

}  // namespace
}  // namespace megalith

int main() { megalith::Run(); }

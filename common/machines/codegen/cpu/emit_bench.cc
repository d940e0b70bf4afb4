// Time to make machine code for typical fused kernels, and what it runs at next to loops that g++
// compiled. Usage: emit_bench [part of a name]
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/machines/codegen/cpu/emit.h"

namespace megalith::codegen {
namespace {

using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::ReduceKind;
using runtime::ScalarOp;

double Now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

template <typename F>
double Fastest(int rounds, const F& f) {
  double best = 1e30;
  for (int i = 0; i < rounds; ++i) {
    const double start = Now();
    f();
    best = std::min(best, Now() - start);
  }
  return best;
}

LoopInstr Load(uint64_t n, DType type = DType::kF32) {
  return {.op = ScalarOp::kLoad, .type = type, .imm = n};
}
LoopInstr Op(ScalarOp op, uint32_t a, uint32_t b = 0, DType type = DType::kF32) {
  return {.op = op, .type = type, .in = {a, b}};
}
LoopInstr Number(float value) {
  LoopInstr instr = {.op = ScalarOp::kConstant, .type = DType::kF32};
  std::memcpy(&instr.imm, &value, sizeof(value));
  return instr;
}
LoopAccess F32(uint32_t buffer, std::vector<int64_t> strides) {
  return {.buffer = buffer, .dtype = DType::kF32, .strides = std::move(strides)};
}

// A kernel, the sizes of its arguments in floats, and the same by hand.
struct Case {
  std::string name;
  LoopKernel kernel;
  std::vector<size_t> floats;
  std::function<void(const std::vector<float*>&)> by_hand;  // null: nothing to compare with
};

// y = ((x*a + b) ...) ten operations.
Case Chain(int64_t n) {
  LoopStage stage;
  stage.loads = {F32(0, {1})};
  stage.instrs = {Load(0), Number(1.5f), Number(0.25f)};
  for (uint32_t i = 0; i < 5; ++i) {
    const uint32_t last = i == 0 ? 0 : 2 * i + 2;
    stage.instrs.push_back(Op(ScalarOp::kMultiply, last, 1));
    stage.instrs.push_back(Op(ScalarOp::kSubtract, 2 * i + 3, 2));
  }
  stage.stores = {{.to = F32(1, {1}), .value = 12}};
  const auto length = static_cast<size_t>(n);
  return {"chain of 10",
          {.name = "chain", .buffers = 2, .outer = {n}, .stages = {stage}},
          {length, length},
          [n](const std::vector<float*>& p) {
            const float* x = p[0];
            float* y = p[1];
            for (int64_t i = 0; i < n; ++i) {
              float v = x[i];
              for (int k = 0; k < 5; ++k) v = v * 1.5f - 0.25f;
              y[i] = v;
            }
          }};
}

Case Unary(const char* name, ScalarOp op, int64_t n, float (*f)(float)) {
  LoopStage stage;
  stage.loads = {F32(0, {1})};
  stage.instrs = {Load(0), Op(op, 0)};
  stage.stores = {{.to = F32(1, {1}), .value = 1}};
  const auto length = static_cast<size_t>(n);
  return {name,
          {.name = name, .buffers = 2, .outer = {n}, .stages = {stage}},
          {length, length},
          [n, f](const std::vector<float*>& p) {
            for (int64_t i = 0; i < n; ++i) p[1][i] = f(p[0][i]);
          }};
}

Case RowSum(int64_t rows, int64_t columns) {
  LoopStage stage;
  stage.dims = {{.extent = columns, .reduced = true}};
  stage.loads = {F32(0, {columns, 1})};
  stage.instrs = {Load(0)};
  stage.reductions = {{.kind = ReduceKind::kSum, .value = 0, .init = 0}};
  stage.stores = {{.to = F32(1, {1, 0}), .value = 0}};
  return {"row sums",
          {.name = "rows", .buffers = 2, .outer = {rows}, .vector_outer = false, .stages = {stage}},
          {static_cast<size_t>(rows * columns), static_cast<size_t>(rows)},
          [rows, columns](const std::vector<float*>& p) {
            for (int64_t r = 0; r < rows; ++r) {
              float sum = 0;
              for (int64_t c = 0; c < columns; ++c) sum += p[0][r * columns + c];
              p[1][r] = sum;
            }
          }};
}

Case ColumnSum(int64_t rows, int64_t columns) {
  LoopStage stage;
  stage.dims = {{.extent = rows, .reduced = true}};
  stage.loads = {F32(0, {1, columns})};
  stage.instrs = {Load(0)};
  stage.reductions = {{.kind = ReduceKind::kSum, .value = 0, .init = 0}};
  stage.stores = {{.to = F32(1, {1, 0}), .value = 0}};
  return {"column sums",
          {.name = "columns", .buffers = 2, .outer = {columns}, .stages = {stage}},
          {static_cast<size_t>(rows * columns), static_cast<size_t>(columns)},
          [rows, columns](const std::vector<float*>& p) {
            std::fill(p[1], p[1] + columns, 0.0f);
            for (int64_t r = 0; r < rows; ++r) {
              for (int64_t c = 0; c < columns; ++c) p[1][c] += p[0][r * columns + c];
            }
          }};
}

Case Transpose(int64_t rows, int64_t columns) {
  LoopStage stage;
  stage.loads = {F32(0, {1, columns})};
  stage.instrs = {Load(0), Number(2.0f), Op(ScalarOp::kMultiply, 0, 1)};
  stage.stores = {{.to = F32(1, {rows, 1}), .value = 2}};
  return {"transpose, times 2",
          {.name = "transpose", .buffers = 2, .outer = {columns, rows}, .stages = {stage}},
          {static_cast<size_t>(rows * columns), static_cast<size_t>(rows * columns)},
          [rows, columns](const std::vector<float*>& p) {
            for (int64_t c = 0; c < columns; ++c) {
              for (int64_t r = 0; r < rows; ++r) p[1][c * rows + r] = p[0][r * columns + c] * 2.0f;
            }
          }};
}

// Rows: maximum, exponentials and their sum, quotients.
Case Softmax(int64_t rows, int64_t columns) {
  LoopKernel kernel = {.name = "softmax", .buffers = 2, .outer = {rows}, .vector_outer = false};
  kernel.locals = {4, static_cast<uint64_t>(columns) * 4, 4};
  LoopStage maximum;
  maximum.dims = {{.extent = columns, .reduced = true}};
  maximum.loads = {F32(0, {columns, 1})};
  maximum.instrs = {Load(0)};
  maximum.reductions = {{.kind = ReduceKind::kMaximum, .value = 0, .init = 0xFF800000}};
  maximum.stores = {{.to = F32(2, {0, 0}), .value = 0}};
  LoopStage exponential;
  exponential.dims = {{.extent = columns}};
  exponential.loads = {F32(0, {columns, 1}), F32(2, {0, 0})};
  exponential.instrs = {Load(0), Load(1), Op(ScalarOp::kSubtract, 0, 1), Op(ScalarOp::kExp, 2)};
  exponential.stores = {{.to = F32(3, {0, 1}), .value = 3}};
  LoopStage sum = maximum;
  sum.loads = {F32(3, {0, 1})};
  sum.reductions = {{.kind = ReduceKind::kSum, .value = 0, .init = 0}};
  sum.stores = {{.to = F32(4, {0, 0}), .value = 0}};
  LoopStage quotient;
  quotient.dims = {{.extent = columns}};
  quotient.loads = {F32(3, {0, 1}), F32(4, {0, 0})};
  quotient.instrs = {Load(0), Load(1), Op(ScalarOp::kDivide, 0, 1)};
  quotient.stores = {{.to = F32(1, {columns, 1}), .value = 2}};
  kernel.stages = {maximum, exponential, sum, quotient};
  const auto length = static_cast<size_t>(rows * columns);
  return {"softmax", kernel, {length, length}, [rows, columns](const std::vector<float*>& p) {
            for (int64_t r = 0; r < rows; ++r) {
              const float* x = p[0] + r * columns;
              float* y = p[1] + r * columns;
              float most = x[0], total = 0;
              for (int64_t c = 0; c < columns; ++c) most = std::max(most, x[c]);
              for (int64_t c = 0; c < columns; ++c) total += y[c] = std::exp(x[c] - most);
              for (int64_t c = 0; c < columns; ++c) y[c] /= total;
            }
          }};
}

// A small one, as inside of scans: what a call costs.
Case Tiny() {
  Case out = Chain(8);
  out.name = "8 floats, 10 operations";
  return out;
}

void Run(const Case& c) {
  std::vector<std::unique_ptr<float, decltype(&std::free)>> memory;
  std::vector<float*> floats;
  std::vector<void*> pointers;
  double bytes = 0;
  for (const size_t count : c.floats) {
    memory.emplace_back(static_cast<float*>(std::aligned_alloc(64, (count * 4 + 127) / 64 * 64)),
                        &std::free);
    floats.push_back(memory.back().get());
    pointers.push_back(memory.back().get());
    for (size_t i = 0; i < count; ++i) floats.back()[i] = static_cast<float>(i % 1000) * 0.01f;
    bytes += static_cast<double>(count) * 4;
  }
  const EmitRequest request = {.loop = 0, .kernel = &c.kernel};
  std::vector<double> seconds(3, 1e30);
  Result<runtime::CodeImage> image = Internal("not made");
  for (int level = 1; level <= 2; ++level) {
    for (int round = 0; round < 15; ++round) {
      std::vector<EmittedKernel> emitted;
      image = EmitCode({&request, 1}, {.optimisation = level}, &emitted);
      if (!image.ok()) {
        std::printf("%-24s %s\n", c.name.c_str(), image.status().ToString().c_str());
        return;
      }
      seconds[level] = std::min(seconds[level], emitted[0].seconds);
    }
  }
  const auto code = runtime::LoadedCode::Load(*image);
  if (!code.ok()) return;
  const auto function = (*code)->Find(0);
  const std::unique_ptr<void, decltype(&std::free)> scratch(
      std::aligned_alloc(64, (function.scratch_bytes + 127) / 64 * 64), &std::free);
  const int64_t points = c.kernel.OuterPoints();
  const double ours = Fastest(50, [&] { function.run(pointers.data(), 0, points, scratch.get()); });
  const double theirs = Fastest(20, [&] { c.by_hand(floats); });
  std::printf("%-24s emit %6.2f ms (O1 %6.2f)  %6zu bytes  run %9.2f us %6.1f GB/s  g++ %9.2f us\n",
              c.name.c_str(), seconds[2] * 1e3, seconds[1] * 1e3, image->bytes.size(), ours * 1e6,
              bytes / ours * 1e-9, theirs * 1e6);
}

int Main(const char* filter) {
  const double start = Now();
  const Status ready = CodeGeneratorReady();
  std::printf("open the code generator: %.2f ms %s\n", (Now() - start) * 1e3,
              ready.ToString().c_str());
  const int64_t n = 1 << 16;
  const std::vector<Case> cases = {
      Tiny(),
      Chain(n),
      Chain(1 << 20),
      Unary("exp", ScalarOp::kExp, n, [](float x) { return std::exp(x); }),
      Unary("tanh", ScalarOp::kTanh, n, [](float x) { return std::tanh(x); }),
      Unary("log", ScalarOp::kLog, n, [](float x) { return std::log(x); }),
      Unary("logistic", ScalarOp::kLogistic, n, [](float x) { return 1 / (1 + std::exp(-x)); }),
      Unary("sine", ScalarOp::kSine, n, [](float x) { return std::sin(x); }),
      Unary("erf", ScalarOp::kErf, n, [](float x) { return std::erf(x); }),
      RowSum(256, 256),
      RowSum(1024, 1024),
      ColumnSum(256, 256),
      ColumnSum(1024, 1024),
      Transpose(256, 256),
      Transpose(1024, 1024),
      Softmax(64, 1024)};
  for (const Case& c : cases) {
    if (c.name.find(filter) != std::string::npos) Run(c);
  }
  return 0;
}

}  // namespace
}  // namespace megalith::codegen

int main(int argc, char** argv) { return megalith::codegen::Main(argc > 1 ? argv[1] : ""); }

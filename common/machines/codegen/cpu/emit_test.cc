// Machine code of fused kernels, run.
#include "common/machines/codegen/cpu/emit.h"

#include <gtest/gtest.h>

#include <numeric>
#include <vector>

namespace megalith::codegen {
namespace {

using runtime::DType;
using runtime::LoadedCode;
using runtime::LoopKernel;
using runtime::ScalarOp;

// out[i] = a[i] * b[i] + 0.5
LoopKernel MultiplyAdd(int64_t n) {
  LoopKernel kernel;
  kernel.name = "multiply add";
  kernel.buffers = 3;
  kernel.outer = {n};
  runtime::LoopStage stage;
  stage.loads = {{.buffer = 0, .dtype = DType::kF32, .strides = {1}},
                 {.buffer = 1, .dtype = DType::kF32, .strides = {1}}};
  stage.instrs = {{.op = ScalarOp::kLoad, .type = DType::kF32, .imm = 0},
                  {.op = ScalarOp::kLoad, .type = DType::kF32, .imm = 1},
                  {.op = ScalarOp::kMultiply, .type = DType::kF32, .in = {0, 1}},
                  {.op = ScalarOp::kConstant, .type = DType::kF32, .imm = 0x3F000000},
                  {.op = ScalarOp::kAdd, .type = DType::kF32, .in = {2, 3}}};
  stage.stores = {{.to = {.buffer = 2, .dtype = DType::kF32, .strides = {1}}, .value = 4}};
  kernel.stages = {stage};
  return kernel;
}

TEST(EmitTest, RunsAnElementwiseKernel) {
  const LoopKernel kernel = MultiplyAdd(1000);
  const EmitRequest request = {.loop = 7, .kernel = &kernel};
  std::vector<EmittedKernel> emitted;
  const auto image = EmitCode({&request, 1}, {.keep_ir = true, .keep_assembly = true}, &emitted);
  ASSERT_TRUE(image.ok()) << image.status().ToString();
  const auto code = LoadedCode::Load(*image);
  ASSERT_TRUE(code.ok()) << code.status().ToString();
  std::vector<float> a(1000), b(1000), out(1000, -1.0f);
  std::iota(a.begin(), a.end(), 0.0f);
  std::iota(b.begin(), b.end(), 3.0f);
  void* const buffers[] = {a.data(), b.data(), out.data()};
  (*code)->Find(7).run(buffers, 3, 998, nullptr);
  for (int i = 0; i < 1000; ++i) {
    EXPECT_EQ(out[i], i < 3 || i >= 998 ? -1.0f : a[i] * b[i] + 0.5f) << i;
  }
  EXPECT_NE(emitted[0].ir.find("fmul"), std::string::npos);
  EXPECT_NE(emitted[0].assembly.find("ret"), std::string::npos);
}

}  // namespace
}  // namespace megalith::codegen

// Machine code of fused kernels, run.
#include "common/machines/codegen/cpu/emit.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "common/machines/runtime/testing/scalar_loops.h"

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

bool IsNan(DType type, uint64_t bits) {
  switch (type) {
    case DType::kF32:
      return (bits & 0x7FFFFFFF) > 0x7F800000;
    case DType::kF64:
      return (bits & INT64_MAX) > 0x7FF0000000000000;
    case DType::kF16:
      return (bits & 0x7FFF) > 0x7C00;
    case DType::kBF16:
      return (bits & 0x7FFF) > 0x7F80;
    default:
      return false;
  }
}

uint64_t Element(const std::string& bytes, DType type, size_t i) {
  uint64_t bits = 0;
  const auto width = static_cast<size_t>(tensor::ByteWidth(type));
  std::memcpy(&bits, bytes.data() + i * width, width);
  return bits;
}

// Processors of several kinds; those the machine has not got are left out.
std::vector<std::string> Targets() {
  std::vector<std::string> targets;
  for (const char* target :
       {"x86-64", "x86-64 sse3 ssse3 sse4.1 sse4.2 popcnt avx avx2 fma f16c bmi bmi2"}) {
    if (runtime::TargetSuffices(runtime::ProcessorTarget(), target)) targets.push_back(target);
  }
  targets.push_back(runtime::ProcessorTarget());
  return targets;
}

// Runs a kernel on a copy of its arguments, in pieces that begin and end anywhere.
std::vector<std::string> RunInPieces(const runtime::testing::RandomLoop& loop,
                                     const LoadedCode::Function& function,
                                     std::mt19937_64& random) {
  std::vector<std::string> buffers = loop.buffers;
  std::vector<void*> pointers;
  for (std::string& buffer : buffers) pointers.push_back(buffer.data());
  const std::unique_ptr<void, decltype(&std::free)> scratch(
      std::aligned_alloc(64, (function.scratch_bytes + 127) / 64 * 64), &std::free);
  const int64_t points = loop.kernel.OuterPoints();
  for (int64_t begin = 0; begin < points;) {
    const auto most = static_cast<uint64_t>(points - begin);
    const auto count = random() % 2 == 0 ? most : 1 + random() % most;
    function.run(pointers.data(), begin, begin + static_cast<int64_t>(count), scratch.get());
    begin += static_cast<int64_t>(count);
  }
  return buffers;
}

void ExpectEqual(const runtime::testing::RandomLoop& loop, const std::vector<std::string>& got,
                 const std::vector<std::string>& wanted) {
  for (size_t b = 0; b < wanted.size(); ++b) {
    const DType type = loop.types[b];
    const size_t count = wanted[b].size() / static_cast<size_t>(tensor::ByteWidth(type));
    for (size_t i = 0; i < count; ++i) {
      const uint64_t x = Element(got[b], type, i), y = Element(wanted[b], type, i);
      if (x == y || (IsNan(type, x) && IsNan(type, y))) continue;
      ADD_FAILURE() << "argument " << b << " element " << i << ": " << std::hex << x << ", wanted "
                    << y;
      return;
    }
  }
}

// Kernels with seeds from MEGALITH_LOOP_SEED (or 1) on, MEGALITH_LOOP_COUNT of them.
int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoll(text) : otherwise;
}

class RandomLoopsTest : public ::testing::TestWithParam<std::string> {};

TEST_P(RandomLoopsTest, GiveWhatTheScalarInterpreterGives) {
  const int64_t first = FromEnvironment("MEGALITH_LOOP_SEED", 1);
  const int64_t count = FromEnvironment("MEGALITH_LOOP_COUNT", 100);
  for (int64_t seed = first; seed < first + count; ++seed) {
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    const runtime::testing::RandomLoop loop = runtime::testing::MakeRandomLoop(random);
    const Status valid = runtime::CheckLoopKernel(loop.kernel, loop.sizes);
    ASSERT_TRUE(valid.ok()) << valid.ToString() << runtime::LoopText(loop.kernel);
    const EmitRequest request = {.loop = 0, .kernel = &loop.kernel};
    std::vector<EmittedKernel> emitted;
    const auto image = EmitCode({&request, 1}, {.target = GetParam(), .keep_ir = true}, &emitted);
    ASSERT_TRUE(image.ok()) << seed << image.status().ToString() << LoopText(loop.kernel);
    const auto code = LoadedCode::Load(*image);
    ASSERT_TRUE(code.ok()) << code.status().ToString();
    std::vector<std::string> wanted = loop.buffers;
    std::vector<void*> pointers;
    for (std::string& buffer : wanted) pointers.push_back(buffer.data());
    runtime::testing::RunScalar(loop.kernel, pointers.data(), 0, loop.kernel.OuterPoints());
    ExpectEqual(loop, RunInPieces(loop, (*code)->Find(0), random), wanted);
    ASSERT_FALSE(HasFailure()) << "seed " << seed << " " << LoopText(loop.kernel) << emitted[0].ir;
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, RandomLoopsTest, ::testing::ValuesIn(Targets()),
                         [](const auto& info) {
                           return "Features" + std::to_string(info.param.size());
                         });

}  // namespace
}  // namespace megalith::codegen

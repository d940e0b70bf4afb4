// Machine code of fused kernels, run.
#include "common/machines/codegen/cpu/emit.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#include "common/machines/runtime/loop_testing.h"
#include "common/machines/runtime/loop_tiles.h"

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

// Runs a kernel in pieces that begin and end anywhere.
void RunInPieces(const LoopKernel& kernel, const LoadedCode::Function& function,
                 const std::vector<void*>& pointers, std::mt19937_64& random) {
  const std::unique_ptr<void, decltype(&std::free)> scratch(
      std::aligned_alloc(64, (function.scratch_bytes + 127) / 64 * 64), &std::free);
  const int64_t points = kernel.OuterPoints();
  for (int64_t begin = 0; begin < points;) {
    const auto most = static_cast<uint64_t>(points - begin);
    const auto count = random() % 2 == 0 ? most : 1 + random() % most;
    function.run(pointers.data(), begin, begin + static_cast<int64_t>(count), scratch.get());
    begin += static_cast<int64_t>(count);
  }
}

// Kernels with seeds from MEGALITH_LOOP_SEED (or 1) on, MEGALITH_LOOP_COUNT of them.
int64_t FromEnvironment(const char* name, int64_t otherwise) {
  const char* text = std::getenv(name);
  return text != nullptr ? std::atoll(text) : otherwise;
}

class EmitForTest : public ::testing::TestWithParam<std::string> {};

TEST_P(EmitForTest, KernelsGiveWhatPointsGive) {
  const int64_t first = FromEnvironment("MEGALITH_LOOP_SEED", 1);
  const int64_t count = FromEnvironment("MEGALITH_LOOP_COUNT", 100);
  for (int64_t seed = first; seed < first + count; ++seed) {
    Rng rng(static_cast<uint64_t>(seed));
    std::mt19937_64 random(static_cast<uint64_t>(seed));
    runtime::RandomLoop loop = runtime::MakeRandomLoop(rng);
    const EmitRequest request = {.loop = 0, .kernel = &loop.kernel};
    std::vector<EmittedKernel> emitted;
    const auto image = EmitCode({&request, 1}, {.target = GetParam(), .keep_ir = true}, &emitted);
    ASSERT_TRUE(image.ok()) << seed << image.status().ToString() << LoopText(loop.kernel);
    const auto code = LoadedCode::Load(*image);
    ASSERT_TRUE(code.ok()) << code.status().ToString();
    runtime::LoopArguments got = loop.arguments, want = loop.arguments;
    runtime::RunByPoint(loop.kernel, want.Pointers().data(), 0, loop.kernel.OuterPoints());
    RunInPieces(loop.kernel, (*code)->Find(0), got.Pointers(), random);
    ASSERT_EQ(runtime::Difference(loop.kernel, got, want), "")
        << "seed " << seed << " " << LoopText(loop.kernel) << emitted[0].ir;
  }
}

// f(x, y) element by element.
LoopKernel Elementwise(ScalarOp op, int operands, DType type, int64_t n) {
  LoopKernel kernel;
  kernel.name = "one operation";
  kernel.buffers = 3;
  kernel.outer = {n};
  runtime::LoopStage stage;
  for (uint32_t i = 0; i < 2; ++i) {
    stage.loads.push_back({.buffer = i, .dtype = type, .strides = {1}});
    stage.instrs.push_back({.op = ScalarOp::kLoad, .type = type, .imm = i});
  }
  stage.instrs.push_back({.op = op, .type = type, .in = {0, operands == 2 ? 1u : 0u}});
  stage.stores = {{.to = {.buffer = 2, .dtype = type, .strides = {1}}, .value = 2}};
  kernel.stages = {stage};
  return kernel;
}

template <typename T>
std::string FloatArguments(std::mt19937_64& random, size_t n) {
  static constexpr double kSpecial[] = {0.0, -0.0,  1.0,  -1.0,  0.5,  2.0,  INFINITY, -INFINITY,
                                        NAN, 1e-40, 1e38, -1e38, 88.7, -104, 1e5,      0.625};
  std::string bytes(n * sizeof(T), '\0');
  for (size_t i = 0; i < n; ++i) {
    const double fraction = static_cast<double>(random() % 2000001) / 1e6 - 1.0;
    const double v = i < 256 ? kSpecial[random() % std::size(kSpecial)]
                             : fraction * std::ldexp(1.0, static_cast<int>(random() % 24) - 12);
    const T value = static_cast<T>(v);
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
  return bytes;
}

// Tier 0 on the same arguments.
std::string RunTiles(const LoopKernel& kernel, std::vector<std::string> buffers) {
  const runtime::TileProgram program(kernel);
  std::vector<void*> pointers;
  for (std::string& buffer : buffers) pointers.push_back(buffer.data());
  const std::unique_ptr<void, decltype(&std::free)> scratch(
      std::aligned_alloc(64, (program.scratch_bytes() + 127) / 64 * 64), &std::free);
  program.Run(pointers.data(), 0, kernel.OuterPoints(), scratch.get());
  return buffers.back();
}

// Relative differences that are left where one side has no fused multiply-add.
template <typename T>
bool Near(const std::string& got, const std::string& want, size_t i) {
  T a, b;
  std::memcpy(&a, got.data() + i * sizeof(T), sizeof(T));
  std::memcpy(&b, want.data() + i * sizeof(T), sizeof(T));
  if (a == b || (a != a && b != b)) return true;
  const double tolerance = sizeof(T) == 4 ? 2e-6 : 1e-13;
  return std::abs(static_cast<double>(a) - static_cast<double>(b)) <=
         tolerance * std::max(std::abs(static_cast<double>(b)), 0.01);
}

// Every operation on floats, for f32 and f64: the tiers share the formulas, so with fused
// multiply-add they agree bit for bit.
TEST_P(EmitForTest, OperationsOnFloatsGiveWhatTier0Gives) {
  const int64_t n = 17001;  // many enough for loops without masks
  std::mt19937_64 random(1);
  const bool exact = GetParam().find("fma") != std::string::npos ||
                     !runtime::TargetSuffices(runtime::ProcessorTarget(), "x86-64 fma");
  for (const kernels::ScalarOpInfo& info : kernels::AllScalarOps()) {
    const int operands = kernels::OperandCount(info.shape);
    const bool suits =
        info.shape == kernels::ScalarShape::kUnary || info.shape == kernels::ScalarShape::kBinary;
    if (!suits || (info.types & kernels::kOnFloat) == 0 || info.op == ScalarOp::kRoundTo ||
        info.op == ScalarOp::kReducePrecision) {
      continue;
    }
    for (const DType type : {DType::kF32, DType::kF64}) {
      const LoopKernel kernel = Elementwise(info.op, operands, type, n);
      const bool single = type == DType::kF32;
      std::vector<std::string> buffers;
      for (int i = 0; i < 3; ++i) {
        buffers.push_back(single ? FloatArguments<float>(random, n)
                                 : FloatArguments<double>(random, n));
      }
      const std::string want = RunTiles(kernel, buffers);
      const EmitRequest request = {.loop = 0, .kernel = &kernel};
      const auto image = EmitCode({&request, 1}, {.target = GetParam()});
      ASSERT_TRUE(image.ok()) << info.name << image.status().ToString();
      const auto code = LoadedCode::Load(*image);
      ASSERT_TRUE(code.ok()) << code.status().ToString();
      std::vector<void*> pointers;
      for (std::string& buffer : buffers) pointers.push_back(buffer.data());
      RunInPieces(kernel, (*code)->Find(0), pointers, random);
      for (size_t i = 0; i < static_cast<size_t>(n); ++i) {
        const uint64_t x = Element(buffers[2], type, i), y = Element(want, type, i);
        const bool same = x == y || (IsNan(type, x) && IsNan(type, y));
        const bool near =
            single ? Near<float>(buffers[2], want, i) : Near<double>(buffers[2], want, i);
        EXPECT_TRUE(same || (!exact && near))
            << info.name << " " << tensor::Name(type) << " of " << std::hex
            << Element(buffers[0], type, i) << " " << Element(buffers[1], type, i) << " gives " << x
            << ", wanted " << y;
        if (HasFailure()) break;
      }
    }
  }
}

TEST(EmitTest, SharesTheCodeOfEqualKernels) {
  const LoopKernel a = MultiplyAdd(100), b = MultiplyAdd(200);
  LoopKernel c = a;
  c.name = "another name";
  const EmitRequest requests[] = {{0, &a}, {1, &b}, {2, &c}};
  const auto image = EmitCode(requests, {});
  ASSERT_TRUE(image.ok()) << image.status().ToString();
  EXPECT_EQ(image->entries[0].offset, image->entries[2].offset);
  EXPECT_NE(image->entries[0].offset, image->entries[1].offset);
}

TEST(EmitTest, GivesTheSameBytesWithAnyNumberOfThreads) {
  std::vector<LoopKernel> kernels;
  for (int64_t n = 1; n <= 40; ++n) kernels.push_back(MultiplyAdd(n * 10));
  std::vector<EmitRequest> requests;
  for (uint32_t i = 0; i < kernels.size(); ++i) requests.push_back({i, &kernels[i]});
  const auto one = EmitCode(requests, {});
  const auto three = EmitCode(requests, {.threads = 3});
  ASSERT_TRUE(one.ok()) << one.status().ToString();
  ASSERT_TRUE(three.ok()) << three.status().ToString();
  EXPECT_TRUE(*one == *three);
}

TEST(EmitTest, LeavesOutKernelsThatWouldTakeTooLong) {
  const LoopKernel small = MultiplyAdd(100);
  LoopKernel large = small;
  for (uint32_t i = 4; i < 3000; ++i) {
    large.stages[0].instrs.push_back({.op = ScalarOp::kAdd, .type = DType::kF32, .in = {i, i}});
  }
  const EmitRequest requests[] = {{0, &large}, {1, &small}};
  const auto image = EmitCode(requests, {});
  ASSERT_TRUE(image.ok()) << image.status().ToString();
  ASSERT_EQ(image->entries.size(), 1u);
  EXPECT_EQ(image->entries[0].loop, 1u);
}

TEST(EmitTest, StopsWhenCancelled) {
  const LoopKernel kernel = MultiplyAdd(100);
  const EmitRequest request = {.loop = 0, .kernel = &kernel};
  Cancellation cancellation;
  cancellation.Cancel();
  EXPECT_EQ(EmitCode({&request, 1}, {.cancellation = &cancellation}).status().code(),
            Code::kCancelled);
}

TEST(EmitTest, RefusesAnotherKindOfProcessor) {
  const LoopKernel kernel = MultiplyAdd(100);
  const EmitRequest request = {.loop = 0, .kernel = &kernel};
  EXPECT_EQ(EmitCode({&request, 1}, {.target = "aarch64 sve"}).status().code(),
            Code::kInvalidArgument);
}

INSTANTIATE_TEST_SUITE_P(Targets, EmitForTest, ::testing::ValuesIn(Targets()),
                         [](const auto& info) {
                           return "Features" + std::to_string(info.param.size());
                         });

}  // namespace
}  // namespace megalith::codegen

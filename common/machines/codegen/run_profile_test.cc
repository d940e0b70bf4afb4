// Profiles of runs: what each kernel is said to have done.
#include "common/machines/runtime/run_profile.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/runtime/executable.h"

namespace megalith::codegen {
namespace {

using runtime::KernelProfile;
using runtime::RunProfile;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::HasSubstr;

// A product, then something elementwise that it does not take along.
constexpr std::string_view kProduct = R"(
module {
  func.func public @main(%x: tensor<16x8xf32>, %y: tensor<8x4xf32>) -> (tensor<16x4xf32>, tensor<4xf32>) {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %p = stablehlo.dot_general %x, %y, contracting_dims = [1] x [0] : (tensor<16x8xf32>, tensor<8x4xf32>) -> tensor<16x4xf32>
    %s = stablehlo.reduce(%p init: %zero) applies stablehlo.add across dimensions = [0] : (tensor<16x4xf32>, tensor<f32>) -> tensor<4xf32>
    return %p, %s : tensor<16x4xf32>, tensor<4xf32>
  }
})";

// Runs until %x is not below 100, one more each turn.
constexpr std::string_view kCount = R"(
module {
  func.func public @main(%x: tensor<f32>) -> tensor<f32> {
    %hundred = stablehlo.constant dense<100.0> : tensor<f32>
    %one = stablehlo.constant dense<1.0> : tensor<f32>
    %r = stablehlo.while(%i = %x) : tensor<f32>
    cond {
      %p = stablehlo.compare LT, %i, %hundred, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %p : tensor<i1>
    } do {
      %n = stablehlo.add %i, %one : tensor<f32>
      stablehlo.return %n : tensor<f32>
    }
    return %r : tensor<f32>
  }
})";

RunProfile ProfileOf(std::string_view program, const std::vector<Tensor>& inputs) {
  const auto backend = MakeCpuBackend();
  const auto package = backend->Compile(program, {.settings = {{"tier", "0"}}}, {});
  EXPECT_TRUE(package.ok()) << package.status().ToString();
  const auto executable = backend->Load(*package);
  EXPECT_TRUE(executable.ok()) << executable.status().ToString();
  RunProfile profile;
  const auto out = (*executable)->Run(inputs, {.details = &profile});
  EXPECT_TRUE(out.ok()) << out.status().ToString();
  return profile;
}

Tensor Filled(Shape shape) { return *Tensor::Create(DType::kF32, std::move(shape)); }

TEST(RunProfileTest, ProductTellsItsShapesBytesAndFlops) {
  const RunProfile profile = ProfileOf(kProduct, {Filled({16, 8}), Filled({8, 4})});
  const auto dot = std::ranges::find_if(
      profile.kernels, [](const KernelProfile& k) { return k.name.starts_with("dot"); });
  ASSERT_NE(dot, profile.kernels.end());
  EXPECT_EQ(dot->kind, "library");
  EXPECT_EQ(dot->calls, 1u);
  EXPECT_THAT(dot->shapes, HasSubstr("f32[16,8] f32[8,4] -> f32[16,4]"));
  EXPECT_EQ(dot->bytes, 4.0 * (16 * 8 + 8 * 4 + 16 * 4));
  EXPECT_GE(dot->flops, 2.0 * 16 * 8 * 4);
  EXPECT_GT(profile.seconds, 0);
}

TEST(RunProfileTest, EventsOfOneThreadNestAndLieWithinTheRun) {
  const RunProfile profile = ProfileOf(kCount, {Filled({})});
  ASSERT_FALSE(profile.events.empty());
  for (const runtime::RunEvent& a : profile.events) {
    ASSERT_LT(a.kernel, profile.kernels.size());
    EXPECT_LE(0, a.begin_ns);
    EXPECT_LE(a.begin_ns, a.end_ns);
    EXPECT_LE(static_cast<double>(a.end_ns), profile.seconds * 1e9);
    for (const runtime::RunEvent& b : profile.events) {
      if (a.worker != b.worker || b.begin_ns < a.begin_ns) continue;
      EXPECT_TRUE(b.begin_ns >= a.end_ns || b.end_ns <= a.end_ns);
    }
  }
}

TEST(RunProfileTest, LoopsCountAllTurnsAndTraceAFew) {
  const RunProfile profile = ProfileOf(kCount, {Filled({})});
  uint64_t calls = 0;
  bool has_while = false;
  for (const KernelProfile& k : profile.kernels) {
    calls += k.calls;
    has_while |= k.kind == "while";
  }
  EXPECT_TRUE(has_while);
  EXPECT_GE(calls, 100u);
  EXPECT_EQ(profile.events.size() + profile.left_out, calls);
  EXPECT_GT(profile.left_out, 0u);
  EXPECT_LE(profile.events.size(), 4u * runtime::RunProfile::kTracedTurns);
}

TEST(RunProfileTest, OwnTimesAddUpToNoMoreThanTheRun) {
  const RunProfile profile = ProfileOf(kCount, {Filled({})});
  double sum = 0;
  for (const KernelProfile& k : profile.kernels) sum += k.seconds;
  EXPECT_LE(sum, profile.seconds);
}

}  // namespace
}  // namespace megalith::codegen

// Packages of strangers: what is in them that would run is not run, and they see nothing of others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "common/machines/codegen/cpu_backend.h"
#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/passes/passes.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan.h"
#include "common/machines/runtime/plan_runner.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::Origin;
using runtime::Package;
using runtime::Plan;
using runtime::PlanRunner;
using runtime::StepKind;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;
using ::testing::Each;
using ::testing::HasSubstr;

constexpr std::string_view kCube = R"(
module {
  func.func public @main(%x: tensor<64xf32>) -> tensor<64xf32> {
    %s = stablehlo.multiply %x, %x : tensor<64xf32>
    %c = stablehlo.multiply %s, %x : tensor<64xf32>
    return %c : tensor<64xf32>
  }
})";

constexpr std::string_view kSort = R"(
module {
  func.func public @main(%x: tensor<64xf32>) -> tensor<64xf32> {
    %r = "stablehlo.sort"(%x) <{dimension = 0 : i64}> ({
    ^bb0(%a: tensor<f32>, %b: tensor<f32>):
      %p = stablehlo.compare LT, %a, %b, FLOAT : (tensor<f32>, tensor<f32>) -> tensor<i1>
      stablehlo.return %p : tensor<i1>
    }) : (tensor<64xf32>) -> tensor<64xf32>
    return %r : tensor<64xf32>
  }
})";

std::vector<float> Floats(const Tensor& t) {
  std::vector<float> out(static_cast<size_t>(t.size()));
  std::memcpy(out.data(), t.data(), t.byte_size());
  return out;
}

Tensor Threes() {
  Tensor t = *Tensor::Create(DType::kF32, {64});
  for (int64_t i = 0; i < t.size(); ++i) t.SetDouble(i, 3);
  return t;
}

// The package of kCube with machine code that ends the process when it is run.
std::string WithDeadlyCode() {
  runtime::CompileOptions options;
  options.settings["tier"] = "1";
  Package package = *runtime::DecodePackage(*MakeCpuBackend()->Compile(kCube, options, nullptr));
  bool changed = false;
  for (Package::Section& section : package.sections) {
    if (section.name != "code") continue;
    runtime::CodeImage image = *runtime::DecodeCodeImage(section.bytes);
    for (size_t i = 0; i < image.bytes.size(); ++i) {
      image.bytes[i] = i % 2 == 0 ? '\x0f' : '\x0b';  // ud2
    }
    section.bytes = runtime::EncodeCodeImage(image);
    changed = true;
  }
  EXPECT_TRUE(changed);
  return runtime::EncodePackage(package);
}

TEST(StrangePackagesTest, TheirMachineCodeIsNotRun) {
  const auto executable = MakeCpuBackend()->Load(WithDeadlyCode(), Origin::kStranger);
  ASSERT_TRUE(executable.ok()) << executable.status().ToString();
  for (int i = 0; i < 3; ++i) {
    const auto results = (*executable)->Run(std::vector<Tensor>{Threes()});
    ASSERT_TRUE(results.ok()) << results.status().ToString();
    EXPECT_THAT(Floats((*results)[0]), Each(27.0f));
  }
}

TEST(StrangePackagesDeathTest, TheTestsMachineCodeWouldBeNoticed) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  EXPECT_DEATH(
      {
        const auto executable = *MakeCpuBackend()->Load(WithDeadlyCode(), Origin::kOwn);
        (void)executable->Run(std::vector<Tensor>{Threes()});
      },
      "");
}

Plan PlanOf(std::string_view text) {
  stablehlo::Module module = *stablehlo::Canonicalize(*stablehlo::ParseModule(text));
  EXPECT_TRUE(RunPasses(&module, {}).ok());
  LowerOptions options;
  options.find_kernel = kernels::FindLibraryKernel;
  auto plan = Lower(module, options, nullptr);
  EXPECT_TRUE(plan.ok()) << plan.status().ToString();
  return *std::move(plan);
}

std::unique_ptr<PlanRunner> RunnerOf(Plan plan) {
  EXPECT_TRUE(runtime::CheckPlan(plan).ok()) << runtime::CheckPlan(plan).ToString();
  auto runner = PlanRunner::Create(std::move(plan), kernels::FindLibraryKernel,
                                   kernels::ProcessPool(), Origin::kStranger);
  EXPECT_TRUE(runner.ok()) << runner.status().ToString();
  return *std::move(runner);
}

// What others of this process computed lies about in memory, in kernels' scratch too.
void LeaveSecrets() {
  std::vector<std::unique_ptr<float[]>> blocks;
  for (int i = 0; i < 200; ++i) {
    blocks.push_back(std::make_unique<float[]>(64));
    std::fill_n(blocks.back().get(), 64, 42.0f);
  }
  blocks.clear();
  const auto runner = PlanRunner::Create(PlanOf(kCube), kernels::FindLibraryKernel,
                                         kernels::ProcessPool(), Origin::kOwn);
  ASSERT_TRUE((*runner)->Run(std::vector<Tensor>{Threes()}, {}).ok());
}

// One output of 64 floats, which nothing has written yet.
Plan Unwritten() {
  Plan plan;
  plan.signature.outputs = {{DType::kF32, {64}}};
  plan.buffers = {{BufferKind::kOutput, 0, 0, 256}, {BufferKind::kArena, 0, 0, 256}};
  plan.arena_bytes = 256;
  return plan;
}

TEST(StrangePackagesTest, OutputsThatNoStepWritesShowNothingOfOthers) {
  const auto runner = RunnerOf(Unwritten());
  for (int i = 0; i < 5; ++i) {
    LeaveSecrets();
    EXPECT_THAT(Floats((*runner->Run({}, {}))[0]), Each(0.0f));
  }
}

TEST(StrangePackagesTest, TemporariesThatNoStepWritesShowNothingOfOthers) {
  Plan plan = Unwritten();
  plan.entry.steps = {{StepKind::kCopy, 0, {1}, {0}}};
  LeaveSecrets();
  EXPECT_THAT(Floats((*RunnerOf(plan)->Run({}, {}))[0]), Each(0.0f));
}

// Nor of runs before: who runs a loaded program may not be who ran it before.
TEST(StrangePackagesTest, TemporariesShowNothingOfEarlierRuns) {
  Plan plan = Unwritten();
  plan.signature.inputs = {{DType::kF32, {64}}};
  plan.buffers.push_back({BufferKind::kInput, 0, 0, 256});
  plan.entry.steps = {{StepKind::kCopy, 0, {1}, {0}}, {StepKind::kCopy, 0, {2}, {1}}};
  const auto runner = RunnerOf(plan);
  for (int i = 0; i < 3; ++i) {
    EXPECT_THAT(Floats((*runner->Run(std::vector<Tensor>{Threes()}, {}))[0]), Each(0.0f));
  }
}

TEST(StrangePackagesTest, ScratchOfKernelsShowsNothingOfOthers) {
  Plan plan = Unwritten();
  runtime::LoopKernel kernel;
  kernel.name = "reads what it has not written";
  kernel.buffers = 1;
  kernel.locals = {4};
  kernel.outer = {64};
  runtime::LoopStage stage;
  stage.loads = {{.buffer = 1, .dtype = DType::kF32, .strides = {0}}};
  stage.instrs = {{.op = runtime::ScalarOp::kLoad, .type = DType::kF32}};
  stage.stores = {{.to = {.buffer = 0, .dtype = DType::kF32, .strides = {1}}}};
  kernel.stages = {stage};
  plan.loops = {kernel};
  plan.entry.steps = {{StepKind::kLoop, 0, {}, {0}}};
  const auto runner = RunnerOf(plan);
  for (int i = 0; i < 5; ++i) {
    LeaveSecrets();
    EXPECT_THAT(Floats((*runner->Run({}, {}))[0]), Each(0.0f));
  }
}

// It may look at an index again after it has found it to be in range.
TEST(StrangePackagesTest, RefusesOperandsThatAKernelOverwritesWhileItReadsThem) {
  Plan plan = PlanOf(kSort);
  ASSERT_EQ(plan.entry.steps.size(), 1u);
  ASSERT_EQ(plan.entry.steps[0].kind, StepKind::kLibrary);
  plan.entry.steps[0].in = plan.entry.steps[0].out;
  ASSERT_TRUE(runtime::CheckPlan(plan).ok());
  const auto runner = PlanRunner::Create(std::move(plan), kernels::FindLibraryKernel,
                                         kernels::ProcessPool(), Origin::kStranger);
  EXPECT_EQ(runner.status().code(), Code::kDataLoss);
  EXPECT_THAT(runner.status().message(), HasSubstr("lies in a result"));
}

}  // namespace
}  // namespace megalith::codegen

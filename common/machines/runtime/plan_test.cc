// CheckPlan: what damage it refuses, one kind at a time.
#include "common/machines/runtime/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::runtime {
namespace {

using ::testing::HasSubstr;

constexpr uint32_t kInput = 0, kOutput = 1, kTemporary = 2, kScratch = 3;

// Input to temporary by a copy, temporary to output by a library call.
Plan Sample() {
  const TensorSpec spec{tensor::DType::kF32, {16}};
  Plan plan;
  plan.signature.inputs = {spec};
  plan.signature.outputs = {spec};
  plan.buffers = {{BufferKind::kInput, 0, 0, 64},
                  {BufferKind::kOutput, 0, 0, 64},
                  {BufferKind::kArena, 0, 0, 64},
                  {BufferKind::kArena, 0, 64, 128}};
  plan.arena_bytes = 192;
  LibraryUse use;
  use.kernel = "anything";
  use.in = {spec};
  use.out = {spec};
  use.scratch_bytes = 128;
  plan.library = {use};
  PlanStep copy{StepKind::kCopy, 0, {kInput}, {kTemporary}};
  PlanStep call{StepKind::kLibrary, 0, {kTemporary}, {kOutput}, kScratch};
  plan.entry.steps = {copy, call};
  return plan;
}

void ExpectRefused(const Plan& plan, std::string_view why) {
  const Status s = CheckPlan(plan);
  EXPECT_EQ(s.code(), Code::kDataLoss);
  EXPECT_THAT(std::string(s.message()), HasSubstr(why));
  EXPECT_EQ(DecodePlan(EncodePlan(plan)).status().code(), Code::kDataLoss);
}

TEST(CheckPlanTest, AcceptsASoundPlan) { EXPECT_TRUE(CheckPlan(Sample()).ok()); }

// They would be prepared unchecked.
TEST(CheckPlanTest, RefusesKernelsOfNoStep) {
  Plan plan = Sample();
  plan.loops.emplace_back();
  plan.loops.back().outer = {-1};
  ExpectRefused(plan, "kernel 0 belongs to no step");
}

TEST(CheckPlanTest, RefusesLibraryCallsOfNoStep) {
  Plan plan = Sample();
  plan.library.push_back(plan.library[0]);
  ExpectRefused(plan, "library call 1 belongs to no step");
}

TEST(CheckPlanTest, RefusesBuffersInOutputsThatStandForInputs) {
  Plan plan = Sample();
  plan.aliases = {{0, BufferKind::kInput, 0}};
  ExpectRefused(plan, "lies in an output that stands for another array");
}

TEST(CheckPlanTest, RefusesOutputsThatStandForTwoArrays) {
  Plan plan = Sample();
  plan.entry.steps.clear();
  plan.library.clear();
  plan.buffers.clear();
  plan.aliases = {{0, BufferKind::kInput, 0}, {0, BufferKind::kInput, 0}};
  ExpectRefused(plan, "stands for two arrays");
}

TEST(CheckPlanTest, RefusesScratchThatIsNotThere) {
  Plan plan = Sample();
  plan.library[0].scratch_bytes = 0;
  plan.entry.steps[1].scratch = 77;
  ExpectRefused(plan, "lacks scratch memory");
}

TEST(CheckPlanTest, RefusesScratchUnderAnOperand) {
  Plan plan = Sample();
  plan.buffers[kScratch] = {BufferKind::kArena, 0, 0, 128};
  ExpectRefused(plan, "overlap");
}

TEST(CheckPlanTest, RefusesResultsThatCoverPartOfAnOperand) {
  Plan plan = Sample();
  plan.arena_bytes = 512;
  plan.buffers.push_back({BufferKind::kArena, 0, 192, 128});
  plan.buffers.push_back({BufferKind::kArena, 0, 256, 64});
  plan.entry.steps[1].in = {4};
  plan.entry.steps[1].out = {5};
  ExpectRefused(plan, "overlap");
}

TEST(CheckPlanTest, AcceptsResultsInThePlaceOfAnOperand) {
  Plan plan = Sample();
  plan.entry.steps[1].out = {kTemporary};
  EXPECT_TRUE(CheckPlan(plan).ok());
}

TEST(CheckPlanTest, RefusesEpiloguesOfCopies) {
  Plan plan = Sample();
  plan.entry.steps[0].epilogue = 5;
  ExpectRefused(plan, "no library call");
}

TEST(CheckPlanTest, RefusesEpiloguesOfNoResult) {
  Plan plan = Sample();
  plan.library[0].out.clear();
  plan.entry.steps[1].out.clear();
  plan.entry.steps[1].epilogue = 0;
  plan.loops.emplace_back();
  ExpectRefused(plan, "an epilogue follows no result");
}

}  // namespace
}  // namespace megalith::runtime

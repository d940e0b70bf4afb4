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

// The input becomes the output by way of a temporary, all of it in the input's memory.
Plan Donated() {
  Plan plan = Sample();
  plan.donations = {{0, 0, true}};
  plan.buffers[kInput] = {BufferKind::kOutput, 0, 0, 64};
  return plan;
}

TEST(CheckPlanTest, AcceptsOutputsInInputs) {
  EXPECT_TRUE(CheckPlan(Donated()).ok());
  const Plan plan = Donated();
  EXPECT_EQ(*DecodePlan(EncodePlan(plan)), plan);
}

TEST(CheckPlanTest, AcceptsTemporariesInInputs) {
  Plan plan = Sample();
  plan.donations = {{0, UINT32_MAX, false}};
  plan.entry.steps[0].in = {kScratch};
  plan.entry.steps[0].out = {kScratch};
  plan.buffers[kTemporary] = {BufferKind::kDonated, 0, 0, 64};
  EXPECT_TRUE(CheckPlan(plan).ok());
}

TEST(CheckPlanTest, RefusesDonationsOfWhatIsNotThere) {
  Plan plan = Donated();
  plan.donations[0].input = 1;
  ExpectRefused(plan, "donated that is not there");
  plan = Donated();
  plan.donations[0].output = 1;
  ExpectRefused(plan, "donated that is not there");
}

TEST(CheckPlanTest, RefusesInputsDonatedTwice) {
  Plan plan = Donated();
  plan.donations.push_back({0, UINT32_MAX, false});
  ExpectRefused(plan, "input 0 is donated twice");
}

TEST(CheckPlanTest, RefusesOutputsInTwoInputs) {
  Plan plan = Donated();
  plan.signature.inputs.push_back(plan.signature.inputs[0]);
  plan.donations.push_back({1, 0, false});
  ExpectRefused(plan, "output 0 lies in two inputs");
}

TEST(CheckPlanTest, RefusesOutputsInInputsOfAnotherSize) {
  Plan plan = Donated();
  plan.signature.inputs[0].shape = {17};
  ExpectRefused(plan, "an input of another size");
  plan.signature.inputs[0] = {tensor::DType::kF64, {8}};
  ExpectRefused(plan, "an input of another size");
}

TEST(CheckPlanTest, RefusesDonatedMemoryOfInputsThatAreKept) {
  Plan plan = Sample();
  plan.buffers[kTemporary] = {BufferKind::kDonated, 0, 0, 64};
  ExpectRefused(plan, "lies in nothing");
  // And of those that an output lies in already.
  plan.donations = {{0, 0, false}};
  ExpectRefused(plan, "lies in nothing");
}

TEST(CheckPlanTest, RefusesDonatedBuffersBeyondTheInput) {
  Plan plan = Sample();
  plan.donations = {{0, UINT32_MAX, false}};
  plan.buffers[kTemporary] = {BufferKind::kDonated, 0, 64, 64};
  ExpectRefused(plan, "larger than what it lies in");
}

// Vectors are read and written as whole ones.
TEST(CheckPlanTest, RefusesArraysBetweenAlignments) {
  Plan plan = Sample();
  plan.arena_bytes = 1024;
  plan.buffers.push_back({BufferKind::kArena, 0, 200, 8});
  EXPECT_TRUE(CheckPlan(plan).ok());
  for (const auto& [offset, bytes] : {std::pair{200, 16}, std::pair{204, 4}, std::pair{252, 8}}) {
    plan.buffers.back().offset = static_cast<uint64_t>(offset);
    plan.buffers.back().bytes = static_cast<uint64_t>(bytes);
    ExpectRefused(plan, "between places where it may lie");
  }
}

TEST(CheckPlanTest, RefusesOutputsThatStandForDonatedInputs) {
  Plan plan = Sample();
  plan.signature.outputs.push_back(plan.signature.outputs[0]);
  plan.donations = {{0, UINT32_MAX, false}};
  plan.aliases = {{1, BufferKind::kInput, 0}};
  ExpectRefused(plan, "stands for an input that is donated");
}

TEST(CheckPlanTest, RefusesOutputsThatLieInInputsAndStandForArrays) {
  Plan plan = Donated();
  plan.aliases = {{0, BufferKind::kInput, 0}};
  ExpectRefused(plan, "stands for an array");
}

// Of the input and of the output that lies in it.
TEST(CheckPlanTest, RefusesResultsThatCoverPartOfADonatedOperand) {
  Plan plan = Sample();
  for (TensorSpec* s : {&plan.signature.inputs[0], &plan.signature.outputs[0]}) s->shape = {32};
  plan.donations = {{0, 0, false}};
  plan.buffers[kInput].bytes = 128;
  plan.buffers[kTemporary].bytes = 128;
  plan.arena_bytes = 256;
  plan.buffers[kScratch].offset = 128;
  plan.buffers[kOutput] = {BufferKind::kOutput, 0, 64, 64};
  plan.entry.steps[1].in = {kInput};
  ExpectRefused(plan, "overlap");
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

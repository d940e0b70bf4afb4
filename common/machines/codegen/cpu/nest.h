// Decisions about a kernel that are made before any instruction is: how many lanes, which loops,
// what is computed in which of them.
#pragma once

#include <cstdint>
#include <vector>

#include "common/machines/codegen/cpu/ir_ops.h"
#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// Loops are opened in this order: all outer dimensions but (with vector_outer) the last, the last,
// then those of the stage. A level counts opened loops: kRowLevel has the first group, with
// vector_outer kPointLevel adds the last outer one; each dimension of the stage adds one more.
inline constexpr int kRowLevel = 0;
inline constexpr int kPointLevel = 1;

// How a stage runs.
struct StageNest {
  std::vector<uint32_t> order;  // its dimensions (numbered after the outer ones) as they nest
  size_t free = 0;              // so many of `order` are not reduced; they come first
  std::vector<int> level;       // of each instruction: where its value is known
  std::vector<bool> lanes;      // of each instruction: does it differ between lanes?
  std::vector<int> dim_level;   // of every dimension, outer ones included
  unsigned unroll = 1;          // vectors worked on together
};

struct KernelNest {
  unsigned width = 1;   // lanes of a vector
  unsigned unroll = 1;  // vectors worked on together by stages that share a loop (vector_outer)
  bool masks = false;   // remainders run under a mask; otherwise one element at a time
  // All vectors are masked: the body is compiled once, and runs a tenth slower.
  bool always_masked = false;
  std::vector<uint64_t> local_offsets;  // in the scratch memory
  uint64_t scratch_bytes = 0;
  std::vector<StageNest> stages;
};

// Requires what EmitKernel does.
KernelNest PlanNest(const runtime::LoopKernel& kernel, const TargetTraits& traits);

// The level at which the element of an index term that is the same for all lanes is known.
int TermLevel(const runtime::LoopKernel& kernel, const runtime::LoopStage& stage,
              const StageNest& nest, const runtime::LoopIndexTerm& term);

// How many registers an operation reads.
int OperandsOf(kernels::ScalarOp op);

// The vectorised dimension as seen by `stage`.
uint32_t VectorDim(const runtime::LoopKernel& kernel, const runtime::LoopStage& stage);
int64_t Extent(const runtime::LoopKernel& kernel, const runtime::LoopStage& stage, uint32_t dim);

}  // namespace megalith::codegen

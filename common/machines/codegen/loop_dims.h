// Changes to the dimensions of loop kernels that leave alone what they compute.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// Removes dimensions of one element: outer ones, and those of stages that can do without. False,
// with the kernel half done, if a guard keeps such a dimension from memory.
bool DropUnitDims(runtime::LoopKernel* kernel);

// Splits outer dimensions so that the first are exactly `extents` (none of them 1). False, with the
// kernel half done, if they do not divide or if a position along one is used.
bool SplitOuter(const std::vector<int64_t>& extents, runtime::LoopKernel* kernel);

// Makes the outer dimensions from `count` on dimensions of the only stage, which has none yet, and
// runs the last of them in vectors.
void MoveInside(size_t count, runtime::LoopKernel* kernel);

// The coarsest extents that both `a` and the start of `b` can be split into; none if there are no
// such, or if b has fewer points than a. None of the extents may be below 2.
std::optional<std::vector<int64_t>> CommonExtents(const std::vector<int64_t>& a,
                                                  const std::vector<int64_t>& b);

// Calls `visit` with every load and every store of a stage.
template <typename Stage, typename F>
void ForEachAccess(Stage& stage, const F& visit) {
  for (auto& load : stage.loads) visit(load);
  for (auto& store : stage.stores) visit(store.to);
}

}  // namespace megalith::codegen

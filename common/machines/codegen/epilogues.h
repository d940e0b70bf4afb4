// Elementwise kernels that run on rows of a matrix product while they are in the cache.
#pragma once

#include <cstdint>
#include <unordered_set>

#include "common/machines/codegen/memory.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// Joins such kernels to the library calls whose results they read, if nothing between the two gets
// in the way. Steps still name arrays; `takes_epilogue` holds the numbers of library calls that
// can.
void FuseEpilogues(const runtime::Plan& plan, const Arrays& arrays,
                   const std::unordered_set<uint32_t>& takes_epilogue, runtime::PlanRegion* region);

}  // namespace megalith::codegen

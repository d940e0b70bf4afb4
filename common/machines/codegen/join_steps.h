// Vertical and horizontal fusion of steps: loop kernels that touch the same rows become one.
//
// Grouping decides by expressions what a kernel computes; what is left are kernels that hand each
// other arrays, or read the same ones. Here a cost model decides which of them run together, row
// by row: it weighs bytes that stay in the cache and calls that are saved against parallelism and
// width of vectors that are lost.
#pragma once

#include "common/machines/codegen/lower.h"
#include "common/machines/codegen/memory.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// Joins kernels of every region of the plan, makes arrays that only one kernel uses private to it,
// and drops kernels that no step names any more. Steps name arrays. Results of the program must be
// placed. `report` may be null. Cost: near linear in the number of steps.
void JoinSteps(const Arrays& arrays, runtime::Plan* plan, LowerReport* report);

// Arguments of a step in the order of a plan: what is only read, then what is written. Numbers the
// buffers of `kernel` so; `places` are those behind its arguments, which may repeat.
runtime::PlanStep LoopStep(const std::vector<uint32_t>& places, runtime::LoopKernel* kernel);

}  // namespace megalith::codegen

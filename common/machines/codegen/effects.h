// What more than computes results, and therefore happens as often as the program says and in its
// order.
#pragma once

#include "common/machines/kernels/library.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

// True for such an operation, and for one that holds some in its regions.
bool HasEffect(const stablehlo::Op& op);

// The same of a step of a plan. What the evaluator runs counts, whatever it is.
bool HasEffect(const runtime::Plan& plan, const runtime::PlanStep& step);

// Calls of functions of the host (foundation/base/host_calls.h). Parameters: the number of the
// function.
extern const kernels::LibraryKernel kHostCallKernel;

}  // namespace megalith::codegen

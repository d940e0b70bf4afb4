// Reductions in two steps, for those with few results: parts first, so that threads share them.
#pragma once

#include <cstdint>

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// How many parts a one-stage reduction should be made in; 1: leave it as it is.
int64_t PartsOf(const runtime::LoopKernel& kernel);

// Changes `kernel` to reduce each of `parts` parts by itself into an array [parts, outer...] of
// `type`, and returns the kernel that reduces those into the result. Requires PartsOf(*kernel) ==
// parts and one reduction.
runtime::LoopKernel SplitReduction(int64_t parts, tensor::DType type, runtime::LoopKernel* kernel);

}  // namespace megalith::codegen

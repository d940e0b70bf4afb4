// Running reductions: prefix sums and their kin.
#pragma once

#include "common/machines/kernels/combine.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/params.h"

namespace megalith::kernels {

// out[i] = initial value (if any) folded with elements up to i along the length of `lines`, or from
// i on if `reverse`.
using RunningFn = Status (*)(const KernelCall& call, const void* in, const void* initial, void* out,
                             const LineLayout& lines, bool reverse);

// nullptr if there is no such combination of the type.
RunningFn FindRunning(DType dtype, CombineKind kind);

}  // namespace megalith::kernels

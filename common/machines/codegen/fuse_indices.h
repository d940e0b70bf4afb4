// Kernels that compute indices, joined to the kernels that read through them.
#pragma once

#include "common/machines/codegen/memory.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// A gather reads its indices from memory. Where a kernel makes them for one gather alone, both
// become one kernel: it makes the indices of some rows in private memory, then reads those rows, so
// that the array of all indices is gone. Steps still name arrays.
void FuseIndices(const Arrays& arrays, runtime::Plan* plan);

}  // namespace megalith::codegen

// What a kernel may be run on: its operand's own memory, or rows as they are made.
#pragma once

#include <cstdint>

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// True if a kernel that reads argument `loaded` and writes argument `stored` gives the same results
// when both are one array: every element is read only at the point that overwrites it.
bool FitsInPlace(const runtime::LoopKernel& kernel, uint32_t loaded, uint32_t stored);

// True if `kernel` reads its argument `number` only at the point it computes, in row-major order.
bool FollowsRows(const runtime::LoopKernel& kernel, uint32_t number);

}  // namespace megalith::codegen

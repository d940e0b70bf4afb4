// Positions of the greatest or smallest elements.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "argminmax": in[0] the array; out[0] the positions along a dimension (any integer type), or
// out[0] the elements and out[1] their positions, both without that dimension. params: dimension, 1
// for the smallest. The first of equal elements, the first NaN if there is one; zeros are equal,
// and of several the element given is the last. This is the reduction of (element, position) pairs
// that JAX writes, starting from the worst element and position 0, which is what an empty dimension
// gives.
extern const LibraryKernel kArgMinMaxKernel;

}  // namespace megalith::kernels

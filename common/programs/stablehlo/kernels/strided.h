// Moving elements between arrays with arbitrary strides.
#pragma once

#include <cstdint>

#include "common/programs/stablehlo/types.h"

namespace megalith::stablehlo {

// Copies an array of `shape`: element (i, j, ...) from `from` + i * from_strides[0] + ... to `to` +
// i * to_strides[0] +
// .... Strides are in bytes and may be zero (broadcast) or negative (reversal) on the source side;
// `width` is the size of an element, 1, 2, 4, 8 or 16. The arrays must not overlap. Dimensions that
// continue one another are merged first; runs are copied with memcpy, transpositions tile by tile.
void StridedCopy(void* to, const Dims& to_strides, const void* from, const Dims& from_strides,
                 const Shape& shape, int width);

// Fills n elements of `width` bytes with the element at `value`.
void Fill(void* to, const void* value, int64_t n, int width);

// Row-major strides in bytes.
Dims ByteStrides(const Shape& shape, int width);

}  // namespace megalith::stablehlo

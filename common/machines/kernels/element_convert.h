// Elements of any number type as runs of the types products are computed in, and back.
#pragma once

#include <cstdint>

#include "common/foundation/tensor/dtype.h"

namespace megalith::kernels {

using tensor::DType;

// Reads `count` elements, `stride` elements apart, as T. Of a complex type it reads the parts: a
// stride of 2 goes from one number's real part to the next one's.
template <typename T>
using ReadRun = void (*)(const void* from, int64_t stride, int64_t count, T* to);
// Writes `count` neighbours: floats rounded to nearest even, integers wrapped, bool != 0.
template <typename T>
using WriteRun = void (*)(const T* from, int64_t count, void* to);

// T is float, double, uint32_t or uint64_t. nullptr for types we do not convert: integers take no
// floats, floats take everything but small floats of 8 bits and less.
template <typename T>
ReadRun<T> ReaderOf(DType from);
template <typename T>
WriteRun<T> WriterOf(DType to);

}  // namespace megalith::kernels

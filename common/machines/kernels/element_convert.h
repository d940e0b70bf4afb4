// Elements of any number type as runs of the types products are computed in, and back.
#pragma once

#include <cstdint>
#include <type_traits>

#include "common/foundation/base/status.h"
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
template <>
ReadRun<float> ReaderOf<float>(DType from);
template <>
ReadRun<double> ReaderOf<double>(DType from);
template <>
ReadRun<uint32_t> ReaderOf<uint32_t>(DType from);
template <>
ReadRun<uint64_t> ReaderOf<uint64_t>(DType from);
template <>
WriteRun<float> WriterOf<float>(DType to);
template <>
WriteRun<double> WriterOf<double>(DType to);
template <>
WriteRun<uint32_t> WriterOf<uint32_t>(DType to);
template <>
WriteRun<uint64_t> WriterOf<uint64_t>(DType to);

// The type of products and sums for operands and a result of these types: f64 if any is f64 or
// c128, else f32, for inexact results; u64 if any has 64 bits, else u32, for integers and booleans.
DType ProductType(DType lhs, DType rhs, DType result);
// kUnimplemented if there is no reader or writer for the product type, or if only some are complex.
Status CheckProductTypes(DType lhs, DType rhs, DType result);

// True if elements of `type` (of its parts) are T in memory.
template <typename T>
bool IsStoredAs(DType type) {
  if (std::is_integral_v<T>) {
    return tensor::IsInteger(type) && tensor::ByteWidth(type) == sizeof(T);
  }
  return tensor::RealPart(type) == (sizeof(T) == 4 ? DType::kF32 : DType::kF64);
}

// Calls `visit` with a null pointer of the product type's C++ type.
template <typename Visit>
auto VisitProductType(DType product, const Visit& visit) {
  switch (product) {
    case DType::kF32:
      return visit(static_cast<float*>(nullptr));
    case DType::kF64:
      return visit(static_cast<double*>(nullptr));
    case DType::kU32:
      return visit(static_cast<uint32_t*>(nullptr));
    default:
      return visit(static_cast<uint64_t*>(nullptr));
  }
}

}  // namespace megalith::kernels

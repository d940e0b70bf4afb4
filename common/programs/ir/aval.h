// Abstract values: what a program knows about an array before it runs.
#pragma once

#include <string>

#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/shape.h"

namespace megalith::ir {

using tensor::Dims;
using tensor::DType;
using tensor::Shape;

// dtype, shape and weakness. A weak type came from a Python scalar and gives way to strong types in
// promotion; text does not show it (spec/jaxpr.md section 8).
struct Aval {
  DType dtype = DType::kInvalid;
  bool weak_type = false;
  Shape shape;

  size_t rank() const { return shape.size(); }
  friend bool operator==(const Aval&, const Aval&) = default;
  // Equal up to weakness.
  bool SameType(const Aval& other) const { return dtype == other.dtype && shape == other.shape; }
  Aval Strong() const { return {dtype, false, shape}; }
  // The type of this value's tangents and cotangents: itself for inexact types, float0 of the same
  // shape otherwise.
  Aval Tangent() const {
    return {tensor::TangentDType(dtype), weak_type && tensor::IsInexact(dtype), shape};
  }
  // "f32[2,3]".
  std::string Text() const;
};

}  // namespace megalith::ir

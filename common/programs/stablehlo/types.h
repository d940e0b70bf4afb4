// Types of StableHLO values: ranked tensors of static shape, and tokens.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/shape.h"

namespace megalith::stablehlo {

using tensor::Dims;
using tensor::DType;
using tensor::Shape;

// Names one value inside a function: index into Func::types. Dense, assigned in order of
// definition.
using ValueId = uint32_t;
inline constexpr ValueId kNoValue = UINT32_MAX;

// A tensor type, or the token type (which has no elements and orders side effects).
struct TensorType {
  DType dtype = DType::kInvalid;
  Shape shape;
  bool is_token = false;

  static TensorType Token() {
    TensorType t;
    t.is_token = true;
    return t;
  }
  static TensorType Scalar(DType dtype) { return {dtype, Shape{}}; }

  size_t rank() const { return shape.size(); }
  bool valid() const { return is_token || dtype != DType::kInvalid; }
  // As MLIR prints it: "tensor<2x3xf32>", "!stablehlo.token"; "<invalid>" for a default-constructed
  // type.
  std::string Text() const;
  // The same shape with other elements.
  TensorType With(DType other) const { return {other, shape}; }

  friend bool operator==(const TensorType&, const TensorType&) = default;
};

// Elements of a type; 0 for tokens, -1 if the count does not fit into int64.
int64_t ElementCount(const TensorType& type);
// Bytes a tensor of this type occupies; 0 for tokens, -1 on overflow.
int64_t ByteCount(const TensorType& type);

}  // namespace megalith::stablehlo

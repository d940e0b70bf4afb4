// The type of an array, as signatures and requests state it.
#pragma once

#include "common/foundation/tensor/dtype.h"
#include "common/foundation/tensor/shape.h"

namespace megalith::tensor {

struct ArrayType {
  DType dtype = DType::kInvalid;
  Shape shape;
  bool weak_type = false;  // came from a Python scalar
  friend bool operator==(const ArrayType&, const ArrayType&) = default;
};

}  // namespace megalith::tensor

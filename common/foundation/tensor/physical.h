// Between the arrays users see and the arrays that StableHLO programs take: keys are ui32 words
// with one more dimension, float0 is i1 zeros. Everything else is itself.
#pragma once

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::tensor {

// The type that carries arrays of type `type`; its weak flag is kept.
ArrayType PhysicalType(const ArrayType& type);
// Shares the storage of `t` where there is something to share.
Tensor ToPhysical(const Tensor& t);
// Errors: kInternal if `t` is not of the physical type of `type`.
Result<Tensor> FromPhysical(const Tensor& t, const ArrayType& type);

}  // namespace megalith::tensor

// Numbers without a type of their own, as Python's are in JAX, take that of the program's argument.
#pragma once

#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/array_type.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::services {

// Converts each argument with a true flag to the type in `want`, if JAX's promotion lets a weak
// number become one: integers become any integer that holds them, floats and complex numbers,
// floats become floats, which rounds, and complex numbers. What does not fit by kind or shape stays
// as it is; the check of the arguments tells. `weak` may be shorter than the others: false.
// Errors: kInvalidArgument  an integer that its type does not hold.
Status AdaptWeak(const std::vector<tensor::ArrayType>& want, const std::vector<bool>& weak,
                 std::vector<tensor::Tensor>* arguments);

}  // namespace megalith::services

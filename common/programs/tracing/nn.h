// What networks are made of, as jax.nn has it.
#pragma once

#include "common/programs/tracing/numpy.h"

namespace megalith::tracing {

Array Relu(Operand x);
inline Array Sigmoid(Operand x) { return lax::Logistic(x); }
Array Silu(Operand x);
// The tanh form.
Array Gelu(Operand x);
Array Softplus(Operand x);
Array Softmax(Operand x, Axes axes = -1);
Array LogSoftmax(Operand x, Axes axes = -1);
Array LogSumExp(Operand x, Axes axes = {}, bool keepdims = false);
// 1 where the class number is `classes`' index, 0 elsewhere, in a new last dimension.
Array OneHot(Operand x, int64_t classes, DType dtype = DType::kF32);

}  // namespace megalith::tracing

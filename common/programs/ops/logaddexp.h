// log(exp x + exp y): a function of lax with a derivative rule of its own, not a primitive.
#pragma once

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Emits the function as the call that lax.logaddexp is, a custom_jvp_call. Operands have equal
// types.
Value LogAddExp(Builder& b, Value x, Value y);

// Emits what the call computes.
// Errors: ValueError for dtypes that are neither floating nor complex.
Value LogAddExpBody(Builder& b, Value x, Value y);

}  // namespace megalith::ops

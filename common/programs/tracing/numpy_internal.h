// Pieces of jax.numpy that other functions of the front end are made of.
#pragma once

#include "common/programs/tracing/trace.h"

namespace megalith::tracing {

// jnp.where and jnp.remainder: jit equations of those names.
Value EmitWhere(Trace& t, Builder& b, Value condition, Value x, Value y);
Value EmitRemainder(Trace& t, Builder& b, Value x, Value y);

// The axes of an array of this rank, in ascending order or as given; ValueError "axis 2 is out of
// bounds for array of dimension 2" and for one that stands twice.
Result<Dims> ResolveAxes(const Dims& axes, size_t rank);

}  // namespace megalith::tracing

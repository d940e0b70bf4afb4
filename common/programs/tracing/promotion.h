// Type promotion as jax.numpy does it. Internal to the front end.
#pragma once

#include <span>

#include "common/programs/tracing/trace.h"

namespace megalith::tracing {

struct PromotedType {
  DType dtype = DType::kInvalid;
  bool weak = false;
};

// jnp.result_type: the least type of JAX's promotion lattice above all of them, and whether it is
// weak. Errors: ValueError class TypePromotionError where there is none (int4 and float8, say).
Result<PromotedType> ResultType(std::span<const Aval> types, bool x64);

// One operation's operands: numbers stay numbers until their dtype is known, so that they are
// rounded once.
class Operands {
 public:
  Operands(Trace& trace, std::initializer_list<const Operand*> operands);
  Operands(Trace& trace, std::span<const Array> arrays, Place where);

  const Avals& avals() const { return avals_; }
  // All converted to their common type. Errors go to the trace.
  Values Promoted();
  // The same, integers and booleans becoming floats.
  Values PromotedInexact();
  // Converted to the given type.
  Values Converted(PromotedType type);

 private:
  Trace& trace_;
  Place where_;
  Arrays arrays_;
  Values values_;  // empty for numbers
  Avals avals_;
};

// The float type an integer or boolean type becomes in functions of real numbers; inexact types
// stay.
PromotedType InexactType(PromotedType t, bool x64);

// x converted as lax._convert_element_type does it: nothing to do for an equal type.
Value ConvertTo(Builder& b, Value x, PromotedType type);

// Operands of different ranks, none of them scalar, brought to one rank by leading dimensions of
// size 1.
void PromoteRanks(Builder& b, Values* values);

// The shape that shapes broadcast to by NumPy's rules, or ValueError "Incompatible shapes for
// broadcasting: ...".
Result<Shape> BroadcastShape(std::span<const Shape> shapes);

// jnp.broadcast_to without its checks: `x` in `shape`.
Value BroadcastTo(Builder& b, Value x, const Shape& shape);

}  // namespace megalith::tracing

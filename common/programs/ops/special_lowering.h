// Special functions written in terms of simpler primitives: how they are lowered, and the
// derivative of gamma samples.
//
// Formulas and iteration limits follow jax/_src/lax/special.py, so that both give the same program.
#pragma once

#include "common/programs/ops/rules.h"

namespace megalith::ops {

// Each takes operands of one dtype, f32 or f64, and one shape, and emits the function's value.
Value Igamma(Builder& b, std::span<const Value> v);           // of a, x
Value Igammac(Builder& b, std::span<const Value> v);          // of a, x
Value IgammaGradA(Builder& b, std::span<const Value> v);      // of a, x
Value RandomGammaGrad(Builder& b, std::span<const Value> v);  // of a, sample
Value BesselI0e(Builder& b, std::span<const Value> v);        // of x
// Of a, b, x; iterations are counted in `counter`.
Value RegularizedBeta(Builder& b, std::span<const Value> v, DType counter);

}  // namespace megalith::ops

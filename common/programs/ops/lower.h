// Lowering rule parts that many primitives share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include "common/programs/lowering/context.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {

using lowering::LowerContext;
using stablehlo::FuncBuilder;
using stablehlo::TensorType;
using stablehlo::ValueId;
using stablehlo::Values;

// A string as a template argument.
template <size_t N>
struct OpName {
  char text[N] = {};
  consteval OpName(const char (&s)[N]) { std::copy_n(s, N, text); }  // NOLINT: implicit by design
  constexpr std::string_view view() const { return {text, N - 1}; }
};

// One StableHLO operation on the operands, which are first broadcast to the result's shape; with a
// `result_accuracy` if the primitive's `accuracy` asks for one.
Status LowerElementwise(LowerContext& c, std::string_view op);

template <OpName Op>
Status LowerTo(LowerContext& c) {
  return LowerElementwise(c, Op.view());
}

// The operands themselves.
Status LowerIdentity(LowerContext& c);

// A scalar constant, broadcast to a shape: what JAX emits for a full array.
ValueId FullOf(FuncBuilder& b, TensorType type, double value);

// maximum and minimum; complex numbers are compared as pairs.
ValueId MaxOf(FuncBuilder& b, ValueId x, ValueId y);
ValueId MinOf(FuncBuilder& b, ValueId x, ValueId y);

// The neutral elements of maximum, minimum and bitwise and.
ValueId MaxIdentity(FuncBuilder& b, DType dtype);
ValueId MinIdentity(FuncBuilder& b, DType dtype);
ValueId AndIdentity(FuncBuilder& b, DType dtype);

// Reduces the only operand over parameter-given axes with one binary operation.
using BinaryFn = ValueId (*)(FuncBuilder&, ValueId, ValueId);
ValueId ReduceOver(FuncBuilder& b, ValueId x, ValueId init, const Dims& axes, BinaryFn combine);

}  // namespace megalith::ops

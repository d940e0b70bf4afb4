// Which StableHLO operations are scalar operations of fused kernels.
#pragma once

#include <string_view>

#include "common/machines/kernels/scalar_ops.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

using kernels::ScalarOp;
using stablehlo::DType;

// One row per operation whose result element is one scalar operation of its operands' elements.
struct ElementwiseRow {
  std::string_view op;  // "stablehlo.add"
  ScalarOp scalar;
  bool exact = false;  // a bf16 or f16 result needs no rounding: it is an operand, or fits
};

// nullptr for an op without a row.
const ElementwiseRow* FindElementwise(std::string_view op);

// True if an occurrence of the operation can be computed in fused kernels, for some types at least.
bool IsElementwiseName(std::string_view op);

// True if fused kernels can compute this occurrence: it has a row, or is a compare, clamp, convert
// or the like, and all types are ones that kernels know.
bool IsFusibleElementwise(const stablehlo::Op& op, const stablehlo::Func& func);

// The comparison of a stablehlo.compare.
ScalarOp ComparisonOf(const stablehlo::Op& op);

// True if a fused kernel can hold elements of this type in a register.
bool IsComputable(DType type);

// The type a kernel that only moves elements uses for this one: itself if it is computable, an
// unsigned integer of the same width otherwise; kInvalid if there is none (c128).
DType MovableAs(DType type);

// Cost of one element of `op` in additions of f32.
double ScalarCost(const stablehlo::Op& op, const stablehlo::Func& func);

// About how many instructions a fused kernel needs for `op`.
uint32_t InstructionsOf(const stablehlo::Op& op, const stablehlo::Func& func);

}  // namespace megalith::codegen

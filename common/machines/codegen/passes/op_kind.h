// The operations that passes know by name, as small numbers for tables and comparisons.
#pragma once

#include <cstddef>
#include <cstdint>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {

// In the order of the table in op_kind.cc. kOther is every operation without a row there.
enum class OpKind : uint8_t {
  kOther,
  // Terminators; kReturn is both that of functions and that of regions.
  kReturn,
  // Elementwise.
  kAbs,
  kAdd,
  kAnd,
  kAtan2,
  kCeil,
  kClamp,
  kCompare,
  kComplex,
  kConj,
  kConvert,
  kCosine,
  kDivide,
  kExponential,
  kFloor,
  kImag,
  kIsFinite,
  kLog,
  kMaximum,
  kMinimum,
  kMultiply,
  kNegate,
  kNot,
  kOr,
  kPower,
  kReal,
  kReducePrecision,
  kRemainder,
  kRoundNearestAfz,
  kRoundNearestEven,
  kRsqrt,
  kSelect,
  kShiftLeft,
  kShiftRightArithmetic,
  kShiftRightLogical,
  kSign,
  kSqrt,
  kSubtract,
  kXor,
  // Moving elements.
  kBitcastConvert,
  kBroadcastInDim,
  kConcatenate,
  kConstant,
  kDynamicSlice,
  kDynamicUpdateSlice,
  kGather,
  kGetDimensionSize,
  kIota,
  kPad,
  kReshape,
  kReverse,
  kScatter,
  kSlice,
  kTranspose,
  // Reductions and products.
  kConvolution,
  kDotGeneral,
  kReduce,
  kReduceWindow,
  kSelectAndScatter,
  kSort,
  // Control and the rest.
  kCase,
  kCustomCall,
  kIf,
  kOptimizationBarrier,
  kWhile,
  // For rules only: whatever has a loop over elements (OpDef::span).
  kElementwise,
  kCount,
};
inline constexpr size_t kNumOpKinds = static_cast<size_t>(OpKind::kCount);

// The kind of a row of the StableHLO op table. Cost: one hash look-up.
OpKind KindOf(const stablehlo::OpDef& def);

// The row of a kind; of kReturn that of regions. Requires a kind other than kOther.
const stablehlo::OpDef& DefOf(OpKind kind);

}  // namespace megalith::codegen

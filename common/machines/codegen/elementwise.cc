#include "common/machines/codegen/elementwise.h"

#include <algorithm>
#include <string>
#include <unordered_map>

#include "common/machines/codegen/kernel_builder.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using stablehlo::CompareDirection;

constexpr ElementwiseRow kRows[] = {
    {"stablehlo.abs", ScalarOp::kAbs, true},
    {"stablehlo.cbrt", ScalarOp::kCbrt},
    {"stablehlo.ceil", ScalarOp::kCeil, true},
    {"stablehlo.cosine", ScalarOp::kCosine},
    {"stablehlo.count_leading_zeros", ScalarOp::kCountLeadingZeros, true},
    {"stablehlo.exponential", ScalarOp::kExp},
    {"stablehlo.exponential_minus_one", ScalarOp::kExpm1},
    {"stablehlo.floor", ScalarOp::kFloor, true},
    {"stablehlo.is_finite", ScalarOp::kIsFinite, true},
    {"stablehlo.log", ScalarOp::kLog},
    {"stablehlo.log_plus_one", ScalarOp::kLog1p},
    {"stablehlo.logistic", ScalarOp::kLogistic},
    {"stablehlo.negate", ScalarOp::kNegate, true},
    {"stablehlo.not", ScalarOp::kNot, true},
    {"stablehlo.popcnt", ScalarOp::kPopcount, true},
    {"stablehlo.round_nearest_afz", ScalarOp::kRoundAway, true},
    {"stablehlo.round_nearest_even", ScalarOp::kRoundEven, true},
    {"stablehlo.rsqrt", ScalarOp::kRsqrt},
    {"stablehlo.sign", ScalarOp::kSign, true},
    {"stablehlo.sine", ScalarOp::kSine},
    {"stablehlo.sqrt", ScalarOp::kSqrt},
    {"stablehlo.tan", ScalarOp::kTan},
    {"stablehlo.tanh", ScalarOp::kTanh},
    {"stablehlo.add", ScalarOp::kAdd},
    {"stablehlo.and", ScalarOp::kAnd, true},
    {"stablehlo.atan2", ScalarOp::kAtan2},
    {"stablehlo.divide", ScalarOp::kDivide},
    {"stablehlo.maximum", ScalarOp::kMaximum, true},
    {"stablehlo.minimum", ScalarOp::kMinimum, true},
    {"stablehlo.multiply", ScalarOp::kMultiply},
    {"stablehlo.or", ScalarOp::kOr, true},
    {"stablehlo.power", ScalarOp::kPower},
    {"stablehlo.remainder", ScalarOp::kRemainder, true},
    {"stablehlo.shift_left", ScalarOp::kShiftLeft, true},
    {"stablehlo.shift_right_arithmetic", ScalarOp::kShiftRightArithmetic, true},
    {"stablehlo.shift_right_logical", ScalarOp::kShiftRightLogical, true},
    {"stablehlo.subtract", ScalarOp::kSubtract},
    {"stablehlo.xor", ScalarOp::kXor, true},
    {"stablehlo.select", ScalarOp::kSelect, true},
    {"stablehlo.bitcast_convert", ScalarOp::kBitcast, true},
    {"stablehlo.convert", ScalarOp::kConvert},
    {"chlo.acos", ScalarOp::kAcos},
    {"chlo.acosh", ScalarOp::kAcosh},
    {"chlo.asin", ScalarOp::kAsin},
    {"chlo.asinh", ScalarOp::kAsinh},
    {"chlo.atan", ScalarOp::kAtan},
    {"chlo.atanh", ScalarOp::kAtanh},
    {"chlo.cosh", ScalarOp::kCosh},
    {"chlo.digamma", ScalarOp::kDigamma},
    {"chlo.erf", ScalarOp::kErf},
    {"chlo.erf_inv", ScalarOp::kErfInv},
    {"chlo.erfc", ScalarOp::kErfc},
    {"chlo.lgamma", ScalarOp::kLgamma},
    {"chlo.next_after", ScalarOp::kNextAfter},
    {"chlo.sinh", ScalarOp::kSinh},
    {"chlo.tan", ScalarOp::kTan},
};

// Elementwise ops that take more than one scalar operation, or attributes.
constexpr std::string_view kComposed[] = {
    "stablehlo.compare", "stablehlo.clamp", "stablehlo.reduce_precision",
    "chlo.square",       "chlo.is_inf",     "chlo.is_neg_inf",
    "chlo.is_pos_inf"};

// A register holds the element's own bits, and the result has as many.
bool KeepsBits(const stablehlo::Op& op, const stablehlo::Func& func) {
  const DType from = func.type(op.operands[0]).dtype, to = func.type(op.result()).dtype;
  return from != DType::kBool && to != DType::kBool && kernels::RegisterType(from) == from &&
         kernels::RegisterType(to) == to && tensor::BitWidth(from) == tensor::BitWidth(to);
}

// Reads and converts elements on the way in and out; others need a kernel of their own.
bool AcceptsAll(const stablehlo::Op& op, const stablehlo::Func& func, ScalarOp scalar) {
  const kernels::ScalarOpInfo* info = kernels::FindScalarOp(scalar);
  if (info == nullptr) return false;
  const size_t typed = scalar == ScalarOp::kSelect ? 1 : 0;  // the operand whose type counts
  const DType storage = func.type(op.operands[typed]).dtype;
  // What counts bits, or moves them down, sees those that are not there.
  constexpr ScalarOp kOnWholeBytes[] = {ScalarOp::kPopcount, ScalarOp::kCountLeadingZeros,
                                        ScalarOp::kShiftRightLogical,
                                        ScalarOp::kShiftRightArithmetic};
  if (tensor::BitWidth(storage) < 8 && !tensor::IsBool(storage) &&
      std::ranges::find(kOnWholeBytes, scalar) != std::end(kOnWholeBytes)) {
    return false;
  }
  return kernels::Accepts(*info, ComputedAs(storage));
}

}  // namespace

bool IsComputable(DType type) { return kernels::RegisterType(type) != DType::kInvalid; }

DType MovableAs(DType type) {
  if (IsComputable(type)) return type;
  switch (tensor::ByteWidth(type)) {
    case 1:
      return DType::kU8;
    case 2:
      return DType::kU16;
    case 4:
      return DType::kU32;
    case 8:
      return DType::kU64;
    default:
      return DType::kInvalid;
  }
}

const ElementwiseRow* FindElementwise(std::string_view op) {
  static const auto* const rows = [] {
    auto* map = new std::unordered_map<std::string_view, const ElementwiseRow*>();
    for (const ElementwiseRow& row : kRows) map->emplace(row.op, &row);
    return map;
  }();
  const auto it = rows->find(op);
  return it == rows->end() ? nullptr : it->second;
}

bool IsElementwiseName(std::string_view op) {
  return FindElementwise(op) != nullptr ||
         std::ranges::find(kComposed, op) != std::end(kComposed) || IsComplexName(op);
}

ScalarOp ComparisonOf(const stablehlo::Op& op) {
  switch (static_cast<CompareDirection>(op.attr("comparison_direction").AsEnum())) {
    case CompareDirection::kEq:
      return ScalarOp::kEqual;
    case CompareDirection::kNe:
      return ScalarOp::kNotEqual;
    case CompareDirection::kGe:
      return ScalarOp::kGreaterEqual;
    case CompareDirection::kGt:
      return ScalarOp::kGreater;
    case CompareDirection::kLe:
      return ScalarOp::kLessEqual;
    case CompareDirection::kLt:
      return ScalarOp::kLess;
  }
  return ScalarOp::kEqual;
}

bool IsFusibleElementwise(const stablehlo::Op& op, const stablehlo::Func& func) {
  if (op.num_results != 1 || op.operands.empty()) return false;
  if (tensor::IsComplex(func.type(op.result()).dtype) ||
      tensor::IsComplex(func.type(op.operands[0]).dtype)) {
    return IsFusibleComplex(op, func);
  }
  const bool composed = std::ranges::find(kComposed, op.def->name) != std::end(kComposed);
  const ElementwiseRow* row = composed ? nullptr : FindElementwise(op.def->name);
  if (!composed && row == nullptr) return false;
  if (ComputedAs(func.type(op.result()).dtype) == DType::kInvalid) return false;
  for (const stablehlo::ValueId v : op.operands) {
    if (func.type(v).is_token || ComputedAs(func.type(v).dtype) == DType::kInvalid) return false;
  }
  // The next number of the type itself, not of the f32 that holds it.
  const DType element = func.type(op.operands[0]).dtype;
  if (row != nullptr && row->scalar == ScalarOp::kNextAfter &&
      kernels::RegisterType(element) != element) {
    return false;
  }
  if (op.def->name.starts_with("chlo.is_")) return tensor::IsFloat(element);
  if (row != nullptr && row->scalar == ScalarOp::kBitcast && !KeepsBits(op, func)) return false;
  if (row != nullptr) return AcceptsAll(op, func, row->scalar);
  if (op.def->name == "stablehlo.compare") {
    return AcceptsAll(op, func, ComparisonOf(op));
  }
  if (op.def->name == "chlo.square") return AcceptsAll(op, func, ScalarOp::kMultiply);
  if (op.def->name == "stablehlo.clamp") return AcceptsAll(op, func, ScalarOp::kMaximum);
  return AcceptsAll(op, func, ScalarOp::kReducePrecision);
}

uint32_t InstructionsOf(const stablehlo::Op& op, const stablehlo::Func& func) {
  if (op.operands.empty()) return 1;
  const DType from = func.type(op.operands.back()).dtype, to = func.type(op.result()).dtype;
  if (tensor::IsComplex(from)) {
    return IsLongComplexName(op.def->name) ? (from == DType::kC128 ? 120 : 60) : 6;
  }
  // Decoding takes a dozen, encoding twice as many; choosing neither.
  if (op.def->name == "stablehlo.select") return 1;
  uint32_t count = 1;
  for (const stablehlo::ValueId v : op.operands) {
    if (IsNarrow(func.type(v).dtype)) count += tensor::IsFloat(func.type(v).dtype) ? 12 : 1;
  }
  if (IsNarrow(to)) count += tensor::IsFloat(to) ? 24 : 3;
  return count;
}

double ScalarCost(const stablehlo::Op& op, const stablehlo::Func& func) {
  const ElementwiseRow* row = FindElementwise(op.def->name);
  const kernels::ScalarOpInfo* info = row == nullptr ? nullptr : kernels::FindScalarOp(row->scalar);
  const double own = info == nullptr ? 1 : info->cost;
  return own + 0.5 * (InstructionsOf(op, func) - 1);
}

}  // namespace megalith::codegen

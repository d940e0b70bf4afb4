#include "common/machines/kernels/scalar_ops.h"

#include <array>

namespace megalith::kernels {
namespace {

using S = ScalarShape;
using O = ScalarOp;

constexpr uint8_t kInts = kOnSigned | kOnUnsigned;
constexpr uint8_t kNumbers = kInts | kOnFloat;
constexpr uint8_t kBits = kOnBool | kInts;
constexpr uint8_t kAll = kOnBool | kNumbers;

// Costs: nanoseconds per element of tiles_bench relative to an addition of f32, rounded.
constexpr ScalarOpInfo kOps[] = {
    {O::kLoad, "load", S::kSource, kAll, 1},
    {O::kConstant, "constant", S::kSource, kAll, 0},
    {O::kIndex, "index", S::kSource, kNumbers, 1},

    {O::kNegate, "negate", S::kUnary, kNumbers, 1},
    {O::kAbs, "abs", S::kUnary, kNumbers, 1},
    {O::kSign, "sign", S::kUnary, kNumbers, 2},
    {O::kFloor, "floor", S::kUnary, kOnFloat, 1},
    {O::kCeil, "ceil", S::kUnary, kOnFloat, 1},
    {O::kRoundAway, "round_away", S::kUnary, kOnFloat, 3},
    {O::kRoundEven, "round_even", S::kUnary, kOnFloat, 1},
    {O::kSqrt, "sqrt", S::kUnary, kOnFloat, 6},
    {O::kRsqrt, "rsqrt", S::kUnary, kOnFloat, 10},
    {O::kCbrt, "cbrt", S::kUnary, kOnFloat, 30},
    {O::kExp, "exp", S::kUnary, kOnFloat, 12},
    {O::kExpm1, "expm1", S::kUnary, kOnFloat, 16},
    {O::kLog, "log", S::kUnary, kOnFloat, 16},
    {O::kLog1p, "log1p", S::kUnary, kOnFloat, 20},
    {O::kSine, "sine", S::kUnary, kOnFloat, 18},
    {O::kCosine, "cosine", S::kUnary, kOnFloat, 18},
    {O::kTan, "tan", S::kUnary, kOnFloat, 40},
    {O::kTanh, "tanh", S::kUnary, kOnFloat, 24},
    {O::kLogistic, "logistic", S::kUnary, kOnFloat, 18},
    {O::kErf, "erf", S::kUnary, kOnFloat, 30},
    {O::kErfc, "erfc", S::kUnary, kOnFloat, 60},
    {O::kErfInv, "erf_inv", S::kUnary, kOnFloat, 30},
    {O::kLgamma, "lgamma", S::kUnary, kOnFloat, 120},
    {O::kDigamma, "digamma", S::kUnary, kOnFloat, 120},
    {O::kAsin, "asin", S::kUnary, kOnFloat, 30},
    {O::kAcos, "acos", S::kUnary, kOnFloat, 30},
    {O::kAtan, "atan", S::kUnary, kOnFloat, 30},
    {O::kSinh, "sinh", S::kUnary, kOnFloat, 40},
    {O::kCosh, "cosh", S::kUnary, kOnFloat, 40},
    {O::kAsinh, "asinh", S::kUnary, kOnFloat, 50},
    {O::kAcosh, "acosh", S::kUnary, kOnFloat, 50},
    {O::kAtanh, "atanh", S::kUnary, kOnFloat, 40},
    {O::kNot, "not", S::kUnary, kBits, 1},
    {O::kPopcount, "popcount", S::kUnary, kInts, 4},
    {O::kCountLeadingZeros, "count_leading_zeros", S::kUnary, kInts, 6},
    {O::kReducePrecision, "reduce_precision", S::kUnary, kOnFloat, 8},
    {O::kRoundTo, "round_to", S::kUnary, kOnFloat, 4},

    {O::kIsFinite, "is_finite", S::kPredicate, kOnFloat, 1},

    {O::kConvert, "convert", S::kCast, kAll, 2},
    {O::kBitcast, "bitcast", S::kCast, kAll, 0},

    {O::kAdd, "add", S::kBinary, kAll, 1},
    {O::kSubtract, "subtract", S::kBinary, kNumbers, 1},
    {O::kMultiply, "multiply", S::kBinary, kAll, 1},
    {O::kDivide, "divide", S::kBinary, kNumbers, 5},
    {O::kRemainder, "remainder", S::kBinary, kNumbers, 40},
    {O::kMaximum, "maximum", S::kBinary, kAll, 2},
    {O::kMinimum, "minimum", S::kBinary, kAll, 2},
    {O::kPower, "power", S::kBinary, kNumbers, 80},
    {O::kAtan2, "atan2", S::kBinary, kOnFloat, 60},
    {O::kAnd, "and", S::kBinary, kBits, 1},
    {O::kOr, "or", S::kBinary, kBits, 1},
    {O::kXor, "xor", S::kBinary, kBits, 1},
    {O::kShiftLeft, "shift_left", S::kBinary, kInts, 2},
    {O::kShiftRightArithmetic, "shift_right_arithmetic", S::kBinary, kInts, 2},
    {O::kShiftRightLogical, "shift_right_logical", S::kBinary, kInts, 2},
    {O::kNextAfter, "next_after", S::kBinary, kOnFloat, 6},
    {O::kRotateLeft, "rotate_left", S::kBinary, kInts, 2},

    {O::kEqual, "equal", S::kCompare, kAll, 1},
    {O::kNotEqual, "not_equal", S::kCompare, kAll, 1},
    {O::kLess, "less", S::kCompare, kAll, 1},
    {O::kLessEqual, "less_equal", S::kCompare, kAll, 1},
    {O::kGreater, "greater", S::kCompare, kAll, 1},
    {O::kGreaterEqual, "greater_equal", S::kCompare, kAll, 1},

    {O::kSelect, "select", S::kSelect, kAll, 1},
};

// Rows by number: 255 where there is none.
constexpr std::array<uint8_t, 256> kRowOf = [] {
  std::array<uint8_t, 256> rows{};
  rows.fill(255);
  for (uint8_t i = 0; i < std::size(kOps); ++i) rows[static_cast<uint8_t>(kOps[i].op)] = i;
  return rows;
}();

}  // namespace

const ScalarOpInfo* FindScalarOp(ScalarOp op) {
  const uint8_t row = kRowOf[static_cast<uint8_t>(op)];
  return row == 255 ? nullptr : &kOps[row];
}

std::span<const ScalarOpInfo> AllScalarOps() { return kOps; }

int OperandCount(ScalarShape shape) {
  switch (shape) {
    case ScalarShape::kSource:
      return 0;
    case ScalarShape::kUnary:
    case ScalarShape::kPredicate:
    case ScalarShape::kCast:
      return 1;
    case ScalarShape::kBinary:
    case ScalarShape::kCompare:
      return 2;
    case ScalarShape::kSelect:
      return 3;
  }
  return 0;
}

bool IsRegisterType(DType type) { return RegisterType(type) == type && type != DType::kInvalid; }

DType RegisterType(DType storage) {
  switch (storage) {
    case DType::kBool:
    case DType::kI8:
    case DType::kI16:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kU16:
    case DType::kU32:
    case DType::kU64:
    case DType::kF32:
    case DType::kF64:
      return storage;
    case DType::kBF16:
    case DType::kF16:
      return DType::kF32;
    default:
      return DType::kInvalid;
  }
}

bool Accepts(const ScalarOpInfo& op, DType operand) {
  if (!IsRegisterType(operand)) return false;
  const uint8_t cls = tensor::IsBool(operand)       ? kOnBool
                      : tensor::IsSigned(operand)   ? kOnSigned
                      : tensor::IsUnsigned(operand) ? kOnUnsigned
                                                    : kOnFloat;
  return (op.types & cls) != 0;
}

}  // namespace megalith::kernels

// Identities of arithmetic.
//
// For floats only those that hold for every value: x + 0 is not x (it turns -0 into 0), x - 0 and
// x + (-0) are. For complex numbers hardly any do, since products mix the parts.
#include <bit>
#include <cmath>
#include <limits>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

bool IsReal(DType d) { return tensor::IsFloat(d); }

// --- several kinds ---

bool ConstantToTheRight(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  const ValueId y = g.operand(n, 1);
  if (g.ConstantOf(x) == nullptr || g.ConstantOf(y) != nullptr || !IsCommutative(g, n)) {
    return false;
  }
  g.SetOperands(n, {y, x});
  return true;
}

// (x op c) op d as x op (c op d), the constants being folded later. Integers only.
bool GatherConstants(Graph& g, Node& n) {
  const DType d = g.result_type(n).dtype;
  if (!IsWholeInt(d) && d != DType::kBool) return false;
  const Node* inner = g.DefOfKind(g.operand(n, 0), n.kind);
  if (inner == nullptr || g.ConstantOf(g.operand(n, 1)) == nullptr ||
      g.ConstantOf(g.operand(*inner, 1)) == nullptr ||
      g.ConstantOf(g.operand(*inner, 0)) != nullptr) {
    return false;
  }
  const ValueId constants =
      g.Emit(n, n.kind, {g.operand(*inner, 1), g.operand(n, 1)}, {}, g.result_type(n));
  g.SetOperands(n, {g.operand(*inner, 0), constants});
  return true;
}

template <OpKind kind>
bool Idempotent(Graph& g, Node& n) {
  if (g.DefOfKind(g.operand(n, 0), kind) == nullptr) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

template <OpKind kind>
bool Involution(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), kind);
  if (inner == nullptr) return false;
  g.Replace(n, g.operand(*inner, 0));
  return true;
}

// --- add, subtract, negate ---

bool AddZero(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const bool zero = IsReal(g.dtype(y)) ? IsFloatSplat(g, y, -0.0) : IsIntSplat(g, y, 0);
  if (!zero) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

// True if no element can be -0: sums are -0 only if all their terms are.
bool IsNeverMinusZero(const Graph& g, ValueId v, int depth) {
  if (const auto c = FloatSplat(g, v)) return *c != 0 || !std::signbit(*c);
  const Node* n = g.def(v);
  if (n == nullptr || depth == 0) return false;
  const auto operand = [&](uint32_t i) { return IsNeverMinusZero(g, g.operand(*n, i), depth - 1); };
  switch (n->kind) {
    case OpKind::kAbs:
    case OpKind::kExponential:
      return true;
    case OpKind::kAdd:
      return operand(0) || operand(1);
    case OpKind::kSubtract:
    case OpKind::kBroadcastInDim:
    case OpKind::kReshape:
    case OpKind::kReverse:
    case OpKind::kSlice:
    case OpKind::kDynamicSlice:
    case OpKind::kTranspose:
      return operand(0);
    case OpKind::kMultiply:
      return g.operand(*n, 0) == g.operand(*n, 1);
    case OpKind::kSelect:
      return operand(1) && operand(2);
    case OpKind::kConvert:
      return tensor::IsInteger(g.operand_type(*n, 0).dtype);
    case OpKind::kReduce:
      return n->num_operands == 2 && BodyKind(g, *n->regions[0]) == OpKind::kAdd && operand(1);
    default:
      return false;
  }
}

bool AddPositiveZero(Graph& g, Node& n) {
  if (!IsFloatSplat(g, g.operand(n, 1), 0.0) || !IsNeverMinusZero(g, g.operand(n, 0), 6))
    return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool SubtractZero(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const bool zero = IsReal(g.dtype(y)) ? IsFloatSplat(g, y, 0.0) : IsIntSplat(g, y, 0);
  if (!zero) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool SubtractSelf(Graph& g, Node& n) {
  if (g.operand(n, 0) != g.operand(n, 1) || !tensor::IsInteger(g.result_type(n).dtype))
    return false;
  g.Replace(n, g.SplatInt(g.result_type(n), 0));
  return true;
}

// x - c as x + (-c), so that there is one form to look for.
bool SubtractConstant(Graph& g, Node& n) {
  const DType d = g.result_type(n).dtype;
  const auto c = IntSplat(g, g.operand(n, 1));
  if (!IsWholeInt(d) || !c || *c == 0 || g.ConstantOf(g.operand(n, 0)) != nullptr) return false;
  const auto negated = static_cast<int64_t>(0 - static_cast<uint64_t>(*c));
  g.Become(n, OpKind::kAdd, {g.operand(n, 0), g.SplatInt(g.result_type(n), negated)});
  return true;
}

bool AddNegated(Graph& g, Node& n) {
  for (uint32_t i = 0; i < 2; ++i) {
    const Node* negated = g.DefOfKind(g.operand(n, i), OpKind::kNegate);
    if (negated == nullptr) continue;
    g.Become(n, OpKind::kSubtract, {g.operand(n, 1 - i), g.operand(*negated, 0)});
    return true;
  }
  return false;
}

bool SubtractNegated(Graph& g, Node& n) {
  const Node* negated = g.DefOfKind(g.operand(n, 1), OpKind::kNegate);
  if (negated == nullptr) return false;
  g.Become(n, OpKind::kAdd, {g.operand(n, 0), g.operand(*negated, 0)});
  return true;
}

bool NegateDifference(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kSubtract);
  if (inner == nullptr || !tensor::IsInteger(g.result_type(n).dtype)) return false;
  g.Become(n, OpKind::kSubtract, {g.operand(*inner, 1), g.operand(*inner, 0)});
  return true;
}

// (c - x) + d as (c + d) - x.
bool AddToDifference(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kSubtract);
  if (inner == nullptr || !IsWholeInt(g.result_type(n).dtype) ||
      g.ConstantOf(g.operand(n, 1)) == nullptr || g.ConstantOf(g.operand(*inner, 0)) == nullptr) {
    return false;
  }
  const ValueId constant =
      g.Emit(n, OpKind::kAdd, {g.operand(*inner, 0), g.operand(n, 1)}, {}, g.result_type(n));
  g.Become(n, OpKind::kSubtract, {constant, g.operand(*inner, 1)});
  return true;
}

// (x + y) - y and the like.
bool SumMinusTerm(Graph& g, Node& n) {
  if (!IsWholeInt(g.result_type(n).dtype)) return false;
  const Node* sum = g.DefOfKind(g.operand(n, 0), OpKind::kAdd);
  if (sum == nullptr) return false;
  for (uint32_t i = 0; i < 2; ++i) {
    if (g.operand(*sum, i) != g.operand(n, 1)) continue;
    g.Replace(n, g.operand(*sum, 1 - i));
    return true;
  }
  return false;
}

// --- multiply, divide, remainder, power ---

bool MultiplyByOne(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const bool one = IsReal(g.dtype(y)) ? IsFloatSplat(g, y, 1.0) : IsIntSplat(g, y, 1);
  if (!one) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool MultiplyByZero(Graph& g, Node& n) {
  if (!IsIntSplat(g, g.operand(n, 1), 0)) return false;
  g.Replace(n, g.operand(n, 1));
  return true;
}

bool MultiplyByMinusOne(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const DType d = g.dtype(y);
  const bool minus_one = IsReal(d) ? IsFloatSplat(g, y, -1.0)
                                   : tensor::IsSigned(d) && IsWholeInt(d) && IsIntSplat(g, y, -1);
  if (!minus_one || g.ConstantOf(g.operand(n, 0)) != nullptr) return false;
  g.Become(n, OpKind::kNegate, {g.operand(n, 0)});
  return true;
}

// (-x) * (-y), (-x) / (-y), |x| * |x|.
bool SignsCancel(Graph& g, Node& n) {
  if (tensor::IsComplex(g.result_type(n).dtype)) return false;
  if (n.kind == OpKind::kDivide && !IsReal(g.result_type(n).dtype)) return false;
  const Node* x = g.def(g.operand(n, 0));
  const Node* y = g.def(g.operand(n, 1));
  if (x == nullptr || y == nullptr || x->kind != y->kind) return false;
  const bool negated = x->kind == OpKind::kNegate;
  const bool squared = x->kind == OpKind::kAbs && x == y && n.kind == OpKind::kMultiply &&
                       !tensor::IsComplex(g.operand_type(*x, 0).dtype);
  if (!negated && !squared) return false;
  g.SetOperands(n, {g.operand(*x, 0), g.operand(*y, 0)});
  return true;
}

bool DivideByOne(Graph& g, Node& n) { return MultiplyByOne(g, n); }

// Both quotient and product are the same number rounded once, if 1/c is a number of the type.
bool DivideByPowerOfTwo(Graph& g, Node& n) {
  const auto c = FloatSplat(g, g.operand(n, 1));
  const DType d = g.result_type(n).dtype;
  if (!c || !std::isfinite(*c) || *c == 0) return false;
  if (d != DType::kF32 && d != DType::kF64 && d != DType::kBF16 && d != DType::kF16) return false;
  int exponent = 0;
  const double mantissa = std::frexp(*c, &exponent);
  const double inverse = 1 / *c;
  const auto& limits = tensor::Limits(d);
  if (std::fabs(mantissa) != 0.5 || std::fabs(inverse) < limits.tiny ||
      std::fabs(inverse) > limits.max || std::fabs(*c) == 1) {
    return false;
  }
  g.Become(n, OpKind::kMultiply, {g.operand(n, 0), g.SplatDouble(g.result_type(n), inverse)});
  return true;
}

bool DivideByConstant(Graph& g, Node& n) {
  const auto c = FloatSplat(g, g.operand(n, 1));
  if (!c || !std::isnormal(*c) || g.ConstantOf(g.operand(n, 0)) != nullptr) return false;
  const DType d = g.result_type(n).dtype;
  if (d != DType::kF32 && d != DType::kF64) return false;
  if (std::fabs(1 / *c) < tensor::Limits(d).tiny) return false;
  g.Become(n, OpKind::kMultiply, {g.operand(n, 0), g.SplatDouble(g.result_type(n), 1 / *c)});
  return true;
}

bool RemainderByOne(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  if (!IsIntSplat(g, y, 1) && !(tensor::IsSigned(g.dtype(y)) && IsIntSplat(g, y, -1))) return false;
  g.Replace(n, g.SplatInt(g.result_type(n), 0));
  return true;
}

// pow(x, 1) is x, pow(x, 0) is 1, whatever x is: NaN too.
bool TrivialPower(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const DType d = g.dtype(y);
  if (tensor::IsComplex(d)) return false;
  if (IsNumberSplat(g, y, 1)) {
    g.Replace(n, g.operand(n, 0));
    return true;
  }
  if (!IsNumberSplat(g, y, 0)) return false;
  g.Replace(n, IsReal(d) ? g.SplatDouble(g.result_type(n), 1) : g.SplatInt(g.result_type(n), 1));
  return true;
}

// Integer powers are products, however they are grouped; for floats the products round.
bool SmallPower(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  if (!IsWholeInt(g.result_type(n).dtype)) return false;
  const auto c = IntSplat(g, g.operand(n, 1));
  if (!c || *c < 2 || *c > 4) return false;
  const ValueId square = *c == 2 ? x : g.Emit(n, OpKind::kMultiply, {x, x}, {}, g.type(x));
  g.Become(n, OpKind::kMultiply, {square, *c == 4 ? square : x});
  return true;
}

bool SquareOfFloat(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  const DType d = g.dtype(x);
  if (d != DType::kF32 && d != DType::kF64) return false;
  if (IsFloatSplat(g, g.operand(n, 1), 2)) {
    g.Become(n, OpKind::kMultiply, {x, x});
    return true;
  }
  if (!IsFloatSplat(g, g.operand(n, 1), -1)) return false;
  g.Become(n, OpKind::kDivide, {g.SplatDouble(g.type(x), 1), x});
  return true;
}

// --- extremes ---

bool ExtremeOfSelf(Graph& g, Node& n) {
  if (g.operand(n, 0) != g.operand(n, 1)) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

// max(x, lowest) is x, max(x, highest) is highest for integers.
bool ExtremeWithBound(Graph& g, Node& n) {
  const ValueId y = g.operand(n, 1);
  const DType d = g.dtype(y);
  const bool max = n.kind == OpKind::kMaximum;
  if (IsReal(d)) {
    if (!IsFloatSplat(g, y, max ? -kInfinity : kInfinity)) return false;
    g.Replace(n, g.operand(n, 0));
    return true;
  }
  if (!IsWholeInt(d) && d != DType::kBool) return false;
  const int64_t lowest = d == DType::kBool ? 0 : LowestOf(d);
  const int64_t highest = d == DType::kBool ? 1 : HighestOf(d);
  if (IsIntSplat(g, y, max ? lowest : highest)) {
    g.Replace(n, g.operand(n, 0));
    return true;
  }
  if (!IsIntSplat(g, y, max ? highest : lowest)) return false;
  g.Replace(n, y);
  return true;
}

// max(max(x, y), y).
bool ExtremeAbsorbs(Graph& g, Node& n) {
  if (tensor::IsComplex(g.result_type(n).dtype)) return false;
  for (uint32_t i = 0; i < 2; ++i) {
    const Node* inner = g.DefOfKind(g.operand(n, i), n.kind);
    if (inner == nullptr) continue;
    const ValueId other = g.operand(n, 1 - i);
    if (g.operand(*inner, 0) != other && g.operand(*inner, 1) != other) continue;
    g.Replace(n, inner->first_result);
    return true;
  }
  return false;
}

bool AbsOfNegated(Graph& g, Node& n) {
  const Node* negated = g.DefOfKind(g.operand(n, 0), OpKind::kNegate);
  if (negated == nullptr || tensor::IsUnsigned(g.result_type(n).dtype)) return false;
  g.SetOperand(n, 0, g.operand(*negated, 0));
  return true;
}

bool AbsOfUnsigned(Graph& g, Node& n) {
  if (!tensor::IsUnsigned(g.operand_type(n, 0).dtype)) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

// Bounds that exclude nothing, or leave one value.
bool ClampByNothing(Graph& g, Node& n) {
  const ValueId low = g.operand(n, 0);
  const ValueId high = g.operand(n, 2);
  const DType d = g.result_type(n).dtype;
  bool open = IsFloatSplat(g, low, -kInfinity) && IsFloatSplat(g, high, kInfinity);
  if (IsWholeInt(d)) open = IsIntSplat(g, low, LowestOf(d)) && IsIntSplat(g, high, HighestOf(d));
  if (!open) return false;
  g.Replace(n, g.operand(n, 1));
  return true;
}

bool ClampToPoint(Graph& g, Node& n) {
  const auto low = IntSplat(g, g.operand(n, 0));
  const auto high = IntSplat(g, g.operand(n, 2));
  if (!low || !high || *low != *high) return false;
  g.Replace(n, g.SplatInt(g.result_type(n), *low));
  return true;
}

// An inner clamp with the same constant bounds.
bool ClampTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 1), OpKind::kClamp);
  if (inner == nullptr || g.ConstantOf(g.operand(n, 0)) == nullptr ||
      g.ConstantOf(g.operand(n, 2)) == nullptr || g.operand(*inner, 0) != g.operand(n, 0) ||
      g.operand(*inner, 2) != g.operand(n, 2)) {
    return false;
  }
  const auto nan = [&](ValueId v) {
    const auto x = FloatSplat(g, v);
    return tensor::IsFloat(g.dtype(v)) && (!x || std::isnan(*x));
  };
  if (nan(g.operand(n, 0)) || nan(g.operand(n, 2))) return false;
  g.Replace(n, g.operand(n, 1));
  return true;
}

// --- complex numbers ---

bool PartOfComplex(Graph& g, Node& n) {
  const Node* made = g.DefOfKind(g.operand(n, 0), OpKind::kComplex);
  if (made == nullptr) return false;
  g.Replace(n, g.operand(*made, n.kind == OpKind::kReal ? 0 : 1));
  return true;
}

bool RealOfReal(Graph& g, Node& n) {
  if (!(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool ComplexOfParts(Graph& g, Node& n) {
  const Node* re = g.DefOfKind(g.operand(n, 0), OpKind::kReal);
  const Node* im = g.DefOfKind(g.operand(n, 1), OpKind::kImag);
  if (re == nullptr || im == nullptr || g.operand(*re, 0) != g.operand(*im, 0)) return false;
  if (!(g.operand_type(*re, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(*re, 0));
  return true;
}

constexpr Rule kRules[] = {
    {"add_constant_right", OpKind::kAdd, ConstantToTheRight},
    {"add_zero", OpKind::kAdd, AddZero},
    {"add_positive_zero", OpKind::kAdd, AddPositiveZero},
    {"add_negated", OpKind::kAdd, AddNegated},
    {"add_to_difference", OpKind::kAdd, AddToDifference},
    {"add_gather_constants", OpKind::kAdd, GatherConstants},
    {"subtract_zero", OpKind::kSubtract, SubtractZero},
    {"subtract_self", OpKind::kSubtract, SubtractSelf},
    {"subtract_negated", OpKind::kSubtract, SubtractNegated},
    {"subtract_constant", OpKind::kSubtract, SubtractConstant},
    {"subtract_term", OpKind::kSubtract, SumMinusTerm},
    {"negate_twice", OpKind::kNegate, Involution<OpKind::kNegate>},
    {"negate_difference", OpKind::kNegate, NegateDifference},
    {"multiply_constant_right", OpKind::kMultiply, ConstantToTheRight},
    {"multiply_one", OpKind::kMultiply, MultiplyByOne},
    {"multiply_zero", OpKind::kMultiply, MultiplyByZero},
    {"multiply_minus_one", OpKind::kMultiply, MultiplyByMinusOne},
    {"multiply_signs_cancel", OpKind::kMultiply, SignsCancel},
    {"multiply_gather_constants", OpKind::kMultiply, GatherConstants},
    {"divide_one", OpKind::kDivide, DivideByOne},
    {"divide_signs_cancel", OpKind::kDivide, SignsCancel},
    {"divide_power_of_two", OpKind::kDivide, DivideByPowerOfTwo},
    {"divide_constant", OpKind::kDivide, DivideByConstant, Keeps::kValue},
    {"remainder_one", OpKind::kRemainder, RemainderByOne},
    {"power_trivial", OpKind::kPower, TrivialPower},
    {"power_small", OpKind::kPower, SmallPower},
    {"power_square", OpKind::kPower, SquareOfFloat, Keeps::kValue},
    {"maximum_constant_right", OpKind::kMaximum, ConstantToTheRight},
    {"maximum_self", OpKind::kMaximum, ExtremeOfSelf},
    {"maximum_bound", OpKind::kMaximum, ExtremeWithBound},
    {"maximum_absorbs", OpKind::kMaximum, ExtremeAbsorbs},
    {"minimum_constant_right", OpKind::kMinimum, ConstantToTheRight},
    {"minimum_self", OpKind::kMinimum, ExtremeOfSelf},
    {"minimum_bound", OpKind::kMinimum, ExtremeWithBound},
    {"minimum_absorbs", OpKind::kMinimum, ExtremeAbsorbs},
    {"maximum_gather_constants", OpKind::kMaximum, GatherConstants},
    {"minimum_gather_constants", OpKind::kMinimum, GatherConstants},
    {"abs_twice", OpKind::kAbs, Idempotent<OpKind::kAbs>},
    {"abs_negated", OpKind::kAbs, AbsOfNegated},
    {"abs_unsigned", OpKind::kAbs, AbsOfUnsigned},
    {"sign_twice", OpKind::kSign, Idempotent<OpKind::kSign>},
    {"floor_twice", OpKind::kFloor, Idempotent<OpKind::kFloor>},
    {"ceil_twice", OpKind::kCeil, Idempotent<OpKind::kCeil>},
    {"clamp_nothing", OpKind::kClamp, ClampByNothing},
    {"clamp_point", OpKind::kClamp, ClampToPoint},
    {"clamp_twice", OpKind::kClamp, ClampTwice},
    {"real_of_complex", OpKind::kReal, PartOfComplex},
    {"imag_of_complex", OpKind::kImag, PartOfComplex},
    {"real_of_real", OpKind::kReal, RealOfReal},
    {"complex_of_parts", OpKind::kComplex, ComplexOfParts},
};

}  // namespace

std::span<const Rule> ArithmeticRules() { return kRules; }

}  // namespace megalith::codegen

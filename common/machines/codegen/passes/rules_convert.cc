// Chains of conversions.
//
// Only a conversion that loses nothing may be skipped: f32 -> bf16 -> f32 rounds, and stays.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

// Bits of the significand, the hidden one included.
int Digits(DType d) {
  switch (d) {
    case DType::kBF16:
      return 8;
    case DType::kF16:
      return 11;
    case DType::kF32:
      return 24;
    case DType::kF64:
      return 53;
    default:
      return 0;
  }
}

bool IsWide(DType d) { return Digits(d) > 0 || IsWholeInt(d) || d == DType::kBool; }

// Every value of `from` is one of `to`.
bool Holds(DType to, DType from) {
  if (!IsWide(from) || !IsWide(to) || from == to) return from == to;
  if (from == DType::kBool) return true;
  if (to == DType::kBool) return false;
  const int bits = tensor::BitWidth(from);
  if (tensor::IsInteger(from)) {
    const int value_bits = bits - (tensor::IsSigned(from) ? 1 : 0);
    if (tensor::IsFloat(to)) return to != DType::kF16 && value_bits <= Digits(to);
    if (tensor::IsSigned(from) && !tensor::IsSigned(to)) return false;
    return value_bits <= tensor::BitWidth(to) - (tensor::IsSigned(to) ? 1 : 0);
  }
  if (!tensor::IsFloat(to)) return false;
  return to == DType::kF64 || (to == DType::kF32 && from != DType::kF64);
}

// a -> b -> c where b holds all of a: a -> c. What is beyond c must be treated alike both ways:
// integers wrap, floats saturate.
bool ConvertTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kConvert);
  if (inner == nullptr) return false;
  const ValueId x = g.operand(*inner, 0);
  const DType a = g.dtype(x);
  const DType b = g.operand_type(n, 0).dtype;
  const DType c = g.result_type(n).dtype;
  if (!Holds(b, a) || !IsWide(c)) return false;
  const bool exchanges_wrap =
      tensor::IsInteger(a) && tensor::IsFloat(b) && tensor::IsInteger(c) && !Holds(c, a);
  if (exchanges_wrap) return false;
  if (a == c) {
    g.Replace(n, x);
  } else {
    g.SetOperand(n, 0, x);
  }
  return true;
}

bool ConvertNothing(Graph& g, Node& n) {
  if (!(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool BitcastTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kBitcastConvert);
  if (inner == nullptr) return false;
  const ValueId x = g.operand(*inner, 0);
  if (g.type(x) == g.result_type(n)) {
    g.Replace(n, x);
    return true;
  }
  const int width = tensor::BitWidth(g.dtype(x));
  if (width != tensor::BitWidth(g.operand_type(n, 0).dtype) ||
      width != tensor::BitWidth(g.result_type(n).dtype)) {
    return false;
  }
  g.SetOperand(n, 0, x);
  return true;
}

bool KeepsAllBits(Graph& g, Node& n) {
  const DType d = g.result_type(n).dtype;
  if (Digits(d) == 0) return false;
  const int64_t mantissa = Digits(d) - 1;
  const int64_t exponent = tensor::BitWidth(d) - 1 - mantissa;
  if (n.attr("mantissa_bits").AsInt() < mantissa || n.attr("exponent_bits").AsInt() < exponent)
    return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

constexpr Rule kRules[] = {
    {"convert_nothing", OpKind::kConvert, ConvertNothing},
    {"convert_twice", OpKind::kConvert, ConvertTwice},
    {"bitcast_nothing", OpKind::kBitcastConvert, ConvertNothing},
    {"bitcast_twice", OpKind::kBitcastConvert, BitcastTwice},
    {"reduce_precision_nothing", OpKind::kReducePrecision, KeepsAllBits},
};

}  // namespace

std::span<const Rule> ConvertRules() { return kRules; }

}  // namespace megalith::codegen

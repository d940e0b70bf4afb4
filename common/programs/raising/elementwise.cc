// Operations that work on each element by itself.
#include <limits>

#include "common/programs/raising/context.h"

namespace megalith::raising {
namespace {

using stablehlo::CompareDirection;
using stablehlo::CompareType;

// Arithmetic on truth values is logic.
template <PrimitiveName Numbers, PrimitiveName Truths>
Status RaiseByType(RaiseContext& c) {
  c.Out(c.b().Emit1(tensor::IsBool(c.out_type().dtype) ? Truths.view() : Numbers.view(), c.ins()));
  return OkStatus();
}

Status RaiseCompare(RaiseContext& c) {
  const auto direction = static_cast<CompareDirection>(c.attr("comparison_direction").AsEnum());
  const auto type = static_cast<CompareType>(c.attr("compare_type").AsEnum());
  const Value& x = c.in(0);
  const Value& y = c.in(1);
  constexpr std::string_view kNames[] = {"eq", "ne", "ge", "gt", "le", "lt"};
  if (type != CompareType::kTotalOrder) {
    c.Out(ir::Binary(c.b(), kNames[static_cast<size_t>(direction)], x, y));
    return OkStatus();
  }
  switch (direction) {
    case CompareDirection::kEq:
      c.Out(ir::Binary(c.b(), "eq_to", x, y));
      break;
    case CompareDirection::kNe:
      c.Out(ir::Unary(c.b(), "not", ir::Binary(c.b(), "eq_to", x, y)));
      break;
    case CompareDirection::kGe:
      c.Out(ir::Binary(c.b(), "le_to", y, x));
      break;
    case CompareDirection::kGt:
      c.Out(ir::Binary(c.b(), "lt_to", y, x));
      break;
    case CompareDirection::kLe:
      c.Out(ir::Binary(c.b(), "le_to", x, y));
      break;
    case CompareDirection::kLt:
      c.Out(ir::Binary(c.b(), "lt_to", x, y));
      break;
  }
  return OkStatus();
}

Status RaiseSelect(RaiseContext& c) {
  c.Out(ir::Select(c.b(), c.in(0), c.in(1), c.in(2)));
  return OkStatus();
}

Status RaiseConvert(RaiseContext& c) {
  c.Out(ir::ConvertElementType(c.b(), c.in(0), c.out_type().dtype));
  return OkStatus();
}

Status RaiseBitcast(RaiseContext& c) {
  c.Out(c.b().Emit1("bitcast_convert_type", c.ins(),
                    {{"new_dtype", ParamValue::Type(c.out_type().dtype)}}));
  return OkStatus();
}

Status RaiseReducePrecision(RaiseContext& c) {
  c.Out(c.b().Emit1("reduce_precision", c.ins(),
                    {{"exponent_bits", ParamValue::Int(c.attr("exponent_bits").AsInt())},
                     {"mantissa_bits", ParamValue::Int(c.attr("mantissa_bits").AsInt())}}));
  return OkStatus();
}

template <int64_t kMethod>
Status RaiseRound(RaiseContext& c) {
  c.Out(c.b().Emit1("round", c.ins(), {{"rounding_method", ParamValue::Int(kMethod)}}));
  return OkStatus();
}

Status RaiseConj(RaiseContext& c) {
  c.Out(c.b().Emit1("conj", c.ins(), {{"input_dtype", ParamValue::Type(c.in(0).dtype())}}));
  return OkStatus();
}

Value Infinity(RaiseContext& c, double sign) {
  return ir::ScalarLike(c.b(), c.in(0), sign * std::numeric_limits<double>::infinity());
}
Status RaiseIsInf(RaiseContext& c) {
  c.Out(ir::Binary(c.b(), "eq", ir::Unary(c.b(), "abs", c.in(0)), Infinity(c, 1)));
  return OkStatus();
}
template <int kSign>
Status RaiseIsSignedInf(RaiseContext& c) {
  c.Out(ir::Binary(c.b(), "eq", c.in(0), Infinity(c, kSign)));
  return OkStatus();
}

// Whole powers are a primitive of their own: `pow` has no derivative for a whole base.
Status RaisePower(RaiseContext& c) {
  if (!tensor::IsInteger(c.out_type().dtype)) return RaiseTo<"pow">(c);
  if (c.in(1).is_literal() && c.in(1).literal().AsInt() >= 0) {
    c.Out(ir::IntegerPow(c.b(), c.in(0), c.in(1).literal().AsInt()));
    return OkStatus();
  }
  return c.Refuse("with whole numbers and an exponent that is no constant has no primitive");
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.abs", RaiseTo<"abs">},
    {"stablehlo.cbrt", RaiseTo<"cbrt">},
    {"stablehlo.ceil", RaiseTo<"ceil">},
    {"stablehlo.convert", RaiseConvert},
    {"stablehlo.cosine", RaiseTo<"cos">},
    {"stablehlo.count_leading_zeros", RaiseTo<"clz">},
    {"stablehlo.exponential", RaiseTo<"exp">},
    {"stablehlo.exponential_minus_one", RaiseTo<"expm1">},
    {"stablehlo.floor", RaiseTo<"floor">},
    {"stablehlo.imag", RaiseTo<"imag">},
    {"stablehlo.is_finite", RaiseTo<"is_finite">},
    {"stablehlo.log", RaiseTo<"log">},
    {"stablehlo.log_plus_one", RaiseTo<"log1p">},
    {"stablehlo.logistic", RaiseTo<"logistic">},
    {"stablehlo.negate", RaiseTo<"neg">},
    {"stablehlo.not", RaiseTo<"not">},
    {"stablehlo.popcnt", RaiseTo<"population_count">},
    {"stablehlo.real", RaiseTo<"real">},
    {"stablehlo.reduce_precision", RaiseReducePrecision},
    {"stablehlo.round_nearest_afz", RaiseRound<0>},
    {"stablehlo.round_nearest_even", RaiseRound<1>},
    {"stablehlo.rsqrt", RaiseTo<"rsqrt">},
    {"stablehlo.sign", RaiseTo<"sign">},
    {"stablehlo.sine", RaiseTo<"sin">},
    {"stablehlo.sqrt", RaiseTo<"sqrt">},
    {"stablehlo.tan", RaiseTo<"tan">},
    {"stablehlo.tanh", RaiseTo<"tanh">},
    {"stablehlo.add", RaiseByType<"add", "or">},
    {"stablehlo.and", RaiseTo<"and">},
    {"stablehlo.atan2", RaiseTo<"atan2">},
    {"stablehlo.compare", RaiseCompare},
    {"stablehlo.complex", RaiseTo<"complex">},
    {"stablehlo.divide", RaiseTo<"div">},
    {"stablehlo.maximum", RaiseByType<"max", "or">},
    {"stablehlo.minimum", RaiseByType<"min", "and">},
    {"stablehlo.multiply", RaiseByType<"mul", "and">},
    {"stablehlo.or", RaiseTo<"or">},
    {"stablehlo.power", RaisePower},
    {"stablehlo.remainder", RaiseTo<"rem">},
    {"stablehlo.shift_left", RaiseTo<"shift_left">},
    {"stablehlo.shift_right_arithmetic", RaiseTo<"shift_right_arithmetic">},
    {"stablehlo.shift_right_logical", RaiseTo<"shift_right_logical">},
    {"stablehlo.subtract", RaiseTo<"sub">},
    {"stablehlo.xor", RaiseTo<"xor">},
    {"stablehlo.clamp", RaiseTo<"clamp">},
    {"stablehlo.select", RaiseSelect},
    {"stablehlo.bitcast_convert", RaiseBitcast},
    {"chlo.acos", RaiseTo<"acos">},
    {"chlo.acosh", RaiseTo<"acosh">},
    {"chlo.asin", RaiseTo<"asin">},
    {"chlo.asinh", RaiseTo<"asinh">},
    {"chlo.atan", RaiseTo<"atan">},
    {"chlo.atanh", RaiseTo<"atanh">},
    {"chlo.bessel_i1e", RaiseTo<"bessel_i1e">},
    {"chlo.conj", RaiseConj},
    {"chlo.cosh", RaiseTo<"cosh">},
    {"chlo.digamma", RaiseTo<"digamma">},
    {"chlo.erf", RaiseTo<"erf">},
    {"chlo.erf_inv", RaiseTo<"erf_inv">},
    {"chlo.erfc", RaiseTo<"erfc">},
    {"chlo.is_inf", RaiseIsInf},
    {"chlo.is_neg_inf", RaiseIsSignedInf<-1>},
    {"chlo.is_pos_inf", RaiseIsSignedInf<1>},
    {"chlo.lgamma", RaiseTo<"lgamma">},
    {"chlo.next_after", RaiseTo<"nextafter">},
    {"chlo.polygamma", RaiseTo<"polygamma">},
    {"chlo.sinh", RaiseTo<"sinh">},
    {"chlo.square", RaiseTo<"square">},
    {"chlo.tan", RaiseTo<"tan">},
    {"chlo.zeta", RaiseTo<"zeta">},
};

}  // namespace

std::span<const RaiseDef> ElementwiseRules() { return kRules; }

}  // namespace megalith::raising

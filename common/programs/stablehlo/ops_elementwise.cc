// Elementwise operations.
#include "common/programs/stablehlo/kernels/spans.h"
#include "common/programs/stablehlo/rules.h"

namespace megalith::stablehlo {
namespace {

Attr DefaultAccuracy(const Op&, const Func&) { return Attr::Of(ResultAccuracy{}); }
constexpr AttrSpec kAccuracy[] = {{.name = "result_accuracy",
                                   .kind = AttrKind::kResultAccuracy,
                                   .fallback = DefaultAccuracy,
                                   .elided = true}};

// FLOAT for floats and complex numbers, SIGNED or UNSIGNED for integers, UNSIGNED for booleans.
Attr CompareTypeOf(const Op& op, const Func& func) {
  const DType d = func.type(op.operands[0]).dtype;
  if (tensor::IsInexact(d)) return Attr::Of(CompareType::kFloat);
  return Attr::Of(tensor::IsSigned(d) ? CompareType::kSigned : CompareType::kUnsigned);
}
constexpr AttrSpec kCompareAttrs[] = {
    {.name = "comparison_direction",
     .kind = AttrKind::kEnum,
     .required = true,
     .enum_id = EnumId::kCompareDirection},
    {.name = "compare_type",
     .kind = AttrKind::kEnum,
     .fallback = CompareTypeOf,
     .enum_id = EnumId::kCompareType},
};
constexpr AttrSpec kPrecisionBits[] = {
    {.name = "exponent_bits", .kind = AttrKind::kInt, .required = true},
    {.name = "mantissa_bits", .kind = AttrKind::kInt, .required = true},
};

Status AbsRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kNumberOk));
  results->push_back(q.operand(0).With(tensor::RealPart(q.operand(0).dtype)));
  return OkStatus();
}

// Real and imag also accept floats, whose imaginary part is zero.
Status PartRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kInexactOk));
  results->push_back(q.operand(0).With(tensor::RealPart(q.operand(0).dtype)));
  return OkStatus();
}

Status ComplexRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kFloatOk));
  RETURN_IF_ERROR(WantSameType(q, 1));
  const DType c = tensor::ComplexOf(q.operand(0).dtype);
  if (c == DType::kInvalid) {
    return InvalidArgument(
        StrCat("operands have type ", q.operand(0).Text(), ", wanted f32 or f64 elements"));
  }
  results->push_back(q.operand(0).With(c));
  return OkStatus();
}

Status PredicateRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kFloatOk));
  results->push_back(q.operand(0).With(DType::kBool));
  return OkStatus();
}

Status ConvertRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantDeclared(q, 1));
  if (q.declared[0].is_token || !(q.declared[0].shape == q.operand(0).shape)) {
    return InvalidArgument(StrCat("result has type ", q.declared[0].Text(),
                                  ", wanted the shape of ", q.operand(0).Text()));
  }
  results->push_back(q.declared[0]);
  return OkStatus();
}

Status CompareRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kAnyOk));
  RETURN_IF_ERROR(WantSameType(q, 1));
  const DType d = q.operand(0).dtype;
  const auto type = static_cast<CompareType>(q.attr("compare_type").AsEnum());
  const auto direction = static_cast<CompareDirection>(q.attr("comparison_direction").AsEnum());
  const bool fits =
      type == CompareType::kNoType || (type == CompareType::kFloat && tensor::IsInexact(d)) ||
      (type == CompareType::kTotalOrder && tensor::IsFloat(d)) ||
      (type == CompareType::kSigned && tensor::IsSigned(d)) ||
      (type == CompareType::kUnsigned && (tensor::IsUnsigned(d) || d == DType::kBool));
  if (!fits) {
    return InvalidArgument(StrCat("compare_type ", q.attr("compare_type").EnumName(),
                                  " does not fit elements ", tensor::MlirName(d)));
  }
  if (tensor::IsComplex(d) && direction != CompareDirection::kEq &&
      direction != CompareDirection::kNe) {
    return InvalidArgument("complex numbers compare EQ or NE only");
  }
  results->push_back(q.operand(0).With(DType::kBool));
  return OkStatus();
}

Status SelectRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kBoolOk));
  if (!(q.operand(1) == q.operand(2)) || q.operand(1).is_token) {
    return InvalidArgument(
        StrCat("branches have types ", q.operand(1).Text(), " and ", q.operand(2).Text()));
  }
  if (q.operand(0).rank() != 0 && !(q.operand(0).shape == q.operand(1).shape)) {
    return InvalidArgument(StrCat("predicate has type ", q.operand(0).Text(),
                                  ", wanted a scalar or the shape of ", q.operand(1).Text()));
  }
  results->push_back(q.operand(1));
  return OkStatus();
}

// Bounds may be scalars.
Status ClampRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 1, kBoolOk | kIntOk | kFloatOk));
  for (const size_t i : {size_t{0}, size_t{2}}) {
    const TensorType& bound = q.operand(i);
    if (bound.is_token || bound.dtype != q.operand(1).dtype ||
        (bound.rank() != 0 && !(bound.shape == q.operand(1).shape))) {
      return InvalidArgument(StrCat("operand ", i, " has type ", bound.Text(),
                                    ", wanted a scalar of or the same as ", q.operand(1).Text()));
    }
  }
  results->push_back(q.operand(1));
  return OkStatus();
}

Status ReducePrecisionRule(const TypeQuery& q, Types* results) {
  RETURN_IF_ERROR(WantDType(q, 0, kFloatOk));
  if (q.attr("exponent_bits").AsInt() < 1 || q.attr("mantissa_bits").AsInt() < 0) {
    return InvalidArgument("wanted at least 1 exponent bit and 0 mantissa bits");
  }
  results->push_back(q.operand(0));
  return OkStatus();
}

constexpr uint32_t kUnary = kPure | kElementwise;
constexpr std::string_view kUnaryForm = " $0{} : <same>";
constexpr std::string_view kBinaryForm = " $0, $1{} : <same>";

constexpr OpDef kRows[] = {
    // One operand.
    {.name = "stablehlo.abs",
     .operands = 1,
     .traits = kUnary,
     .type_rule = AbsRule,
     .format = kUnaryForm,
     .span = SpanAbs},
    {.name = "stablehlo.cbrt",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanCbrt},
    {.name = "stablehlo.ceil",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kFloatOk, 1>,
     .format = kUnaryForm,
     .span = SpanCeil},
    {.name = "stablehlo.convert",
     .operands = 1,
     .traits = kUnary,
     .type_rule = ConvertRule,
     .format = kUnaryForm,
     .span = SpanConvert,
     .no_op = AlwaysNoOp},
    {.name = "stablehlo.cosine",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanCosine},
    {.name = "stablehlo.count_leading_zeros",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kIntOk, 1>,
     .format = kUnaryForm,
     .span = SpanCountLeadingZeros},
    {.name = "stablehlo.exponential",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanExponential},
    {.name = "stablehlo.exponential_minus_one",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanExponentialMinusOne},
    {.name = "stablehlo.floor",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kFloatOk, 1>,
     .format = kUnaryForm,
     .span = SpanFloor},
    {.name = "stablehlo.imag",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PartRule,
     .format = kUnaryForm,
     .span = SpanImag},
    {.name = "stablehlo.is_finite",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PredicateRule,
     .format = " $0{} : <func>",
     .span = SpanIsFinite},
    {.name = "stablehlo.log",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanLog},
    {.name = "stablehlo.log_plus_one",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanLogPlusOne},
    {.name = "stablehlo.logistic",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanLogistic},
    {.name = "stablehlo.negate",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 1>,
     .format = kUnaryForm,
     .span = SpanNegate},
    {.name = "stablehlo.not",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule < kBoolOk | kIntOk,
     1 >
     , .format = kUnaryForm, .span = SpanNot},
    {.name = "stablehlo.popcnt",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kIntOk, 1>,
     .format = kUnaryForm,
     .span = SpanPopcnt},
    {.name = "stablehlo.real",
     .operands = 1,
     .traits = kUnary,
     .type_rule = PartRule,
     .format = kUnaryForm,
     .span = SpanReal,
     .no_op = AlwaysNoOp},
    {.name = "stablehlo.reduce_precision",
     .operands = 1,
     .attrs = kPrecisionBits,
     .traits = kUnary,
     .type_rule = ReducePrecisionRule,
     .format = " $0, format = <bits>{} : <same>",
     .span = SpanReducePrecision},
    {.name = "stablehlo.round_nearest_afz",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kFloatOk, 1>,
     .format = kUnaryForm,
     .span = SpanRoundNearestAfz},
    {.name = "stablehlo.round_nearest_even",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kFloatOk, 1>,
     .format = kUnaryForm,
     .span = SpanRoundNearestEven},
    {.name = "stablehlo.rsqrt",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanRsqrt},
    {.name = "stablehlo.sign",
     .operands = 1,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 1>,
     .format = kUnaryForm,
     .span = SpanSign},
    {.name = "stablehlo.sine",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanSine},
    {.name = "stablehlo.sqrt",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanSqrt},
    {.name = "stablehlo.tan",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanTan},
    {.name = "stablehlo.tanh",
     .operands = 1,
     .attrs = kAccuracy,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 1>,
     .format = kUnaryForm,
     .span = SpanTanh},

    // Two operands.
    {.name = "stablehlo.add",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule<kAnyOk, 2>,
     .format = kBinaryForm,
     .span = SpanAdd},
    {.name = "stablehlo.and",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule < kBoolOk | kIntOk,
     2 >
     , .format = kBinaryForm, .span = SpanAnd},
    {.name = "stablehlo.atan2",
     .operands = 2,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kInexactOk, 2>,
     .format = kBinaryForm,
     .span = SpanAtan2},
    {.name = "stablehlo.compare",
     .operands = 2,
     .attrs = kCompareAttrs,
     .traits = kUnary,
     .type_rule = CompareRule,
     .format = " @comparison_direction, $0, $1[, @compare_type]{} : <func>",
     .span = SpanCompare},
    {.name = "stablehlo.complex",
     .operands = 2,
     .traits = kUnary,
     .type_rule = ComplexRule,
     .format = " $0, $1{} : <complex>",
     .span = SpanComplex},
    {.name = "stablehlo.divide",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 2>,
     .format = kBinaryForm,
     .span = SpanDivide},
    {.name = "stablehlo.maximum",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule<kAnyOk, 2>,
     .format = kBinaryForm,
     .span = SpanMaximum},
    {.name = "stablehlo.minimum",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule<kAnyOk, 2>,
     .format = kBinaryForm,
     .span = SpanMinimum},
    {.name = "stablehlo.multiply",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule<kAnyOk, 2>,
     .format = kBinaryForm,
     .span = SpanMultiply},
    {.name = "stablehlo.or",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule < kBoolOk | kIntOk,
     2 >
     , .format = kBinaryForm, .span = SpanOr},
    {.name = "stablehlo.power",
     .operands = 2,
     .traits = kUnary | kTranscendental,
     .type_rule = SameTypeRule<kNumberOk, 2>,
     .format = kBinaryForm,
     .span = SpanPower},
    {.name = "stablehlo.remainder",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 2>,
     .format = kBinaryForm,
     .span = SpanRemainder},
    {.name = "stablehlo.shift_left",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kIntOk, 2>,
     .format = kBinaryForm,
     .span = SpanShiftLeft},
    {.name = "stablehlo.shift_right_arithmetic",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kIntOk, 2>,
     .format = kBinaryForm,
     .span = SpanShiftRightArithmetic},
    {.name = "stablehlo.shift_right_logical",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kIntOk, 2>,
     .format = kBinaryForm,
     .span = SpanShiftRightLogical},
    {.name = "stablehlo.subtract",
     .operands = 2,
     .traits = kUnary,
     .type_rule = SameTypeRule<kNumberOk, 2>,
     .format = kBinaryForm,
     .span = SpanSubtract},
    {.name = "stablehlo.xor",
     .operands = 2,
     .traits = kUnary | kCommutative,
     .type_rule = SameTypeRule < kBoolOk | kIntOk,
     2 >
     , .format = kBinaryForm, .span = SpanXor},

    // Three operands.
    {.name = "stablehlo.clamp",
     .operands = 3,
     .traits = kUnary,
     .type_rule = ClampRule,
     .format = " $*{} : <same>",
     .span = SpanClamp},
    {.name = "stablehlo.select",
     .operands = 3,
     .traits = kUnary,
     .type_rule = SelectRule,
     .format = " $*{} : <select>",
     .span = SpanSelect},
};

}  // namespace

std::span<const OpDef> ElementwiseOps() { return kRows; }

}  // namespace megalith::stablehlo

#include "common/programs/ops/lower.h"

#include <cmath>
#include <limits>

namespace megalith::ops {

namespace {

using stablehlo::CompareDirection;
using stablehlo::CompareType;

// The attribute for a parameter such as AccuracyMode.HIGHEST. A Tolerance prints as an address, so
// text has lost it.
stablehlo::AttrDict AccuracyAttrs(const Params& params) {
  stablehlo::AttrDict attrs;
  const ParamValue& accuracy = params["accuracy"];
  if (accuracy.AsText() == "AccuracyMode.HIGHEST") {
    SetAttr(
        &attrs, "result_accuracy",
        stablehlo::Attr::Of(stablehlo::ResultAccuracy{.mode = stablehlo::AccuracyMode::kHighest}));
  }
  return attrs;
}

ValueId Extremum(FuncBuilder& b, std::string_view op, CompareDirection direction, ValueId x,
                 ValueId y) {
  if (!tensor::IsComplex(b.dtype(x))) return b.Binary(op, x, y);
  const ValueId real_x = b.Real(x);
  const ValueId real_y = b.Real(y);
  const ValueId equal = b.Compare(CompareDirection::kEq, real_x, real_y, CompareType::kFloat);
  const ValueId by_real = b.Compare(direction, real_x, real_y, CompareType::kFloat);
  const ValueId imag_x = b.Imag(x);
  const ValueId imag_y = b.Imag(y);
  const ValueId by_imag = b.Compare(direction, imag_x, imag_y, CompareType::kFloat);
  return b.Select(b.Select(equal, by_imag, by_real), x, y);
}

// The smallest (sign < 0) or largest value of an integer dtype as its bits.
int64_t IntegerLimit(DType dtype, int sign) {
  const int bits = tensor::BitWidth(dtype);
  if (tensor::IsUnsigned(dtype)) return sign < 0 ? 0 : (bits == 64 ? -1 : (int64_t{1} << bits) - 1);
  const int64_t most = bits == 64 ? INT64_MAX : (int64_t{1} << (bits - 1)) - 1;
  return sign < 0 ? -most - 1 : most;
}

ValueId Limit(FuncBuilder& b, DType dtype, int sign) {
  const TensorType scalar = TensorType::Scalar(dtype);
  if (tensor::IsBool(dtype)) return b.Splat(scalar, sign > 0);
  if (tensor::IsInteger(dtype)) return b.Splat(scalar, IntegerLimit(dtype, sign));
  const tensor::FloatLimits& limits = tensor::Limits(dtype);
  if (limits.has_infinity) return b.Splat(scalar, sign * std::numeric_limits<double>::infinity());
  return b.Splat(scalar, sign < 0 ? limits.lowest : limits.max);
}

}  // namespace

Status LowerElementwise(LowerContext& c, std::string_view op) {
  const Values operands = c.BroadcastOperands();
  c.Out(c.b().Emit(op, operands, AccuracyAttrs(c.params())));
  return OkStatus();
}

Status LowerIdentity(LowerContext& c) {
  c.Out(c.ins());
  return OkStatus();
}

ValueId FullOf(FuncBuilder& b, TensorType type, double value) {
  const ValueId scalar = b.Splat(TensorType::Scalar(type.dtype), value);
  return b.BroadcastScalar(scalar, type.shape);
}

ValueId MaxOf(FuncBuilder& b, ValueId x, ValueId y) {
  return Extremum(b, "stablehlo.maximum", CompareDirection::kGt, x, y);
}
ValueId MinOf(FuncBuilder& b, ValueId x, ValueId y) {
  return Extremum(b, "stablehlo.minimum", CompareDirection::kLt, x, y);
}

ValueId MaxIdentity(FuncBuilder& b, DType dtype) { return Limit(b, dtype, -1); }
ValueId MinIdentity(FuncBuilder& b, DType dtype) { return Limit(b, dtype, 1); }
ValueId AndIdentity(FuncBuilder& b, DType dtype) {
  return b.Splat(TensorType::Scalar(dtype), tensor::IsBool(dtype) ? int64_t{1} : int64_t{-1});
}

ValueId ReduceOver(FuncBuilder& b, ValueId x, ValueId init, const Dims& axes, BinaryFn combine) {
  const Values out = b.Reduce({&x, 1}, {&init, 1}, axes, [&](std::span<const ValueId> args) {
    return Values{combine(b, args[0], args[1])};
  });
  return out.empty() ? stablehlo::kNoValue : out[0];
}

}  // namespace megalith::ops

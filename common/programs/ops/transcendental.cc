// Exponentials, logarithms, roots, trigonometric and hyperbolic functions of one operand.
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Div;
using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::Sub;
using ir::Unary;
using ir::WeakScalarLike;

using Operands = std::span<const Value>;

bool IsHighest(const Params& p) { return p.Text("accuracy") == "AccuracyMode.HIGHEST"; }

// Another primitive of this family on x, as accurate as the one being differentiated.
Value WithAccuracy(Builder& b, std::string_view op, Value x, const Params& p) {
  return b.Emit1(op, {x}, {{"accuracy", p["accuracy"]}});
}

// ---- exp, exp2, expm1, log, log1p ----

Value JvpExp(Builder& b, Value t, Value y, Operands, const Params&) { return Mul(b, t, y); }

Value JvpExp2(Builder& b, Value t, Value y, Operands x, const Params&) {
  const Value ln2 = Unary(b, "log", ScalarLike(b, x[0], 2));
  const Value product = Mul(b, t, y);
  return Mul(b, ln2, product);
}

Value JvpExpm1(Builder& b, Value t, Value y, Operands x, const Params& p) {
  if (IsHighest(p)) return Mul(b, t, WithAccuracy(b, "exp", x[0], p));
  return Mul(b, t, Add(b, y, WeakScalarLike(b, y, 1)));
}

Value JvpLog(Builder& b, Value t, Value, Operands x, const Params&) { return Div(b, t, x[0]); }

Value JvpLog1p(Builder& b, Value t, Value, Operands x, const Params&) {
  return Div(b, t, Add(b, x[0], WeakScalarLike(b, x[0], 1)));
}

// ---- tanh, logistic ----

Value JvpTanh(Builder& b, Value t, Value y, Operands x, const Params& p) {
  if (IsHighest(p)) {
    const Value left = WithAccuracy(b, "logistic", Mul(b, ScalarLike(b, x[0], 2), x[0]), p);
    const Value right = WithAccuracy(b, "logistic", Mul(b, ScalarLike(b, x[0], -2), x[0]), p);
    return Mul(b, t, Mul(b, ScalarLike(b, x[0], 4), Mul(b, left, right)));
  }
  const Value left = Add(b, t, Mul(b, t, y));
  const Value right = Sub(b, WeakScalarLike(b, x[0], 1), y);
  return Mul(b, left, right);
}

Value JvpLogistic(Builder& b, Value t, Value y, Operands x, const Params& p) {
  if (IsHighest(p)) return Mul(b, t, Mul(b, y, Unary(b, "logistic", Neg(b, x[0]))));
  return Mul(b, t, Mul(b, y, Sub(b, WeakScalarLike(b, y, 1), y)));
}

// ---- sin, cos, tan ----

Value JvpSin(Builder& b, Value t, Value, Operands x, const Params& p) {
  return Mul(b, t, WithAccuracy(b, "cos", x[0], p));
}

// Unlike the JVP, the linearisation takes the cosine at default accuracy.
JvpResult LinearizeSin(Builder& outer, Builder& linear, const ir::LinearizeArgs& a) {
  JvpResult out{.primals = outer.Emit(a.op, a.params, a.primals), .tangents = {}};
  const Value cosine = Unary(outer, "cos", a.primals[0]);
  out.tangents = {Mul(linear, a.tangents[0], cosine)};
  return out;
}

Value JvpCos(Builder& b, Value t, Value, Operands x, const Params& p) {
  return Neg(b, Mul(b, t, WithAccuracy(b, "sin", x[0], p)));
}

Value JvpTan(Builder& b, Value t, Value y, Operands x, const Params&) {
  return Mul(b, t, Add(b, ScalarLike(b, x[0], 1), Unary(b, "square", y)));
}

// ---- inverse trigonometric ----

// 1 / sqrt(1 - x^2).
Value InverseRootOfOneMinusSquare(Builder& b, Value x) {
  return Unary(b, "rsqrt", Sub(b, ScalarLike(b, x, 1), Unary(b, "square", x)));
}

Value JvpAsin(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, InverseRootOfOneMinusSquare(b, x[0]));
}

Value JvpAcos(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, Neg(b, InverseRootOfOneMinusSquare(b, x[0])));
}

Value JvpAtan(Builder& b, Value t, Value, Operands x, const Params&) {
  return Div(b, t, Add(b, ScalarLike(b, x[0], 1), Unary(b, "square", x[0])));
}

// ---- hyperbolic ----

Value JvpSinh(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, Unary(b, "cosh", x[0]));
}
Value JvpCosh(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, Unary(b, "sinh", x[0]));
}

Value JvpAsinh(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value square = Unary(b, "square", x[0]);
  return Mul(b, t, Unary(b, "rsqrt", Add(b, square, WeakScalarLike(b, x[0], 1))));
}

Value JvpAcosh(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value square = Unary(b, "square", x[0]);
  return Mul(b, t, Unary(b, "rsqrt", Sub(b, square, WeakScalarLike(b, x[0], 1))));
}

Value JvpAtanh(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value left = ir::IntegerPow(b, Add(b, WeakScalarLike(b, x[0], 1), x[0]), -1);
  const Value right = Div(b, t, Sub(b, WeakScalarLike(b, x[0], 1), x[0]));
  return Mul(b, left, right);
}

// ---- roots ----

Value JvpSqrt(Builder& b, Value t, Value y, Operands x, const Params&) {
  return Mul(b, t, Div(b, ScalarLike(b, x[0], 0.5), y));
}

Value JvpRsqrt(Builder& b, Value t, Value y, Operands x, const Params&) {
  const Value quotient = Div(b, y, x[0]);
  return Mul(b, t, Mul(b, ScalarLike(b, x[0], -0.5), quotient));
}

Value JvpCbrt(Builder& b, Value t, Value y, Operands x, const Params&) {
  const Value power = ir::IntegerPow(b, y, -2);
  return Mul(b, t, Mul(b, ScalarLike(b, x[0], 1.0 / 3), power));
}

// ---- lowering ----

Status LowerExp2(LowerContext& c) {
  constexpr double kLn2 = 0.693147180559945309417232;
  const ValueId scaled = c.b().Mul(FullOf(c.b(), c.out_type(), kLn2), c.in(0));
  c.Out(c.b().Exp(scaled));
  return OkStatus();
}

Status LowerLogistic(LowerContext& c) {
  const TensorType type = c.out_type();
  const ValueId growth = c.b().Exp(c.b().Neg(c.in(0)));
  const ValueId denominator = c.b().Add(FullOf(c.b(), type, 1), growth);
  c.Out(c.b().Div(FullOf(c.b(), type, 1), denominator));
  return OkStatus();
}

// The real functions of the two parts of a complex number that sine and cosine are made of.
struct ComplexAngle {
  ValueId real_is_zero, zero, sine, cosine, hyperbolic_sine, hyperbolic_cosine;
};

// With expm1 rather than exp: 2 sinh y = expm1(y) - expm1(-y) keeps its digits near 0.
ComplexAngle PartsOf(FuncBuilder& b, ValueId x) {
  const ValueId re = b.Real(x);
  const ValueId im = b.Imag(x);
  const TensorType type = b.type(re);
  ComplexAngle out;
  out.zero = FullOf(b, type, 0);
  out.real_is_zero = b.Compare(stablehlo::CompareDirection::kEq, re, out.zero);
  out.sine = b.Unary("stablehlo.sine", re);
  out.cosine = b.Unary("stablehlo.cosine", re);
  const ValueId up = b.Unary("stablehlo.exponential_minus_one", im);
  const ValueId down = b.Unary("stablehlo.exponential_minus_one", b.Neg(im));
  out.hyperbolic_sine = b.Div(b.Sub(up, down), FullOf(b, type, 2));
  const ValueId sum = b.Add(b.Add(up, down), FullOf(b, type, 2));
  out.hyperbolic_cosine = b.Div(sum, FullOf(b, type, 2));
  return out;
}

// A part that vanishes with the real part is set to 0 there: the other factor may be infinite.
Status LowerSin(LowerContext& c) {
  if (!tensor::IsComplex(c.in_aval(0).dtype)) return LowerElementwise(c, "stablehlo.sine");
  FuncBuilder& b = c.b();
  const ComplexAngle p = PartsOf(b, c.in(0));
  const ValueId re = b.Mul(p.sine, p.hyperbolic_cosine);
  const ValueId im = b.Mul(p.cosine, p.hyperbolic_sine);
  const ValueId on_axis = b.Complex(p.zero, im);
  c.Out(b.Select(p.real_is_zero, on_axis, b.Complex(re, im)));
  return OkStatus();
}

Status LowerCos(LowerContext& c) {
  if (!tensor::IsComplex(c.in_aval(0).dtype)) return LowerElementwise(c, "stablehlo.cosine");
  FuncBuilder& b = c.b();
  const ComplexAngle p = PartsOf(b, c.in(0));
  const ValueId re = b.Mul(p.cosine, p.hyperbolic_cosine);
  const ValueId im = b.Mul(b.Neg(p.sine), p.hyperbolic_sine);
  const ValueId on_axis = b.Complex(re, p.zero);
  c.Out(b.Select(p.real_is_zero, on_axis, b.Complex(re, im)));
  return OkStatus();
}

// ---- rows ----

using Show = ParamSpec::Show;

constexpr ParamSpec kAccuracy[] = {
    {"accuracy", ParamSpec::Type::kAny, Show::kUnlessDefault, "None"}};

constexpr Sample kSamples[] = {{"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[0]. let b:f32[0] = OP a in (b,) }"}};
constexpr Sample kPositive[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kPositive},
    {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }", ir::Domain::kPositive}};
constexpr Sample kUnit[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kUnit},
    {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }", ir::Domain::kUnit}};
constexpr Sample kAboveOne[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kAboveOne}};

constexpr OpDef kOps[] = {
    {.name = "exp",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpExp>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.exponential">,
     .spec = "primitives.md#exp",
     .samples = kSamples},
    {.name = "exp2",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpExp2>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerExp2,
     .spec = "primitives.md#exp2",
     .samples = kSamples},
    {.name = "log",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpLog>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.log">,
     .spec = "primitives.md#log",
     .samples = kPositive},
    {.name = "expm1",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpExpm1>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.exponential_minus_one">,
     .spec = "primitives.md#expm1",
     .samples = kSamples},
    {.name = "log1p",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpLog1p>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.log_plus_one">,
     .spec = "primitives.md#log1p",
     .samples = kPositive},
    {.name = "tanh",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpTanh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.tanh">,
     .spec = "primitives.md#tanh",
     .samples = kSamples},
    {.name = "logistic",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpLogistic>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerLogistic,
     .spec = "primitives.md#logistic",
     .samples = kSamples},
    {.name = "sin",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpSin>(),
     .linearize = LinearizeSin,
     .batch = ir::BatchElementwise(),
     .lower = LowerSin,
     .spec = "primitives.md#sin",
     .samples = kSamples},
    {.name = "cos",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpCos>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerCos,
     .spec = "primitives.md#cos",
     .samples = kSamples},
    {.name = "tan",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpTan>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.tan">,
     .spec = "primitives.md#tan",
     .samples = kUnit},
    {.name = "asin",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAsin>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.asin">,
     .spec = "primitives.md#asin",
     .samples = kUnit},
    {.name = "acos",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAcos>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.acos">,
     .spec = "primitives.md#acos",
     .samples = kUnit},
    {.name = "atan",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAtan>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.atan">,
     .spec = "primitives.md#atan",
     .samples = kSamples},
    {.name = "sinh",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpSinh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.sinh">,
     .spec = "primitives.md#sinh",
     .samples = kSamples},
    {.name = "cosh",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpCosh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.cosh">,
     .spec = "primitives.md#cosh",
     .samples = kSamples},
    {.name = "asinh",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAsinh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.asinh">,
     .spec = "primitives.md#asinh",
     .samples = kSamples},
    {.name = "acosh",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAcosh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.acosh">,
     .spec = "primitives.md#acosh",
     .samples = kAboveOne},
    {.name = "atanh",
     .arity = 1,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpAtanh>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.atanh">,
     .spec = "primitives.md#atanh",
     .samples = kUnit},
    {.name = "sqrt",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpSqrt>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.sqrt">,
     .spec = "primitives.md#sqrt",
     .samples = kPositive},
    {.name = "rsqrt",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsInexact,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpRsqrt>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.rsqrt">,
     .spec = "primitives.md#rsqrt",
     .samples = kPositive},
    {.name = "cbrt",
     .arity = 1,
     .params = kAccuracy,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpCbrt>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"stablehlo.cbrt">,
     .spec = "primitives.md#cbrt",
     .samples = kPositive},
};

}  // namespace

std::span<const OpDef> TranscendentalOps() { return kOps; }

}  // namespace megalith::ops

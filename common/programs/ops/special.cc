// Special functions: error functions, gamma and its relatives, Bessel functions, incomplete beta.
#include <functional>

#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"
#include "common/programs/ops/special_lowering.h"

namespace megalith::ops {
namespace {

using ir::FullLike;
using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::Select;
using ir::Unary;

using Operands = std::span<const Value>;

constexpr double kSqrtPi = 1.7724538509055159;

// ---- error functions ----

// exp(-x^2) * t, scaled.
Value Gaussian(Builder& b, double scale, Value t, Value x) {
  const Value bell = Unary(b, "exp", Neg(b, Unary(b, "square", x)));
  return Mul(b, ScalarLike(b, x, scale), Mul(b, t, bell));
}

Value JvpErf(Builder& b, Value t, Value, Operands x, const Params&) {
  return Gaussian(b, 2 / kSqrtPi, t, x[0]);
}
Value JvpErfc(Builder& b, Value t, Value, Operands x, const Params&) {
  return Gaussian(b, -2 / kSqrtPi, t, x[0]);
}

Value JvpErfInv(Builder& b, Value t, Value y, Operands x, const Params&) {
  const Value growth = Unary(b, "exp", Unary(b, "square", y));
  return Mul(b, ScalarLike(b, x[0], kSqrtPi / 2), Mul(b, t, growth));
}

// ---- gamma and polygamma ----

Value JvpLgamma(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, Unary(b, "digamma", x[0]));
}

Value JvpDigamma(Builder& b, Value t, Value, Operands x, const Params&) {
  return Mul(b, t, ir::Binary(b, "polygamma", ScalarLike(b, x[0], 1), x[0]));
}

Value JvpPolygammaOrder(Builder& b, Value t, Value, Operands, const Params&) {
  b.Fail(ValueError("polygamma gradient with respect to m is not supported"));
  return t;
}

Value JvpPolygamma(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value order = ir::Add(b, x[0], ScalarLike(b, x[0], 1));
  return NumpyBinary(b, "mul", t, ir::Binary(b, "polygamma", order, x[1]));
}

// ---- incomplete gamma ----

// e^(-x + (a-1) ln x - lgamma a).
Value JvpIgammaX(Builder& b, Value t, Value, Operands v, const Params&) {
  const Value& a = v[0];
  const Value& x = v[1];
  const Value minus_x = Neg(b, x);
  const Value less = NumpyBinary(b, "sub", a, FullLike(b, a, 1));
  const Value power = NumpyBinary(b, "mul", less, Unary(b, "log", x));
  const Value sum = NumpyBinary(b, "add", minus_x, power);
  const Value exponent = NumpyBinary(b, "sub", sum, Unary(b, "lgamma", a));
  return NumpyBinary(b, "mul", t, Unary(b, "exp", exponent));
}

Value JvpIgammaA(Builder& b, Value t, Value, Operands v, const Params&) {
  return NumpyBinary(b, "mul", t, ir::Binary(b, "igamma_grad_a", v[0], v[1]));
}

Value JvpIgammacX(Builder& b, Value t, Value y, Operands v, const Params& p) {
  return Neg(b, JvpIgammaX(b, t, y, v, p));
}
Value JvpIgammacA(Builder& b, Value t, Value y, Operands v, const Params& p) {
  return Neg(b, JvpIgammaA(b, t, y, v, p));
}

// ---- incomplete beta ----

Value JvpBetaParameter(Builder& b, Value t, Value, Operands, const Params&) {
  b.Fail(ValueError("Betainc gradient with respect to a and b not supported."));
  return t;
}

// e^((b-1) log1p(-x) + (a-1) ln x - ln B(a, b)).
Value JvpBetaX(Builder& b, Value t, Value, Operands v, const Params&) {
  const Value lgamma_a = Unary(b, "lgamma", v[0]);
  const Value lgamma_b = Unary(b, "lgamma", v[1]);
  const Value lgammas = NumpyBinary(b, "add", lgamma_a, lgamma_b);
  const Value lgamma_sum = Unary(b, "lgamma", NumpyBinary(b, "add", v[0], v[1]));
  const Value log_beta = NumpyBinary(b, "sub", lgammas, lgamma_sum);
  const Value b_less = NumpyBinary(b, "sub", v[1], ir::WeakScalarLike(b, v[1], 1));
  const Value right = NumpyBinary(b, "mul", b_less, Unary(b, "log1p", Neg(b, v[2])));
  const Value a_less = NumpyBinary(b, "sub", v[0], ir::WeakScalarLike(b, v[0], 1));
  const Value left = NumpyBinary(b, "mul", a_less, Unary(b, "log", v[2]));
  const Value sum = NumpyBinary(b, "add", right, left);
  const Value density = Unary(b, "exp", NumpyBinary(b, "sub", sum, log_beta));
  return NumpyBinary(b, "mul", density, t);
}

// ---- Bessel functions ----

Value JvpI0e(Builder& b, Value t, Value y, Operands x, const Params&) {
  const Value i1e = Unary(b, "bessel_i1e", x[0]);
  const Value signed_y = Mul(b, Unary(b, "sign", x[0]), y);
  return NumpyBinary(b, "mul", t, ir::Sub(b, i1e, signed_y));
}

// i0e(x) - y (sign x + 1/x), which is 1/2 near zero, where 1/x is avoided.
Value JvpI1e(Builder& b, Value t, Value y, Operands operands, const Params&) {
  const Value& x = operands[0];
  const double eps = tensor::Limits(x.dtype()).eps;
  const Value far = NumpyBinary(b, "gt", Unary(b, "abs", x), ScalarLike(b, x, eps));
  const Value safe_x = Select(b, far, x, FullLike(b, x, eps));
  const Value i0e = Unary(b, "bessel_i0e", safe_x);
  const Value sign = Unary(b, "sign", safe_x);
  const Value slope_factor = ir::Add(b, sign, ir::IntegerPow(b, safe_x, -1));
  const Value slope = ir::Sub(b, i0e, Mul(b, y, slope_factor));
  const Value chosen = Select(b, far, slope, FullLike(b, x, 0.5));
  return NumpyBinary(b, "mul", t, chosen);
}

// ---- lowering ----

// Traces `fn` on operands of the result's shape, in f32 where the dtype is narrower.
Status LowerWith(LowerContext& c, const std::function<Value(Builder&, Operands)>& fn) {
  c.Out(c.Traced(c.ins(), c.in_avals(), [&](Builder& b, Operands v) {
    const DType dtype = c.out_aval().dtype;
    const bool narrow = tensor::BitWidth(dtype) < 32;
    std::vector<Value> operands;
    for (const Value& x : v) {
      const Shape& shape = c.out_aval().shape;
      const Value full =
          x.shape() == shape
              ? x
              : ir::BroadcastInDim(b, x, shape, ir::Range(static_cast<int64_t>(x.rank())));
      operands.push_back(narrow ? ir::ConvertElementType(b, full, DType::kF32) : full);
    }
    const Value out = fn(b, operands);
    return std::vector<Value>{narrow ? ir::ConvertElementType(b, out, dtype) : out};
  }));
  return OkStatus();
}

template <Value (*Fn)(Builder&, Operands)>
Status LowerTraced(LowerContext& c) {
  return LowerWith(c, Fn);
}

Status LowerBeta(LowerContext& c) {
  const DType counter = c.x64() ? DType::kI64 : DType::kI32;
  return LowerWith(c, [counter](Builder& b, Operands v) { return RegularizedBeta(b, v, counter); });
}

// ---- rows ----

constexpr Sample kSamples[] = {{"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[]. let b:f32[] = OP a in (b,) }"},
                               {"{ lambda ; a:f32[0]. let b:f32[0] = OP a in (b,) }"}};
constexpr Sample kUnit[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kUnit}};
constexpr Sample kPositive[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP a in (b,) }", ir::Domain::kPositive}};
constexpr Sample kPositivePair[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kPositive},
    {"{ lambda ; a:f32[] b:f32[7]. let c:f32[7] = OP a b in (c,) }", ir::Domain::kPositive},
};
// The first operand has no derivative.
constexpr Sample kSecondOnly[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP 2.0:f32[] a in (b,) }", ir::Domain::kPositive}};
constexpr Sample kAboveOnePair[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kAboveOne}};
constexpr Sample kBetaSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP 1.5:f32[] 2.5:f32[] a in (b,) }",
     ir::Domain::kUnit}};

constexpr OpDef kOps[] = {
    {.name = "erf",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpErf>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.erf">,
     .spec = "primitives.md#erf",
     .samples = kSamples},
    {.name = "erfc",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpErfc>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.erfc">,
     .spec = "primitives.md#erfc",
     .samples = kSamples},
    {.name = "erf_inv",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpErfInv>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.erf_inv">,
     .spec = "primitives.md#erf_inv",
     .samples = kUnit},
    {.name = "lgamma",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpLgamma>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.lgamma">,
     .spec = "primitives.md#lgamma",
     .samples = kPositive},
    {.name = "digamma",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpDigamma>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.digamma">,
     .spec = "primitives.md#digamma",
     .samples = kPositive},
    {.name = "polygamma",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpPolygammaOrder, JvpPolygamma>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"chlo.polygamma">,
     .spec = "primitives.md#polygamma",
     .samples = kSecondOnly},
    {.name = "igamma",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpIgammaA, JvpIgammaX>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTraced<Igamma>,
     .spec = "primitives.md#igamma",
     .samples = kPositivePair},
    {.name = "igammac",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpIgammacA, JvpIgammacX>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTraced<Igammac>,
     .spec = "primitives.md#igammac",
     .samples = kPositivePair},
    {.name = "igamma_grad_a",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTraced<IgammaGradA>,
     .spec = "primitives.md#igamma_grad_a",
     .samples = kPositivePair},
    {.name = "zeta",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"chlo.zeta">,
     .spec = "primitives.md#zeta",
     .samples = kAboveOnePair},
    {.name = "regularized_incomplete_beta",
     .arity = 3,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpBetaParameter, JvpBetaParameter, JvpBetaX>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerBeta,
     .spec = "primitives.md#regularized_incomplete_beta",
     .samples = kBetaSamples},
    {.name = "bessel_i0e",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpI0e>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTraced<BesselI0e>,
     .spec = "primitives.md#bessel_i0e",
     .samples = kSamples},
    {.name = "bessel_i1e",
     .arity = 1,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = SameAsOperand,
     .jvp = ir::JvpTerms<JvpI1e>(),
     .batch = ir::BatchElementwise(),
     .lower = LowerTo<"chlo.bessel_i1e">,
     .spec = "primitives.md#bessel_i1e",
     .samples = kSamples},
};

}  // namespace

std::span<const OpDef> SpecialOps() { return kOps; }

}  // namespace megalith::ops

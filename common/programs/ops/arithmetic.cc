// Sums, products, quotients, remainders, powers, extrema: n-ary elementwise arithmetic.
#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Div;
using ir::Mul;
using ir::Neg;
using ir::Sub;
using ir::Unary;

// ---- add, sub, add_any ----

// A missing tangent adds nothing, but the other one may have to grow to the result's shape.
JvpResult JvpAdd(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  const Shape& shape = out.primals[0].shape();
  const Value& s = a.tangents[0];
  const Value& t = a.tangents[1];
  out.tangents = {s && t ? Add(b, s, t) : MaybeBroadcast(b, shape, s ? s : t)};
  return out;
}

JvpResult JvpSub(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  const Shape& shape = out.primals[0].shape();
  const Value& s = a.tangents[0];
  const Value& t = a.tangents[1];
  out.tangents = {s && t ? Sub(b, s, t) : MaybeBroadcast(b, shape, s ? s : Neg(b, t))};
  return out;
}

std::vector<Value> TransposeAdd(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  std::vector<Value> out(2);
  for (size_t i = 0; i < 2; ++i) {
    if (a.operands[i].linear) out[i] = Unbroadcast(b, a.operands[i].aval, ct);
  }
  return out;
}

std::vector<Value> TransposeSub(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  std::vector<Value> out(2);
  if (a.operands[0].linear) out[0] = Unbroadcast(b, a.operands[0].aval, ct);
  if (a.operands[1].linear) out[1] = Unbroadcast(b, a.operands[1].aval, Neg(b, ct));
  return out;
}

std::vector<Value> TransposeAddAny(Builder&, const TransposeArgs& a) {
  return {a.cotangents[0], a.cotangents[0]};
}

BatchResult BatchAddAny(Builder& b, const BatchArgs& a) {
  Value x = a.values[0];
  Value y = a.values[1];
  int dim = a.dims[0];
  if (a.dims[0] == kUnmapped) {
    dim = a.dims[1];
    x = ir::BroadcastAxis(b, x, a.axis.size, dim);
  } else if (a.dims[1] == kUnmapped) {
    y = ir::BroadcastAxis(b, y, a.axis.size, dim);
  } else if (a.dims[0] != a.dims[1]) {
    dim = a.dims[1];
    x = ir::MoveAxis(b, x, a.dims[0], a.dims[1]);
  }
  return {{b.Emit1("add_any", {x, y})}, {dim}};
}

// ---- mul, div, rem ----

Value JvpMulLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  return Mul(b, t, x[1]);
}
Value JvpMulRight(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  return Mul(b, x[0], t);
}

std::vector<Value> TransposeMul(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  if (!CheckKnown(b, a, a.operands[0].linear ? 1 : 0)) return {};
  if (a.operands[0].linear)
    return {Unbroadcast(b, a.operands[0].aval, Mul(b, ct, a.operands[1].value)), Value()};
  return {Value(), Unbroadcast(b, a.operands[1].aval, Mul(b, a.operands[0].value, ct))};
}

Value JvpDivLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  return Div(b, t, x[1]);
}
Value JvpDivRight(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  const Value negated = Mul(b, Neg(b, t), x[0]);
  return Mul(b, negated, ir::IntegerPow(b, x[1], -2));
}

std::vector<Value> TransposeDiv(Builder& b, const TransposeArgs& a) {
  if (!CheckKnown(b, a, 1)) return {};
  return {Unbroadcast(b, a.operands[0].aval, Div(b, a.cotangents[0], a.operands[1].value)),
          Value()};
}

Value JvpRemLeft(Builder& b, Value t, Value y, std::span<const Value>, const Params&) {
  return MaybeBroadcast(b, y.shape(), t);
}
// The quotient rounded towards zero, as sign times floor of the absolute value.
Value JvpRemRight(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  const Value negated = Neg(b, t);
  const Value sign = Unary(b, "sign", Div(b, x[0], x[1]));
  const Value floor = Unary(b, "floor", Unary(b, "abs", Div(b, x[0], x[1])));
  return Mul(b, negated, Mul(b, sign, floor));
}

// ---- pow ----

// A base in x and an exponent in y; an integer exponent is allowed and does not have to have the
// base's dtype.
Types PowType(const TypeArgs& a) {
  constexpr std::string_view kAccepted[] = {"floating, complexfloating",
                                            "integer, floating, complexfloating"};
  for (size_t i = 0; i < 2; ++i) {
    const DType d = a.operands[i].dtype;
    if (tensor::IsInexact(d) || (i == 1 && tensor::IsInteger(d))) continue;
    return TypeError(StrCat("pow does not accept dtype ", DTypeText(d), " at position ", i,
                            ". Accepted dtypes at position ", i, " are subtypes of ", kAccepted[i],
                            "."));
  }
  const Aval& x = a.operands[0];
  const Aval& y = a.operands[1];
  if (x.dtype != y.dtype && !tensor::IsInteger(y.dtype)) {
    return TypeError(StrCat(
        "the first argument to pow must have an inexact dtype (float or complex), and the second "
        "argument must have an inexact or integer dtype, and two inexact dtypes must match, but "
        "got ",
        DTypeText(x.dtype), " and ", DTypeText(y.dtype), " respectively."));
  }
  ASSIGN_OR_RETURN(Shape shape, BroadcastShapes("pow", a.operands));
  return std::vector<Aval>{Aval{x.dtype, AllWeak(a.operands), std::move(shape)}};
}

// 1 where x is 0, x elsewhere.
Value ReplaceZero(Builder& b, Value x) {
  const Value is_zero = ir::Binary(b, "eq", x, ir::ScalarLike(b, x, 0));
  const Value ones = ir::FullLike(b, x, 1);
  return ir::Select(b, is_zero, ones, x);
}

// y * x^(y-1), or for integer y zero where y is zero.
Value JvpPowBase(Builder& b, Value t, Value z, std::span<const Value> operands, const Params&) {
  const bool integer = tensor::IsInteger(operands[1].dtype());
  Value x = ir::ConvertElementType(b, operands[0], operands[0].dtype());
  Value y = ir::ConvertElementType(b, operands[1], operands[0].dtype());
  if (!integer) {
    const Value less = Sub(b, y, ir::FullLike(b, y, 1));
    return Mul(b, t, Mul(b, y, ir::Binary(b, "pow", x, less)));
  }
  if (x.shape() != y.shape()) {
    x = MaybeBroadcast(b, z.shape(), x);
    y = MaybeBroadcast(b, z.shape(), y);
  }
  const Value is_zero = ir::Binary(b, "eq", y, ir::ScalarLike(b, y, 0));
  const Value zeros = ir::FullLike(b, y, 0);
  const Value factor = ReplaceZero(b, y);
  const Value less = Sub(b, y, ir::FullLike(b, y, 1));
  const Value slope = Mul(b, factor, ir::Binary(b, "pow", x, less));
  return Mul(b, t, ir::Select(b, is_zero, zeros, slope));
}

Value JvpPowExponent(Builder& b, Value t, Value z, std::span<const Value> x, const Params&) {
  const Value slope = Mul(b, Unary(b, "log", ReplaceZero(b, x[0])), z);
  return ir::ConvertElementType(b, Mul(b, t, slope), x[1].dtype());
}

// ---- atan2 ----

Value SumOfSquares(Builder& b, Value x, Value y) {
  const Value xx = Unary(b, "square", x);
  const Value yy = Unary(b, "square", y);
  return Add(b, xx, yy);
}
Value JvpAtan2Left(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  return Mul(b, t, Div(b, x[1], SumOfSquares(b, x[0], x[1])));
}
Value JvpAtan2Right(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  const Value negated = Neg(b, x[0]);
  return Mul(b, t, Div(b, negated, SumOfSquares(b, x[0], x[1])));
}

// ---- max, min ----

// 1 where x attains the result, 1/2 where y attains it too, 0 elsewhere. Every equation is a
// statement of its own: the order of emission is part of the text.
Value BalancedEq(Builder& b, Value x, Value z, Value y) {
  const Value is_x = b.Emit1("eq", {x, z});
  const Value one = ir::FullLike(b, z, 1);
  const Value zero = ir::FullLike(b, z, 0);
  const Value hit = ir::Select(b, is_x, one, zero);
  const Value is_y = b.Emit1("eq", {y, z});
  const Value two = ir::FullLike(b, z, 2);
  const Value one_again = ir::FullLike(b, z, 1);
  return Div(b, hit, ir::Select(b, is_y, two, one_again));
}
Value JvpExtremumLeft(Builder& b, Value t, Value y, std::span<const Value> x, const Params&) {
  return Mul(b, t, BalancedEq(b, x[0], y, x[1]));
}
Value JvpExtremumRight(Builder& b, Value t, Value y, std::span<const Value> x, const Params&) {
  return Mul(b, t, BalancedEq(b, x[1], y, x[0]));
}

// ---- lowering ----

Status LowerMax(LowerContext& c) {
  const Values v = c.BroadcastOperands();
  c.Out(MaxOf(c.b(), v[0], v[1]));
  return OkStatus();
}

Status LowerMin(LowerContext& c) {
  const Values v = c.BroadcastOperands();
  c.Out(MinOf(c.b(), v[0], v[1]));
  return OkStatus();
}

// An integer exponent is converted to the base's dtype first.
Status LowerPow(LowerContext& c) {
  const DType dtype = c.out_aval().dtype;
  const Shape& shape = c.out_aval().shape;
  const ValueId y = c.in_aval(1).dtype == dtype ? c.in(1) : c.b().Convert(c.in(1), dtype);
  const ValueId base = c.BroadcastTo(c.in(0), shape);
  const ValueId exponent = c.BroadcastTo(y, shape);
  c.Out(c.b().Pow(base, exponent));
  return OkStatus();
}

// ---- rows ----

constexpr Sample kBinarySamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[7]. let c:f32[7] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[0] b:f32[0]. let c:f32[0] = OP a b in (c,) }"},
};
constexpr Sample kSumSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[]. let c:f32[] = OP a b in (c,) }"},
};
constexpr Sample kDivSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kNonZero},
};

constexpr Sample kPowSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kPositive},
    {"{ lambda ; a:f32[3,5] b:f32[]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kPositive},
    {"{ lambda ; a:f32[3,5] b:i32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kPositive},
};

constexpr OpDef kOps[] = {
    {.name = "add",
     .arity = 2,
     .accepts = ir::kAcceptsNumber,
     .type_rule = NaryType,
     .jvp = ir::JvpFull(JvpAdd),
     .transpose = TransposeAdd,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.add">,
     .spec = "primitives.md#add",
     .samples = kBinarySamples},
    {.name = "sub",
     .arity = 2,
     .accepts = ir::kAcceptsNumber,
     .type_rule = NaryType,
     .jvp = ir::JvpFull(JvpSub),
     .transpose = TransposeSub,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.subtract">,
     .spec = "primitives.md#sub",
     .samples = kBinarySamples},
    {.name = "add_any",
     .arity = 2,
     .accepts = ir::kAcceptsAny,
     .type_rule = NaryType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeAddAny,
     .batch = ir::BatchFull(BatchAddAny),
     .lower = LowerTo<"stablehlo.add">,
     .spec = "primitives.md#add_any",
     .samples = kSumSamples},
    {.name = "mul",
     .arity = 2,
     .accepts = ir::kAcceptsNumber,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpMulLeft, JvpMulRight>(),
     .transpose = TransposeMul,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.multiply">,
     .spec = "primitives.md#mul",
     .samples = kBinarySamples},
    {.name = "div",
     .arity = 2,
     .accepts = ir::kAcceptsNumber,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpDivLeft, JvpDivRight>(),
     .transpose = TransposeDiv,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.divide">,
     .spec = "primitives.md#div",
     .samples = kDivSamples},
    {.name = "max",
     .arity = 2,
     .accepts = ir::kAcceptsNumber | ir::kAcceptsBool,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpExtremumLeft, JvpExtremumRight>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerMax,
     .spec = "primitives.md#max",
     .samples = kBinarySamples},
    {.name = "min",
     .arity = 2,
     .accepts = ir::kAcceptsNumber | ir::kAcceptsBool,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpExtremumLeft, JvpExtremumRight>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerMin,
     .spec = "primitives.md#min",
     .samples = kBinarySamples},
    {.name = "rem",
     .arity = 2,
     .accepts = ir::kAcceptsReal,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpRemLeft, JvpRemRight>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.remainder">,
     .spec = "primitives.md#rem",
     .samples = kDivSamples},
    {.name = "pow",
     .arity = 2,
     .accepts = ir::kAcceptsInexact,
     .type_rule = PowType,
     .jvp = ir::JvpTerms<JvpPowBase, JvpPowExponent>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerPow,
     .spec = "primitives.md#pow",
     .samples = kPowSamples},
    {.name = "atan2",
     .arity = 2,
     .accepts = ir::kAcceptsInexact,
     .tier = 2,
     .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpAtan2Left, JvpAtan2Right>(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"stablehlo.atan2">,
     .spec = "primitives.md#atan2",
     .samples = kDivSamples},
    {.name = "nextafter",
     .arity = 2,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = NaryType,
     .batch = ir::BatchBroadcasting(),
     .lower = LowerTo<"chlo.next_after">,
     .spec = "primitives.md#nextafter",
     .samples = kBinarySamples},
};

}  // namespace

std::span<const OpDef> ArithmeticOps() { return kOps; }

}  // namespace megalith::ops

// Sums, products, quotients, powers, extrema: n-ary elementwise arithmetic.
#include "common/programs/ops/families.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Div;
using ir::Mul;
using ir::Neg;
using ir::Sub;

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

std::vector<Value> TransposeAddAny(Builder&, const TransposeArgs& a) { return {a.cotangents[0], a.cotangents[0]}; }

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

// ---- mul, div ----

Value JvpMulLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params&) { return Mul(b, t, x[1]); }
Value JvpMulRight(Builder& b, Value t, Value, std::span<const Value> x, const Params&) { return Mul(b, x[0], t); }

std::vector<Value> TransposeMul(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  if (a.operands[0].linear) return {Unbroadcast(b, a.operands[0].aval, Mul(b, ct, a.operands[1].value)), Value()};
  return {Value(), Unbroadcast(b, a.operands[1].aval, Mul(b, a.operands[0].value, ct))};
}

Value JvpDivLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params&) { return Div(b, t, x[1]); }
Value JvpDivRight(Builder& b, Value t, Value, std::span<const Value> x, const Params&) {
  const Value negated = Mul(b, Neg(b, t), x[0]);
  return Mul(b, negated, b.Emit1("integer_pow", {x[1]}, {{"y", ParamValue::Int(-2)}}));
}

std::vector<Value> TransposeDiv(Builder& b, const TransposeArgs& a) {
  return {Unbroadcast(b, a.operands[0].aval, Div(b, a.cotangents[0], a.operands[1].value)), Value()};
}

// ---- max, min ----

// 1 where x attains the result, 1/2 where y attains it too, 0 elsewhere. Every equation is a statement of its own: the
// order of emission is part of the text.
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

constexpr Sample kBinarySamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[7]. let c:f32[7] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[0] b:f32[0]. let c:f32[0] = OP a b in (c,) }"},
};
constexpr Sample kDivSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3,5] = OP a b in (c,) }", ir::Domain::kNonZero},
};

constexpr OpDef kOps[] = {
    {.name = "add", .arity = 2, .accepts = ir::kAcceptsNumber, .type_rule = NaryType, .jvp = ir::JvpFull(JvpAdd),
     .transpose = TransposeAdd, .batch = ir::BatchBroadcasting(), .spec = "primitives.md#add",
     .samples = kBinarySamples},
    {.name = "sub", .arity = 2, .accepts = ir::kAcceptsNumber, .type_rule = NaryType, .jvp = ir::JvpFull(JvpSub),
     .transpose = TransposeSub, .batch = ir::BatchBroadcasting(), .spec = "primitives.md#sub",
     .samples = kBinarySamples},
    {.name = "add_any", .arity = 2, .accepts = ir::kAcceptsAny, .type_rule = NaryType, .jvp = ir::JvpLinear(),
     .transpose = TransposeAddAny, .batch = ir::BatchFull(BatchAddAny), .spec = "primitives.md#add_any"},
    {.name = "mul", .arity = 2, .accepts = ir::kAcceptsNumber, .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpMulLeft, JvpMulRight>(), .transpose = TransposeMul, .batch = ir::BatchBroadcasting(),
     .spec = "primitives.md#mul", .samples = kBinarySamples},
    {.name = "div", .arity = 2, .accepts = ir::kAcceptsNumber, .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpDivLeft, JvpDivRight>(), .transpose = TransposeDiv, .batch = ir::BatchBroadcasting(),
     .spec = "primitives.md#div", .samples = kDivSamples},
    {.name = "max", .arity = 2, .accepts = ir::kAcceptsNumber | ir::kAcceptsBool, .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpExtremumLeft, JvpExtremumRight>(), .batch = ir::BatchBroadcasting(),
     .spec = "primitives.md#max", .samples = kBinarySamples},
    {.name = "min", .arity = 2, .accepts = ir::kAcceptsNumber | ir::kAcceptsBool, .type_rule = NaryType,
     .jvp = ir::JvpTerms<JvpExtremumLeft, JvpExtremumRight>(), .batch = ir::BatchBroadcasting(),
     .spec = "primitives.md#min", .samples = kBinarySamples},
};

}  // namespace

std::span<const OpDef> ArithmeticOps() { return kOps; }

}  // namespace megalith::ops

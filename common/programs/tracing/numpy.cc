#include "common/programs/tracing/numpy.h"

#include "common/foundation/base/strings.h"
#include "common/programs/ops/logaddexp.h"
#include "common/programs/ops/rules.h"
#include "common/programs/tracing/numpy_internal.h"
#include "common/programs/tracing/promotion.h"

namespace megalith::tracing {
namespace {

using ir::Literal;

// Promoted operands of equal rank, as ufuncs prepare them.
Values Prepared(Trace& t, Builder& b, std::initializer_list<const Operand*> operands) {
  Values v = Operands(t, operands).Promoted();
  PromoteRanks(b, &v);
  return v;
}

Array Ufunc(std::string_view primitive, const Operand& x, const Operand& y) {
  return Operation(
      x.where, [&](Trace& t, Builder& b) { return b.Emit1(primitive, Prepared(t, b, {&x, &y})); });
}

Array InexactUfunc(std::string_view primitive, const Operand& x, const Operand& y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values v = Operands(t, {&x, &y}).PromotedInexact();
    PromoteRanks(b, &v);
    return b.Emit1(primitive, v);
  });
}

// Booleans have logic of their own: their sum is `or`, their product `and`.
Array Arithmetic(std::string_view primitive, std::string_view for_bools, const Operand& x,
                 const Operand& y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Values v = Prepared(t, b, {&x, &y});
    return b.Emit1(tensor::IsBool(v[0].dtype()) ? for_bools : primitive, v);
  });
}

// Values that lax takes as they are: a literal keeps the digits it has in its own dtype.
Value Zero(Builder& b, Value like) { return b.Lit(Literal::Float(like.dtype(), 0)); }

// Python's remainder from the machine's: adjusted where the signs differ.
Values RemainderBody(Trace& t, Builder& b, Values v) {
  const Result<PromotedType> type =
      ResultType(std::vector<Aval>{v[0].aval(), v[1].aval()}, t.x64());
  if (!type.ok()) {
    b.Fail(type.status());
    return {v[0]};
  }
  v[0] = ConvertTo(b, v[0], *type);
  v[1] = ConvertTo(b, v[1], *type);
  PromoteRanks(b, &v);
  if (tensor::IsInteger(type->dtype)) {
    const Value is_zero = b.Emit1("eq", {v[1], Zero(b, v[1])});
    if (v[1].rank() == 0) {
      v[1] = EmitWhere(t, b, is_zero, b.Lit(Literal::Int(type->dtype, 1)), v[1]);
    } else {
      const Value ones = ir::Full(b, v[1].shape(), type->dtype, 1);
      v[1] = EmitWhere(t, b, is_zero, ones, v[1]);
    }
  }
  const Value rem = b.Emit1("rem", v);
  const Value not_zero = b.Emit1("ne", {rem, Zero(b, rem)});
  const Value rem_negative = b.Emit1("lt", {rem, Zero(b, rem)});
  const Value y_negative = b.Emit1("lt", {v[1], Zero(b, v[1])});
  const Value signs_differ = b.Emit1("ne", {rem_negative, y_negative});
  const Value adjust = b.Emit1("and", {signs_differ, not_zero});
  const Value adjusted = b.Emit1("add", {rem, v[1]});
  return {b.Emit1("select_n", {adjust, rem, adjusted})};
}

Values WhereBody(Trace& t, Builder& b, std::span<const Value> in) {
  Value condition = in[0];
  if (!tensor::IsBool(condition.dtype()))
    condition = b.Emit1("ne", {condition, Zero(b, condition)});
  const Result<PromotedType> type =
      ResultType(std::vector<Aval>{in[1].aval(), in[2].aval()}, t.x64());
  if (!type.ok()) {
    b.Fail(type.status());
    return {in[1]};
  }
  Values xy = {ConvertTo(b, in[1], *type), Value()};
  xy[1] = ConvertTo(b, in[2], *type);
  std::vector<Shape> shapes = {xy[0].shape(), xy[1].shape()};
  if (condition.rank() > 0) shapes.push_back(condition.shape());
  const Result<Shape> shape = BroadcastShape(shapes);
  if (!shape.ok()) {
    b.Fail(shape.status());
    return {in[1]};
  }
  if (condition.rank() > 0) condition = BroadcastTo(b, condition, *shape);
  xy[0] = BroadcastTo(b, xy[0], *shape);
  xy[1] = BroadcastTo(b, xy[1], *shape);
  return {ir::Select(b, condition, xy[0], xy[1])};
}

}  // namespace

Value EmitWhere(Trace& t, Builder& b, Value condition, Value x, Value y) {
  const Values in = {condition, x, y};
  return ops::EmitJit(b, "_where", "", in, [&](Builder& inner, std::span<const Value> v) {
    return WhereBody(t, inner, v);
  })[0];
}

Value EmitRemainder(Trace& t, Builder& b, Value x, Value y) {
  const Values in = {x, y};
  return ops::EmitJit(b, "remainder", "", in, [&](Builder& inner, std::span<const Value> v) {
    return RemainderBody(t, inner, Values(v.begin(), v.end()));
  })[0];
}

// ---- elementwise ----

#define MEGALITH_DEFINE(name, primitive)                              \
  Array name(Operand x) {                                             \
    return Operation(x.where, [&](Trace& t, Builder& b) {             \
      return b.Emit1(primitive, Operands(t, {&x}).PromotedInexact()); \
    });                                                               \
  }
MEGALITH_NUMPY_UNARY(MEGALITH_DEFINE)
#undef MEGALITH_DEFINE

Array operator+(Operand x, Operand y) { return Arithmetic("add", "or", x, y); }
Array operator-(Operand x, Operand y) { return Ufunc("sub", x, y); }
Array operator*(Operand x, Operand y) { return Arithmetic("mul", "and", x, y); }
Array operator/(Operand x, Operand y) { return InexactUfunc("div", x, y); }
Array operator%(Operand x, Operand y) { return Remainder(x, y); }
Array operator-(Operand x) { return lax::Neg(x); }
Array operator~(Operand x) { return lax::Not(x); }
Array operator&(Operand x, Operand y) { return Ufunc("and", x, y); }
Array operator|(Operand x, Operand y) { return Ufunc("or", x, y); }
Array operator^(Operand x, Operand y) { return Ufunc("xor", x, y); }
Array operator<<(Operand x, Operand y) { return Ufunc("shift_left", x, y); }
Array operator>>(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Values v = Prepared(t, b, {&x, &y});
    return b.Emit1(
        tensor::IsUnsigned(v[0].dtype()) ? "shift_right_logical" : "shift_right_arithmetic", v);
  });
}
Array operator==(Operand x, Operand y) { return Ufunc("eq", x, y); }
Array operator!=(Operand x, Operand y) { return Ufunc("ne", x, y); }
Array operator<(Operand x, Operand y) { return Ufunc("lt", x, y); }
Array operator<=(Operand x, Operand y) { return Ufunc("le", x, y); }
Array operator>(Operand x, Operand y) { return Ufunc("gt", x, y); }
Array operator>=(Operand x, Operand y) { return Ufunc("ge", x, y); }
Array& operator+=(Array& x, Operand y) { return x = Operand(x, y.where) + y; }
Array& operator-=(Array& x, Operand y) { return x = Operand(x, y.where) - y; }
Array& operator*=(Array& x, Operand y) { return x = Operand(x, y.where) * y; }
Array& operator/=(Array& x, Operand y) { return x = Operand(x, y.where) / y; }

Array Maximum(Operand x, Operand y) { return Ufunc("max", x, y); }
Array Minimum(Operand x, Operand y) { return Ufunc("min", x, y); }
Array Atan2(Operand x, Operand y) { return InexactUfunc("atan2", x, y); }

Array Logaddexp(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values v = Operands(t, {&x, &y}).PromotedInexact();
    PromoteRanks(b, &v);
    return ops::LogAddExp(b, v[0], v[1]);
  });
}

Array Pow(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const auto& exponent = y.array.number();
    const bool whole =
        exponent && (exponent->kind == Number::Kind::kInt || exponent->kind == Number::Kind::kBool);
    if (whole) {
      Operands base(t, {&x});
      const Aval type = base.avals()[0];
      Value v = tensor::IsBool(type.dtype)
                    ? base.Converted({t.x64() ? DType::kI64 : DType::kI32, false})[0]
                    : base.Converted({type.dtype, type.weak_type})[0];
      return ir::IntegerPow(b, v, exponent->integer);
    }
    Values v = Prepared(t, b, {&x, &y});
    if (!tensor::IsInexact(v[0].dtype())) {
      b.Fail(NotImplementedError(
          "integer arrays to the power of integer arrays; convert one of them to a float"));
      return v[0];
    }
    // A float to an integer power: JAX promotes the ranks with the dtypes and then takes the
    // exponent as it was.
    if (!y.array.number() && tensor::IsInteger(y.array.dtype())) {
      Values integers = {v[0], t.Use(y.array, y.where)};
      PromoteRanks(b, &integers);
      v[1] = integers[1];
    }
    return b.Emit1("pow", v);
  });
}

Array Remainder(Operand x, Operand y) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value vx = t.Use(x.array, x.where);
    const Value vy = t.Use(y.array, y.where);
    return EmitRemainder(t, b, vx, vy);
  });
}

namespace {
// Promoted, then made boolean by comparing with zero.
Array Logical(std::string_view primitive, std::initializer_list<const Operand*> operands) {
  return Operation((*operands.begin())->where, [&](Trace& t, Builder& b) {
    Values v = Prepared(t, b, operands);
    for (Value& each : v) {
      if (!tensor::IsBool(each.dtype())) each = b.Emit1("ne", {each, Zero(b, each)});
    }
    return b.Emit1(primitive, v);
  });
}
}  // namespace

Array LogicalAnd(Operand x, Operand y) { return Logical("and", {&x, &y}); }
Array LogicalOr(Operand x, Operand y) { return Logical("or", {&x, &y}); }
Array LogicalNot(Operand x) { return Logical("not", {&x}); }

Array IsNan(Operand x) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    const Value v = t.Use(x.array, x.where);
    return b.Emit1("ne", {v, v});
  });
}

Array Where(Operand condition, Operand x, Operand y) {
  return Operation(condition.where, [&](Trace& t, Builder& b) {
    const Value c = t.Use(condition.array, condition.where);
    const Value vx = t.Use(x.array, x.where);
    const Value vy = t.Use(y.array, y.where);
    return EmitWhere(t, b, c, vx, vy);
  });
}

Array Clip(Operand x, Operand low, Operand high) {
  return Operation(x.where, [&](Trace& t, Builder& b) {
    Values in = {t.Use(x.array, x.where), Value(), Value()};
    in[1] = t.Use(low.array, low.where);
    in[2] = t.Use(high.array, high.where);
    return ops::EmitJit(b, "clip", "", in, [&](Builder& inner, std::span<const Value> v) {
      Value out = v[0];
      for (size_t i = 1; i < 3; ++i) {
        const Result<PromotedType> type =
            ResultType(std::vector<Aval>{v[i].aval(), out.aval()}, t.x64());
        if (!type.ok()) {
          inner.Fail(type.status());
          break;
        }
        Values pair = {ConvertTo(inner, v[i], *type), Value()};
        pair[1] = ConvertTo(inner, out, *type);
        PromoteRanks(inner, &pair);
        out = inner.Emit1(i == 1 ? "max" : "min", pair);
      }
      return Values{out};
    })[0];
  });
}

Array AsType(Operand x, DType dtype) {
  return Operation(
      x.where, [&](Trace& t, Builder&) { return Operands(t, {&x}).Converted({dtype, false})[0]; });
}

}  // namespace megalith::tracing

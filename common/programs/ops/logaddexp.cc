#include "common/programs/ops/logaddexp.h"

#include <limits>

#include "common/foundation/base/strings.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Binary;
using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::Select;
using ir::Sub;
using ir::Unary;

constexpr double kPi = 3.14159265358979323846;

// x moved by multiples of 2a into [-a, a].
Value WrapBetween(Builder& b, Value x, double a) {
  const Value half = ScalarLike(b, x, a);
  const Value full = ScalarLike(b, x, 2 * a);
  const Value rest = Binary(b, "rem", Add(b, x, half), full);
  const Value negative = Binary(b, "lt", rest, ScalarLike(b, x, 0));
  const Value wrapped = Select(b, negative, Add(b, rest, full), rest);
  return Sub(b, wrapped, half);
}

// Zero where (the real part of) x is plus infinity.
Value ReplaceInfinity(Builder& b, Value x) {
  const Value real = tensor::IsComplex(x.dtype()) ? Unary(b, "real", x) : x;
  const Value is_infinite =
      Binary(b, "eq", real, ScalarLike(b, real, std::numeric_limits<double>::infinity()));
  return Select(b, is_infinite, ir::FullLike(b, x, 0), x);
}

// exp(x - result), the derivative in x.
Value Weight(Builder& b, Value x, Value result) {
  const Value finite = ReplaceInfinity(b, x);
  return Unary(b, "exp", Sub(b, finite, ReplaceInfinity(b, result)));
}

// One of the operands may be a scalar.
Result<ir::RuleBodies> MakeRule(ir::Session& session, const Aval& of_x, const Aval& of_y) {
  Builder b(session);
  const Value x = b.Input(of_x);
  const Value y = b.Input(of_y);
  const Value tx = b.Input(of_x.Tangent());
  const Value ty = b.Input(of_y.Tangent());
  const Value result = LogAddExp(b, x, y);
  const Value left = Mul(b, tx, Weight(b, x, result));
  const Value right = Mul(b, ty, Weight(b, y, result));
  ir::RuleBodies bodies;
  bodies.name = "logaddexp";
  ASSIGN_OR_RETURN(bodies.jvp.jaxpr, b.Finish(std::vector<Value>{result, Add(b, left, right)}));
  bodies.out_zeros = {false};
  return bodies;
}

// Every call has a rule of its own: JAX traces the function anew each time, so that nothing is
// shared in text.
std::shared_ptr<const ir::CustomRule> RuleFor(const Aval& x, const Aval& y) {
  const auto text = [](const Aval& a) { return StrCat(a.Text(), a.weak_type ? "~" : ""); };
  auto rule = std::make_shared<ir::CustomRule>();
  rule->set = std::make_shared<const ir::RuleSet>(1);
  rule->derivation = StrCat(" logaddexp ", text(x), x == y ? "" : StrCat(" ", text(y)));
  rule->make = [x, y](ir::Session& session, const ir::CustomRule&) {
    return MakeRule(session, x, y);
  };
  return rule;
}

}  // namespace

Value LogAddExpBody(Builder& b, Value x, Value y) {
  const Value largest = Binary(b, "max", x, y);
  if (tensor::IsComplex(x.dtype())) {
    const Value sum = Add(b, x, y);
    const Value delta = Sub(b, sum, Mul(b, largest, ScalarLike(b, largest, 2)));
    const Value out = Add(b, largest, Unary(b, "log1p", Unary(b, "exp", delta)));
    const Value real = Unary(b, "real", out);
    return Binary(b, "complex", real, WrapBetween(b, Unary(b, "imag", out), kPi));
  }
  if (!tensor::IsFloat(x.dtype())) {
    b.Fail(ValueError(
        StrCat("logaddexp requires floating-point or complex inputs; got ", DTypeText(x.dtype()))));
    return x;
  }
  const Value delta = Sub(b, x, y);
  // NaNs, or infinities of the same sign.
  const Value is_nan = Binary(b, "ne", delta, delta);
  const Value sum = Add(b, x, y);
  const Value tail = Unary(b, "log1p", Unary(b, "exp", Neg(b, Unary(b, "abs", delta))));
  return Select(b, is_nan, sum, Add(b, largest, tail));
}

Value LogAddExp(Builder& b, Value x, Value y) {
  if (!b.ok()) return x;
  Builder body(b.session());
  const Value in_x = body.Input(x.aval());
  const Value in_y = body.Input(y.aval());
  const Value out = LogAddExpBody(body, in_x, in_y);
  const Result<ir::JaxprPtr> jaxpr = body.Finish({&out, 1});
  if (!jaxpr.ok()) {
    b.Fail(jaxpr.status());
    return x;
  }
  return b.Emit1("custom_jvp_call", {x, y},
                 {{"name", ParamValue::Text("logaddexp")},
                  {"call_jaxpr", ParamValue::SubJaxpr(*jaxpr)},
                  {"jvp", ParamValue::Text("_logaddexp_jvp")},
                  {"symbolic_zeros", ParamValue::Bool(false)},
                  {"rule", ParamValue::Rule(RuleFor(x.aval(), y.aval()))}});
}

}  // namespace megalith::ops

// Samples of the gamma distribution, with derivatives in its parameter.
#include <bit>
#include <cmath>

#include "common/foundation/base/strings.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/loops.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"
#include "common/programs/ops/special_lowering.h"

namespace megalith::ops {
namespace {

using ir::Add;
using ir::Binary;
using ir::Div;
using ir::Mul;
using ir::Neg;
using ir::ScalarLike;
using ir::ScalarOf;
using ir::Select;
using ir::Sub;
using ir::Unary;

using Operands = std::span<const Value>;

Types GammaType(const TypeArgs& a) {
  const Aval& key = a.operands[0];
  const Aval& alpha = a.operands[1];
  if (!tensor::IsKey(key.dtype)) {
    return TypeError(StrCat("random_gamma takes keys, got ", DTypeText(key.dtype)));
  }
  if (!tensor::IsFloat(alpha.dtype)) {
    return ValueError(
        StrCat("dtype argument to `gamma` must be a float dtype, got ", DTypeText(alpha.dtype)));
  }
  bool leads = key.rank() <= alpha.rank();
  for (size_t i = 0; leads && i < key.rank(); ++i) leads = key.shape[i] == alpha.shape[i];
  if (!leads) {
    return ValueError(
        StrCat("random_gamma needs the parameter's shape to begin with the keys' shape ",
               tensor::TupleText(key.shape), ", got ", tensor::TupleText(alpha.shape)));
  }
  return std::vector<Aval>{alpha};
}

// ---- uniform and normal numbers, as jax.random makes them from one key ----

// Random mantissas with the exponent of 1, less 1, scaled to [low, high).
Value Uniform(Builder& b, Value key, DType dtype, double low, double high) {
  const int width = tensor::BitWidth(dtype);
  const int mantissa = static_cast<int>(std::lround(-std::log2(tensor::Limits(dtype).eps)));
  const int drawn = mantissa < 8 ? 8 : width;
  const DType word = width == 16 ? DType::kU16 : width == 32 ? DType::kU32 : DType::kU64;
  const Value raw =
      b.Emit1("random_bits", {key},
              {{"bit_width", ParamValue::Int(drawn)}, {"shape", ParamValue::Ints(Dims{})}});
  const Value bits = ir::ConvertElementType(b, raw, word);
  const int64_t exponent_of_one =
      dtype == DType::kF64
          ? std::bit_cast<int64_t>(1.0)
          : static_cast<int64_t>((uint64_t{1} << (width - 2)) - (uint64_t{1} << mantissa));
  const Value cut =
      Binary(b, "shift_right_logical", bits, b.Lit(Literal::Int(word, drawn - mantissa)));
  const Value framed = Binary(b, "or", cut, b.Lit(Literal::Int(word, exponent_of_one)));
  const Value from_one =
      b.Emit1("bitcast_convert_type", {framed}, {{"new_dtype", ParamValue::Type(dtype)}});
  const Value unit = Sub(b, from_one, ScalarOf(b, dtype, 1));
  const Value start = ScalarOf(b, dtype, low);
  const Value span = Sub(b, ScalarOf(b, dtype, high), start);
  const Value scaled = Add(b, Mul(b, unit, span), start);
  return Binary(b, "max", start, ir::Reshape(b, scaled, Shape{}));
}

Value Normal(Builder& b, Value key, DType dtype) {
  const double above_minus_one = -(1 - tensor::Limits(dtype).eps / 2);
  const Value u = Uniform(b, key, dtype, above_minus_one, 1);
  return Mul(b, ScalarOf(b, dtype, std::sqrt(2.0)), Unary(b, "erf_inv", u));
}

// -log(1 - u).
Value Exponential(Builder& b, Value key, DType dtype) {
  const Value u = Uniform(b, key, dtype, 0, 1);
  return Neg(b, Unary(b, "log1p", Neg(b, u)));
}

std::vector<Value> SplitKeys(Builder& b, Value key, int64_t count) {
  const Value keys = b.Emit1("random_split", {key}, {{"shape", ParamValue::Ints(Dims{count})}});
  std::vector<Value> out;
  for (int64_t i = 0; i < count; ++i) {
    out.push_back(ir::Squeeze(b, ir::Slice(b, keys, Dims{i}, Dims{i + 1}, Dims{1}), Dims{0}));
  }
  return out;
}

// ---- Marsaglia and Tsang's method ----

// A candidate (1 + c x)^3 with normal x, drawn until it is positive, and the uniform number that
// decides about it.
std::vector<Value> Candidate(Builder& b, Value key, Value c) {
  const DType dtype = c.dtype();
  const std::vector<Value> keys = SplitKeys(b, key, 3);
  const std::vector<Value> drawn = WhileLoop(
      b, {keys[1], ScalarOf(b, dtype, 0), ScalarOf(b, dtype, -1)},
      [](Builder& e, Operands v) {
        return std::vector<Value>{Binary(e, "le", v[2], ScalarLike(e, v[2], 0))};
      },
      [c, dtype](Builder& e, Operands v) {
        const std::vector<Value> next = SplitKeys(e, v[0], 2);
        const Value x = Normal(e, next[1], dtype);
        return std::vector<Value>{next[0], x, Add(e, ScalarOf(e, dtype, 1), Mul(e, x, c))};
      });
  const Value x2 = Mul(b, drawn[1], drawn[1]);
  const Value v3 = Mul(b, Mul(b, drawn[2], drawn[2]), drawn[2]);
  return {keys[0], x2, v3, Uniform(b, keys[2], dtype, 0, 1)};
}

// True while a candidate is refused; the cheap test first, then the exact one.
Value Refused(Builder& b, Operands v, Value d) {
  const Value& x2 = v[1];
  const Value squeeze = Mul(b, ScalarLike(b, x2, 0.0331), Mul(b, x2, x2));
  const Value cheap = Binary(b, "ge", v[3], Sub(b, ScalarLike(b, x2, 1), squeeze));
  const Value log_u = Unary(b, "log", v[3]);
  const Value half = Mul(b, x2, ScalarLike(b, x2, 0.5));
  const Value rest = Sub(b, ScalarLike(b, x2, 1), v[2]);
  const Value tail = Mul(b, d, Add(b, rest, Unary(b, "log", v[2])));
  const Value exact = Binary(b, "ge", log_u, Add(b, half, tail));
  return Binary(b, "and", cheap, exact);
}

// One sample, or its logarithm. For alpha below 1 a sample for alpha + 1 is scaled by u^(1 /
// alpha).
Value GammaSample(Builder& b, Value key, Value alpha, bool log_space) {
  const DType dtype = alpha.dtype();
  const Value one = ScalarOf(b, dtype, 1);
  const Value third = ScalarOf(b, dtype, 1.0 / 3);
  const Value plain = Binary(b, "ge", alpha, one);
  const Value boosted = Select(b, plain, alpha, Add(b, alpha, one));
  const Value d = Sub(b, boosted, third);
  const Value c = Div(b, third, Unary(b, "sqrt", d));
  const std::vector<Value> keys = SplitKeys(b, key, 2);
  const std::vector<Value> accepted = WhileLoop(
      b, {keys[0], ScalarOf(b, dtype, 0), one, ScalarOf(b, dtype, 2)},
      [d](Builder& e, Operands v) { return std::vector<Value>{Refused(e, v, d)}; },
      [c](Builder& e, Operands v) { return Candidate(e, v[0], c); });
  const Value& v3 = accepted[2];
  if (log_space) {
    const Value log_u = Neg(b, Exponential(b, keys[1], dtype));
    const Value no_boost = Binary(b, "or", plain, Binary(b, "eq", log_u, ScalarLike(b, log_u, 0)));
    const Value scaled = Mul(b, log_u, Div(b, one, alpha));
    const Value log_boost = Select(b, no_boost, ScalarOf(b, dtype, 0), scaled);
    const Value log_d = Unary(b, "log", d);
    return Add(b, Add(b, log_d, Unary(b, "log", v3)), log_boost);
  }
  const Value u = Sub(b, one, Uniform(b, keys[1], dtype, 0, 1));
  const Value power = Binary(b, "pow", u, Div(b, one, alpha));
  const Value boost = Select(b, plain, one, power);
  return Mul(b, Mul(b, d, v3), boost);
}

// One key per sample, and then all samples at once.
std::vector<Value> GammaSamples(Builder& b, Value keys, Value alphas, bool log_space) {
  const Shape shape = alphas.shape();
  int64_t per_key = 1;
  for (size_t i = keys.rank(); i < shape.size(); ++i) per_key *= shape[i];
  const int64_t num_keys = tensor::NumElements(keys.shape()).value_or(0);
  const Value flat_keys = ir::Reshape(b, keys, Shape{num_keys});
  const Value split =
      b.Emit1("random_split", {flat_keys}, {{"shape", ParamValue::Ints(Dims{per_key})}});
  const int64_t n = num_keys * per_key;
  const Value own_keys = ir::Reshape(b, split, Shape{n});
  const Value flat_alphas = ir::Reshape(b, alphas, Shape{n});
  if (!b.ok()) return {alphas};
  Builder one(b.session());
  const Value key = one.Input(Aval{keys.dtype(), false, {}});
  const Value alpha = one.Input(Aval{alphas.dtype(), false, {}});
  const Value sample = GammaSample(one, key, alpha, log_space);
  const Result<ir::JaxprPtr> jaxpr = one.Finish({&sample, 1});
  b.Fail(jaxpr.status());
  if (!b.ok()) return {alphas};
  const auto mapped =
      batching::BatchJaxprTo(b.session(), *jaxpr, {0, 0}, ir::AxisData{.name = {}, .size = n},
                             {{batching::OutDim::Kind::kAt, 0}});
  b.Fail(mapped.status());
  if (!b.ok()) return {alphas};
  const Value operands[] = {own_keys, flat_alphas};
  return {ir::Reshape(b, b.Inline(*mapped->jaxpr, {}, operands)[0], shape)};
}

Status LowerGamma(LowerContext& c) {
  const bool log_space = c.params().Bool("log_space");
  c.Out(c.Traced(c.ins(), c.in_avals(),
                 [&](Builder& b, Operands v) { return GammaSamples(b, v[0], v[1], log_space); }));
  return OkStatus();
}

// ---- derivative in alpha ----

// d sample / d alpha at fixed probability, in f32 for narrower dtypes.
Value SampleSlope(Builder& b, Value alpha, Value sample, bool log_space) {
  const bool narrow = tensor::BitWidth(alpha.dtype()) < 32;
  const Value a = narrow ? ir::ConvertElementType(b, alpha, DType::kF32) : alpha;
  const Value x = narrow ? ir::ConvertElementType(b, sample, DType::kF32) : sample;
  const Value operands[] = {a, x};
  const Value wide = RandomGammaGrad(b, operands);
  const Value slope = narrow ? ir::ConvertElementType(b, wide, alpha.dtype()) : wide;
  return log_space ? Div(b, slope, sample) : slope;
}

Value JvpGamma(Builder& b, Value t, Value y, Operands x, const Params& p) {
  const bool log_space = p.Bool("log_space");
  const Shape shape = x[1].shape();
  const int64_t n = tensor::NumElements(shape).value_or(0);
  Value samples = ir::Reshape(b, y, Shape{n});
  const Value alphas = ir::Reshape(b, x[1], Shape{n});
  if (log_space) {
    // The exponential of a log sample may be zero, which is corrected to the smallest number.
    samples = Unary(b, "exp", samples);
    const Value tiny = ir::FullLike(b, samples, tensor::Limits(samples.dtype()).tiny);
    const Value is_zero = Binary(b, "eq", samples, ScalarLike(b, samples, 0));
    samples = Select(b, is_zero, tiny, samples);
  }
  const Value scalars[] = {ir::ScalarOf(b, alphas.dtype(), 0), ir::ScalarOf(b, samples.dtype(), 0)};
  std::vector<Value> consts;
  const auto body = TraceNested(
      b.session(), scalars,
      [log_space](Builder& e, Operands v) {
        return std::vector<Value>{SampleSlope(e, v[0], v[1], log_space)};
      },
      &consts);
  b.Fail(body.status());
  if (!b.ok()) return t;
  const Value slopes = b.Emit1("scan", {alphas, samples},
                               {{"_split_transpose", ParamValue::Bool(false)},
                                {"jaxpr", ParamValue::SubJaxpr(*body)},
                                {"length", ParamValue::Int(n)},
                                {"linear", ParamValue::Bools({false, false})},
                                {"num_carry", ParamValue::Int(0)},
                                {"num_consts", ParamValue::Int(0)},
                                {"reverse", ParamValue::Bool(false)},
                                {"unroll", ParamValue::Int(1)}});
  return NumpyBinary(b, "mul", t, ir::Reshape(b, slopes, shape));
}

BatchResult BatchGamma(Builder& b, const BatchArgs& a) {
  const Value keys = ir::BatchAtFront(b, a.values[0], a.dims[0], a.axis.size);
  const Value alphas = ir::BatchAtFront(b, a.values[1], a.dims[1], a.axis.size);
  return {b.Emit(a.op, a.params, std::vector<Value>{keys, alphas}), {0}};
}

constexpr ParamSpec kParams[] = {{"log_space", ParamSpec::Type::kBool}};

constexpr Sample kSamples[] = {
    {"{ lambda ; a:key<fry>[] b:f32[3]. let c:f32[3] = OP[log_space=False] a b in (c,) }",
     ir::Domain::kPositive, false},
    {"{ lambda ; a:key<fry>[2] b:f32[2,3]. let c:f32[2,3] = OP[log_space=True] a b in (c,) }",
     ir::Domain::kPositive, false},
};

constexpr OpDef kOps[] = {
    {.name = "random_gamma",
     .arity = 2,
     .params = kParams,
     .accepts = ir::kAcceptsFloat,
     .tier = 2,
     .type_rule = GammaType,
     .jvp = ir::JvpTerms<nullptr, JvpGamma>(),
     .batch = ir::BatchFull(BatchGamma),
     .lower = LowerGamma,
     .spec = "primitives.md#random_gamma",
     .samples = kSamples},
};

}  // namespace

std::span<const OpDef> GammaOps() { return kOps; }

}  // namespace megalith::ops

// Cumulative reductions along one axis: cumsum, cumprod, cummax, cummin, cumlogsumexp.
#include <functional>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/logaddexp.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

Types CumulativeType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const int64_t axis = a.params.Int("axis");
  if (axis < 0) return ValueError("XLA operations do not allow negative axes");
  if (axis >= static_cast<int64_t>(x.rank())) {
    return ValueError(
        StrCat("axis ", axis, " is out of bounds for array of shape ", tensor::TupleText(x.shape)));
  }
  if (!tensor::IsInteger(x.dtype) && !tensor::IsInexact(x.dtype)) {
    return TypeError(StrCat(a.op.name, " does not accept dtype ", DTypeText(x.dtype),
                            ". Accepted dtypes are subtypes of number."));
  }
  return std::vector<Aval>{x};
}

BatchResult BatchCumulative(Builder& b, const BatchArgs& a) {
  const int64_t axis = a.params.Int("axis");
  Params params = a.params;
  params.Set("axis", ParamValue::Int(axis < a.dims[0] ? axis : axis + 1));
  return {b.Emit(a.op, std::move(params), a.values), {a.dims[0]}};
}

std::vector<Value> TransposeCumsum(Builder& b, const TransposeArgs& a) {
  Params params = a.params;
  params.Set("reverse", ParamValue::Bool(!params.Bool("reverse")));
  return b.Emit(a.op, std::move(params), a.cotangents);
}

// ---- the parallel prefix scan, as which cumulative reductions are differentiated ----

using Combine = Value (*)(Builder&, Value, Value);

// Elements start, start + stride, ... below limit along `axis`.
Value SliceAlong(Builder& b, Value x, int64_t axis, int64_t start, int64_t limit, int64_t stride) {
  Dims starts(x.rank(), 0);
  Dims limits = x.shape();
  Dims strides(x.rank(), 1);
  starts[static_cast<size_t>(axis)] = start;
  limits[static_cast<size_t>(axis)] = limit;
  strides[static_cast<size_t>(axis)] = stride;
  return ir::Slice(b, x, starts, limits, strides);
}

// even[0], odd[0], even[1], ...; `even` has as many elements as `odd` or one more.
Value Interleave(Builder& b, Value even, Value odd, int64_t axis) {
  const auto at = static_cast<size_t>(axis);
  const bool equal = even.shape()[at] == odd.shape()[at];
  std::vector<ir::Padding> even_padding(even.rank());
  std::vector<ir::Padding> odd_padding(odd.rank());
  even_padding[at] = {0, equal ? 1 : 0, 1};
  odd_padding[at] = {1, equal ? 0 : 1, 1};
  const Value spread_even = ir::Pad(b, even, ir::ScalarLike(b, even, 0), even_padding);
  const Value spread_odd = ir::Pad(b, odd, ir::ScalarLike(b, odd, 0), odd_padding);
  return ir::Add(b, spread_even, spread_odd);
}

// Neighbours are combined, the half as long rest is scanned, and what is between is filled in.
Value Scan(Builder& b, Value x, int64_t axis, Combine combine) {
  const int64_t n = x.shape()[static_cast<size_t>(axis)];
  if (n < 2 || !b.ok()) return x;
  const Value left = SliceAlong(b, x, axis, 0, n - 1, 2);
  const Value right = SliceAlong(b, x, axis, 1, n, 2);
  const Value odd = Scan(b, combine(b, left, right), axis, combine);
  Value before = odd;
  if (n % 2 == 0)
    before = SliceAlong(b, odd, axis, 0, odd.shape()[static_cast<size_t>(axis)] - 1, 1);
  const Value rest = SliceAlong(b, x, axis, 2, n, 2);
  const Value filled = combine(b, before, rest);
  const Value first = SliceAlong(b, x, axis, 0, 1, 1);
  const Value even = ir::Concatenate(b, std::vector<Value>{first, filled}, axis);
  return Interleave(b, even, odd, axis);
}

JvpResult JvpScan(Builder& b, const JvpArgs& a, Combine combine) {
  const int64_t axis = a.params.Int("axis");
  const bool reverse = a.params.Bool("reverse");
  Builder scan(b.session());
  Value x = scan.Input(a.primals[0].aval());
  if (reverse) x = ir::Rev(scan, x, Dims{axis});
  x = Scan(scan, x, axis, combine);
  if (reverse) x = ir::Rev(scan, x, Dims{axis});
  const auto jaxpr = scan.Finish({&x, 1});
  if (!jaxpr.ok()) {
    b.Fail(jaxpr.status());
    return {};
  }
  return autodiff::EvalJvp(b, **jaxpr, {}, a.primals, a.tangents);
}

JvpResult JvpCumprod(Builder& b, const JvpArgs& a) { return JvpScan(b, a, ir::Mul); }

JvpResult JvpCummax(Builder& b, const JvpArgs& a) {
  return JvpScan(
      b, a, [](Builder& builder, Value x, Value y) { return ir::Binary(builder, "max", x, y); });
}

JvpResult JvpCummin(Builder& b, const JvpArgs& a) {
  return JvpScan(
      b, a, [](Builder& builder, Value x, Value y) { return ir::Binary(builder, "min", x, y); });
}

JvpResult JvpCumlogsumexp(Builder& b, const JvpArgs& a) { return JvpScan(b, a, LogAddExp); }

// ---- lowering: a window as long as the axis, padded so that it reaches only back (or only
// forward) ----

// Combines a pair of scalars.
using Reduction = std::function<Values(LowerContext&, std::span<const ValueId>)>;

Status LowerScan(LowerContext& c, ValueId (*init)(FuncBuilder&, DType), const Reduction& combine) {
  const auto lower = [&](LowerContext& f) -> Status {
    const Shape& shape = f.in_aval(0).shape;
    const auto axis = static_cast<size_t>(f.params().Int("axis"));
    if (shape[axis] == 0) return LowerIdentity(f);
    const Dims ones(shape.size(), 1);
    stablehlo::Window window{.dimensions = ones,
                             .strides = ones,
                             .padding = Dims(2 * shape.size(), 0),
                             .base_dilations = ones,
                             .window_dilations = ones};
    window.dimensions[axis] = shape[axis];
    window.padding[2 * axis + (f.params().Bool("reverse") ? 1 : 0)] = shape[axis] - 1;
    const ValueId start = init(f.b(), f.in_aval(0).dtype);
    f.Out(f.b().ReduceWindow(Values{f.in(0)}, Values{start}, window,
                             [&](std::span<const ValueId> args) { return combine(f, args); }));
    return OkStatus();
  };
  return c.Outlined(lower);
}

template <ValueId (*Fn)(FuncBuilder&, ValueId, ValueId)>
Values Pairwise(LowerContext& c, std::span<const ValueId> v) {
  return {Fn(c.b(), v[0], v[1])};
}
ValueId AddOf(FuncBuilder& b, ValueId x, ValueId y) { return b.Add(x, y); }
ValueId MulOf(FuncBuilder& b, ValueId x, ValueId y) { return b.Mul(x, y); }

Status LowerCumsum(LowerContext& c) {
  return LowerScan(
      c, [](FuncBuilder& b, DType d) { return FullOf(b, TensorType::Scalar(d), 0); },
      Pairwise<AddOf>);
}
Status LowerCumprod(LowerContext& c) {
  return LowerScan(c, [](FuncBuilder& b, DType d) { return b.Scalar(d, 1); }, Pairwise<MulOf>);
}
Status LowerCummax(LowerContext& c) {
  return LowerScan(
      c, [](FuncBuilder& b, DType d) { return b.BroadcastScalar(MaxIdentity(b, d), {}); },
      Pairwise<MaxOf>);
}
Status LowerCummin(LowerContext& c) {
  return LowerScan(
      c, [](FuncBuilder& b, DType d) { return b.BroadcastScalar(MinIdentity(b, d), {}); },
      Pairwise<MinOf>);
}
Status LowerCumlogsumexp(LowerContext& c) {
  const std::vector<Aval> scalars(2, Aval{c.in_aval(0).dtype, false, {}});
  return LowerScan(
      c, [](FuncBuilder& b, DType d) { return MaxIdentity(b, d); },
      [&](LowerContext& f, std::span<const ValueId> args) {
        return f.Traced(args, scalars, [](Builder& b, std::span<const Value> v) {
          return std::vector<Value>{LogAddExpBody(b, v[0], v[1])};
        });
      });
}

// ---- rows ----

constexpr ParamSpec kParams[] = {{"axis", ParamSpec::Type::kInt},
                                 {"reverse", ParamSpec::Type::kBool}};

constexpr Sample kSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP[axis=1 reverse=False] a in (b,) }"},
    {"{ lambda ; a:f32[4,3]. let b:f32[4,3] = OP[axis=0 reverse=True] a in (b,) }"},
    {"{ lambda ; a:f32[1]. let b:f32[1] = OP[axis=0 reverse=False] a in (b,) }"},
    {"{ lambda ; a:f32[0]. let b:f32[0] = OP[axis=0 reverse=False] a in (b,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "cumsum",
     .arity = 1,
     .params = kParams,
     .accepts = ir::kAcceptsNumber,
     .type_rule = CumulativeType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeCumsum,
     .batch = ir::BatchFull(BatchCumulative),
     .lower = LowerCumsum,
     .spec = "primitives.md#cumsum",
     .samples = kSamples},
    {.name = "cumprod",
     .arity = 1,
     .params = kParams,
     .accepts = ir::kAcceptsNumber,
     .tier = 2,
     .type_rule = CumulativeType,
     .jvp = ir::JvpFull(JvpCumprod),
     .batch = ir::BatchFull(BatchCumulative),
     .lower = LowerCumprod,
     .spec = "primitives.md#cumprod",
     .samples = kSamples},
    {.name = "cummax",
     .arity = 1,
     .params = kParams,
     .accepts = ir::kAcceptsNumber,
     .tier = 2,
     .type_rule = CumulativeType,
     .jvp = ir::JvpFull(JvpCummax),
     .batch = ir::BatchFull(BatchCumulative),
     .lower = LowerCummax,
     .spec = "primitives.md#cummax",
     .samples = kSamples},
    {.name = "cummin",
     .arity = 1,
     .params = kParams,
     .accepts = ir::kAcceptsNumber,
     .tier = 2,
     .type_rule = CumulativeType,
     .jvp = ir::JvpFull(JvpCummin),
     .batch = ir::BatchFull(BatchCumulative),
     .lower = LowerCummin,
     .spec = "primitives.md#cummin",
     .samples = kSamples},
    {.name = "cumlogsumexp",
     .arity = 1,
     .params = kParams,
     .accepts = ir::kAcceptsNumber,
     .tier = 2,
     .type_rule = CumulativeType,
     .jvp = ir::JvpFull(JvpCumlogsumexp),
     .batch = ir::BatchFull(BatchCumulative),
     .lower = LowerCumlogsumexp,
     .spec = "primitives.md#cumlogsumexp",
     .samples = kSamples},
};

}  // namespace

std::span<const OpDef> CumulativeOps() { return kOps; }

}  // namespace megalith::ops

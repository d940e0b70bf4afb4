// Reductions over axes: sums, products, extrema, bitwise folds, positions of extrema, and the
// general reduce.
#include <functional>
#include <set>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::JaxprPtr;

// ---- types ----

Status CheckAxes(const TypeArgs& a, const Dims& axes) {
  const Aval& x = a.operands[0];
  if (std::set<int64_t>(axes.begin(), axes.end()).size() != axes.size()) {
    return ValueError(StrCat("duplicate value in 'axes' of reduction: ", tensor::TupleText(axes)));
  }
  for (const int64_t d : axes) {
    if (d >= 0 && d < static_cast<int64_t>(x.rank())) continue;
    return ValueError(StrCat("reduction axes ", tensor::TupleText(axes),
                             " contains out-of-bounds indices for ", x.Text(), "."));
  }
  return OkStatus();
}

Types WithoutAxes(const TypeArgs& a, bool weak) {
  const Dims axes = a.params.Ints("axes");
  RETURN_IF_ERROR(CheckAxes(a, axes));
  const Aval& x = a.operands[0];
  return std::vector<Aval>{Aval{x.dtype, weak, ir::Without(x.shape, axes)}};
}

Types ExtremumType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  return WithoutAxes(a, a.operands[0].weak_type);
}

Types NumberReductionType(const TypeArgs& a) {
  const DType d = a.operands[0].dtype;
  if (!tensor::IsInteger(d) && !tensor::IsInexact(d)) {
    return TypeError(StrCat(a.op.name, " does not accept dtype ", DTypeText(d),
                            ". Accepted dtypes are subtypes of number."));
  }
  return WithoutAxes(a, a.operands[0].weak_type);
}

Types SumType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "out_sharding"));
  return NumberReductionType(a);
}

Types LogicalType(const TypeArgs& a) {
  const DType d = a.operands[0].dtype;
  if (!tensor::IsInteger(d) && !tensor::IsBool(d)) {
    return TypeError(
        StrCat("logical reduction requires operand dtype bool or int, got ", DTypeText(d), "."));
  }
  return WithoutAxes(a, false);
}

Types ArgExtremumType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Dims axes = a.params.Ints("axes");
  const DType index = a.params.Type("index_dtype");
  if (axes.size() != 1) {
    return ValueError(StrCat(a.op.name, " takes one axis, got axes=", tensor::TupleText(axes)));
  }
  if (axes[0] < 0 || axes[0] >= static_cast<int64_t>(x.rank())) {
    return ValueError(
        StrCat("Invalid axis ", axes[0], " for operand shape ", tensor::TupleText(x.shape)));
  }
  if (x.shape[static_cast<size_t>(axes[0])] < 1) {
    return ValueError(
        StrCat("argmin and argmax require non-empty reduced dimension. operand.shape=",
               tensor::TupleText(x.shape), " axis=", axes[0]));
  }
  if (!tensor::IsInteger(index)) {
    return TypeError(StrCat("index_dtype must be an integer type, but got ", DTypeText(index)));
  }
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  return std::vector<Aval>{Aval{index, false, ir::Without(x.shape, axes)}};
}

// ---- reduce_sum ----

std::vector<Value> TransposeSum(Builder& b, const TransposeArgs& a) {
  const Shape& shape = a.operands[0].aval.shape;
  const Dims kept =
      ir::Without(ir::Range(static_cast<int64_t>(shape.size())), a.params.Ints("axes"));
  if (shape.empty()) return {a.cotangents[0]};
  return {b.Emit1("broadcast_in_dim", a.cotangents,
                  {{"shape", ParamValue::Ints(shape)},
                   {"broadcast_dimensions", ParamValue::Ints(kept, /*numpy=*/true)}})};
}

// ---- reduce_max, reduce_min ----

// The mean of the tangents where the extremum is attained.
Value JvpExtremum(Builder& b, Value t, Value y, std::span<const Value> x, const Params& p) {
  const Dims axes = p.Ints("axes");
  Shape kept = x[0].shape();
  for (const int64_t d : axes) kept[static_cast<size_t>(d)] = 1;
  const Value attained = ir::Binary(b, "eq", x[0], ir::Reshape(b, y, kept));
  const Value weight = ir::ConvertElementType(b, attained, t.dtype());
  const Value count = ir::ReduceSum(b, weight, axes);
  const Value sum = ir::ReduceSum(b, ir::Mul(b, t, weight), axes);
  return ir::Div(b, sum, count);
}

// ---- trees: reduce_prod and reduce are differentiated as a tree of combinations ----

Value SliceLeading(Builder& b, Value x, int64_t start, int64_t limit) {
  Dims starts(x.rank(), 0);
  Dims limits = x.shape();
  starts[0] = start;
  limits[0] = limit;
  return ir::Slice(b, x, starts, limits, Dims(x.rank(), 1));
}

// Combines 2n arrays (n accumulators, then n elements) of equal shape elementwise.
using Combine = std::function<std::vector<Value>(Builder&, std::vector<Value>)>;

// Folds dimension 0 of each of `xs` by combining the first half with the second, padded by `inits`
// to equal size.
std::vector<Value> ReduceTree(Builder& b, std::vector<Value> xs, std::span<const Value> inits,
                              const Combine& combine) {
  while (b.ok() && xs[0].shape()[0] > 1) {
    const int64_t n = xs[0].shape()[0];
    const int64_t first = (n + 1) / 2;
    std::vector<Value> halves;
    for (const Value& x : xs) halves.push_back(SliceLeading(b, x, 0, first));
    for (const Value& x : xs) halves.push_back(SliceLeading(b, x, first, n));
    for (size_t i = xs.size(); i < halves.size() && n - first != first; ++i) {
      std::vector<ir::Padding> padding(halves[i].rank());
      padding[0].high = 1;
      halves[i] = ir::Pad(b, halves[i], inits[i - xs.size()], padding);
    }
    xs = combine(b, std::move(halves));
  }
  if (!b.ok()) return xs;
  std::vector<Value> out;
  for (size_t i = 0; i < xs.size(); ++i) {
    const Shape rest = ir::Without(xs[i].shape(), Dims{0});
    out.push_back(xs[i].shape()[0] == 0 ? ir::Broadcast(b, inits[i], rest)
                                        : ir::Squeeze(b, xs[i], Dims{0}));
  }
  return out;
}

// Pushes tangents through the tree. The reduced dimensions are first moved to the front and made
// one.
JvpResult JvpOfTree(Builder& b, std::span<const Value> primals, std::span<const Value> tangents,
                    std::span<const Value> inits, const Dims& axes, const Combine& combine) {
  const Shape& shape = primals[0].shape();
  int64_t n = 1;
  for (const int64_t d : axes) n *= shape[static_cast<size_t>(d)];
  const Dims rest = ir::Without(ir::Range(static_cast<int64_t>(shape.size())), axes);
  Dims permutation = axes;
  Shape folded{n};
  for (const int64_t d : rest) {
    permutation.push_back(d);
    folded.push_back(shape[static_cast<size_t>(d)]);
  }
  std::vector<Value> xs;
  std::vector<Value> ts;
  for (const Value& x : primals) xs.push_back(ir::Reshape(b, x, folded, permutation));
  for (const Value& t : tangents)
    ts.push_back(t ? ir::Reshape(b, t, folded, permutation) : Value());
  if (!b.ok()) return {};
  Builder tree(b.session());
  std::vector<Value> tree_xs;
  std::vector<Value> tree_inits;
  for (const Value& x : xs) tree_xs.push_back(tree.Input(x.aval()));
  for (const Value& init : inits) {
    tree_inits.push_back(init.is_literal() ? init : tree.Input(init.aval()));
    if (init.is_literal()) continue;
    xs.push_back(init);
    ts.push_back(Value());
  }
  const std::vector<Value> outs = ReduceTree(tree, std::move(tree_xs), tree_inits, combine);
  const Result<JaxprPtr> jaxpr = tree.Finish(outs);
  if (!jaxpr.ok()) {
    b.Fail(jaxpr.status());
    return {};
  }
  JvpResult out = autodiff::EvalJvp(b, **jaxpr, {}, xs, ts);
  for (size_t i = 0; i < out.primals.size(); ++i) {
    out.tangents[i] = ir::InstantiateZeros(b, out.tangents[i], out.primals[i].aval());
  }
  return out;
}

JvpResult JvpProd(Builder& b, const JvpArgs& a) {
  const Value one = ir::ScalarLike(b, a.primals[0], 1);
  return JvpOfTree(b, a.primals, a.tangents, {&one, 1}, a.params.Ints("axes"),
                   [](Builder& builder, std::vector<Value> v) {
                     return std::vector<Value>{ir::Mul(builder, v[0], v[1])};
                   });
}

// ---- reduce ----

// Operands are n arrays, then n initial values; the jaxpr combines n accumulators with n elements.
Types ReduceType(const TypeArgs& a) {
  const size_t n = a.operands.size() / 2;
  if (n == 0 || a.operands.size() % 2 != 0) {
    return TypeError(StrCat("reduce takes as many initial values as operands, got ",
                            a.operands.size(), " operands in all"));
  }
  const Dims dims = a.params.Ints("dimensions");
  RETURN_IF_ERROR(CheckAxes(a, dims));
  const JaxprPtr& jaxpr = a.params.Sub("jaxpr");
  if (jaxpr->invars().size() != 2 * n || jaxpr->outs().size() != n) {
    return TypeError(StrCat("reduce over ", n, " operands needs a jaxpr of ", 2 * n, " inputs and ",
                            n, " outputs"));
  }
  std::vector<Aval> out;
  for (size_t i = 0; i < n; ++i) {
    const Aval& x = a.operands[i];
    const Aval& init = a.operands[n + i];
    if (init.rank() != 0) {
      return ValueError(
          StrCat("reduce found non-scalar initial value: ", tensor::TupleText(init.shape)));
    }
    if (x.shape != a.operands[0].shape) {
      return TypeError(StrCat("reduce operands must have equal shapes, got ",
                              tensor::TupleText(a.operands[0].shape), " and ",
                              tensor::TupleText(x.shape)));
    }
    if (x.dtype != init.dtype) {
      return TypeError(StrCat(
          "reduce operand dtypes should match corresponding initial value dtypes, got operands=",
          x.Text(), " and initial_values=", init.Text()));
    }
    const Aval scalar{x.dtype, false, {}};
    const bool fits = jaxpr->aval(jaxpr->invars()[i]).SameType(scalar) &&
                      jaxpr->aval(jaxpr->invars()[n + i]).SameType(scalar) &&
                      jaxpr->aval(jaxpr->outs()[i]).SameType(scalar);
    if (!fits) {
      return TypeError(
          StrCat("the jaxpr of reduce must take and give scalars of the operands' dtypes, here ",
                 scalar.Text()));
    }
    out.push_back(Aval{x.dtype, x.weak_type && init.weak_type, ir::Without(x.shape, dims)});
  }
  return out;
}

Result<Params> RetypeReduce(ir::TypeChecker& checker, const TypeArgs& a) {
  const size_t n = a.operands.size() / 2;
  std::vector<Aval> inputs;
  for (size_t repeat = 0; repeat < 2; ++repeat) {
    for (size_t i = 0; i < n; ++i)
      inputs.push_back(Aval{a.operands[n + i].dtype, a.operands[n + i].weak_type, {}});
  }
  ASSIGN_OR_RETURN(JaxprPtr jaxpr, checker.Check(a.params.Sub("jaxpr"), inputs));
  Params out = a.params;
  out.Set("jaxpr", ParamValue::SubJaxpr(std::move(jaxpr)));
  return out;
}

// The combination of scalars, mapped over every dimension of its arguments.
std::vector<Value> CombineMapped(Builder& b, JaxprPtr jaxpr, const std::vector<Value>& operands) {
  const Shape shape = operands[0].shape();
  for (size_t d = shape.size(); d-- > 0;) {
    const std::vector<int> dims(operands.size(), 0);
    const std::vector<batching::OutDim> at_front(jaxpr->outs().size(),
                                                 {batching::OutDim::Kind::kAt, 0});
    const auto mapped = batching::BatchJaxprTo(
        b.session(), jaxpr, dims, ir::AxisData{.name = {}, .size = shape[d]}, at_front);
    if (!mapped.ok()) {
      b.Fail(mapped.status());
      return operands;
    }
    jaxpr = mapped->jaxpr;
  }
  return b.Inline(*jaxpr, {}, operands);
}

JvpResult JvpReduce(Builder& b, const JvpArgs& a) {
  const size_t n = a.primals.size() / 2;
  for (const Value& t : a.tangents.subspan(n)) {
    if (!t) continue;
    b.Fail(NotImplementedError(
        "Gradient of general lax.reduce with non-zero tangents for initial values to "
        "reduction not implemented"));
    return {};
  }
  const JaxprPtr jaxpr = a.params.Sub("jaxpr");
  return JvpOfTree(
      b, a.primals.first(n), a.tangents.first(n), a.primals.subspan(n), a.params.Ints("dimensions"),
      [jaxpr](Builder& builder, std::vector<Value> v) { return CombineMapped(builder, jaxpr, v); });
}

BatchResult BatchReduce(Builder& b, const BatchArgs& a) {
  const size_t n = a.values.size() / 2;
  std::vector<Value> operands(a.values.begin(), a.values.end());
  for (size_t i = 0; i < n; ++i) {
    if (a.dims[n + i] != kUnmapped) {
      b.Fail(NotImplementedError(
          "Batching rule for 'reduce' with mapped initial values not implemented"));
      return {};
    }
    operands[i] = ir::BatchAtFront(b, operands[i], a.dims[i], a.axis.size);
  }
  Dims dims;
  for (const int64_t d : a.params.Ints("dimensions")) dims.push_back(d + 1);
  Params params = a.params;
  params.Set("dimensions", ParamValue::Ints(dims));
  return {b.Emit(a.op, std::move(params), operands), std::vector<int>(n, 0)};
}

// ---- reduce_or ----

// Truth values have no tangents.
JvpResult LinearizeOr(Builder& outer, Builder&, const ir::LinearizeArgs& a) {
  return {.primals = outer.Emit(a.op, a.params, a.primals), .tangents = {Value()}};
}

// ---- lowering ----

Status LowerOver(LowerContext& c, ValueId init, std::string_view op) {
  c.Out(c.b().Reduce(c.in(0), init, c.params().Ints("axes"), op));
  return OkStatus();
}

ValueId Scalar(LowerContext& c, int64_t value) {
  return c.b().Splat(TensorType::Scalar(c.out_aval().dtype), value);
}

Status LowerSum(LowerContext& c) { return LowerOver(c, Scalar(c, 0), "stablehlo.add"); }
Status LowerProd(LowerContext& c) { return LowerOver(c, Scalar(c, 1), "stablehlo.multiply"); }
Status LowerOr(LowerContext& c) { return LowerOver(c, Scalar(c, 0), "stablehlo.or"); }
Status LowerXor(LowerContext& c) { return LowerOver(c, Scalar(c, 0), "stablehlo.xor"); }
Status LowerAnd(LowerContext& c) {
  return LowerOver(c, AndIdentity(c.b(), c.out_aval().dtype), "stablehlo.and");
}

Status LowerMax(LowerContext& c) {
  const ValueId init = MaxIdentity(c.b(), c.out_aval().dtype);
  c.Out(ReduceOver(c.b(), c.in(0), init, c.params().Ints("axes"), MaxOf));
  return OkStatus();
}

Status LowerMin(LowerContext& c) {
  const ValueId init = MinIdentity(c.b(), c.out_aval().dtype);
  c.Out(ReduceOver(c.b(), c.in(0), init, c.params().Ints("axes"), MinOf));
  return OkStatus();
}

Status LowerReduce(LowerContext& c) {
  const size_t n = c.num_operands() / 2;
  const std::span<const ValueId> all = c.ins();
  c.Out(c.b().Reduce(
      all.first(n), all.subspan(n), c.params().Ints("dimensions"),
      [&](std::span<const ValueId> args) { return c.Inline(c.params().Sub("jaxpr"), args); }));
  return OkStatus();
}

// Carries (value, position) pairs. A NaN beats everything, equal values keep the first position.
std::vector<Value> BetterOf(Builder& b, std::string_view better, std::span<const Value> v) {
  const Value beats = ir::Binary(b, better, v[0], v[2]);
  const Value is_nan = ir::Binary(b, "ne", v[0], v[0]);
  const Value pick_value = ir::Binary(b, "or", beats, is_nan);
  const Value equal = ir::Binary(b, "eq", v[0], v[2]);
  const Value before = ir::Binary(b, "lt", v[1], v[3]);
  const Value first = ir::Binary(b, "and", equal, before);
  const Value pick_index = ir::Binary(b, "or", pick_value, first);
  const Value value = ir::Select(b, pick_value, v[0], v[2]);
  return {value, ir::Select(b, pick_index, v[1], v[3])};
}

Status LowerArgExtremum(LowerContext& c, std::string_view better, ValueId init) {
  const Aval& x = c.in_aval(0);
  const Dims axes = c.params().Ints("axes");
  const DType index = c.out_aval().dtype;
  const ValueId positions = c.b().Iota({index, x.shape}, axes[0]);
  const ValueId zero = c.b().Splat(TensorType::Scalar(index), int64_t{0});
  const std::vector<Aval> scalars{
      {x.dtype, false, {}}, {index, false, {}}, {x.dtype, false, {}}, {index, false, {}}};
  const Values out = c.b().Reduce(
      Values{c.in(0), positions}, Values{init, zero}, axes, [&](std::span<const ValueId> args) {
        return c.Traced(args, scalars, [&](Builder& b, std::span<const Value> v) {
          return BetterOf(b, better, v);
        });
      });
  if (out.size() == 2) c.Out(out[1]);
  return OkStatus();
}

Status LowerArgmax(LowerContext& c) {
  return c.Outlined([](LowerContext& inner) {
    return LowerArgExtremum(inner, "gt", MaxIdentity(inner.b(), inner.in_aval(0).dtype));
  });
}

Status LowerArgmin(LowerContext& c) {
  return c.Outlined([](LowerContext& inner) {
    return LowerArgExtremum(inner, "lt", MinIdentity(inner.b(), inner.in_aval(0).dtype));
  });
}

// ---- rows ----

using Type = ParamSpec::Type;

constexpr ParamSpec kAxes[] = {{"axes", Type::kInts}};
constexpr ParamSpec kSumParams[] = {{"axes", Type::kInts},
                                    {"out_sharding", Type::kAny, ParamSpec::Show::kAlways, "None"}};
constexpr ParamSpec kArgParams[] = {{"axes", Type::kInts}, {"index_dtype", Type::kDType}};
constexpr ParamSpec kReduceParams[] = {
    {"computation", Type::kAny}, {"dimensions", Type::kInts}, {"jaxpr", Type::kJaxpr}};

constexpr Sample kSumSamples[] = {
    {"{ lambda ; a:f32[3,5,2]. let b:f32[5] = OP[axes=(0, 2) out_sharding=None] a in (b,) }"},
    {"{ lambda ; a:f32[67]. let b:f32[] = OP[axes=(0,) out_sharding=None] a in (b,) }"},
    {"{ lambda ; a:f32[3,0]. let b:f32[3] = OP[axes=(1,) out_sharding=None] a in (b,) }"},
    {"{ lambda ; a:f32[3]. let b:f32[3] = OP[axes=() out_sharding=None] a in (b,) }"},
};
constexpr Sample kAxesSamples[] = {
    {"{ lambda ; a:f32[3,5,2]. let b:f32[5] = OP[axes=(0, 2)] a in (b,) }"},
    {"{ lambda ; a:f32[7]. let b:f32[] = OP[axes=(0,)] a in (b,) }"},
    {"{ lambda ; a:f32[3]. let b:f32[3] = OP[axes=()] a in (b,) }"},
};
constexpr Sample kLogicalSamples[] = {
    {"{ lambda ; a:bool[3,5]. let b:bool[5] = OP[axes=(0,)] a in (b,) }"},
    {"{ lambda ; a:i32[3,5]. let b:i32[] = OP[axes=(0, 1)] a in (b,) }"},
};
constexpr Sample kArgSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:i32[3] = OP[axes=(1,) index_dtype=int32] a in (b,) }"},
    {"{ lambda ; a:f32[67]. let b:i32[] = OP[axes=(0,) index_dtype=int32] a in (b,) }"},
};
constexpr Sample kReduceSamples[] = {
    {"{ lambda ; a:f32[3,5]. let b:f32[5] = OP[computation=add dimensions=(0,) jaxpr={ lambda ; "
     "c:f32[] d:f32[]. let "
     "e:f32[] = add c d in (e,) }] a 0.0:f32[] in (b,) }"},
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[3] d:f32[3] = OP[computation=both "
     "dimensions=(1,) jaxpr={ lambda ; "
     "e:f32[] f:f32[] g:f32[] h:f32[]. let i:f32[] = add e g; j:f32[] = mul f h in (i, j) }] a b "
     "0.0:f32[] 1.0:f32[] "
     "in (c, d) }"},
};

constexpr uint16_t kExtrema = ir::kAcceptsNumber | ir::kAcceptsBool;
constexpr uint16_t kBits = ir::kAcceptsBool | ir::kAcceptsInt;

constexpr OpDef kOps[] = {
    {.name = "reduce_sum",
     .arity = 1,
     .params = kSumParams,
     .accepts = ir::kAcceptsNumber,
     .type_rule = SumType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSum,
     .batch = ir::BatchReducer(),
     .lower = LowerSum,
     .spec = "primitives.md#reduce_sum",
     .samples = kSumSamples},
    {.name = "reduce_prod",
     .arity = 1,
     .params = kAxes,
     .accepts = ir::kAcceptsNumber,
     .tier = 2,
     .type_rule = NumberReductionType,
     .jvp = ir::JvpFull(JvpProd),
     .batch = ir::BatchReducer(),
     .lower = LowerProd,
     .spec = "primitives.md#reduce_prod",
     .samples = kAxesSamples},
    {.name = "reduce_max",
     .arity = 1,
     .params = kAxes,
     .accepts = kExtrema,
     .type_rule = ExtremumType,
     .jvp = ir::JvpTerms<JvpExtremum>(),
     .batch = ir::BatchReducer(),
     .lower = LowerMax,
     .spec = "primitives.md#reduce_max",
     .samples = kAxesSamples},
    {.name = "reduce_min",
     .arity = 1,
     .params = kAxes,
     .accepts = kExtrema,
     .type_rule = ExtremumType,
     .jvp = ir::JvpTerms<JvpExtremum>(),
     .batch = ir::BatchReducer(),
     .lower = LowerMin,
     .spec = "primitives.md#reduce_min",
     .samples = kAxesSamples},
    {.name = "reduce_or",
     .arity = 1,
     .params = kAxes,
     .accepts = kBits,
     .type_rule = LogicalType,
     .linearize = LinearizeOr,
     .batch = ir::BatchReducer(),
     .lower = LowerOr,
     .spec = "primitives.md#reduce_or",
     .samples = kLogicalSamples},
    {.name = "reduce_and",
     .arity = 1,
     .params = kAxes,
     .accepts = kBits,
     .type_rule = LogicalType,
     .batch = ir::BatchReducer(),
     .lower = LowerAnd,
     .spec = "primitives.md#reduce_and",
     .samples = kLogicalSamples},
    {.name = "reduce_xor",
     .arity = 1,
     .params = kAxes,
     .accepts = kBits,
     .tier = 2,
     .type_rule = LogicalType,
     .batch = ir::BatchReducer(),
     .lower = LowerXor,
     .spec = "primitives.md#reduce_xor",
     .samples = kLogicalSamples},
    {.name = "argmax",
     .arity = 1,
     .params = kArgParams,
     .accepts = kExtrema,
     .type_rule = ArgExtremumType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchReducer(),
     .lower = LowerArgmax,
     .spec = "primitives.md#argmax",
     .samples = kArgSamples},
    {.name = "argmin",
     .arity = 1,
     .params = kArgParams,
     .accepts = kExtrema,
     .type_rule = ArgExtremumType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchReducer(),
     .lower = LowerArgmin,
     .spec = "primitives.md#argmin",
     .samples = kArgSamples},
    {.name = "reduce",
     .results = -1,
     .params = kReduceParams,
     .tier = 2,
     .type_rule = ReduceType,
     .retype = RetypeReduce,
     .jvp = ir::JvpFull(JvpReduce),
     .batch = ir::BatchFull(BatchReduce),
     .lower = LowerReduce,
     .spec = "primitives.md#reduce",
     .samples = kReduceSamples},
};

}  // namespace

std::span<const OpDef> ReductionOps() { return kOps; }

}  // namespace megalith::ops

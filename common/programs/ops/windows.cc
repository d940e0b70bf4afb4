// Reductions over sliding windows, and the select-and-gather and select-and-scatter that
// differentiate their extrema.
#include <algorithm>
#include <cmath>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/ir/check.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"
#include "common/programs/ops/window_math.h"

namespace megalith::ops {
namespace {

using ir::ParamValues;
using tensor::TupleText;

// ---- types ----

// The parameters that say how windows lie; select_and_scatter_add has no dilations.
struct WindowParams {
  Dims dimensions;
  Dims strides;
  Pads pads;
  Dims base_dilation;
  Dims window_dilation;
};

Result<WindowParams> ParseWindow(const Params& params) {
  WindowParams w;
  w.dimensions = params.Ints("window_dimensions");
  w.strides = params.Ints("window_strides");
  ASSIGN_OR_RETURN(w.pads, ParsePads(params["padding"]));
  const Dims ones(w.dimensions.size(), 1);
  w.base_dilation = params["base_dilation"].is_none() ? ones : params.Ints("base_dilation");
  w.window_dilation = params["window_dilation"].is_none() ? ones : params.Ints("window_dilation");
  return w;
}
// Of an equation whose types have been checked.
WindowParams WindowOf(const Params& params) { return *ParseWindow(params); }

// The shape of the result: one element per window.
Result<Shape> WindowedShape(const Aval& x, const WindowParams& w) {
  RETURN_IF_ERROR(CheckWindowNumbers("reduce_window", "window_dimensions", w.dimensions, 1));
  RETURN_IF_ERROR(CheckWindowNumbers("reduce_window", "window_strides", w.strides, 1));
  const size_t n = w.dimensions.size();
  if (x.rank() != n) {
    return TypeError(StrCat(
        "reduce_window got the wrong number of window_dimensions for operand: got operand shape ",
        TupleText(x.shape), " with window_dimensions ", TupleText(w.dimensions), "."));
  }
  const std::pair<std::string_view, const Dims*> others[] = {
      {"window_strides", &w.strides},
      {"base_dilation", &w.base_dilation},
      {"window_dilation", &w.window_dilation}};
  for (const auto& [name, values] : others) {
    if (values->size() == n) continue;
    return TypeError(StrCat("reduce_window got inconsistent ", name, " and window_dimensions: got ",
                            name, " ", TupleText(*values), " and window_dimensions ",
                            TupleText(w.dimensions), "."));
  }
  for (const Dims* dilation : {&w.base_dilation, &w.window_dilation}) {
    for (const int64_t d : *dilation) {
      if (d < 1)
        return TypeError(StrCat("All dilations must be positive, got ", TupleText(*dilation), "."));
    }
  }
  RETURN_IF_ERROR(CheckWindowNumbers("reduce_window", "base_dilation", w.base_dilation, 1));
  RETURN_IF_ERROR(CheckWindowNumbers("reduce_window", "window_dilation", w.window_dilation, 1));
  if (w.pads.low.size() != n) {
    return TypeError(
        StrCat("reduce_window needs padding for ", n, " dimensions, got ", w.pads.low.size()));
  }
  const Shape base = DilateShape(x.shape, w.base_dilation);
  const Shape window = DilateShape(w.dimensions, w.window_dilation);
  Shape out;
  for (size_t i = 0; i < n; ++i) {
    if (base[i] > kMaxWindowNumber || window[i] > kMaxWindowNumber) {
      return ValueError("reduce_window: a dilated dimension is larger than 2^60");
    }
    out.push_back(StrideDim(base[i] + w.pads.low[i] + w.pads.high[i], window[i], w.strides[i]));
  }
  return out;
}

Types ReduceWindowType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckAccepts(a, 0));
  ASSIGN_OR_RETURN(const WindowParams w, ParseWindow(a.params));
  ASSIGN_OR_RETURN(Shape shape, WindowedShape(a.operands[0], w));
  return std::vector<Aval>{Aval{a.operands[0].dtype, a.operands[0].weak_type, std::move(shape)}};
}

Types ReduceWindowSumType(const TypeArgs& a) {
  const DType dtype = a.operands[0].dtype;
  if (!tensor::IsInteger(dtype) && !tensor::IsInexact(dtype)) {
    return TypeError(
        StrCat("operand to reduce_window_sum must have a number dtype, got ", DTypeText(dtype)));
  }
  return ReduceWindowType(a);
}

Types GenericReduceWindowType(const TypeArgs& a) {
  const size_t n = a.operands.size() / 2;
  if (n == 0 || a.operands.size() % 2 != 0) {
    return TypeError(StrCat("reduce_window takes operands and as many init_values, got ",
                            a.operands.size(), " operands in all"));
  }
  for (size_t i = 0; i < n; ++i) {
    const Aval& init = a.operands[n + i];
    if (a.operands[i].dtype != init.dtype) {
      return TypeError(StrCat(
          "reduce_window got inconsistent dtypes for operands and init_values: got operand dtype ",
          DTypeText(a.operands[i].dtype), " and init_value dtype ", DTypeText(init.dtype), "."));
    }
    if (init.rank() != 0) {
      return TypeError(
          StrCat("reduce_window expected init_values to be scalars but init_values have shape ",
                 TupleText(init.shape), "."));
    }
    if (!(a.operands[i].shape == a.operands[0].shape)) {
      return TypeError(StrCat("reduce_window operands must have equal shapes, got ",
                              TupleText(a.operands[0].shape), " and ",
                              TupleText(a.operands[i].shape)));
    }
  }
  if (!a.params["consts"].elements().empty())
    return NotImplementedError("reduce_window with consts is not supported");
  const ir::JaxprPtr& jaxpr = a.params.Sub("jaxpr");
  bool good =
      jaxpr->constvars().empty() && jaxpr->invars().size() == 2 * n && jaxpr->outs().size() == n;
  for (size_t i = 0; good && i < n; ++i) {
    const Aval scalar{a.operands[i].dtype, false, {}};
    good = jaxpr->aval(jaxpr->invars()[i]).SameType(scalar) &&
           jaxpr->aval(jaxpr->invars()[n + i]).SameType(scalar) &&
           jaxpr->aval(jaxpr->outs()[i]).SameType(scalar);
  }
  if (!good)
    return TypeError(
        "the reduction of reduce_window must take two scalars per operand and give one");
  ASSIGN_OR_RETURN(const WindowParams w, ParseWindow(a.params));
  ASSIGN_OR_RETURN(const Shape shape, WindowedShape(a.operands[0], w));
  std::vector<Aval> out;
  for (size_t i = 0; i < n; ++i) out.push_back(Aval{a.operands[i].dtype, false, shape});
  return out;
}

Result<Params> RetypeReduceWindow(ir::TypeChecker& checker, const TypeArgs& a) {
  Params out = a.params;
  const ir::JaxprPtr& jaxpr = a.params.Sub("jaxpr");
  if (jaxpr == nullptr || jaxpr->invars().size() != a.operands.size()) return out;
  std::vector<Aval> scalars = jaxpr->InAvals();
  for (Aval& s : scalars) s.weak_type = false;
  ASSIGN_OR_RETURN(ir::JaxprPtr checked, checker.Check(jaxpr, scalars));
  out.Set("jaxpr", ParamValue::SubJaxpr(std::move(checked)));
  return out;
}

Status CheckSelectPrim(const Params& params) {
  const std::string& select = params.Text("select_prim");
  if (select == "ge" || select == "le") return OkStatus();
  return TypeError(
      StrCat("select_prim of ", params.op()->name, " must be ge or le, got ", Printable(select)));
}

Types SelectAndGatherType(const TypeArgs& a) {
  const Aval& t = a.operands[0];
  const Aval& x = a.operands[1];
  RETURN_IF_ERROR(CheckSelectPrim(a.params));
  for (size_t i = 0; i < 2; ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  if (!(t.shape == x.shape)) {
    return TypeError(StrCat("select_and_gather_add tangents and operand shapes must match, got ",
                            TupleText(t.shape), " and ", TupleText(x.shape), "."));
  }
  RETURN_IF_ERROR(CheckSameDTypes(a.op.name, a.operands));
  ASSIGN_OR_RETURN(const WindowParams w, ParseWindow(a.params));
  ASSIGN_OR_RETURN(Shape shape, WindowedShape(x, w));
  return std::vector<Aval>{Aval{t.dtype, AllWeak(a.operands), std::move(shape)}};
}

Types SelectAndScatterType(const TypeArgs& a) {
  const Aval& source = a.operands[0];
  const Aval& x = a.operands[1];
  RETURN_IF_ERROR(CheckSelectPrim(a.params));
  for (size_t i = 0; i < 2; ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  RETURN_IF_ERROR(CheckSameDTypes(a.op.name, a.operands));
  ASSIGN_OR_RETURN(const WindowParams w, ParseWindow(a.params));
  ASSIGN_OR_RETURN(const Shape shape, WindowedShape(x, w));
  if (!(source.shape == shape)) {
    return TypeError(
        StrCat("select_and_scatter_add source must have one element per window: windows give ",
               TupleText(shape), ", got ", TupleText(source.shape)));
  }
  return std::vector<Aval>{Aval{source.dtype, AllWeak(a.operands), x.shape}};
}

// ---- parameters of emitted equations ----

constexpr std::string_view kWindowNames[] = {"base_dilation", "padding", "window_dilation",
                                             "window_dimensions", "window_strides"};

// The parameters that `from` and `to` share.
Params CopyWindow(const Params& from, const OpDef& to) {
  Params out(to);
  for (const ParamSpec& spec : to.params) {
    for (const ParamSpec& have : from.op()->params) {
      if (spec.name == have.name) out.Set(spec.name, from[spec.name]);
    }
  }
  return out;
}

// A new dimension at `at` that no window reaches across.
Params WithBatchDim(const Params& params, int at) {
  Params out = params;
  for (const std::string_view name : kWindowNames) {
    if (params[name].is_none()) continue;
    ParamValues values = params[name].elements();
    values.insert(values.begin() + at,
                  name == "padding" ? ParamValue::Ints(Dims{0, 0}) : ParamValue::Int(1));
    out.Set(name, ParamValue::Tuple(std::move(values)));
  }
  return out;
}

const OpDef* FindOp(Builder& b, std::string_view name) {
  const OpDef* op = b.session().ops().Find(name);
  if (op == nullptr)
    b.Fail(Internal(StrCat("no primitive '", name, "' in the table this session uses")));
  return op;
}

// ---- reduce_window_sum, _max, _min ----

std::vector<Value> TransposeSum(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  const Shape& shape = a.operands[0].aval.shape;
  const WindowParams w = WindowOf(a.params);
  const Shape base = DilateShape(shape, w.base_dilation);
  const Shape window = DilateShape(w.dimensions, w.window_dilation);
  const Shape spread = DilateShape(ct.shape(), w.strides);
  const ParamValues& strides = a.params["window_strides"].elements();
  std::vector<ir::IntTuple> config;
  Pads no_pads;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t low = window[i] - w.pads.low[i] - 1;
    const int64_t high = base[i] + window[i] - 1 - spread[i] - low;
    config.push_back(ir::IntTuple(ParamValue::Tuple(
        {ParamValue::Int(low, /*numpy=*/true), ParamValue::Int(high, /*numpy=*/true),
         ParamValue::Int(w.strides[i] - 1, strides[i].numpy())})));
    no_pads.low.push_back(0);
    no_pads.high.push_back(0);
  }
  const Value padded = ir::Pad(b, ct, ir::WeakScalarLike(b, ct, 0), config);
  Params params = a.params;
  params.Set("window_strides", a.params["base_dilation"]);
  params.Set("padding", PadsParam(no_pads));
  params.Set("base_dilation", ParamValue::Ints(Dims(shape.size(), 1)));
  return b.Emit(a.op, std::move(params), {&padded, 1});
}

Value JvpExtremum(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  const OpDef* op = FindOp(b, "select_and_gather_add");
  if (op == nullptr) return t;
  Params gather = CopyWindow(params, *op);
  gather.Set("select_prim",
             ParamValue::Text(params.op()->name == "reduce_window_max" ? "ge" : "le"));
  const Value operands[] = {t, x[0]};
  return b.Emit(*op, std::move(gather), operands)[0];
}

BatchResult BatchReduceWindow(Builder& b, const BatchArgs& a) {
  return {b.Emit(a.op, WithBatchDim(a.params, a.dims[0]), a.values), {a.dims[0]}};
}

// ---- reduce_window ----

// The reduction of pairs of value and tangent: takes (values, tangents) of the left, then of the
// right side.
Result<ir::JaxprPtr> JvpReduction(ir::Session& session, const ir::JaxprPtr& jaxpr, size_t n) {
  ASSIGN_OR_RETURN(const autodiff::JvpJaxprResult jvp,
                   autodiff::JvpJaxpr(session, jaxpr, std::vector<bool>(2 * n, true),
                                      std::vector<bool>(n, true)));
  Builder b(session);
  std::vector<Value> sides[4];  // left values, left tangents, right values, right tangents
  for (std::vector<Value>& side : sides) {
    for (size_t i = 0; i < n; ++i)
      side.push_back(b.Input(jaxpr->aval(jaxpr->invars()[i]).Strong()));
  }
  std::vector<Value> inputs;
  for (const size_t k : {0, 2, 1, 3}) inputs.insert(inputs.end(), sides[k].begin(), sides[k].end());
  const std::vector<Value> outs = b.Inline(*jvp.jaxpr, {}, inputs);
  return b.Finish(outs);
}

JvpResult JvpGenericReduceWindow(Builder& b, const JvpArgs& a) {
  const size_t n = a.primals.size() / 2;
  for (size_t i = n; i < 2 * n; ++i) {
    if (a.tangents[i]) {
      b.Fail(TypeError("reduce_window jvp does not support non-zero init_value_tangent."));
      return {};
    }
  }
  const Result<ir::JaxprPtr> reduction = JvpReduction(b.session(), a.params.Sub("jaxpr"), n);
  if (!reduction.ok()) {
    b.Fail(reduction.status());
    return {};
  }
  std::vector<Value> operands(a.primals.begin(), a.primals.begin() + static_cast<int64_t>(n));
  for (size_t i = 0; i < n; ++i)
    operands.push_back(ir::InstantiateZeros(b, a.tangents[i], a.primals[i].aval()));
  operands.insert(operands.end(), a.primals.begin() + static_cast<int64_t>(n), a.primals.end());
  for (size_t i = n; i < 2 * n; ++i)
    operands.push_back(ir::Zeros(b, a.primals[i].aval().Tangent()));
  Params params = a.params;
  params.Set("jaxpr", ParamValue::SubJaxpr(*reduction));
  const std::vector<Value> results = b.Emit(a.op, std::move(params), operands);
  if (!b.ok()) return {};
  const auto middle = results.begin() + static_cast<int64_t>(n);
  return {{results.begin(), middle}, {middle, results.end()}};
}

BatchResult BatchGenericReduceWindow(Builder& b, const BatchArgs& a) {
  const size_t n = a.values.size() / 2;
  std::vector<Value> operands;
  for (size_t i = 0; i < 2 * n; ++i) {
    if (i < n) {
      operands.push_back(ir::BatchAtFront(b, a.values[i], a.dims[i], a.axis.size));
    } else if (a.dims[i] == kUnmapped) {
      operands.push_back(a.values[i]);
    } else {
      b.Fail(NotImplementedError("reduce_window batching is not implemented for initial values"));
      return {};
    }
  }
  BatchResult out{b.Emit(a.op, WithBatchDim(a.params, 0), operands), {}};
  out.dims.assign(out.values.size(), 0);
  return out;
}

// ---- select_and_gather_add, select_and_scatter_add ----

// Linear in the first operand; the second only selects.
JvpResult JvpSelected(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {Value()}};
  if (!a.tangents[0]) return out;
  const Value operands[] = {a.tangents[0], a.primals[1]};
  out.tangents = b.Emit(a.op, a.params, operands);
  return out;
}

BatchResult BatchSelected(Builder& b, const BatchArgs& a) {
  std::vector<Value> operands;
  for (size_t i = 0; i < 2; ++i)
    operands.push_back(ir::BatchAtFront(b, a.values[i], a.dims[i], a.axis.size));
  return {b.Emit(a.op, WithBatchDim(a.params, 0), operands), {0}};
}

// What never wins against an element: the identity of max for ge, of min for le.
Value SelectIdentity(Builder& b, DType dtype, bool ge) {
  if (tensor::IsInteger(dtype)) {
    const int bits = tensor::BitWidth(dtype);
    const int64_t low = tensor::IsSigned(dtype) ? INT64_MIN >> (64 - bits) : 0;
    return b.Lit(Literal::Int(dtype, ge ? low : ~low));
  }
  if (tensor::IsBool(dtype)) return ir::ScalarOf(b, dtype, ge ? 0 : 1);
  return ir::ScalarOf(b, dtype, ge ? -HUGE_VAL : HUGE_VAL);
}

std::vector<Value> TransposeGatherAdd(Builder& b, const TransposeArgs& a) {
  const WindowParams w = WindowOf(a.params);
  const Dims ones(w.dimensions.size(), 1);
  if (!(w.window_dilation == ones)) {
    b.Fail(NotImplementedError(
        StrCat("VJP not implemented for select_and_gather (MaxPool) with window dilation, got "
               "window_dilation=",
               TupleText(w.window_dilation), ".")));
    return {};
  }
  const OpDef* op = FindOp(b, "select_and_scatter_add");
  if (op == nullptr || !CheckKnown(b, a, 1)) return {};
  Value x = a.operands[1].value;
  const bool dilated = !(w.base_dilation == ones);
  if (dilated) {
    std::vector<ir::Padding> holes;
    for (const int64_t d : w.base_dilation) holes.push_back({0, 0, d - 1});
    x = ir::Pad(b, x, SelectIdentity(b, x.dtype(), a.params.Text("select_prim") == "ge"), holes);
  }
  const Value operands[] = {a.cotangents[0], x};
  Value ct = b.Emit(*op, CopyWindow(a.params, *op), operands)[0];
  if (dilated)
    ct = ir::Slice(b, ct, Dims(ct.rank(), 0), ct.shape(), ir::IntTuple(a.params["base_dilation"]));
  return {ct, Value()};
}

std::vector<Value> TransposeScatterAdd(Builder& b, const TransposeArgs& a) {
  const OpDef* op = FindOp(b, "select_and_gather_add");
  if (op == nullptr || !CheckKnown(b, a, 1)) return {};
  Params params = CopyWindow(a.params, *op);
  const ParamValue ones = ParamValue::Ints(Dims(a.params.Ints("window_dimensions").size(), 1));
  params.Set("base_dilation", ones);
  params.Set("window_dilation", ones);
  const Value operands[] = {a.cotangents[0], a.operands[1].value};
  return {b.Emit(*op, std::move(params), operands)[0], Value()};
}

// ---- lowering ----

stablehlo::Window LoweredWindow(const Params& params) {
  const WindowParams w = WindowOf(params);
  return {w.dimensions, w.strides, InterleavedPads(w.pads), w.base_dilation, w.window_dilation};
}

Status LowerExtremum(LowerContext& c, ValueId identity,
                     ValueId (*combine)(FuncBuilder&, ValueId, ValueId)) {
  const ValueId init = c.b().BroadcastScalar(identity, {});
  c.Out(c.b().ReduceWindow(
      Values{c.in(0)}, Values{init}, LoweredWindow(c.params()),
      [&](std::span<const ValueId> args) { return Values{combine(c.b(), args[0], args[1])}; }));
  return OkStatus();
}

Status LowerMax(LowerContext& c) {
  return LowerExtremum(c, MaxIdentity(c.b(), c.in_aval(0).dtype), MaxOf);
}
Status LowerMin(LowerContext& c) {
  return LowerExtremum(c, MinIdentity(c.b(), c.in_aval(0).dtype), MinOf);
}

Status LowerSum(LowerContext& c) {
  const ValueId zero = FullOf(c.b(), TensorType::Scalar(c.in_aval(0).dtype), 0);
  c.Out(c.b().ReduceWindow(c.in(0), zero, LoweredWindow(c.params()), "stablehlo.add"));
  return OkStatus();
}

Status LowerGenericReduceWindow(LowerContext& c) {
  const size_t n = c.num_operands() / 2;
  const std::span<const ValueId> all = c.ins();
  c.Out(c.b().ReduceWindow(
      all.first(n), all.subspan(n), LoweredWindow(c.params()),
      [&](std::span<const ValueId> args) { return c.Inline(c.params().Sub("jaxpr"), args); }));
  return OkStatus();
}

// Pairs of key and tangent are reduced together; the operand's element decides which pair stays.
Status LowerSelectAndGather(LowerContext& c) {
  const std::string select = c.params().Text("select_prim");
  const DType dtype = c.in_aval(1).dtype;
  const ValueId init_key = select == "ge" ? MaxIdentity(c.b(), dtype) : MinIdentity(c.b(), dtype);
  const ValueId init_tangent = c.b().Scalar(dtype, 0);
  const std::vector<Aval> scalars(4, Aval{dtype, false, {}});
  const Values out = c.b().ReduceWindow(
      Values{c.in(1), c.in(0)}, Values{init_key, init_tangent}, LoweredWindow(c.params()),
      [&](std::span<const ValueId> args) {
        return c.Traced(args, scalars, [&](Builder& b, std::span<const Value> v) {
          const Value first = ir::Binary(b, select, v[0], v[2]);
          const Value key = ir::Select(b, first, v[0], v[2]);
          return std::vector<Value>{key, ir::Select(b, first, v[1], v[3])};
        });
      });
  c.Out(out[1]);
  return OkStatus();
}

Status LowerSelectAndScatter(LowerContext& c) {
  const DType dtype = c.in_aval(1).dtype;
  // Complex numbers have no order: the error is that of a comparison.
  if (tensor::IsComplex(dtype)) {
    return TypeError(
        StrCat(c.params().Text("select_prim"), " does not accept dtype ", DTypeText(dtype), "."));
  }
  const bool ge = c.params().Text("select_prim") == "ge";
  const ValueId zero = c.b().Scalar(dtype, 0);
  c.Out(c.b().SelectAndScatter(
      c.in(1), c.in(0), zero, LoweredWindow(c.params()),
      ge ? stablehlo::CompareDirection::kGe : stablehlo::CompareDirection::kLe,
      tensor::IsBool(dtype) ? "stablehlo.or" : "stablehlo.add"));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kWindowParams[] = {
    {"base_dilation", Type::kInts},   {"padding", Type::kTuple},
    {"window_dilation", Type::kInts}, {"window_dimensions", Type::kInts},
    {"window_strides", Type::kInts},
};
constexpr ParamSpec kGenericParams[] = {
    {"base_dilation", Type::kInts},   {"consts", Type::kTuple, Show::kAlways, "()"},
    {"jaxpr", Type::kJaxpr},          {"padding", Type::kTuple},
    {"window_dilation", Type::kInts}, {"window_dimensions", Type::kInts},
    {"window_strides", Type::kInts},
};
constexpr ParamSpec kGatherParams[] = {
    {"base_dilation", Type::kInts},     {"padding", Type::kTuple},
    {"select_prim", Type::kText},       {"window_dilation", Type::kInts},
    {"window_dimensions", Type::kInts}, {"window_strides", Type::kInts},
};
constexpr ParamSpec kScatterParams[] = {
    {"padding", Type::kTuple},
    {"select_prim", Type::kText},
    {"window_dimensions", Type::kInts},
    {"window_strides", Type::kInts},
};

constexpr Sample kWindowSamples[] = {
    {"{ lambda ; a:f32[5,6]. let b:f32[4,3] = OP[base_dilation=(1, 1) padding=((0, 0), (0, 1)) "
     "window_dilation=(1, 1) "
     "window_dimensions=(2, 3) window_strides=(1, 2)] a in (b,) }"},
    {"{ lambda ; a:f32[5]. let b:f32[7] = OP[base_dilation=(2,) padding=((1, 1),) "
     "window_dilation=(2,) "
     "window_dimensions=(3,) window_strides=(1,)] a in (b,) }"},
    {"{ lambda ; a:f32[3]. let b:f32[0] = OP[base_dilation=(1,) padding=((0, 0),) "
     "window_dilation=(1,) "
     "window_dimensions=(5,) window_strides=(1,)] a in (b,) }"},
};
// Every window sees an element: the extremum of none is an infinity, which has no slope.
constexpr Sample kExtremumSamples[] = {
    kWindowSamples[0],
    {"{ lambda ; a:f32[5]. let b:f32[8] = OP[base_dilation=(2,) padding=((1, 1),) "
     "window_dilation=(3,) "
     "window_dimensions=(2,) window_strides=(1,)] a in (b,) }"},
    kWindowSamples[2],
    {"{ lambda ; a:f32[]. let b:f32[] = OP[base_dilation=() padding=() window_dilation=() "
     "window_dimensions=() "
     "window_strides=()] a in (b,) }"},
    {"{ lambda ; a:f32[3,19]. let b:f32[3,9] = OP[base_dilation=(1, 1) padding=((0, 0), (-1, 3)) "
     "window_dilation=(1, 1) window_dimensions=(1, 5) window_strides=(1, 2)] a in (b,) }"},
};
constexpr Sample kGenericSamples[] = {
    {"{ lambda ; a:f32[5]. let b:f32[4] = OP[base_dilation=(1,) consts=() jaxpr={ lambda ; c:f32[] "
     "d:f32[]. let "
     "e:f32[] = mul c d in (e,) } padding=((0, 0),) window_dilation=(1,) window_dimensions=(2,) "
     "window_strides=(1,)] "
     "a 1.0:f32[] in (b,) }"},
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:f32[2,5] d:f32[2,5] = OP[base_dilation=(1, 1) "
     "consts=() jaxpr={ lambda "
     "; e:f32[] f:f32[] g:f32[] h:f32[]. let i:f32[] = add e g; j:f32[] = max f h in (i, j) } "
     "padding=((0, 0), (2, 0)) window_dilation=(1, 1) window_dimensions=(2, 3) window_strides=(1, "
     "1)] a b 0.0:f32[] "
     "-9.0:f32[] in (c, d) }"},
};
constexpr Sample kGatherSamples[] = {
    {"{ lambda ; a:f32[5,4] b:f32[5,4]. let c:f32[4,2] = OP[base_dilation=(1, 1) padding=((0, 0), "
     "(0, 0)) "
     "select_prim=ge window_dilation=(1, 1) window_dimensions=(2, 2) window_strides=(1, 2)] a b in "
     "(c,) }"},
    {"{ lambda ; a:f32[5] b:f32[5]. let c:f32[4] = OP[base_dilation=(1,) padding=((0, 0),) "
     "select_prim=le "
     "window_dilation=(1,) window_dimensions=(2,) window_strides=(1,)] a b in (c,) }"},
};
constexpr Sample kScatterSamples[] = {
    {"{ lambda ; a:f32[4,2] b:f32[5,4]. let c:f32[5,4] = OP[padding=((0, 0), (0, 0)) "
     "select_prim=ge "
     "window_dimensions=(2, 2) window_strides=(1, 2)] a b in (c,) }"},
    {"{ lambda ; a:f32[3] b:f32[5]. let c:f32[5] = OP[padding=((1, 0),) select_prim=le "
     "window_dimensions=(2,) "
     "window_strides=(2,)] a b in (c,) }"},
};

constexpr uint16_t kOrderedOrComplex = ir::kAcceptsOrdered | ir::kAcceptsComplex;

constexpr OpDef kOps[] = {
    {.name = "reduce_window_sum",
     .arity = 1,
     .params = kWindowParams,
     .accepts = ir::kAcceptsNumber,
     .type_rule = ReduceWindowSumType,
     .jvp = ir::JvpLinear(),
     .transpose = TransposeSum,
     .batch = ir::BatchFull(BatchReduceWindow),
     .lower = LowerSum,
     .spec = "primitives.md#reduce_window_sum",
     .samples = kWindowSamples},
    {.name = "reduce_window_max",
     .arity = 1,
     .params = kWindowParams,
     .accepts = kOrderedOrComplex,
     .type_rule = ReduceWindowType,
     .jvp = ir::JvpTerms<JvpExtremum>(),
     .batch = ir::BatchFull(BatchReduceWindow),
     .lower = LowerMax,
     .spec = "primitives.md#reduce_window_max",
     .samples = kExtremumSamples},
    {.name = "reduce_window_min",
     .arity = 1,
     .params = kWindowParams,
     .accepts = kOrderedOrComplex,
     .tier = 2,
     .type_rule = ReduceWindowType,
     .jvp = ir::JvpTerms<JvpExtremum>(),
     .batch = ir::BatchFull(BatchReduceWindow),
     .lower = LowerMin,
     .spec = "primitives.md#reduce_window_min",
     .samples = kExtremumSamples},
    {.name = "reduce_window",
     .results = -1,
     .params = kGenericParams,
     .tier = 2,
     .type_rule = GenericReduceWindowType,
     .retype = RetypeReduceWindow,
     .jvp = ir::JvpFull(JvpGenericReduceWindow),
     .batch = ir::BatchFull(BatchGenericReduceWindow),
     .lower = LowerGenericReduceWindow,
     .spec = "primitives.md#reduce_window",
     .samples = kGenericSamples},
    {.name = "select_and_gather_add",
     .arity = 2,
     .params = kGatherParams,
     .accepts = kOrderedOrComplex,
     .type_rule = SelectAndGatherType,
     .jvp = ir::JvpFull(JvpSelected),
     .transpose = TransposeGatherAdd,
     .batch = ir::BatchFull(BatchSelected),
     .lower = LowerSelectAndGather,
     .spec = "primitives.md#select_and_gather_add",
     .samples = kGatherSamples},
    {.name = "select_and_scatter_add",
     .arity = 2,
     .params = kScatterParams,
     .accepts = kOrderedOrComplex,
     .type_rule = SelectAndScatterType,
     .jvp = ir::JvpFull(JvpSelected),
     .transpose = TransposeScatterAdd,
     .batch = ir::BatchFull(BatchSelected),
     .lower = LowerSelectAndScatter,
     .spec = "primitives.md#select_and_scatter_add",
     .samples = kScatterSamples},
};

}  // namespace

std::span<const OpDef> WindowOps() { return kOps; }

}  // namespace megalith::ops

// Reductions over dimensions and windows, and sorts: operations whose meaning is in their body.
#include <cmath>
#include <limits>
#include <optional>

#include "common/programs/lowering/lowering.h"
#include "common/programs/ops/window_math.h"
#include "common/programs/raising/context.h"
#include "common/programs/stablehlo/canonical.h"

namespace megalith::raising {
namespace {

using stablehlo::Region;

// What a body of one operation makes of a reduction: the primitive over axes, the one over windows,
// the operation on two values, and the value that changes nothing.
enum class Neutral : uint8_t { kZero, kOne, kLowest, kHighest, kAllOnes };
struct Fold {
  std::string_view op;
  std::string_view over_axes;
  std::string_view over_windows;  // "" if there is none
  std::string_view combine;
  Neutral neutral;
};
constexpr Fold kFolds[] = {
    {"stablehlo.add", "reduce_sum", "reduce_window_sum", "add", Neutral::kZero},
    {"stablehlo.multiply", "reduce_prod", "", "mul", Neutral::kOne},
    {"stablehlo.maximum", "reduce_max", "reduce_window_max", "max", Neutral::kLowest},
    {"stablehlo.minimum", "reduce_min", "reduce_window_min", "min", Neutral::kHighest},
    {"stablehlo.and", "reduce_and", "", "and", Neutral::kAllOnes},
    {"stablehlo.or", "reduce_or", "", "or", Neutral::kZero},
    {"stablehlo.xor", "reduce_xor", "", "xor", Neutral::kZero},
};

const Fold* FoldOf(const Region& body, DType dtype) {
  const stablehlo::Op* op = BinaryBody(body, body.args[0], body.args[1]);
  if (op == nullptr) return nullptr;
  const bool truths = tensor::IsBool(dtype);
  for (const Fold& f : kFolds) {
    // Sums and extrema of truth values have other primitives.
    const bool logical = f.combine == "and" || f.combine == "or" || f.combine == "xor";
    if (f.op == op->name() && (logical || !truths)) return &f;
  }
  return nullptr;
}

bool IsNeutral(const Value& v, Neutral neutral) {
  if (!v.is_literal()) return false;
  const ir::Literal& l = v.literal();
  if (tensor::IsComplex(l.dtype())) {
    return (neutral == Neutral::kZero && l.AsComplex() == std::complex<double>(0)) ||
           (neutral == Neutral::kOne && l.AsComplex() == std::complex<double>(1));
  }
  const bool real = tensor::IsFloat(l.dtype());
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const auto extreme = [&](bool high) {
    if (real) return l.AsDouble() == (high ? kInfinity : -kInfinity);
    const int bits = tensor::BitWidth(l.dtype());
    const bool is_signed = tensor::IsSigned(l.dtype());
    if (!high) return l.AsInt() == (is_signed ? INT64_MIN >> (64 - bits) : 0);
    const auto all = static_cast<int64_t>(UINT64_MAX >> (64 - bits));
    return l.AsInt() == (is_signed ? INT64_MAX >> (64 - bits) : all);
  };
  switch (neutral) {
    case Neutral::kZero:
      return l.AsDouble() == 0;
    case Neutral::kOne:
      return l.AsDouble() == 1;
    case Neutral::kLowest:
      return extreme(false);
    case Neutral::kHighest:
      return extreme(true);
    case Neutral::kAllOnes:
      return tensor::IsBool(l.dtype())     ? l.AsInt() == 1
             : tensor::IsSigned(l.dtype()) ? l.AsInt() == -1
                                           : extreme(true);
  }
  return false;
}

// ---- recognition by lowering ----

// The canonical module of one equation on operands of these types; what the operation at hand is
// compared with.
template <typename Emit>
Result<stablehlo::Module> Candidate(RaiseContext& c, std::span<const Value> like,
                                    const Emit& emit) {
  Builder b(c.b().session());
  Values inputs;
  for (const Value& v : like) inputs.push_back(b.Input({v.dtype(), false, v.shape()}));
  const Values outs = emit(b, inputs);
  RETURN_IF_ERROR(b.status());
  ir::Program program;
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, b.Finish(outs));
  program.closed = ir::Closed(std::move(jaxpr));
  lowering::LowerOptions options;
  options.x64 = c.b().session().x64();
  ASSIGN_OR_RETURN(const stablehlo::Module module,
                   lowering::Lower(program, c.b().session().ops(), options));
  return stablehlo::Canonicalize(module);
}

// ---- reduce ----

// Positions of extrema are pairs of values and positions reduced together.
Result<bool> RaiseArgExtremum(RaiseContext& c, const Dims& axes) {
  if (c.num_operands() != 4 || axes.size() != 1 || !tensor::IsInteger(c.out_type(1).dtype))
    return false;
  constexpr std::pair<std::string_view, std::string_view> kPairs[] = {{"argmax", "reduce_max"},
                                                                      {"argmin", "reduce_min"}};
  for (const auto& [position, value] : kPairs) {
    const auto emit = [&, name = position](Builder& b, std::span<const Value> in) {
      return Values{b.Emit1(name, in,
                            {{"axes", ParamValue::Ints(axes)},
                             {"index_dtype", ParamValue::Type(c.out_type(1).dtype)}})};
    };
    const auto candidate = Candidate(c, c.ins().first(1), emit);
    if (!candidate.ok() || !SameComputation(c.func(), c.op(), *candidate)) continue;
    c.Out(c.used(0) ? c.b().Emit1(value, c.ins().first(1), {{"axes", ParamValue::Ints(axes)}})
                    : Value());
    c.Out(emit(c.b(), c.ins().first(1)));
    return true;
  }
  return false;
}

Status RaiseReduce(RaiseContext& c) {
  const Dims axes = c.ints("dimensions");
  const Region& body = c.op().regions[0];
  if (c.num_operands() == 2) {
    if (const Fold* fold = FoldOf(body, c.in(0).dtype())) {
      Value v = c.b().Emit1(fold->over_axes, c.ins().first(1), {{"axes", ParamValue::Ints(axes)}});
      if (!IsNeutral(c.in(1), fold->neutral)) {
        const Value init = ir::Broadcast(c.b(), c.in(1), Dims(v.shape()));
        v = ir::Binary(c.b(), fold->combine, init, v);
      }
      c.Out(v);
      return OkStatus();
    }
  }
  ASSIGN_OR_RETURN(const bool extremum, RaiseArgExtremum(c, axes));
  if (extremum) return OkStatus();
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, c.Closed(body));
  c.Out(c.b().EmitN("reduce", c.ins(),
                    {{"computation", ParamValue::Text("body")},
                     {"dimensions", ParamValue::Ints(axes)},
                     {"jaxpr", ParamValue::SubJaxpr(std::move(jaxpr))}}));
  return OkStatus();
}

// ---- windows ----

// Low and high of each dimension, from a matrix of two columns.
ops::Pads PadsOf(const RaiseContext& c) {
  ops::Pads pads;
  const Attr attr = c.attr("padding");
  const auto all = attr.AsDense().Materialize();
  if (!all.ok()) return pads;
  for (int64_t i = 0; i + 1 < all->size(); i += 2) {
    pads.low.push_back(static_cast<int64_t>(all->DoubleAt(i)));
    pads.high.push_back(static_cast<int64_t>(all->DoubleAt(i + 1)));
  }
  return pads;
}

Status RaiseReduceWindow(RaiseContext& c) {
  const Region& body = c.op().regions[0];
  const ParamValue base = ParamValue::Ints(c.ints("base_dilations"));
  const ParamValue dilation = ParamValue::Ints(c.ints("window_dilations"));
  const ParamValue dimensions = ParamValue::Ints(c.ints("window_dimensions"));
  const ParamValue strides = ParamValue::Ints(c.ints("window_strides"));
  const ParamValue padding = ops::PadsParam(PadsOf(c));
  if (c.num_operands() == 2) {
    const Fold* fold = FoldOf(body, c.in(0).dtype());
    if (fold != nullptr && !fold->over_windows.empty() && IsNeutral(c.in(1), fold->neutral)) {
      c.Out(c.b().Emit1(fold->over_windows, c.ins().first(1),
                        {{"base_dilation", base},
                         {"padding", padding},
                         {"window_dilation", dilation},
                         {"window_dimensions", dimensions},
                         {"window_strides", strides}}));
      return OkStatus();
    }
  }
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, c.Closed(body));
  c.Out(c.b().EmitN("reduce_window", c.ins(),
                    {{"base_dilation", base},
                     {"jaxpr", ParamValue::SubJaxpr(std::move(jaxpr))},
                     {"padding", padding},
                     {"window_dilation", dilation},
                     {"window_dimensions", dimensions},
                     {"window_strides", strides}}));
  return OkStatus();
}

// "ge" or "le" for a body that selects so; "" for others.
std::string_view SelectPrimitive(const Region& body) {
  const stablehlo::Op* op = BinaryBody(body, body.args[0], body.args[1]);
  if (op == nullptr || op->name() != "stablehlo.compare" || op->operands[0] != body.args[0])
    return "";
  const auto direction =
      static_cast<stablehlo::CompareDirection>(op->attr("comparison_direction").AsEnum());
  if (direction == stablehlo::CompareDirection::kGe) return "ge";
  return direction == stablehlo::CompareDirection::kLe ? "le" : "";
}

Status RaiseSelectAndScatter(RaiseContext& c) {
  const std::string_view select = SelectPrimitive(c.op().regions[0]);
  const Region& body = c.op().regions[1];
  const Fold* fold = FoldOf(body, c.in(0).dtype());
  if (select.empty() || fold == nullptr || fold->combine != "add" ||
      !IsNeutral(c.in(2), Neutral::kZero))
    return c.Refuse("with these bodies has no primitive");
  const Value operands[] = {c.in(1), c.in(0)};
  c.Out(c.b().Emit1("select_and_scatter_add", operands,
                    {{"padding", ops::PadsParam(PadsOf(c))},
                     {"select_prim", ParamValue::Text(std::string(select))},
                     {"window_dimensions", ParamValue::Ints(c.ints("window_dimensions"))},
                     {"window_strides", ParamValue::Ints(c.ints("window_strides"))}}));
  return OkStatus();
}

// ---- sort ----

// The comparison must be the one that `sort` makes for some number of keys.
Status RaiseSort(RaiseContext& c) {
  const auto rank = static_cast<int64_t>(c.in(0).rank());
  int64_t dimension = c.attr("dimension").AsInt();
  if (dimension < 0) dimension += rank;
  for (size_t keys = 1; keys <= c.num_operands(); ++keys) {
    const auto emit = [&](Builder& b, std::span<const Value> in) {
      return b.EmitN("sort", in,
                     {{"dimension", ParamValue::Int(dimension)},
                      {"is_stable", ParamValue::Bool(c.flag("is_stable"))},
                      {"num_keys", ParamValue::Int(static_cast<int64_t>(keys))}});
    };
    const auto candidate = Candidate(c, c.ins(), emit);
    if (!candidate.ok() || !SameComputation(c.func(), c.op(), *candidate)) continue;
    c.Out(emit(c.b(), c.ins()));
    return OkStatus();
  }
  return c.Refuse("in this order has no primitive");
}

Status RaiseTopK(RaiseContext& c) {
  c.Out(c.b().EmitN("top_k", c.ins(),
                    {{"axis", ParamValue::Int(static_cast<int64_t>(c.in(0).rank()) - 1)},
                     {"k", ParamValue::Int(c.attr("k").AsInt())}}));
  return OkStatus();
}

constexpr RaiseDef kRules[] = {
    {"stablehlo.reduce", RaiseReduce},
    {"stablehlo.reduce_window", RaiseReduceWindow},
    {"stablehlo.select_and_scatter", RaiseSelectAndScatter},
    {"stablehlo.sort", RaiseSort},
    {"chlo.top_k", RaiseTopK},
};

}  // namespace

std::span<const RaiseDef> ReductionRules() { return kRules; }

}  // namespace megalith::raising

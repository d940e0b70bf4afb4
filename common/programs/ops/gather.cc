// gather: slices of an array at computed places.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/index_checks.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/lower.h"

namespace megalith::ops {
namespace {

using tensor::TupleText;

// ---- types ----

Status CheckNumbers(const Aval& x, const Aval& indices, const GatherNumbers& g) {
  const IndexChecks check{"Gather", "gather"};
  const auto rank = static_cast<int64_t>(x.rank());
  const auto index_rank = static_cast<int64_t>(indices.rank());
  const int64_t out_rank = static_cast<int64_t>(g.offset_dims.size()) + index_rank - 1;
  RETURN_IF_ERROR(check.IndexVector(indices, "Gather index leaf"));
  RETURN_IF_ERROR(check.Sorted(g.offset_dims, "offset_dims"));
  RETURN_IF_ERROR(check.Unique(g.offset_dims, "offset_dims"));
  for (size_t i = 0; i < g.offset_dims.size(); ++i) {
    if (g.offset_dims[i] >= 0 && g.offset_dims[i] < out_rank) continue;
    return TypeError(StrCat("Offset dimension ", i, " in gather op is out of bounds; got ",
                            g.offset_dims[i], ", but should have been in [0, ", out_rank, ")"));
  }
  RETURN_IF_ERROR(check.IndexMap(g.start_index_map, "start_index_map", indices, rank));
  RETURN_IF_ERROR(check.Sorted(g.collapsed_slice_dims, "collapsed_slice_dims"));
  RETURN_IF_ERROR(check.InRange(g.collapsed_slice_dims, "collapsed_slice_dims", rank));
  RETURN_IF_ERROR(check.Unique(g.collapsed_slice_dims, "collapsed_slice_dims"));
  return check.Batching(x, indices, {g.operand_batching_dims, "operand_batching_dims"},
                        {g.start_indices_batching_dims, "start_indices_batching_dims"},
                        {g.collapsed_slice_dims, "collapsed_slice_dims"},
                        {g.start_index_map, "start_index_map"});
}

Status CheckSizes(const Aval& x, const Aval& indices, const GatherNumbers& g, const Dims& sizes) {
  if (x.rank() != sizes.size()) {
    return TypeError(StrCat(
        "Gather op must have one slice size for every input dimension; got: len(slice_sizes)=",
        sizes.size(), ", input_shape.rank=", x.rank()));
  }
  if (sizes.size() !=
      g.offset_dims.size() + g.collapsed_slice_dims.size() + g.operand_batching_dims.size()) {
    return TypeError(StrCat(
        "All components of the offset index in a gather op must either be a offset dimension or "
        "explicitly collapsed/batching; got len(slice_sizes)=",
        sizes.size(), ", output_slice_sizes=", TupleText(g.offset_dims),
        ", collapsed_slice_dims=", TupleText(g.collapsed_slice_dims),
        ", operand_batching_dims=", TupleText(g.operand_batching_dims), "."));
  }
  const bool no_index = ir::Contains(indices.shape, 0);
  for (size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] >= 0 && (no_index || sizes[i] <= x.shape[i])) continue;
    return TypeError(StrCat("Slice size at index ", i,
                            " in gather op is out of range, must be within [0, ", x.shape[i],
                            " + 1), got ", sizes[i], "."));
  }
  for (size_t i = 0; i < g.collapsed_slice_dims.size(); ++i) {
    const int64_t bound = sizes[static_cast<size_t>(g.collapsed_slice_dims[i])];
    if (bound == 1) continue;
    return TypeError(StrCat("Gather op can only collapse slice dims with bound 1, but bound is ",
                            bound, " for index ", g.collapsed_slice_dims[i], " at position ", i,
                            "."));
  }
  for (size_t i = 0; i < g.operand_batching_dims.size(); ++i) {
    const int64_t bound = sizes[static_cast<size_t>(g.operand_batching_dims[i])];
    if (bound <= 1) continue;
    return TypeError(
        StrCat("Gather op can only have operand batching dims with bound 0/1, but bound is ", bound,
               " for index ", g.operand_batching_dims[i], " at position ", i, "."));
  }
  return OkStatus();
}

Status CheckFill(const ParamValue& fill) {
  using Kind = ParamValue::Kind;
  const Kind kind = fill.kind();
  if (kind == Kind::kNone || kind == Kind::kBool || kind == Kind::kInt || kind == Kind::kFloat)
    return OkStatus();
  // Complex numbers and large u64 come as text.
  const std::string& text = fill.AsText();
  if (ParseUint(text) || ir::ParsePythonComplex(text)) return OkStatus();
  return TypeError(
      StrCat("fill_value of gather must be a number, got ", Printable(fill.PythonText(), 200)));
}

Types GatherType(const TypeArgs& a) {
  const Aval& x = a.operands[0];
  const Aval& indices = a.operands[1];
  const Dims sizes = a.params.Ints("slice_sizes");
  RETURN_IF_ERROR(ParseMode(a.params).status());
  RETURN_IF_ERROR(CheckFill(a.params["fill_value"]));
  ASSIGN_OR_RETURN(const GatherNumbers g, ParseGatherNumbers(a.params["dimension_numbers"]));
  RETURN_IF_ERROR(CheckNumbers(x, indices, g));
  RETURN_IF_ERROR(CheckSizes(x, indices, g, sizes));
  if (!tensor::IsInteger(indices.dtype)) return ValueError("indices must have an integer type");
  const Dims slice =
      ir::Without(sizes, ir::Concat(g.collapsed_slice_dims, g.operand_batching_dims));
  Shape shape;
  size_t next_slice = 0;
  size_t next_index = 0;
  for (size_t i = 0; i < slice.size() + indices.rank() - 1; ++i) {
    const bool offset = ir::Contains(g.offset_dims, static_cast<int64_t>(i));
    shape.push_back(offset ? slice[next_slice++] : indices.shape[next_index++]);
  }
  return std::vector<Aval>{Aval{x.dtype, x.weak_type, std::move(shape)}};
}

// ---- derivatives and batching ----

Value JvpGather(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  IndexOptions options = OptionsOf(params);
  options.fill_value = ParamValue::Int(0);
  return Gather(b, t, x[1], GatherNumbersOf(params), params.Ints("slice_sizes"), options);
}

std::vector<Value> TransposeGather(Builder& b, const TransposeArgs& a) {
  const Value& ct = a.cotangents[0];
  const Value zeros = ir::Full(b, a.operands[0].aval.shape, ct.dtype(), 0);
  return {Scatter(b, "scatter-add", zeros, a.operands[1].value, ct,
                  InverseOf(GatherNumbersOf(a.params)), OptionsOf(a.params)),
          Value()};
}

BatchResult BatchGatherEqn(Builder& b, const BatchArgs& a) {
  return BatchGather(b, a.values, a.dims, a.axis.size, GatherNumbersOf(a.params),
                     a.params.Ints("slice_sizes"), OptionsOf(a.params));
}

// ---- lowering ----

// A gather equation on physical arrays: of keys, every slice takes the words too.
struct PhysicalGather {
  Aval x;
  Aval indices;
  Aval out;
  GatherNumbers numbers;
  Dims sizes;
  bool sorted = false;
  ParamValue fill_value = {};
};

Aval PhysicalAval(const Aval& a) {
  const TensorType type = lowering::PhysicalType(a);
  return Aval{type.dtype, false, type.shape};
}

PhysicalGather PhysicalOf(const LowerContext& c) {
  PhysicalGather g{PhysicalAval(c.in_aval(0)),     c.in_aval(1),
                   PhysicalAval(c.out_aval()),     GatherNumbersOf(c.params()),
                   c.params().Ints("slice_sizes"), c.params().Bool("indices_are_sorted"),
                   c.params()["fill_value"]};
  for (size_t d = c.out_aval().rank(); d < g.out.rank(); ++d) {
    g.numbers.offset_dims.insert(g.numbers.offset_dims.size(), static_cast<int64_t>(d));
    g.sizes.push_back(g.out.shape[d]);
  }
  return g;
}

// The fill value as an element.
Literal FillElement(DType dtype, const ParamValue& fill) {
  const std::string& text = fill.AsText();
  if (const auto large = ParseUint(text)) {
    return tensor::IsInteger(dtype) ? Literal::Int(dtype, static_cast<int64_t>(*large))
                                    : Literal::Float(dtype, static_cast<double>(*large));
  }
  if (const auto number = ir::ParsePythonComplex(text)) {
    return tensor::IsComplex(dtype) ? Literal::Complex(dtype, *number)
                                    : Literal::Float(dtype, number->real());
  }
  const bool exact = tensor::IsInteger(dtype) && fill.kind() != ParamValue::Kind::kFloat;
  return exact ? Literal::Int(dtype, fill.AsInt()) : Literal::Float(dtype, fill.AsFloat());
}

// A gather that assumes all slices inside, masked by whether they are.
std::vector<Value> FilledGather(Builder& b, const PhysicalGather& g, std::span<const Value> in) {
  const DType index_type = IndexTypeOf(g.x.shape);
  const auto batch_rank = static_cast<int64_t>(g.indices.rank()) - 1;
  Dims last_starts;
  for (const int64_t d : g.numbers.start_index_map) {
    const auto at = static_cast<size_t>(d);
    last_starts.push_back(g.x.shape[at] - g.sizes[at]);
  }
  const Value bounds = IndexVector(b, index_type, last_starts);
  const Value indices = ir::ConvertElementType(b, in[1], index_type);
  const Value zero = ir::ScalarOf(b, index_type, 0);
  const Value from_low = ir::Binary(b, "ge", indices, zero);
  const Value wide_bounds = ir::ExpandDims(b, bounds, ir::Range(batch_rank));
  const Value to_high = ir::Binary(b, "le", indices, wide_bounds);
  const Value component_fits = ir::Binary(b, "and", from_low, to_high);
  const Value fits =
      b.Emit1("reduce_and", {component_fits}, {{"axes", ParamValue::Ints(Dims{batch_rank})}});
  const Dims batch_dims =
      ir::Without(ir::Range(static_cast<int64_t>(g.out.rank())), g.numbers.offset_dims);
  const Value slices = Gather(b, in[0], indices, g.numbers, g.sizes, {.sorted = g.sorted});
  const Value mask = ir::BroadcastInDim(b, fits, g.out.shape, batch_dims);
  const Value fill = ir::Broadcast(b, b.Lit(FillElement(g.out.dtype, g.fill_value)), g.out.shape);
  return {ir::Select(b, mask, slices, fill)};
}

Status LowerGather(LowerContext& c) {
  const PhysicalGather g = PhysicalOf(c);
  if (ModeOf(c.params()) == IndexMode::kFillOrDrop) {
    c.Out(c.Traced(c.ins(), {g.x, g.indices},
                   [&](Builder& b, std::span<const Value> in) { return FilledGather(b, g, in); }));
    return OkStatus();
  }
  // StableHLO clamps the start of every slice.
  if (ir::Contains(g.out.shape, 0)) {
    c.Out(FullOf(c.b(), c.out_type(), 0));
    return OkStatus();
  }
  const stablehlo::GatherDims dims{
      g.numbers.offset_dims,           g.numbers.collapsed_slice_dims,
      g.numbers.operand_batching_dims, g.numbers.start_indices_batching_dims,
      g.numbers.start_index_map,       static_cast<int64_t>(g.indices.rank()) - 1};
  c.Out(c.b().Gather(c.in(0), c.in(1), dims, g.sizes, g.sorted));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kGatherParams[] = {
    {"dimension_numbers", Type::kTuple}, {"fill_value", Type::kAny, Show::kAlways, "None"},
    {"indices_are_sorted", Type::kBool}, {"mode", Type::kText},
    {"slice_sizes", Type::kInts},        {"unique_indices", Type::kBool},
};

constexpr Sample kGatherSamples[] = {
    // rows
    {"{ lambda ; a:f32[5,3] b:i32[4,1]. let c:f32[4,3] = "
     "OP[dimension_numbers=GatherDimensionNumbers("
     "offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), "
     "start_indices_batching_dims=()) fill_value=None indices_are_sorted=False "
     "mode=GatherScatterMode.CLIP "
     "slice_sizes=(1, 3) unique_indices=False] a b in (c,) }",
     ir::Domain::kIndex},
    // out-of-range slices are filled
    {"{ lambda ; a:f32[5,3] b:i32[4,2]. let c:f32[4,2] = "
     "OP[dimension_numbers=GatherDimensionNumbers("
     "offset_dims=(1,), collapsed_slice_dims=(0,), start_index_map=(0, 1), "
     "operand_batching_dims=(), "
     "start_indices_batching_dims=()) fill_value=0 indices_are_sorted=False "
     "mode=GatherScatterMode.FILL_OR_DROP "
     "slice_sizes=(1, 2) unique_indices=False] a b in (c,) }",
     ir::Domain::kIndex},
    // batching dimensions
    {"{ lambda ; a:f32[2,5,3] b:i32[4,2,1]. let c:f32[3,4,2] = "
     "OP[dimension_numbers=GatherDimensionNumbers("
     "offset_dims=(0,), collapsed_slice_dims=(1,), start_index_map=(1,), "
     "operand_batching_dims=(0,), "
     "start_indices_batching_dims=(1,)) fill_value=None indices_are_sorted=False "
     "mode=GatherScatterMode.PROMISE_IN_BOUNDS slice_sizes=(1, 1, 3) unique_indices=False] a b in "
     "(c,) }",
     ir::Domain::kIndex},
    // keys, some of them outside
    {"{ lambda ; a:key<fry>[2] b:i32[4,1]. let c:key<fry>[4] = "
     "OP[dimension_numbers=GatherDimensionNumbers("
     "offset_dims=(), collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), "
     "start_indices_batching_dims=()) fill_value=4294967295 indices_are_sorted=False "
     "mode=GatherScatterMode.FILL_OR_DROP slice_sizes=(1,) unique_indices=False] a b in (c,) }",
     ir::Domain::kIndex},
    // one slice, indices of a narrow type
    {"{ lambda ; a:f32[2,3] b:u8[1]. let c:f32[3] = "
     "OP[dimension_numbers=GatherDimensionNumbers(offset_dims=(0,), "
     "collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), "
     "start_indices_batching_dims=()) "
     "fill_value=1 indices_are_sorted=True mode=GatherScatterMode.FILL_OR_DROP slice_sizes=(1, 3) "
     "unique_indices=True] a b in (c,) }",
     ir::Domain::kIndex},
    // no index
    {"{ lambda ; a:f32[5] b:i32[0,1]. let c:f32[0] = "
     "OP[dimension_numbers=GatherDimensionNumbers(offset_dims=(), "
     "collapsed_slice_dims=(0,), start_index_map=(0,), operand_batching_dims=(), "
     "start_indices_batching_dims=()) "
     "fill_value=None indices_are_sorted=False mode=GatherScatterMode.CLIP slice_sizes=(1,) "
     "unique_indices=False] "
     "a b in (c,) }",
     ir::Domain::kIndex},
};

constexpr OpDef kOps[] = {
    {.name = "gather",
     .arity = 2,
     .params = kGatherParams,
     .type_rule = GatherType,
     .jvp = ir::JvpTerms<JvpGather, nullptr>(),
     .transpose = TransposeGather,
     .batch = ir::BatchFull(BatchGatherEqn),
     .lower = LowerGather,
     .spec = "primitives.md#gather",
     .samples = kGatherSamples},
};

}  // namespace

std::span<const OpDef> GatherOps() { return kOps; }

}  // namespace megalith::ops

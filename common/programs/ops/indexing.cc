#include "common/programs/ops/indexing.h"

#include <limits>
#include <map>
#include <mutex>

#include "common/foundation/base/strings.h"

namespace megalith::ops {
namespace {

constexpr std::string_view kModeTexts[] = {"GatherScatterMode.CLIP",
                                           "GatherScatterMode.FILL_OR_DROP",
                                           "GatherScatterMode.PROMISE_IN_BOUNDS"};
constexpr std::string_view kGatherFields[] = {"offset_dims", "collapsed_slice_dims",
                                              "start_index_map", "operand_batching_dims",
                                              "start_indices_batching_dims"};
constexpr std::string_view kScatterFields[] = {
    "update_window_dims", "inserted_window_dims", "scatter_dims_to_operand_dims",
    "operand_batching_dims", "scatter_indices_batching_dims"};

Status ReadFields(const ParamValue& v, std::string_view type,
                  std::span<const std::string_view> names, std::span<ir::IntTuple* const> out) {
  for (size_t i = 0; i < names.size(); ++i) {
    const ParamValue& field = v.Field(names[i]);
    bool ints = field.is_sequence();
    for (const ParamValue& e : field.elements()) ints = ints && e.kind() == ParamValue::Kind::kInt;
    if (!ints) {
      return TypeError(StrCat("dimension_numbers must be ", type, " with integers in ", names[i],
                              ", got ", Printable(v.PythonText(), 200)));
    }
    *out[i] = ir::IntTuple(field);
  }
  return OkStatus();
}

ParamValue FieldsParam(std::string_view type, std::span<const std::string_view> names,
                       std::initializer_list<const ir::IntTuple*> values) {
  std::vector<std::string> fields(names.begin(), names.end());
  ir::ParamValues tuples;
  for (const ir::IntTuple* v : values) tuples.push_back(v->Param());
  return ParamValue::NamedTuple(std::string(type), std::move(fields), std::move(tuples));
}

// What lax.gather fills with when the caller does not say.
ParamValue DefaultFill(DType dtype) {
  if (tensor::IsInexact(dtype)) return ParamValue::Float(std::numeric_limits<double>::quiet_NaN());
  if (tensor::IsBool(dtype)) return ParamValue::Bool(true);
  if (tensor::IsKey(dtype)) return ParamValue::Int(UINT32_MAX);
  const int bits = tensor::BitWidth(dtype);
  if (tensor::IsSigned(dtype)) return ParamValue::Int(INT64_MIN >> (64 - bits));
  if (bits == 64)
    return ParamValue::Text("18446744073709551615");  // does not fit the parameter's integer
  return ParamValue::Int(static_cast<int64_t>((uint64_t{1} << bits) - 1));
}

// Dimensions as they are called after a leading batch dimension.
ir::IntTuple NextDims(const Dims& dims) { return ir::IntTuple::Numpy(ir::Shifted(dims, 1)); }

}  // namespace

GatherNumbers InverseOf(const ScatterNumbers& s) {
  return {s.update_window_dims, s.inserted_window_dims, s.scatter_dims_to_operand_dims,
          s.operand_batching_dims, s.scatter_indices_batching_dims};
}
ScatterNumbers InverseOf(const GatherNumbers& g) {
  return {g.offset_dims, g.collapsed_slice_dims, g.start_index_map, g.operand_batching_dims,
          g.start_indices_batching_dims};
}

Result<GatherNumbers> ParseGatherNumbers(const ParamValue& v) {
  GatherNumbers g;
  ir::IntTuple* const out[] = {&g.offset_dims, &g.collapsed_slice_dims, &g.start_index_map,
                               &g.operand_batching_dims, &g.start_indices_batching_dims};
  RETURN_IF_ERROR(ReadFields(v, "GatherDimensionNumbers", kGatherFields, out));
  return g;
}
Result<ScatterNumbers> ParseScatterNumbers(const ParamValue& v) {
  ScatterNumbers s;
  ir::IntTuple* const out[] = {&s.update_window_dims, &s.inserted_window_dims,
                               &s.scatter_dims_to_operand_dims, &s.operand_batching_dims,
                               &s.scatter_indices_batching_dims};
  RETURN_IF_ERROR(ReadFields(v, "ScatterDimensionNumbers", kScatterFields, out));
  return s;
}
ParamValue GatherNumbersParam(const GatherNumbers& g) {
  return FieldsParam("GatherDimensionNumbers", kGatherFields,
                     {&g.offset_dims, &g.collapsed_slice_dims, &g.start_index_map,
                      &g.operand_batching_dims, &g.start_indices_batching_dims});
}
ParamValue ScatterNumbersParam(const ScatterNumbers& s) {
  return FieldsParam(
      "ScatterDimensionNumbers", kScatterFields,
      {&s.update_window_dims, &s.inserted_window_dims, &s.scatter_dims_to_operand_dims,
       &s.operand_batching_dims, &s.scatter_indices_batching_dims});
}
GatherNumbers GatherNumbersOf(const Params& params) {
  return *ParseGatherNumbers(params["dimension_numbers"]);
}
ScatterNumbers ScatterNumbersOf(const Params& params) {
  return *ParseScatterNumbers(params["dimension_numbers"]);
}

Result<IndexMode> ParseMode(const Params& params) {
  const std::string& text = params.Text("mode");
  for (size_t i = 0; i < std::size(kModeTexts); ++i) {
    if (text == kModeTexts[i]) return static_cast<IndexMode>(i);
  }
  return NotImplementedError(
      StrCat(params.op()->name, " with mode ", Printable(text), " is not supported"));
}
IndexMode ModeOf(const Params& params) { return *ParseMode(params); }

IndexOptions OptionsOf(const Params& params) {
  return {ModeOf(params), params.Bool("indices_are_sorted"), params.Bool("unique_indices"),
          params["fill_value"]};
}

Value Gather(Builder& b, Value x, Value indices, const GatherNumbers& numbers,
             const Dims& slice_sizes, const IndexOptions& options) {
  ParamValue fill;
  if (options.mode == IndexMode::kFillOrDrop) {
    fill = options.fill_value.is_none() ? DefaultFill(x.dtype()) : options.fill_value;
  }
  return b.Emit1(
      "gather", {x, indices},
      {{"dimension_numbers", GatherNumbersParam(numbers)},
       {"fill_value", std::move(fill)},
       {"indices_are_sorted", ParamValue::Bool(options.sorted)},
       {"mode", ParamValue::Text(std::string(kModeTexts[static_cast<size_t>(options.mode)]))},
       {"slice_sizes", ParamValue::Ints(slice_sizes)},
       {"unique_indices", ParamValue::Bool(options.unique)}});
}

Value Scatter(Builder& b, std::string_view op, Value x, Value indices, Value updates,
              const ScatterNumbers& numbers, const IndexOptions& options) {
  ParamValue combiner;
  const std::string_view name = CombinerName(op);
  if (!name.empty()) {
    const OpDef* def = b.session().ops().Find(name);
    if (def == nullptr) {
      b.Fail(Internal(StrCat("no primitive '", name, "' in the table this session uses")));
      return x;
    }
    combiner = ParamValue::SubJaxpr(CombinerJaxpr(*def, x.dtype()));
  }
  return b.Emit1(
      op, {x, indices, updates},
      {{"dimension_numbers", ScatterNumbersParam(numbers)},
       {"indices_are_sorted", ParamValue::Bool(options.sorted)},
       {"mode", ParamValue::Text(std::string(kModeTexts[static_cast<size_t>(options.mode)]))},
       {"unique_indices", ParamValue::Bool(options.unique)},
       {"update_jaxpr", std::move(combiner)}});
}

Dims UpdateSliceSizes(const ScatterNumbers& numbers, size_t rank, const Shape& updates) {
  Dims sizes;
  size_t next = 0;
  for (size_t i = 0; i < rank; ++i) {
    const auto d = static_cast<int64_t>(i);
    if (ir::Contains(numbers.inserted_window_dims, d) ||
        ir::Contains(numbers.operand_batching_dims, d)) {
      sizes.push_back(1);
    } else {
      sizes.push_back(updates[static_cast<size_t>(numbers.update_window_dims[next++])]);
    }
  }
  return sizes;
}

DType IndexTypeOf(const Dims& shape) {
  for (const int64_t d : shape) {
    if (d > INT32_MAX) return DType::kI64;
  }
  return DType::kI32;
}

Value IndexVector(Builder& b, DType dtype, const Dims& values) {
  tensor::Tensor t = *tensor::Tensor::Create(dtype, Shape{static_cast<int64_t>(values.size())});
  for (size_t i = 0; i < values.size(); ++i) t.SetInt(static_cast<int64_t>(i), values[i]);
  return b.Const(t);
}

BatchResult BatchGather(Builder& b, std::span<const Value> values, std::span<const int> dims,
                        int64_t size, const GatherNumbers& g, const Dims& slice_sizes,
                        const IndexOptions& options) {
  IndexOptions opts = options;
  Value x = values[0];
  Value indices = values[1];
  GatherNumbers n = g;
  Dims sizes = slice_sizes;
  if (dims[0] != kUnmapped) x = ir::MoveAxis(b, x, dims[0], 0);
  if (dims[1] != kUnmapped) indices = ir::MoveAxis(b, indices, dims[1], 0);
  // JAX shifts these dimensions with NumPy, but for the offset dimensions under an unmapped
  // operand.
  n.offset_dims = dims[0] == kUnmapped ? g.offset_dims.Plus(1) : NextDims(g.offset_dims);
  if (dims[0] != kUnmapped) {
    n.collapsed_slice_dims = NextDims(g.collapsed_slice_dims);
    n.start_index_map = NextDims(g.start_index_map);
    n.operand_batching_dims = NextDims(g.operand_batching_dims);
  }
  if (dims[1] != kUnmapped) n.start_indices_batching_dims = NextDims(g.start_indices_batching_dims);
  if (dims[0] == kUnmapped) {
    // All lanes look into one array: together their indices need not be sorted or unique any more.
    opts.sorted = false;
    opts.unique = false;
  } else if (dims[1] == kUnmapped) {
    sizes.insert(0, size);
    n.offset_dims.insert(0, 0);
  } else {
    sizes.insert(0, size == 0 ? 0 : 1);
    n.operand_batching_dims.insert(0, 0);
    n.start_indices_batching_dims.insert(0, 0);
  }
  return {{Gather(b, x, indices, n, sizes, opts)}, {0}};
}

BatchResult BatchScatter(Builder& b, const OpDef& op, Params params, std::span<const Value> values,
                         std::span<const int> dims, int64_t size, const ScatterNumbers& s) {
  const Value x = ir::BatchAtFront(b, values[0], dims[0], size);
  const Value updates = ir::BatchAtFront(b, values[2], dims[2], size);
  Value indices = values[1];
  ScatterNumbers n = s;
  n.update_window_dims = NextDims(s.update_window_dims);
  n.inserted_window_dims = NextDims(s.inserted_window_dims);
  n.scatter_dims_to_operand_dims = NextDims(s.scatter_dims_to_operand_dims);
  n.operand_batching_dims = NextDims(s.operand_batching_dims);
  if (dims[1] == kUnmapped) {
    n.update_window_dims.insert(0, 0);
  } else {
    indices = ir::BatchAtFront(b, indices, dims[1], size);
    n.scatter_indices_batching_dims = NextDims(s.scatter_indices_batching_dims);
    n.operand_batching_dims.insert(0, 0);
    n.scatter_indices_batching_dims.insert(0, 0);
  }
  params.Set("dimension_numbers", ScatterNumbersParam(n));
  const Value operands[] = {x, indices, updates};
  return {b.Emit(op, std::move(params), operands), {0}};
}

const ir::JaxprPtr& CombinerJaxpr(const OpDef& op, DType dtype) {
  // Records are constants, so their addresses are keys for the life of the process; at most one
  // entry per record that combines and dtype.
  static std::mutex mutex;
  static std::map<std::pair<const OpDef*, DType>, ir::JaxprPtr> made;
  const std::lock_guard lock(mutex);
  ir::JaxprPtr& slot = made[{&op, dtype}];
  if (slot == nullptr) {
    const Aval scalar{dtype, false, {}};
    ir::JaxprAssembler assembler;
    const ir::VarId first = assembler.AddInput(scalar);
    const ir::VarId second = assembler.AddInput(scalar);
    const ir::Atom operands[] = {ir::Atom::Var(first), ir::Atom::Var(second)};
    const ir::VarId sum =
        assembler.AddEqn(&op, std::make_shared<const Params>(op), operands, {&scalar, 1});
    assembler.SetOuts({ir::Atom::Var(sum)});
    slot = assembler.Finish();
  }
  return slot;
}

std::string_view CombinerName(std::string_view scatter_op) {
  constexpr std::string_view kPrefix = "scatter-";
  return scatter_op.starts_with(kPrefix) ? scatter_op.substr(kPrefix.size()) : std::string_view();
}

}  // namespace megalith::ops

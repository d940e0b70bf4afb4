// Dynamic slices, gathers and scatters whose positions are known, or that move one window.
#include <algorithm>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

// The constant start index of a window of `size` in a dimension of `extent`, as the operations
// clamp it.
std::optional<int64_t> StartOf(const Graph& g, ValueId index, int64_t extent, int64_t size) {
  const auto start = IntSplat(g, index);
  if (!start) return std::nullopt;
  if (*start < 0) return tensor::IsUnsigned(g.dtype(index)) ? extent - size : 0;
  return std::min(*start, extent - size);
}

AttrDict SliceAttrs(const Dims& start, const Dims& limit) {
  AttrDict attrs;
  attrs.push_back({"limit_indices", Attr::Ints(limit)});
  attrs.push_back({"start_indices", Attr::Ints(start)});
  attrs.push_back({"strides", Attr::Ints(Dims(start.size(), 1))});
  return attrs;
}

bool MoveOfSplat(Graph& g, Node& n) {
  const Tensor* t = SplatOf(g, g.operand(n, 0));
  if (t == nullptr) return false;
  g.Replace(n, g.Splat(g.result_type(n), *t));
  return true;
}

bool DynamicSliceFull(Graph& g, Node& n) {
  if (!(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool DynamicSliceConstant(Graph& g, Node& n) {
  const Shape& shape = g.operand_type(n, 0).shape;
  Dims start, limit;
  for (size_t i = 0; i < shape.size(); ++i) {
    const int64_t size = n.ints("slice_sizes")[i];
    const auto at = StartOf(g, g.operand(n, static_cast<uint32_t>(i) + 1), shape[i], size);
    if (!at) return false;
    start.push_back(*at);
    limit.push_back(*at + size);
  }
  g.Become(n, OpKind::kSlice, {g.operand(n, 0)}, SliceAttrs(start, limit));
  return true;
}

// The index of a dimension taken whole is 0, whatever it says; constants are clamped once and for
// all. `first` is the operand of the first index.
bool TrimIndices(Graph& g, Node& n, uint32_t first, const Shape& sizes) {
  const Shape& shape = g.operand_type(n, 0).shape;
  bool changed = false;
  for (size_t i = 0; i < shape.size(); ++i) {
    const auto operand = static_cast<uint32_t>(i) + first;
    const ValueId index = g.operand(n, operand);
    const bool whole = shape[i] == sizes[i];
    const auto start = whole ? std::optional<int64_t>(0) : StartOf(g, index, shape[i], sizes[i]);
    if (!start || IsIntSplat(g, index, *start)) continue;
    g.SetOperand(n, operand, g.SplatInt(g.type(index), *start));
    changed = true;
  }
  return changed;
}

bool DynamicSliceTrim(Graph& g, Node& n) { return TrimIndices(g, n, 1, g.result_type(n).shape); }
bool UpdateTrim(Graph& g, Node& n) { return TrimIndices(g, n, 2, g.operand_type(n, 1).shape); }

// Reading back what was just written there.
bool DynamicSliceOfUpdate(Graph& g, Node& n) {
  const Node* update = g.DefOfKind(g.operand(n, 0), OpKind::kDynamicUpdateSlice);
  if (update == nullptr || !(g.operand_type(*update, 1) == g.result_type(n))) return false;
  for (uint32_t i = 1; i < n.num_operands; ++i) {
    if (g.operand(n, i) != g.operand(*update, i + 1)) return false;
  }
  g.Replace(n, g.operand(*update, 1));
  return true;
}

bool UpdateAll(Graph& g, Node& n) {
  if (!(g.operand_type(n, 1) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 1));
  return true;
}

bool UpdateNothing(Graph& g, Node& n) {
  if (stablehlo::ElementCount(g.operand_type(n, 1)) != 0) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

// Writing where the same window was written before.
bool UpdateTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kDynamicUpdateSlice);
  if (inner == nullptr || !(g.operand_type(*inner, 1) == g.operand_type(n, 1))) return false;
  for (uint32_t i = 2; i < n.num_operands; ++i) {
    if (g.operand(n, i) != g.operand(*inner, i)) return false;
  }
  g.SetOperand(n, 0, g.operand(*inner, 0));
  return true;
}

// Scalar start indices of the dimensions of the operand, from an index array that holds one index
// vector: entry k of it is the index of dimension map[k], other dimensions start at 0.
std::vector<ValueId> ScalarIndices(Graph& g, Node& at, ValueId indices, const Dims& map,
                                   size_t rank) {
  const TensorType type = g.type(indices);
  const TensorType scalar = TensorType::Scalar(type.dtype);
  std::vector<ValueId> out(rank, kNoValue);
  const auto count = static_cast<int64_t>(map.size());
  const ValueId flat =
      g.Emit(at, OpKind::kReshape, {indices}, {}, TensorType{type.dtype, Shape{count}});
  for (int64_t k = 0; k < count; ++k) {
    ValueId one = flat;
    if (count > 1) {
      one = g.Emit(at, OpKind::kSlice, {flat}, SliceAttrs({k}, {k + 1}),
                   TensorType{type.dtype, Shape{1}});
    }
    out[static_cast<size_t>(map[static_cast<size_t>(k)])] =
        g.Emit(at, OpKind::kReshape, {one}, {}, scalar);
  }
  for (ValueId& v : out) {
    if (v == kNoValue) v = g.SplatInt(scalar, 0);
  }
  return out;
}

// One index vector: the window it names is a dynamic slice. Both clamp alike.
bool GatherOfOne(Graph& g, Node& n) {
  const auto& d = n.attr("dimension_numbers").AsGather();
  const TensorType in = g.operand_type(n, 0);
  const auto count = static_cast<int64_t>(d.start_index_map.size());
  if (!d.operand_batching_dims.empty() || count == 0 ||
      stablehlo::ElementCount(g.operand_type(n, 1)) != count) {
    return false;
  }
  const TensorType window{in.dtype, Shape(n.ints("slice_sizes"))};
  if (stablehlo::ElementCount(window) != stablehlo::ElementCount(g.result_type(n))) return false;
  std::vector<ValueId> operands =
      ScalarIndices(g, n, g.operand(n, 1), d.start_index_map, in.rank());
  operands.insert(operands.begin(), g.operand(n, 0));
  const ValueId slice =
      g.Emit(n, OpKind::kDynamicSlice, operands, IntsAttr("slice_sizes", window.shape), window);
  g.Become(n, OpKind::kReshape, {slice});
  return true;
}

// The only index vector of a scatter, if constant and the window it names is inside; a scatter
// outside of its operand writes nothing, where an update would be moved inside.
bool WindowIsInside(const Graph& g, ValueId indices, const Dims& map, const Shape& shape,
                    const Shape& window) {
  const Dense* d = g.ConstantOf(indices);
  if (d == nullptr) return false;
  for (size_t k = 0; k < map.size(); ++k) {
    const int64_t start = d->data.IntAt(d->data.size() == 1 ? 0 : static_cast<int64_t>(k));
    const auto dim = static_cast<size_t>(map[k]);
    if (start < 0 || start > shape[dim] - window[dim]) return false;
  }
  return true;
}

// True if the combiner returns its second argument.
bool TakesUpdate(const Graph& g, const Block& body) {
  return body.first == body.last && body.args.size() == 2 && body.last->num_operands == 1 &&
         g.operand(*body.last, 0) == body.args[1];
}

// What a scatter with one index vector writes, with the dimensions of its operand; no dtype if the
// scatter is another.
TensorType WindowOf(const Graph& g, const Node& n) {
  if (n.num_operands != 3 || !TakesUpdate(g, *n.regions[0])) return {};
  const auto& d = n.attr("scatter_dimension_numbers").AsScatter();
  const TensorType& in = g.operand_type(n, 0);
  const TensorType& updates = g.operand_type(n, 2);
  const auto count = static_cast<int64_t>(d.scatter_dims_to_operand_dims.size());
  if (!d.input_batching_dims.empty() || count == 0 ||
      stablehlo::ElementCount(g.operand_type(n, 1)) != count) {
    return {};
  }
  TensorType window{in.dtype, Shape{}};
  size_t next = 0;
  for (size_t i = 0; i < in.rank(); ++i) {
    const bool inserted = Contains(d.inserted_window_dims, static_cast<int64_t>(i));
    window.shape.push_back(
        inserted ? 1 : updates.shape[static_cast<size_t>(d.update_window_dims[next++])]);
  }
  return stablehlo::ElementCount(window) == stablehlo::ElementCount(updates) ? window
                                                                             : TensorType{};
}

void ScatterToUpdate(Graph& g, Node& n, const TensorType& window) {
  const Dims map = n.attr("scatter_dimension_numbers").AsScatter().scatter_dims_to_operand_dims;
  std::vector<ValueId> operands = ScalarIndices(g, n, g.operand(n, 1), map, window.rank());
  const ValueId update = g.Emit(n, OpKind::kReshape, {g.operand(n, 2)}, {}, window);
  operands.insert(operands.begin(), {g.operand(n, 0), update});
  g.Replace(n, g.Emit(n, OpKind::kDynamicUpdateSlice, operands, {}, g.result_type(n)));
}

bool ScatterOfOne(Graph& g, Node& n) {
  const TensorType window = WindowOf(g, n);
  if (!window.valid()) return false;
  const Dims& map = n.attr("scatter_dimension_numbers").AsScatter().scatter_dims_to_operand_dims;
  if (!WindowIsInside(g, g.operand(n, 1), map, g.operand_type(n, 0).shape, window.shape))
    return false;
  ScatterToUpdate(g, n, window);
  return true;
}

constexpr Rule kRules[] = {
    {"dynamic_slice_splat", OpKind::kDynamicSlice, MoveOfSplat},
    {"dynamic_slice_full", OpKind::kDynamicSlice, DynamicSliceFull},
    {"dynamic_slice_constant", OpKind::kDynamicSlice, DynamicSliceConstant},
    {"dynamic_slice_update", OpKind::kDynamicSlice, DynamicSliceOfUpdate},
    {"dynamic_slice_trim", OpKind::kDynamicSlice, DynamicSliceTrim},
    {"update_all", OpKind::kDynamicUpdateSlice, UpdateAll},
    {"update_nothing", OpKind::kDynamicUpdateSlice, UpdateNothing},
    {"update_twice", OpKind::kDynamicUpdateSlice, UpdateTwice},
    {"update_trim", OpKind::kDynamicUpdateSlice, UpdateTrim},
    {"gather_splat", OpKind::kGather, MoveOfSplat},
    {"gather_one", OpKind::kGather, GatherOfOne},
    {"scatter_one", OpKind::kScatter, ScatterOfOne},
};

}  // namespace

bool ScatterInside(Graph& g, Node& n, int64_t low, int64_t high) {
  const TensorType window = WindowOf(g, n);
  if (!window.valid() || low < 0) return false;
  for (const int64_t d :
       n.attr("scatter_dimension_numbers").AsScatter().scatter_dims_to_operand_dims) {
    const auto dim = static_cast<size_t>(d);
    if (high > g.operand_type(n, 0).shape[dim] - window.shape[dim]) return false;
  }
  ScatterToUpdate(g, n, window);
  return true;
}

std::span<const Rule> IndexRules() { return kRules; }

}  // namespace megalith::codegen

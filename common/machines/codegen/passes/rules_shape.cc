// Operations that move elements: merged, or replaced by a reshape, which costs nothing.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

constexpr std::string_view kDims = "broadcast_dimensions";

bool IsIota(std::span<const int64_t> dims) {
  for (size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] != static_cast<int64_t>(i)) return false;
  }
  return true;
}

// --- of constants ---

// However the elements of a constant are moved, if they are all the same they stay so.
bool MoveOfSplat(Graph& g, Node& n) {
  const Tensor* t = SplatOf(g, g.operand(n, 0));
  if (t == nullptr) return false;
  g.Replace(n, g.Splat(g.result_type(n), *t));
  return true;
}

bool ReshapeConstant(Graph& g, Node& n) {
  const Dense* d = g.ConstantOf(g.operand(n, 0));
  if (d == nullptr || d->splat) return false;
  const TensorType& type = g.result_type(n);
  g.Replace(n, g.Constant(Attr::OfDense({type, d->data.Reshaped(type.shape), false, false})));
  return true;
}

bool IotaOfOne(Graph& g, Node& n) {
  const TensorType& type = g.result_type(n);
  const auto dim = static_cast<size_t>(n.attr("iota_dimension").AsInt());
  if (type.shape[dim] > 1 || tensor::IsComplex(type.dtype)) return false;
  g.Replace(n, g.SplatInt(type, 0));
  return true;
}

bool DimensionSize(Graph& g, Node& n) {
  const auto dim = static_cast<size_t>(n.attr("dimension").AsInt());
  g.Replace(n, g.SplatInt(g.result_type(n), g.operand_type(n, 0).shape[dim]));
  return true;
}

// --- reshape ---

bool SameAsOperand(Graph& g, Node& n) {
  if (!(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool ReshapeTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kReshape);
  if (inner == nullptr) return false;
  g.SetOperand(n, 0, g.operand(*inner, 0));
  return true;
}

// Splits two shapes of equal size into the shortest runs of dimensions of equal size: calls
// visit(from_begin, from_end, to_begin, to_end) for each. Sizes are not zero.
template <typename Visit>
void ForEachGroup(const Shape& from, const Shape& to, const Visit& visit) {
  size_t i = 0;
  size_t j = 0;
  while (i < from.size() || j < to.size()) {
    const size_t i0 = i;
    const size_t j0 = j;
    int64_t a = i < from.size() ? from[i++] : 1;
    int64_t b = j < to.size() ? to[j++] : 1;
    while (a != b) {
      if (a < b) {
        a *= from[i++];
      } else {
        b *= to[j++];
      }
    }
    // Ones at the end belong to whatever came before them.
    while (i < from.size() && from[i] == 1 && j == to.size()) ++i;
    while (j < to.size() && to[j] == 1 && i == from.size()) ++j;
    visit(i0, i, j0, j);
  }
}

// A reshape of a broadcast, if each run of dimensions is broadcast as a whole or stays one
// dimension: a broadcast to the other shape.
bool ReshapeOfBroadcast(Graph& g, Node& n) {
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (spread == nullptr) return false;
  const ValueId x = g.operand(*spread, 0);
  const Shape& from = g.result_type(*spread).shape;
  const Shape& to = g.result_type(n).shape;
  for (const int64_t d : from) {
    if (d == 0) return false;
  }
  const auto dims = spread->ints(kDims);
  Dims moved(dims.size(), -1);
  bool possible = true;
  ForEachGroup(from, to, [&](size_t i0, size_t i1, size_t j0, size_t j1) {
    int64_t source = -1;  // the only dimension of size other than 1
    int64_t mapped = 0;
    for (size_t i = i0; i < i1; ++i) {
      const int64_t at = Find(dims, static_cast<int64_t>(i));
      if (at >= 0 && from[i] != 1) source = at;
      mapped += at >= 0 && from[i] != 1 ? 1 : 0;
      if (at >= 0 && from[i] == 1) possible = false;  // left to broadcast_drop_ones
    }
    if (mapped == 0) return;
    int64_t only = -1;
    int64_t wide = 0;
    for (size_t j = j0; j < j1; ++j) {
      if (to[j] == 1) continue;
      only = static_cast<int64_t>(j);
      ++wide;
    }
    const int64_t total = g.shape(x)[static_cast<size_t>(source)];
    if (mapped != 1 || wide != 1 || to[static_cast<size_t>(only)] != total) {
      possible = false;
      return;
    }
    moved[static_cast<size_t>(source)] = only;
  });
  if (!possible || Contains(moved, -1)) return false;
  g.Become(n, OpKind::kBroadcastInDim, {x}, IntsAttr(kDims, moved));
  return true;
}

// --- transpose ---

bool TransposeTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kTranspose);
  if (inner == nullptr) return false;
  Dims merged;
  for (const int64_t p : n.ints("permutation"))
    merged.push_back(inner->ints("permutation")[static_cast<size_t>(p)]);
  g.Become(n, OpKind::kTranspose, {g.operand(*inner, 0)}, IntsAttr("permutation", merged));
  return true;
}

bool TransposeNothing(Graph& g, Node& n) {
  if (!IsIota(n.ints("permutation"))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

// Dimensions of size 1 may go anywhere.
bool TransposeOfOnes(Graph& g, Node& n) {
  int64_t last = -1;
  for (const int64_t p : n.ints("permutation")) {
    if (g.operand_type(n, 0).shape[static_cast<size_t>(p)] == 1) continue;
    if (p < last) return false;
    last = p;
  }
  g.Become(n, OpKind::kReshape, {g.operand(n, 0)});
  return true;
}

bool TransposeOfBroadcast(Graph& g, Node& n) {
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (spread == nullptr) return false;
  Dims dims;
  for (const int64_t d : spread->ints(kDims)) dims.push_back(Find(n.ints("permutation"), d));
  g.Become(n, OpKind::kBroadcastInDim, {g.operand(*spread, 0)}, IntsAttr(kDims, dims));
  return true;
}

bool TransposeOfIota(Graph& g, Node& n) {
  const Node* iota = g.DefOfKind(g.operand(n, 0), OpKind::kIota);
  if (iota == nullptr) return false;
  const int64_t dim = Find(n.ints("permutation"), iota->attr("iota_dimension").AsInt());
  g.Become(n, OpKind::kIota, {}, {{"iota_dimension", Attr::Int(dim)}});
  return true;
}

// --- broadcast ---

bool BroadcastNothing(Graph& g, Node& n) {
  if (!IsIota(n.ints(kDims)) || !(g.operand_type(n, 0) == g.result_type(n))) return false;
  g.Replace(n, g.operand(n, 0));
  return true;
}

bool BroadcastTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (inner == nullptr) return false;
  Dims dims;
  for (const int64_t d : inner->ints(kDims)) dims.push_back(n.ints(kDims)[static_cast<size_t>(d)]);
  g.Become(n, OpKind::kBroadcastInDim, {g.operand(*inner, 0)}, IntsAttr(kDims, dims));
  return true;
}

bool BroadcastOfTranspose(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kTranspose);
  if (inner == nullptr) return false;
  const auto permutation = inner->ints("permutation");
  Dims dims(permutation.size(), 0);
  for (size_t i = 0; i < permutation.size(); ++i)
    dims[static_cast<size_t>(permutation[i])] = n.ints(kDims)[i];
  g.Become(n, OpKind::kBroadcastInDim, {g.operand(*inner, 0)}, IntsAttr(kDims, dims));
  return true;
}

// Nothing is repeated, only dimensions of size 1 are added.
bool BroadcastOfAll(Graph& g, Node& n) {
  const TensorType& in = g.operand_type(n, 0);
  const TensorType& out = g.result_type(n);
  if (stablehlo::ElementCount(in) != stablehlo::ElementCount(out)) return false;
  int64_t last = -1;
  for (size_t i = 0; i < in.rank(); ++i) {
    const int64_t d = n.ints(kDims)[i];
    if (in.shape[i] != out.shape[static_cast<size_t>(d)]) return false;
    if (in.shape[i] == 1) continue;
    if (d < last) return false;
    last = d;
  }
  g.Become(n, OpKind::kReshape, {g.operand(n, 0)});
  return true;
}

// Dimensions of size 1 of the operand say nothing.
bool BroadcastDropsOnes(Graph& g, Node& n) {
  const TensorType in = g.operand_type(n, 0);
  Dims dims;
  for (size_t i = 0; i < in.rank(); ++i) {
    if (in.shape[i] != 1) dims.push_back(n.ints(kDims)[i]);
  }
  if (dims.size() == in.rank()) return false;
  const ValueId x =
      g.Emit(n, OpKind::kReshape, {g.operand(n, 0)}, {}, TensorType{in.dtype, Squeezed(in.shape)});
  g.Become(n, OpKind::kBroadcastInDim, {x}, IntsAttr(kDims, dims));
  return true;
}

// A reshape below a broadcast that only added dimensions of size 1 is gone by broadcast_drop_ones;
// this removes one that added none but moved them.
bool BroadcastOfReshape(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kReshape);
  if (inner == nullptr) return false;
  const ValueId x = g.operand(*inner, 0);
  const Shape squeezed = Squeezed(g.shape(x));
  if (squeezed.size() != g.shape(x).size() || !(squeezed == Squeezed(g.result_type(*inner).shape)))
    return false;
  Dims dims;
  for (size_t i = 0; i < g.result_type(*inner).rank(); ++i) {
    if (g.result_type(*inner).shape[i] != 1) dims.push_back(n.ints(kDims)[i]);
  }
  g.Become(n, OpKind::kBroadcastInDim, {x}, IntsAttr(kDims, dims));
  return true;
}

// --- reverse ---

bool ReverseTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kReverse);
  if (inner == nullptr) return false;
  Dims dims;
  for (const int64_t d : n.ints("dimensions")) {
    if (!Contains(inner->ints("dimensions"), d)) dims.push_back(d);
  }
  for (const int64_t d : inner->ints("dimensions")) {
    if (!Contains(n.ints("dimensions"), d)) dims.push_back(d);
  }
  g.Become(n, OpKind::kReverse, {g.operand(*inner, 0)}, IntsAttr("dimensions", dims));
  return true;
}

// Along dimensions whose elements are all alike, or of size 1, reversal does nothing.
bool ReverseOfSame(Graph& g, Node& n) {
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  Dims dims;
  for (const int64_t d : n.ints("dimensions")) {
    const bool repeated = spread != nullptr && !Contains(spread->ints(kDims), d);
    if (!repeated && g.result_type(n).shape[static_cast<size_t>(d)] > 1) dims.push_back(d);
  }
  if (dims.size() == n.ints("dimensions").size() && !dims.empty()) return false;
  if (dims.empty()) {
    g.Replace(n, g.operand(n, 0));
  } else {
    g.Become(n, OpKind::kReverse, {g.operand(n, 0)}, IntsAttr("dimensions", dims));
  }
  return true;
}

constexpr Rule kRules[] = {
    {"reshape_splat", OpKind::kReshape, MoveOfSplat},
    {"reshape_constant", OpKind::kReshape, ReshapeConstant},
    {"reshape_nothing", OpKind::kReshape, SameAsOperand},
    {"reshape_twice", OpKind::kReshape, ReshapeTwice},
    {"reshape_broadcast", OpKind::kReshape, ReshapeOfBroadcast},
    {"transpose_splat", OpKind::kTranspose, MoveOfSplat},
    {"transpose_nothing", OpKind::kTranspose, TransposeNothing},
    {"transpose_twice", OpKind::kTranspose, TransposeTwice},
    {"transpose_ones", OpKind::kTranspose, TransposeOfOnes},
    {"transpose_broadcast", OpKind::kTranspose, TransposeOfBroadcast},
    {"transpose_iota", OpKind::kTranspose, TransposeOfIota},
    {"broadcast_splat", OpKind::kBroadcastInDim, MoveOfSplat},
    {"broadcast_nothing", OpKind::kBroadcastInDim, BroadcastNothing},
    {"broadcast_twice", OpKind::kBroadcastInDim, BroadcastTwice},
    {"broadcast_all", OpKind::kBroadcastInDim, BroadcastOfAll},
    {"broadcast_transpose", OpKind::kBroadcastInDim, BroadcastOfTranspose},
    {"broadcast_reshape", OpKind::kBroadcastInDim, BroadcastOfReshape},
    {"broadcast_drop_ones", OpKind::kBroadcastInDim, BroadcastDropsOnes},
    {"reverse_splat", OpKind::kReverse, MoveOfSplat},
    {"reverse_twice", OpKind::kReverse, ReverseTwice},
    {"reverse_same", OpKind::kReverse, ReverseOfSame},
    {"iota_one", OpKind::kIota, IotaOfOne},
    {"dimension_size", OpKind::kGetDimensionSize, DimensionSize},
};

}  // namespace

std::span<const Rule> ShapeRules() { return kRules; }

}  // namespace megalith::codegen

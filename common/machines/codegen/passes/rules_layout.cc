// Moving transposes and broadcasts: transposes sink until they meet a product, a reduction or
// another transpose; broadcasts too, so that less is computed.
#include <algorithm>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

// What `v` is before transposing by `permutation`, if that is free: a constant of one element, a
// broadcast or an iota. kNoValue if not.
ValueId Untransposed(Graph& g, Node& at, ValueId v, std::span<const int64_t> permutation) {
  const TensorType& type = g.type(v);
  TensorType before{type.dtype, Shape(type.rank(), 0)};
  if (type.rank() != permutation.size()) return kNoValue;
  for (size_t i = 0; i < permutation.size(); ++i)
    before.shape[static_cast<size_t>(permutation[i])] = type.shape[i];
  if (const Tensor* t = SplatOf(g, v)) return g.Splat(before, *t);
  const Node* d = g.def(v);
  if (d == nullptr) return kNoValue;
  if (d->kind == OpKind::kBroadcastInDim) {
    Dims dims;
    for (const int64_t b : d->ints("broadcast_dimensions"))
      dims.push_back(permutation[static_cast<size_t>(b)]);
    return g.Emit(at, OpKind::kBroadcastInDim, {g.operand(*d, 0)},
                  IntsAttr("broadcast_dimensions", dims), before);
  }
  if (d->kind == OpKind::kIota) {
    const int64_t dim = permutation[static_cast<size_t>(d->attr("iota_dimension").AsInt())];
    return g.Emit(at, OpKind::kIota, {}, {{"iota_dimension", Attr::Int(dim)}}, before);
  }
  return kNoValue;
}

bool IsFreeToTranspose(const Graph& g, ValueId v) {
  const Node* d = g.def(v);
  return SplatOf(g, v) != nullptr ||
         (d != nullptr && (d->kind == OpKind::kBroadcastInDim || d->kind == OpKind::kIota));
}

// op(transpose x, transpose y, ...) as transpose(op(x, y, ...)), all by the same permutation.
bool SinkTranspose(Graph& g, Node& n) {
  if (n.num_results != 1) return false;
  const Node* first = nullptr;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const ValueId v = g.operand(n, i);
    const Node* t = g.DefOfKind(v, OpKind::kTranspose);
    if (g.type(v).rank() == 0 && g.result_type(n).rank() != 0) continue;  // a scalar predicate
    if (t == nullptr) {
      if (!IsFreeToTranspose(g, v)) return false;
      continue;
    }
    if (g.OnlyUser(v) == nullptr && !(n.num_operands == 2 && g.operand(n, 0) == g.operand(n, 1)))
      return false;
    if (first == nullptr) first = t;
    if (!std::ranges::equal(first->ints("permutation"), t->ints("permutation"))) return false;
  }
  if (first == nullptr) return false;
  const Dims permutation(first->ints("permutation"));
  std::vector<ValueId> operands;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const ValueId v = g.operand(n, i);
    const Node* t = g.DefOfKind(v, OpKind::kTranspose);
    if (g.type(v).rank() == 0) {
      operands.push_back(v);
    } else {
      operands.push_back(t != nullptr ? g.operand(*t, 0) : Untransposed(g, n, v, permutation));
    }
  }
  const TensorType type{g.result_type(n).dtype, g.operand_type(*first, 0).shape};
  const ValueId moved = g.EmitNode(n, *n.def, operands, n.attrs, std::span(&type, 1)).first_result;
  g.Become(n, OpKind::kTranspose, {moved}, IntsAttr("permutation", permutation));
  return true;
}

// True if a transpose of `v` costs nothing: free itself, or computed from what is for this purpose.
bool VanishesUnderTranspose(const Graph& g, ValueId v, int depth) {
  if (IsFreeToTranspose(g, v)) return true;
  const Node* n = g.def(v);
  if (depth == 0 || n == nullptr || n->def->span == nullptr || n->num_results != 1 ||
      g.use_count(v) != 1) {
    return false;
  }
  for (uint32_t i = 0; i < n->num_operands; ++i) {
    const ValueId x = g.operand(*n, i);
    if (g.type(x).rank() != g.type(v).rank() || !VanishesUnderTranspose(g, x, depth - 1))
      return false;
  }
  return true;
}

// `v` transposed so that transposing it by `back` gives `v`.
ValueId BuildTransposed(Graph& g, Node& at, ValueId v, std::span<const int64_t> back) {
  if (IsFreeToTranspose(g, v)) return Untransposed(g, at, v, back);
  const Node& n = *g.def(v);
  std::vector<ValueId> operands;
  for (uint32_t i = 0; i < n.num_operands; ++i)
    operands.push_back(BuildTransposed(g, at, g.operand(n, i), back));
  const TensorType type{g.type(v).dtype, g.shape(operands[0])};
  return g.EmitNode(at, *n.def, operands, n.attrs, std::span(&type, 1)).first_result;
}

// A transpose of what is computed from broadcasts, constants and iotas alone.
bool TransposeOfFree(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  if (g.def(x) == nullptr || IsFreeToTranspose(g, x) || !VanishesUnderTranspose(g, x, 4))
    return false;
  const auto permutation = n.ints("permutation");
  Dims back(permutation.size(), 0);
  for (size_t i = 0; i < permutation.size(); ++i)
    back[static_cast<size_t>(permutation[i])] = static_cast<int64_t>(i);
  g.Replace(n, BuildTransposed(g, n, x, back));
  return true;
}

// op(broadcast x, broadcast y, constant) as broadcast(op(x, y, constant)), all broadcast alike.
bool SinkBroadcast(Graph& g, Node& n) {
  if (n.num_results != 1 || stablehlo::ElementCount(g.result_type(n)) == 0) return false;
  const Node* first = nullptr;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const ValueId v = g.operand(n, i);
    if (SplatOf(g, v) != nullptr) continue;
    const Node* b = g.DefOfKind(v, OpKind::kBroadcastInDim);
    if (b == nullptr) return false;
    if (first == nullptr) first = b;
    if (!(g.operand_type(*first, 0).shape == g.operand_type(*b, 0).shape) ||
        !(g.result_type(*first).shape == g.result_type(*b).shape) ||
        !std::ranges::equal(first->ints("broadcast_dimensions"), b->ints("broadcast_dimensions")))
      return false;
  }
  if (first == nullptr) return false;
  const Dims dims(first->ints("broadcast_dimensions"));
  const Shape small = g.operand_type(*first, 0).shape;
  std::vector<ValueId> operands;
  for (uint32_t i = 0; i < n.num_operands; ++i) {
    const ValueId v = g.operand(n, i);
    const Tensor* t = SplatOf(g, v);
    operands.push_back(t != nullptr ? g.Splat(TensorType{t->dtype(), small}, *t)
                                    : g.operand(*g.def(v), 0));
  }
  const TensorType type{g.result_type(n).dtype, small};
  const ValueId moved = g.EmitNode(n, *n.def, operands, n.attrs, std::span(&type, 1)).first_result;
  g.Become(n, OpKind::kBroadcastInDim, {moved}, IntsAttr("broadcast_dimensions", dims));
  return true;
}

// reshape(op(reshape x, reshape y, constant)) back to the shape of x: op(x, y, constant).
bool ReshapeRoundTrip(Graph& g, Node& n) {
  const Node* op = g.def(g.operand(n, 0));
  if (op == nullptr || op->def->span == nullptr || op->num_results != 1 ||
      g.use_count(op->first_result) != 1) {
    return false;
  }
  const Shape& shape = g.result_type(n).shape;
  bool reshaped = false;
  for (uint32_t i = 0; i < op->num_operands; ++i) {
    const ValueId v = g.operand(*op, i);
    if (SplatOf(g, v) != nullptr) continue;
    const Node* r = g.DefOfKind(v, OpKind::kReshape);
    if (r == nullptr || !(g.operand_type(*r, 0).shape == shape)) return false;
    reshaped = true;
  }
  if (!reshaped) return false;
  std::vector<ValueId> operands;
  for (uint32_t i = 0; i < op->num_operands; ++i) {
    const ValueId v = g.operand(*op, i);
    const Tensor* t = SplatOf(g, v);
    operands.push_back(t != nullptr ? g.Splat(TensorType{t->dtype(), shape}, *t)
                                    : g.operand(*g.def(v), 0));
  }
  const TensorType type = g.result_type(n);
  g.Replace(n, g.EmitNode(n, *op->def, operands, op->attrs, std::span(&type, 1)).first_result);
  return true;
}

// Adds up the same elements in another order. Only if what is left keeps its order.
bool ReduceOfTranspose(Graph& g, Node& n) {
  if (n.num_operands != 2) return false;
  const Node* t = g.DefOfKind(g.operand(n, 0), OpKind::kTranspose);
  if (t == nullptr) return false;
  const auto permutation = t->ints("permutation");
  Dims dims;
  int64_t last = -1;
  for (size_t i = 0; i < permutation.size(); ++i) {
    if (Contains(n.ints("dimensions"), static_cast<int64_t>(i))) {
      dims.push_back(permutation[i]);
    } else if (permutation[i] < last) {
      return false;
    } else {
      last = permutation[i];
    }
  }
  std::sort(dims.begin(), dims.end());
  SetAttr(&n.attrs, "dimensions", Attr::Ints(dims));
  g.SetOperand(n, 0, g.operand(*t, 0));
  return true;
}

constexpr Rule kRules[] = {
    {"sink_transpose", OpKind::kElementwise, SinkTranspose},
    {"transpose_free", OpKind::kTranspose, TransposeOfFree},
    {"sink_broadcast", OpKind::kElementwise, SinkBroadcast},
    {"reshape_round_trip", OpKind::kReshape, ReshapeRoundTrip},
    {"reduce_transpose", OpKind::kReduce, ReduceOfTranspose, Keeps::kTerms},
};

}  // namespace

std::span<const Rule> LayoutRules() { return kRules; }

}  // namespace megalith::codegen

// Reductions that add up little or nothing.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

// The operation of a reduction of one array by one of the usual operations; kOther if it is none.
OpKind ReductionOf(const Graph& g, const Node& n) {
  if (n.num_operands != 2) return OpKind::kOther;
  const OpKind kind = BodyKind(g, *n.regions[0]);
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kMultiply:
    case OpKind::kMaximum:
    case OpKind::kMinimum:
    case OpKind::kAnd:
    case OpKind::kOr:
    case OpKind::kXor:
      return kind;
    default:
      return OpKind::kOther;
  }
}

// init (op) x, as a reduction over nothing is.
void CombineWithInit(Graph& g, Node& n, OpKind kind, ValueId x) {
  const TensorType type = g.result_type(n);
  if (!(g.type(x) == type)) x = g.Emit(n, OpKind::kReshape, {x}, {}, type);
  const ValueId init = g.Emit(n, OpKind::kBroadcastInDim, {g.operand(n, 1)},
                              IntsAttr("broadcast_dimensions", {}), type);
  g.Replace(n, g.Emit(n, kind, {init, x}, {}, type));
}

// Dimensions of size 1 need no adding up.
bool ReduceOfOnes(Graph& g, Node& n) {
  const OpKind kind = ReductionOf(g, n);
  if (kind == OpKind::kOther) return false;
  const TensorType in = g.operand_type(n, 0);
  const auto dims = n.ints("dimensions");
  TensorType small{in.dtype, Shape{}};
  Dims rest;
  for (size_t i = 0; i < in.rank(); ++i) {
    const bool reduced = Contains(dims, static_cast<int64_t>(i));
    if (reduced && in.shape[i] == 1) continue;
    if (reduced) rest.push_back(static_cast<int64_t>(small.rank()));
    small.shape.push_back(in.shape[i]);
  }
  if (!dims.empty() && rest.size() == dims.size()) return false;
  if (rest.empty()) {
    CombineWithInit(g, n, kind, g.operand(n, 0));
    return true;
  }
  const ValueId x = g.Emit(n, OpKind::kReshape, {g.operand(n, 0)}, {}, small);
  g.SetOperand(n, 0, x);
  SetAttr(&n.attrs, "dimensions", Attr::Ints(rest));
  return true;
}

// Of equal elements one is enough, if x (op) x is x.
bool ReduceOfRepeated(Graph& g, Node& n) {
  const OpKind kind = ReductionOf(g, n);
  const bool idempotent = kind == OpKind::kMaximum || kind == OpKind::kMinimum ||
                          kind == OpKind::kAnd || kind == OpKind::kOr;
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (!idempotent || spread == nullptr || tensor::IsComplex(g.result_type(n).dtype)) return false;
  const TensorType in = g.operand_type(n, 0);
  const auto dims = n.ints("dimensions");
  const auto source = spread->ints("broadcast_dimensions");
  TensorType small{in.dtype, Shape{}};
  Dims rest;
  Dims place(in.rank(), 0);  // of each dimension, without those that repeat
  for (size_t i = 0; i < in.rank(); ++i) {
    const auto d = static_cast<int64_t>(i);
    const bool reduced = Contains(dims, d);
    if (in.shape[i] == 0) return false;
    if (reduced && !Contains(source, d)) continue;
    place[i] = static_cast<int64_t>(small.rank());
    if (reduced) rest.push_back(place[i]);
    small.shape.push_back(in.shape[i]);
  }
  if (rest.size() == dims.size()) return false;
  Dims moved;
  for (const int64_t d : source) moved.push_back(place[static_cast<size_t>(d)]);
  const ValueId x = g.Emit(n, OpKind::kBroadcastInDim, {g.operand(*spread, 0)},
                           IntsAttr("broadcast_dimensions", moved), small);
  if (rest.empty()) {
    CombineWithInit(g, n, kind, x);
    return true;
  }
  g.SetOperand(n, 0, x);
  SetAttr(&n.attrs, "dimensions", Attr::Ints(rest));
  return true;
}

bool ReduceOfSplat(Graph& g, Node& n) {
  const OpKind kind = ReductionOf(g, n);
  const bool idempotent = kind == OpKind::kMaximum || kind == OpKind::kMinimum ||
                          kind == OpKind::kAnd || kind == OpKind::kOr;
  const Tensor* t = idempotent ? SplatOf(g, g.operand(n, 0)) : nullptr;
  if (t == nullptr || tensor::IsComplex(t->dtype()) ||
      stablehlo::ElementCount(g.operand_type(n, 0)) == 0) {
    return false;
  }
  CombineWithInit(g, n, kind, g.Splat(g.result_type(n), *t));
  return true;
}

// Arrays that are sorted along with others, decide nothing and are not read.
bool SortDropsUnused(Graph& g, Node& n) {
  Block& comparator = *n.regions[0];
  std::vector<bool> keep(n.num_results);
  std::vector<bool> keep_args(2 * static_cast<size_t>(n.num_results));
  bool all = true;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    keep[i] = g.use_count(n.result(i)) + g.use_count(comparator.args[2 * i]) +
                  g.use_count(comparator.args[2 * i + 1]) !=
              0;
    keep_args[2 * i] = keep_args[2 * i + 1] = keep[i];
    all = all && keep[i];
  }
  if (all) return false;
  g.KeepArgs(comparator, keep_args);
  g.KeepResults(n, keep, true);
  return true;
}

constexpr Rule kRules[] = {
    {"sort_unused", OpKind::kSort, SortDropsUnused},
    {"reduce_splat", OpKind::kReduce, ReduceOfSplat},
    {"reduce_ones", OpKind::kReduce, ReduceOfOnes},
    {"reduce_repeated", OpKind::kReduce, ReduceOfRepeated},
};

}  // namespace

std::span<const Rule> ReductionRules() { return kRules; }

}  // namespace megalith::codegen

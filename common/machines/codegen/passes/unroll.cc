// Short loops over arrays, unrolled.
//
// A loop whose turns are few and only compute elements from elements keeps its arrays in memory
// between turns; written out, its turns fuse into one kernel that keeps them in registers. Random
// numbers are such loops: the rounds of a cipher, five times four.
#include <unordered_map>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"

namespace megalith::codegen {
namespace {

constexpr int64_t kMostTurns = 16;

void CollectLoops(const Block& b, std::vector<Node*>* out) {
  for (Node* n = b.first; n != nullptr; n = n->next) {
    for (const Block* inner : n->regions) CollectLoops(*inner, out);
    if (n->kind == OpKind::kWhile) out->push_back(n);
  }
}

// True if a fused kernel can hold the operation, whatever surrounds it.
bool Fuses(const Graph& g, const Node& n) {
  if (n.effect || !n.regions.empty() || n.def->has(stablehlo::kIndeterminate)) return false;
  switch (n.kind) {
    case OpKind::kBroadcastInDim:
    case OpKind::kIota:
    case OpKind::kReshape:
    case OpKind::kReverse:
    case OpKind::kSlice:
    case OpKind::kTranspose:
      return true;
    case OpKind::kBitcastConvert:
      return g.shape(n.result()) == g.shape(g.operand(n, 0));
    default:
      return n.def->span != nullptr;
  }
}

// The operations of one turn; -1 if some do not fuse.
int64_t OpsOfTurn(const Graph& g, const Block& body) {
  int64_t ops = 0;
  for (const Node* n = body.first; n != body.last; n = n->next) {
    if (!Fuses(g, *n)) return -1;
    ++ops;
  }
  return ops;
}

void Unroll(Graph& g, Node& loop, int64_t turns) {
  const Block& body = *loop.regions[1];
  std::vector<ValueId> carried = g.operands(loop);
  for (int64_t turn = 0; turn < turns; ++turn) {
    std::unordered_map<ValueId, ValueId> now;
    for (size_t i = 0; i < carried.size(); ++i) now[body.args[i]] = carried[i];
    const auto of = [&](ValueId v) {
      const auto it = now.find(v);
      return it == now.end() ? v : it->second;
    };
    for (const Node* n = body.first; n != body.last; n = n->next) {
      std::vector<ValueId> operands = g.operands(*n);
      for (ValueId& v : operands) v = of(v);
      std::vector<TensorType> types;
      for (uint32_t r = 0; r < n->num_results; ++r) types.push_back(g.type(n->result(r)));
      const Node& copy = g.EmitNode(loop, *n->def, operands, n->attrs, types);
      for (uint32_t r = 0; r < n->num_results; ++r) now[n->result(r)] = copy.result(r);
    }
    std::vector<ValueId> next = g.operands(*body.last);
    for (ValueId& v : next) v = of(v);
    carried = std::move(next);
  }
  for (uint32_t i = 0; i < loop.num_results; ++i) g.ReplaceUses(loop.result(i), carried[i]);
  g.Erase(loop);
  ++g.rewrites;
}

}  // namespace

Status UnrollLoops(PassContext& context) {
  Graph& g = context.graph;
  std::vector<Node*> loops;
  CollectLoops(g.body(), &loops);
  bool changed = false;
  for (Node* loop : loops) {
    RETURN_IF_ERROR(context.Poll());
    const Attr& turns = loop->attr(kTripCountAttr);
    if (!turns.present() || turns.AsInt() > kMostTurns) continue;
    const int64_t ops = OpsOfTurn(g, *loop->regions[1]);
    if (ops < 0 || ops * turns.AsInt() > context.options.unrolled_ops) continue;
    Unroll(g, *loop, turns.AsInt());
    changed = true;
  }
  if (!changed) return OkStatus();
  RETURN_IF_ERROR(Simplify(context));
  RETURN_IF_ERROR(FoldConstants(context));
  RETURN_IF_ERROR(Simplify(context));
  return MergeEqual(context);
}

}  // namespace megalith::codegen

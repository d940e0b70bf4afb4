// Loops: what does not change is not carried, what nobody reads is not computed, what does not
// depend on the turn moves out, and turns are counted where that is possible.
#include <algorithm>
#include <limits>
#include <unordered_set>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"
#include "common/programs/stablehlo/host_calls.h"

namespace megalith::codegen {
namespace {

using stablehlo::CompareDirection;

Block& ConditionOf(const Node& loop) { return *loop.regions[0]; }
Block& BodyOf(const Node& loop) { return *loop.regions[1]; }

// Loops, outer ones before those inside of them.
void CollectLoops(const Block& b, std::vector<Node*>* out) {
  for (Node* n = b.first; n != nullptr; n = n->next) {
    if (n->kind == OpKind::kWhile) out->push_back(n);
    for (const Block* inner : n->regions) CollectLoops(*inner, out);
  }
}

// --- carried values ---

void ReplaceCarried(Graph& g, Node& loop, uint32_t i, ValueId condition, ValueId body,
                    ValueId result) {
  g.ReplaceUses(ConditionOf(loop).args[i], condition);
  g.ReplaceUses(BodyOf(loop).args[i], body);
  g.ReplaceUses(loop.result(i), result);
  ++g.rewrites;
}

bool IsRead(const Graph& g, const Node& loop, uint32_t i) {
  return g.use_count(ConditionOf(loop).args[i]) + g.use_count(BodyOf(loop).args[i]) +
             g.use_count(loop.result(i)) !=
         0;
}

// A value the body returns as it got it is what the loop started with.
bool ForwardUnchanged(Graph& g, Node& loop) {
  bool changed = false;
  for (uint32_t i = 0; i < loop.num_operands; ++i) {
    const ValueId next = g.operand(*BodyOf(loop).last, i);
    const ValueId init = g.operand(loop, i);
    if ((next != BodyOf(loop).args[i] && next != init) || !IsRead(g, loop, i)) continue;
    ReplaceCarried(g, loop, i, init, init, init);
    changed = true;
  }
  return changed;
}

// The constant that is added to carried value `i` each turn.
std::optional<int64_t> StepOf(const Graph& g, const Node& loop, uint32_t i) {
  const ValueId arg = BodyOf(loop).args[i];
  const Node* sum = g.DefOfKind(g.operand(*BodyOf(loop).last, i), OpKind::kAdd);
  if (sum == nullptr || !IsWholeInt(g.dtype(arg))) return std::nullopt;
  for (uint32_t k = 0; k < 2; ++k) {
    if (g.operand(*sum, k) == arg) return IntSplat(g, g.operand(*sum, 1 - k));
  }
  return std::nullopt;
}

// Two values that start alike and change alike are one.
bool MergeAlike(Graph& g, Node& loop) {
  bool changed = false;
  for (uint32_t j = 1; j < loop.num_operands; ++j) {
    if (!IsRead(g, loop, j)) continue;
    for (uint32_t i = 0; i < j; ++i) {
      if (g.operand(loop, i) != g.operand(loop, j)) continue;
      const Node& ret = *BodyOf(loop).last;
      const auto step = StepOf(g, loop, i);
      const bool same_next = g.operand(ret, i) == g.operand(ret, j);
      const bool same_step = step.has_value() && step == StepOf(g, loop, j);
      if (!same_next && !same_step) continue;
      ReplaceCarried(g, loop, j, ConditionOf(loop).args[i], BodyOf(loop).args[i], loop.result(i));
      changed = true;
      break;
    }
  }
  return changed;
}

// Which carried values decide over a result, the condition or an effect.
class Liveness {
 public:
  Liveness(const Graph& g, const Node& loop)
      : g_(g), loop_(loop), live_(loop.num_operands, false) {}

  std::vector<bool> Run() {
    for (uint32_t i = 0; i < loop_.num_operands; ++i) {
      if (g_.use_count(loop_.result(i)) != 0) Keep(i);
    }
    ReadBlock(ConditionOf(loop_));
    for (const Node* n = BodyOf(loop_).first; n != BodyOf(loop_).last; n = n->next) {
      if (n->effect) ReadNode(*n);
    }
    while (!work_.empty()) {
      const ValueId v = work_.back();
      work_.pop_back();
      Visit(v);
    }
    return live_;
  }

 private:
  void Keep(uint32_t i) {
    if (live_[i]) return;
    live_[i] = true;
    work_.push_back(g_.operand(*BodyOf(loop_).last, i));
  }

  void Visit(ValueId v) {
    const Block* home = g_.home(v);
    if (home == &ConditionOf(loop_) || home == &BodyOf(loop_)) {
      if (g_.def(v) == nullptr) {
        Keep(g_.index(v));
      } else {
        ReadNode(*g_.def(v));
      }
    }
  }

  void ReadNode(const Node& n) {
    if (!seen_.insert(&n).second) return;
    for (uint32_t i = 0; i < n.num_operands; ++i) work_.push_back(g_.operand(n, i));
    for (const Block* b : n.regions) ReadBlock(*b);
  }

  void ReadBlock(const Block& b) {
    for (const Node* n = b.first; n != nullptr; n = n->next) ReadNode(*n);
  }

  const Graph& g_;
  const Node& loop_;
  std::vector<bool> live_;
  std::vector<ValueId> work_;
  std::unordered_set<const Node*> seen_;
};

bool DropUnread(Graph& g, Node& loop) {
  bool unread = false;
  for (uint32_t i = 0; i < loop.num_operands; ++i)
    unread = unread || g.use_count(loop.result(i)) == 0;
  if (!unread) return false;
  const std::vector<bool> keep = Liveness(g, loop).Run();
  if (std::ranges::find(keep, false) == keep.end()) return false;
  std::vector<ValueId> returned;
  for (uint32_t i = 0; i < loop.num_operands; ++i) {
    if (keep[i]) returned.push_back(g.operand(*BodyOf(loop).last, i));
  }
  g.SetOperands(*BodyOf(loop).last, returned);
  while (g.Pop() != nullptr) {  // erases what nobody needs any more
  }
  if (loop.dead) return true;
  for (const std::string_view name :
       {kTripCountAttr, kInductionAttr, kInductionStartAttr, kInductionStepAttr}) {
    SetAttr(&loop.attrs, name, Attr());  // counted anew, with other positions
  }
  g.KeepArgs(ConditionOf(loop), keep);
  g.KeepArgs(BodyOf(loop), keep);
  g.KeepResults(loop, keep, true);
  ++g.rewrites;
  return true;
}

// --- moving out ---

double Bytes(const TensorType& t) {
  return static_cast<double>(std::max<int64_t>(stablehlo::ByteCount(t), 0));
}

class Hoister {
 public:
  Hoister(Graph& g, Node& loop) : g_(g), loop_(loop) {}

  void Run() {
    for (Block* b : loop_.regions) {
      // In program order: operands are moved before their users are looked at.
      for (Node* n = b->first; n != b->last;) {
        Node* next = n->next;
        if (IsMovable(*n) && IsWorthwhile(*n)) Move(*n);
        n = next;
      }
    }
  }

 private:
  bool IsOutside(ValueId v) const { return Graph::Encloses(g_.home(v), loop_.block); }

  // True if all that `n` reads, also in its regions, is outside of the loop, or is itself movable
  // data movement that is not worth moving alone.
  bool ReadsOutside(const Node& n, const Node& top) const {
    for (uint32_t i = 0; i < n.num_operands; ++i) {
      const ValueId v = g_.operand(n, i);
      if (IsOutside(v)) continue;
      const Node* d = g_.def(v);
      const bool inside_top = !top.regions.empty() && IsWithin(g_.home(v), top);
      if (inside_top) continue;
      if (d == nullptr || d->block != top.block || !IsCheap(*d) || !IsMovable(*d)) return false;
    }
    for (const Block* b : n.regions) {
      for (const Node* m = b->first; m != nullptr; m = m->next) {
        if (!ReadsOutside(*m, top)) return false;
      }
    }
    return true;
  }

  static bool IsWithin(const Block* b, const Node& top) {
    for (; b->owner != nullptr; b = b->owner->block) {
      if (b->owner == &top) return true;
    }
    return false;
  }

  static bool IsCheap(const Node& n) {
    return n.kind == OpKind::kBroadcastInDim || n.kind == OpKind::kIota ||
           n.kind == OpKind::kReshape;
  }

  // Where the program would not have called it, a function of the host may fail.
  static bool CallsHost(const Node& n) {
    if (n.kind == OpKind::kCustomCall &&
        n.attr("call_target_name").AsText() == stablehlo::kHostCallTarget) {
      return true;
    }
    for (const Block* b : n.regions) {
      for (const Node* inner = b->first; inner != nullptr; inner = inner->next) {
        if (CallsHost(*inner)) return true;
      }
    }
    return false;
  }

  // A loop inside is moved only if it is known to end.
  bool IsMovable(const Node& n) const {
    if (n.effect || n.kind == OpKind::kConstant || n.def->has(stablehlo::kIndeterminate))
      return false;
    if (n.kind == OpKind::kWhile && !n.attr(kTripCountAttr).present()) return false;
    return !CallsHost(n) && ReadsOutside(n, n);
  }

  // Not if the loop would then read much more than what it is computed from.
  bool IsWorthwhile(const Node& n) const {
    if (IsCheap(n)) return false;
    if (!n.regions.empty() || n.def->has(stablehlo::kTranscendental) ||
        n.kind == OpKind::kDotGeneral || n.kind == OpKind::kConvolution) {
      return true;
    }
    double in = 4096;
    for (uint32_t i = 0; i < n.num_operands; ++i) {
      ValueId v = g_.operand(n, i);
      while (g_.def(v) != nullptr && IsCheap(*g_.def(v)) && g_.def(v)->num_operands == 1)
        v = g_.operand(*g_.def(v), 0);
      if (g_.def(v) == nullptr || !IsCheap(*g_.def(v))) in += Bytes(g_.type(v));
    }
    double out = 0;
    for (uint32_t i = 0; i < n.num_results; ++i) out += Bytes(g_.type(n.result(i)));
    return out <= 2 * in;
  }

  void Move(Node& n) {
    for (uint32_t i = 0; i < n.num_operands; ++i) MoveDef(n, g_.operand(n, i));
    MoveCaptured(n, n);
    g_.MoveBefore(n, loop_);
    ++g_.rewrites;
  }

  void MoveDef(const Node& n, ValueId v) {
    if (IsOutside(v)) return;
    Node* d = g_.def(v);
    if (d != nullptr && d->block == n.block) Move(*d);
  }

  void MoveCaptured(const Node& n, const Node& top) {
    for (const Block* b : n.regions) {
      for (const Node* m = b->first; m != nullptr; m = m->next) {
        for (uint32_t i = 0; i < m->num_operands; ++i) MoveDef(top, g_.operand(*m, i));
        MoveCaptured(*m, top);
      }
    }
  }

  Graph& g_;
  Node& loop_;
};

// --- counting ---

struct Count {
  uint32_t induction = 0;
  int64_t start = 0, step = 0, turns = 0;
};

// A number of the type as a mathematical integer; nullopt for the upper half of u64.
std::optional<int64_t> NumberOf(const Graph& g, ValueId v) {
  const auto x = IntSplat(g, v);
  if (!x || (*x < 0 && tensor::IsUnsigned(g.dtype(v)))) return std::nullopt;
  return x;
}

// How often `value` counts before `direction bound` fails; nullopt if it wraps around first or
// never fails.
std::optional<int64_t> TurnsOf(CompareDirection direction, int64_t start, int64_t bound,
                               int64_t step, DType dtype) {
  using Wide = __int128;
  Wide distance = static_cast<Wide>(bound) - start;
  Wide stride = step;
  if (direction == CompareDirection::kGt || direction == CompareDirection::kGe ||
      (direction == CompareDirection::kNe && step < 0)) {
    distance = -distance;
    stride = -stride;
  }
  if (direction == CompareDirection::kEq || stride <= 0) return std::nullopt;
  if (direction == CompareDirection::kLe || direction == CompareDirection::kGe) distance += 1;
  if (direction == CompareDirection::kNe && (distance < 0 || distance % stride != 0))
    return std::nullopt;
  const Wide turns = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  const Wide end = static_cast<Wide>(start) + turns * step;
  const Wide highest = tensor::IsUnsigned(dtype) && tensor::BitWidth(dtype) == 64
                           ? static_cast<Wide>(std::numeric_limits<uint64_t>::max())
                           : static_cast<Wide>(HighestOf(dtype));
  if (end < LowestOf(dtype) || end > highest) return std::nullopt;
  if (turns > std::numeric_limits<int64_t>::max()) return std::nullopt;
  return static_cast<int64_t>(turns);
}

std::optional<Count> CountOf(const Graph& g, const Node& loop) {
  const Block& condition = ConditionOf(loop);
  const Node* compare = g.DefOfKind(g.operand(*condition.last, 0), OpKind::kCompare);
  if (compare == nullptr || compare->block != &condition) return std::nullopt;
  const auto at = std::ranges::find(condition.args, g.operand(*compare, 0));
  if (at == condition.args.end()) return std::nullopt;
  Count out;
  out.induction = static_cast<uint32_t>(at - condition.args.begin());
  const ValueId init = g.operand(loop, out.induction);
  const auto bound = NumberOf(g, g.operand(*compare, 1));
  const auto start = NumberOf(g, init);
  const auto step = StepOf(g, loop, out.induction);
  if (!bound || !start || !step) return std::nullopt;
  const auto turns =
      TurnsOf(static_cast<CompareDirection>(compare->attr("comparison_direction").AsEnum()), *start,
              *bound, *step, g.dtype(init));
  if (!turns) return std::nullopt;
  out.start = *start;
  out.step = *step;
  out.turns = *turns;
  return out;
}

void RunBodyOnce(Graph& g, Node& loop) {
  Block& body = BodyOf(loop);
  for (uint32_t i = 0; i < loop.num_operands; ++i) g.ReplaceUses(body.args[i], g.operand(loop, i));
  const std::vector<ValueId> values = g.Inline(body, loop);
  for (uint32_t i = 0; i < loop.num_results; ++i) g.ReplaceUses(loop.result(i), values[i]);
  g.Erase(loop);
}

void CountTurns(Graph& g, Node& loop) {
  const auto count = CountOf(g, loop);
  const Block& condition = ConditionOf(loop);
  for (const Node* n = condition.first; n != condition.last; n = n->next) {
    if (n->effect) return;
  }
  if (!count) return;
  if (count->turns == 1) {
    RunBodyOnce(g, loop);
    ++g.rewrites;
    return;
  }
  if (count->turns == 0) {
    for (uint32_t i = 0; i < loop.num_results; ++i)
      g.ReplaceUses(loop.result(i), g.operand(loop, i));
    g.Erase(loop);
    ++g.rewrites;
    return;
  }
  const ValueId counter = loop.result(count->induction);
  if (g.use_count(counter) != 0) {
    g.ReplaceUses(counter, g.SplatInt(g.type(counter), count->start + count->turns * count->step));
    ++g.rewrites;
  }
  SetAttr(&loop.attrs, kInductionAttr, Attr::Int(count->induction));
  SetAttr(&loop.attrs, kInductionStartAttr, Attr::Int(count->start));
  SetAttr(&loop.attrs, kInductionStepAttr, Attr::Int(count->step));
  SetAttr(&loop.attrs, kTripCountAttr, Attr::Int(count->turns));
}

}  // namespace

Status OptimizeLoops(PassContext& context) {
  Graph& g = context.graph;
  std::vector<Node*> loops;
  CollectLoops(g.body(), &loops);
  // What an inner loop only passes through, the outer one may too; what an outer loop does not
  // need, the inner one need not give.
  for (size_t i = loops.size(); i > 0; --i) {
    RETURN_IF_ERROR(context.Poll());
    while (ForwardUnchanged(g, *loops[i - 1]) || MergeAlike(g, *loops[i - 1])) {
    }
  }
  for (Node* loop : loops) {
    if (!loop->dead) DropUnread(g, *loop);
  }
  for (size_t i = loops.size(); i > 0; --i) {
    if (loops[i - 1]->dead) continue;
    Hoister(g, *loops[i - 1]).Run();
    CountTurns(g, *loops[i - 1]);
  }
  while (g.Pop() != nullptr) {  // erases what nobody needs any more
  }
  return OkStatus();
}

}  // namespace megalith::codegen

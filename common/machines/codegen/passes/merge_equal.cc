// Common subexpressions.
#include <algorithm>
#include <unordered_map>

#include "common/machines/codegen/passes/hash.h"
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"

namespace megalith::codegen {
namespace {

// One walk in program order with a table of what has been met in the blocks that enclose the
// current one. Operations with regions are equal if their regions are, name for name.
class Merger {
 public:
  explicit Merger(Graph& g) : g_(g) {}

  void Run(Block& b) {
    const size_t mark = added_.size();
    for (Node* n = b.first; n != nullptr;) {
      Node* next = n->next;
      for (Block* inner : n->regions) Run(*inner);
      if (!n->effect && n->kind != OpKind::kConstant && n != b.last &&
          !n->def->has(stablehlo::kIndeterminate)) {
        Visit(*n);
      }
      n = next;
    }
    while (added_.size() > mark) {
      known_.erase(added_.back());
      added_.pop_back();
    }
  }

 private:
  using Table = std::unordered_multimap<uint64_t, Node*>;
  using Renaming = std::vector<std::pair<ValueId, ValueId>>;

  void Visit(Node& n) {
    const uint64_t hash = HashOf(n);
    for (auto [it, end] = known_.equal_range(hash); it != end; ++it) {
      Node& other = *it->second;
      renaming_.clear();
      if (!Same(n, other)) continue;
      for (uint32_t i = 0; i < n.num_results; ++i) g_.ReplaceUses(n.result(i), other.result(i));
      g_.Erase(n);
      ++g_.rewrites;
      return;
    }
    added_.push_back(known_.emplace(hash, &n));
  }

  // Values defined inside of a region weigh nothing in its hash.
  uint64_t HashOf(const Node& n, bool inside = false) const {
    uint64_t h = Mix(reinterpret_cast<uintptr_t>(n.def), HashAttrs(n.attrs));
    for (uint32_t i = 0; i < n.num_results; ++i) h = Mix(h, HashType(g_.type(n.result(i))));
    uint64_t unordered = 0;
    const bool commutes = n.num_operands == 2 && IsCommutative(g_, n);
    for (uint32_t i = 0; i < n.num_operands && !inside; ++i) {
      const ValueId v = g_.operand(n, i);
      if (commutes) {
        unordered += Mix(v, 1);
      } else {
        h = Mix(h, v);
      }
    }
    h = Mix(h, unordered);
    for (const Block* b : n.regions) {
      for (const Node* m = b->first; m != nullptr; m = m->next) h = Mix(h, HashOf(*m, true));
    }
    return h;
  }

  bool SameValue(ValueId a, ValueId b) const {
    if (a == b) return true;
    return std::ranges::find(renaming_, std::pair(a, b)) != renaming_.end();
  }

  bool SameOperands(const Node& a, const Node& b) const {
    if (a.num_operands != b.num_operands) return false;
    if (a.num_operands == 2 && IsCommutative(g_, a) &&
        SameValue(g_.operand(a, 0), g_.operand(b, 1)) &&
        SameValue(g_.operand(a, 1), g_.operand(b, 0))) {
      return true;
    }
    for (uint32_t i = 0; i < a.num_operands; ++i) {
      if (!SameValue(g_.operand(a, i), g_.operand(b, i))) return false;
    }
    return true;
  }

  bool Same(const Node& a, const Node& b) {
    if (a.def != b.def || a.num_results != b.num_results || a.regions.size() != b.regions.size() ||
        !SameOperands(a, b) || !SameAttrs(a.attrs, b.attrs)) {
      return false;
    }
    for (uint32_t i = 0; i < a.num_results; ++i) {
      if (!(g_.type(a.result(i)) == g_.type(b.result(i)))) return false;
    }
    for (size_t i = 0; i < a.regions.size(); ++i) {
      if (!SameBlock(*a.regions[i], *b.regions[i])) return false;
    }
    return true;
  }

  bool SameBlock(const Block& a, const Block& b) {
    if (a.args.size() != b.args.size()) return false;
    for (size_t i = 0; i < a.args.size(); ++i) {
      if (!(g_.type(a.args[i]) == g_.type(b.args[i]))) return false;
      renaming_.emplace_back(a.args[i], b.args[i]);
    }
    const Node* m = b.first;
    for (const Node* n = a.first; n != nullptr; n = n->next, m = m->next) {
      if (m == nullptr || n->def->has(stablehlo::kIndeterminate) || !Same(*n, *m)) return false;
      for (uint32_t i = 0; i < n->num_results; ++i)
        renaming_.emplace_back(n->result(i), m->result(i));
    }
    return m == nullptr;
  }

  Graph& g_;
  Table known_;
  std::vector<Table::iterator> added_;
  Renaming renaming_;
};

}  // namespace

Status MergeEqual(PassContext& context) {
  Merger(context.graph).Run(context.graph.body());
  return OkStatus();
}

}  // namespace megalith::codegen

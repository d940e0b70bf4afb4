// The driver of the rewrite rules.
#include <array>
#include <vector>

#include "common/machines/codegen/passes/pass.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

using RuleIndex = std::array<std::vector<const Rule*>, kNumOpKinds>;

RuleIndex IndexOf(std::initializer_list<std::span<const Rule>> tables, Keeps least) {
  RuleIndex index;
  for (const std::span<const Rule> table : tables) {
    for (const Rule& rule : table) {
      if (rule.keeps <= least) index[static_cast<size_t>(rule.kind)].push_back(&rule);
    }
  }
  return index;
}

// One index per choice of options.
template <typename MakeIndex>
const RuleIndex& IndexFor(const PassOptions& options, const MakeIndex& make) {
  static const std::array<RuleIndex, 3> indexes = {make(Keeps::kBits), make(Keeps::kTerms),
                                                   make(Keeps::kValue)};
  const Keeps least = options.allow_reassociation ? Keeps::kValue
                      : options.allow_reordering  ? Keeps::kTerms
                                                  : Keeps::kBits;
  return indexes[static_cast<size_t>(least)];
}

Status ApplyRules(PassContext& context, const RuleIndex& index, bool fold) {
  Graph& g = context.graph;
  auto* const counts = context.options.rule_counts;
  g.QueueAll();
  // Rules make progress, so that the queue runs dry; should two ever undo each other, this ends it.
  uint64_t steps_left = 64 * (g.live() + 16);
  while (Node* n = g.Pop()) {
    if (steps_left-- == 0) {
      while (g.Pop() != nullptr) {
      }
      return OkStatus();
    }
    if (steps_left % 1024 == 0) RETURN_IF_ERROR(context.Poll());
    if (fold && FoldSplat(g, *n)) {
      ++g.rewrites;
      continue;
    }
    const auto apply = [&](OpKind kind) {
      for (const Rule* rule : index[static_cast<size_t>(kind)]) {
        if (!rule->apply(g, *n)) continue;
        ++g.rewrites;
        if (counts != nullptr) ++(*counts)[rule->name];
        if (!n->dead) g.Queue(*n);
        return true;
      }
      return false;
    };
    if (!apply(n->kind) && n->def->span != nullptr) apply(OpKind::kElementwise);
  }
  return OkStatus();
}

}  // namespace

Status Simplify(PassContext& context) {
  const RuleIndex& index = IndexFor(context.options, [](Keeps least) {
    return IndexOf({ArithmeticRules(), BooleanRules(), ConvertRules(), ShapeRules(), SliceRules(),
                    IndexRules(), ReductionRules(), ControlRules()},
                   least);
  });
  return ApplyRules(context, index, true);
}

Status ExpandUnsupported(PassContext& context) {
  const RuleIndex& index = IndexFor(context.options, [](Keeps least) {
    return IndexOf({TypeRules(), BodyRules(), SortRules()}, least);
  });
  return ApplyRules(context, index, false);
}

Status ImproveLayout(PassContext& context) {
  const RuleIndex& index = IndexFor(context.options, [](Keeps least) {
    return IndexOf({ArithmeticRules(), BooleanRules(), ConvertRules(), ShapeRules(), SliceRules(),
                    IndexRules(), ReductionRules(), ControlRules(), LayoutRules(), DotRules()},
                   least);
  });
  return ApplyRules(context, index, true);
}

Status ReduceStrength(PassContext& context) {
  const RuleIndex& index =
      IndexFor(context.options, [](Keeps least) { return IndexOf({StrengthRules()}, least); });
  return ApplyRules(context, index, false);
}

}  // namespace megalith::codegen

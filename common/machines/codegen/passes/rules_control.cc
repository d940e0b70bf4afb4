// Branches and loops whose course is known, and operations that only hold something together.
#include <algorithm>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

void ReplaceAll(Graph& g, Node& n, std::span<const ValueId> values) {
  for (uint32_t i = 0; i < n.num_results; ++i) g.ReplaceUses(n.result(i), values[i]);
  if (!n.effect) g.Erase(n);
}

void RunBranch(Graph& g, Node& n, Block& branch) {
  const std::vector<ValueId> values = g.Inline(branch, n);
  for (uint32_t i = 0; i < n.num_results; ++i) g.ReplaceUses(n.result(i), values[i]);
  g.Erase(n);
}

bool IfConstant(Graph& g, Node& n) {
  const auto p = IntSplat(g, g.operand(n, 0));
  if (!p) return false;
  RunBranch(g, n, *n.regions[*p != 0 ? 0 : 1]);
  return true;
}

// Out of range selects the last branch.
bool CaseConstant(Graph& g, Node& n) {
  const auto index = IntSplat(g, g.operand(n, 0));
  const auto last = static_cast<int64_t>(n.regions.size()) - 1;
  if (!index && last != 0) return false;
  const int64_t at = index && *index >= 0 ? std::min(*index, last) : last;
  RunBranch(g, n, *n.regions[static_cast<size_t>(at)]);
  return true;
}

// Results that all branches take from the same place outside.
bool BranchesAgree(Graph& g, Node& n) {
  bool changed = false;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    const ValueId v = g.operand(*n.regions[0]->last, i);
    bool same = Graph::Encloses(g.home(v), n.block);
    for (const Block* b : n.regions) same = same && g.operand(*b->last, i) == v;
    if (!same || g.use_count(n.result(i)) == 0) continue;
    g.ReplaceUses(n.result(i), v);
    changed = true;
  }
  return changed;
}

// Results that nobody reads, and what computes them.
bool BranchesDropUnused(Graph& g, Node& n) {
  std::vector<bool> keep(n.num_results);
  bool all = true;
  for (uint32_t i = 0; i < n.num_results; ++i) {
    keep[i] = g.use_count(n.result(i)) != 0;
    all = all && keep[i];
  }
  if (all) return false;
  for (Block* b : n.regions) {
    std::vector<ValueId> returned;
    for (uint32_t i = 0; i < n.num_results; ++i) {
      if (keep[i]) returned.push_back(g.operand(*b->last, i));
    }
    g.SetOperands(*b->last, returned);
  }
  g.KeepResults(n, keep, false);
  return true;
}

// The condition of a loop that returns a constant false.
bool WhileNever(Graph& g, Node& n) {
  if (!IsIntSplat(g, g.operand(*n.regions[0]->last, 0), 0) || n.effect) return false;
  ReplaceAll(g, n, g.operands(n));
  return true;
}

bool RemoveBarrier(Graph& g, Node& n) {
  ReplaceAll(g, n, g.operands(n));
  return true;
}

// Calls that say something to a partitioner or a scheduler about their only operand.
bool RemoveAnnotation(Graph& g, Node& n) {
  constexpr std::string_view kAnnotations[] = {"Sharding",
                                               "SPMDFullToShardShape",
                                               "SPMDShardToFullShape",
                                               "annotate_device_placement",
                                               "LayoutConstraint",
                                               "xla.sdy.FuncResultSharding"};
  if (n.num_operands != 1 || n.num_results != 1 || !(g.operand_type(n, 0) == g.result_type(n))) {
    return false;
  }
  const Attr& target = n.attr("call_target_name");
  if (!target.present() ||
      std::ranges::find(kAnnotations, target.AsText()) == std::end(kAnnotations)) {
    return false;
  }
  g.Replace(n, g.operand(n, 0));
  return true;
}

constexpr Rule kRules[] = {
    {"if_constant", OpKind::kIf, IfConstant},
    {"if_agree", OpKind::kIf, BranchesAgree},
    {"if_unused", OpKind::kIf, BranchesDropUnused},
    {"case_constant", OpKind::kCase, CaseConstant},
    {"case_agree", OpKind::kCase, BranchesAgree},
    {"case_unused", OpKind::kCase, BranchesDropUnused},
    {"while_never", OpKind::kWhile, WhileNever},
    {"barrier", OpKind::kOptimizationBarrier, RemoveBarrier},
    {"annotation", OpKind::kCustomCall, RemoveAnnotation},
};

}  // namespace

std::span<const Rule> ControlRules() { return kRules; }

}  // namespace megalith::codegen

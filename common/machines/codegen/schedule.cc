#include "common/machines/codegen/schedule.h"

#include <algorithm>
#include <tuple>
#include <unordered_map>
#include <utility>

#include "common/machines/codegen/effects.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;

constexpr size_t kMaxSteps = 600;  // the search is quadratic

// A place that everything with an effect writes, so that it stays in its order.
constexpr uint32_t kOutside = UINT32_MAX;

// Places that one step touches, each once.
struct StepUse {
  std::vector<uint32_t> reads, writes, all;
};

class Scheduler {
 public:
  Scheduler(const Arrays& arrays, const Plan& plan) : arrays_(arrays), plan_(plan) {
    for (const PlanStep& step : plan.entry.steps) {
      StepUse use;
      Collect(step, &use);
      if (HasEffect(plan, step)) use.writes.push_back(kOutside);
      use.all = use.reads;
      use.all.insert(use.all.end(), use.writes.begin(), use.writes.end());
      for (auto* list : {&use.reads, &use.writes, &use.all}) {
        std::ranges::sort(*list);
        list->erase(std::unique(list->begin(), list->end()), list->end());
      }
      uses_.push_back(std::move(use));
    }
    Connect();
  }

  // The order a greedy choice gives, front to back or the other way round. A byte of a result costs
  // as much as one of the arena if `results_count`: what is not written yet can hold temporaries.
  std::vector<uint32_t> Greedy(bool backward, bool results_count) const {
    const auto& next = backward ? before_ : after_;
    const auto& previous = backward ? after_ : before_;
    std::unordered_map<uint32_t, int> touches_left;
    std::unordered_map<uint32_t, bool> open;
    for (const StepUse& use : uses_) {
      for (const uint32_t p : use.all) ++touches_left[p];
    }
    std::vector<size_t> missing;
    std::vector<uint32_t> ready, order;
    for (uint32_t i = 0; i < uses_.size(); ++i) {
      missing.push_back(previous[i].size());
      if (missing[i] == 0) ready.push_back(i);
    }
    // Steps that free more than they take come first, those that take least before others: what
    // they free is free for the others. Then those that add least.
    using Cost = std::tuple<bool, int64_t, int64_t>;
    const auto cost = [&](uint32_t i) -> Cost {
      int64_t taken = 0, freed = 0;
      for (const uint32_t p : uses_[i].all) {
        if (p == kOutside) continue;
        const BufferKind kind = arrays_.at(p).kind;
        const bool result = kind == BufferKind::kOutput;
        if (kind != BufferKind::kArena && !(result && results_count)) continue;
        const auto size = static_cast<int64_t>(arrays_.at(p).bytes);
        if (!open[p]) taken += size;
        if (touches_left[p] == 1 && !result) freed += size;  // a result stays
      }
      const int64_t place = backward ? -int64_t{i} : int64_t{i};
      return taken > freed ? Cost{true, taken - freed, place} : Cost{false, taken, place};
    };
    while (!ready.empty()) {
      const auto least = std::ranges::min_element(ready, {}, cost);
      const uint32_t i = *least;
      ready.erase(least);
      order.push_back(i);
      for (const uint32_t p : uses_[i].all) {
        open[p] = true;
        --touches_left[p];
      }
      for (const uint32_t n : next[i]) {
        if (--missing[n] == 0) ready.push_back(n);
      }
    }
    if (backward) std::ranges::reverse(order);
    return order;
  }

 private:
  void Collect(const PlanStep& step, StepUse* use) const {
    for (const uint32_t a : step.in) use->reads.push_back(arrays_.Find(a));
    for (const uint32_t a : step.out) use->writes.push_back(arrays_.Find(a));
    for (uint32_t k = 0; k < step.epilogue_buffers.size(); ++k) {
      const bool stored = std::ranges::any_of(
          plan_.loops[step.epilogue].stages, [&](const runtime::LoopStage& stage) {
            return std::ranges::any_of(stage.stores, [&](const runtime::LoopStore& store) {
              return store.to.buffer == k;
            });
          });
      (stored ? use->writes : use->reads).push_back(arrays_.Find(step.epilogue_buffers[k]));
    }
    if (step.scratch != UINT32_MAX) use->writes.push_back(arrays_.Find(step.scratch));
    const auto region = [&](const PlanRegion& r) {
      for (const PlanStep& inner : r.steps) Collect(inner, use);
    };
    if (step.kind == StepKind::kWhile) {
      const runtime::PlanWhile& w = plan_.whiles[step.index];
      if (w.predicate != UINT32_MAX) use->writes.push_back(arrays_.Find(w.predicate));
      region(w.condition);
      region(w.body);
    } else if (step.kind == StepKind::kBranch) {
      const runtime::PlanBranch& b = plan_.branches[step.index];
      use->reads.push_back(arrays_.Find(b.selector));
      for (const PlanRegion& r : b.regions) region(r);
    }
  }

  // A step comes after the one that wrote what it touches, and a writer after who read before.
  void Connect() {
    const auto n = static_cast<uint32_t>(uses_.size());
    before_.resize(n);
    after_.resize(n);
    std::unordered_map<uint32_t, uint32_t> writer;
    std::unordered_map<uint32_t, std::vector<uint32_t>> readers;
    for (uint32_t i = 0; i < n; ++i) {
      std::vector<uint32_t>& before = before_[i];
      for (const uint32_t p : uses_[i].all) {
        if (const auto it = writer.find(p); it != writer.end()) before.push_back(it->second);
      }
      for (const uint32_t p : uses_[i].writes) {
        std::vector<uint32_t>& list = readers[p];
        before.insert(before.end(), list.begin(), list.end());
        list.clear();
        writer[p] = i;
      }
      for (const uint32_t p : uses_[i].reads) readers[p].push_back(i);
      std::ranges::sort(before);
      before.erase(std::unique(before.begin(), before.end()), before.end());
      std::erase(before, i);
      for (const uint32_t b : before) after_[b].push_back(i);
    }
  }

  const Arrays& arrays_;
  const Plan& plan_;
  std::vector<StepUse> uses_;
  std::vector<std::vector<uint32_t>> before_, after_;  // by step
};

}  // namespace

void ScheduleSteps(const Arrays& arrays, Plan* plan) {
  const size_t count = plan->entry.steps.size();
  if (count < 3 || count > kMaxSteps) return;
  const MemoryNeed need = NeedOf(arrays, *plan);
  if (need.arena_bytes == 0) return;
  uint64_t least = need.arena_bytes + need.result_bytes;
  const Scheduler scheduler(arrays, *plan);
  const std::vector<PlanStep> steps = plan->entry.steps;
  std::vector<PlanStep> best = steps;
  for (const bool backward : {false, true}) {
    for (const bool results_count : {false, true}) {
      plan->entry.steps.clear();
      for (const uint32_t i : scheduler.Greedy(backward, results_count)) {
        plan->entry.steps.push_back(steps[i]);
      }
      const MemoryNeed other = NeedOf(arrays, *plan);
      const uint64_t bytes = other.arena_bytes + other.result_bytes;
      if (bytes >= least) continue;
      least = bytes;
      best = plan->entry.steps;
    }
  }
  plan->entry.steps = std::move(best);
}

}  // namespace megalith::codegen

#include "common/machines/codegen/join_steps.h"

#include <algorithm>
#include <optional>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/join_kernels.h"
#include "common/machines/codegen/loop_dims.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::LoopAccess;
using runtime::LoopBuffer;
using runtime::LoopIndexTerm;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;

// The cost model, in additions of f32 (about 15 to a nanosecond of one core).
//
// A step of a plan, and one that wakes other threads.
constexpr double kStepCost = 1500;
constexpr double kSharedStepCost = 30000;
// Kernels from this cost on are shared by threads (runtime/plan_runner.cc).
constexpr double kSharedCost = 300000;
// Beginning a loop of a stage once more.
constexpr double kRowCost = 50;
// A byte from the first caches, and from beyond.
constexpr double kNearByte = 0.1, kFarByte = 0.5;
constexpr uint64_t kFarBytes = 256 << 10;
// Gains below this part of the smaller kernel's work are not worth a larger kernel.
constexpr double kLeastGain = 1.0 / 64;

// Limits of joined kernels. Code generation takes time that grows faster than the kernel, and
// kernels above its own limit stay on tier 0.
constexpr size_t kMostInstrs = 240;
constexpr double kMostInstrCost = 1500;
constexpr size_t kMostStages = 12;
// Arrays that are walked at once: more than this exhaust prefetchers and pages.
constexpr size_t kMostArrays = 20;
// Rows that threads share; fewer only in kernels that one thread runs anyway.
constexpr int64_t kFewestRows = 32;
// What one row touches should stay in the second-level cache.
constexpr int64_t kRowBytes = 256 << 10;
// Private arrays of a kernel, of which each lane may have its own.
constexpr uint64_t kLocalBytes = 256 << 10, kLaneLocalBytes = 256;

// How far apart joined steps may be.
constexpr size_t kFarthest = 24;

struct InstrTotals {
  size_t instrs = 0, stages = 0;
  double cost = 0;
  int widest = 1;  // bytes of the widest register
};
InstrTotals TotalsOf(const LoopKernel& kernel) {
  InstrTotals t;
  t.stages = kernel.stages.size();
  for (const LoopStage& stage : kernel.stages) {
    t.instrs += stage.instrs.size();
    for (const runtime::LoopInstr& i : stage.instrs) {
      t.cost += std::max(kernels::FindScalarOp(i.op)->cost, 1.0);
      t.widest = std::max(t.widest, tensor::ByteWidth(i.type));
    }
  }
  return t;
}

double CostOf(const LoopKernel& kernel) {
  return kernel.PointCost() * static_cast<double>(kernel.OuterPoints());
}

class Joiner {
 public:
  Joiner(const Arrays& arrays, Plan* plan, LowerReport* report)
      : arrays_(arrays), plan_(*plan), report_(report) {}

  void Run() {
    CountUses();
    runtime::ForEachRegion(&plan_, [&](PlanRegion& region) { JoinIn(&region); });
    runtime::ForEachRegion(&plan_, [&](PlanRegion& region) {
      for (PlanStep& step : region.steps) {
        if (step.kind == StepKind::kLoop) MakePrivate(&step);
      }
    });
    DropUnused();
  }

 private:
  static std::vector<uint32_t> Touched(const PlanStep& step) {
    std::vector<uint32_t> all = step.in;
    all.insert(all.end(), step.out.begin(), step.out.end());
    all.insert(all.end(), step.epilogue_buffers.begin(), step.epilogue_buffers.end());
    if (step.scratch != UINT32_MAX) all.push_back(step.scratch);
    return all;
  }

  std::vector<uint32_t> PlacesOf(const PlanStep& step) const {
    std::vector<uint32_t> places;
    for (const uint32_t a : Touched(step)) {
      const uint32_t p = arrays_.Find(a);
      if (std::ranges::find(places, p) == places.end()) places.push_back(p);
    }
    return places;
  }

  // How many steps, loops and branches name each place.
  void CountUses() {
    runtime::ForEachRegion(&plan_, [&](PlanRegion& region) {
      for (const PlanStep& step : region.steps) {
        for (const uint32_t p : PlacesOf(step)) ++uses_[p];
      }
    });
    for (const runtime::PlanWhile& w : plan_.whiles) {
      if (w.predicate != UINT32_MAX) ++uses_[arrays_.Find(w.predicate)];
    }
    for (const runtime::PlanBranch& b : plan_.branches) ++uses_[arrays_.Find(b.selector)];
  }

  // True if the order of the two steps matters.
  bool Depend(const PlanStep& a, const PlanStep& b) const {
    if (a.kind == StepKind::kWhile || a.kind == StepKind::kBranch) return true;
    if (b.kind == StepKind::kWhile || b.kind == StepKind::kBranch) return true;
    return Writes(a, b) || Writes(b, a);
  }
  // True if `a` writes what `b` touches.
  bool Writes(const PlanStep& a, const PlanStep& b) const {
    const std::vector<uint32_t> touched = PlacesOf(b);
    const auto meets = [&](uint32_t array) {
      return std::ranges::find(touched, arrays_.Find(array)) != touched.end();
    };
    return std::ranges::any_of(a.out, meets) || std::ranges::any_of(a.epilogue_buffers, meets) ||
           (a.scratch != UINT32_MAX && meets(a.scratch));
  }

  void JoinIn(PlanRegion* region) {
    std::vector<PlanStep>& steps = region->steps;
    for (size_t i = 0; i < steps.size(); ++i) {
      if (steps[i].kind != StepKind::kLoop) continue;
      for (size_t j = i + 1; j < steps.size() && j - i <= kFarthest; ++j) {
        if (steps[j].kind == StepKind::kWhile || steps[j].kind == StepKind::kBranch) break;
        if (steps[j].kind != StepKind::kLoop) continue;
        bool up = true, down = true;
        for (size_t k = i + 1; k < j && (up || down); ++k) {
          up = up && !Depend(steps[k], steps[j]);
          down = down && !Depend(steps[i], steps[k]);
        }
        if (!up && !down) continue;
        std::optional<PlacedKernel> joined = Join(steps[i], steps[j]);
        if (!joined) continue;
        const size_t at = up ? i : j;
        Replace(steps[i], steps[j], *std::move(joined), &steps[at]);
        steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(up ? j : i));
        // What did not fit before may fit now.
        if (!up) {
          --i;
          break;
        }
        j = i;
      }
    }
  }

  PlacedKernel Placed(const PlanStep& step) const {
    PlacedKernel placed{plan_.loops[step.index], {}};
    for (const uint32_t a : Touched(step)) placed.places.push_back(arrays_.Find(a));
    return placed;
  }

  std::optional<PlacedKernel> Join(const PlanStep& first, const PlanStep& second) const {
    const LoopKernel& a = plan_.loops[first.index];
    const LoopKernel& b = plan_.loops[second.index];
    const InstrTotals of_a = TotalsOf(a), of_b = TotalsOf(b);
    if (of_a.instrs + of_b.instrs > kMostInstrs || of_a.stages + of_b.stages > kMostStages ||
        of_a.cost + of_b.cost > kMostInstrCost) {
      return std::nullopt;
    }
    const double cost_a = CostOf(a), cost_b = CostOf(b);
    std::optional<PlacedKernel> joined = JoinKernels(Placed(first), Placed(second));
    if (!joined) return std::nullopt;
    const int64_t rows = joined->kernel.OuterPoints();
    const bool fewer = rows < std::max(a.OuterPoints(), b.OuterPoints());
    if (fewer && rows < kFewestRows && cost_a + cost_b >= kSharedCost) return std::nullopt;
    size_t large = 0;
    for (const uint32_t p : joined->places) large += arrays_.at(p).bytes >= kFarBytes ? 1 : 0;
    if (large > kMostArrays) return std::nullopt;
    const double smaller = std::min(cost_a, cost_b);
    double gain = smaller >= kSharedCost ? kSharedStepCost : kStepCost;
    const double bytes = BytesGain(first, second, joined->kernel, joined->places);
    // Kernels that only read the same little may each have a better one to join.
    if (fewer && bytes < kSharedStepCost && !Writes(first, second)) return std::nullopt;
    gain += bytes;
    // Reductions take their time for rows anyway.
    const bool maps = a.vector_outer && b.vector_outer;
    if (maps && !joined->kernel.vector_outer) gain -= kRowCost * static_cast<double>(rows);
    // The narrower of the two runs with the lanes of the wider.
    if (of_a.widest != of_b.widest) gain -= 0.5 * (of_a.widest < of_b.widest ? cost_a : cost_b);
    if (gain < kLeastGain * smaller) return std::nullopt;
    return joined;
  }

  // What is saved by having rows that both touch in the cache the second time.
  double BytesGain(const PlanStep& first, const PlanStep& second, const LoopKernel& joined,
                   const std::vector<uint32_t>& places) const {
    const std::vector<uint32_t> of_a = PlacesOf(first), of_b = PlacesOf(second);
    double gain = 0;
    for (LoopBuffer i = 0; i < places.size(); ++i) {
      const uint32_t p = places[i];
      if (std::ranges::find(of_a, p) == of_a.end() || std::ranges::find(of_b, p) == of_b.end()) {
        continue;
      }
      const std::optional<RowRange> row = RowOf(joined, i);
      if (!row) continue;
      const int64_t bytes = (row->end - row->begin) * row->width;
      if (bytes > kRowBytes) continue;
      const double all = static_cast<double>(bytes) * static_cast<double>(joined.OuterPoints());
      const bool only = arrays_.IsTemporary(p) && uses_.at(p) == 2;
      gain += all * (arrays_.at(p).bytes >= kFarBytes ? kFarByte : kNearByte) * (only ? 2 : 1);
    }
    return gain;
  }

  void Replace(const PlanStep& first, const PlanStep& second, PlacedKernel joined, PlanStep* step) {
    for (const uint32_t p : PlacesOf(first)) --uses_[p];
    for (const uint32_t p : PlacesOf(second)) --uses_[p];
    const std::string& a = plan_.loops[first.index].name;
    const std::string& b = plan_.loops[second.index].name;
    const size_t space = b.find(' ');
    joined.kernel.name = a.size() + b.size() > 120
                             ? a
                             : StrCat(a, space == std::string::npos ? "" : b.substr(space));
    if (report_ != nullptr) Report(a, b, joined);
    const uint32_t index = first.index;
    PlanStep made = LoopStep(joined.places, &joined.kernel);
    made.index = index;
    plan_.loops[index] = std::move(joined.kernel);
    *step = std::move(made);
    for (const uint32_t p : PlacesOf(*step)) ++uses_[p];
  }

  void Report(const std::string& a, const std::string& b, const PlacedKernel& joined) {
    auto& groups = report_->groups;
    const auto named = [&](const std::string& name) {
      return std::ranges::find_if(groups, [&](const auto& g) { return g.name == name; });
    };
    const auto second = named(b);
    uint64_t ops = 0;
    if (second != groups.end()) {
      ops = second->ops;
      groups.erase(second);
    }
    const auto first = named(a);
    if (first == groups.end()) return;
    first->name = joined.kernel.name;
    first->ops += ops;
    first->cost = CostOf(joined.kernel);
    first->bytes = 0;
    for (const uint32_t p : joined.places) first->bytes += arrays_.at(p).bytes;
  }

  // Arrays that nothing else uses live in the kernel, a row at a time.
  void MakePrivate(PlanStep* step) {
    LoopKernel& kernel = plan_.loops[step->index];
    if (kernel.stages.size() == 1 && step->out.size() < 2) return;
    std::vector<uint32_t> places = Placed(*step).places;
    uint64_t budget = kernel.vector_outer ? kLaneLocalBytes : kLocalBytes;
    for (const uint64_t bytes : kernel.locals) budget -= std::min(budget, bytes);
    bool changed = false;
    for (LoopBuffer i = static_cast<LoopBuffer>(places.size()); i-- > 0;) {
      if (!arrays_.IsTemporary(places[i]) || uses_.at(places[i]) != 1) continue;
      const std::optional<RowRange> row = RowOf(kernel, i);
      if (!row) continue;
      const uint64_t bytes =
          static_cast<uint64_t>(row->end - row->begin) * static_cast<uint64_t>(row->width);
      if (bytes > budget) continue;
      budget -= bytes;
      changed = true;
      MakeLocal(i, *row, &kernel);
      places.erase(places.begin() + i);
    }
    if (!changed) return;
    std::erase_if(kernel.stages, [](const LoopStage& stage) { return stage.stores.empty(); });
    const uint32_t index = step->index;
    *step = LoopStep(places, &kernel);
    step->index = index;
  }

  static void MakeLocal(LoopBuffer buffer, const RowRange& row, LoopKernel* kernel) {
    const bool loaded = std::ranges::any_of(kernel->stages, [&](const LoopStage& stage) {
      return std::ranges::any_of(stage.loads,
                                 [&](const LoopAccess& load) { return load.buffer == buffer; });
    });
    const auto last = static_cast<LoopBuffer>(kernel->buffers + kernel->locals.size());
    const auto renumber = [&](LoopBuffer b) { return b > buffer ? b - 1 : b; };
    for (LoopStage& stage : kernel->stages) {
      if (!loaded) {
        std::erase_if(stage.stores,
                      [&](const runtime::LoopStore& s) { return s.to.buffer == buffer; });
      }
      ForEachAccess(stage, [&](LoopAccess& access) {
        for (LoopIndexTerm& term : access.terms) term.buffer = renumber(term.buffer);
        if (access.buffer != buffer) {
          access.buffer = renumber(access.buffer);
          return;
        }
        access.buffer = last - 1;
        access.offset -= row.begin;
        std::fill_n(access.strides.begin(), kernel->outer.size(), 0);
      });
    }
    --kernel->buffers;
    if (loaded) {
      kernel->locals.push_back(static_cast<uint64_t>(row.end - row.begin) *
                               static_cast<uint64_t>(row.width));
    }
  }

  void DropUnused() {
    std::vector<bool> used(plan_.loops.size(), false);
    const auto each = [&](const auto& visit) {
      runtime::ForEachRegion(&plan_, [&](PlanRegion& region) {
        for (PlanStep& step : region.steps) {
          if (step.kind == StepKind::kLoop) visit(step.index);
          if (step.epilogue != UINT32_MAX) visit(step.epilogue);
        }
      });
    };
    each([&](uint32_t index) { used[index] = true; });
    std::vector<uint32_t> number(plan_.loops.size());
    std::vector<LoopKernel> kept;
    for (size_t i = 0; i < used.size(); ++i) {
      number[i] = static_cast<uint32_t>(kept.size());
      if (used[i]) kept.push_back(std::move(plan_.loops[i]));
    }
    plan_.loops = std::move(kept);
    each([&](uint32_t& index) { index = number[index]; });
  }

  const Arrays& arrays_;
  Plan& plan_;
  LowerReport* const report_;
  std::unordered_map<uint32_t, int> uses_;
};

}  // namespace

void JoinSteps(const Arrays& arrays, Plan* plan, LowerReport* report) {
  Joiner(arrays, plan, report).Run();
}

PlanStep LoopStep(const std::vector<uint32_t>& places, LoopKernel* kernel) {
  PlanStep step;
  step.kind = StepKind::kLoop;
  std::vector<uint32_t> distinct, number_of;
  for (const uint32_t p : places) {
    const auto it = std::ranges::find(distinct, p);
    number_of.push_back(static_cast<uint32_t>(it - distinct.begin()));
    if (it == distinct.end()) distinct.push_back(p);
  }
  std::vector<bool> stored(distinct.size(), false);
  for (const LoopStage& stage : kernel->stages) {
    for (const runtime::LoopStore& s : stage.stores) {
      if (s.to.buffer < number_of.size()) stored[number_of[s.to.buffer]] = true;
    }
  }
  std::vector<LoopBuffer> final_number(distinct.size());
  for (const bool written : {false, true}) {
    for (size_t p = 0; p < distinct.size(); ++p) {
      if (stored[p] != written) continue;
      final_number[p] = static_cast<LoopBuffer>(step.in.size() + step.out.size());
      (written ? step.out : step.in).push_back(distinct[p]);
    }
  }
  const auto before = static_cast<LoopBuffer>(places.size());
  const auto arguments = static_cast<LoopBuffer>(distinct.size());
  const auto renumber = [&](LoopBuffer b) {
    return b < before ? final_number[number_of[b]] : b - before + arguments;
  };
  for (LoopStage& stage : kernel->stages) {
    ForEachAccess(stage, [&](LoopAccess& access) {
      access.buffer = renumber(access.buffer);
      for (LoopIndexTerm& term : access.terms) term.buffer = renumber(term.buffer);
    });
  }
  kernel->buffers = arguments;
  return step;
}

}  // namespace megalith::codegen

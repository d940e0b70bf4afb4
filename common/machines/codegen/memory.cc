#include "common/machines/codegen/memory.h"

#include <algorithm>
#include <functional>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/packing.h"

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::Plan;
using runtime::PlanBuffer;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;

struct Life {
  uint32_t first = UINT32_MAX, last = 0;
  void Touch(uint32_t at) {
    first = std::min(first, at);
    last = std::max(last, at);
  }
};

// Numbers the steps in the order they run and notes when each array is used.
class LifeWalker {
 public:
  LifeWalker(const Arrays& arrays, const Plan& plan) : arrays_(arrays), plan_(plan) {
    lives_.resize(arrays.size());
    steps_.push_back(nullptr);
  }
  std::vector<Life> Run() {
    Walk(plan_.entry);
    return std::move(lives_);
  }
  // The step of each number; a loop or branch has two, its own and its end. Number 0 is none.
  const std::vector<const PlanStep*>& steps() const { return steps_; }

 private:
  void Next(const PlanStep& step) {
    ++now_;
    steps_.push_back(&step);
  }
  void Touch(uint32_t array) { lives_[arrays_.Find(array)].Touch(now_); }
  void Touch(const std::vector<uint32_t>& list) {
    for (const uint32_t a : list) Touch(a);
  }
  void Walk(const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      Next(step);
      Touch(step.in);
      Touch(step.out);
      Touch(step.epilogue_buffers);
      if (step.scratch != UINT32_MAX) Touch(step.scratch);
      if (step.kind == StepKind::kWhile) WalkWhile(step, plan_.whiles[step.index]);
      if (step.kind == StepKind::kBranch) {
        Touch(plan_.branches[step.index].selector);
        for (const PlanRegion& r : plan_.branches[step.index].regions) Walk(r);
        Next(step);
        Touch(step.out);
      }
    }
  }
  // What was alive before a loop and is used in it stays alive until its last turn ends.
  void WalkWhile(const PlanStep& step, const runtime::PlanWhile& w) {
    const uint32_t start = now_;
    Walk(w.condition);
    if (w.predicate != UINT32_MAX) Touch(w.predicate);
    Walk(w.body);
    Next(step);
    for (Life& life : lives_) {
      if (life.first <= start && life.last > start) life.last = now_;
    }
  }

  const Arrays& arrays_;
  const Plan& plan_;
  std::vector<Life> lives_;
  std::vector<const PlanStep*> steps_;
  uint32_t now_ = 0;
};

}  // namespace

uint32_t Arrays::Add(BufferKind kind, uint32_t index, uint64_t bytes) {
  list_.push_back({kind, index, 0, bytes});
  parent_.push_back(static_cast<uint32_t>(list_.size() - 1));
  return parent_.back();
}

uint32_t Arrays::Find(uint32_t array) const {
  while (parent_[array] != array) {
    parent_[array] = parent_[parent_[array]];
    array = parent_[array];
  }
  return array;
}

void Arrays::Merge(uint32_t array, uint32_t into) { parent_[Find(array)] = Find(into); }

namespace {

// The arrays of a plan that get memory, and where.
struct Layout {
  std::vector<uint32_t> used;         // all that steps touch
  std::vector<uint32_t> temporaries;  // of them
  std::vector<uint32_t> results;      // of them: the banks of `packing`
  Packing packing;                    // of the temporaries
};

Layout LayOut(const Arrays& arrays, const Plan& plan) {
  const std::vector<Life> lives = LifeWalker(arrays, plan).Run();
  Layout layout;
  for (uint32_t a = 0; a < arrays.size(); ++a) {
    if (arrays.Find(a) != a || lives[a].first == UINT32_MAX) continue;
    layout.used.push_back(a);
    if (arrays.IsTemporary(a)) layout.temporaries.push_back(a);
    if (arrays.at(a).kind == BufferKind::kOutput) layout.results.push_back(a);
  }
  // Results that are not written yet hold temporaries, the smallest that has room first.
  std::ranges::stable_sort(layout.results, {}, [&](uint32_t a) { return arrays.at(a).bytes; });
  std::vector<PackBank> banks;
  for (const uint32_t a : layout.results) banks.push_back({arrays.at(a).bytes, lives[a].first});
  std::vector<PackItem> items;
  for (const uint32_t a : layout.temporaries) {
    items.push_back({arrays.at(a).bytes, lives[a].first, lives[a].last});
  }
  layout.packing = Pack(items, banks);
  return layout;
}

std::string NameOf(const Plan& plan, const PlanStep& step) {
  switch (step.kind) {
    case StepKind::kLoop:
      return plan.loops[step.index].name;
    case StepKind::kLibrary:
      return plan.library[step.index].kernel;
    case StepKind::kWhile:
      return "while";
    case StepKind::kBranch:
      return "branch";
    case StepKind::kCopy:
      return "copy";
  }
  return "";
}

}  // namespace

uint64_t ArenaBytes(const Arrays& arrays, const Plan& plan) {
  return LayOut(arrays, plan).packing.arena_bytes;
}

std::string PeakText(const Plan& plan) {
  Arrays arrays;
  for (const PlanBuffer& b : plan.buffers) arrays.Add(b.kind, b.index, b.bytes);
  LifeWalker walker(arrays, plan);
  const std::vector<Life> lives = walker.Run();
  const std::vector<const PlanStep*>& steps = walker.steps();
  std::vector<int64_t> change(steps.size() + 1, 0);
  for (uint32_t b = 0; b < plan.buffers.size(); ++b) {
    if (!arrays.IsTemporary(b) || lives[b].first == UINT32_MAX) continue;
    change[lives[b].first] += static_cast<int64_t>(plan.buffers[b].bytes);
    change[lives[b].last + 1] -= static_cast<int64_t>(plan.buffers[b].bytes);
  }
  int64_t now = 0, most = 0;
  uint32_t peak = 0;
  for (uint32_t t = 0; t < steps.size(); ++t) {
    now += change[t];
    if (now > most) {
      most = now;
      peak = t;
    }
  }
  if (most == 0) return "no temporaries\n";
  std::vector<uint32_t> held;
  for (uint32_t b = 0; b < plan.buffers.size(); ++b) {
    if (arrays.IsTemporary(b) && lives[b].first <= peak && peak <= lives[b].last) held.push_back(b);
  }
  std::ranges::stable_sort(held, std::greater<>(),
                           [&](uint32_t b) { return plan.buffers[b].bytes; });
  std::string text = StrCat(most, " bytes are needed at '", NameOf(plan, *steps[peak]), "', ",
                            plan.arena_bytes, " are reserved\n");
  for (const uint32_t b : held) {
    StrAppend(&text, "[", plan.buffers[b].offset, "+", plan.buffers[b].bytes, "] from '",
              NameOf(plan, *steps[lives[b].first]), "' to '", NameOf(plan, *steps[lives[b].last]),
              "'\n");
  }
  return text;
}

void AssignMemory(const Arrays& arrays, Plan* plan) {
  const Layout layout = LayOut(arrays, *plan);
  std::vector<uint32_t> buffer_of(arrays.size(), UINT32_MAX);
  for (const uint32_t a : layout.used) {
    buffer_of[a] = static_cast<uint32_t>(plan->buffers.size());
    plan->buffers.push_back(arrays.at(a));
  }
  for (size_t i = 0; i < layout.temporaries.size(); ++i) {
    PlanBuffer& buffer = plan->buffers[buffer_of[layout.temporaries[i]]];
    const PackPlace& place = layout.packing.places[i];
    if (place.bank != UINT32_MAX) {
      buffer.kind = BufferKind::kOutput;
      buffer.index = arrays.at(layout.results[place.bank]).index;
    }
    buffer.offset = place.offset;
  }
  plan->arena_bytes = layout.packing.arena_bytes;

  const auto replace = [&](uint32_t& a) {
    if (a != UINT32_MAX) a = buffer_of[arrays.Find(a)];
  };
  runtime::ForEachRegion(plan, [&](PlanRegion& region) {
    for (PlanStep& step : region.steps) {
      for (uint32_t& a : step.in) replace(a);
      for (uint32_t& a : step.out) replace(a);
      for (uint32_t& a : step.epilogue_buffers) replace(a);
      replace(step.scratch);
    }
  });
  for (runtime::PlanWhile& w : plan->whiles) replace(w.predicate);
  for (runtime::PlanBranch& b : plan->branches) replace(b.selector);
}

}  // namespace megalith::codegen

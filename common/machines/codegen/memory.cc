#include "common/machines/codegen/memory.h"

#include <algorithm>
#include <functional>
#include <unordered_map>
#include <unordered_set>

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
    // What holds an input is needed from the beginning.
    for (uint32_t a = 0; a < arrays.size(); ++a) {
      if (arrays.Find(a) == a && HoldsInput(a)) lives_[a].Touch(now_);
    }
  }
  std::vector<Life> Run() {
    Walk(plan_.entry);
    return std::move(lives_);
  }
  // The step of each number; a loop or branch has two, its own and its end. Number 0 is none.
  const std::vector<const PlanStep*>& steps() const { return steps_; }

 private:
  bool HoldsInput(uint32_t array) const {
    const PlanBuffer& b = arrays_.at(array);
    return b.kind == BufferKind::kDonated ||
           (b.kind == BufferKind::kOutput &&
            std::ranges::find(plan_.donations, b.index, &runtime::Donation::output) !=
                plan_.donations.end());
  }
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
  std::vector<uint32_t> banks;        // results and donated inputs: those of `packing`
  Packing packing;                    // of the temporaries
  // Donated inputs that results lie in once they have been read, and the results.
  std::unordered_map<uint32_t, uint32_t> result_in;
};

// Finds donated inputs for results: of those that have been read before the result is written the
// one that was read last, so that others are left for results that are written earlier.
void PlaceResults(const Arrays& arrays, const runtime::Signature& signature,
                  const std::vector<Life>& lives, std::vector<uint32_t> results,
                  std::vector<uint32_t> donated, Layout* layout) {
  std::ranges::stable_sort(results, {}, [&](uint32_t a) { return lives[a].first; });
  std::ranges::stable_sort(donated, std::greater<>(), [&](uint32_t a) { return lives[a].last; });
  for (const uint32_t result : results) {
    const auto fits = std::ranges::find_if(donated, [&](uint32_t a) {
      return lives[a].last < lives[result].first &&
             FitsInPlaceOf(signature.inputs[arrays.at(a).index],
                           signature.outputs[arrays.at(result).index]);
    });
    if (fits == donated.end()) continue;
    layout->result_in[*fits] = result;
    donated.erase(fits);
  }
}

Layout LayOut(const Arrays& arrays, const Plan& plan) {
  const std::vector<Life> lives = LifeWalker(arrays, plan).Run();
  Layout layout;
  std::vector<uint32_t> results, donated;
  for (uint32_t a = 0; a < arrays.size(); ++a) {
    if (arrays.Find(a) != a || lives[a].first == UINT32_MAX) continue;
    layout.used.push_back(a);
    const BufferKind kind = arrays.at(a).kind;
    if (kind == BufferKind::kArena) layout.temporaries.push_back(a);
    if (kind == BufferKind::kOutput) results.push_back(a);
    if (kind == BufferKind::kDonated) donated.push_back(a);
  }
  PlaceResults(arrays, plan.signature, lives, results, donated, &layout);
  // Results that are not written yet and inputs that have been read hold temporaries, the smallest
  // that has room first.
  std::unordered_map<uint32_t, uint32_t> read_until;  // by result: the input it lies in
  for (const auto& [input, result] : layout.result_in) read_until[result] = lives[input].last;
  layout.banks = results;
  for (const uint32_t a : donated) {
    if (!layout.result_in.contains(a)) layout.banks.push_back(a);
  }
  std::ranges::stable_sort(layout.banks, {}, [&](uint32_t a) { return arrays.at(a).bytes; });
  std::vector<PackBank> banks;
  for (const uint32_t a : layout.banks) {
    if (arrays.at(a).kind == BufferKind::kDonated) {
      banks.push_back({arrays.at(a).bytes, lives[a].last, UINT32_MAX});
    } else {
      const auto read = read_until.find(a);
      banks.push_back(
          {arrays.at(a).bytes, read == read_until.end() ? 0 : read->second, lives[a].first});
    }
  }
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

MemoryNeed NeedOf(const Arrays& arrays, const Plan& plan) {
  const Layout layout = LayOut(arrays, plan);
  MemoryNeed need{layout.packing.arena_bytes, 0};
  for (const uint32_t a : layout.used) {
    if (arrays.at(a).kind == BufferKind::kOutput) need.result_bytes += arrays.at(a).bytes;
  }
  for (const auto& [input, result] : layout.result_in) need.result_bytes -= arrays.at(input).bytes;
  return need;
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

namespace {

// Places that steps write.
std::unordered_set<uint32_t> WrittenPlaces(const Arrays& arrays, Plan* plan) {
  std::unordered_set<uint32_t> written;
  runtime::ForEachRegion(plan, [&](const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      for (const uint32_t a : step.out) written.insert(arrays.Find(a));
      if (step.scratch != UINT32_MAX) written.insert(arrays.Find(step.scratch));
      if (step.epilogue == UINT32_MAX) continue;
      for (const runtime::LoopStage& stage : plan->loops[step.epilogue].stages) {
        for (const runtime::LoopStore& store : stage.stores) {
          if (store.to.buffer >= step.epilogue_buffers.size()) continue;
          written.insert(arrays.Find(step.epilogue_buffers[store.to.buffer]));
        }
      }
    }
  });
  return written;
}

// The buffer of a donated input, which becomes an entry of plan->donations where its memory is
// used. One that is only read is an input like others.
PlanBuffer PlaceDonated(const Arrays& arrays, const Layout& layout, uint32_t array, bool written,
                        bool holds_temporaries, Plan* plan) {
  PlanBuffer buffer = arrays.at(array);
  const auto result = layout.result_in.find(array);
  const bool has_result = result != layout.result_in.end();
  if (has_result || written || holds_temporaries) {
    runtime::Donation d{buffer.index, UINT32_MAX, written};
    if (has_result) d.output = arrays.at(result->second).index;
    plan->donations.push_back(d);
  }
  if (!written) {
    buffer.kind = BufferKind::kInput;
  } else if (has_result) {
    buffer.kind = BufferKind::kOutput;
    buffer.index = arrays.at(result->second).index;
  }
  return buffer;
}

}  // namespace

void AssignMemory(const Arrays& arrays, Plan* plan) {
  const Layout layout = LayOut(arrays, *plan);
  const std::unordered_set<uint32_t> written = WrittenPlaces(arrays, plan);
  std::unordered_set<uint32_t> occupied;  // arrays that hold temporaries
  for (const PackPlace& place : layout.packing.places) {
    if (place.bank != UINT32_MAX) occupied.insert(layout.banks[place.bank]);
  }
  std::vector<uint32_t> buffer_of(arrays.size(), UINT32_MAX);
  for (const uint32_t a : layout.used) {
    buffer_of[a] = static_cast<uint32_t>(plan->buffers.size());
    const PlanBuffer& buffer = arrays.at(a);
    plan->buffers.push_back(
        buffer.kind == BufferKind::kDonated
            ? PlaceDonated(arrays, layout, a, written.contains(a), occupied.contains(a), plan)
            : buffer);
  }
  for (size_t i = 0; i < layout.temporaries.size(); ++i) {
    PlanBuffer& buffer = plan->buffers[buffer_of[layout.temporaries[i]]];
    const PackPlace& place = layout.packing.places[i];
    if (place.bank != UINT32_MAX) {
      const PlanBuffer& bank = arrays.at(layout.banks[place.bank]);
      buffer.kind = bank.kind;
      buffer.index = bank.index;
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

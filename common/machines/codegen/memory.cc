#include "common/machines/codegen/memory.h"

#include <algorithm>
#include <map>

namespace megalith::codegen {
namespace {

using runtime::BufferKind;
using runtime::Plan;
using runtime::PlanBuffer;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::StepKind;

constexpr uint64_t kAlignment = 64;

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
  }
  std::vector<Life> Run() {
    Walk(plan_.entry);
    return std::move(lives_);
  }

 private:
  void Touch(uint32_t array) { lives_[arrays_.Find(array)].Touch(now_); }
  void Touch(const std::vector<uint32_t>& list) {
    for (const uint32_t a : list) Touch(a);
  }
  void Walk(const PlanRegion& region) {
    for (const PlanStep& step : region.steps) {
      ++now_;
      Touch(step.in);
      Touch(step.out);
      Touch(step.epilogue_buffers);
      if (step.scratch != UINT32_MAX) Touch(step.scratch);
      if (step.kind == StepKind::kWhile) WalkWhile(plan_.whiles[step.index]);
      if (step.kind == StepKind::kBranch) {
        Touch(plan_.branches[step.index].selector);
        for (const PlanRegion& r : plan_.branches[step.index].regions) Walk(r);
        ++now_;
        Touch(step.out);
      }
    }
  }
  // What was alive before a loop and is used in it stays alive until its last turn ends.
  void WalkWhile(const runtime::PlanWhile& w) {
    const uint32_t start = now_;
    Walk(w.condition);
    if (w.predicate != UINT32_MAX) Touch(w.predicate);
    Walk(w.body);
    ++now_;
    for (Life& life : lives_) {
      if (life.first <= start && life.last > start) life.last = now_;
    }
  }

  const Arrays& arrays_;
  const Plan& plan_;
  std::vector<Life> lives_;
  uint32_t now_ = 0;
};

// Free stretches of the arena by offset; takes the smallest that fits.
class FreeList {
 public:
  uint64_t Take(uint64_t bytes) {
    auto best = free_.end();
    for (auto it = free_.begin(); it != free_.end(); ++it) {
      if (it->second >= bytes && (best == free_.end() || it->second < best->second)) best = it;
    }
    if (best == free_.end()) {
      // Grow: the last stretch, if it is free, is extended.
      uint64_t offset = end_;
      if (!free_.empty()) {
        const auto last = std::prev(free_.end());
        if (last->first + last->second == end_) {
          offset = last->first;
          free_.erase(last);
        }
      }
      end_ = offset + bytes;
      return offset;
    }
    const auto [offset, size] = *best;
    free_.erase(best);
    if (size > bytes) free_[offset + bytes] = size - bytes;
    return offset;
  }
  void Give(uint64_t offset, uint64_t bytes) {
    if (bytes == 0) return;
    auto next = free_.lower_bound(offset);
    if (next != free_.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == offset) {
        offset = before->first;
        bytes += before->second;
        free_.erase(before);
      }
    }
    if (next != free_.end() && offset + bytes == next->first) {
      bytes += next->second;
      free_.erase(next);
    }
    free_[offset] = bytes;
  }
  uint64_t end() const { return end_; }

 private:
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes
  uint64_t end_ = 0;
};

template <typename Visit>
void ForEachRegion(Plan* plan, const Visit& visit) {
  visit(plan->entry);
  for (runtime::PlanWhile& w : plan->whiles) {
    visit(w.condition);
    visit(w.body);
  }
  for (runtime::PlanBranch& b : plan->branches) {
    for (PlanRegion& r : b.regions) visit(r);
  }
}

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

void AssignMemory(const Arrays& arrays, Plan* plan) {
  const std::vector<Life> lives = LifeWalker(arrays, *plan).Run();
  std::vector<uint32_t> buffer_of(arrays.size(), UINT32_MAX);
  std::vector<uint32_t> temporaries;
  for (uint32_t a = 0; a < arrays.size(); ++a) {
    if (arrays.Find(a) != a || lives[a].first == UINT32_MAX) continue;
    buffer_of[a] = static_cast<uint32_t>(plan->buffers.size());
    plan->buffers.push_back(arrays.at(a));
    if (arrays.IsTemporary(a)) temporaries.push_back(a);
  }
  std::ranges::stable_sort(temporaries,
                           [&](uint32_t a, uint32_t b) { return lives[a].first < lives[b].first; });
  FreeList list;
  std::multimap<uint32_t, std::pair<uint64_t, uint64_t>> ending;  // last use -> stretch
  for (const uint32_t a : temporaries) {
    while (!ending.empty() && ending.begin()->first < lives[a].first) {
      list.Give(ending.begin()->second.first, ending.begin()->second.second);
      ending.erase(ending.begin());
    }
    const uint64_t bytes = (arrays.at(a).bytes + kAlignment - 1) / kAlignment * kAlignment;
    const uint64_t offset = list.Take(bytes);
    plan->buffers[buffer_of[a]].offset = offset;
    ending.insert({lives[a].last, {offset, bytes}});
  }
  plan->arena_bytes = list.end();

  const auto replace = [&](uint32_t& a) {
    if (a != UINT32_MAX) a = buffer_of[arrays.Find(a)];
  };
  ForEachRegion(plan, [&](PlanRegion& region) {
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

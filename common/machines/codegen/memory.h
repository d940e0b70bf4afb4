// Arrays of a plan before they have addresses: which share a place, and how long each is needed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// Numbers of arrays stand where a plan has numbers of buffers until AssignMemory replaces them.
class Arrays {
 public:
  uint32_t Add(runtime::BufferKind kind, uint32_t index, uint64_t bytes);
  uint32_t AddTemporary(uint64_t bytes) { return Add(runtime::BufferKind::kArena, 0, bytes); }
  // From now on both are one place, that of `into`. Requires temporaries of one size.
  void Merge(uint32_t array, uint32_t into);
  // The array that stands for all that share its place.
  uint32_t Find(uint32_t array) const;

  runtime::PlanBuffer& at(uint32_t array) { return list_[Find(array)]; }
  const runtime::PlanBuffer& at(uint32_t array) const { return list_[Find(array)]; }
  bool IsTemporary(uint32_t array) const { return at(array).kind == runtime::BufferKind::kArena; }
  size_t size() const { return list_.size(); }

 private:
  std::vector<runtime::PlanBuffer> list_;
  mutable std::vector<uint32_t> parent_;
};

// Gives every temporary array a place in the arena, in a result that is not written yet or in a
// donated input that has been read, such that arrays alive at one time do not overlap; puts results
// into donated inputs that have been read before; replaces the numbers of arrays in the steps by
// numbers of buffers; and fills plan->buffers, plan->donations and plan->arena_bytes.
//
// Arrays of the kind kDonated are inputs that are given away: they begin with the input's elements
// and may be overwritten. Those that have become results are of the kind kOutput and have an entry
// in plan->donations already.
void AssignMemory(const Arrays& arrays, runtime::Plan* plan);

// What AssignMemory would need for the plan as it is.
struct MemoryNeed {
  uint64_t arena_bytes = 0;
  uint64_t result_bytes = 0;  // of results that lie in no input
};
MemoryNeed NeedOf(const Arrays& arrays, const runtime::Plan& plan);

// For people: the step of a finished plan at which most temporary memory is needed, and the arrays
// that take it, the largest first. What lies in results is left out.
std::string PeakText(const runtime::Plan& plan);

}  // namespace megalith::codegen

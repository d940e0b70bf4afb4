// The variables of one jaxpr by name. Library-internal.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "common/programs/ir/jaxpr.h"

namespace megalith::ir {

// Names (views of a text that outlives the table) to variables. Open addressing, since programs may
// have a million variables: a table of nodes took three quarters of the time of parsing those. Not
// thread-safe.
class NameTable {
 public:
  // False if the name is there already.
  bool Add(std::string_view name, VarId id) {
    if (2 * (entries_.size() + 1) > slots_.size()) Grow();
    const uint32_t hash = HashOf(name);
    Slot& slot = slots_[SlotOf(name, hash)];
    if (slot.entry != 0) return false;
    entries_.emplace_back(name, id);
    slot = {hash, static_cast<uint32_t>(entries_.size())};
    return true;
  }

  std::optional<VarId> Find(std::string_view name) const {
    if (slots_.empty()) return std::nullopt;
    const Slot& slot = slots_[SlotOf(name, HashOf(name))];
    if (slot.entry == 0) return std::nullopt;
    return entries_[slot.entry - 1].second;
  }

 private:
  struct Slot {
    uint32_t hash = 0;
    uint32_t entry = 0;  // one more than an index of entries_; 0: free
  };

  static uint32_t HashOf(std::string_view name) {
    return static_cast<uint32_t>(std::hash<std::string_view>()(name));
  }

  // The slot that has the name, or the free one where it belongs. At least half of the slots are
  // free.
  size_t SlotOf(std::string_view name, uint32_t hash) const {
    const size_t mask = slots_.size() - 1;
    size_t at = hash & mask;
    while (slots_[at].entry != 0 &&
           !(slots_[at].hash == hash && entries_[slots_[at].entry - 1].first == name)) {
      at = (at + 1) & mask;
    }
    return at;
  }

  void Grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    old.swap(slots_);
    const size_t mask = slots_.size() - 1;
    for (const Slot& slot : old) {
      if (slot.entry == 0) continue;
      size_t at = slot.hash & mask;
      while (slots_[at].entry != 0) at = (at + 1) & mask;
      slots_[at] = slot;
    }
  }

  std::vector<Slot> slots_;  // a power of two of them
  std::vector<std::pair<std::string_view, VarId>> entries_;
};

}  // namespace megalith::ir

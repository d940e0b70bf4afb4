#include "common/machines/codegen/packing.h"

#include <algorithm>
#include <numeric>
#include <optional>

namespace megalith::codegen {
namespace {

constexpr size_t kManyItems = 600;  // above, only the cheapest order is tried

// Arrays begin at multiples of a vector, and nothing else is in their last one. Scalars take less:
// programs of loops have many.
constexpr uint64_t kAlignment = 64;
constexpr uint64_t kScalarBytes = 8;
uint64_t AlignmentOf(const PackItem& item) {
  return item.bytes <= kScalarBytes ? kScalarBytes : kAlignment;
}
uint64_t RoundUp(uint64_t bytes, uint64_t alignment) {
  return (bytes + alignment - 1) / alignment * alignment;
}

// A stretch of memory and the items in it, by offset.
class Memory {
 public:
  explicit Memory(uint64_t room) : room_(room) {}

  // The lowest place for `item`; nothing if there is no room.
  std::optional<uint64_t> Find(const PackItem& item) const {
    uint64_t offset = 0;
    for (const Used& used : used_) {
      if (used.last < item.first || item.last < used.first) continue;
      if (offset + item.bytes <= used.begin) break;
      offset = std::max(offset, RoundUp(used.end, AlignmentOf(item)));
    }
    if (offset > room_ || item.bytes > room_ - offset) return std::nullopt;
    return offset;
  }
  void Put(const PackItem& item, uint64_t offset) {
    const uint64_t end = offset + RoundUp(item.bytes, AlignmentOf(item));
    const auto at = std::ranges::upper_bound(used_, offset, {}, &Used::begin);
    used_.insert(at, {offset, end, item.first, item.last});
    end_ = std::max(end_, end);
  }
  // Forgets what is not needed from step `now` on.
  void Forget(uint32_t now) {
    std::erase_if(used_, [&](const Used& u) { return u.last < now; });
  }
  uint64_t end() const { return end_; }

 private:
  struct Used {
    uint64_t begin, end;
    uint32_t first, last;
  };
  uint64_t room_;
  uint64_t end_ = 0;
  std::vector<Used> used_;
};

Packing PackInOrder(const std::vector<PackItem>& items, const std::vector<PackBank>& banks,
                    const std::vector<uint32_t>& order, bool by_time) {
  Memory arena(UINT64_MAX);
  std::vector<Memory> memories;
  for (const PackBank& b : banks) memories.emplace_back(b.bytes);
  Packing packing;
  packing.places.resize(items.size());
  uint32_t forgotten = 0;
  for (const uint32_t i : order) {
    const PackItem& item = items[i];
    if (by_time && item.first > forgotten) {
      forgotten = item.first;
      arena.Forget(forgotten);
      for (Memory& m : memories) m.Forget(forgotten);
    }
    PackPlace& place = packing.places[i];
    for (uint32_t b = 0; b < banks.size() && place.bank == UINT32_MAX; ++b) {
      if (item.first <= banks[b].after || item.last >= banks[b].until) continue;
      const std::optional<uint64_t> offset = memories[b].Find(item);
      if (!offset) continue;
      place = {b, *offset};
      memories[b].Put(item, *offset);
    }
    if (place.bank != UINT32_MAX) continue;
    place.offset = *arena.Find(item);
    arena.Put(item, place.offset);
  }
  packing.arena_bytes = arena.end();
  return packing;
}

}  // namespace

Packing Pack(const std::vector<PackItem>& items, const std::vector<PackBank>& banks) {
  std::vector<uint32_t> order(items.size());
  std::iota(order.begin(), order.end(), 0);
  const auto sort_by = [&](auto key) {
    std::ranges::stable_sort(order, [&](uint32_t a, uint32_t b) { return key(a) < key(b); });
  };
  sort_by([&](uint32_t i) { return items[i].first; });
  Packing best = PackInOrder(items, banks, order, true);
  if (items.size() > kManyItems) return best;
  const auto attempt = [&] {
    Packing packing = PackInOrder(items, banks, order, false);
    if (packing.arena_bytes < best.arena_bytes) best = std::move(packing);
  };
  attempt();  // as before, but items go below what is needed at other times
  sort_by([&](uint32_t i) { return ~items[i].last; });
  attempt();
  const auto span = [&](uint32_t i) { return items[i].last - items[i].first + 1; };
  sort_by([&](uint32_t i) { return ~items[i].bytes; });
  attempt();
  sort_by([&](uint32_t i) { return ~(items[i].bytes * span(i)); });
  attempt();
  sort_by([&](uint32_t i) { return ~span(i); });
  attempt();
  return best;
}

}  // namespace megalith::codegen

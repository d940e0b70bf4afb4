// Which bytes temporary arrays get: in results that are not written yet, in inputs that are given
// and have been read, or in the arena.
#pragma once

#include <cstdint>
#include <vector>

namespace megalith::codegen {

// An array that is needed during steps `first` to `last`.
struct PackItem {
  uint64_t bytes = 0;
  uint32_t first = 0, last = 0;
  friend bool operator==(const PackItem&, const PackItem&) = default;
};

// Memory of `bytes` bytes that is free after step `after` and before step `until`.
struct PackBank {
  uint64_t bytes = 0;
  uint32_t after = 0;
  uint32_t until = 0;
};

struct PackPlace {
  uint32_t bank = UINT32_MAX;  // UINT32_MAX: the arena
  uint64_t offset = 0;         // a multiple of 64; of 8 for items of at most 8 bytes
};

struct Packing {
  std::vector<PackPlace> places;  // by item
  uint64_t arena_bytes = 0;
};

// Places such that items that are needed during one step do not overlap. Several orders are tried,
// and the one that needs the smallest arena is taken; of many items, only one order. Cost: items
// times those that lie in the same memory.
Packing Pack(const std::vector<PackItem>& items, const std::vector<PackBank>& banks);

}  // namespace megalith::codegen

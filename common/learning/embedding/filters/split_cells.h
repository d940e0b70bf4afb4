// The cells of one split of a sliding hash filter: counters that find their place by a hash, with
// twelve bits of the fid to tell them apart.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>

#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// Persistent: never change.
inline constexpr uint64_t kSpareCells = 64;  // behind those that hashes choose from
inline constexpr int kProbeSteps = 16;
inline constexpr std::string_view kFilterHashName = "splitmix64-high";

// Where a fid's cells are, on every machine and in every process (quirk 9). Persistent: never
// change; a dump says by name which hash it was made with. splitmix64's finalizer (Steele et al.
// 2014); the high half of hash * size takes the place of a remainder.
inline uint64_t FilterHash(Fid fid) {
  uint64_t x = static_cast<uint64_t>(fid) + 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}
inline uint64_t FilterCell(uint64_t hash, uint64_t total_size) {
  return static_cast<uint64_t>(static_cast<unsigned __int128>(hash) * total_size >> 64);
}
// The original's formula, of which twelve bits remain (persistent: never change).
inline uint32_t FilterSignature(Fid fid) {
  const auto bits = static_cast<uint64_t>(fid);
  return static_cast<uint32_t>((bits >> 17 | bits << 15) & 0xfff);
}

// A cell is 0, or a signature above a count; a count of 0 with signature 0 does not occur. uint16_t
// counts to 15, as Monolith does, uint32_t to 2^20 - 1.
template <typename Cell>
class SplitCells {
 public:
  static constexpr int kCountBits = sizeof(Cell) == 2 ? 4 : 20;
  static constexpr uint32_t kMaxCount = (1u << kCountBits) - 1;
  using Atomic = std::atomic_ref<Cell>;
  static_assert(Atomic::is_always_lock_free);

  // Pages that are never touched take no memory. Throws std::bad_alloc.
  explicit SplitCells(uint64_t total_size)
      : total_size_(total_size),
        cells_(static_cast<Cell*>(std::calloc(total_size + kSpareCells, sizeof(Cell)))) {
    if (cells_ == nullptr) throw std::bad_alloc();
  }

  struct Found {
    Cell* cell = nullptr;  // null: all cells that the fid may use are taken
    Cell value = 0;        // as it was seen; 0: free
  };
  // The first cell on the fid's way that is free or its own.
  Found Find(uint64_t hash, uint32_t signature) const {
    uint64_t at = FilterCell(hash, total_size_);
    for (int step = 0; step < kProbeSteps; ++step) {
      Cell* cell = &cells_[at];
      const Cell value = Atomic(*cell).load(std::memory_order_relaxed);
      if (value == 0 || value >> kCountBits == signature) return {cell, value};
      if (++at == size()) at = 0;
    }
    return {};
  }

  static uint32_t CountOf(Cell value) { return value & kMaxCount; }
  static uint32_t SignatureOf(Cell value) { return value >> kCountBits; }
  static Cell Make(uint32_t signature, uint64_t count) {
    return static_cast<Cell>(signature << kCountBits |
                             static_cast<uint32_t>(count < kMaxCount ? count : kMaxCount));
  }

  uint64_t total_size() const { return total_size_; }
  uint64_t size() const { return total_size_ + kSpareCells; }
  uint64_t bytes() const { return size() * sizeof(Cell); }
  Cell Load(uint64_t at) const { return Atomic(cells_[at]).load(std::memory_order_relaxed); }
  void Store(uint64_t at, Cell value) {
    Atomic(cells_[at]).store(value, std::memory_order_relaxed);
  }

  void Clear() {
    for (uint64_t at = 0; at < size(); ++at)
      if (Load(at) != 0) Store(at, 0);  // a page that was never used stays so
    SetElements(0);
  }

  uint64_t elements() const { return elements_.load(std::memory_order_relaxed); }
  void SetElements(uint64_t elements) { elements_.store(elements, std::memory_order_relaxed); }
  // One more cell is in use.
  void CountElement() { elements_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Free {
    void operator()(Cell* cells) const { std::free(cells); }
  };
  const uint64_t total_size_;
  const std::unique_ptr<Cell[], Free> cells_;
  // Away from what every Find reads.
  alignas(64) std::atomic<uint64_t> elements_{0};  // cells in use, as Monolith counts them
};

}  // namespace megalith::embedding

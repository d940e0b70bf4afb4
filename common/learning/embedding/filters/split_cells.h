// The cells of one split of a sliding hash filter: counters that find their place by a hash, with
// twelve bits of the fid to tell them apart.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <new>
#include <span>
#include <string_view>
#include <vector>

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
//
// A moment keeps cells, in blocks, as they were when it began: whoever changes a cell while one is
// open calls Keep first, and ReadBlock gives what was there. The dumper copies blocks that nobody
// has changed, and they need not be kept from then on.
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

  static constexpr uint64_t kBlockCells = 8192;

  // Requires that nobody changes cells at this moment, and that no moment is open.
  void BeginMoment() {
    blocks_ = std::vector<Block>((size() + kBlockCells - 1) / kBlockCells);
    open_.store(true, std::memory_order_release);
  }
  // Whoever changes cells meanwhile finds that there is nothing to keep any more.
  void EndMoment() {
    for (std::mutex& mu : mu_) mu.lock();
    open_.store(false, std::memory_order_release);
    blocks_ = {};
    for (std::mutex& mu : mu_) mu.unlock();
  }
  // Before the cell changes.
  void Keep(const Cell* cell) {
    if (open_.load(std::memory_order_acquire)) {
      KeepBlock(static_cast<uint64_t>(cell - cells_.get()) / kBlockCells);
    }
  }
  // Before all cells change.
  void KeepAll() {
    if (!open_.load(std::memory_order_acquire)) return;
    for (uint64_t at = 0; at < size(); at += kBlockCells) KeepBlock(at / kBlockCells);
  }
  // The cells of a block, as they were when the moment began; once for each block, in a moment. As
  // they are now without one.
  std::vector<Cell> ReadBlock(uint64_t block) {
    const std::lock_guard lock(MutexOf(block));
    if (open_.load(std::memory_order_relaxed)) {
      Block& kept = blocks_[block];
      if (kept.done) return std::move(kept.cells);
      kept.done = true;
    }
    return Copy(block);
  }

  uint64_t elements() const { return elements_.load(std::memory_order_relaxed); }
  void SetElements(uint64_t elements) { elements_.store(elements, std::memory_order_relaxed); }
  // One more cell is in use.
  void CountElement() { elements_.fetch_add(1, std::memory_order_relaxed); }

 private:
  struct Free {
    void operator()(Cell* cells) const { std::free(cells); }
  };
  struct Block {
    bool done = false;  // kept or read
    std::vector<Cell> cells;
  };
  static constexpr size_t kMutexes = 16;

  std::mutex& MutexOf(uint64_t block) { return mu_[block % kMutexes]; }
  std::vector<Cell> Copy(uint64_t block) const {
    const uint64_t begin = block * kBlockCells;
    std::vector<Cell> out(std::min(kBlockCells, size() - begin));
    for (uint64_t i = 0; i < out.size(); ++i) out[i] = Load(begin + i);
    return out;
  }
  void KeepBlock(uint64_t block) {
    const std::lock_guard lock(MutexOf(block));
    if (!open_.load(std::memory_order_relaxed) || blocks_[block].done) return;
    blocks_[block].cells = Copy(block);
    blocks_[block].done = true;
  }

  const uint64_t total_size_;
  const std::unique_ptr<Cell[], Free> cells_;
  std::atomic<bool> open_{false};  // a moment is
  std::array<std::mutex, kMutexes> mu_;
  std::vector<Block> blocks_;  // of the moment; each guarded by its MutexOf
  // Away from what every Find reads.
  alignas(64) std::atomic<uint64_t> elements_{0};  // cells in use, as Monolith counts them
};

}  // namespace megalith::embedding

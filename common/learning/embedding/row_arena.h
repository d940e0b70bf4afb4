// Memory of a table's rows: fixed-size rows in blocks of a few MiB, named by a 32-bit number.
//
// A row is its payload and nothing else (fid and timestamp are in the index), padded to eight bytes
// only. A payload that is a multiple of 64 bytes therefore never touches one cache line more than
// it must. Blocks are mapped from the system and touched only as rows are handed out, so that a
// table of ten rows costs a page; from the second block on they are asked for in pages of 2 MiB,
// because random reads over small pages spend much of their time on address translation.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

// Threads: Reserve is serialised inside; Row may be called at any time for numbers that Reserve
// has given out. Nothing is returned to the system before Reset or destruction: who frees a row
// keeps its number and uses it again.
class RowArena {
 public:
  static constexpr uint32_t kMaxRows = (uint32_t{1} << 31) - 1;

  explicit RowArena(size_t payload_bytes);
  ~RowArena();
  RowArena(const RowArena&) = delete;
  RowArena& operator=(const RowArena&) = delete;

  size_t row_bytes() const { return row_bytes_; }

  std::byte* Row(uint32_t number) const {
    std::byte** blocks = blocks_.load(std::memory_order_acquire);
    return blocks[number >> block_shift_] + (number & block_mask_) * row_bytes_;
  }

  // The first of `count` fresh rows with consecutive numbers, contents undefined.
  // Errors: kResourceExhausted  the system has no memory, or kMaxRows exist.
  Result<uint32_t> Reserve(uint32_t count);

  // Bytes handed out.
  uint64_t reserved_bytes() const {
    return static_cast<uint64_t>(next_.load(std::memory_order_relaxed)) * row_bytes_;
  }

  // Forgets every row and gives the memory back. No other method may run meanwhile.
  void Reset();

 private:
  Status AddBlock();  // requires mu_

  const size_t row_bytes_;
  int block_shift_ = 0;
  uint32_t block_mask_ = 0;
  size_t block_bytes_ = 0;

  // Arrays of block addresses; a full one is replaced by a copy of twice the size and kept, since
  // readers may still look into it.
  std::atomic<std::byte**> blocks_{nullptr};

  std::mutex mu_;
  std::atomic<uint32_t> next_{0};                           // written under mu_
  size_t block_count_ = 0;                                  // guarded by mu_
  std::vector<std::vector<std::byte*>> block_directories_;  // guarded by mu_
};

}  // namespace megalith::embedding

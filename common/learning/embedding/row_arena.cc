#include "common/learning/embedding/row_arena.h"

#include <algorithm>
#include <string>

#include "common/foundation/base/large_memory.h"

namespace megalith::embedding {
namespace {

constexpr size_t kLargePage = size_t{2} << 20;
constexpr size_t kBlockBytes = size_t{4} << 20;  // a block is at least this and less than twice
constexpr size_t kFirstDirectory = 8;

}  // namespace

RowArena::RowArena(size_t payload_bytes) : row_bytes_((payload_bytes + 7) / 8 * 8) {
  while ((row_bytes_ << block_shift_) < kBlockBytes) ++block_shift_;
  block_mask_ = (uint32_t{1} << block_shift_) - 1;
  block_bytes_ = ((row_bytes_ << block_shift_) + kLargePage - 1) / kLargePage * kLargePage;
  block_directories_.emplace_back(kFirstDirectory, nullptr);
  blocks_.store(block_directories_.back().data(), std::memory_order_release);
}

RowArena::~RowArena() {
  const std::vector<std::byte*>& blocks = block_directories_.back();
  for (size_t i = 0; i < block_count_; ++i) UnmapZeroed(blocks[i], block_bytes_);
}

Status RowArena::AddBlock() {
  auto* memory = static_cast<std::byte*>(
      MapZeroed(block_bytes_, block_count_ > 0 ? Pages::kLarge : Pages::kSmall));
  if (memory == nullptr) {
    return ResourceExhausted("the system gives no memory for another " +
                             std::to_string(block_bytes_) +
                             " bytes of rows; evict rows or set the table's max_bytes lower");
  }
  if (block_count_ == block_directories_.back().size()) {
    std::vector<std::byte*> larger = block_directories_.back();
    larger.resize(2 * larger.size(), nullptr);
    block_directories_.push_back(std::move(larger));
  }
  block_directories_.back()[block_count_++] = memory;
  blocks_.store(block_directories_.back().data(), std::memory_order_release);
  return OkStatus();
}

Result<uint32_t> RowArena::Reserve(uint32_t count) {
  const std::lock_guard lock(mu_);
  const uint32_t first = next_.load(std::memory_order_relaxed);
  if (count > kMaxRows - first) {
    return ResourceExhausted("a table holds at most " + std::to_string(kMaxRows) +
                             " rows; use more servers");
  }
  while (((uint64_t{first} + count - 1) >> block_shift_) >= block_count_) {
    RETURN_IF_ERROR(AddBlock());
  }
  next_.store(first + count, std::memory_order_relaxed);
  return first;
}

void RowArena::Reset() {
  const std::lock_guard lock(mu_);
  const std::vector<std::byte*>& blocks = block_directories_.back();
  for (size_t i = 0; i < block_count_; ++i) UnmapZeroed(blocks[i], block_bytes_);
  block_count_ = 0;
  block_directories_.clear();
  block_directories_.emplace_back(kFirstDirectory, nullptr);
  blocks_.store(block_directories_.back().data(), std::memory_order_release);
  next_.store(0, std::memory_order_relaxed);
}

}  // namespace megalith::embedding

#include "common/learning/embedding/retired_memory.h"

#include <thread>

namespace megalith::embedding {
namespace {

size_t ThreadNumber() {
  static std::atomic<size_t> next{0};
  thread_local const size_t mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine;
}

}  // namespace

RetiredMemory::~RetiredMemory() {
  for (const auto& list : retired_) {
    for (const Retired& retired : list) retired.free(retired.memory);
  }
}

RetiredMemory::Reader::Reader(const RetiredMemory& memory) {
  Counts& counts = memory.counts_[ThreadNumber() % memory.counts_.size()];
  while (true) {
    const uint64_t epoch = memory.epoch_.load(std::memory_order_seq_cst);
    count_ = &counts.of_epoch[epoch % 2];
    count_->fetch_add(1, std::memory_order_seq_cst);
    // Seen again: whoever advances from here on sees the count.
    if (memory.epoch_.load(std::memory_order_seq_cst) == epoch) return;
    count_->fetch_sub(1, std::memory_order_release);
  }
}

bool RetiredMemory::Advance() {
  const uint64_t epoch = epoch_.load(std::memory_order_relaxed);
  const size_t older = (epoch + 1) % 2;
  for (const Counts& counts : counts_) {
    if (counts.of_epoch[older].load(std::memory_order_seq_cst) != 0) return false;
  }
  for (const Retired& retired : retired_[older]) retired.free(retired.memory);
  retired_[older].clear();
  epoch_.store(epoch + 1, std::memory_order_seq_cst);
  return true;
}

void RetiredMemory::Retire(void* memory, void (*free)(void*)) {
  if (memory == nullptr) return;
  const std::lock_guard lock(mu_);
  retired_[epoch_.load(std::memory_order_relaxed) % 2].push_back({memory, free});
  Advance();
}

void RetiredMemory::Synchronize() {
  for (int advanced = 0; advanced < 2;) {
    {
      const std::lock_guard lock(mu_);
      if (Advance()) ++advanced;
    }
    if (advanced < 2) std::this_thread::yield();
  }
}

}  // namespace megalith::embedding

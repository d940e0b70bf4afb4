// Memory that readers without locks may still look at: freed when the last of them has gone.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace megalith::embedding {

// Epochs: readers enter under the number of the current one, retired memory is kept with the number
// of its own, and freed when nobody of that epoch or an older one is left.
//
// Threads: any. Cost of a Reader: two atomic additions, on counters that few threads share.
class RetiredMemory {
 public:
  RetiredMemory() = default;
  ~RetiredMemory();  // no Reader may live
  RetiredMemory(const RetiredMemory&) = delete;
  RetiredMemory& operator=(const RetiredMemory&) = delete;

  // What could be reached when it was made stays readable while it lives.
  class Reader {
   public:
    explicit Reader(const RetiredMemory& memory);
    ~Reader() { count_->fetch_sub(1, std::memory_order_release); }
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

   private:
    std::atomic<int64_t>* count_;
  };

  // Takes memory that no new reader can reach any more, and how to free it.
  void Retire(void* memory, void (*free)(void*));

  // Waits until every Reader that lives now has gone. Not to be called by one that has a Reader.
  void Synchronize();

 private:
  bool Advance();  // requires mu_; false: an older reader is still there

  struct alignas(64) Counts {
    std::array<std::atomic<int64_t>, 2> of_epoch{};
  };
  mutable std::array<Counts, 16> counts_;  // threads are spread over them
  std::atomic<uint64_t> epoch_{1};
  std::mutex mu_;
  struct Retired {
    void* memory;
    void (*free)(void*);
  };
  std::array<std::vector<Retired>, 2> retired_;  // guarded by mu_; by epoch modulo 2
};

}  // namespace megalith::embedding

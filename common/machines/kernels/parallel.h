// What kernels that split their work over a WorkPool share.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <mutex>
#include <utility>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/work_pool.h"

namespace megalith::kernels {

// The first error any of several threads met.
class FirstError {
 public:
  bool failed() const { return failed_.load(std::memory_order_relaxed); }
  void Set(Status status) {
    const std::lock_guard lock(mu_);
    if (status_.ok()) status_ = std::move(status);
    failed_.store(true, std::memory_order_relaxed);
  }
  Status Take() {
    const std::lock_guard lock(mu_);
    return status_;
  }

 private:
  std::atomic<bool> failed_{false};
  std::mutex mu_;
  Status status_;  // guarded by mu_
};

// memcpy, split over the pool where that pays.
inline void ParallelMemcpy(WorkPool& pool, void* to, const void* from, int64_t bytes) {
  pool.For(bytes, int64_t{1} << 20, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<size_t>(end - begin));
  });
}

}  // namespace megalith::kernels

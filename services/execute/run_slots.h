// How many programs run at the same time.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <mutex>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"

namespace megalith::services {

// Thread-safe.
class RunSlots {
 public:
  explicit RunSlots(size_t slots) : free_(slots) {}

  // Held while a program runs.
  class Slot {
   public:
    explicit Slot(RunSlots* slots) : slots_(slots) {}
    Slot(Slot&& other) noexcept : slots_(other.slots_) { other.slots_ = nullptr; }
    ~Slot() {
      if (slots_ == nullptr) return;
      const std::lock_guard<std::mutex> lock(slots_->mu_);
      ++slots_->free_;
      slots_->freed_.notify_one();
    }

   private:
    RunSlots* slots_;
  };

  // Waits for a free one. Errors: those of `cancellation`, within 20 ms.
  Result<Slot> Take(const Cancellation& cancellation) {
    std::unique_lock<std::mutex> lock(mu_);
    while (!freed_.wait_for(lock, std::chrono::milliseconds(20), [this] { return free_ > 0; })) {
      RETURN_IF_ERROR(cancellation.Check());
    }
    --free_;
    return Slot(this);
  }

 private:
  std::mutex mu_;
  std::condition_variable freed_;
  size_t free_;  // guarded by mu_
};

}  // namespace megalith::services

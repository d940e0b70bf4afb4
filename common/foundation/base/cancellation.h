// Cooperative cancellation: long work asks Check() at least every 50 ms and stops with what it
// returns.
#pragma once

#include <atomic>
#include <chrono>
#include <memory>
#include <optional>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"

namespace megalith {

// Shared by whoever may cancel and whoever does the work. Thread-safe.
class Cancellation {
 public:
  // `deadline` is a point of clock.Monotonic(); nullopt means none.
  explicit Cancellation(std::optional<std::chrono::nanoseconds> deadline = std::nullopt,
                        const Clock& clock = RealClock())
      : deadline_(deadline), clock_(&clock) {}
  // `poll(argument)` is asked too, from whatever thread asks this object; it must stay callable as
  // long as that.
  Cancellation(std::optional<std::chrono::nanoseconds> deadline, const Clock& clock,
               bool (*poll)(const void* argument), const void* argument)
      : deadline_(deadline), clock_(&clock), poll_(poll), poll_argument_(argument) {}

  void Cancel() { cancelled_.store(true, std::memory_order_relaxed); }
  bool cancelled() const {
    return cancelled_.load(std::memory_order_relaxed) ||
           (poll_ != nullptr && poll_(poll_argument_));
  }

  // OK, kCancelled or kDeadlineExceeded.
  Status Check() const {
    if (cancelled()) return Cancelled("the caller cancelled the request");
    if (deadline_ && clock_->Monotonic() >= *deadline_) {
      return DeadlineExceeded("the caller's deadline passed before the work was done");
    }
    return OkStatus();
  }

  // Time left; nullopt without a deadline, never negative.
  std::optional<std::chrono::nanoseconds> Left() const {
    if (!deadline_) return std::nullopt;
    const auto left = *deadline_ - clock_->Monotonic();
    return left.count() < 0 ? std::chrono::nanoseconds(0) : left;
  }

 private:
  std::atomic<bool> cancelled_{false};
  std::optional<std::chrono::nanoseconds> deadline_;
  const Clock* clock_;
  bool (*poll_)(const void*) = nullptr;
  const void* poll_argument_ = nullptr;
};

}  // namespace megalith

// Time as a dependency: code that waits or stamps takes a Clock, so that tests decide what time it
// is.
#pragma once

#include <chrono>
#include <cstdint>

namespace megalith {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Never goes back; only differences mean something.
  virtual std::chrono::nanoseconds Monotonic() const = 0;
  // Nanoseconds since the Unix epoch, UTC; may jump.
  virtual int64_t UnixNanos() const = 0;
};

// The machine's clock; lives for the whole process.
const Clock& RealClock();

// Seconds between construction and the call; for timings that go into responses and metrics.
class Stopwatch {
 public:
  explicit Stopwatch(const Clock& clock = RealClock())
      : clock_(&clock), start_(clock.Monotonic()) {}
  double Seconds() const {
    return std::chrono::duration<double>(clock_->Monotonic() - start_).count();
  }

 private:
  const Clock* clock_;
  std::chrono::nanoseconds start_;
};

}  // namespace megalith

// When a server saves by itself.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"

namespace megalith::embedding {

// Saves at the multiples of an interval of the wall clock, so that servers that share checkpoints
// and agree on the time save the same step without speaking to each other. A save that takes longer
// than the interval leaves out what it missed.
//
// Threads: saves run on one of its own, which its destructor cancels and waits for.
class CheckpointSchedule {
 public:
  struct Options {
    std::chrono::seconds interval{0};  // above 0
    int64_t whole_every = 1;           // of so many saves one is whole
    const Clock* clock = &RealClock();
  };
  struct Slot {
    int64_t step = 0;  // unix seconds, a multiple of the interval
    bool whole = false;
    bool operator==(const Slot&) const = default;
  };
  using Save = std::function<void(const Slot& slot, const Cancellation& cancellation)>;

  // The slot that a time lies in.
  static Slot SlotAt(int64_t unix_seconds, const Options& options);

  // The first save is at the next slot. With `start` false there is no thread, and the owner calls
  // Tick.
  CheckpointSchedule(Options options, Save save, bool start = true);
  ~CheckpointSchedule();
  CheckpointSchedule(const CheckpointSchedule&) = delete;
  CheckpointSchedule& operator=(const CheckpointSchedule&) = delete;

  // Saves if a slot has begun that nothing was saved in. A clock that goes back saves nothing anew.
  void Tick();

 private:
  int64_t Now() const { return options_.clock->UnixNanos() / 1'000'000'000; }
  void Run();

  const Options options_;
  const Save save_;
  Cancellation cancelled_;
  int64_t last_step_;  // of Tick
  std::mutex mu_;
  std::condition_variable stopped_;
  bool stop_ = false;  // guarded by mu_
  std::thread thread_;
};

}  // namespace megalith::embedding

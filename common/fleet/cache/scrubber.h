// The background check of a cache: reads everything that is stored, at a bounded rate, and mends
// it.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "common/fleet/cache/cache.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::cache {

struct ScrubOptions {
  // Bytes read per second, averaged from the start of a pass.
  uint64_t bytes_per_second = 64 << 20;
  // From the end of one pass to the start of the next; zero: only passes that are asked for.
  std::chrono::milliseconds interval{0};
};

struct ScrubStatus {
  enum class State : uint8_t { kIdle, kRunning, kPaused };
  State state = State::kIdle;
  uint64_t version = 0;  // grows with every change
  uint64_t pass = 0;     // counts from 1; 0: none yet
  bool stopped = false;  // the pass was ended by Stop
  uint64_t entries_total = 0;
  uint64_t entries_done = 0;
  uint64_t bytes_done = 0;
  uint64_t outcomes[kNumScrubOutcomes] = {};  // of the pass, by ScrubOutcome
  int64_t started_unix_nanos = 0;
  int64_t ended_unix_nanos = 0;  // 0 while it runs
  // Of the pass, the latest kMaxRepairs.
  std::vector<std::shared_ptr<const Repair>> repairs;
  static constexpr size_t kMaxRepairs = 100;
};
std::string_view ScrubStateName(ScrubStatus::State state);

// Owns the thread that scrubs and that writes sidecars of new entries. Thread-safe.
class Scrubber {
 public:
  // `on_repair` is told of every entry that a pass repaired or put aside, on the scrub's thread.
  // `cache`, `metrics` and `clock` must outlive the scrubber.
  Scrubber(Cache& cache, const ScrubOptions& options, telemetry::MetricRegistry& metrics,
           std::function<void(const Repair&)> on_repair, const Clock& clock = RealClock());
  // Ends after the entry at hand.
  ~Scrubber();
  Scrubber(const Scrubber&) = delete;
  Scrubber& operator=(const Scrubber&) = delete;

  // Begins a pass over all entries there are now, unless one is under way; returns its number.
  uint64_t Start();
  // A pause lasts until Resume; a pass that is started meanwhile waits.
  void Pause();
  void Resume();
  // Ends the pass under way after the entry at hand.
  void Stop();
  // Of this pass and later ones; at least 1.
  void SetRate(uint64_t bytes_per_second);

  ScrubStatus Progress() const;
  // Returns once the version is not `seen`, or after `patience`.
  ScrubStatus WaitForChange(uint64_t seen, std::chrono::milliseconds patience) const;
  // Returns once all sidecars that were asked for are written; for tests and orderly ends.
  void WaitForSidecars() const;

 private:
  // New entries beyond so many wait for the next pass.
  static constexpr size_t kMaxWaitingSidecars = 10'000;

  bool Enqueue(const Sha256Digest& key);
  void Loop();
  void BeginPass();                                    // requires mu_
  void ScrubNext(std::unique_lock<std::mutex>& lock);  // requires mu_, gives it up meanwhile
  void EndPass();                                      // requires mu_
  std::chrono::nanoseconds UntilAllowed() const;       // requires mu_
  void Changed();                                      // requires mu_

  Cache& cache_;
  const Clock& clock_;
  const std::function<void(const Repair&)> on_repair_;
  std::vector<telemetry::Counter*> outcome_counters_;
  telemetry::Counter& bytes_counter_;

  mutable std::mutex mu_;
  mutable std::condition_variable changed_;
  ScrubOptions options_;            // guarded by mu_
  ScrubStatus status_;              // guarded by mu_
  std::vector<Sha256Digest> keys_;  // guarded by mu_; of the pass
  std::chrono::nanoseconds rate_since_{
      0};                    // guarded by mu_; Monotonic() when the rate began to count
  uint64_t rate_bytes_ = 0;  // guarded by mu_; bytes since then
  std::chrono::nanoseconds last_end_{0};  // guarded by mu_
  bool paused_ = false;                   // guarded by mu_
  bool stopping_ = false;                 // guarded by mu_
  std::deque<Sha256Digest> waiting_;      // guarded by mu_; entries to write sidecars of
  bool writing_ = false;                  // guarded by mu_; a sidecar is being written
  std::thread thread_;
};

}  // namespace megalith::cache

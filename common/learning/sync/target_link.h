// One target and how far it is: a state machine that does one unit of work, at most one message, at
// a time.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/learning/sync/checkpoint_book.h"
#include "common/learning/sync/push.h"
#include "common/learning/sync/sync_target.h"
#include "common/learning/sync/touched_set.h"

namespace megalith::sync {

struct SyncOptions {
  PushSpec push;
  // From one round to the next, spread by up to `jitter` of it in both directions, so that servers
  // do not push in step.
  std::chrono::milliseconds interval{10'000};
  double jitter = 0.1;
  int64_t max_part_bytes = kMaxPartBytes;
  // Of a target that is sent everything. Changed rows are not held back.
  int64_t resend_bytes_per_second = 64 << 20;
  // After a failed part: doubles with each further one.
  std::chrono::milliseconds initial_backoff{1000};
  std::chrono::milliseconds max_backoff{60'000};
  // What a target lacks that discovery no longer lists is remembered so long; one that comes back
  // later is sent every row, and told which were erased. Those are forgotten after the second time.
  std::chrono::milliseconds forget_after{600'000};
  std::chrono::milliseconds forget_erased_after{86'400'000};
  // A target that has not been sent anything for so long gets an empty push, to see whether it is
  // still the one it was.
  std::chrono::milliseconds probe_after{30'000};
  // A target that does not say which run of its program it is may have restarted whenever it could
  // not be reached: then it is sent everything.
  bool resend_after_unavailable = true;
  size_t max_parallel = 16;  // targets served at once
};

// Not thread-safe, except where it says so: one thread at a time calls Step.
class TargetLink {
 public:
  struct Context {
    const SyncOptions& options;
    const embedding::TableSet& set;
    TouchedSet& touched;
    CheckpointBook& checkpoints;
    telemetry::MetricRegistry& metrics;
    const Clock& clock;
  };
  // All of `context` outlives the link. `seed` is of the jitter of its retries.
  TargetLink(const Context& context, TargetAddress address, std::unique_ptr<SyncTarget> target,
             uint64_t seed);
  ~TargetLink();

  // Does what is next: says hello, begins what the target lacks, or sends one part of it.
  void Step();

  // A round has begun: the target gets what it lacks by now. Thread-safe.
  void BeginRound() { round_due_ = true; }
  // Whether Step has something to do at `now`; if not, from when on, max() for the next round.
  bool Due(std::chrono::nanoseconds now) const { return DueAt() <= now; }
  std::chrono::nanoseconds DueAt() const;
  // The target has been away for long: changed rows are not remembered for it any more.
  void Forget();
  // The target has been away and may have restarted meanwhile.
  void MayHaveRestarted() { suspect_ = true; }

  const TargetAddress& address() const { return address_; }
  void SetAddress(TargetAddress address) { address_ = std::move(address); }

  // What monitoring wants to know. Thread-safe.
  struct State {
    bool failing = false;    // its last part failed
    bool resending = false;  // it is being sent everything
    double lag_seconds = 0;
  };
  State GetState() const;

 private:
  struct Work;
  bool Greet();
  bool BeginWork();
  // Nothing if the work has come to its end.
  std::optional<Push> NextPart();
  Result<PushAck> Send(const Push& push);
  // False if the target turned out to be another run, so that what was being sent is void.
  bool Recognize(const PushAck& ack);
  void StartOver(std::string_view reason, std::optional<int64_t> version);
  void Succeeded(int64_t bytes);
  void Failed(const Status& status);
  std::optional<Push> EmptyPush() const;

  const Context context_;
  TargetAddress address_;
  const std::unique_ptr<SyncTarget> target_;
  const TouchedSet::Target id_;
  Rng rng_;
  std::atomic<bool> round_due_{true};
  bool greeted_ = false;
  bool suspect_ = false;
  int failures_ = 0;  // in a row
  std::chrono::nanoseconds next_at_{0};
  std::chrono::nanoseconds last_contact_{0};
  std::optional<uint64_t> instance_;
  std::optional<int64_t> version_;
  std::unique_ptr<Work> work_;
  std::atomic<bool> failing_{false};
  std::atomic<bool> resending_{true};
};

}  // namespace megalith::sync

// Brings changed rows of a training server to every serving replica, and does not stop before each
// has them (parameter-sync.md sections 4, 5 and 8).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/learning/sync/checkpoint_book.h"
#include "common/learning/sync/sync_target.h"
#include "common/learning/sync/target_link.h"
#include "common/learning/sync/touched_set.h"

namespace megalith::sync {

// Once per interval asks who the targets are and gives each what it lacks: in parallel, each at its
// own pace, a failed part again after a pause. A new or restarted target gets every row, or what
// changed since the checkpoint that it has loaded. One that is slow or dead holds up nobody, and
// costs no more memory than the touched set has. Without targets nothing is forgotten.
//
// Threads: Start or RunOnce, not both; everything else from anywhere.
class Syncer {
 public:
  struct Parts {
    const embedding::TableSet& set;
    TouchedSet& touched;  // the observer of `set`
    TargetResolver resolve;
    TargetFactory connect;
    telemetry::MetricRegistry& metrics;
    const Clock& clock;
    uint64_t seed = 0;  // of jitter
  };
  // All references outlive the syncer. Errors: kInvalidArgument  options without meaning; names
  // the field.
  static Result<std::unique_ptr<Syncer>> Make(SyncOptions options, Parts parts);
  // Stops; what targets lack is then told to nobody.
  ~Syncer();

  // Works on threads of its own until Stop, which waits for messages under way.
  void Start();
  void Stop();

  // What Start does again and again, for tests: everything that is due now, at most one message
  // for each target. Returns how long until more is due.
  std::chrono::nanoseconds RunOnce();

  // Called at the moment of a snapshot, and once it can be loaded under `version` or never will be.
  CheckpointBook& checkpoints() { return checkpoints_; }

  struct TargetStatus {
    TargetAddress address;
    bool listed = false;  // discovery has it
    TargetLink::State state;
  };
  std::vector<TargetStatus> Targets() const;  // by address

 private:
  struct Member {
    std::unique_ptr<TargetLink> link;
    bool listed = true;
    bool busy = false;  // a thread is in Step
    std::chrono::nanoseconds gone_since{0};
  };

  Syncer(SyncOptions options, Parts parts);
  void Loop();
  // Begins what is due; the time when more is.
  std::chrono::nanoseconds Tick();
  void BeginRound(std::chrono::nanoseconds now);
  void UpdateTargets(const std::vector<TargetAddress>& targets, std::chrono::nanoseconds now);
  void TouchRowsThatWere();
  void UpdateMetrics();
  void RunStep(const std::string& address, TargetLink* link);

  const SyncOptions options_;
  const Parts parts_;
  CheckpointBook checkpoints_;
  std::map<std::string, std::shared_ptr<embedding::Table>> known_tables_;  // the loop's
  TouchedSet::Stats reported_;                                             // the loop's
  std::chrono::nanoseconds next_round_{0};                                 // the loop's

  mutable std::mutex mu_;
  std::condition_variable changed_;
  bool stopping_ = false;                  // guarded by mu_
  bool finished_ = false;                  // guarded by mu_; a step has, since the last Tick
  Rng rng_;                                // guarded by mu_
  std::map<std::string, Member> members_;  // guarded by mu_; by address
  std::unique_ptr<ThreadPool> pool_;
  std::thread loop_;
};

}  // namespace megalith::sync

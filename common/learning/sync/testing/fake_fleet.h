// A training server's tables and serving replicas that drop, delay and restart as a test wants.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/learning/embedding/table_set.h"
#include "common/learning/sync/syncer.h"

namespace megalith::sync::testing {

class FakeClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override {
    return std::chrono::nanoseconds(now_.load());
  }
  int64_t UnixNanos() const override { return now_.load(); }
  void Advance(std::chrono::nanoseconds by) { now_ += by.count(); }

 private:
  std::atomic<int64_t> now_{1'000'000'000};
};

// Tables "a" (dim 3) and "b" (dim 1); serving ones erase rows of zeros.
std::unique_ptr<embedding::TableSet> MakeTables(embedding::EntryKind kind,
                                                embedding::SetObserver* observer = nullptr);

// fid -> row of every row of a table.
std::map<Fid, std::vector<float>> RowsOf(const embedding::TableSet& set, const std::string& table);

// One serving replica. What a test sets is read at the next push.
class FakeReplica {
 public:
  explicit FakeReplica(uint64_t seed) : rng_(seed) { Restart(); }

  enum class Mode {
    kUp,
    kDown,       // cannot be reached
    kStalled,    // answers too late, having done nothing
    kLosesAcks,  // does what it is told, but the answer is lost
    kFlaky,      // one of all of the above at random
  };
  void SetMode(Mode mode) { mode_ = mode; }
  // Another run, with the rows that `fill` gives it.
  void Restart(const std::function<void(embedding::TableSet&)>& fill = nullptr);
  void SetVersion(int64_t version);
  // A server that does not say which run it is.
  void HideInstance() { hide_instance_ = true; }

  Result<PushAck> Take(const Push& push);

  const embedding::TableSet& tables() const { return *tables_; }
  int pushes() const { return pushes_; }  // that arrived
  int64_t rows() const { return rows_; }  // taken since it was started
  // Called when a push arrives, before it is taken.
  std::function<void(const Push&)> on_push;

 private:
  std::mutex mu_;
  Rng rng_;
  std::atomic<Mode> mode_{Mode::kUp};
  std::atomic<bool> hide_instance_{false};
  std::unique_ptr<embedding::TableSet> tables_;
  PushAck self_;
  uint64_t runs_ = 0;
  std::atomic<int> pushes_{0};
  std::atomic<int64_t> rows_{0};
};

// Replicas by address, and the syncer of `trainer`.
class FakeFleet {
 public:
  explicit FakeFleet(size_t max_keys = 2'097'152);

  // Before Start.
  SyncOptions& options() { return options_; }
  FakeReplica& Add(const std::string& address);
  void Start();

  // Discovery lists those that were added, except the hidden ones.
  void Hide(const std::string& address, bool hidden = true);
  void FailDiscovery(bool fail) { discovery_fails_ = fail; }

  // Runs the syncer for as long as `time`.
  void Run(std::chrono::nanoseconds time);
  // Until no listed target lacks anything; fails the test if that takes more than `rounds`.
  void RunUntilQuiet(int rounds = 10'000);
  // Every row of the trainer is in the replica, and no other.
  void ExpectEqual(const FakeReplica& replica) const;

  FakeClock clock;
  telemetry::MetricRegistry metrics;
  TouchedSet touched;
  std::unique_ptr<embedding::TableSet> trainer;
  std::unique_ptr<Syncer> syncer;

 private:
  SyncOptions options_;
  std::map<std::string, std::unique_ptr<FakeReplica>> replicas_;
  std::map<std::string, bool> hidden_;
  bool discovery_fails_ = false;
};

}  // namespace megalith::sync::testing

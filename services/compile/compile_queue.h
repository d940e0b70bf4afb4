// Decides which compilation runs when, for whom, and until when.
//
// Compilations run on threads of the queue, never on a caller's: a caller that is cancelled, or
// whose time is over, leaves at once, whatever the compiler does at that moment. Callers that ask
// for one key share one compilation, which goes on as long as one of them waits, whoever came
// first. What nobody waits for is taken out of the queue, or told to stop; a compiler asks between
// passes and between kernels, so what is thrown away is bounded by one kernel.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/fleet/cache/cache.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"
#include "megalith/compile/v1/compile.pb.h"
#include "services/compile/fair_queue.h"

namespace megalith::services {

// A package and how it was come by.
struct CompiledPackage {
  cache::Value bytes;
  compile::v1::CacheOutcome outcome = compile::v1::CACHE_OUTCOME_UNSPECIFIED;
  Status store_error;
};
using CompiledPackagePtr = std::shared_ptr<const CompiledPackage>;

struct CompileQueueLimits {
  int workers = 2;        // compilations at the same time
  size_t programs = 256;  // that wait for a worker
  size_t programs_of_client = 64;
  std::chrono::nanoseconds time_budget = std::chrono::minutes(5);  // of one compilation
  std::chrono::nanoseconds wait_budget = std::chrono::minutes(1);  // of one caller in the queue
  uint64_t memory_budget_bytes = 2ull << 30;   // of one compilation, by its estimate
  uint64_t service_memory_bytes = 4ull << 30;  // of all that run, by their estimates
};

// Stage and share of the work done; may be called from any thread.
using StageProgress = std::function<void(std::string_view stage, double done)>;

// One compilation that somebody asks for.
struct CompileTask {
  std::string key;
  std::string client;  // whom it is for; only equality matters
  Urgency urgency = Urgency::kInteractive;
  uint64_t memory_bytes = 0;  // estimate
  // May be empty. Asked first, on the worker: what has come to be there since the caller looked,
  // or nullptr. Both own all they use: they may end long after the caller has left.
  std::function<CompiledPackagePtr(const Cancellation&)> find;
  std::function<Result<CompiledPackagePtr>(const StageProgress&, const Cancellation&)> run;
};

// Thread-safe. The destructor cancels what runs and waits for it; nobody may be inside Do then.
class CompileQueue {
 public:
  struct Outcome {
    CompiledPackagePtr package;
    bool shared = false;      // another caller has been given it before
    double wait_seconds = 0;  // until the compilation began
    double run_seconds = 0;
  };

  // `metrics` and `clock` must outlive the queue.
  CompileQueue(const CompileQueueLimits& limits, telemetry::MetricRegistry& metrics,
               const Clock& clock);
  ~CompileQueue();
  CompileQueue(const CompileQueue&) = delete;
  CompileQueue& operator=(const CompileQueue&) = delete;

  // Joins the compilation of the key that waits or runs, or puts this one into the queue, and waits
  // for its end. `on_progress` (may be empty) is called on this thread. Errors: those of `run`, the
  // same for all who wait; kCancelled and kDeadlineExceeded of `caller`, within 50 ms whatever the
  // compiler does; kResourceExhausted  a full queue, the client's share of it, or a budget: the
  // message names the limit and what to do. Errors are not kept: the next caller starts afresh.
  Result<Outcome> Do(CompileTask task, const Cancellation& caller,
                     const StageProgress& on_progress);

 private:
  struct Job;
  using JobPtr = std::shared_ptr<Job>;
  using Lock = std::unique_lock<std::mutex>;

  Result<JobPtr> JoinOrEnqueue(CompileTask task);
  Status MakeRoom(const CompileTask& task);
  Status Await(const JobPtr& job, const Cancellation& caller, std::chrono::nanoseconds since,
               const StageProgress& on_progress, Lock& lock);
  Status CheckBudgets(const JobPtr& job, std::chrono::nanoseconds since);
  void Leave(const JobPtr& job);
  void Finish(const JobPtr& job, Result<CompiledPackagePtr> result);
  void Forget(const JobPtr& job);
  void Enlist(const JobPtr& job, const std::string& client, Urgency urgency);
  JobPtr Take();
  void Work(int index);

  const CompileQueueLimits limits_;
  const int num_workers_;
  const Clock& clock_;
  telemetry::Gauge& queued_gauge_;
  telemetry::Gauge& running_gauge_;
  telemetry::Counter& started_;
  telemetry::Counter& shared_;
  std::mutex mu_;
  std::condition_variable wake_;             // workers
  std::map<std::string, JobPtr> jobs_;       // guarded by mu_; by key, waiting or running
  FairQueue<JobPtr> queue_;                  // guarded by mu_
  std::map<std::string, size_t> queued_of_;  // guarded by mu_; jobs by first client
  size_t queued_ = 0;                        // guarded by mu_
  size_t running_ = 0;                       // guarded by mu_; abandoned ones included
  size_t running_background_ = 0;            // guarded by mu_
  uint64_t running_bytes_ = 0;               // guarded by mu_
  bool stopping_ = false;                    // guarded by mu_
  std::vector<std::thread> workers_;         // of the constructor and the destructor alone
  telemetry::Histogram* wait_seconds_[kNumUrgencies];
};

}  // namespace megalith::services

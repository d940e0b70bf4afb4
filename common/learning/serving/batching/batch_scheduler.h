// Threads that run requests of several callers together, as one batch (tf-serving.md section 5.2).
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/clock.h"
#include "common/learning/serving/batching/batching_options.h"
#include "common/learning/serving/program.h"

namespace megalith::serving {

// What happens to batches, for metrics. Thread-safe.
class BatchObserver {
 public:
  virtual ~BatchObserver() = default;
  // A request of `rows` came, in whatever number of batches it runs.
  virtual void OnRequest(int64_t rows) = 0;
  // A batch of `rows` runs as `executed` rows, `queued` after its first rows came.
  virtual void OnBatch(int64_t rows, int64_t executed, std::chrono::nanoseconds queued) = 0;
};

// Owns its threads, which take batches from the queues of all programs in turn. Thread-safe.
class BatchScheduler {
 public:
  // Requests for one program that may run together. Made by NewQueue; belongs to the scheduler.
  struct Queue;

  // `name` is that of the threads; at most 11 characters are kept. `observer` (may be nullptr) and
  // `clock` outlive it.
  BatchScheduler(size_t threads, const std::string& name, BatchObserver* observer = nullptr,
                 const Clock& clock = RealClock());
  // Requires that no call is left in Run.
  ~BatchScheduler();

  // `options` have been checked.
  std::shared_ptr<Queue> NewQueue(std::shared_ptr<const Program> program, BatchingOptions options);

  // Runs the queue's program on `arguments`, all with equal rows (at least one) in dimension 0,
  // together with others. Returns when that is done, or soon after `cancellation`, whether it has
  // run by then or not; rows of others are not affected.
  // Errors: kInvalidArgument     more rows than a request may have;
  //         kUnavailable         the queue is full;
  //         kFailedPrecondition  results that do not have the rows of the arguments; requests whose
  //                              shapes differ, without padding;
  //         those of the program, for every request of the batch, and of `cancellation`.
  Result<std::vector<Value>> Run(const std::shared_ptr<Queue>& queue, std::vector<Value> arguments,
                                 const Cancellation& cancellation);

 private:
  struct Task;
  struct Piece;
  struct Batch;

  Status Enqueue(const std::shared_ptr<Queue>& queue, const std::shared_ptr<Task>& task);
  void Loop();
  // The next batch that is to run; sets `wait_until` if there will be one. Requires mu_.
  bool TakeBatch(std::shared_ptr<Queue>* queue, Batch* batch,
                 std::optional<std::chrono::nanoseconds>* wait_until);
  void Process(const Queue& queue, Batch batch);
  Result<std::vector<Value>> Execute(const Queue& queue, const Batch& batch, int64_t rows);
  void Deliver(const Batch& batch, const Result<std::vector<Value>>& results);

  BatchObserver* const observer_;
  const Clock& clock_;
  std::mutex mu_;
  std::condition_variable wake_;              // for the threads
  std::list<std::shared_ptr<Queue>> active_;  // guarded by mu_; those with batches
  bool stopping_ = false;                     // guarded by mu_
  std::vector<std::thread> threads_;
};

// `inner`, run in batches by `scheduler`. Each shape of rows has a queue of its own, so that an odd
// request does not fail those of others. Calls without rows run at once.
// Requires a program all of whose arguments and results have dimension 0 of any size, and options
// that have been checked.
std::shared_ptr<const Program> MakeBatched(std::shared_ptr<const Program> inner,
                                           std::shared_ptr<BatchScheduler> scheduler,
                                           BatchingOptions options);

// Whether MakeBatched takes the program.
bool CanBeBatched(const Program& program);

}  // namespace megalith::serving

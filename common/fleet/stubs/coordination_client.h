// How a trainer waits for others: the barriers and queues of a parameter server.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "common/fleet/stubs/shard_calls.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

struct CoordinationClientOptions {
  // A call that waits longer is made again, which changes nothing; `timeout` of a call is its own.
  std::chrono::milliseconds attempt_timeout{5'000};
  rpc::RetryPolicy retry{.max_attempts = 1'000'000};
  std::string name;   // of this trainer, different from all others'; empty: a random one
  uint64_t seed = 0;  // of jitter and name; 0: from the operating system
};

// All trainers ask the same server. It keeps nothing on disk: after its restart they begin again
// from their checkpoint, with new clients. What waits does so for `timeout`, or for the
// cancellation's deadline if that is sooner.
//
// Thread-safe; calls of one barrier, or one end of one queue, take their turns.
class CoordinationClient {
 public:
  CoordinationClient(std::shared_ptr<rpc::Channel> server, CoordinationClientOptions options);
  ~CoordinationClient();

  // Returns when `participants` different trainers have called it as often as this one has. After
  // kDeadlineExceeded the next call waits for the same round. Errors: kFailedPrecondition  another
  // number of participants, or the server has restarted; kDeadlineExceeded  with how many had
  // arrived; kCancelled  it was removed, or by the caller; those of the call.
  Status Barrier(const std::string& name, uint32_t participants, std::chrono::milliseconds timeout,
                 const Cancellation& cancellation);

  // Puts an item at the end of a queue, waiting while `capacity` items are in it. After an error
  // other than kDeadlineExceeded and kUnavailable the item is not in the queue; after those it may
  // be, if the last answer was lost. Errors: kFailedPrecondition  the queue is closed;
  // kResourceExhausted; those of waiting.
  Status Push(const std::string& queue, uint64_t capacity, std::string item,
              std::chrono::milliseconds timeout, const Cancellation& cancellation);
  // Takes the first item, waiting for one. An item whose answer was lost comes with the next call.
  // Errors: kOutOfRange  the queue is closed and empty; those of waiting.
  Result<std::string> Pop(const std::string& queue, std::chrono::milliseconds timeout,
                          const Cancellation& cancellation);

  // No more items: waiting producers fail, consumers get what is left.
  Status CloseQueue(const std::string& queue, const Cancellation& cancellation);
  // Forgets a barrier and a queue of that name; who waits there fails with kCancelled.
  Status Remove(const std::string& name, const Cancellation& cancellation);

  const std::string& name() const { return options_.name; }

 private:
  struct Methods;
  // The number of the next call under a name; held by the call.
  struct Counter {
    std::mutex mu;
    uint64_t next = 0;  // guarded by mu
  };
  std::shared_ptr<Counter> CounterOf(const std::string& key);
  Status Retry(std::chrono::milliseconds timeout, const Cancellation& cancellation,
               const std::function<Status(const rpc::CallOptions&)>& attempt);

  const CoordinationClientOptions options_;
  const std::unique_ptr<Methods> methods_;
  std::mutex mu_;
  std::map<std::string, std::shared_ptr<Counter>> counters_;  // guarded by mu_
};

}  // namespace megalith::stubs

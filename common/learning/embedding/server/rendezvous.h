// How processes that train together wait for each other: barriers and queues, by name.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"

namespace megalith::embedding {

// Everything may be sent again after an answer that was lost: rounds, sequences and tokens tell a
// repetition from a new request. Nothing is kept on disk: a restart ends all waits, and trainers
// begin again from their checkpoint.
//
// Threads: every method may be called concurrently and waits on the caller's thread.
class Rendezvous {
 public:
  struct Options {
    size_t max_names = 10'000;                 // barriers, and queues
    uint64_t max_queued_bytes = 256ull << 20;  // of all queues
  };
  static constexpr size_t kMaxNameBytes = 255;

  explicit Rendezvous(Options options) : options_(options) {}

  // Returns when `participants` different ones have arrived at round `round` of the barrier, at
  // once if they had. Rounds begin with 0, and the next begins when one is complete.
  // Errors: kInvalidArgument    names, or participants below 1;
  //         kFailedPrecondition another number of participants than the round has, or a round that
  //                             has not begun; kResourceExhausted  too many barriers;
  //         kCancelled, kDeadlineExceeded  of the wait, with how many had arrived. Who gave up
  //                             still counts as arrived until it comes again or the round ends.
  Status Arrive(const std::string& barrier, uint64_t round, uint32_t participants,
                const std::string& participant, const Cancellation& cancellation);

  // Puts an item at the end, waiting while `capacity` items are queued. `producer` counts its items
  // with `sequence` from 1, one at a time; a repetition of its latest changes nothing.
  // Errors: kInvalidArgument; kOutOfRange  a sequence below the latest; kFailedPrecondition  the
  //         queue is closed; kResourceExhausted  bytes or names; those of the wait.
  Status Push(const std::string& queue, uint64_t capacity, const std::string& producer,
              uint64_t sequence, std::string item, const Cancellation& cancellation);

  // Takes the first item, waiting for one. `consumer` counts its requests with `sequence` from 1,
  // one at a time; a repetition of its latest gives the same item again.
  // Errors: kOutOfRange  a sequence below the latest, or the queue is closed and empty (the
  //         message says which); kInvalidArgument; those of the wait.
  Result<std::string> Pop(const std::string& queue, const std::string& consumer, uint64_t sequence,
                          const Cancellation& cancellation);

  // No more items: waiting producers fail, consumers get what is left. Idempotent.
  Status Close(const std::string& queue);

  // Forgets a barrier and a queue of that name; who waits there fails with kCancelled. Idempotent.
  void Remove(const std::string& name);

 private:
  struct Barrier {
    uint64_t round = 0;
    uint32_t participants = 0;
    std::set<std::string> arrived;
    bool removed = false;
    std::condition_variable changed;
  };
  struct Queue {
    struct Taken {
      uint64_t sequence = 0;
      std::string item;
    };
    std::deque<std::string> items;
    std::map<std::string, uint64_t> pushed;  // each producer's latest
    std::map<std::string, Taken> taken;      // each consumer's latest
    bool closed = false;
    bool removed = false;
    std::condition_variable changed;
  };

  Result<std::shared_ptr<Queue>> QueueOf(const std::string& name);  // requires mu_

  const Options options_;
  std::mutex mu_;
  std::map<std::string, std::shared_ptr<Barrier>> barriers_;  // guarded by mu_
  std::map<std::string, std::shared_ptr<Queue>> queues_;      // guarded by mu_
  uint64_t queued_bytes_ = 0;                                 // guarded by mu_
};

}  // namespace megalith::embedding

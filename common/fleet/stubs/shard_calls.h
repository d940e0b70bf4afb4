// Calls to several servers side by side, each tried again while its time lasts: what the clients of
// parameter servers have in common.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::stubs {

// Thread-safe. Ends before whatever its calls use.
class ShardCalls {
 public:
  struct Options {
    std::chrono::milliseconds timeout{30'000};         // of a whole call, retries included
    std::chrono::milliseconds attempt_timeout{5'000};  // one that hangs is given up, and made again
    rpc::RetryPolicy retry{.max_attempts = 100};       // as long as the timeout allows
    size_t threads = 16;  // calls at the same time, beside those on the callers' own threads
    uint64_t seed = 0;    // of jitter
  };
  explicit ShardCalls(Options options);
  ~ShardCalls() { Shutdown(); }

  // Runs call(i) for each of `shards`, side by side; the first error by number, with its shard.
  Status OnShards(std::span<const size_t> shards, const std::function<Status(size_t)>& call);
  // The same for shards 0 to `count` - 1.
  Status OnAll(size_t count, const std::function<Status(size_t)>& call);

  // Runs `attempt` until it succeeds, fails for good, or time is over: the cancellation's deadline,
  // or the options' timeout if that is sooner.
  Status Retry(const Cancellation& cancellation,
               const std::function<Status(const rpc::CallOptions&)>& attempt);

  // Waits for calls under way; later ones run on their callers' threads.
  void Shutdown() { fan_out_.Shutdown(); }

 private:
  const Options options_;
  std::atomic<uint64_t> jitter_;
  ThreadPool fan_out_;
};

// ShardCalls::Retry for who has one server.
Status RetryCall(const ShardCalls::Options& options, const Cancellation& cancellation,
                 const std::function<Status(const rpc::CallOptions&)>& attempt);

// A name that no other run of a client has, for UpdateId and the like.
std::string RandomClientId(uint64_t seed);

}  // namespace megalith::stubs

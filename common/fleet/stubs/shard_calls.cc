#include "common/fleet/stubs/shard_calls.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith::stubs {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

// How soon a cancelled caller gets its answer.
constexpr milliseconds kPollInterval{20};

}  // namespace

ShardCalls::ShardCalls(Options options)
    : options_(std::move(options)),
      jitter_(options_.seed),
      fan_out_("tables", options_.threads, options_.threads) {}

Status ShardCalls::OnShards(std::span<const size_t> shards,
                            const std::function<Status(size_t)>& call) {
  std::mutex mu;
  std::condition_variable ended;
  std::vector<Status> statuses(shards.size());
  size_t running = 0;  // guarded by mu
  for (size_t i = 1; i < shards.size(); ++i) {
    {
      const std::lock_guard<std::mutex> lock(mu);
      ++running;
    }
    const auto run = [&, i] {
      Status status = call(shards[i]);
      const std::lock_guard<std::mutex> lock(mu);
      statuses[i] = std::move(status);
      if (--running == 0) ended.notify_one();
    };
    // With all threads busy the caller does the work itself.
    if (!fan_out_.Submit(run).ok()) run();
  }
  if (!shards.empty()) statuses[0] = call(shards[0]);
  std::unique_lock<std::mutex> lock(mu);
  ended.wait(lock, [&] { return running == 0; });
  for (size_t i = 0; i < shards.size(); ++i) {
    if (!statuses[i].ok()) return statuses[i].Annotate(StrCat("shard ", shards[i]));
  }
  return OkStatus();
}

Status ShardCalls::OnAll(size_t count, const std::function<Status(size_t)>& call) {
  std::vector<size_t> all(count);
  for (size_t i = 0; i < count; ++i) all[i] = i;
  return OnShards(all, call);
}

Status ShardCalls::Retry(const Cancellation& cancellation,
                         const std::function<Status(const rpc::CallOptions&)>& attempt) {
  Options options = options_;
  options.seed = jitter_.fetch_add(1, std::memory_order_relaxed);
  return RetryCall(options, cancellation, attempt);
}

Status RetryCall(const ShardCalls::Options& options, const Cancellation& cancellation,
                 const std::function<Status(const rpc::CallOptions&)>& attempt) {
  const auto now = [] { return std::chrono::steady_clock::now(); };
  auto end = now() + options.timeout;
  if (const auto left = cancellation.Left()) end = std::min(end, now() + *left);
  Rng rng(options.seed);
  for (int tries = 1;; ++tries) {
    RETURN_IF_ERROR(cancellation.Check());
    const auto left = std::chrono::ceil<milliseconds>(end - now());
    const bool whole = left <= options.attempt_timeout;
    const Status status =
        attempt({.timeout = std::max(milliseconds(1), whole ? left : options.attempt_timeout),
                 .cancellation = &cancellation});
    const bool again =
        rpc::IsRetryable(status.code()) || (status.code() == Code::kDeadlineExceeded && !whole);
    if (status.ok() || !again || tries >= options.retry.max_attempts) return status;
    const nanoseconds pause = rpc::BackoffAfter(options.retry, tries, rng);
    // A retry that could not end in time would only hide the real error.
    if (now() + pause >= end) return status;
    for (const auto until = now() + pause; now() < until;) {
      RETURN_IF_ERROR(cancellation.Check());
      std::this_thread::sleep_for(std::min<nanoseconds>(kPollInterval, until - now()));
    }
  }
}

std::string RandomClientId(uint64_t seed) {
  Rng rng(seed == 0 ? EntropySeed() : seed);
  std::string out;
  for (int i = 0; i < 2; ++i) {
    const uint64_t word = rng.Next();
    out += HexEncode({reinterpret_cast<const uint8_t*>(&word), sizeof(word)});
  }
  return out;
}

}  // namespace megalith::stubs

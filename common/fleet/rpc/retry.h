// When and how long to wait before trying a call again.
#pragma once

#include <chrono>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/status.h"

namespace megalith::rpc {

struct RetryPolicy {
  int max_attempts = 4;  // 1 = never retry
  std::chrono::milliseconds initial_backoff{20};
  std::chrono::milliseconds max_backoff{1000};
  double multiplier = 2;
};

// True if a failed attempt of an idempotent call may be repeated: only kUnavailable promises that a
// retry may help.
inline bool IsRetryable(Code code) { return code == Code::kUnavailable; }

// Time to wait after failed attempt number `attempt` (1, 2, ...): exponential, then uniform between
// half and all of it, so that callers that failed together do not come back together.
std::chrono::nanoseconds BackoffAfter(const RetryPolicy& policy, int attempt, Rng& rng);

}  // namespace megalith::rpc

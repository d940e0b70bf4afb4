#include "common/fleet/rpc/retry.h"

#include <algorithm>
#include <cmath>

namespace megalith::rpc {

std::chrono::nanoseconds BackoffAfter(const RetryPolicy& policy, int attempt, Rng& rng) {
  const double initial = static_cast<double>(policy.initial_backoff.count());
  const double ms = std::min(initial * std::pow(policy.multiplier, attempt - 1),
                             static_cast<double>(policy.max_backoff.count()));
  return std::chrono::nanoseconds(static_cast<int64_t>(ms * 1e6 * (0.5 + 0.5 * rng.Uniform())));
}

}  // namespace megalith::rpc

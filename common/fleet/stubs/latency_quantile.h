// How long calls took lately: when to stop waiting for one and ask somebody else too.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <mutex>
#include <vector>

namespace megalith::stubs {

// A quantile of the latest calls. Thread-safe; reading is one relaxed load.
class LatencyQuantile {
 public:
  // `initial` is answered until enough calls were seen.
  LatencyQuantile(double quantile, std::chrono::nanoseconds initial)
      : quantile_(quantile), value_(initial.count()) {}

  void Add(std::chrono::nanoseconds latency) {
    const std::lock_guard<std::mutex> lock(mu_);
    latest_[count_++ % kKept] = latency.count();
    if (count_ < kKept / 4 || count_ % kEvery != 0) return;
    std::vector<int64_t> sorted(
        latest_.begin(),
        latest_.begin() + static_cast<std::ptrdiff_t>(std::min<size_t>(count_, kKept)));
    const auto at = sorted.begin() +
                    static_cast<std::ptrdiff_t>(quantile_ * static_cast<double>(sorted.size() - 1));
    std::nth_element(sorted.begin(), at, sorted.end());
    value_.store(*at, std::memory_order_relaxed);
  }
  std::chrono::nanoseconds Get() const {
    return std::chrono::nanoseconds(value_.load(std::memory_order_relaxed));
  }

 private:
  static constexpr size_t kKept = 256;
  static constexpr size_t kEvery = 16;  // how many calls share one sort
  const double quantile_;
  std::atomic<int64_t> value_;
  std::mutex mu_;
  std::array<int64_t, kKept> latest_{};  // guarded by mu_
  size_t count_ = 0;                     // guarded by mu_
};

}  // namespace megalith::stubs

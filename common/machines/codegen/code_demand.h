// When the machine code of a program is worth its making.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace megalith::codegen {

// Sums up what runs take without machine code, which is asked for once that compares with what
// making it takes: then neither choice turns out to have cost much more than the other would have.
// A program that runs a few times, as most do, never wakes the code generator.
// Thread-safe.
class CodeDemand {
 public:
  // `kernels`: how many there are to compile; for 0 nothing is ever asked for.
  explicit CodeDemand(size_t kernels)
      : cost_(kFixed + static_cast<int64_t>(kernels) * kPerKernel), asked_(kernels == 0) {}

  // False once it was asked for: then runs need not be timed.
  bool open() const { return !asked_.load(std::memory_order_relaxed); }
  // Counts a run. True: ask for code now. At most one caller gets true, and none for a first run,
  // which most programs do not get beyond.
  bool Ran(std::chrono::nanoseconds took) {
    const int64_t runs = runs_.fetch_add(1, std::memory_order_relaxed) + 1;
    const int64_t spent = spent_.fetch_add(took.count(), std::memory_order_relaxed) + took.count();
    return runs >= 2 && spent >= cost_ && Ask();
  }
  // True for the first that asks, whatever runs took.
  bool Ask() { return !asked_.exchange(true, std::memory_order_relaxed); }
  // Nobody took the task: as if nothing had run yet.
  void Reopen() {
    spent_.store(0, std::memory_order_relaxed);
    asked_.store(false, std::memory_order_relaxed);
  }

 private:
  // Nanoseconds: about half of what making takes, as that is done by a processor that may be idle.
  static constexpr int64_t kFixed = 2'000'000;
  static constexpr int64_t kPerKernel = 1'000'000;

  const int64_t cost_;
  std::atomic<int64_t> runs_{0}, spent_{0};
  std::atomic<bool> asked_;
};

}  // namespace megalith::codegen

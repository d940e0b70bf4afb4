// Who wants to know what the helpers of a work pool do: for profiles.
#pragma once

#include <chrono>

namespace megalith::kernels {

// Called on the helper (1, 2, ...) with the time its part of a call of WorkPool::For took, before
// that call returns.
struct WorkObserver {
  void (*helped)(void* argument, int worker, std::chrono::steady_clock::time_point begin,
                 std::chrono::steady_clock::time_point end) = nullptr;
  void* argument = nullptr;
};

// From now on calls of For by this thread tell `observer`; nullptr: nobody. Returns who was told
// before.
const WorkObserver* WatchWork(const WorkObserver* observer);

}  // namespace megalith::kernels

#include "common/learning/embedding/checkpoint/parallel_tasks.h"

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "common/foundation/base/thread_pool.h"

namespace megalith::embedding {

Status RunTasks(size_t count, uint32_t threads, const std::function<Status(size_t)>& task) {
  std::atomic<size_t> next{0};
  std::atomic<bool> failed{false};
  std::mutex mu;
  Status first;
  size_t first_index = count;
  const auto work = [&] {
    while (!failed.load(std::memory_order_relaxed)) {
      const size_t index = next.fetch_add(1);
      if (index >= count) return;
      const Status status = task(index);
      if (status.ok()) continue;
      failed.store(true, std::memory_order_relaxed);
      const std::lock_guard lock(mu);
      if (index < first_index) {
        first_index = index;
        first = status;
      }
    }
  };
  std::vector<std::thread> others;
  const size_t wanted = std::min<size_t>(count, std::max<uint32_t>(threads, 1));
  for (size_t i = 1; i < wanted; ++i) {
    others.emplace_back([&] {
      SetThreadName("checkpoint");
      work();
    });
  }
  work();
  for (std::thread& thread : others) thread.join();
  return first;
}

}  // namespace megalith::embedding

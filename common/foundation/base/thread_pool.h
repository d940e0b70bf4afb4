// A bounded set of named threads with a bounded queue.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith {

// Thread-safe. The destructor runs what is queued, then joins.
class ThreadPool {
 public:
  // At most `threads` of them; each starts when a task first finds all others busy. `name` is at
  // most 12 characters; they are called name-0, name-1, ...
  ThreadPool(std::string name, size_t threads, size_t max_queued);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  // kResourceExhausted when `max_queued` tasks already wait, kUnavailable after Shutdown: the task
  // has not run then. kResourceExhausted also if the machine gives no first thread.
  Status Submit(std::function<void()> task);

  // Refuses new tasks, runs the queued ones, joins. Idempotent.
  void Shutdown();

  size_t queued() const;

 private:
  void Loop(size_t index);
  Status Grow();  // requires mu_

  const std::string name_;
  const size_t max_threads_;
  const size_t max_queued_;
  mutable std::mutex mu_;
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;  // guarded by mu_
  bool stopping_ = false;                    // guarded by mu_
  size_t idle_ = 0;                          // guarded by mu_; threads that wait for a task
  std::vector<std::thread> threads_;         // guarded by mu_ until stopping_
};

// Names the calling thread for debuggers and top; at most 15 characters are kept.
void SetThreadName(const std::string& name);

}  // namespace megalith

#include "common/foundation/base/thread_pool.h"

#include <pthread.h>

#include <system_error>

#include "common/foundation/base/strings.h"

namespace megalith {

ThreadPool::ThreadPool(std::string name, size_t threads, size_t max_queued)
    : name_(std::move(name)), max_threads_(threads), max_queued_(max_queued) {
  CHECK(threads > 0);
}

ThreadPool::~ThreadPool() { Shutdown(); }

Status ThreadPool::Submit(std::function<void()> task) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (stopping_) return Unavailable("the server is shutting down; retry on another replica");
    if (queue_.size() >= max_queued_) {
      return ResourceExhausted(StrCat("queue of pool '", name_, "' is full (", max_queued_,
                                      " requests wait); retry later"));
    }
    if (queue_.size() >= idle_) RETURN_IF_ERROR(Grow());
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return OkStatus();
}

Status ThreadPool::Grow() {
  if (threads_.size() == max_threads_) return OkStatus();
  const size_t index = threads_.size();
  try {
    threads_.emplace_back([this, index] { Loop(index); });
  } catch (const std::system_error& e) {
    // The threads there are take the task in their turn.
    if (threads_.empty()) {
      return ResourceExhausted(StrCat("pool '", name_, "' has no thread: ", e.what()));
    }
  }
  return OkStatus();
}

void ThreadPool::Shutdown() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& t : threads_) {
    if (t.joinable()) t.join();
  }
}

size_t ThreadPool::queued() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return queue_.size();
}

void ThreadPool::Loop(size_t index) {
  SetThreadName(StrCat(name_, "-", index));
  while (true) {
    std::function<void()> task;
    {
      std::unique_lock<std::mutex> lock(mu_);
      ++idle_;
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
      --idle_;
      if (queue_.empty()) return;
      task = std::move(queue_.front());
      queue_.pop_front();
    }
    task();
  }
}

void SetThreadName(const std::string& name) {
  ::pthread_setname_np(::pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace megalith

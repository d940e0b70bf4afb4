#include "common/foundation/base/thread_pool.h"

#include <pthread.h>

#include "common/foundation/base/strings.h"

namespace megalith {

ThreadPool::ThreadPool(std::string name, size_t threads, size_t max_queued)
    : name_(std::move(name)), max_queued_(max_queued) {
  CHECK(threads > 0);
  threads_.reserve(threads);
  for (size_t i = 0; i < threads; ++i) threads_.emplace_back([this, i] { Loop(i); });
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
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
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
      wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
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

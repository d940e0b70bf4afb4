#include "common/machines/kernels/work_pool.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <vector>

namespace megalith::kernels {

struct WorkPool::State {
  int threads = 1;
  std::mutex mu;
  std::condition_variable wake;
  std::vector<std::thread> helpers;
  std::atomic<uint64_t> epoch{0};
  std::atomic<int> busy{0};
  std::atomic<int64_t> next{0};
  int64_t n = 0, grain = 1;
  const RangeBody* body = nullptr;
  std::mutex caller;
  std::atomic<bool> stop{false};
  void Work() {
    for (int64_t i; (i = next.fetch_add(grain)) < n;) (*body)(i, std::min(i + grain, n));
  }
};

static thread_local bool nested = false;

WorkPool::WorkPool(int threads) : state_(std::make_unique<State>()) {
  state_->threads = threads;
  for (int i = 1; i < threads; ++i) {
    state_->helpers.emplace_back([s = state_.get()] {
      nested = true;
      uint64_t seen = 0;
      while (true) {
        for (int spin = 0; spin < 4000 && s->epoch.load() == seen; ++spin) __builtin_ia32_pause();
        if (s->epoch.load() == seen) {
          std::unique_lock lock(s->mu);
          s->wake.wait(lock, [&] { return s->stop || s->epoch.load() != seen; });
        }
        if (s->stop) return;
        seen = s->epoch.load();
        s->Work();
        s->busy.fetch_sub(1);
      }
    });
  }
}
WorkPool::~WorkPool() {
  {
    std::lock_guard lock(state_->mu);
    state_->stop = true;
    state_->epoch++;
  }
  state_->wake.notify_all();
  for (auto& t : state_->helpers) t.join();
}
int WorkPool::threads() const { return state_->threads; }
void WorkPool::For(int64_t n, int64_t grain, const RangeBody& body) {
  if (n <= 0) return;
  if (n <= grain || state_->threads == 1 || nested) return body(0, n);
  std::lock_guard caller(state_->caller);
  State& s = *state_;
  {
    std::lock_guard lock(s.mu);
    s.n = n;
    s.grain = grain;
    s.body = &body;
    s.next = 0;
    s.busy = s.threads - 1;
    s.epoch++;
  }
  s.wake.notify_all();
  nested = true;
  s.Work();
  nested = false;
  while (s.busy.load() != 0) __builtin_ia32_pause();
}

WorkPool& ProcessPool() {
  static WorkPool* pool = new WorkPool(static_cast<int>(std::thread::hardware_concurrency()));
  return *pool;
}

}  // namespace megalith::kernels

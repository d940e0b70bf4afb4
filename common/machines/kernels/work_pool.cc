#include "common/machines/kernels/work_pool.h"

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <fstream>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/machines/kernels/work_observer.h"

namespace megalith::kernels {
namespace {

// How often a helper looks for the next job before it sleeps: some 20 microseconds, about what it
// takes to wake it.
constexpr int kSpins = 1000;

void Pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Set while a thread works on a job, so that nested calls stay on it.
thread_local bool working = false;
// Of this thread as a caller.
thread_local const WorkObserver* watching = nullptr;

struct Job {
  const RangeBody* body;
  int64_t n, grain;
  const WorkObserver* observer;
  std::atomic<int64_t> next{0};

  void Help(int worker) {
    if (observer == nullptr) return Work();
    const auto begin = std::chrono::steady_clock::now();
    if (next.load(std::memory_order_relaxed) >= n) return;
    Work();
    observer->helped(observer->argument, worker, begin, std::chrono::steady_clock::now());
  }
  void Work() {
    while (true) {
      const int64_t begin = next.fetch_add(grain, std::memory_order_relaxed);
      if (begin >= n) return;
      (*body)(begin, std::min(begin + grain, n));
    }
  }
};

}  // namespace

struct WorkPool::State {
  explicit State(int count) : threads(std::max(count, 1)) {
    for (int i = 1; i < threads; ++i) helpers.emplace_back([this, i] { Help(i); });
  }
  ~State() {
    {
      std::lock_guard lock(mu);
      stopping.store(true);
    }
    wake.notify_all();
    for (std::thread& t : helpers) t.join();
  }

  // A helper announces itself before it looks at the job, and the caller waits for those announced
  // after it took the job away: so a helper that saw the job is always waited for.
  void Help(int index) {
    SetThreadName(StrCat("work-", index));
    working = true;
    uint64_t seen = 0;
    while (WaitForJob(&seen)) {
      active.fetch_add(1);
      if (Job* j = job.load(); j != nullptr) j->Help(index);
      active.fetch_sub(1);
    }
  }

  // False when the pool ends.
  bool WaitForJob(uint64_t* seen) {
    for (int i = 0; i < kSpins; ++i) {
      if (jobs.load() != *seen) {
        *seen = jobs.load();
        return true;
      }
      Pause();
    }
    std::unique_lock lock(mu);
    ++sleeping;
    wake.wait(lock, [&] { return stopping.load() || jobs.load() != *seen; });
    --sleeping;
    *seen = jobs.load();
    return !stopping.load();
  }

  void Share(Job* j) {
    job.store(j);
    jobs.fetch_add(1);
    bool someone_sleeps = false;
    {
      std::lock_guard lock(mu);
      someone_sleeps = sleeping > 0;
    }
    if (someone_sleeps) wake.notify_all();
    working = true;
    j->Work();
    working = false;
    job.store(nullptr);
    while (active.load() != 0) Pause();
  }

  const int threads;
  std::mutex caller;  // held by whoever the helpers work for
  std::atomic<Job*> job{nullptr};
  std::atomic<uint64_t> jobs{0};  // handed out so far
  std::atomic<int> active{0};     // helpers that may hold `job`
  std::atomic<bool> stopping{false};
  std::mutex mu;
  std::condition_variable wake;
  int sleeping = 0;  // guarded by mu
  std::vector<std::thread> helpers;
};

WorkPool::WorkPool(int threads) : state_(std::make_unique<State>(threads)) {}
WorkPool::~WorkPool() = default;

const WorkObserver* WatchWork(const WorkObserver* observer) {
  return std::exchange(watching, observer);
}

int WorkPool::threads() const { return state_->threads; }

void WorkPool::For(int64_t n, int64_t grain, const RangeBody& body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n <= grain || state_->threads == 1 || working) return body(0, n);
  std::unique_lock lock(state_->caller, std::try_to_lock);
  if (!lock.owns_lock()) return body(0, n);
  Job job{&body, n, grain, watching};
  state_->Share(&job);
}

namespace {

// Processors that this process may use: its affinity mask, and the quota of its control group
// (version 2, then 1), rounded up.
int Processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
  double quota = -1, period = 0;
  std::string word;
  if (std::ifstream v2("/sys/fs/cgroup/cpu.max"); v2 >> word >> period) {
    quota = word == "max" ? -1 : std::strtod(word.c_str(), nullptr);
  } else {
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_quota_us") >> quota;
    std::ifstream("/sys/fs/cgroup/cpu/cpu.cfs_period_us") >> period;
  }
  if (quota > 0 && period > 0) n = std::min(n, static_cast<int>((quota + period - 1) / period));
  return std::max(n, 1);
}

int WantedThreads() {
  constexpr uint64_t kMost = 1024;
  if (const char* wanted = std::getenv("MEGALITH_THREADS")) {
    if (const auto n = ParseUint(wanted); n && *n >= 1 && *n <= kMost) return static_cast<int>(*n);
  }
  return Processors();
}

}  // namespace

WorkPool& ProcessPool() {
  // Never destroyed: work may run until the process ends.
  static WorkPool* const pool = new WorkPool(WantedThreads());
  return *pool;
}

}  // namespace megalith::kernels

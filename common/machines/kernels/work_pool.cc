#include "common/machines/kernels/work_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace megalith::kernels {
namespace {

// How long an idle helper looks for work before it sleeps: a few tens of microseconds, about what
// waking it would cost the next caller.
constexpr int kSpins = 2000;
// Ranges a thread takes on average: more even out unequal work, fewer cost less.
constexpr int64_t kRangesPerThread = 4;

inline void Pause() { __builtin_ia32_pause(); }

// One call of For: ranges are taken from `next`. It lives on the caller's stack, so helpers
// announce themselves (under State::mu) before they touch it, and the caller waits for them.
struct Job {
  const RangeBody* body;
  int64_t n, step;
  std::atomic<int64_t> next{0};
  std::atomic<int> helpers{0};

  void Work() {
    for (;;) {
      const int64_t begin = next.fetch_add(step, std::memory_order_relaxed);
      if (begin >= n) return;
      (*body)(begin, std::min(begin + step, n));
    }
  }
  bool Taken() const { return next.load(std::memory_order_relaxed) >= n; }
};

// True while this thread works for a call of For: calls within run where they are.
thread_local bool t_working = false;

}  // namespace

struct WorkPool::State {
  explicit State(int helpers) {
    for (int i = 0; i < helpers; ++i) {
      threads.emplace_back([this, i] {
        pthread_setname_np(pthread_self(), ("work-" + std::to_string(i)).c_str());
        Help();
      });
    }
  }
  ~State() {
    {
      const std::lock_guard lock(mu);
      stop = true;
      posted.fetch_add(1, std::memory_order_release);
    }
    wake.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  void Help() {
    t_working = true;
    uint64_t seen = 0;
    for (;;) {
      Job* job = nullptr;
      for (int spin = 0; spin < kSpins; ++spin) {
        if (posted.load(std::memory_order_acquire) != seen) break;
        Pause();
      }
      {
        std::unique_lock lock(mu);
        if (posted.load(std::memory_order_relaxed) == seen) {
          ++sleepers;
          wake.wait(lock, [&] { return posted.load(std::memory_order_relaxed) != seen; });
          --sleepers;
        }
        if (stop) return;
        job = Pick();
        if (job == nullptr) {
          seen = posted.load(std::memory_order_relaxed);
          continue;
        }
        job->helpers.fetch_add(1, std::memory_order_relaxed);
      }
      job->Work();
      job->helpers.fetch_sub(1, std::memory_order_release);
    }
  }

  // The job with work left that has the fewest helpers. Under mu.
  Job* Pick() {
    Job* best = nullptr;
    int fewest = 0;
    for (Job* job : jobs) {
      if (job->Taken()) continue;
      const int helpers = job->helpers.load(std::memory_order_relaxed);
      if (best == nullptr || helpers < fewest) {
        best = job;
        fewest = helpers;
      }
    }
    return best;
  }

  void Run(Job* job) {
    int sleeping = 0;
    {
      const std::lock_guard lock(mu);
      jobs.push_back(job);
      posted.fetch_add(1, std::memory_order_release);
      sleeping = sleepers;
    }
    if (sleeping > 0) wake.notify_all();
    t_working = true;
    job->Work();
    t_working = false;
    {
      const std::lock_guard lock(mu);
      jobs.erase(std::find(jobs.begin(), jobs.end(), job));
    }
    for (int spin = 0; job->helpers.load(std::memory_order_acquire) != 0; ++spin) {
      if (spin < kSpins) {
        Pause();
      } else {
        sched_yield();
      }
    }
  }

  std::mutex mu;
  std::condition_variable wake;
  std::vector<Job*> jobs;           // guarded by mu
  int sleepers = 0;                 // guarded by mu
  bool stop = false;                // guarded by mu
  std::atomic<uint64_t> posted{0};  // changed under mu, looked at without
  std::vector<std::thread> threads;
};

WorkPool::WorkPool(int threads) : state_(std::make_unique<State>(std::max(threads, 1) - 1)) {}
WorkPool::~WorkPool() = default;

int WorkPool::threads() const { return static_cast<int>(state_->threads.size()) + 1; }

void WorkPool::For(int64_t n, int64_t grain, const RangeBody& body) {
  if (n <= 0) return;
  grain = std::max<int64_t>(grain, 1);
  if (n <= grain || t_working || state_->threads.empty()) {
    body(0, n);
    return;
  }
  const int64_t ranges = threads() * kRangesPerThread;
  const int64_t even = (n + ranges - 1) / ranges;
  Job job{&body, n, (even + grain - 1) / grain * grain};
  if (job.step >= n) {
    body(0, n);
    return;
  }
  state_->Run(&job);
}

namespace {

// Processors the cgroup grants (quota / period of cgroup v2 or v1), or 0 if it sets no limit.
int CgroupProcessors() {
  const auto read = [](const char* path, auto&& parse) {
    FILE* file = std::fopen(path, "re");
    if (file == nullptr) return 0;
    const int processors = parse(file);
    std::fclose(file);
    return processors;
  };
  const auto share = [](long long quota, long long period) {
    return quota > 0 && period > 0 ? static_cast<int>((quota + period - 1) / period) : 0;
  };
  const int v2 = read("/sys/fs/cgroup/cpu.max", [&](FILE* file) {
    long long quota = 0, period = 0;
    return std::fscanf(file, "%lld %lld", &quota, &period) == 2 ? share(quota, period) : 0;
  });
  if (v2 > 0) return v2;
  const auto number = [](FILE* file) {
    long long value = 0;
    return std::fscanf(file, "%lld", &value) == 1 ? static_cast<int>(value) : 0;
  };
  return share(read("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", number),
               read("/sys/fs/cgroup/cpu/cpu.cfs_period_us", number));
}

int ProcessThreads() {
  if (const char* set = std::getenv("MEGALITH_THREADS"); set != nullptr) {
    const int threads = std::atoi(set);
    if (threads >= 1) return std::min(threads, 1024);
  }
  cpu_set_t mask;
  int processors = static_cast<int>(std::thread::hardware_concurrency());
  if (sched_getaffinity(0, sizeof(mask), &mask) == 0) processors = CPU_COUNT(&mask);
  const int granted = CgroupProcessors();
  if (granted > 0) processors = std::min(processors, granted);
  return std::max(processors, 1);
}

}  // namespace

WorkPool& ProcessPool() {
  static WorkPool& pool = *new WorkPool(ProcessThreads());  // outlives everything that uses it
  return pool;
}

}  // namespace megalith::kernels

#include "common/machines/kernels/work_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "common/machines/kernels/work_observer.h"

namespace megalith::kernels {
namespace {

// Every item exactly once, in ranges that start at multiples of the grain.
void ExpectCovers(WorkPool& pool, int64_t n, int64_t grain) {
  std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
  std::atomic<bool> aligned{true};
  pool.For(n, grain, [&](int64_t begin, int64_t end) {
    if (begin % grain != 0) aligned = false;
    for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
  });
  EXPECT_TRUE(aligned);
  for (const auto& s : seen) ASSERT_EQ(s.load(), 1);
}

TEST(WorkPoolTest, CoversEveryItemOnce) {
  for (const int threads : {1, 2, 5}) {
    WorkPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000, 12345}) {
      for (const int64_t grain : {1, 3, 64, 100000}) ExpectCovers(pool, n, grain);
    }
  }
}

TEST(WorkPoolTest, NestedCallsStayWhereTheyAre) {
  WorkPool pool(3);
  std::atomic<int64_t> sum{0};
  pool.For(50, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto here = std::this_thread::get_id();
      pool.For(10, 1, [&](int64_t b, int64_t e) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        sum += e - b;
      });
    }
  });
  EXPECT_EQ(sum.load(), 500);
}

TEST(WorkPoolTest, CallersDoNotDisturbEachOther) {
  WorkPool pool(4);
  std::vector<std::thread> callers;
  for (int c = 0; c < 6; ++c) {
    callers.emplace_back([&] {
      for (int i = 0; i < 200; ++i) {
        std::atomic<int64_t> sum{0};
        pool.For(1000, 7, [&](int64_t begin, int64_t end) {
          int64_t part = 0;
          for (int64_t k = begin; k < end; ++k) part += k;
          sum += part;
        });
        ASSERT_EQ(sum.load(), 499500);
      }
    });
  }
  for (std::thread& t : callers) t.join();
}

TEST(WorkPoolTest, WorksAfterItSlept) {
  WorkPool pool(2);
  for (int i = 0; i < 5; ++i) {
    ExpectCovers(pool, 100, 1);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(WorkPoolTest, ObserverIsToldWhatHelpersDidForItsThread) {
  WorkPool pool(3);
  std::mutex mu;
  std::vector<int> workers;
  struct Told {
    std::mutex* mu;
    std::vector<int>* workers;
  } told{&mu, &workers};
  const WorkObserver observer{
      .helped =
          [](void* argument, int worker, std::chrono::steady_clock::time_point begin,
             std::chrono::steady_clock::time_point end) {
            const Told& t = *static_cast<Told*>(argument);
            EXPECT_LE(begin, end);
            const std::lock_guard<std::mutex> lock(*t.mu);
            t.workers->push_back(worker);
          },
      .argument = &told};
  EXPECT_EQ(WatchWork(&observer), nullptr);
  // Each range waits for another thread to have one, so that helpers take part.
  std::atomic<int> inside{0};
  pool.For(3, 1, [&](int64_t, int64_t) {
    ++inside;
    while (inside.load() < 2) std::this_thread::yield();
  });
  EXPECT_EQ(WatchWork(nullptr), &observer);
  ExpectCovers(pool, 100, 1);
  ASSERT_FALSE(workers.empty());
  EXPECT_LE(workers.size(), 2u);
  for (const int w : workers) EXPECT_TRUE(w == 1 || w == 2) << w;
}

TEST(WorkPoolTest, ProcessPoolIsOne) {
  EXPECT_EQ(&ProcessPool(), &ProcessPool());
  EXPECT_GE(ProcessPool().threads(), 1);
}

}  // namespace
}  // namespace megalith::kernels

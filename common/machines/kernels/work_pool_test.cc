#include "common/machines/kernels/work_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

namespace megalith::kernels {
namespace {

TEST(WorkPoolTest, CoversEveryItemOnce) {
  for (const int threads : {1, 2, 3, 8}) {
    WorkPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (const int64_t n : {0, 1, 2, 7, 64, 1000, 12345}) {
      for (const int64_t grain : {1, 3, 64, 5000}) {
        std::vector<int> hits(static_cast<size_t>(n), 0);
        pool.For(n, grain, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        for (const int h : hits) ASSERT_EQ(h, 1) << threads << " " << n << " " << grain;
      }
    }
  }
}

TEST(WorkPoolTest, RangesAreMultiplesOfTheGrain) {
  WorkPool pool(4);
  std::mutex mu;
  std::vector<std::pair<int64_t, int64_t>> ranges;
  pool.For(1001, 16, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mu);
    ranges.emplace_back(begin, end);
  });
  EXPECT_GT(ranges.size(), 1u);
  for (const auto& [begin, end] : ranges) {
    EXPECT_EQ(begin % 16, 0);
    EXPECT_TRUE(end % 16 == 0 || end == 1001);
  }
}

TEST(WorkPoolTest, NestedCallsRunInPlace) {
  WorkPool pool(4);
  std::atomic<int64_t> sum{0};
  pool.For(64, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const auto here = std::this_thread::get_id();
      pool.For(100, 1, [&](int64_t b, int64_t e) {
        EXPECT_EQ(std::this_thread::get_id(), here);
        sum += e - b;
      });
    }
  });
  EXPECT_EQ(sum, 6400);
}

TEST(WorkPoolTest, CallersShareThePool) {
  WorkPool pool(3);
  std::vector<std::thread> callers;
  std::atomic<int64_t> sum{0};
  for (int c = 0; c < 4; ++c) {
    callers.emplace_back([&] {
      for (int turn = 0; turn < 300; ++turn) {
        pool.For(200, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 4 * 300 * 200);
}

TEST(WorkPoolTest, ProcessPoolHasThreads) { EXPECT_GE(ProcessPool().threads(), 1); }

}  // namespace
}  // namespace megalith::kernels

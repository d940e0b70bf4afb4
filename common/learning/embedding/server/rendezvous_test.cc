#include "common/learning/embedding/server/rendezvous.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

using ::testing::HasSubstr;

const Cancellation kForever;

Cancellation& Gone() {
  static Cancellation cancellation;
  cancellation.Cancel();
  return cancellation;
}

TEST(RendezvousTest, NobodyPassesABarrierBeforeAllHaveArrived) {
  Rendezvous meet({});
  std::atomic<int> arrived{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (uint64_t round = 0; round < 50; ++round) {
        ++arrived;
        EXPECT_TRUE(meet.Arrive("b", round, 4, StrCat(t), kForever).ok());
        EXPECT_GE(arrived.load(), static_cast<int>(4 * (round + 1)));
      }
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(arrived.load(), 200);
}

TEST(RendezvousTest, WhoArrivesTwiceCountsOnceAndACompleteRoundIsPassedAtOnce) {
  Rendezvous meet({});
  for (int i = 0; i < 3; ++i) {
    const Status status = meet.Arrive("b", 0, 2, "a", Gone());
    EXPECT_EQ(status.code(), Code::kCancelled);
    EXPECT_THAT(status.message(), HasSubstr("1 of 2 have arrived"));
  }
  EXPECT_TRUE(meet.Arrive("b", 0, 2, "c", kForever).ok());
  EXPECT_TRUE(meet.Arrive("b", 0, 2, "a", kForever).ok());
  EXPECT_EQ(meet.Arrive("b", 2, 2, "a", kForever).code(), Code::kFailedPrecondition);
  EXPECT_EQ(meet.Arrive("b", 1, 2, "a", Gone()).code(), Code::kCancelled);
  EXPECT_EQ(meet.Arrive("b", 1, 3, "c", kForever).code(), Code::kFailedPrecondition);
  EXPECT_EQ(meet.Arrive("b", 1, 0, "c", kForever).code(), Code::kInvalidArgument);
}

TEST(RendezvousTest, AQueueKeepsOrderAndHoldsItsProducersBack) {
  Rendezvous meet({});
  std::thread producer([&] {
    for (uint64_t i = 1; i <= 100; ++i) {
      EXPECT_TRUE(meet.Push("q", 3, "p", i, StrCat(i), kForever).ok());
    }
    EXPECT_TRUE(meet.Close("q").ok());
  });
  for (uint64_t i = 1; i <= 100; ++i) EXPECT_EQ(*meet.Pop("q", "c", i, kForever), StrCat(i));
  producer.join();
  EXPECT_EQ(meet.Pop("q", "c", 101, kForever).status().code(), Code::kOutOfRange);
  EXPECT_EQ(meet.Push("q", 3, "p", 101, "x", kForever).code(), Code::kFailedPrecondition);
}

TEST(RendezvousTest, ALostAnswerLosesAndDoublesNoItem) {
  Rendezvous meet({});
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(meet.Push("q", 10, "p", 1, "one", kForever).ok());
  EXPECT_TRUE(meet.Push("q", 10, "p", 2, "two", kForever).ok());
  EXPECT_EQ(meet.Push("q", 10, "p", 1, "one", kForever).code(), Code::kOutOfRange);
  EXPECT_EQ(*meet.Pop("q", "c", 1, kForever), "one");
  EXPECT_EQ(*meet.Pop("q", "c", 1, kForever), "one");
  EXPECT_EQ(*meet.Pop("q", "d", 1, kForever), "two");
  EXPECT_EQ(meet.Pop("q", "c", 2, Gone()).status().code(), Code::kCancelled);
  EXPECT_EQ(meet.Pop("q", "c", 0, kForever).status().code(), Code::kInvalidArgument);
}

TEST(RendezvousTest, LimitsAreKept) {
  Rendezvous meet({.max_names = 1, .max_queued_bytes = 10});
  EXPECT_TRUE(meet.Push("q", 10, "p", 1, "12345678", kForever).ok());
  EXPECT_EQ(meet.Push("q", 10, "p", 2, "123", kForever).code(), Code::kResourceExhausted);
  EXPECT_EQ(meet.Push("r", 10, "p", 1, "1", kForever).code(), Code::kResourceExhausted);
  EXPECT_EQ(meet.Push("q", 1, "p", 2, "1", Gone()).code(), Code::kCancelled);
  EXPECT_EQ(meet.Push("q", 0, "p", 2, "1", kForever).code(), Code::kInvalidArgument);
  EXPECT_EQ(meet.Push("", 1, "p", 1, "1", kForever).code(), Code::kInvalidArgument);
  EXPECT_EQ(*meet.Pop("q", "c", 1, kForever), "12345678");
  meet.Remove("q");
  EXPECT_TRUE(meet.Push("r", 10, "p", 1, "1234567890", kForever).ok());
}

TEST(RendezvousTest, RemovingEndsWaits) {
  Rendezvous meet({});
  std::thread waiter(
      [&] { EXPECT_EQ(meet.Arrive("n", 0, 2, "a", kForever).code(), Code::kCancelled); });
  std::thread consumer(
      [&] { EXPECT_EQ(meet.Pop("n", "c", 1, kForever).status().code(), Code::kCancelled); });
  // Until both wait, removing finds nothing; so it is done until both have ended.
  std::atomic<bool> done{false};
  std::thread remover([&] {
    while (!done) {
      meet.Remove("n");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  waiter.join();
  consumer.join();
  done = true;
  remover.join();
}

}  // namespace
}  // namespace megalith::embedding

#include "common/learning/embedding/server/applied_sequences.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {
namespace {

using ::testing::HasSubstr;

class FixedClock final : public Clock {
 public:
  std::chrono::nanoseconds Monotonic() const override { return now; }
  int64_t UnixNanos() const override { return now.count(); }
  std::chrono::nanoseconds now{0};
};

const Cancellation kForever;

// Applies an update unless it was; says whether it was new.
bool Apply(AppliedSequences& marks, const std::string& client, uint64_t sequence) {
  auto ticket = marks.Begin(client, sequence, kForever);
  EXPECT_TRUE(ticket.ok()) << ticket.status().ToString();
  if (!ticket.ok() || ticket->already_applied()) return false;
  ticket->Commit();
  return true;
}

TEST(AppliedSequencesTest, ARepeatedUpdateIsKnown) {
  AppliedSequences marks({});
  EXPECT_TRUE(Apply(marks, "a", 1));
  EXPECT_FALSE(Apply(marks, "a", 1));
  EXPECT_TRUE(Apply(marks, "b", 1));
  EXPECT_EQ(marks.clients(), 2u);
}

TEST(AppliedSequencesTest, UpdatesMayArriveInAnyOrderWithinTheWindow) {
  AppliedSequences marks({.window = 64});
  EXPECT_TRUE(Apply(marks, "a", 64));
  for (uint64_t i = 1; i < 64; i += 2) EXPECT_TRUE(Apply(marks, "a", i)) << i;
  EXPECT_TRUE(Apply(marks, "a", 100));
  for (uint64_t i = 37; i < 64; ++i) EXPECT_EQ(Apply(marks, "a", i), i % 2 == 0) << i;
}

TEST(AppliedSequencesTest, AnUpdateBelowTheWindowIsNeitherAppliedNorCalledApplied) {
  AppliedSequences marks({.window = 64});
  EXPECT_TRUE(Apply(marks, "a", 1000));
  const auto late = marks.Begin("a", 936, kForever);
  EXPECT_EQ(late.status().code(), Code::kOutOfRange);
  EXPECT_THAT(late.status().message(), HasSubstr("lies 64 behind"));
  EXPECT_TRUE(Apply(marks, "a", 937));
}

TEST(AppliedSequencesTest, AnUpdateThatFailedMayComeAgain) {
  AppliedSequences marks({});
  {
    EXPECT_FALSE(marks.Begin("a", 1, kForever)->already_applied());
  }
  EXPECT_TRUE(Apply(marks, "a", 1));
}

TEST(AppliedSequencesTest, TheSameUpdateTwiceAtOnceIsAppliedOnce) {
  AppliedSequences marks({});
  std::atomic<int> applied{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (uint64_t i = 1; i <= 500; ++i) applied += Apply(marks, "a", i) ? 1 : 0;
    });
  }
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(applied.load(), 500);
}

TEST(AppliedSequencesTest, WaitingForTheSameUpdateEndsWithTheDeadline) {
  AppliedSequences marks({});
  const auto running = marks.Begin("a", 1, kForever);
  Cancellation cancelled;
  cancelled.Cancel();
  EXPECT_EQ(marks.Begin("a", 1, cancelled).status().code(), Code::kCancelled);
}

TEST(AppliedSequencesTest, OnlyIdleClientsMakeRoom) {
  FixedClock clock;
  AppliedSequences marks({.max_clients = 2, .idle = std::chrono::seconds(10)}, clock);
  EXPECT_TRUE(Apply(marks, "a", 1));
  clock.now += std::chrono::seconds(5);
  EXPECT_TRUE(Apply(marks, "b", 1));
  EXPECT_EQ(marks.Begin("c", 1, kForever).status().code(), Code::kResourceExhausted);
  clock.now += std::chrono::seconds(5);
  EXPECT_TRUE(Apply(marks, "c", 1));
  EXPECT_FALSE(Apply(marks, "b", 1));
  EXPECT_EQ(marks.clients(), 2u);
}

TEST(AppliedSequencesTest, NamesAndNumbersAreChecked) {
  AppliedSequences marks({});
  EXPECT_EQ(marks.Begin("", 1, kForever).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(marks.Begin(std::string(65, 'x'), 1, kForever).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(marks.Begin("a", 0, kForever).status().code(), Code::kInvalidArgument);
  EXPECT_TRUE(Apply(marks, "a", UINT64_MAX));
}

TEST(AppliedSequencesTest, MarksComeBackWithAnotherWindow) {
  AppliedSequences marks({.window = 128});
  for (uint64_t i = 1; i <= 300; i += 3) Apply(marks, "a", i);
  Apply(marks, "b", 5);
  for (const uint64_t window : {64, 128, 256}) {
    AppliedSequences other({.window = window});
    ASSERT_TRUE(other.Restore(marks.Snapshot()).ok());
    for (uint64_t i = 260; i <= 300; ++i) EXPECT_EQ(Apply(other, "a", i), i % 3 != 1) << i;
    EXPECT_FALSE(Apply(other, "b", 5));
    EXPECT_TRUE(Apply(other, "b", 4));
  }
}

TEST(AppliedSequencesTest, DamagedMarksAreRefused) {
  AppliedSequences marks({.window = 64});
  Apply(marks, "a", 1);
  const std::string good = marks.Snapshot();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    EXPECT_EQ(marks.Restore(bad).code(), Code::kDataLoss) << i;
    EXPECT_EQ(marks.Restore(good.substr(0, i)).code(), Code::kDataLoss) << i;
  }
  EXPECT_FALSE(Apply(marks, "a", 1));
}

}  // namespace
}  // namespace megalith::embedding

#include "common/learning/sync/touched_set.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>
#include <thread>

#include "common/learning/sync/testing/fake_fleet.h"

namespace megalith::sync {
namespace {

using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::vector<Fid> Range(Fid begin, Fid end) {
  std::vector<Fid> fids(static_cast<size_t>(end - begin));
  std::iota(fids.begin(), fids.end(), begin);
  return fids;
}

std::vector<Fid> KeysOf(const Delta& delta, const std::string& table) {
  for (const TableKeys& keys : delta.keys) {
    if (keys.table == table) return keys.fids;
  }
  return {};
}

// Everything the target lacks, which it then has.
std::vector<Fid> Deliver(TouchedSet& set, TouchedSet::Target target, const std::string& table) {
  const auto delta = set.Collect(target);
  set.Acknowledge(target, *delta);
  set.Trim();
  return KeysOf(*delta, table);
}

class TouchedSetTest : public ::testing::Test {
 protected:
  TouchedSet::Target UpToDate(TouchedSet& set) { return set.AddTargetUpToDate(); }
  testing::FakeClock clock_;
};

TEST_F(TouchedSetTest, AKeyLeavesWhenEveryTargetHasIt) {
  TouchedSet set({}, clock_);
  const auto a = UpToDate(set);
  const auto b = UpToDate(set);
  set.Written("t", Range(1, 4));
  set.Written("t", Range(2, 5));
  set.Written("u", Range(1, 2));
  const auto delta = set.Collect(a);
  EXPECT_THAT(KeysOf(*delta, "t"), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(KeysOf(*delta, "u"), ElementsAre(1));
  set.Acknowledge(a, *delta);
  set.Trim();
  EXPECT_EQ(set.GetStats().keys, 5U);
  EXPECT_TRUE(set.Collect(a)->empty());
  EXPECT_THAT(Deliver(set, b, "t"), ElementsAre(1, 2, 3, 4));
  EXPECT_EQ(set.GetStats().keys, 0U);
}

TEST_F(TouchedSetTest, WithoutTargetsNothingLeaves) {
  TouchedSet set({}, clock_);
  set.Written("t", Range(0, 10));
  set.Trim();
  const auto target = UpToDate(set);
  set.RemoveTarget(target);
  set.Trim();
  EXPECT_EQ(set.GetStats().keys, 10U);
}

TEST_F(TouchedSetTest, WhatIsTouchedWhileItIsSentIsSentAgain) {
  TouchedSet set({}, clock_);
  const auto target = UpToDate(set);
  set.Written("t", Range(1, 3));
  const auto delta = set.Collect(target);
  set.Written("t", Range(2, 3));
  set.Acknowledge(target, *delta);
  set.Trim();
  EXPECT_THAT(Deliver(set, target, "t"), ElementsAre(2));
}

TEST_F(TouchedSetTest, WhatIsNotAcknowledgedIsCollectedAgain) {
  TouchedSet set({}, clock_);
  const auto target = UpToDate(set);
  set.Written("t", Range(1, 3));
  (void)set.Collect(target);
  set.Written("t", Range(7, 8));
  EXPECT_THAT(KeysOf(*set.Collect(target), "t"), ElementsAre(1, 2, 7));
}

TEST_F(TouchedSetTest, ANewTargetLacksEverythingOnce) {
  TouchedSet set({}, clock_);
  set.Written("t", Range(1, 3));
  const auto target = set.AddTarget();
  const auto all = set.Collect(target);
  EXPECT_TRUE(all->all);
  set.Written("t", Range(5, 6));
  set.Acknowledge(target, *all);
  EXPECT_FALSE(set.LacksAll(target));
  EXPECT_THAT(Deliver(set, target, "t"), ElementsAre(5));
}

TEST_F(TouchedSetTest, AnAcknowledgementFromBeforeARestartDoesNotCount) {
  TouchedSet set({}, clock_);
  const auto target = UpToDate(set);
  set.Written("t", Range(1, 3));
  const auto delta = set.Collect(target);
  set.MarkAll(target);
  set.Acknowledge(target, *delta);
  EXPECT_TRUE(set.Collect(target)->all);
}

TEST_F(TouchedSetTest, ATargetThatRestartsWhileItIsSentEverythingIsSentEverythingAgain) {
  TouchedSet set({}, clock_);
  const auto target = set.AddTarget();
  const auto all = set.Collect(target);
  set.MarkAll(target);
  set.Acknowledge(target, *all);
  EXPECT_TRUE(set.LacksAll(target));
}

TEST_F(TouchedSetTest, ATargetFromACheckpointLacksWhatChangedSince) {
  TouchedSet set({}, clock_);
  set.Written("t", Range(1, 3));
  const auto checkpoint = set.AddTargetUpToDate();
  const auto other = UpToDate(set);
  set.Written("t", Range(10, 12));
  EXPECT_THAT(Deliver(set, other, "t"), ElementsAre(10, 11));
  const auto restarted = set.AddTarget();
  ASSERT_TRUE(set.Rebase(restarted, checkpoint));
  const auto delta = set.Collect(restarted);
  EXPECT_FALSE(delta->all);
  EXPECT_THAT(KeysOf(*delta, "t"), ElementsAre(10, 11));
}

TEST_F(TouchedSetTest, AFullSetGivesUpKeysOfTargetsThatAreBehindFirst) {
  TouchedSet set({.max_keys = 100}, clock_);
  const auto healthy = UpToDate(set);
  const auto dead = UpToDate(set);
  for (int i = 0; i < 10; ++i) {
    set.Written("t", Range(i * 40, i * 40 + 40));
    EXPECT_EQ(Deliver(set, healthy, "t").size(), 40U) << i;
    EXPECT_FALSE(set.LacksAll(healthy));
  }
  EXPECT_LE(set.GetStats().keys, 100U);
  EXPECT_EQ(set.GetStats().expelled_targets, 1U);
  EXPECT_EQ(set.GetStats().dirtied_tables, 0U);
  EXPECT_TRUE(set.Collect(dead)->all);
}

TEST_F(TouchedSetTest, AFullSetMakesItsLargestTableDirty) {
  TouchedSet set({.max_keys = 100}, clock_);
  const auto target = UpToDate(set);
  set.Written("small", Range(0, 20));
  set.Written("big", Range(0, 80));
  set.Erased("big", Range(78, 80));
  set.Written("big", Range(200, 300));
  const auto delta = set.Collect(target);
  EXPECT_FALSE(delta->all);
  EXPECT_THAT(delta->full_tables, ElementsAre("big"));
  EXPECT_EQ(KeysOf(*delta, "small").size(), 20U);
  // Walking the table does not show rows that are gone.
  EXPECT_THAT(KeysOf(*delta, "big"), ElementsAre(78, 79));
  set.Written("big", Range(500, 501));
  set.Acknowledge(target, *delta);
  set.Trim();
  EXPECT_THAT(set.Collect(target)->full_tables, IsEmpty());
  EXPECT_THAT(Deliver(set, target, "big"), ElementsAre(500));
  EXPECT_EQ(set.GetStats().dropped, 0U);
}

TEST_F(TouchedSetTest, ErasedRowsAreForgottenOnlyWhenTheyAloneFillTheSetAndAreCounted) {
  TouchedSet set({.max_keys = 100}, clock_);
  UpToDate(set);
  set.Erased("t", Range(0, 90));
  set.Written("t", Range(100, 150));
  EXPECT_EQ(set.GetStats().dropped, 90U);
  EXPECT_LE(set.GetStats().keys, 100U);
}

TEST_F(TouchedSetTest, AReplacedTableIsSentAsAWhole) {
  TouchedSet set({}, clock_);
  const auto target = UpToDate(set);
  set.Replaced("t");
  EXPECT_THAT(set.TakeReplaced(), ElementsAre("t"));
  EXPECT_THAT(set.TakeReplaced(), IsEmpty());
  const auto delta = set.Collect(target);
  EXPECT_THAT(delta->full_tables, ElementsAre("t"));
  set.Acknowledge(target, *delta);
  EXPECT_TRUE(set.Collect(target)->empty());
}

TEST_F(TouchedSetTest, LagIsTheAgeOfTheOldestChangeThatATargetLacks) {
  TouchedSet set({}, clock_);
  const auto fast = UpToDate(set);
  const auto slow = UpToDate(set);
  EXPECT_EQ(set.Lag(fast), seconds(0));
  set.Written("t", Range(0, 1));
  clock_.Advance(seconds(5));
  (void)Deliver(set, fast, "t");
  EXPECT_EQ(set.Lag(fast), seconds(0));
  EXPECT_EQ(set.Lag(slow), seconds(5));
  set.Written("t", Range(1, 2));
  clock_.Advance(seconds(2));
  EXPECT_EQ(set.Lag(fast), seconds(2));
  EXPECT_EQ(set.Lag(slow), seconds(7));
  (void)Deliver(set, slow, "t");
  EXPECT_EQ(set.Lag(slow), seconds(0));
  set.MarkAll(slow);
  clock_.Advance(seconds(3));
  EXPECT_EQ(set.Lag(slow), seconds(3));
}

// Each fid is touched once; whoever collects while writers run misses none.
TEST_F(TouchedSetTest, NoKeyIsLostBetweenWritersAndACollector) {
  TouchedSet set({}, clock_);
  const auto target = UpToDate(set);
  constexpr Fid kEach = 60'000;
  std::vector<std::thread> writers;
  std::atomic<int> running{3};
  for (Fid w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (Fid i = 0; i < kEach; i += 50) {
        set.Written("t", Range(w * kEach + i, w * kEach + i + 50));
      }
      --running;
    });
  }
  std::set<Fid> seen;
  for (bool last = false; !last;) {
    last = running == 0;
    for (const Fid fid : Deliver(set, target, "t")) seen.insert(fid);
  }
  for (std::thread& writer : writers) writer.join();
  EXPECT_EQ(seen.size(), static_cast<size_t>(3 * kEach));
  EXPECT_EQ(set.GetStats().keys, 0U);
}

TEST_F(TouchedSetTest, OverflowUnderConcurrentWritersLosesNothing) {
  TouchedSet set({.max_keys = 5000}, clock_);
  const auto target = UpToDate(set);
  std::vector<std::thread> writers;
  std::atomic<int> running{3};
  for (Fid w = 0; w < 3; ++w) {
    writers.emplace_back([&, w] {
      for (Fid i = 0; i < 30'000; i += 100) {
        set.Written(w == 0 ? "t" : "u", Range(w * 100'000 + i, w * 100'000 + i + 100));
      }
      --running;
    });
  }
  std::set<Fid> seen;
  std::set<std::string> walked;
  for (bool last = false; !last;) {
    last = running == 0;
    const auto delta = set.Collect(target);
    for (const std::string& table : delta->full_tables) walked.insert(table);
    for (const TableKeys& keys : delta->keys) seen.insert(keys.fids.begin(), keys.fids.end());
    set.Acknowledge(target, *delta);
    set.Trim();
  }
  for (std::thread& writer : writers) writer.join();
  // Whatever was not named is in a table that was walked.
  for (Fid w = 0; w < 3; ++w) {
    if (walked.count(w == 0 ? "t" : "u") != 0) continue;
    for (Fid i = 0; i < 30'000; ++i) EXPECT_EQ(seen.count(w * 100'000 + i), 1U);
  }
  EXPECT_EQ(set.GetStats().dropped, 0U);
}

}  // namespace
}  // namespace megalith::sync

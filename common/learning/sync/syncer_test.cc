#include "common/learning/sync/syncer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/learning/sync/testing/fake_fleet.h"

namespace megalith::sync {
namespace {

using std::chrono::seconds;
using testing::FakeFleet;
using testing::FakeReplica;
using testing::RowsOf;
using Mode = FakeReplica::Mode;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::Ge;
using ::testing::HasSubstr;
using ::testing::Le;

class SyncerTest : public ::testing::Test {
 protected:
  SyncerTest() : fleet_(std::make_unique<FakeFleet>()) {}

  // Rows [begin, end) of table "a" get new values.
  void Write(Fid begin, Fid end, const std::string& table = "a") {
    std::vector<Fid> fids(static_cast<size_t>(end - begin));
    std::iota(fids.begin(), fids.end(), begin);
    const auto found = *fleet_->trainer->Get(table);
    std::vector<float> values(fids.size() * static_cast<size_t>(found->dim()));
    for (float& v : values) v = ++value_;
    ASSERT_TRUE(found->Assign(fids, values, 100).ok());
  }
  void Erase(Fid fid) { (*fleet_->trainer->Get("a"))->Erase(std::span(&fid, 1)); }
  Syncer::TargetStatus StatusOf(const std::string& address) {
    for (const auto& target : fleet_->syncer->Targets()) {
      if (target.address.address == address) return target;
    }
    ADD_FAILURE() << "no target " << address;
    return {};
  }
  uint64_t Bootstraps(const char* reason, const char* from) {
    return fleet_->metrics.GetCounter(telemetry::kSyncBootstraps, {reason, from}).value();
  }

  std::unique_ptr<FakeFleet> fleet_;
  float value_ = 0;
};

TEST_F(SyncerTest, ANewTargetGetsEverythingThenChanges) {
  Write(0, 1000);
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 1000);
  Write(5, 7);
  Write(2000, 2001);
  Erase(1);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 1004);
  EXPECT_EQ(Bootstraps("new", "all_rows"), 1U);
  EXPECT_EQ(fleet_->touched.GetStats().keys, 0U);
}

TEST_F(SyncerTest, ADeadTargetHoldsUpNobodyAndGetsItsRowsWhenItIsBack) {
  FakeReplica& dead = fleet_->Add("dead");
  FakeReplica& alive = fleet_->Add("alive");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  dead.SetMode(Mode::kStalled);
  for (int i = 0; i < 20; ++i) {
    Write(i * 10, i * 10 + 10);
    fleet_->Run(seconds(11));
    EXPECT_EQ(RowsOf(alive.tables(), "a").size(), static_cast<size_t>(i * 10 + 10));
  }
  EXPECT_EQ(RowsOf(dead.tables(), "a").size(), 0U);
  EXPECT_TRUE(StatusOf("dead").state.failing);
  EXPECT_GT(StatusOf("dead").state.lag_seconds, 200);
  EXPECT_LT(StatusOf("alive").state.lag_seconds, 12);
  dead.SetMode(Mode::kUp);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(dead);
  fleet_->ExpectEqual(alive);
  EXPECT_EQ(dead.rows(), 200);  // no more than it lacked
}

TEST_F(SyncerTest, FailedTargetsAreTriedAgainEverMoreRarely) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  replica.SetMode(Mode::kDown);
  Write(0, 1);
  fleet_->Run(seconds(60));
  const int early = replica.pushes();
  EXPECT_GE(early, 5);
  fleet_->Run(seconds(600));
  // Backoff is at most a minute, less at most half of it.
  EXPECT_GE(replica.pushes() - early, 10);
  EXPECT_LE(replica.pushes() - early, 25);
}

TEST_F(SyncerTest, ALostAnswerMeansTheRowsAreSentAgain) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  replica.SetMode(Mode::kLosesAcks);
  Write(0, 10);
  fleet_->Run(seconds(12));
  EXPECT_EQ(fleet_->touched.GetStats().keys, 10U);
  replica.SetMode(Mode::kUp);
  fleet_->RunUntilQuiet();
  EXPECT_GE(replica.rows(), 20);
  fleet_->ExpectEqual(replica);
}

TEST_F(SyncerTest, WithoutTargetsNothingIsForgotten) {
  fleet_->Start();
  Write(0, 10);
  fleet_->Run(seconds(100));
  EXPECT_EQ(fleet_->touched.GetStats().keys, 10U);
  FakeReplica& late = fleet_->Add("late");
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(late);
}

TEST_F(SyncerTest, WhenDiscoveryFailsTheLastTargetsStayInUse) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  fleet_->FailDiscovery(true);
  Write(0, 10);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
}

TEST_F(SyncerTest, ARestartedTargetGetsEverythingEvenIfNobodyMissedIt) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  Write(0, 100);
  fleet_->RunUntilQuiet();
  replica.Restart();
  fleet_->Run(seconds(60));  // nothing changes: it is asked all the same
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(Bootstraps("restarted", "all_rows"), 1U);
  replica.Restart();
  Write(5, 6);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
}

TEST_F(SyncerTest, AServerThatDoesNotSayWhoItIsGetsEverythingAfterItCouldNotBeReached) {
  FakeReplica& replica = fleet_->Add("stock");
  replica.HideInstance();
  fleet_->Start();
  Write(0, 100);
  fleet_->RunUntilQuiet();
  replica.SetMode(Mode::kStalled);
  Write(0, 1);
  fleet_->Run(seconds(30));
  replica.SetMode(Mode::kUp);
  fleet_->RunUntilQuiet();
  EXPECT_EQ(Bootstraps("unreachable", "all_rows"), 0U);  // slow is not gone
  replica.SetMode(Mode::kDown);
  Write(0, 1);
  fleet_->Run(seconds(30));
  replica.Restart();
  replica.SetMode(Mode::kUp);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(Bootstraps("unreachable", "all_rows"), 1U);
}

TEST_F(SyncerTest, ATargetFromACheckpointGetsOnlyWhatChangedSince) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  Write(0, 1000);
  fleet_->RunUntilQuiet();
  // A checkpoint with version 7, as it was at its moment.
  TouchedSet::Target moment = 0;
  const auto snapshot =
      *fleet_->trainer->TakeSnapshot([&] { moment = fleet_->syncer->checkpoints().Begin(); });
  const auto rows = RowsOf(*fleet_->trainer, "a");
  Write(10, 20);
  Erase(500);
  fleet_->syncer->checkpoints().Publish(moment, 7);
  fleet_->RunUntilQuiet();
  replica.Restart([&](embedding::TableSet& set) {
    for (const auto& [fid, row] : rows) {
      ASSERT_TRUE((*set.Get("a"))->Assign(std::span(&fid, 1), row, 0).ok());
    }
  });
  replica.SetVersion(7);
  fleet_->Run(seconds(60));
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 11);
  EXPECT_EQ(Bootstraps("restarted", "checkpoint"), 1U);
  // Of an older one nothing is known.
  replica.Restart();
  replica.SetVersion(6);
  fleet_->Run(seconds(60));
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 999);
}

TEST_F(SyncerTest, ATargetThatDiscoveryLosesForAWhileGoesOnWhereItWas) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Add("other");
  fleet_->Start();
  Write(0, 100);
  fleet_->RunUntilQuiet();
  fleet_->Hide("r");
  Write(7, 8);
  Erase(9);
  fleet_->Run(seconds(300));
  EXPECT_FALSE(StatusOf("r").listed);
  fleet_->Hide("r", false);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 102);
  fleet_->Hide("r");
  Erase(10);
  fleet_->Run(seconds(700));
  fleet_->Hide("r", false);
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(replica.rows(), 102 + 98 + 1);  // what is there, and what is gone
  fleet_->Hide("r");
  fleet_->Run(std::chrono::hours(25));
  EXPECT_EQ(fleet_->syncer->Targets().size(), 1U);
}

TEST_F(SyncerTest, RoundsKeepTheirInterval) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  fleet_->Run(seconds(20));
  const int before = replica.pushes();
  for (int i = 0; i < 1000; ++i) {
    Write(i, i + 1);
    fleet_->Run(seconds(1));
  }
  EXPECT_GE(replica.pushes() - before, 90);
  EXPECT_LE(replica.pushes() - before, 112);
}

TEST_F(SyncerTest, AFullResendKeepsToItsRateAndChangesDoNot) {
  Write(0, 50'000);
  FakeReplica& replica = fleet_->Add("r");
  // 50,000 rows of 18 or 19 bytes.
  fleet_->options().resend_bytes_per_second = 100'000;
  fleet_->options().max_part_bytes = 50'000;
  fleet_->Start();
  const std::chrono::nanoseconds begin = fleet_->clock.Monotonic();
  fleet_->RunUntilQuiet();
  const double took = std::chrono::duration<double>(fleet_->clock.Monotonic() - begin).count();
  EXPECT_GE(took, 8);
  EXPECT_LE(took, 30);
  fleet_->ExpectEqual(replica);
  const std::chrono::nanoseconds changed = fleet_->clock.Monotonic();
  Write(0, 50'000);
  fleet_->RunUntilQuiet();
  EXPECT_LE(fleet_->clock.Monotonic() - changed, seconds(40));  // rounds, no pauses between parts
  fleet_->ExpectEqual(replica);
}

TEST_F(SyncerTest, AFailedPartIsSentAgainAndNotThoseBeforeIt) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->options().max_part_bytes = 2000;
  fleet_->Start();
  fleet_->RunUntilQuiet();
  Write(0, 1000);
  int parts = 0;
  std::vector<int64_t> sizes;
  replica.on_push = [&](const Push& push) {
    replica.SetMode(++parts % 3 == 0 ? Mode::kStalled : Mode::kUp);
    sizes.push_back(PushRequestBytes(fleet_->options().push, push));
  };
  fleet_->RunUntilQuiet();
  EXPECT_GE(parts, 10);
  EXPECT_EQ(replica.rows(), 1000);
  EXPECT_THAT(sizes, Each(Le(2200)));  // the last part takes what is left over
  fleet_->ExpectEqual(replica);
}

TEST_F(SyncerTest, RowsThatARestoreTookAwayLeaveTheTargets) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  Write(0, 100);
  fleet_->RunUntilQuiet();
  const auto old = *fleet_->trainer->Get("a");
  const auto aside = *fleet_->trainer->MakeAside("a", old->config());
  const std::vector<Fid> fids = {3, 1000};
  ASSERT_TRUE(aside->Assign(fids, std::vector<float>(6, 1.5F), 100).ok());
  fleet_->trainer->Replace({{"a", aside}});
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_EQ(RowsOf(replica.tables(), "a").size(), 2U);
}

TEST_F(SyncerTest, AnOverflowingTableIsSentAsAWhole) {
  fleet_ = std::make_unique<FakeFleet>(/*max_keys=*/100);
  FakeReplica& replica = fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  Write(0, 5000);
  Write(0, 10, "b");
  fleet_->RunUntilQuiet();
  fleet_->ExpectEqual(replica);
  EXPECT_GE(fleet_->metrics.GetCounter(telemetry::kSyncOverflows, {"table"}).value(), 1U);
  EXPECT_EQ(fleet_->metrics.GetCounter(telemetry::kSyncDropped).value(), 0U);
}

TEST_F(SyncerTest, MetricsTellRowsBytesLagAndTargets) {
  fleet_->Add("r");
  fleet_->Start();
  fleet_->RunUntilQuiet();
  Write(0, 10);
  fleet_->clock.Advance(seconds(5));
  (void)fleet_->syncer->RunOnce();
  (void)fleet_->syncer->RunOnce();
  telemetry::MetricRegistry& metrics = fleet_->metrics;
  EXPECT_EQ(metrics.GetGauge(telemetry::kSyncTargets, {"listed"}).value(), 1);
  EXPECT_EQ(metrics.GetGauge(telemetry::kSyncTargets, {"failing"}).value(), 0);
  fleet_->RunUntilQuiet();
  EXPECT_EQ(metrics.GetCounter(telemetry::kSyncFids, {"r", "OK", "NA"}).value(), 10U);
  EXPECT_GT(metrics.GetCounter(telemetry::kSyncBytes, {"r", "OK", "NA"}).value(), 10U * 17);
  EXPECT_GE(metrics.GetHistogram(telemetry::kSyncPushSeconds, {"r", "OK", "NA"}).total(), 2U);
  fleet_->Run(seconds(1));
  EXPECT_EQ(metrics.GetGauge(telemetry::kSyncLag, {"r"}).value(), 0);
}

TEST_F(SyncerTest, OptionsWithoutMeaningAreRefusedByName) {
  SyncOptions options;
  const Syncer::Parts parts{.set = *fleet_->trainer,
                            .touched = fleet_->touched,
                            .resolve = [] { return std::vector<TargetAddress>(); },
                            .connect = nullptr,
                            .metrics = fleet_->metrics,
                            .clock = fleet_->clock};
  EXPECT_THAT(Syncer::Make(options, parts).status().message(), HasSubstr("model"));
  options.push.model = "m:ps_0";
  options.push.form = WireForm::kNative;
  EXPECT_THAT(Syncer::Make(options, parts).status().message(), HasSubstr("resource"));
  options.push.resource = "MonolithMultiHashTable_0";
  options.jitter = 1;
  EXPECT_THAT(Syncer::Make(options, parts).status().message(), HasSubstr("jitter"));
  options.jitter = 0;
  EXPECT_TRUE(Syncer::Make(options, parts).ok());
}

TEST_F(SyncerTest, ItsOwnThreadsDoTheSameAndStop) {
  FakeReplica& replica = fleet_->Add("r");
  fleet_->options().interval = std::chrono::milliseconds(1);
  telemetry::MetricRegistry metrics;
  TouchedSet touched({});
  const auto trainer = testing::MakeTables(embedding::EntryKind::kTraining, &touched);
  class Link final : public SyncTarget {
   public:
    explicit Link(FakeReplica& to) : to_(to) {}
    Result<PushAck> Push(const sync::Push& push) override { return to_.Take(push); }

   private:
    FakeReplica& to_;
  };
  SyncOptions options = fleet_->options();
  const auto syncer = *Syncer::Make(
      options, {.set = *trainer,
                .touched = touched,
                .resolve = [] { return std::vector<TargetAddress>{{.address = "r"}}; },
                .connect = [&](const TargetAddress&) { return std::make_unique<Link>(replica); },
                .metrics = metrics,
                .clock = RealClock()});
  syncer->Start();
  const Fid fid = 3;
  ASSERT_TRUE((*trainer->Get("a"))->Assign(std::span(&fid, 1), std::vector<float>(3, 1), 1).ok());
  while (replica.rows() == 0) std::this_thread::yield();
  syncer->Stop();
  const int pushes = replica.pushes();
  ASSERT_TRUE((*trainer->Get("a"))->Assign(std::span(&fid, 1), std::vector<float>(3, 2), 1).ok());
  EXPECT_EQ(replica.pushes(), pushes);
}

// A random history of writes, erasures, evictions and misfortunes; after it all replicas are equal.
class SyncHistoryTest : public ::testing::TestWithParam<size_t> {};

void RandomWrites(FakeFleet& fleet, Rng& rng) {
  for (uint64_t n = rng.Below(20); n-- > 0;) {
    const auto table = *fleet.trainer->Get(rng.Below(2) == 0 ? "a" : "b");
    // What may be erased is of few fids: erased rows are kept one by one, whatever max_keys is.
    const bool erasable = rng.Below(3) == 0;
    std::vector<Fid> fids(1 + rng.Below(40));
    for (Fid& fid : fids) {
      fid = static_cast<Fid>(erasable ? rng.Below(60) : 1000 + rng.Below(2000));
    }
    std::vector<float> values(fids.size() * static_cast<size_t>(table->dim()));
    for (float& v : values) v = static_cast<float>(rng.Uniform()) + 0.1F;
    const uint64_t what = rng.Below(10);
    if (erasable && what == 0) {
      table->Erase(fids);
    } else if (erasable && what == 1) {
      table->Evict(100'000);  // of what was written at time 0
    } else if (what < 6) {
      ASSERT_TRUE(table->Assign(fids, values, erasable ? 0 : 1'000'000).ok());
    } else {
      ASSERT_TRUE(table
                      ->Optimize({.fids = fids,
                                  .values = values,
                                  .learning_rates = {},
                                  .snapshots = {},
                                  .update_time = 1'000'000})
                      .ok());
    }
  }
}

TEST_P(SyncHistoryTest, AfterQuietAllReplicasAreEqual) {
  const uint64_t seed = EntropySeed();
  SCOPED_TRACE(StrCat("seed ", seed));
  Rng rng(seed);
  FakeFleet fleet(GetParam());
  fleet.options().max_part_bytes = 4000;
  std::map<std::string, FakeReplica*> replicas;
  for (const char* name : {"r0", "r1", "r2"}) replicas[name] = &fleet.Add(name);
  replicas["r2"]->HideInstance();
  fleet.Start();
  for (int step = 0; step < 150; ++step) {
    RandomWrites(fleet, rng);
    for (auto& [name, replica] : replicas) {
      const uint64_t event = rng.Below(12);
      if (event < 5) replica->SetMode(static_cast<Mode>(event));
      if (event == 5 && name != "r2") replica->Restart();
      if (event == 6 && name == "r2") {
        // Who does not say which run it is must be missed by somebody.
        replica->SetMode(Mode::kDown);
        fleet.Run(seconds(100));
        replica->Restart();
      }
      if (event == 7) fleet.Hide(name, rng.Below(2) == 0);
    }
    fleet.Run(std::chrono::milliseconds(rng.Below(20'000)));
  }
  for (auto& [name, replica] : replicas) {
    replica->SetMode(Mode::kUp);
    fleet.Hide(name, false);
  }
  fleet.Run(seconds(200));
  fleet.RunUntilQuiet();
  for (const auto& [name, replica] : replicas) {
    SCOPED_TRACE(name);
    fleet.ExpectEqual(*replica);
  }
  EXPECT_EQ(fleet.touched.GetStats().dropped, 0U);
}

INSTANTIATE_TEST_SUITE_P(MaxKeys, SyncHistoryTest, ::testing::Values(300, 1000, 1'000'000));

}  // namespace
}  // namespace megalith::sync

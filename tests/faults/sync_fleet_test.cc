// A training server and three serving replicas over real gRPC, of which one is killed, one is
// paused and one restarts, while rows change: afterwards all have equal rows.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>

#include "common/fleet/rpc/server.h"
#include "common/fleet/stubs/sync_target.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/learning/sync/syncer.h"
#include "common/learning/sync/testing/fake_fleet.h"
#include "services/parameter_server/serving/serving_role.h"

namespace megalith {
namespace {

using embedding::Fid;
using std::chrono::milliseconds;

constexpr char kResource[] = "MonolithMultiHashTable_0";

// A serving process in this process: listens on a socket of its own, and can be stopped in
// mid-call.
class Replica {
 public:
  explicit Replica(std::string address) : address_(std::move(address)) { Start(); }
  ~Replica() { Kill(); }

  void Start() {
    tables_ = sync::testing::MakeTables(embedding::EntryKind::kServing);
    role_ = std::make_shared<services::ServingRole>(
        services::ServingRoleOptions{
            .models = {"m:ps_0"}, .resource = kResource, .instance = ++runs_},
        *tables_, metrics_);
    services::ServiceList list;
    list.push_back(std::make_unique<Front>(*this));
    auto server = rpc::Server::Start({.listen = {address_}}, std::move(list), metrics_);
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
  }
  // Every row is gone, and so are the calls under way.
  void Kill() {
    Pause(false);
    server_ = nullptr;
  }
  // Calls arrive, and nothing happens.
  void Pause(bool paused) {
    const std::lock_guard lock(mu_);
    paused_ = paused;
    changed_.notify_all();
  }
  const embedding::TableSet& tables() const { return *tables_; }
  int64_t calls() const { return calls_; }

 private:
  class Front final : public rpc::Service {
   public:
    explicit Front(Replica& replica)
        : Service("tensorflow.serving.PredictionService", {}), replica_(replica) {
      Unary("Predict", this, &Front::Predict);
    }
    Result<tensorflow::serving::PredictResponse> Predict(
        const tensorflow::serving::PredictRequest& request, const rpc::Call& call) {
      ++replica_.calls_;
      std::unique_lock lock(replica_.mu_);
      while (replica_.paused_ && !call.cancelled()) {
        replica_.changed_.wait_for(lock, milliseconds(5));
      }
      lock.unlock();
      // A process that goes on after a pause first works on what it had read.
      return replica_.role_->Predict(request, call.cancellation());
    }

   private:
    Replica& replica_;
  };

  const std::string address_;
  telemetry::MetricRegistry metrics_;
  uint64_t runs_ = 0;
  std::unique_ptr<embedding::TableSet> tables_;
  std::shared_ptr<services::ServingRole> role_;
  std::unique_ptr<rpc::Server> server_;
  std::mutex mu_;
  std::condition_variable changed_;
  bool paused_ = false;  // guarded by mu_
  std::atomic<int64_t> calls_{0};
};

class SyncFleetTest : public ::testing::TestWithParam<sync::WireForm> {
 protected:
  SyncFleetTest() : touched_({.max_keys = 20'000}) {
    trainer_ = sync::testing::MakeTables(embedding::EntryKind::kTraining, &touched_);
    for (const char* name : {"r0", "r1", "r2"}) {
      const std::string address = StrCat("unix:", directory_.path(), "/", name);
      addresses_.push_back(address);
      replicas_.push_back(std::make_unique<Replica>(address));
    }
    sync::SyncOptions options;
    options.push = {
        .model = "m:ps_0", .form = GetParam(), .resource = kResource, .timeout = milliseconds(300)};
    options.interval = milliseconds(10);
    options.initial_backoff = milliseconds(5);
    options.max_backoff = milliseconds(50);
    options.probe_after = milliseconds(30);
    options.max_part_bytes = 64 << 10;
    syncer_ = *sync::Syncer::Make(options, {.set = *trainer_,
                                            .touched = touched_,
                                            .resolve = [this] { return Targets(); },
                                            .connect = stubs::DialSyncTargets({}),
                                            .metrics = metrics_,
                                            .clock = RealClock(),
                                            .seed = seed_});
  }
  std::vector<sync::TargetAddress> Targets() const {
    std::vector<sync::TargetAddress> targets;
    for (const std::string& address : addresses_) targets.push_back({.address = address});
    return targets;
  }

  // Changes rows until told to stop; thread `w` owns the fids that are w modulo 2.
  void Write(uint64_t w) {
    Rng rng(seed_ + w);
    while (!stop_) {
      const auto table = *trainer_->Get(rng.Below(2) == 0 ? "a" : "b");
      std::vector<Fid> fids(64);
      for (Fid& fid : fids) fid = static_cast<Fid>(rng.Below(10'000) * 2 + w);
      std::vector<float> values(fids.size() * static_cast<size_t>(table->dim()));
      for (float& v : values) v = static_cast<float>(rng.Uniform()) + 0.1F;
      if (rng.Below(20) == 0) {
        fids.resize(4);
        table->Erase(fids);
      } else {
        EXPECT_TRUE(table->Assign(fids, values, 1).ok());
      }
      ++batches_;
      std::this_thread::sleep_for(milliseconds(1));  // leaves the other threads their turns
    }
  }
  // Until so many more batches were written and calls have come to the other replicas.
  void Meanwhile(size_t misfortune) {
    const int64_t batches = batches_ + 50;
    while (batches_ < batches) std::this_thread::yield();
    for (size_t i = 0; i < replicas_.size(); ++i) {
      if (i == misfortune) continue;
      const int64_t calls = replicas_[i]->calls() + 3;
      while (replicas_[i]->calls() < calls) std::this_thread::yield();
    }
  }
  bool Equal(const Replica& replica) const {
    for (const char* table : {"a", "b"}) {
      if (sync::testing::RowsOf(replica.tables(), table) !=
          sync::testing::RowsOf(*trainer_, table)) {
        return false;
      }
    }
    return true;
  }

  const uint64_t seed_ = EntropySeed();
  TempDirectory directory_;
  telemetry::MetricRegistry metrics_;
  sync::TouchedSet touched_;
  std::unique_ptr<embedding::TableSet> trainer_;
  std::vector<std::string> addresses_;
  std::vector<std::unique_ptr<Replica>> replicas_;
  std::unique_ptr<sync::Syncer> syncer_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> batches_{0};
};

TEST_P(SyncFleetTest, AllReplicasEndWithEqualRows) {
  SCOPED_TRACE(StrCat("seed ", seed_));
  syncer_->Start();
  std::vector<std::thread> writers;
  for (uint64_t w = 0; w < 2; ++w) writers.emplace_back([this, w] { Write(w); });
  Rng rng(seed_ + 2);
  for (int round = 0; round < 6; ++round) {
    const size_t victim = rng.Below(replicas_.size());
    const size_t paused = (victim + 1) % replicas_.size();
    replicas_[victim]->Kill();
    Meanwhile(victim);
    replicas_[paused]->Pause(true);
    replicas_[victim]->Start();
    Meanwhile(paused);
    replicas_[paused]->Pause(false);
  }
  stop_ = true;
  for (std::thread& writer : writers) writer.join();
  // Quiet: the test's time limit is the only one.
  for (const auto& replica : replicas_) {
    while (!Equal(*replica)) std::this_thread::sleep_for(milliseconds(5));
  }
  EXPECT_GE(sync::testing::RowsOf(*trainer_, "a").size(), 100U);
  EXPECT_EQ(touched_.GetStats().dropped, 0U);
  syncer_->Stop();
  EXPECT_GE(metrics_.GetCounter(telemetry::kSyncBootstraps, {"restarted", "all_rows"}).value(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Forms, SyncFleetTest,
                         ::testing::Values(sync::WireForm::kSingle, sync::WireForm::kNative));

}  // namespace
}  // namespace megalith

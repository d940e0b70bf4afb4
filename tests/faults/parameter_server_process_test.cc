// A parameter server with a log that is killed again and again under load, also while it saves
// checkpoints and deltas by schedule. MEGALITH_KILLS says how often (10 by default).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <iostream>
#include <thread>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/stubs/table_client.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "megalith/table/v1/table.pb.h"
#include "tests/support/child_process.h"

namespace megalith {
namespace {

using embedding::Fid;
using stubs::ShardedTableClient;
using testing::ServerProcess;

const Cancellation kForever;
constexpr int kThreads = 3;
// Ids below are counters, one for each thread; the others get one update each.
constexpr Fid kFirstSingle = 1000;

int Kills() {
  const char* text = std::getenv("MEGALITH_KILLS");
  const auto kills = text == nullptr ? std::nullopt : ParseInt(text);
  return kills ? static_cast<int>(*kills) : 10;
}

class ParameterServerProcessTest : public ::testing::Test {
 protected:
  void Start() {
    auto server =
        testing::StartServer(MEGALITH_PARAMETER_SERVER_BINARY, directory_.path(),
                             {"--data_dir=" + JoinPath(directory_.path(), "data"), "--log=true",
                              "--log_segment_bytes=65536", "--log_level=error",
                              "--checkpoint_dir=" + JoinPath(directory_.path(), "model"),
                              "--checkpoint_interval_s=1", "--checkpoint_whole_every=4"});
    ASSERT_TRUE(server.ok()) << server.status().ToString();
    server_ = *std::move(server);
    handle_ = *registry_.Register({.service = "ps_0", .address = server_.address});
  }
  void Kill() {
    server_.process->Signal(SIGKILL);
    EXPECT_EQ(server_.process->Wait(std::chrono::seconds(20)), 128 + SIGKILL);
  }
  std::unique_ptr<ShardedTableClient> Client() {
    return *ShardedTableClient::Discover(registry_, "ps", 1, {},
                                         {.timeout = std::chrono::minutes(5),
                                          .attempt_timeout = std::chrono::seconds(10),
                                          .retry = {.max_attempts = 1'000'000,
                                                    .initial_backoff = std::chrono::milliseconds(1),
                                                    .max_backoff = std::chrono::milliseconds(20)}});
  }
  static Status Add(ShardedTableClient& client, const std::vector<Fid>& ids) {
    const std::vector<float> gradients(ids.size(), -1);
    const embedding::TableGradients batch{
        .table = "t", .ids = ids, .gradients = gradients, .learning_rates = {}};
    return client.Apply({&batch, 1}, {}, kForever).status();
  }
  // How many ids do not read `wanted`.
  static int Wrong(ShardedTableClient& client, const std::vector<Fid>& ids, float wanted) {
    std::vector<float> rows(ids.size());
    const embedding::RowsWanted batch{.table = "t", .ids = ids, .rows = rows};
    const Status status = client.Lookup({&batch, 1}, kForever).status();
    EXPECT_TRUE(status.ok()) << status.ToString();
    int wrong = 0;
    for (const float value : rows) wrong += value == wanted ? 0 : 1;
    return wrong;
  }

  int64_t Checkpoints(const std::string& kind) const {
    const auto listing = RealFileSystem().List(JoinPath(directory_.path(), "model"));
    if (!listing.ok()) return 0;
    return std::count_if(listing->begin(), listing->end(), [&](const FileInfo& file) {
      return file.name.find(kind) != std::string::npos;
    });
  }

  TempDirectory directory_;
  discovery::MemoryRegistry registry_;
  ServerProcess server_;
  std::unique_ptr<discovery::Handle> handle_;
};

TEST_F(ParameterServerProcessTest, NoAcknowledgedUpdateIsLostAndNoneIsAppliedTwice) {
  const uint64_t seed = EntropySeed();
  std::cout << "seed " << seed << "\n";
  Rng rng(seed);
  ASSERT_NO_FATAL_FAILURE(Start());
  table::v1::CreateTableRequest create;
  create.set_name("t");
  table::v1::Segment* segment = create.mutable_config()->add_segments();
  segment->set_dim(1);
  segment->mutable_optimizer()->set_name("sgd");
  (*segment->mutable_optimizer()->mutable_fields())["learning_rate"] = 1;
  ASSERT_TRUE(Client()->CreateTable(create, kForever).ok());

  std::atomic<bool> stop{false};
  std::atomic<Fid> next{kFirstSingle};
  std::atomic<int64_t> counts[kThreads] = {};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      const auto client = Client();
      while (!stop) {
        const Fid single = next.fetch_add(2);
        const Status status = Add(*client, {t, single, single + 1});
        // The client goes on trying: a killed server is back before its patience ends.
        EXPECT_TRUE(status.ok()) << status.ToString();
        if (!status.ok()) return;
        ++counts[t];
      }
    });
  }
  const int kills = Kills();
  for (int round = 0; round < kills; ++round) {
    // Now and then long enough for deltas to follow a checkpoint.
    std::this_thread::sleep_for(
        std::chrono::microseconds(rng.Below(round % 8 == 5 ? 4'000'000 : 300'000)));
    Kill();
    Start();
    if (HasFatalFailure()) break;
  }
  stop = true;
  for (std::thread& t : threads) t.join();
  ASSERT_FALSE(HasFatalFailure());

  // As it is, and once more as the log has it.
  for (int look = 0; look < 2; ++look) {
    const auto client = Client();
    std::vector<Fid> singles;
    for (Fid id = kFirstSingle; id < next; ++id) singles.push_back(id);
    EXPECT_EQ(Wrong(*client, singles, 1), 0) << "of " << singles.size();
    for (int t = 0; t < kThreads; ++t) {
      EXPECT_EQ(Wrong(*client, {t}, static_cast<float>(counts[t].load())), 0) << t;
    }
    Kill();
    ASSERT_NO_FATAL_FAILURE(Start());
  }
  std::cout << kills << " kills, " << (next - kFirstSingle) / 2 << " updates, "
            << Checkpoints(".assets") << " checkpoints and " << Checkpoints(".delta-")
            << " deltas are left\n";
}

TEST_F(ParameterServerProcessTest, ALogThatWouldNotOutliveTheProcessIsRefused) {
  auto process = testing::ChildProcess::Start(MEGALITH_PARAMETER_SERVER_BINARY,
                                              {"--log=true", "--log_level=error"});
  ASSERT_TRUE(process.ok()) << process.status().ToString();
  EXPECT_EQ((*process)->Wait(std::chrono::seconds(60)), 1);
}

}  // namespace
}  // namespace megalith

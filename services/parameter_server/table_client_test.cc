// The sharding client against real services, with answers that get lost.
#include "common/fleet/stubs/table_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "services/parameter_server/table_service.h"
#include "tests/support/service_host.h"

namespace megalith::services {
namespace {

namespace v1 = table::v1;
using embedding::Fid;
using stubs::ShardedTableClient;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

const Cancellation kForever;

// What goes wrong with a server, decided by the test.
struct Faults {
  std::atomic<int> lose_answers{0};  // so many updates are applied, but nobody is told
  std::atomic<int> lose_every{0};    // one in so many, if above 0
  std::atomic<int> updates{0};
  std::atomic<bool> hang_lookups{false};
  std::atomic<int> lookups{0};
};

// The real service behind a network that fails.
class FaultyTables final : public rpc::Service {
 public:
  FaultyTables(std::unique_ptr<TableService> tables, Faults& faults)
      : Service("megalith.table.v1.TableService", {}), tables_(std::move(tables)), faults_(faults) {
    Unary("CreateTable", this, &FaultyTables::CreateTable);
    Unary("Lookup", this, &FaultyTables::Lookup);
    Unary("Apply", this, &FaultyTables::Apply);
    Unary("Stats", this, &FaultyTables::Stats);
  }
  Result<v1::CreateTableResponse> CreateTable(const v1::CreateTableRequest& request,
                                              const rpc::Call& call) {
    return tables_->CreateTable(request, call);
  }
  Result<v1::LookupResponse> Lookup(const v1::LookupRequest& request, const rpc::Call& call) {
    ++faults_.lookups;
    while (faults_.hang_lookups) {
      RETURN_IF_ERROR(call.Check());
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return tables_->Lookup(request, call);
  }
  Result<v1::ApplyResponse> Apply(const v1::ApplyRequest& request, const rpc::Call& call) {
    ASSIGN_OR_RETURN(v1::ApplyResponse response, tables_->Apply(request, call));
    const int every = faults_.lose_every;
    const bool lost = every > 0 && faults_.updates.fetch_add(1) % every == 0;
    if (lost || faults_.lose_answers.fetch_sub(1) > 0) return Unavailable("the answer was lost");
    return response;
  }
  Result<v1::StatsResponse> Stats(const v1::StatsRequest& request, const rpc::Call& call) {
    return tables_->Stats(request, call);
  }

 private:
  const std::unique_ptr<TableService> tables_;
  Faults& faults_;
};

class TableClientTest : public ::testing::Test {
 protected:
  static constexpr int kShards = 3;

  void StartShard(int i, int shards = kShards) {
    ParameterServerConfig config;
    config.shards = shards;
    config.shard = i;
    hosts_[i].Start([&, this](ServiceContext& context) -> Result<ServiceList> {
      ASSIGN_OR_RETURN(auto tables, TableService::Make(config, context));
      ServiceList list;
      list.push_back(std::make_unique<FaultyTables>(std::move(tables), faults_[i]));
      return list;
    });
  }
  void Start(stubs::TableClientOptions options = {}) {
    std::vector<stubs::TableShard> shards;
    for (int i = 0; i < kShards; ++i) {
      StartShard(i);
      shards.push_back({.primary = hosts_[i].channel(), .replica = nullptr});
    }
    client_ = *ShardedTableClient::Make(std::move(shards), std::move(options));
    Create(*client_, "t", 2);
  }
  static void Create(ShardedTableClient& client, const std::string& name, int64_t dim) {
    v1::CreateTableRequest request;
    request.set_name(name);
    v1::Segment* segment = request.mutable_config()->add_segments();
    segment->set_dim(dim);
    (*segment->mutable_optimizer()->mutable_fields())["learning_rate"] = 1;
    segment->mutable_optimizer()->set_name("sgd");
    const Status status = client.CreateTable(request, kForever);
    ASSERT_TRUE(status.ok()) << status.ToString();
  }
  // Ids and rows of table "t".
  Result<int64_t> Lookup(const std::vector<Fid>& ids, std::vector<float>* rows) {
    rows->assign(ids.size() * 2, -1);
    const embedding::RowsWanted wanted{.table = "t", .ids = ids, .rows = *rows};
    return client_->Lookup({&wanted, 1}, kForever);
  }
  Result<std::vector<embedding::WriteReport>> Apply(const std::vector<Fid>& ids,
                                                    const std::vector<float>& gradients,
                                                    const embedding::ApplyOptions& options = {}) {
    const embedding::TableGradients batch{
        .table = "t", .ids = ids, .gradients = gradients, .learning_rates = {}};
    return client_->Apply({&batch, 1}, options, kForever);
  }

  discovery::MemoryRegistry registry_;
  testing::ServiceHost hosts_[kShards];
  Faults faults_[kShards];
  std::unique_ptr<ShardedTableClient> client_;
};

TEST_F(TableClientTest, RowsOfThreeShardsComeBackInTheOrderOfTheIds) {
  Start();
  Create(*client_, "u", 1);
  Rng rng(7);
  std::vector<Fid> ids;
  std::vector<float> gradients;
  for (int i = 0; i < 1000; ++i) {
    ids.push_back(static_cast<Fid>(rng.Below(200)));
    gradients.push_back(static_cast<float>(ids.back()));
    gradients.push_back(1);
  }
  std::vector<float> ones(ids.size(), 1);
  const embedding::TableGradients batches[] = {
      {.table = "t", .ids = ids, .gradients = gradients, .learning_rates = {}},
      {.table = "u", .ids = ids, .gradients = ones, .learning_rates = {}}};
  const auto reports = client_->Apply(batches, {}, kForever);
  ASSERT_TRUE(reports.ok()) << reports.status().ToString();
  std::map<Fid, int> counts;
  for (const Fid id : ids) ++counts[id];
  EXPECT_EQ((*reports)[0].applied, static_cast<int64_t>(counts.size()));
  EXPECT_EQ((*reports)[1].created, static_cast<int64_t>(counts.size()));

  std::vector<float> t(ids.size() * 2);
  std::vector<float> u(ids.size());
  const embedding::RowsWanted wanted[] = {{.table = "u", .ids = ids, .rows = u},
                                          {.table = "t", .ids = ids, .rows = t}};
  const auto hits = client_->Lookup(wanted, kForever);
  ASSERT_TRUE(hits.ok()) << hits.status().ToString();
  EXPECT_EQ(*hits, static_cast<int64_t>(2 * counts.size()));
  for (size_t i = 0; i < ids.size(); ++i) {
    const auto n = static_cast<float>(counts[ids[i]]);
    EXPECT_EQ(u[i], -n);
    EXPECT_EQ(t[2 * i], -n * static_cast<float>(ids[i]));
    EXPECT_EQ(t[2 * i + 1], -n);
  }
  const auto stats = client_->Stats(kForever);
  ASSERT_TRUE(stats.ok());
  for (const v1::StatsResponse& shard : *stats) EXPECT_GT(shard.tables(0).rows(), 60u);
}

TEST_F(TableClientTest, AnAnswerThatIsLostDoesNotApplyTwice) {
  Start({.retry = {.max_attempts = 100, .initial_backoff = std::chrono::milliseconds(1)}});
  for (Faults& faults : faults_) faults.lose_answers = 3;
  ASSERT_TRUE(Apply({0, 1, 2}, {1, 1, 1, 1, 1, 1}).ok());
  std::vector<float> rows;
  ASSERT_TRUE(Lookup({0, 1, 2}, &rows).ok());
  EXPECT_THAT(rows, Each(-1));
}

TEST_F(TableClientTest, ManyThreadsWithAnswersThatGetLostApplyEverythingOnce) {
  Start({.retry = {.max_attempts = 100, .initial_backoff = std::chrono::milliseconds(1)}});
  for (Faults& faults : faults_) faults.lose_every = 3;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([this] {
      for (int i = 0; i < 50; ++i) EXPECT_TRUE(Apply({0, 1, 2}, {1, 1, 1, 1, 1, 1}).ok());
    });
  }
  for (std::thread& t : threads) t.join();
  std::vector<float> rows;
  ASSERT_TRUE(Lookup({0, 1, 2}, &rows).ok());
  EXPECT_THAT(rows, Each(-200));
}

TEST_F(TableClientTest, AFailedUpdateIsSentAgainAsTheSame) {
  Start({.retry = {.max_attempts = 1}});
  embedding::UpdateTicket ticket;
  faults_[1].lose_answers = 1;
  const auto failed = Apply({0, 1, 2}, {1, 1, 1, 1, 1, 1}, {.ticket = &ticket});
  EXPECT_EQ(failed.status().code(), Code::kUnavailable);
  EXPECT_THAT(failed.status().message(), StartsWith("shard 1"));
  ASSERT_TRUE(Apply({0, 1, 2}, {1, 1, 1, 1, 1, 1}, {.ticket = &ticket}).ok());
  std::vector<float> rows;
  ASSERT_TRUE(Lookup({0, 1, 2}, &rows).ok());
  EXPECT_THAT(rows, Each(-1));
}

TEST_F(TableClientTest, AReplicaAnswersForAServerThatHangs) {
  StartShard(0, 1);
  hosts_[1].Start([](ServiceContext& context) { return MakeParameterServer({}, context); });
  std::vector<stubs::TableShard> shards = {
      {.primary = hosts_[0].channel(), .replica = hosts_[1].channel()}};
  client_ = *ShardedTableClient::Make(shards, {.first_hedge_delay = std::chrono::milliseconds(5)});
  Create(*client_, "t", 2);
  auto replica =
      *ShardedTableClient::Make({{.primary = hosts_[1].channel(), .replica = nullptr}}, {});
  Create(*replica, "t", 2);
  const std::vector<Fid> ids = {4};
  const std::vector<float> gradients = {1, 2};
  const embedding::TableGradients batch{
      .table = "t", .ids = ids, .gradients = gradients, .learning_rates = {}};
  ASSERT_TRUE(replica->Apply({&batch, 1}, {}, kForever).ok());
  faults_[0].hang_lookups = true;
  std::vector<float> rows;
  const auto hits = Lookup({4}, &rows);
  ASSERT_TRUE(hits.ok()) << hits.status().ToString();
  EXPECT_THAT(rows, ElementsAre(-1, -2));
  EXPECT_EQ(client_->hedges_won(), 1u);
  faults_[0].hang_lookups = false;
}

TEST_F(TableClientTest, AnAttemptThatHangsIsMadeAgain) {
  Start({.attempt_timeout = std::chrono::milliseconds(100)});
  faults_[2].hang_lookups = true;
  std::thread mend([this] {
    while (faults_[2].lookups < 2) std::this_thread::yield();
    faults_[2].hang_lookups = false;
  });
  std::vector<float> rows;
  EXPECT_TRUE(Lookup({0, 1, 2}, &rows).ok());
  mend.join();
}

TEST_F(TableClientTest, ACallerThatCancelsGetsAnAnswer) {
  Start();
  faults_[0].hang_lookups = true;
  Cancellation cancellation;
  std::thread cancel([&] {
    while (faults_[0].lookups < 1) std::this_thread::yield();
    cancellation.Cancel();
  });
  std::vector<float> rows(2);
  const std::vector<Fid> ids = {0};
  const embedding::RowsWanted wanted{.table = "t", .ids = ids, .rows = rows};
  EXPECT_EQ(client_->Lookup({&wanted, 1}, cancellation).status().code(), Code::kCancelled);
  cancel.join();
  faults_[0].hang_lookups = false;
}

TEST_F(TableClientTest, AServerThatMovesIsFoundAgain) {
  hosts_[0].config().listen = {"127.0.0.1:0"};
  StartShard(0, 1);
  auto handle =
      *registry_.Register({.service = "tables_0", .address = hosts_[0].server().addresses()[0]});
  client_ = *ShardedTableClient::Discover(registry_, "tables", 1, {}, {});
  Create(*client_, "t", 2);
  hosts_[0].Stop();
  hosts_[1].config().listen = {"127.0.0.1:0"};
  hosts_[1].Start([](ServiceContext& context) { return MakeParameterServer({}, context); });
  std::thread move([&] {
    handle =
        *registry_.Register({.service = "tables_0", .address = hosts_[1].server().addresses()[0]});
  });
  Create(*client_, "t", 2);
  EXPECT_TRUE(Apply({1}, {1, 1}).ok());
  move.join();
}

TEST_F(TableClientTest, SizesAreChecked) {
  Start();
  std::vector<float> rows(3);
  const std::vector<Fid> ids = {0, 1};
  embedding::RowsWanted wanted{.table = "t", .ids = ids, .rows = rows};
  EXPECT_EQ(client_->Lookup({&wanted, 1}, kForever).status().code(), Code::kInvalidArgument);
  rows.resize(6);
  wanted.rows = rows;
  EXPECT_THAT(client_->Lookup({&wanted, 1}, kForever).status().message(), HasSubstr("of dim 2"));
  wanted = {.table = "x", .ids = ids, .rows = rows};
  EXPECT_EQ(client_->Lookup({&wanted, 1}, kForever).status().code(), Code::kNotFound);
  EXPECT_EQ(Apply({0}, {1, 1, 1}).status().code(), Code::kInvalidArgument);
  EXPECT_EQ(ShardedTableClient::Make({}, {}).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::services

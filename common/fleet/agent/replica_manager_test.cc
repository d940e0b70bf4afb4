#include "common/fleet/agent/replica_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;

constexpr int32_t kSetRequest = 5;

// Answers what a test sets; a model that is not set is unreachable.
class FakeServing final : public ModelStatusSource {
 public:
  Result<std::vector<ModelVersion>> GetModelStatus(const std::string&,
                                                   const std::string& model) override {
    const auto at = models.find(model);
    if (at == models.end()) return Unavailable("nobody listens");
    return at->second;
  }
  std::map<std::string, std::vector<ModelVersion>> models;
};

class ReplicaManagerTest : public testing::ZooKeeperTest {
 protected:
  ReplicaManagerTest() {
    config_.bzid = "b";
    config_.base_name = "m";
    config_.deploy_type = DeployType::kPs;
    config_.num_ps = 4;
    config_.num_shard = 2;
    config_.shard_id = 1;
    config_.replica_id = 7;
    config_.host_ip = "127.0.0.1";
    config_.host_ipv6 = "::1";
    config_.ps = {.archon = 7107, .grpc = 7105, .http = 7106};
    config_.entry = {.archon = 7207, .grpc = 7205, .http = 7206};
  }
  ReplicaManager& Make() {
    if (client_ == nullptr) client_ = Connect();
    manager_ = *ReplicaManager::Make(config_, *client_, serving_);
    EXPECT_TRUE(manager_->Register().ok());
    return *manager_;
  }
  int64_t Stat(const std::string& path) {
    const auto data = server_.Data(path);
    return data ? discovery::ReadRecord<discovery::ReplicaMeta>(*data)->stat : -1;
  }
  AgentConfig config_;
  FakeServing serving_;
  std::unique_ptr<discovery::ZkClient> client_;
  std::unique_ptr<ReplicaManager> manager_;
};

TEST_F(ReplicaManagerTest, RegistersItsShardsByteForByte) {
  Make();
  EXPECT_THAT(server_.Children("/b/service/m"), ElementsAre("ps:1", "ps:3"));
  EXPECT_EQ(server_.Data("/b/service/m/ps:1/7"),
            R"({"address": "127.0.0.1:7105", "address_ipv6": "[::1]:7105", "stat": 0, )"
            R"("model_name": null, "server_type": null, "task": -1, "replica": -1, )"
            R"("archon_address": "127.0.0.1:7107", "archon_address_ipv6": "[::1]:7107"})");
  EXPECT_EQ(server_.Owner("/b/service/m/ps:1/7"), client_->session_id());
  manager_.reset();
  EXPECT_THAT(server_.Children("/b/service/m/ps:1"), ElementsAre());
}

TEST_F(ReplicaManagerTest, StatesFollowTheModelServersAndOnlyChangesAreWritten) {
  ReplicaManager& manager = Make();
  serving_.models["ps_1"] = {{.version = 1, .state = 30}};
  serving_.models["ps_3"] = {{.version = 2, .state = 20}};
  manager.Tick();
  EXPECT_EQ(Stat("/b/service/m/ps:1/7"), 30);
  EXPECT_EQ(Stat("/b/service/m/ps:3/7"), 20);
  const uint64_t writes = server_.requests(kSetRequest);
  manager.Tick();
  EXPECT_EQ(server_.requests(kSetRequest), writes);
  serving_.models.erase("ps_1");
  manager.Tick();
  EXPECT_EQ(Stat("/b/service/m/ps:1/7"), 0);
  Eventually([&] { return manager.table().HeartBeat("ps").size() == 2; });
}

// D9.
TEST_F(ReplicaManagerTest, ModelInErrorKeepsItsStateAndDoesNotHoldUpOthers) {
  ReplicaManager& manager = Make();
  serving_.models["ps_1"] = {{.version = 1, .state = 30}};
  manager.Tick();
  serving_.models["ps_1"] = {{.version = 1, .state = 50, .error_code = 3, .error = "broken"}};
  serving_.models["ps_3"] = {{.version = 1, .state = 30}};
  manager.Tick();
  EXPECT_EQ(Stat("/b/service/m/ps:1/7"), 30);
  EXPECT_EQ(Stat("/b/service/m/ps:3/7"), 30);
}

// D1.
TEST_F(ReplicaManagerTest, LostSessionKeepsTheKnownState) {
  ReplicaManager& manager = Make();
  serving_.models["ps_1"] = {{.version = 1, .state = 30}};
  manager.Tick();
  const int64_t before = *server_.Owner("/b/service/m/ps:1/7");
  server_.ExpireSessions();
  Eventually([&] {
    const auto owner = server_.Owner("/b/service/m/ps:1/7");
    return owner && *owner != before;
  });
  EXPECT_EQ(Stat("/b/service/m/ps:1/7"), 30);
  Eventually([&] { return manager.table().Replicas("ps", 1).size() == 1; });
}

TEST_F(ReplicaManagerTest, EntryWithoutAnIdTakesItFromItsNode) {
  config_.deploy_type = DeployType::kMixed;
  config_.num_shard = 1;
  config_.shard_id = 0;
  config_.num_ps = 1;
  config_.replica_id = -1;
  Make();
  EXPECT_TRUE(server_.Data("/b/service/m/entry:0/00000000000"));
  EXPECT_TRUE(server_.Data("/b/service/m/ps:0/0"));
}

// D7: the servers of a dense container do not share a node.
TEST_F(ReplicaManagerTest, EachDenseServerHasItsOwnReplica) {
  config_.deploy_type = DeployType::kDense;
  config_.dense_alone = true;
  config_.dense = {.archon = 1, .grpc = 2, .http = 3};
  config_.more_dense = {{.archon = 4, .grpc = 5, .http = 6}};
  ReplicaManager& manager = Make();
  EXPECT_THAT(server_.Children("/b/service/m/dense:0"), ElementsAre("14", "15"));
  EXPECT_THAT(*server_.Data("/b/service/m/dense:0/15"), HasSubstr("\"127.0.0.1:5\""));
  serving_.models["dense_0"] = {{.version = 1, .state = 30}};
  manager.Tick();
  Eventually([&] { return manager.table().Replicas("dense", 0).size() == 2; });
  config_.replica_id = -1;
  EXPECT_EQ(ReplicaIdOf(config_, "dense.1"), 1);
  config_.replica_id = INT64_MAX;
  EXPECT_EQ(ReplicaIdOf(config_, "dense.1"), 1);
}

// D6: allowed, as the reference does.
TEST_F(ReplicaManagerTest, PsWithoutAnIdIsCalledMinusOne) {
  config_.replica_id = -1;
  Make();
  EXPECT_TRUE(server_.Data("/b/service/m/ps:1/-1"));
}

TEST_F(ReplicaManagerTest, DcAwareAgentsRegisterBelowTheirLocation) {
  config_.dc_aware = true;
  config_.idc = "lf";
  client_ = Connect();
  EXPECT_EQ(ReplicaManager::Make(config_, *client_, serving_).status().code(),
            Code::kFailedPrecondition);
  config_.cluster = "default";
  ReplicaManager& manager = Make();
  EXPECT_TRUE(server_.Data("/b/service/m/lf:default/ps:1/7"));
  serving_.models["ps_1"] = {{.version = 1, .state = 30}};
  manager.Tick();
  Eventually([&] { return manager.table().Available("ps", 1); });
}

TEST_F(ReplicaManagerTest, NamesThatNoPathAdmitsAreErrors) {
  client_ = Connect();
  config_.base_name = "my.model";
  EXPECT_THAT(ReplicaManager::Make(config_, *client_, serving_).status().ToString(),
              HasSubstr("base_name"));
}

TEST_F(ReplicaManagerTest, RegistersWhenZooKeeperComesLate) {
  server_.SetReachable(false);
  client_ = *discovery::ZkClient::Open({.servers = server_.address()});
  Make();
  serving_.models["ps_1"] = {{.version = 1, .state = 30}};
  manager_->Tick();
  server_.SetReachable(true);
  Eventually([&] { return Stat("/b/service/m/ps:1/7") == 30; });
}

TEST(ChooseVersionTest, HighestAvailableElseHighest) {
  const auto choose = [](const std::vector<ModelVersion>& v) { return ChooseVersion(v)->version; };
  EXPECT_EQ(ChooseVersion({}), nullptr);
  EXPECT_EQ(choose({{1, 30}, {3, 20}, {2, 30}}), 2);
  EXPECT_EQ(choose({{1, 50}, {3, 20}}), 3);
}

}  // namespace
}  // namespace megalith::agent

#include <gmock/gmock.h>

#include "common/fleet/agent/replica_table.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"
#include "services/agent/agent_service.h"
#include "tests/support/cli_fixture.h"

namespace megalith::cli {
namespace {

using ::testing::HasSubstr;

class AgentCommandsTest : public CliTest {
 protected:
  AgentCommandsTest() { with_data_ = false; }
  int OnTree(std::vector<std::string> words) {
    words.push_back(StrCat("--zookeeper=", zookeeper_.address()));
    words.push_back("--bzid=b");
    return Run(words);
  }
  void Put(const std::string& replica, const std::string& address, int64_t stat) {
    zookeeper_.Put(StrCat("/b/service/m/", replica), discovery::WriteRecord(discovery::ReplicaMeta{
                                                         .address = address, .stat = stat}));
  }
  testing::ZooKeeperServer zookeeper_;
};

TEST_F(AgentCommandsTest, ReplicasAreATableOrJson) {
  Put("ps:0/1", "a:1", 30);
  Put("lf:default/entry:0/00000000007", "b:1", 20);
  zookeeper_.Put("/b/service/m/ps:0/2", "damaged");
  ASSERT_EQ(OnTree({"agent", "replicas"}), 0) << Err();
  EXPECT_EQ(Out(),
            "model  task                replica      state      address\n"
            "m      lf:default/entry:0  00000000007  LOADING    b:1\n"
            "m      ps:0                1            AVAILABLE  a:1\n"
            "m      ps:0                2            damaged    -\n");
  ASSERT_EQ(OnTree({"agent", "replicas", "m", "--json"}), 0);
  EXPECT_EQ(OutJson()[1]["path"], "/b/service/m/ps:0/1");
  EXPECT_EQ(OutJson()[1]["state"], "AVAILABLE");
  EXPECT_EQ(OnTree({"agent", "replicas", "none"}), 4);
}

TEST_F(AgentCommandsTest, ModelsArePlacedAndListed) {
  zookeeper_.Put("/b/saved_models/m/entry", "{}");
  zookeeper_.Put("/b/saved_models/m/ps_0", "{}");
  zookeeper_.Put("/b/binding/m/ps_0:c;lf;d:pod", "");
  ASSERT_EQ(OnTree({"agent", "publish", "m:ps_*", "--layout=l"}), 0) << Err();
  EXPECT_EQ(Out(), "m:ps_0\n");
  ASSERT_EQ(OnTree({"agent", "models"}), 0);
  EXPECT_EQ(Out(),
            "model  sub graph  served by  layouts\n"
            "m      entry      0          -\n"
            "m      ps_0       1          l\n");
  ASSERT_EQ(OnTree({"agent", "models", "--json"}), 0);
  EXPECT_EQ(OutJson()["layout_info"]["l"][0], "m:ps_0");
  ASSERT_EQ(OnTree({"agent", "unpublish", "m:*", "--layout=l"}), 0);
  EXPECT_EQ(zookeeper_.Children("/b/layouts/l").size(), 0U);
  EXPECT_EQ(OnTree({"agent", "publish", "x:*", "--layout=l"}), 4);
  EXPECT_EQ(OnTree({"agent", "publish", "m:*"}), 3);
}

TEST_F(AgentCommandsTest, AgentsAreAsked) {
  agent::ReplicaTable table({});
  discovery::Tree tree;
  tree.nodes["ps:0"] = std::make_shared<discovery::ZkNode>();
  tree.nodes["ps:0/1"] = std::make_shared<discovery::ZkNode>(discovery::ZkNode{
      .data = discovery::WriteRecord(discovery::ReplicaMeta{.address = "a:1", .stat = 30})});
  table.Update(tree);
  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Service>> list;
  list.push_back(std::make_unique<services::AgentService>(table, nullptr, rpc::ServiceThreads()));
  const auto server = *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(list), metrics);
  const std::string address = StrCat("--address=", server->addresses()[0]);
  ASSERT_EQ(Run({"agent", "heartbeat", address}), 0) << Err();
  EXPECT_EQ(Out(), "task  replicas  addresses\nps:0  1         a:1\n");
  ASSERT_EQ(Run({"agent", "heartbeat", address, "--type=entry", "--json"}), 0);
  EXPECT_EQ(Out(), "{}\n");
  EXPECT_EQ(Run({"agent", "resource", address}), 0);
  EXPECT_EQ(Run({"agent", "heartbeat"}), 3);
}

TEST_F(AgentCommandsTest, FleetsAreFoundByName) {
  Put("ps:0/1", "127.0.0.1:1", 20);
  const std::string discovery = StrCat("--discovery=zk://", zookeeper_.address());
  EXPECT_EQ(Run({"services", "--address=megalith:///trace", discovery}), 5);
  EXPECT_THAT(Err(), HasSubstr("no replica of 'trace' is registered"));
  const std::string task = StrCat("zk://", zookeeper_.address(), "/b/service/m/ps");
  EXPECT_EQ(Run({"table", "ls", StrCat("--address=", task)}), 5);
  EXPECT_THAT(Err(), HasSubstr("no replica of 'ps:0' is registered"));
  EXPECT_EQ(Run({"table", "ls", "--address=zk:///x", discovery, "--timeout_ms=100"}), 5);
}

TEST_F(AgentCommandsTest, MissingPlacesAreNamed) {
  EXPECT_EQ(Run({"agent", "models", "--bzid=b"}), 3);
  EXPECT_THAT(Err(), HasSubstr("--zookeeper"));
  EXPECT_EQ(Run({"agent", "models", StrCat("--zookeeper=", zookeeper_.address())}), 3);
  EXPECT_THAT(Err(), HasSubstr("--bzid"));
}

}  // namespace
}  // namespace megalith::cli

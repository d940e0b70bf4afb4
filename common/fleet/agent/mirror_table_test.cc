#include "common/fleet/agent/mirror_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace megalith::agent {
namespace {

using discovery::PublishMeta;
using discovery::ReplicaMeta;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MirrorTableTest : public ::testing::Test {
 protected:
  void Put(const std::string& path, const std::string& data) {
    discovery::ZkNode node;
    node.data = data;
    tree_.nodes[path] = std::make_shared<const discovery::ZkNode>(std::move(node));
  }
  OnDamaged Collect() {
    return [this](const std::string& path, const Status&) { damaged_.push_back(path); };
  }
  discovery::Tree tree_;
  std::vector<std::string> damaged_;
};

TEST_F(MirrorTableTest, ServicesAreReadByTheGrammarOfPaths) {
  Put("m", "");
  Put("m/ps:1", "");
  Put("m/ps:1/7", discovery::WriteRecord(ReplicaMeta{.address = "a:1", .stat = 30}));
  Put("m/ps:1/8", "no json");
  Put("m/ps:1/x", "{}");
  Put("m/lf:default/ps:1", "");
  const auto services = ReadServices(tree_, Collect());
  ASSERT_EQ(services.size(), 1u);
  EXPECT_EQ(services[0].model, "m");
  EXPECT_EQ(services[0].server_type, "ps");
  EXPECT_EQ(services[0].task, 1);
  EXPECT_THAT(damaged_, ElementsAre("m/ps:1/8"));
}

TEST_F(MirrorTableTest, PublishesMustBelongToTheirNode) {
  PublishMeta publish{.shard_id = 2, .replica_id = 3, .model_name = "m"};
  EXPECT_EQ(PublishName(publish), "2:3:m");
  Put("2:3:m", discovery::WriteRecord(publish));
  Put("2:4:m", discovery::WriteRecord(publish));
  Put("2:5:m", "");
  EXPECT_THAT(ReadPublishes(tree_, Collect()), ElementsAre(publish));
  EXPECT_THAT(damaged_, ElementsAre("2:4:m", "2:5:m"));
  EXPECT_EQ(ModelOfPublish("2:4:m"), "m");
  EXPECT_EQ(ModelOfPublish("m"), "");
}

TEST_F(MirrorTableTest, ContainerHasLoadedWhatItServesAllPartsOf) {
  const auto resource = [](int64_t shard) {
    return discovery::WriteRecord(discovery::ResourceSpec{
        .address = "h:1", .shard_id = shard, .replica_id = 0, .memory = 100});
  };
  Put("0:0", resource(0));
  Put("1:0", resource(1));
  Put("x", resource(2));
  Put("2:0", "{");
  PublishMeta a{.shard_id = 0, .replica_id = 0, .model_name = "m"};
  a.sub_models = {{"ps_0", "/p"}, {"entry", "/e"}};
  PublishMeta b = a;
  b.shard_id = 1;
  b.sub_models = {{"ps_1", "/p"}, {"entry", "/e"}};
  const auto served = [](const std::string& type, int64_t task, int64_t stat) {
    return ServedReplica{.model = "m",
                         .server_type = type,
                         .task = task,
                         .meta = ReplicaMeta{.address = "h:2", .stat = stat, .replica = 0}};
  };
  const auto replicas = ReadResources(
      tree_, {a, b}, {served("ps", 0, 30), served("entry", 0, 30), served("ps", 1, 20)}, Collect());
  ASSERT_EQ(replicas.size(), 2u);
  EXPECT_THAT(replicas[0].loaded, ElementsAre("m"));
  EXPECT_EQ(replicas[0].memory, 100);
  EXPECT_THAT(replicas[1].loaded, IsEmpty());
  EXPECT_THAT(damaged_, ElementsAre("2:0", "x"));
}

TEST_F(MirrorTableTest, LowestSequenceLeads) {
  EXPECT_EQ(LeaderOf(tree_), "");
  Put("ffff__lock__0000000002", "b");
  Put("aaaa__lock__0000000010", "a");
  Put("other", "");
  EXPECT_EQ(LeaderOf(tree_), "ffff__lock__0000000002");
}

TEST(TaskOfTest, NumberIsTheTask) {
  EXPECT_EQ(TaskOf("ps_3"), std::pair(std::string("ps"), int64_t{3}));
  EXPECT_EQ(TaskOf("entry"), std::pair(std::string("entry"), int64_t{0}));
  EXPECT_EQ(TaskOf("dense_x"), std::pair(std::string("dense_x"), int64_t{0}));
}

}  // namespace
}  // namespace megalith::agent

#include "common/fleet/agent/mirror_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using discovery::PublishMeta;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::UnorderedElementsAre;

// A model server that has what it was told to load.
class FakeControl final : public ModelControl {
 public:
  Result<std::vector<ModelVersion>> GetModelStatus(const std::string& type,
                                                   const std::string& model) override {
    for (const ModelEntry& entry : loaded[type]) {
      if (entry.name != model) continue;
      return std::vector<ModelVersion>{{.version = entry.versions[0], .state = 30}};
    }
    return NotFound("no such model");
  }
  Status Reload(const std::string& type, const std::vector<ModelEntry>& models) override {
    ++reloads;
    loaded[type] = models;
    return OkStatus();
  }
  std::vector<std::string> Names(const std::string& type) {
    std::vector<std::string> out;
    for (const ModelEntry& entry : loaded[type]) out.push_back(entry.name);
    return out;
  }
  std::map<std::string, std::vector<ModelEntry>> loaded;
  int reloads = 0;
};

// A container: a client, a model server and a manager.
struct Container {
  std::unique_ptr<discovery::ZkClient> client;
  FakeControl control;
  std::unique_ptr<MirrorManager> manager;
};

class MirrorManagerTest : public testing::ZooKeeperTest {
 protected:
  std::unique_ptr<Container> Start(int64_t shard, int64_t replica,
                                   DeployType type = DeployType::kMixed) {
    AgentConfig config;
    config.bzid = "b";
    config.agent_version = 2;
    config.deploy_type = type;
    config.shard_id = shard;
    config.replica_id = replica;
    config.local_ip = config.host_ip = StrCat("10.0.", std::max<int64_t>(shard, 0), ".", replica);
    config.host_ipv6 = "::";
    config.agent_port = 1;
    config.ps.grpc = 2;
    config.entry.grpc = 3;
    MirrorManagerOptions options;
    options.available_memory = [] { return 1000; };
    options.describe = [this](const discovery::ModelMeta& meta) {
      return Result<std::vector<SubModel>>(parts_[meta.model_name.value_or("")]);
    };
    auto out = std::make_unique<Container>();
    out->client = Connect();
    out->manager = *MirrorManager::Make(config, std::move(options), *out->client, out->control);
    return out;
  }
  void Load(const std::string& model, int64_t num_ps) {
    auto& parts = parts_[model];
    for (int64_t k = 0; k < num_ps; ++k) {
      parts.push_back({StrCat("ps_", k), 10, StrCat("/m/ps_", k, "/5")});
    }
    parts.push_back({"entry", 1, "/m/entry/5"});
    server_.Put(StrCat("/b/portal/", model),
                discovery::WriteRecord(discovery::ModelMeta{.model_name = model, .num_shard = 2}));
  }
  // Rounds of all containers until the condition holds.
  void Until(const std::vector<Container*>& containers, const std::function<bool()>& condition) {
    Eventually([&] {
      for (Container* container : containers) container->manager->Tick();
      return condition();
    });
  }
  std::map<std::string, std::vector<SubModel>> parts_;
};

TEST_F(MirrorManagerTest, TellsWhatItHasByteForByte) {
  const auto container = Start(2, 3);
  container->manager->Tick();
  EXPECT_EQ(server_.Data("/b/resource/2:3"),
            R"({"address": "10.0.2.3:1", "shard_id": 2, "replica_id": 3, "memory": 1000, )"
            R"("cpu": -1.0, "network": -1.0, "work_load": -1.0})");
  const auto candidates = server_.Children("/b/election");
  ASSERT_EQ(candidates.size(), 1u);
  EXPECT_EQ(candidates[0].size(), 32 + 8 + 10);
  EXPECT_THAT(candidates[0], HasSubstr("__lock__0000000000"));
  EXPECT_EQ(server_.Data("/b/election/" + candidates[0]), "10.0.2.3");
  Until({container.get()}, [&] { return container->manager->leads(); });
}

TEST_F(MirrorManagerTest, ModelIsPublishedLoadedServedAndUnloaded) {
  const auto a = Start(0, 0);
  const auto b = Start(1, 0);
  Until({a.get(), b.get()},
        [&] { return a->manager->leads() && server_.Children("/b/resource").size() == 2; });
  Load("m", 2);
  Until({a.get(), b.get()}, [&] { return a->manager->HeartBeat("ps").size() == 2; });
  EXPECT_THAT(server_.Children("/b/publish"), ElementsAre("0:0:m", "1:0:m"));
  const auto publish = *discovery::ReadRecord<PublishMeta>(*server_.Data("/b/publish/0:0:m"));
  EXPECT_EQ(publish.total_publish_num, 2);
  EXPECT_EQ(publish.num_ps, 2);
  EXPECT_THAT(a->control.Names("ps"), ElementsAre("m:ps_0", "default"));
  EXPECT_THAT(a->control.Names("entry"), ElementsAre("m:entry", "default"));
  EXPECT_THAT(b->control.Names("ps"), ElementsAre("m:ps_1", "default"));
  EXPECT_EQ(server_.Data("/b/service/m/ps:1/0"),
            R"({"address": "10.0.1.0:2", "address_ipv6": "[::]:2", "stat": 30, )"
            R"("model_name": "m", "server_type": "ps", "task": 1, "replica": 0, )"
            R"("archon_address": "10.0.1.0:0", "archon_address_ipv6": "[::]:0"})");
  EXPECT_THAT(a->manager->HeartBeat("ps"),
              UnorderedElementsAre(Pair("m:ps:0", ElementsAre("10.0.0.0:2")),
                                   Pair("m:ps:1", ElementsAre("10.0.1.0:2"))));
  EXPECT_THAT(*a->manager->Replicas("m", "ps", 1), ElementsAre("10.0.1.0:2"));
  EXPECT_THAT(*a->manager->Replicas("m", "ps", 7), IsEmpty());
  const int reloads = a->control.reloads;
  a->manager->Tick();
  EXPECT_EQ(a->control.reloads, reloads);
  server_.Remove("/b/portal/m");
  Until({a.get(), b.get()}, [&] { return a->manager->HeartBeat("ps").empty(); });
  EXPECT_THAT(server_.Children("/b/publish"), IsEmpty());
  EXPECT_THAT(a->control.Names("ps"), ElementsAre("default"));
}

TEST_F(MirrorManagerTest, ModelMovesWhenAContainerDies) {
  const auto a = Start(0, 0);
  const auto b = Start(1, 0);
  auto c = Start(2, 0);
  Until({a.get(), b.get(), c.get()}, [&] { return server_.Children("/b/resource").size() == 3; });
  Load("m", 2);
  Until({a.get(), b.get(), c.get()}, [&] { return a->manager->HeartBeat("ps").size() == 2; });
  ASSERT_THAT(server_.Children("/b/publish"), ElementsAre("0:0:m", "1:0:m"));
  // The leader dies: another one takes over, and its part of the model goes elsewhere.
  a->manager.reset();
  a->client.reset();
  Until({b.get(), c.get()}, [&] {
    return *b->manager->Replicas("m", "ps", 0) == std::vector<std::string>{"10.0.2.0:2"} &&
           server_.Children("/b/publish") == std::vector<std::string>{"1:0:m", "2:0:m"};
  });
  EXPECT_THAT(b->manager->HeartBeat("ps").at("m:ps:1"), ElementsAre("10.0.1.0:2"));
}

TEST_F(MirrorManagerTest, EntryServersLoadEntryAndNeverLead) {
  const auto entry = Start(-1, 5, DeployType::kEntry);
  const auto ps = Start(0, 0, DeployType::kPs);
  Load("m", 2);
  Until({entry.get(), ps.get()}, [&] { return ps->manager->HeartBeat("entry").size() == 1; });
  EXPECT_THAT(ps->manager->HeartBeat("entry"),
              ElementsAre(Pair("m:entry:0", ElementsAre("10.0.0.5:3"))));
  EXPECT_THAT(ps->control.Names("ps"), ElementsAre("m:ps_0", "m:ps_1", "default"));
  EXPECT_FALSE(entry->manager->leads());
  EXPECT_EQ(server_.Children("/b/election").size(), 1u);
}

TEST_F(MirrorManagerTest, LostSessionBringsBackItsNodesAndANewCandidate) {
  const auto a = Start(0, 0);
  Load("m", 1);
  Until({a.get()}, [&] { return a->manager->HeartBeat("ps").size() == 1; });
  const auto before = server_.Children("/b/election");
  server_.ExpireSessions();
  Until({a.get()}, [&] {
    const auto now = server_.Children("/b/election");
    return now.size() == 1 && now != before && server_.Data("/b/resource/0:0") &&
           server_.Data("/b/service/m/ps:0/0") && a->manager->leads();
  });
  EXPECT_THAT(a->control.Names("ps"), ElementsAre("m:ps_0", "default"));
}

TEST_F(MirrorManagerTest, ModelServerThatStartedAnewIsToldAgain) {
  const auto a = Start(0, 0);
  Load("m", 1);
  Until({a.get()}, [&] { return a->manager->HeartBeat("ps").size() == 1; });
  a->control.loaded.clear();
  Until({a.get()}, [&] { return !a->control.Names("ps").empty(); });
  EXPECT_THAT(a->control.Names("ps"), ElementsAre("m:ps_0", "default"));
}

TEST_F(MirrorManagerTest, WhileZooKeeperIsLostNothingIsUnloadedAndNobodyLeads) {
  const auto a = Start(0, 0);
  Load("m", 1);
  Until({a.get()}, [&] { return a->manager->HeartBeat("ps").size() == 1; });
  server_.SetReachable(false);
  server_.DropConnections();
  Until({a.get()}, [&] { return !a->manager->leads(); });
  EXPECT_THAT(a->control.Names("ps"), ElementsAre("m:ps_0", "default"));
  EXPECT_EQ(a->manager->HeartBeat("ps").size(), 1u);
}

TEST_F(MirrorManagerTest, DamagedNodesHarmNobodyElse) {
  server_.Put("/b/portal/broken", "no json");
  server_.Put("/b/publish/0:0:gone", "no json");
  server_.Put("/b/publish/odd", "");
  server_.Put("/b/resource/x", "");
  server_.Put("/b/service/m/ps:0/9", "no json");
  const auto a = Start(0, 0);
  Load("m", 1);
  Until({a.get()}, [&] { return a->manager->HeartBeat("ps").size() == 1; });
  EXPECT_THAT(server_.Children("/b/publish"), ElementsAre("0:0:m", "odd"));
}

TEST_F(MirrorManagerTest, ConfigurationsThatCannotRunAreRefused) {
  const auto client = Connect();
  FakeControl control;
  AgentConfig config;
  config.bzid = "b";
  config.deploy_type = DeployType::kUnified;
  EXPECT_FALSE(MirrorManager::Make(config, {}, *client, control).ok());
  config.deploy_type = DeployType::kMixed;
  config.bzid = "a.b";
  EXPECT_FALSE(MirrorManager::Make(config, {}, *client, control).ok());
}

}  // namespace
}  // namespace megalith::agent

#include "common/fleet/agent/layout_manager.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"

namespace megalith::agent {
namespace {

using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class FakeServing final : public ModelStatusSource {
 public:
  Result<std::vector<ModelVersion>> GetModelStatus(const std::string& type,
                                                   const std::string& model) override {
    EXPECT_EQ(type, "unified");
    const auto at = models.find(model);
    if (at == models.end()) return NotFound("no such model");
    return at->second;
  }
  std::map<std::string, std::vector<ModelVersion>> models;
};

class LayoutManagerTest : public testing::ZooKeeperTest {
 protected:
  LayoutManagerTest() {
    config_.bzid = "gip";
    config_.agent_version = 3;
    config_.deploy_type = DeployType::kUnified;
    config_.layout_pattern = "/gip/layout";
    config_.local_ip = "127.0.0.1";
    config_.pod_name = "pod-a";
    config_.unified = {.archon = 7000, .grpc = 7001, .http = 7002};
    config_.agent_port = 7003;
    file_ = JoinPath(directory_.path(), "models.config");
  }
  LayoutManager& Make() {
    if (client_ == nullptr) client_ = Connect();
    manager_ = *LayoutManager::Make(config_, {.model_config_file = file_}, *client_, serving_);
    EXPECT_TRUE(manager_->Register().ok());
    return *manager_;
  }
  void Declare(const std::string& sub_graph, const std::string& policy = "latest") {
    server_.Put("/gip/saved_models/m/" + sub_graph,
                discovery::WriteRecord(discovery::SavedModelDeployConfig{
                    .model_base_path = "/models/" + sub_graph, .version_policy = policy}));
  }
  void Publish(const std::string& sub_graph) { server_.Put("/gip/layout/m:" + sub_graph, ""); }
  std::string Config() { return *RealFileSystem().Read(file_); }
  TempDirectory directory_;
  std::string file_;
  AgentConfig config_;
  FakeServing serving_;
  std::unique_ptr<discovery::ZkClient> client_;
  std::unique_ptr<LayoutManager> manager_;
};

constexpr char kInfoPath[] = "/gip/container_service/unknown;None;None:pod-a";

TEST_F(LayoutManagerTest, TellsWhereItIsByteForByte) {
  config_.layout_filters = {"ps_{i};i % ${shard_num} == ${shard_id}"};
  config_.shard_id = 1;
  config_.num_shard = 2;
  config_.idc = "lf";
  Make();
  const std::string path = "/gip/container_service/unknown;lf;None:pod-a";
  EXPECT_EQ(server_.Data(path),
            R"({"grpc": "127.0.0.1:7001", "http": "127.0.0.1:7002", "archon": "127.0.0.1:7000", )"
            R"("agent": "127.0.0.1:7003", "idc": "lf", "debug_info": )"
            R"("{\"layout_path\": \"/gip/layout\", \"layout_filters\": )"
            R"([\"ps_(?P<i>\\\\d+);i % 2 == 1\"]}"})");
  EXPECT_EQ(server_.Owner(path), client_->session_id());
  manager_.reset();
  EXPECT_FALSE(server_.Data(path));
}

TEST_F(LayoutManagerTest, LoadsWhatTheLayoutAsksForAndBindsWhatIsAvailable) {
  LayoutManager& manager = Make();
  EXPECT_EQ(Config(), "model_config_list {}");
  for (const char* sub_graph : {"entry", "ps_0", "ps_1"}) Declare(sub_graph);
  Publish("entry");
  Publish("ps_0");
  Eventually([&] { return manager.models().size() == 2; });
  manager.Tick();
  EXPECT_EQ(Config(), *ModelConfigText({{.name = "m:entry", .base_path = "/models/entry"},
                                        {.name = "m:ps_0", .base_path = "/models/ps_0"}}));
  EXPECT_THAT(server_.Children("/gip/binding/m"), IsEmpty());
  serving_.models["m:entry"] = {{.version = 2, .state = 20}, {.version = 1, .state = 30}};
  serving_.models["m:ps_0"] = {{.version = 2, .state = 20}};
  manager.Tick();
  EXPECT_THAT(server_.Children("/gip/binding/m"), ElementsAre("entry:unknown;None;None:pod-a"));
  EXPECT_EQ(server_.Data("/gip/binding/m/entry:unknown;None;None:pod-a"), "");
  Eventually([&] { return manager.HeartBeat("ps").size() == 1; });
  EXPECT_THAT(manager.HeartBeat("dense"),
              ElementsAre(Pair("m:entry", ElementsAre("127.0.0.1:7001"))));
  server_.Remove("/gip/layout/m:entry");
  Eventually([&] { return manager.models().size() == 1; });
  manager.Tick();
  EXPECT_THAT(server_.Children("/gip/binding/m"), IsEmpty());
  EXPECT_EQ(Config(), *ModelConfigText({{.name = "m:ps_0", .base_path = "/models/ps_0"}}));
}

// D2: what one sub-graph asks for must not stop the others.
TEST_F(LayoutManagerTest, PolicyCostsOnlyItsOwnSubGraph) {
  LayoutManager& manager = Make();
  Declare("entry");
  Declare("ps_0", "latest_once");
  Declare("ps_1", "newest");
  for (const char* sub_graph : {"entry", "ps_0", "ps_1", "undeclared"}) Publish(sub_graph);
  Eventually([&] { return manager.models().size() == 2; });
  EXPECT_THAT(manager.models(), ElementsAre("m:entry", "m:ps_0"));
  manager.Tick();
  EXPECT_THAT(Config(), HasSubstr("latest_once"));
  Declare("undeclared");
  Eventually([&] { return manager.models().size() == 3; });
}

// D2: TensorFlow Serving would refuse the whole file.
TEST_F(LayoutManagerTest, ServerWithoutLatestOnceIsToldTheVersion) {
  client_ = Connect();
  manager_ = *LayoutManager::Make(config_, {.model_config_file = file_, .knows_latest_once = false},
                                  *client_, serving_);
  const std::string base = JoinPath(directory_.path(), "ps_0");
  server_.Put("/gip/saved_models/m/ps_0",
              discovery::WriteRecord(discovery::SavedModelDeployConfig{
                  .model_base_path = base, .version_policy = "latest_once"}));
  Publish("ps_0");
  Eventually([&] { return manager_->models().size() == 1; });
  manager_->Tick();
  EXPECT_EQ(Config(), "model_config_list {}");  // there is no version yet
  ASSERT_TRUE(RealFileSystem().MakeDirectory(base + "/9").ok());
  ASSERT_TRUE(RealFileSystem().MakeDirectory(base + "/10").ok());
  manager_->Tick();
  const std::string pinned = *ModelConfigText(
      {{.name = "m:ps_0", .base_path = base, .version_policy = "specific", .versions = {10}}});
  EXPECT_EQ(Config(), pinned);
  ASSERT_TRUE(RealFileSystem().MakeDirectory(base + "/11").ok());
  manager_->Tick();
  EXPECT_EQ(Config(), pinned);
}

// D4.
TEST_F(LayoutManagerTest, LostSessionBringsBackBindingsAndServiceInfo) {
  LayoutManager& manager = Make();
  Declare("entry");
  Publish("entry");
  Eventually([&] { return manager.models().size() == 1; });
  serving_.models["m:entry"] = {{.version = 1, .state = 30}};
  manager.Tick();
  const std::string binding = "/gip/binding/m/entry:unknown;None;None:pod-a";
  const int64_t before = *server_.Owner(binding);
  server_.ExpireSessions();
  Eventually([&] {
    const auto bound = server_.Owner(binding);
    const auto told = server_.Owner(kInfoPath);
    return bound && *bound != before && told && *told != before;
  });
  Eventually([&] { return manager.HeartBeat("").size() == 1; });
  EXPECT_THAT(manager.models(), ElementsAre("m:entry"));
}

TEST_F(LayoutManagerTest, WhileZooKeeperIsLostNothingIsUnloaded) {
  LayoutManager& manager = Make();
  Declare("entry");
  Publish("entry");
  Eventually([&] { return manager.models().size() == 1; });
  manager.Tick();
  const std::string before = Config();
  server_.SetReachable(false);
  server_.DropConnections();
  manager.Tick();
  EXPECT_THAT(manager.models(), ElementsAre("m:entry"));
  EXPECT_EQ(Config(), before);
}

TEST_F(LayoutManagerTest, OtherContainersServeThroughTheirOwnAddresses) {
  LayoutManager& manager = Make();
  Declare("ps_0");
  Publish("ps_0");
  // Bound before it says where it is: seen as soon as it does.
  server_.Put("/gip/binding/m/ps_0:c;x;y:pod-b", "");
  Eventually([&] { return manager.models().size() == 1; });
  EXPECT_THAT(manager.HeartBeat(""), IsEmpty());
  server_.Put("/gip/container_service/c;x;y:pod-b",
              discovery::WriteRecord(discovery::ContainerServiceInfo{.grpc = "10.0.0.2:1"}));
  Eventually([&] { return manager.HeartBeat("").size() == 1; });
  EXPECT_THAT(manager.HeartBeat(""), ElementsAre(Pair("m:ps_0", ElementsAre("10.0.0.2:1"))));
}

TEST_F(LayoutManagerTest, AnswersThatTheReferenceHasNot) {
  config_.replica_id = 230747245398;
  config_.shard_id = 3;
  LayoutManager& manager = Make();
  EXPECT_EQ(manager.Replicas("m", "ps", 0).status().message(),
            "Exception calling application: not implement for agent v3");
  const Resource resource = *manager.GetResource();
  EXPECT_EQ(resource.address, "127.0.0.1:7003");
  EXPECT_EQ(resource.shard_id, 3);
  EXPECT_EQ(resource.replica_id, -1);  // D8
}

TEST_F(LayoutManagerTest, ConfigurationsThatCannotRunAreRefused) {
  client_ = Connect();
  const auto error = [&](const std::function<void(AgentConfig*)>& change) {
    AgentConfig config = config_;
    change(&config);
    return LayoutManager::Make(config, {.model_config_file = file_}, *client_, serving_)
        .status()
        .ToString();
  };
  EXPECT_THAT(error([](AgentConfig* c) { c->layout_pattern = ""; }), HasSubstr("layout_pattern"));
  EXPECT_THAT(error([](AgentConfig* c) { c->deploy_type = DeployType::kPs; }),
              HasSubstr("needs deploy_type unified"));
  EXPECT_THAT(error([](AgentConfig* c) { c->layout_filters = {"ps_{i};k"}; }),
              HasSubstr("layout filter"));
  EXPECT_THAT(error([](AgentConfig* c) { c->bzid = "a/b"; }), HasSubstr("bzid"));
  EXPECT_THAT(error([](AgentConfig* c) { c->pod_name = "a/b"; }), HasSubstr("MY_POD_NAME"));
}

}  // namespace
}  // namespace megalith::agent

#include "clients/agent/tools.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>

#include "common/fleet/agent/replica_table.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/strings.h"
#include "services/agent/agent_service.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"

namespace megalith::agent_tools {
namespace {

namespace tfs = tensorflow::serving;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Answers in a fixed way and keeps what it was asked.
class FakeModelService final : public rpc::Service {
 public:
  FakeModelService() : Service("tensorflow.serving.ModelService", {}) {
    Unary("GetModelStatus", this, &FakeModelService::GetModelStatus);
    Unary("HandleReloadConfigRequest", this, &FakeModelService::Reload);
  }
  Result<tfs::GetModelStatusResponse> GetModelStatus(const tfs::GetModelStatusRequest& request,
                                                     const rpc::Call&) {
    if (request.model_spec().name() != "entry") return NotFound("Could not find any versions");
    tfs::GetModelStatusResponse response;
    auto* const version = response.add_model_version_status();
    version->set_version(4);
    version->set_state(tfs::ModelVersionStatus::AVAILABLE);
    version->mutable_status();
    return response;
  }
  Result<tfs::ReloadConfigResponse> Reload(const tfs::ReloadConfigRequest& request,
                                           const rpc::Call&) {
    reloaded = request.config().model_config_list().config(0).name();
    return tfs::ReloadConfigResponse();
  }
  std::string reloaded;
};

class FakePredictionService final : public rpc::Service {
 public:
  FakePredictionService() : Service("tensorflow.serving.PredictionService", {}) {
    Unary("Predict", this, &FakePredictionService::Predict);
    Unary("GetModelMetadata", this, &FakePredictionService::Metadata);
  }
  Result<tfs::PredictResponse> Predict(const tfs::PredictRequest& request, const rpc::Call&) {
    const std::lock_guard<std::mutex> lock(mu);
    last = request;
    tfs::PredictResponse response;
    (*response.mutable_outputs())["score"].add_float_val(0.5F);
    return response;
  }
  Result<tfs::GetModelMetadataResponse> Metadata(const tfs::GetModelMetadataRequest& request,
                                                 const rpc::Call&) {
    tfs::GetModelMetadataResponse response;
    tfs::SignatureDefMap signatures;
    (*signatures.mutable_signature_def())["serving_default"].set_method_name("predict");
    (*response.mutable_metadata())[request.metadata_field(0)].PackFrom(signatures);
    return response;
  }
  std::mutex mu;
  tfs::PredictRequest last;  // guarded by mu
};

class ToolsTest : public testing::ZooKeeperTest {
 protected:
  int Run(const std::string& tool, std::vector<std::string> words) {
    out_.str("");
    err_.str("");
    return RunTool(tool, words,
                   {.out = &out_,
                    .err = &err_,
                    .files = &RealFileSystem(),
                    .environment = {{"MY_HOST_IP", "127.0.0.1"}}});
  }
  std::string Zk() const { return StrCat("--zk_servers=", server_.address()); }
  std::string WriteFile(const std::string& name, const std::string& text) {
    const std::string path = JoinPath(files_.path(), name);
    CHECK(RealFileSystem().WriteAtomically(path, text).ok());
    return path;
  }
  static std::string Address(rpc::Server& server) { return server.addresses()[0]; }
  // AgentService over what the test says.
  void StartAgent() {
    discovery::Tree tree;
    const auto put = [&tree](const std::string& path, const std::string& data) {
      tree.nodes[path] = std::make_shared<discovery::ZkNode>(discovery::ZkNode{.data = data});
    };
    put("ps:0", "");
    put("ps:0/1", discovery::WriteRecord(discovery::ReplicaMeta{.address = "a:1", .stat = 30}));
    put("ps:0/2", discovery::WriteRecord(discovery::ReplicaMeta{.address = "b:1", .stat = 30}));
    put("ps:1", "");
    put("ps:1/1", discovery::WriteRecord(discovery::ReplicaMeta{.address = "c:1", .stat = 20}));
    table_.Update(tree);
    std::vector<std::unique_ptr<rpc::Service>> list;
    list.push_back(
        std::make_unique<services::AgentService>(table_, nullptr, rpc::ServiceThreads()));
    agent_ = *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(list), metrics_);
    port_ = StrCat("--port=", Address(*agent_).substr(Address(*agent_).rfind(':') + 1));
  }
  void StartModelServer() {
    std::vector<std::unique_ptr<rpc::Service>> list;
    list.push_back(std::make_unique<FakeModelService>());
    list.push_back(std::make_unique<FakePredictionService>());
    model_ = static_cast<FakeModelService*>(list[0].get());
    prediction_ = static_cast<FakePredictionService*>(list[1].get());
    model_server_ = *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(list), metrics_);
    target_ = StrCat("--target=", Address(*model_server_));
  }

  TempDirectory files_;
  std::ostringstream out_;
  std::ostringstream err_;
  telemetry::MetricRegistry metrics_;
  agent::ReplicaTable table_{{}};
  std::unique_ptr<rpc::Server> agent_;
  std::string port_;
  FakeModelService* model_ = nullptr;
  FakePredictionService* prediction_ = nullptr;
  std::unique_ptr<rpc::Server> model_server_;
  std::string target_;
};

TEST_F(ToolsTest, HeartBeatAndReplicasPrintAsTheReference) {
  StartAgent();
  ASSERT_EQ(Run("agent_client", {"--cmd_type", "hb", "--server_type=ps", port_}), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "ps:0  -> (2) \n\taddress: \"a:1\"\n\taddress: \"b:1\"\nps:1  -> (1) \n\t\n");
  ASSERT_EQ(Run("agent_client", {"--cmd_type=gr", "--task=0", "--model_name=m", port_}), 0);
  EXPECT_EQ(out_.str(), "PS 0  =>  ['a:1', 'b:1']\n");
  ASSERT_EQ(Run("svr_client", {"--cmd_type=gr", "--task=1", port_}), 0);
  EXPECT_EQ(out_.str(), "[]\n");
  ASSERT_EQ(Run("svr_client", {port_}), 0);
  EXPECT_EQ(out_.str(), "{'ps:0': address: \"a:1\"\naddress: \"b:1\"\n, 'ps:1': }\n");
}

TEST_F(ToolsTest, AddressesArePrintedInOrder) {
  server_.Put("/b/service/m/ps:0/1", discovery::WriteRecord(discovery::ReplicaMeta{
                                         .address = "a:1", .stat = 30, .archon_address = "a:2"}));
  server_.Put("/b/service/m/lf:default/entry:0/00000000001",
              discovery::WriteRecord(discovery::ReplicaMeta{.address = "b:1", .stat = 20}));
  server_.Put("/b/service/m/ps:0/2", "damaged");
  const std::vector<std::string> common = {Zk(), "--bzid=b", "--model_name=m"};
  auto words = common;
  words.push_back("--cmd_type=addr");
  ASSERT_EQ(Run("agent_client", words), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "/b/service/m/lf:default/entry:0/00000000001\tarchon_address: None\taddress: b:1\t"
            "state: LOADING\n"
            "/b/service/m/ps:0/1\tarchon_address: a:2\taddress: a:1\tstate: AVAILABLE\n");
  ASSERT_EQ(Run("agent_client", {Zk(), "--bzid=b", "--model_name=x", "--cmd_type=addr"}), 0);
  EXPECT_EQ(out_.str(), "x has not load !\n");
}

TEST_F(ToolsTest, FoldersArePrintedAndCleaned) {
  const std::vector<std::string> common = {Zk(), "--bzid=b", "--model_name=m"};
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), common.begin(), common.end());
    return Run("agent_client", words);
  };
  ASSERT_EQ(run({"--cmd_type=get", "--args=portal"}), 0);
  EXPECT_EQ(out_.str(), "no portal found !\n");
  ASSERT_EQ(run({"--cmd_type=load", "--model_dir=/d", "--ckpt=c-1"}), 0);
  const std::string meta =
      R"({"model_name": "m", "model_dir": "/d", "ckpt": "c-1", "num_shard": -1, "action": "NONE", "spec_replicas": []})";
  EXPECT_EQ(server_.Data("/b/portal/m"), meta);
  ASSERT_EQ(run({"--cmd_type=get", "--args=portal"}), 0);
  EXPECT_EQ(out_.str(), StrCat("m b'", meta, "'\n"));
  ASSERT_EQ(run({"--cmd_type=unload"}), 0);
  EXPECT_FALSE(server_.Data("/b/portal/m"));
  ASSERT_EQ(run({"--cmd_type=unload"}), 0);
  ASSERT_EQ(run({"--cmd_type=get", "--args=portal"}), 0);
  EXPECT_EQ(out_.str(), "{}\n");
  server_.Put("/b/service/m/ps:0/1", "{}");
  ASSERT_EQ(run({"--cmd_type=clean", "--args=addr"}), 0);
  EXPECT_THAT(server_.Children("/b/service"), ElementsAre());
  EXPECT_EQ(run({"--cmd_type=clean", "--args=elect"}), 1);
}

// The version of the checkpoint's step, as the export itself tells, not the highest.
TEST_F(ToolsTest, ExportsArePrintedWithTheirSizes) {
  for (const char* folder : {"exported/entry/1", "exported/entry/2", "model.ckpt-5.assets"})
    std::filesystem::create_directories(JoinPath(files_.path(), folder));
  WriteFile("exported/entry/1/saved_model.pb", "12345");
  WriteFile("exported/entry/2/saved_model.pb", "123");
  const std::string root = JoinPath(files_.path(), "exported");
  const auto run = [&] {
    return Run("agent_client", {Zk(), "--bzid=b", "--model_name=m", "--cmd_type=get", "--args=info",
                                StrCat("--model_dir=", root), "--ckpt=model.ckpt-5"});
  };
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(out_.str(), StrCat("{'entry': (3, '", root, "/entry/2')}\n"));
  WriteFile("exported/entry/ExportSaverListenerState",
            "entries {\n  export_dir: \"/x/1\"\n  global_step: 5\n}\n");
  ASSERT_EQ(run(), 0) << err_.str();
  EXPECT_EQ(out_.str(), StrCat("{'entry': (5, '", root, "/entry/1')}\n"));
}

TEST_F(ToolsTest, ServingClientDoesWhatItWasMeantTo) {
  const std::vector<std::string> common = {Zk(), "--bzid=b", "--model_name=m"};
  const auto run = [&](std::vector<std::string> words) {
    words.insert(words.end(), common.begin(), common.end());
    return Run("client", words);
  };
  EXPECT_EQ(run({"--cmd_type=load"}), 1);
  ASSERT_EQ(run({"--cmd_type=load", "--model_dir=/d"}), 0) << err_.str();
  EXPECT_EQ(run({"--cmd_type=load", "--model_dir=/d"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("m has exists"));
  server_.Put("/b/publish/0:1:m", "{}");
  server_.Put("/b/service/m/ps:0/1", R"({"stat": 30})");
  ASSERT_EQ(run({"--cmd_type=status"}), 0) << err_.str();
  EXPECT_EQ(out_.str(), "LoadSate(portal=True, publish=True, service={'ps:0:1': 30})\n");
  ASSERT_EQ(run({"--cmd_type=unload"}), 0);
  EXPECT_FALSE(server_.Data("/b/portal/m"));
}

TEST_F(ToolsTest, ControllerPublishesAndTells) {
  server_.Put("/test/saved_models/m/ps_0", "C");
  ASSERT_EQ(Run("agent_controller", {Zk(), "--cmd", "pub", "--layout=l", "--model_name=m:ps_*"}), 0)
      << err_.str();
  EXPECT_THAT(server_.Children("/test/layouts/l"), ElementsAre("m:ps_0"));
  ASSERT_EQ(Run("agent_controller", {Zk()}), 0);
  EXPECT_THAT(out_.str(), ::testing::StartsWith("\n{\n  \"model_info\": {\n    \"m\": {\n"));
  ASSERT_EQ(Run("agent_controller", {Zk(), "--cmd=unpub", "--layout=l", "--model_name=m:*"}), 0);
  EXPECT_THAT(server_.Children("/test/layouts/l"), ElementsAre());
  EXPECT_EQ(Run("agent_controller", {Zk(), "--cmd=x"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("unsupported cmd x, options are decl|pub|unpub|bzid_info"));
  EXPECT_EQ(Run("agent_controller", {Zk(), "--cmd=decl", "--arch=other"}), 1);
  EXPECT_EQ(Run("agent_controller", {Zk(), "--cmd=pub"}), 1);
}

TEST_F(ToolsTest, ModelServerIsAskedAndReloaded) {
  StartModelServer();
  ASSERT_EQ(Run("tfs_client", {target_, "--cmd_type=status"}), 0) << err_.str();
  EXPECT_EQ(out_.str(),
            "model_version_status {\n  version: 4\n  state: AVAILABLE\n  status {\n  }\n}\n\n");
  ASSERT_EQ(Run("tfs_client", {target_, "--cmd_type=meta"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("method_name: \"predict\""));
  EXPECT_EQ(Run("tfs_client", {target_, "--cmd_type=status", "--model_name=none"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("Could not find any versions"));
  const std::string config =
      WriteFile("config", "model_config_list { config { name: \"n\" base_path: \"/p\" } }");
  ASSERT_EQ(Run("tfs_client", {target_, "--cmd_type=load", "--input_file", config}), 0);
  EXPECT_EQ(model_->reloaded, "n");
  const std::string wrong = WriteFile("wrong", "model_config_list [");
  EXPECT_EQ(Run("tfs_client", {target_, "--cmd_type=load", "--input_file", wrong}), 1);
}

TEST_F(ToolsTest, DataIsSentAndProfiled) {
  StartModelServer();
  const auto framed = [](const std::string& body) {
    const uint64_t size = body.size();
    return std::string(reinterpret_cast<const char*>(&size), sizeof(size)) + body;
  };
  const std::string data = WriteFile("data", framed("one") + framed("two") + framed("three"));
  ASSERT_EQ(Run("tfs_client", {target_, "--cmd_type=get", "--input_type=instance", "--batch_size=2",
                               "--input_file", data}),
            0)
      << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("key: \"score\""));
  EXPECT_THAT(prediction_->last.inputs().at("instances").string_val(), ElementsAre("one", "two"));
  EXPECT_EQ(prediction_->last.model_spec().signature_name(), "serving_default");
  ASSERT_EQ(Run("tfs_client", {target_, "--cmd_type=profile", "--input_type=example_batch",
                               "--parallel_num=2", "--profile_duration=0", "--input_file", data}),
            0);
  EXPECT_THAT(err_.str(), HasSubstr("[Profile] Count: 2, Avg Latency: "));
  EXPECT_EQ(Run("tfs_client", {target_, "--cmd_type=profile"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("--profile_data_dir"));
}

TEST_F(ToolsTest, WrongCommandLinesSayWhatIsMissing) {
  EXPECT_EQ(Run("agent_client", {"--cmd_type=hb"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("no port of the agent"));
  EXPECT_EQ(Run("agent_client", {"--cmd_type=addr", "--bzid=b", "--model_name=m"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("--zk_servers"));
  EXPECT_EQ(Run("agent_client", {"--cmd_typ=hb"}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("FATAL Flags parsing error"));
  EXPECT_EQ(Run("nothing", {}), 1);
  EXPECT_EQ(Run("tfs_client", {"--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("--profile_duration"));
}

TEST(SplitRunTest, NameIsCutOutOfTheLine) {
  const std::vector<std::string> agent = {"--conf", "x", "--tfs_log", "y"};
  EXPECT_EQ(SplitRun(agent)->bin_name, "agent");
  EXPECT_EQ(SplitRun(agent)->arguments, agent);
  const std::vector<std::string> client = {"--bin_name=tfs_client", "--cmd_type=status"};
  EXPECT_EQ(SplitRun(client)->bin_name, "tfs_client");
  EXPECT_THAT(SplitRun(client)->arguments, ElementsAre("--cmd_type=status"));
  const std::vector<std::string> wrong = {"--bin_name", "x"};
  EXPECT_EQ(SplitRun(wrong).status().code(), Code::kInvalidArgument);
}

}  // namespace
}  // namespace megalith::agent_tools

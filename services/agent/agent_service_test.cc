#include "services/agent/agent_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <csignal>

#include "common/fleet/agent/serving_status.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/testing/zookeeper_fixture.h"
#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"
#include "tests/support/service_host.h"
#include "tests/support/zookeeper_server.h"

namespace megalith::services {
namespace {

namespace pb = monolith::serving::agent_service;
using ::testing::ElementsAre;
using testing::Eventually;
using ::testing::HasSubstr;

std::string Hex(const std::string& bytes) {
  return HexEncode({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
}

// A model server that has one model.
class FakeModelService final : public rpc::Service {
 public:
  FakeModelService() : Service("tensorflow.serving.ModelService", {}) {
    Unary("GetModelStatus", this, &FakeModelService::GetModelStatus);
    Unary("HandleReloadConfigRequest", this, &FakeModelService::Reload);
  }
  Result<tensorflow::serving::ReloadConfigResponse> Reload(
      const tensorflow::serving::ReloadConfigRequest& request, const rpc::Call&) {
    tensorflow::serving::ReloadConfigResponse response;
    std::vector<std::string> policies;
    for (const auto& model : request.config().model_config_list().config()) {
      if (model.name() == "broken") {
        response.mutable_status()->set_error_code(tensorflow::error::INVALID_ARGUMENT);
        response.mutable_status()->set_error_message("no such folder");
      }
      const auto& policy = model.model_version_policy();
      policies.push_back(StrCat(model.name(), " ", model.base_path(), " ",
                                policy.has_latest()        ? "latest"
                                : policy.has_latest_once() ? "latest_once"
                                : policy.has_all()         ? "all"
                                                           : "specific",
                                " ", policy.specific().versions_size()));
    }
    const std::lock_guard<std::mutex> lock(mu);
    reloaded = std::move(policies);
    return response;
  }
  std::mutex mu;
  std::vector<std::string> reloaded;  // guarded by mu
  Result<tensorflow::serving::GetModelStatusResponse> GetModelStatus(
      const tensorflow::serving::GetModelStatusRequest& request, const rpc::Call&) {
    if (request.model_spec().name() != "entry") return NotFound("no such model");
    tensorflow::serving::GetModelStatusResponse response;
    auto* const version = response.add_model_version_status();
    version->set_version(4);
    version->set_state(tensorflow::serving::ModelVersionStatus::AVAILABLE);
    return response;
  }
};

class AgentServiceTest : public ::testing::Test {
 protected:
  void Start() {
    config_.bzid = "b";
    config_.base_name = "m";
    config_.deploy_type = deploy_type_;
    config_.zk_servers = zookeeper_.address();
    config_.replica_id = 1;
    config_.host_ip = "127.0.0.1";
    config_.host_ipv6 = "::1";
    if (config_.entry.grpc == 0) config_.entry.grpc = 7303;
    host_.Start([this](ServiceContext& context) -> Result<ServiceList> {
      ASSIGN_OR_RETURN(auto service, MakeAgent(config_, context, fields_));
      ServiceList list;
      list.push_back(std::move(service));
      return list;
    });
  }
  template <typename Request, typename Response>
  Result<Response> Call(const std::string& method, const Request& request) {
    return rpc::UnaryMethod<Request, Response>(
        host_.channel(), "monolith.serving.agent_service.AgentService", method)(request);
  }
  Result<pb::HeartBeatResponse> HeartBeat(int type) {
    pb::HeartBeatRequest request;
    request.set_server_type(static_cast<pb::ServerType>(type));
    return Call<pb::HeartBeatRequest, pb::HeartBeatResponse>("HeartBeat", request);
  }
  Result<pb::GetReplicasResponse> GetReplicas(int type, int task) {
    pb::GetReplicasRequest request;
    request.set_server_type(static_cast<pb::ServerType>(type));
    request.set_task(task);
    return Call<pb::GetReplicasRequest, pb::GetReplicasResponse>("GetReplicas", request);
  }
  testing::ZooKeeperServer zookeeper_;
  agent::AgentConfig config_;
  AgentServiceConfig fields_{.conf = "", .model_server = "none"};
  agent::DeployType deploy_type_ = agent::DeployType::kEntry;
  testing::ServiceHost host_;
};

// Spec 13.4: reference bytes.
TEST_F(AgentServiceTest, AnswersAreTheReferencesBytes) {
  Start();
  EXPECT_EQ(Hex(HeartBeat(pb::PS)->SerializeAsString()), "");
  EXPECT_EQ(Hex(GetReplicas(pb::PS, 0)->SerializeAsString()), "0a00");
  EXPECT_EQ(Hex(Call<pb::GetResourceRequest, pb::GetResourceResponse>("GetResource", {})
                    ->SerializeAsString()),
            "");
  // Registered, but no model server answers.
  Eventually([&] { return HeartBeat(pb::ENTRY)->addresses_size() == 1; });
  EXPECT_EQ(Hex(HeartBeat(pb::ENTRY)->SerializeAsString()), "0a0b0a07656e7472793a301200");
  zookeeper_.Put("/b/service/m/ps:1/2", discovery::WriteRecord(discovery::ReplicaMeta{
                                            .address = "127.0.0.1:7305", .stat = 30}));
  Eventually([&] { return GetReplicas(pb::PS, 1)->address_list().address_size() == 1; });
  EXPECT_EQ(Hex(GetReplicas(pb::PS, 1)->SerializeAsString()),
            "0a100a0e3132372e302e302e313a37333035");
}

TEST_F(AgentServiceTest, ModelServerThatAnswersIsAvailable) {
  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Service>> services;
  services.push_back(std::make_unique<FakeModelService>());
  const auto server =
      *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), metrics);
  const std::string address = server->addresses().front();
  const std::string port = address.substr(address.rfind(':') + 1);
  config_.entry.grpc = static_cast<int>(*ParseInt(port));
  Start();
  Eventually([&] { return GetReplicas(pb::ENTRY, 0)->address_list().address_size() == 1; });
  EXPECT_THAT(GetReplicas(pb::ENTRY, 0)->address_list().address(),
              ElementsAre(StrCat("127.0.0.1:", port)));
  server->Drain(std::chrono::milliseconds(0));
}

// Every text that the agent writes is one that model servers read.
TEST_F(AgentServiceTest, ModelServersUnderstandEveryPolicy) {
  telemetry::MetricRegistry metrics;
  auto service = std::make_unique<FakeModelService>();
  FakeModelService& fake = *service;
  std::vector<std::unique_ptr<rpc::Service>> services;
  services.push_back(std::move(service));
  const auto server =
      *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), metrics);
  const std::string address = server->addresses().front();
  config_.ps.grpc = static_cast<int>(*ParseInt(address.substr(address.rfind(':') + 1)));
  const auto status = *agent::ServingStatus::Make(config_, {});
  ASSERT_TRUE(status
                  ->Reload("ps", {{"a", "/\"x\"\n", "latest", {1}},
                                  {"b", "/b", "latest_once", {1}},
                                  {"c", "/c", "all", {1}},
                                  {"d", "/d", "specific", {3, 4}}})
                  .ok());
  {
    const std::lock_guard<std::mutex> lock(fake.mu);
    EXPECT_THAT(fake.reloaded, ElementsAre("a /\"x\"\n latest 0", "b /b latest_once 0",
                                           "c /c all 0", "d /d specific 2"));
  }
  const Status refused = status->Reload("ps", {{"broken", "/", "latest", {1}}});
  EXPECT_EQ(refused.code(), Code::kInvalidArgument);
  EXPECT_EQ(refused.message(), "no such folder");
  EXPECT_EQ(status->Reload("entry", {}).code(), Code::kNotFound);
  server->Drain(std::chrono::milliseconds(0));
}

TEST_F(AgentServiceTest, TypesThatDoNotExistAreRefusedInTheReferencesWords) {
  Start();
  const Status status = HeartBeat(7).status();
  EXPECT_EQ(status.code(), Code::kUnknown);
  EXPECT_EQ(status.message(),
            "Exception calling application: Enum ServerType has no name defined for value 7");
  EXPECT_EQ(GetReplicas(-1, 0).status().code(), Code::kUnknown);
}

TEST_F(AgentServiceTest, AnswersStayWhileZooKeeperIsLost) {
  zookeeper_.Put("/b/service/m/ps:0/2",
                 discovery::WriteRecord(discovery::ReplicaMeta{.address = "a:1", .stat = 30}));
  Start();
  Eventually([&] { return GetReplicas(pb::PS, 0)->address_list().address_size() == 1; });
  zookeeper_.SetReachable(false);
  zookeeper_.DropConnections();
  EXPECT_THAT(GetReplicas(pb::PS, 0)->address_list().address(), ElementsAre("a:1"));
}

TEST_F(AgentServiceTest, VersionsThatDoNotFitTheDeployTypeAreRefused) {
  config_.zk_servers = zookeeper_.address();
  host_.Start([this](ServiceContext& context) -> Result<ServiceList> {
    config_.deploy_type = agent::DeployType::kUnified;
    config_.agent_version = 1;
    EXPECT_THAT(MakeAgent(config_, context).status().ToString(),
                HasSubstr("needs agent_version 3"));
    config_.agent_version = 3;
    EXPECT_THAT(MakeAgent(config_, context).status().ToString(), HasSubstr("layout_pattern"));
    return ServiceList();
  });
}

TEST_F(AgentServiceTest, StartsItsModelServerAndLeavesNoneBehind) {
  TempDirectory directory;
  const std::string told = JoinPath(directory.path(), "told");
  const std::string script = JoinPath(directory.path(), "server");
  ASSERT_TRUE(RealFileSystem()
                  .WriteAtomically(script, StrCat("#!/bin/sh\necho $$ $1 > ", told, ".part; mv ",
                                                  told, ".part ", told, "\nexec sleep 1000\n"))
                  .ok());
  ASSERT_EQ(::chmod(script.c_str(), 0700), 0);
  fields_ = {.conf = "", .model_server = script, .tfs_log = JoinPath(directory.path(), "log")};
  config_.base_path = "/models";
  config_.num_ps = 0;
  Start();
  Eventually([&] { return RealFileSystem().Stat(told).ok(); });
  const std::string text = *RealFileSystem().Read(told);
  EXPECT_THAT(text, HasSubstr("--model_config_file="));
  EXPECT_TRUE(RealFileSystem().Stat(JoinPath(directory.path(), "entry_log")).ok());
  const auto pid = ParseInt(text.substr(0, text.find(' ')));
  ASSERT_TRUE(pid);
  host_.Stop();
  EXPECT_NE(::kill(static_cast<pid_t>(*pid), 0), 0);
}

// Spec 2.2.
TEST_F(AgentServiceTest, Version3AnswersFromTheLayout) {
  config_.agent_version = 3;
  config_.layout_pattern = "main";
  config_.local_ip = "127.0.0.1";
  config_.shard_id = 2;
  config_.agent_port = 7303;
  zookeeper_.Put("/b/saved_models/m/ps_0",
                 discovery::WriteRecord(discovery::SavedModelDeployConfig{
                     .model_base_path = "/m/ps_0", .version_policy = "latest_once"}));
  zookeeper_.Put("/b/layouts/main/m:ps_0", "");
  zookeeper_.Put("/b/binding/m/ps_0:c;x;y:1", "");
  zookeeper_.Put("/b/container_service/c;x;y:1",
                 discovery::WriteRecord(discovery::ContainerServiceInfo{.grpc = "127.0.0.1:7305"}));
  deploy_type_ = agent::DeployType::kUnified;
  Start();
  Eventually([&] { return HeartBeat(pb::ENTRY)->addresses_size() == 1; });
  EXPECT_EQ(Hex(HeartBeat(pb::PS)->SerializeAsString()),
            "0a1a0a066d3a70735f3012100a0e3132372e302e302e313a37333035");
  EXPECT_EQ(GetReplicas(pb::PS, 0).status().message(),
            "Exception calling application: not implement for agent v3");
  const auto resource = Call<pb::GetResourceRequest, pb::GetResourceResponse>("GetResource", {});
  EXPECT_EQ(resource->address(), "127.0.0.1:7303");
  EXPECT_EQ(resource->shard_id(), 2);
  EXPECT_EQ(resource->cpu(), -1);
  EXPECT_GT(resource->memory(), 0);
}

// Spec 2.3, the evident intent.
TEST_F(AgentServiceTest, Version2AnswersByModelTypeAndTask) {
  config_.agent_version = 2;
  config_.shard_id = -1;
  zookeeper_.Put("/b/service/m/ps:1/2",
                 discovery::WriteRecord(discovery::ReplicaMeta{
                     .address = "127.0.0.1:7305", .stat = 30, .model_name = "m", .replica = 2}));
  Start();
  Eventually([&] { return HeartBeat(pb::PS)->addresses_size() == 1; });
  EXPECT_EQ(HeartBeat(pb::PS)->addresses().begin()->first, "m:ps:1");
  pb::GetReplicasRequest request;
  request.set_server_type(pb::PS);
  request.set_task(1);
  request.set_model_name("m");
  const auto replicas =
      Call<pb::GetReplicasRequest, pb::GetReplicasResponse>("GetReplicas", request);
  EXPECT_THAT(replicas->address_list().address(), ElementsAre("127.0.0.1:7305"));
  EXPECT_EQ(HeartBeat(pb::DENSE)->addresses_size(), 0);
}

}  // namespace
}  // namespace megalith::services

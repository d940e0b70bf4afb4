#include "services/agent/agent_service.h"

#include <utility>

#include "common/fleet/agent/replica_manager.h"
#include "common/fleet/agent/serving_status.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {

namespace pb = monolith::serving::agent_service;

namespace {

constexpr std::chrono::seconds kZooKeeperStartWait{15};  // Monolith's

Result<std::string> TypeName(int server_type) {
  if (!pb::ServerType_IsValid(server_type)) {
    return Status(Code::kUnknown,
                  StrCat("Exception calling application: Enum ServerType has no name defined for "
                         "value ",
                         server_type));
  }
  return AsciiLower(pb::ServerType_Name(server_type));
}

// What the service stands on, destroyed in the reverse order.
struct Agent {
  std::unique_ptr<discovery::ZkClient> client;
  std::unique_ptr<agent::ServingStatus> status;
  std::unique_ptr<agent::ReplicaManager> manager;
};

}  // namespace

AgentService::AgentService(const agent::ReplicaTable& table, std::shared_ptr<void> owner,
                           rpc::ServiceThreads threads)
    : Service("monolith.serving.agent_service.AgentService", threads),
      owner_(std::move(owner)),
      table_(table) {
  Unary("GetReplicas", this, &AgentService::GetReplicas);
  Unary("GetResource", this, &AgentService::GetResource);
  Unary("HeartBeat", this, &AgentService::HeartBeat);
}

Result<pb::GetReplicasResponse> AgentService::GetReplicas(const pb::GetReplicasRequest& request,
                                                          const rpc::Call&) {
  ASSIGN_OR_RETURN(const std::string type, TypeName(request.server_type()));
  pb::GetReplicasResponse response;
  pb::AddressList& list = *response.mutable_address_list();  // there, even if it is empty
  for (std::string& address : table_.Replicas(type, request.task())) {
    list.add_address(std::move(address));
  }
  return response;
}

Result<pb::GetResourceResponse> AgentService::GetResource(const pb::GetResourceRequest&,
                                                          const rpc::Call&) {
  return pb::GetResourceResponse();
}

Result<pb::HeartBeatResponse> AgentService::HeartBeat(const pb::HeartBeatRequest& request,
                                                      const rpc::Call&) {
  ASSIGN_OR_RETURN(const std::string type, TypeName(request.server_type()));
  pb::HeartBeatResponse response;
  for (auto& [task, addresses] : table_.HeartBeat(type)) {
    pb::AddressList& list = (*response.mutable_addresses())[task];
    for (std::string& address : addresses) list.add_address(std::move(address));
  }
  return response;
}

Result<std::unique_ptr<AgentService>> MakeAgent(const agent::AgentConfig& config,
                                                ServiceContext& context) {
  if (config.agent_version != 1 || config.deploy_type == agent::DeployType::kUnified) {
    return Unimplemented(StrCat("agent_version ", config.agent_version, " with deploy_type ",
                                agent::DeployTypeName(config.deploy_type),
                                " is not served: use version 1 with ps, entry, dense or mixed"));
  }
  auto owner = std::make_shared<Agent>();
  ASSIGN_OR_RETURN(owner->client, discovery::ZkClient::Open(
                                      {.servers = config.zk_servers, .auth = config.zk_auth}));
  const Status connected = owner->client->WaitConnected(kZooKeeperStartWait);
  if (connected.code() == Code::kPermissionDenied) return connected;
  if (!connected.ok()) {
    telemetry::Log(telemetry::Level::warn, "discovery_unread", {{"error", connected.ToString()}});
  }
  ASSIGN_OR_RETURN(owner->status, agent::ServingStatus::Make(
                                      config, rpc::ChannelOptionsOf(context.process.config(),
                                                                    context.process.metrics())));
  ASSIGN_OR_RETURN(owner->manager, agent::ReplicaManager::Make(
                                       config, *owner->client, *owner->status,
                                       &context.process.metrics(), context.process.clock()));
  RETURN_IF_ERROR(owner->manager->Register());
  owner->manager->Start();
  const agent::ReplicaTable& table = owner->manager->table();
  return std::make_unique<AgentService>(table, std::move(owner), context.process.threads());
}

ServiceSpec AgentSpec() {
  struct Shared {
    AgentServiceConfig fields;
    agent::AgentConfig config;
  };
  const auto shared = std::make_shared<Shared>();
  return {.name = "agent",
          .description = "Registers model servers in ZooKeeper and tells who serves what.",
          .add_fields =
              [shared](config::Loader& loader) {
                loader.Add<AgentServiceConfig>(kAgentServiceFields, &shared->fields);
              },
          .make = [shared](ServiceContext& context) -> Result<ServiceList> {
            ASSIGN_OR_RETURN(auto service, MakeAgent(shared->config, context));
            ServiceList list;
            list.push_back(std::move(service));
            return list;
          },
          .on_configured = [shared](const config::Loader& loader,
                                    rpc::ProcessConfig* process) -> Status {
            ASSIGN_OR_RETURN(shared->config, agent::LoadAgentConfig(
                                                 shared->fields.conf, config::ProcessEnvironment(),
                                                 agent::ThisHost(), RealFileSystem()));
            for (const config::EffectiveValue& value : loader.Effective()) {
              if (value.name == "listen" && value.source == config::Source::kDefault) {
                process->listen = {StrCat("[::]:", shared->config.agent_port)};
              }
            }
            return OkStatus();
          }};
}

}  // namespace megalith::services

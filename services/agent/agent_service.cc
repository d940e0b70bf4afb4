#include "services/agent/agent_service.h"

#include <utility>

#include "common/foundation/base/strings.h"
#include "services/agent/running_agent.h"

namespace megalith::services {

namespace pb = monolith::serving::agent_service;

namespace {

Result<std::string> TypeName(int server_type) {
  if (!pb::ServerType_IsValid(server_type)) {
    return Status(Code::kUnknown,
                  StrCat("Exception calling application: Enum ServerType has no name defined for "
                         "value ",
                         server_type));
  }
  return AsciiLower(pb::ServerType_Name(server_type));
}

}  // namespace

AgentService::AgentService(const agent::AddressBook& book, std::shared_ptr<void> owner,
                           rpc::ServiceThreads threads)
    : Service("monolith.serving.agent_service.AgentService", threads),
      owner_(std::move(owner)),
      book_(book) {
  Unary("GetReplicas", this, &AgentService::GetReplicas);
  Unary("GetResource", this, &AgentService::GetResource);
  Unary("HeartBeat", this, &AgentService::HeartBeat);
}

Result<pb::GetReplicasResponse> AgentService::GetReplicas(const pb::GetReplicasRequest& request,
                                                          const rpc::Call&) {
  ASSIGN_OR_RETURN(const std::string type, TypeName(request.server_type()));
  pb::GetReplicasResponse response;
  pb::AddressList& list = *response.mutable_address_list();  // there, even if it is empty
  ASSIGN_OR_RETURN(std::vector<std::string> addresses,
                   book_.Replicas(request.model_name(), type, request.task()));
  for (std::string& address : addresses) list.add_address(std::move(address));
  return response;
}

Result<pb::GetResourceResponse> AgentService::GetResource(const pb::GetResourceRequest&,
                                                          const rpc::Call&) {
  pb::GetResourceResponse response;
  const std::optional<agent::Resource> resource = book_.GetResource();
  if (!resource) return response;
  response.set_address(resource->address);
  response.set_shard_id(static_cast<int32_t>(resource->shard_id));
  response.set_replica_id(static_cast<int32_t>(resource->replica_id));
  response.set_memory(resource->memory);
  response.set_cpu(static_cast<float>(resource->cpu));
  response.set_network(static_cast<float>(resource->network));
  response.set_work_load(static_cast<float>(resource->work_load));
  return response;
}

Result<pb::HeartBeatResponse> AgentService::HeartBeat(const pb::HeartBeatRequest& request,
                                                      const rpc::Call&) {
  ASSIGN_OR_RETURN(const std::string type, TypeName(request.server_type()));
  pb::HeartBeatResponse response;
  for (auto& [task, addresses] : book_.HeartBeat(type)) {
    pb::AddressList& list = (*response.mutable_addresses())[task];
    for (std::string& address : addresses) list.add_address(std::move(address));
  }
  return response;
}

Result<std::unique_ptr<AgentService>> MakeAgent(const agent::AgentConfig& config,
                                                ServiceContext& context,
                                                const AgentServiceConfig& fields) {
  ASSIGN_OR_RETURN(std::shared_ptr<RunningAgent> owner,
                   RunningAgent::Start(config, fields, context));
  const agent::AddressBook& book = owner->book();
  return std::make_unique<AgentService>(book, std::move(owner), context.process.threads());
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
            ASSIGN_OR_RETURN(auto service, MakeAgent(shared->config, context, shared->fields));
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

// monolith.serving.agent_service: common/fleet/agent behind gRPC.
#pragma once

#include <functional>
#include <memory>

#include "common/fleet/agent/address_book.h"
#include "common/fleet/agent/config.h"
#include "common/fleet/rpc/service.h"
#include "monolith/agent_service/agent_service.pb.h"
#include "services/agent/config.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"

namespace megalith::services {

// Spec agent-service.md, section 2: answers come from memory, never from ZooKeeper. Thread-safe.
// Errors: kUnknown  a server type that does not exist, or a method that the version does not have,
// in the words of the Python agent.
class AgentService final : public rpc::Service {
 public:
  // `book` must outlive the service, or be kept by `owner`, which is destroyed with it.
  AgentService(const agent::AddressBook& book, std::shared_ptr<void> owner,
               rpc::ServiceThreads threads);

  Result<monolith::serving::agent_service::GetReplicasResponse> GetReplicas(
      const monolith::serving::agent_service::GetReplicasRequest& request, const rpc::Call& call);
  Result<monolith::serving::agent_service::GetResourceResponse> GetResource(
      const monolith::serving::agent_service::GetResourceRequest& request, const rpc::Call& call);
  Result<monolith::serving::agent_service::HeartBeatResponse> HeartBeat(
      const monolith::serving::agent_service::HeartBeatRequest& request, const rpc::Call& call);

 private:
  const std::shared_ptr<void> owner_;
  const agent::AddressBook& book_;
};

// The service of an agent that runs (RunningAgent::Start, with its errors). `fields` says which
// model servers are started; by default none are.
Result<std::unique_ptr<AgentService>> MakeAgent(const agent::AgentConfig& config,
                                                ServiceContext& context,
                                                const AgentServiceConfig& fields = {
                                                    .conf = "", .model_server = "none"});

// The process megalith-agent.
ServiceSpec AgentSpec();

}  // namespace megalith::services

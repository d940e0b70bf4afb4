#include "clients/agent/agent_calls.h"

#include "common/foundation/base/strings.h"
#include "monolith/agent_service/agent_service.pb.h"

namespace megalith::agent_tools {

namespace pb = monolith::serving::agent_service;

namespace {

constexpr char kService[] = "monolith.serving.agent_service.AgentService";

Result<pb::ServerType> TypeOf(const std::string& name) {
  if (name == "ps") return pb::PS;
  if (name == "entry") return pb::ENTRY;
  if (name == "dense") return pb::DENSE;
  return InvalidArgument(
      StrCat("server types are ps, entry and dense, got '", Printable(name), "'"));
}

}  // namespace

AgentCalls::AgentCalls(std::shared_ptr<rpc::Channel> channel, rpc::CallOptions options)
    : channel_(std::move(channel)), options_(std::move(options)) {}

Result<AgentCalls> AgentCalls::Dial(const std::string& address) {
  ASSIGN_OR_RETURN(auto channel, rpc::Channel::Dial(address, {}));
  return AgentCalls(std::move(channel));
}

Result<std::map<std::string, std::vector<std::string>>> AgentCalls::HeartBeat(
    const std::string& server_type) const {
  pb::HeartBeatRequest request;
  ASSIGN_OR_RETURN(const pb::ServerType type, TypeOf(server_type));
  request.set_server_type(type);
  const rpc::UnaryMethod<pb::HeartBeatRequest, pb::HeartBeatResponse> call(channel_, kService,
                                                                           "HeartBeat");
  ASSIGN_OR_RETURN(const pb::HeartBeatResponse response, call(request, options_));
  std::map<std::string, std::vector<std::string>> out;
  for (const auto& [task, list] : response.addresses())
    out[task].assign(list.address().begin(), list.address().end());
  return out;
}

Result<std::vector<std::string>> AgentCalls::GetReplicas(const std::string& server_type,
                                                         int64_t task,
                                                         const std::string& model) const {
  pb::GetReplicasRequest request;
  ASSIGN_OR_RETURN(const pb::ServerType type, TypeOf(server_type));
  if (task < 0 || task > INT32_MAX) return InvalidArgument(StrCat("there is no task ", task));
  request.set_server_type(type);
  request.set_task(static_cast<int32_t>(task));
  request.set_model_name(model);
  const rpc::UnaryMethod<pb::GetReplicasRequest, pb::GetReplicasResponse> call(channel_, kService,
                                                                               "GetReplicas");
  ASSIGN_OR_RETURN(const pb::GetReplicasResponse response, call(request, options_));
  const auto& list = response.address_list().address();
  return std::vector<std::string>(list.begin(), list.end());
}

Result<AgentResource> AgentCalls::GetResource() const {
  const rpc::UnaryMethod<pb::GetResourceRequest, pb::GetResourceResponse> call(channel_, kService,
                                                                               "GetResource");
  ASSIGN_OR_RETURN(const pb::GetResourceResponse response, call({}, options_));
  return AgentResource{.address = response.address(),
                       .shard_id = response.shard_id(),
                       .replica_id = response.replica_id(),
                       .memory_bytes = response.memory()};
}

}  // namespace megalith::agent_tools

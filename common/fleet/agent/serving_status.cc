#include "common/fleet/agent/serving_status.h"

#include "common/fleet/stubs/model_status_client.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {

Result<std::unique_ptr<ServingStatus>> ServingStatus::Make(const AgentConfig& config,
                                                           const rpc::ChannelOptions& options) {
  std::unique_ptr<ServingStatus> out(new ServingStatus());
  std::vector<std::string> servers = {"ps", "entry", "dense", "unified"};
  for (size_t i = 1; i <= config.more_dense.size(); ++i) servers.push_back(StrCat("dense.", i));
  for (const std::string& type : servers) {
    const int port = config.PortsOf(type).grpc;
    if (port == 0) continue;
    ASSIGN_OR_RETURN(auto channel, rpc::Channel::Dial(StrCat("localhost:", port), options));
    out->clients_[type] = std::make_unique<stubs::ModelStatusClient>(std::move(channel));
  }
  return out;
}

ServingStatus::~ServingStatus() = default;

Result<std::vector<ModelVersion>> ServingStatus::GetModelStatus(const std::string& server_type,
                                                                const std::string& model) {
  const auto at = clients_.find(server_type);
  if (at == clients_.end()) return NotFound(StrCat("no model server runs ", server_type));
  ASSIGN_OR_RETURN(const auto versions,
                   at->second->GetModelStatus(model, {.timeout = std::chrono::seconds(2)}));
  std::vector<ModelVersion> out;
  for (const stubs::ModelVersionState& v : versions) {
    out.push_back({v.version, v.state, v.error_code, v.error});
  }
  return out;
}

Status ServingStatus::Reload(const std::string& server_type,
                             const std::vector<ModelEntry>& models) {
  const auto at = clients_.find(server_type);
  if (at == clients_.end()) return NotFound(StrCat("no model server runs ", server_type));
  ASSIGN_OR_RETURN(const std::string text, ModelConfigText(models));
  return at->second->ReloadConfig(text, {.timeout = std::chrono::minutes(1)});
}

}  // namespace megalith::agent

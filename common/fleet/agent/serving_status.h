// The local model servers of an agent, asked over gRPC.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/fleet/agent/model_control.h"
#include "common/fleet/rpc/channel.h"

namespace megalith::stubs {
class ModelStatusClient;
}

namespace megalith::agent {

// Channels to localhost, at the gRPC ports of the configuration. Not thread-safe.
class ServingStatus final : public ModelControl {
 public:
  // Errors: those of rpc::Channel::Dial.
  static Result<std::unique_ptr<ServingStatus>> Make(const AgentConfig& config,
                                                     const rpc::ChannelOptions& options);
  ~ServingStatus() override;

  // kDeadlineExceeded after two seconds: a server that hangs must not hide the states of others.
  Result<std::vector<ModelVersion>> GetModelStatus(const std::string& server_type,
                                                   const std::string& model) override;
  // kDeadlineExceeded after a minute: the server loads before it answers.
  Status Reload(const std::string& server_type, const std::vector<ModelEntry>& models) override;

 private:
  ServingStatus() = default;
  std::map<std::string, std::unique_ptr<stubs::ModelStatusClient>> clients_;  // by server type
};

}  // namespace megalith::agent

// TF Serving's ModelService: asks a model server for the state of a model, and tells it what to
// load.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/status.h"

namespace megalith::stubs {

struct ModelVersionState {
  int64_t version = 0;
  int64_t state = 0;       // ModelVersionStatus.State: 30 is AVAILABLE
  int64_t error_code = 0;  // why it is not; 0 is OK
  std::string error;
};

// Thread-safe.
class ModelStatusClient {
 public:
  explicit ModelStatusClient(std::shared_ptr<rpc::Channel> channel);
  ~ModelStatusClient();
  // Every version of `model`. Errors: kNotFound  the server has no such model; those of
  // rpc::UnaryMethod.
  Result<std::vector<ModelVersionState>> GetModelStatus(const std::string& model,
                                                        const rpc::CallOptions& options = {}) const;
  // HandleReloadConfigRequest with the text form of tensorflow.serving.ModelServerConfig. Errors:
  // kInvalidArgument  the text does not parse; the code of the server's answer; those of
  // rpc::UnaryMethod.
  Status ReloadConfig(const std::string& config_text, const rpc::CallOptions& options = {}) const;

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs

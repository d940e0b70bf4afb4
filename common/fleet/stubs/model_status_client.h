// Asks a model server for the state of a model: TF Serving's ModelService.GetModelStatus.
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

 private:
  struct Methods;
  std::unique_ptr<const Methods> methods_;
};

}  // namespace megalith::stubs

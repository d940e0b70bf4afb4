// What the local model servers say of their models, as the managers of all versions ask for it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::agent {

// One answer of ModelService.GetModelStatus.
struct ModelVersion {
  int64_t version = 0;
  int64_t state = 0;       // a discovery::ModelState
  int64_t error_code = 0;  // of its status; 0 is OK
  std::string error;
};

// The local model servers. Called by one thread at a time.
class ModelStatusSource {
 public:
  virtual ~ModelStatusSource() = default;
  // All versions of `model` of the model server that runs `server_type` ("ps", "entry", "dense",
  // "unified"). Errors: kNotFound  no such model; those of the transport.
  virtual Result<std::vector<ModelVersion>> GetModelStatus(const std::string& server_type,
                                                           const std::string& model) = 0;
};

// What a version list says about the model: the highest AVAILABLE version, else the highest one.
// nullptr without any.
const ModelVersion* ChooseVersion(const std::vector<ModelVersion>& versions);

}  // namespace megalith::agent

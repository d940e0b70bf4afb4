// Answers of the REST API that are messages written as JSON; nothing else (tf-serving.md section
// 7.3).
#pragma once

#include <string>
#include <vector>

#include "common/learning/serving/model_manager.h"

namespace megalith::serving {

// GET /v1/models/NAME. Errors: kInternal.
Result<std::string> RestStatus(const std::vector<VersionStatus>& versions);

// GET /v1/models/NAME/metadata. Errors: kInternal.
Result<std::string> RestMetadata(const Servable& servable);

}  // namespace megalith::serving

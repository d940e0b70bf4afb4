// Paths of TensorFlow Serving's REST API (tf-serving.md section 7.1).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/learning/serving/model_manager.h"

namespace megalith::serving {

enum class RestAction : uint8_t { kPredict, kClassify, kRegress, kStatus, kMetadata };

struct RestTarget {
  RestAction action = RestAction::kStatus;
  ServableRequest servable;
};

// Whether the path belongs to this API, well-formed or not: it begins with /v1/ in any case.
bool IsRestPath(std::string_view path);

// `path` without what follows '?'. Keywords are read in any case; names are percent-decoded.
// Errors: kInvalidArgument  "Malformed request: GET /v1/foo" and the other texts of section 7.1.
Result<RestTarget> ParseRestPath(std::string_view method, std::string_view path);

}  // namespace megalith::serving

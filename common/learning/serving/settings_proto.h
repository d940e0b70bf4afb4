// Files of settings of tensorflow_model_server, besides that of the models; nothing but their
// conversion.
#pragma once

#include <string>
#include <string_view>

#include "common/learning/serving/batching/batching_options.h"

namespace megalith::serving {

// A --batching_parameters_file, or the batching_params.pbtxt of a version (section 5.1).
// Errors: kInvalidArgument  the text, with line and column; those of CheckBatchingOptions.
Result<BatchingParameters> ParseBatchingParameters(std::string_view text);

struct MonitoringSettings {
  bool enabled = false;
  std::string path;  // on the REST port
};

// A --monitoring_config_file (section 8). Errors: kInvalidArgument  the text, with line and column;
// a path that does not begin with '/'.
Result<MonitoringSettings> ParseMonitoringConfig(std::string_view text);

}  // namespace megalith::serving

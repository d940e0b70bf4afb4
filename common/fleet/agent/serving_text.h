// The files that model servers read at their start, byte for byte as Monolith's agent writes them
// (spec agent-service.md, sections 8.4 and 8.5).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

// One model of tensorflow.serving.ModelServerConfig.
struct ModelEntry {
  std::string name;
  std::string base_path;
  std::string version_policy = "latest";  // latest, latest_once, all, specific; any case
  std::vector<int64_t> versions = {1};    // of specific; else the number of versions comes first
  friend bool operator==(const ModelEntry&, const ModelEntry&) = default;
};

// The text form of the configuration. Errors: kInvalidArgument  another policy, a number of
// versions that is none.
Result<std::string> ModelConfigText(const std::vector<ModelEntry>& models);

// What a version 3 agent begins with.
inline constexpr std::string_view kEmptyModelConfig = "model_config_list {}";

// `version_data` of agent.conf: a number, or several between commas, with or without brackets.
// Errors: kInvalidArgument.
Result<std::vector<int64_t>> ParseVersionData(const std::string& text);

// The models of a version 1 model server of this container. Errors: kInvalidArgument version_policy
// or version_data of agent.conf.
Result<std::vector<ModelEntry>> ModelsOf(const AgentConfig& config, std::string_view server_type);

// The text form of PlatformConfigMap.
std::string PlatformConfigText(const AgentConfig& config);

}  // namespace megalith::agent

// What version 2 asks of the model servers: the state of published sub-models, and the
// configuration to load (spec agent-service.md, section 10).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/fleet/agent/model_status.h"
#include "common/fleet/agent/serving_text.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

// Tells a model server what to load. Called by one thread at a time.
class ModelControl : public ModelStatusSource {
 public:
  // HandleReloadConfigRequest of the model server of a type: `models` replace what it serves.
  // Errors: the server's refusal; those of the transport.
  virtual Status Reload(const std::string& server_type, const std::vector<ModelEntry>& models) = 0;
};

// The state of one sub-model, as version 2 tells it.
struct SubModelStatus {
  std::string version_path;
  ModelVersion version;  // UNKNOWN with a code if the model server does not know it, or is silent
};

// Which model server of this container serves a sub-model ("ps_3", "entry", "dense_0"); empty:
// none.
std::string ServerTypeOf(const AgentConfig& config, std::string_view sub_model);

// What is asked of a sub-model: "model:sub_model", and the version unless it may be any.
struct SubModelQuery {
  std::string name;
  std::string server_type;
  std::optional<int64_t> version;
  std::string base_path;  // the directory of the version's
  std::string version_path;
};

// The sub-models of `publish` that are served here. The version of the dense node (entry, or dense
// where it is alone) is left open unless `fix_dense_version`. A path whose last component is no
// version is left out, and counted in `skipped` if given.
std::vector<SubModelQuery> QueriesOf(const AgentConfig& config,
                                     const discovery::PublishMeta& publish, bool fix_dense_version,
                                     size_t* skipped = nullptr);

// Asks for each of them, by name.
std::map<std::string, SubModelStatus> StatusOf(const AgentConfig& config,
                                               const discovery::PublishMeta& publish,
                                               bool fix_dense_version, ModelStatusSource& source);

// What the model servers of this container are to load for these publishes, by type; every type
// that runs here is in it. Publishes of another kind than LOAD count for nothing.
std::map<std::string, std::vector<ModelEntry>> ConfigsOf(
    const AgentConfig& config, const std::vector<discovery::PublishMeta>& publishes,
    bool fix_dense_version);

// Reloads with a model named "default" beside `models`: a model server must have one.
Status ReloadWithDefault(const std::string& server_type, std::vector<ModelEntry> models,
                         ModelControl& control);

}  // namespace megalith::agent

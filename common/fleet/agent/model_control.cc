#include "common/fleet/agent/model_control.h"

#include <algorithm>
#include <utility>

#include "common/fleet/agent/serving_command.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

using discovery::ModelState;

ModelVersion Unknown(Code code, std::string error) {
  return {.version = 0,
          .state = static_cast<int64_t>(ModelState::kUnknown),
          .error_code = static_cast<int64_t>(code),
          .error = std::move(error)};
}

// Of several answers the highest version (spec 10).
ModelVersion Answer(const SubModelQuery& query, const Result<std::vector<ModelVersion>>& versions) {
  if (!versions.ok()) {
    return Unknown(versions.status().code(), std::string(versions.status().message()));
  }
  if (versions->empty()) return Unknown(Code::kNotFound, StrCat(query.name, " not found"));
  return *std::max_element(
      versions->begin(), versions->end(),
      [](const ModelVersion& a, const ModelVersion& b) { return a.version < b.version; });
}

}  // namespace

std::string ServerTypeOf(const AgentConfig& config, std::string_view sub_model) {
  constexpr std::pair<std::string_view, DeployType> kTypes[] = {
      {"entry", DeployType::kEntry}, {"ps", DeployType::kPs}, {"dense", DeployType::kDense}};
  for (const auto& [name, type] : kTypes) {
    if (sub_model.starts_with(name)) return config.Serves(type) ? std::string(name) : "";
  }
  return "";
}

std::vector<SubModelQuery> QueriesOf(const AgentConfig& config,
                                     const discovery::PublishMeta& publish, bool fix_dense_version,
                                     size_t* skipped) {
  std::vector<SubModelQuery> out;
  if (!publish.sub_models) return out;
  for (const auto& [sub_model, path] : *publish.sub_models) {
    SubModelQuery query;
    query.server_type = ServerTypeOf(config, sub_model);
    if (query.server_type.empty()) continue;
    query.name = StrCat(publish.model_name.value_or(""), ":", sub_model);
    query.version_path = path;
    const size_t slash = path.rfind('/');
    if (slash != path.npos) query.base_path = path.substr(0, slash);
    const bool dense_node = sub_model.starts_with(config.dense_alone ? "dense" : "entry");
    if (fix_dense_version || !dense_node) {
      query.version = ParseInt(slash == path.npos ? path : path.substr(slash + 1));
      if (!query.version || *query.version < 0) {
        if (skipped != nullptr) ++*skipped;
        continue;
      }
    }
    out.push_back(std::move(query));
  }
  return out;
}

std::map<std::string, SubModelStatus> StatusOf(const AgentConfig& config,
                                               const discovery::PublishMeta& publish,
                                               bool fix_dense_version, ModelStatusSource& source) {
  std::map<std::string, SubModelStatus> out;
  for (const SubModelQuery& query : QueriesOf(config, publish, fix_dense_version)) {
    auto versions = source.GetModelStatus(query.server_type, query.name);
    if (versions.ok() && query.version) {
      std::erase_if(*versions, [&](const ModelVersion& v) { return v.version != *query.version; });
    }
    out[query.name] = {.version_path = query.version_path, .version = Answer(query, versions)};
  }
  return out;
}

std::map<std::string, std::vector<ModelEntry>> ConfigsOf(
    const AgentConfig& config, const std::vector<discovery::PublishMeta>& publishes,
    bool fix_dense_version) {
  std::map<std::string, std::vector<ModelEntry>> out;
  for (const std::string& type : ServerTypes(config)) out[type];
  for (const discovery::PublishMeta& publish : publishes) {
    if (publish.ptype != discovery::PublishMeta::kLoad) continue;
    for (SubModelQuery& query : QueriesOf(config, publish, fix_dense_version)) {
      const auto at = out.find(query.server_type);
      if (at == out.end()) continue;  // dense that is not alone
      ModelEntry entry{.name = std::move(query.name), .base_path = std::move(query.base_path)};
      if (query.version) {
        entry.version_policy = "specific";
        entry.versions = {*query.version};
      }
      at->second.push_back(std::move(entry));
    }
  }
  return out;
}

Status ReloadWithDefault(const std::string& server_type, std::vector<ModelEntry> models,
                         ModelControl& control) {
  const bool has = std::any_of(models.begin(), models.end(),
                               [](const ModelEntry& m) { return m.name == "default"; });
  if (!has) {
    models.push_back(
        {.name = "default", .base_path = StrCat(kServingHome, "/dat/saved_models/entry")});
  }
  return control.Reload(server_type, models);
}

}  // namespace megalith::agent

#include "common/fleet/agent/serving_text.h"

#include <utility>

#include "common/fleet/agent/expression.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr double kMaxVersion = 9007199254740992.0;  // 2^53

// A text literal as Python's text_format escapes it.
std::string Quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\'' || c == '\\') {
      StrAppend(&out, '\\', c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      StrAppend(&out, '\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
    } else if (byte < 0x20 || byte >= 0x7f) {
      StrAppend(&out, '\\', byte >> 6, (byte >> 3) & 7, byte & 7);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

Result<std::string> PolicyText(const ModelEntry& model) {
  const std::string policy = AsciiLower(model.version_policy);
  const std::string indent(6, ' ');
  if (policy == "all") return StrCat(indent, "all {\n", indent, "}\n");
  if (policy != "latest" && policy != "latest_once" && policy != "specific") {
    return InvalidArgument(StrCat("model '", Printable(model.name), "': version policy '",
                                  Printable(model.version_policy),
                                  "' is none of latest, latest_once, all, specific"));
  }
  const bool specific = policy == "specific";
  if (model.versions.empty() || (!specific && model.versions.size() != 1)) {
    return InvalidArgument(StrCat("model '", Printable(model.name), "': policy ", policy,
                                  specific ? " needs versions" : " needs one number of versions"));
  }
  std::string out = StrCat(indent, policy, " {\n");
  for (const int64_t version : model.versions) {
    StrAppend(&out, indent, specific ? "  versions: " : "  num_versions: ", version, "\n");
  }
  return StrCat(out, indent, "}\n");
}

// Spec 8.4: the model of a rough sort beside a server's own, if there is one.
void AddRoughSort(const AgentConfig& config, std::string_view server_type, const std::string& index,
                  const ModelEntry& like, std::vector<ModelEntry>* out) {
  if (AsciiLower(config.rough_sort_model_loaded_server) != server_type) return;
  const bool constrained = config.rough_sort_resource_constrained && server_type == "entry";
  if (!constrained && config.rough_sort_model_name.empty()) return;
  ModelEntry extra = like;
  extra.name = StrCat(server_type, "_item_embedding_", index);
  extra.base_path =
      constrained
          ? JoinPath(config.base_path, extra.name)
          : JoinPath(JoinPath(config.rough_sort_model_local_path, config.rough_sort_model_name),
                     extra.name);
  out->push_back(std::move(extra));
}

}  // namespace

Result<std::string> ModelConfigText(const std::vector<ModelEntry>& models) {
  std::string out = "model_config_list {\n";
  for (const ModelEntry& model : models) {
    ASSIGN_OR_RETURN(const std::string policy, PolicyText(model));
    StrAppend(&out, "  config {\n    name: ", Quoted(model.name),
              "\n    base_path: ", Quoted(model.base_path),
              "\n    model_platform: \"tensorflow\"\n    model_version_policy {\n", policy,
              "    }\n  }\n");
  }
  return out + "}\n";
}

Result<std::vector<int64_t>> ParseVersionData(const std::string& text) {
  std::string_view list = Trim(text);
  if (list.starts_with('[') && list.ends_with(']')) list = list.substr(1, list.size() - 2);
  std::vector<int64_t> out;
  for (const std::string_view part : Split(list, ',')) {
    const auto number = EvaluateNumber(Trim(part));
    if (!number || *number < 0 || *number > kMaxVersion) {
      return InvalidArgument(
          StrCat("version_data expects a number or a list of them, got '", Printable(text), "'"));
    }
    out.push_back(static_cast<int64_t>(*number));
  }
  return out;
}

Result<std::vector<ModelEntry>> ModelsOf(const AgentConfig& config, std::string_view server_type) {
  ModelEntry like;
  like.version_policy = config.version_policy;
  ASSIGN_OR_RETURN(like.versions, ParseVersionData(config.version_data));
  std::vector<ModelEntry> out;
  const auto add = [&](std::string name) {
    ModelEntry model = like;
    model.base_path = JoinPath(config.base_path, name);
    model.name = std::move(name);
    out.push_back(std::move(model));
  };
  if (server_type != "ps") {
    add(server_type == "dense" ? "dense_0" : std::string(server_type));
    AddRoughSort(config, server_type, "0", like, &out);
    return out;
  }
  for (int64_t i = 0; i < config.num_ps; ++i) {
    if (i % config.num_shard != config.shard_id) continue;
    add(StrCat("ps_", i));
    AddRoughSort(config, server_type, StrCat(i), like, &out);
  }
  return out;
}

std::string PlatformConfigText(const AgentConfig& config) {
  const auto threads = [&config](std::string_view option) {
    const ServingOption* const configured = config.Option(option);
    const int64_t asked = configured == nullptr ? 0 : ParseInt(configured->value).value_or(0);
    if (asked != 0) return asked;
    return config.cpu_limit != 0 ? config.cpu_limit : 16;
  };
  const auto on = [&config](std::string_view option) {
    const ServingOption* const flag = config.Option(option);
    return flag != nullptr && flag->value == "true";
  };
  const std::string in(10, ' ');
  std::string out = StrCat(
      "platform_configs {\n  key: \"tensorflow\"\n  value {\n    source_adapter_config {\n      "
      "[type.googleapis.com/tensorflow.serving.SavedModelBundleSourceAdapterConfig] {\n        "
      "legacy_config {\n",
      in, "session_config {\n", in,
      "  intra_op_parallelism_threads: ", threads("tensorflow_intra_op_parallelism"), "\n", in,
      "  inter_op_parallelism_threads: ", threads("tensorflow_inter_op_parallelism"), "\n", in,
      "  gpu_options {\n", on("allow_growth") ? StrCat(in, "    allow_growth: true\n") : "", in,
      "  }\n", in, "  allow_soft_placement: true\n", in, "}\n");
  if (config.dense_alone && on("enable_batching")) {
    StrAppend(&out, in, "batching_parameters {\n");
    constexpr std::pair<std::string_view, int> kValues[] = {{"max_batch_size", 1024},
                                                            {"batch_timeout_micros", 800},
                                                            {"max_enqueued_batches", 100000},
                                                            {"num_batch_threads", 8}};
    for (const auto& [name, value] : kValues) {
      StrAppend(&out, in, "  ", name, " {\n", in, "    value: ", value, "\n", in, "  }\n");
    }
    StrAppend(&out, in, "  support_diff_dim_size_inputs: true\n", in, "}\n");
  }
  if (on("enable_model_warmup")) StrAppend(&out, in, "enable_model_warmup: true\n");
  return out + "        }\n      }\n    }\n  }\n}\n";
}

}  // namespace megalith::agent

#include "common/fleet/agent/serving_command.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr size_t kChunkBytes = 1 << 20;

// Options of TF Serving that our model server has under the same name.
constexpr std::string_view kOurOptions[] = {"allow_version_labels_for_unavailable_models",
                                            "num_load_threads",
                                            "max_num_load_retries",
                                            "load_retry_interval_micros",
                                            "file_system_poll_wait_seconds",
                                            "enable_model_warmup",
                                            "enable_signature_method_name_check"};

std::string Flag(std::string_view name, std::string_view value) {
  return StrCat("--", name, "=", value);
}
std::string Flag(std::string_view name, int64_t value) { return StrCat("--", name, "=", value); }

// What entry and dense servers add for their calls to ps.
void AddFetchFlags(const AgentConfig& config, std::vector<std::string>* out) {
  out->push_back(Flag("archon_entry_to_ps_rpc_timeout", config.fetch_ps_timeout_ms));
  out->push_back(Flag("archon_entry_to_ps_long_conn_num", config.fetch_ps_long_conn_num));
  out->push_back(Flag("archon_entry_to_ps_rpc_retry", config.fetch_ps_retry));
  out->push_back(Flag("archon_async_dispatcher_threads", config.aio_thread_num));
  if (!config.fetch_ps_long_conn_enable) {
    out->push_back("--archon_entry_to_ps_long_conn_enable=false");
  }
}

bool Batching(const AgentConfig& config) {
  const ServingOption* const option = config.Option("enable_batching");
  return option != nullptr && option->value == "true";
}

}  // namespace

std::vector<std::string> ServingCommand(const AgentConfig& config, std::string_view server,
                                        const ServingFiles& files) {
  const std::string_view server_type = TypeOfServer(server);
  std::string psm = config.psm;
  std::string log_conf = "../conf/log4j.properties";
  if (config.deploy_type == DeployType::kMixed && server_type != "entry") {
    StrAppend(&psm, "_", server_type);
    log_conf = StrCat("../conf/log4j_", server_type, ".properties");
  }
  const ServerPorts& ports = config.PortsOf(server);
  std::vector<std::string> out = {files.binary,
                                  Flag("model_config_file", files.model_config_file),
                                  Flag("archon_rpc_psm", psm),
                                  Flag("archon_rpc_cluster", config.raw_cluster),
                                  Flag("metrics_namespace_prefix", psm),
                                  Flag("log_conf", log_conf),
                                  Flag("port", ports.grpc),
                                  Flag("rest_api_port", ports.http),
                                  Flag("archon_port", ports.archon)};
  if (server_type == "dense" && Batching(config)) out.push_back("--enable_batching=true");
  if (server_type != "ps") AddFetchFlags(config, &out);
  if (config.agent_version != 1) out.push_back("--model_config_file_poll_wait_seconds=0");
  for (const ServingOption& option : config.serving) {
    if (option.name == "platform_config_file") {
      out.push_back(Flag(option.name, files.platform_config_file));
    } else if (option.name == "file_system_poll_wait_seconds") {
      if (config.agent_version != 1) continue;
      if (server_type == "ps") {
        out.push_back(Flag(option.name, config.file_system_poll_wait_seconds_ps));
      } else if (option.changed) {
        out.push_back(Flag(option.name, option.value));
      }
    } else if (option.changed) {
      out.push_back(Flag(option.name, option.value));
    }
  }
  return out;
}

std::vector<std::string> UnifiedCommand(const AgentConfig& config, const ServingFiles& files,
                                        bool grpc) {
  std::vector<std::string> out = {files.binary,
                                  Flag("model_config_file", files.model_config_file),
                                  Flag("port", config.unified.grpc),
                                  Flag("rest_api_port", config.unified.http),
                                  "--model_config_file_poll_wait_seconds=60",
                                  Flag("archon_port", config.unified.archon),
                                  Flag("archon_rpc_psm", config.psm),
                                  Flag("archon_rpc_cluster", config.raw_cluster),
                                  Flag("metrics_namespace_prefix", config.psm)};
  if (!grpc) out.push_back(Flag("archon_entry_to_ps_rpc_timeout", config.fetch_ps_timeout_ms));
  out.push_back("--conf_file=conf/service.conf");
  out.push_back("--log_conf=conf/log4j.properties");
  for (const ServingOption& option : config.serving) {
    if (option.name == "platform_config_file") {
      out.push_back(Flag(option.name, files.platform_config_file));
    } else if (option.changed) {
      out.push_back(Flag(option.name, option.value));
    }
  }
  return out;
}

std::vector<std::string> MegalithCommand(const AgentConfig& config, std::string_view server,
                                         const ServingFiles& files) {
  std::vector<std::string> out = {files.binary, Flag("model_config_file", files.model_config_file),
                                  StrCat("--listen=[::]:", config.PortsOf(server).grpc),
                                  Flag("rest_api_port", config.PortsOf(server).http)};
  // A layout changes while the server runs.
  if (server == "unified") out.push_back("--model_config_file_poll_wait_seconds=1");
  for (const ServingOption& option : config.serving) {
    const bool ours = std::find(std::begin(kOurOptions), std::end(kOurOptions), option.name) !=
                      std::end(kOurOptions);
    if (server == "ps" && option.name == "file_system_poll_wait_seconds" &&
        config.agent_version == 1) {
      out.push_back(Flag(option.name, config.file_system_poll_wait_seconds_ps));
    } else if (ours && option.changed) {
      out.push_back(Flag(option.name, option.value));
    }
  }
  return out;
}

Result<bool> BinaryContains(const std::string& binary, std::string_view needle, FileSystem& files) {
  ASSIGN_OR_RETURN(const auto source, files.OpenRead(binary));
  // The end of each chunk is kept: the text may lie across two of them.
  std::string window;
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const size_t count, source->Read(chunk));
    if (count == 0) return false;
    window.append(chunk, 0, count);
    if (window.find(needle) != window.npos) return true;
    window.erase(0, window.size() - std::min(window.size(), needle.size() - 1));
  }
}

Result<bool> SpeaksGrpc(const std::string& binary, FileSystem& files) {
  return BinaryContains(binary, "PredictionServiceGrpc", files);
}

std::vector<std::string> ServerTypes(const AgentConfig& config) {
  if (config.deploy_type == DeployType::kUnified) return {"unified"};
  std::vector<std::string> out;
  if (config.Serves(DeployType::kPs)) out.push_back("ps");
  if (config.Serves(DeployType::kDense) && config.dense_alone) out.push_back("dense");
  for (size_t i = 1; i <= config.more_dense.size(); ++i) out.push_back(StrCat("dense.", i));
  if (config.Serves(DeployType::kEntry)) out.push_back("entry");
  return out;
}

std::string ServingLogFile(const AgentConfig& config, const std::string& tfs_log,
                           std::string_view server) {
  std::string out = tfs_log;
  if (server != "unified") {
    const size_t slash = tfs_log.rfind('/');
    const size_t name = slash == tfs_log.npos ? 0 : slash + 1;
    out = StrCat(tfs_log.substr(0, name), TypeOfServer(server), "_", tfs_log.substr(name));
  }
  const bool several = config.deploy_type == DeployType::kDense && config.dense_service_num > 1;
  const int64_t index = IndexOfServer(server);
  return several ? StrCat(out, ".mps", index != 0 ? index : config.dense_service_index) : out;
}

}  // namespace megalith::agent

#include "common/fleet/agent/model_servers.h"

#include <utility>

#include "common/fleet/agent/replica_manager.h"
#include "common/fleet/agent/serving_text.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::agent {
namespace {

// Where the platform's configuration goes: where agent.conf says, else where Monolith has it.
std::string PlatformFile(const AgentConfig& config, const ModelServerOptions& options) {
  const ServingOption* const option = config.Option("platform_config_file");
  if (option != nullptr && !option->value.empty()) return option->value;
  const std::string conf = JoinPath(options.home, "conf");
  return JoinPath(options.files->Stat(conf).ok() ? conf : options.data_directory,
                  "platform_config_file.cfg");
}

void WritePlatformFile(const AgentConfig& config, const std::string& path, FileSystem& files) {
  const Status status = files.WriteAtomically(path, PlatformConfigText(config));
  if (status.ok()) return;
  telemetry::Log(telemetry::Level::error, "agent_file_unwritten",
                 {{"path", path}, {"error", status.ToString()}});
  (void)files.Remove(path);  // an old one would be read
}

}  // namespace

std::string ModelServerBinary(const AgentConfig& config, const ModelServerOptions& options) {
  if (options.binary == "none") return "";
  if (!options.binary.empty()) return options.binary;
  if (!config.serving_binary.empty()) return config.serving_binary;
  for (const std::string& path :
       {JoinPath(options.home, "bin/tensorflow_model_server"), options.ours}) {
    if (!path.empty() && options.files->Stat(path).ok()) return path;
  }
  return "";
}

bool IsOurs(const std::string& binary) {
  const size_t slash = binary.rfind('/');
  return std::string_view(binary)
      .substr(slash == binary.npos ? 0 : slash + 1)
      .starts_with("megalith");
}

std::string ModelConfigFile(const ModelServerOptions& options, std::string_view server_type) {
  return JoinPath(options.data_directory, server_type == "unified"
                                              ? "models.config"
                                              : StrCat("models_", server_type, ".config"));
}

Result<std::vector<ProcessSpec>> PlanModelServers(const AgentConfig& config,
                                                  const ModelServerOptions& options,
                                                  const std::string& binary,
                                                  std::function<bool()> entry_may_start) {
  const bool unified = config.deploy_type == DeployType::kUnified;
  const bool ours = IsOurs(binary);
  if (!unified && config.agent_version == 1 && config.base_path.empty()) {
    return FailedPrecondition("model servers need base_path: the folder of the models");
  }
  ServingFiles files{.binary = binary, .model_config_file = "", .platform_config_file = ""};
  bool grpc = true;
  if (!ours) {
    files.platform_config_file = PlatformFile(config, options);
    WritePlatformFile(config, files.platform_config_file, *options.files);
    const Result<bool> speaks = SpeaksGrpc(binary, *options.files);
    grpc = !speaks.ok() || *speaks;
  }
  std::vector<ProcessSpec> out;
  for (const std::string& server : ServerTypes(config)) {
    const std::string type(TypeOfServer(server));
    files.model_config_file = ModelConfigFile(options, type);
    if (!unified) {
      // Version 2 tells its servers by HandleReloadConfigRequest.
      std::string text(kEmptyModelConfig);
      if (config.agent_version == 1) {
        ASSIGN_OR_RETURN(const std::vector<ModelEntry> models, ModelsOf(config, type));
        ASSIGN_OR_RETURN(text, ModelConfigText(models));
      }
      RETURN_IF_ERROR(options.files->WriteAtomically(files.model_config_file, text));
    }
    ProcessSpec spec;
    spec.name = server;
    spec.command = ours      ? MegalithCommand(config, server, files)
                   : unified ? UnifiedCommand(config, files, grpc)
                             : ServingCommand(config, server, files);
    const std::string directory = unified ? options.home : JoinPath(options.home, "bin");
    if (!ours && options.files->Stat(directory).ok()) spec.directory = directory;
    if (!config.inherit_output) spec.output = ServingLogFile(config, options.tfs_log, server);
    spec.truncate_output = unified;
    spec.port = config.PortsOf(server).grpc;
    if (!config.more_dense.empty()) {  // as the agents that the reference starts for each
      spec.environment["DENSE_SERVICE_IDX"] = StrCat(IndexOfServer(server));
      spec.environment["REPLICA_ID"] = StrCat(ReplicaIdOf(config, server));
    }
    if (type == "entry") {
      spec.environment["PORT2"] = StrCat(config.agent_port);
      spec.may_start = entry_may_start;
    }
    out.push_back(std::move(spec));
  }
  return out;
}

}  // namespace megalith::agent

// Command lines of model servers, argument for argument as Monolith's agent builds them (spec
// agent-service.md, section 8).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/foundation/base/file_system.h"

namespace megalith::agent {

// Where Monolith's containers keep the model server, its configuration and its models.
inline constexpr std::string_view kServingHome = "/opt/tiger/monolith_serving";

struct ServingFiles {
  std::string binary;                // first word of the command
  std::string model_config_file;     // --model_config_file
  std::string platform_config_file;  // --platform_config_file
};

// TF Serving's command for "ps", "entry", "dense" or "dense.1" (versions 1 and 2; spec 8.2).
std::vector<std::string> ServingCommand(const AgentConfig& config, std::string_view server,
                                        const ServingFiles& files);
// The same for the one model server of version 3 (spec 8.3). `grpc`: see SpeaksGrpc.
std::vector<std::string> UnifiedCommand(const AgentConfig& config, const ServingFiles& files,
                                        bool grpc);
// Our model server's command for any of them: the options that it has.
std::vector<std::string> MegalithCommand(const AgentConfig& config, std::string_view server,
                                         const ServingFiles& files);

// Whether the text of `binary` has `needle`. Errors: those of FileSystem::OpenRead.
Result<bool> BinaryContains(const std::string& binary, std::string_view needle, FileSystem& files);
// Whether sub-graphs served by `binary` call each other by gRPC: its text has
// "PredictionServiceGrpc". Errors: those of FileSystem::OpenRead.
Result<bool> SpeaksGrpc(const std::string& binary, FileSystem& files);

// Which model servers a container runs, in the order in which they start.
std::vector<std::string> ServerTypes(const AgentConfig& config);

// Where a model server's output goes: "/var/log/tfs.std.log" becomes "/var/log/ps_tfs.std.log";
// that of version 3 keeps its name. Several dense servers of one container add ".mps{i}".
std::string ServingLogFile(const AgentConfig& config, const std::string& tfs_log,
                           std::string_view server);

}  // namespace megalith::agent

// The model servers of a container as processes: which ones, with which command and files (spec
// agent-service.md, section 8).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/fleet/agent/serving_command.h"
#include "common/fleet/agent/supervisor.h"
#include "common/foundation/base/file_system.h"

namespace megalith::agent {

struct ModelServerOptions {
  // The model server to start; "none": none. Empty: MONOLITH_TFS_BINARY, else Monolith's own place
  // for it, else `ours`, each if it is there.
  std::string binary;
  std::string ours;  // path of megalith-execute; empty: none
  std::string tfs_log = "/var/log/tfs.std.log";
  std::string data_directory;      // of this process: configurations are written there
  std::string home{kServingHome};  // where Monolith's container has its model server
  FileSystem* files = &RealFileSystem();
};

// Which of them it is; empty: none.
std::string ModelServerBinary(const AgentConfig& config, const ModelServerOptions& options);

// Whether a binary is ours, by its name: it takes our command line.
bool IsOurs(const std::string& binary);

// Where the configuration of a type's models is: for version 3 whoever follows the layout writes
// it.
std::string ModelConfigFile(const ModelServerOptions& options, std::string_view server_type);

// Writes the files that the servers read and says how to run them, in their order.
// `entry_may_start` holds back the entry server; may be empty. A platform configuration that cannot
// be written is logged. Errors: kFailedPrecondition  base_path is missing; those of ModelsOf and of
// FileSystem::WriteAtomically.
Result<std::vector<ProcessSpec>> PlanModelServers(const AgentConfig& config,
                                                  const ModelServerOptions& options,
                                                  const std::string& binary,
                                                  std::function<bool()> entry_may_start);

}  // namespace megalith::agent

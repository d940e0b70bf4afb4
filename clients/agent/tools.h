// Monolith's command-line tools with their flags and their output (spec agent-service.md, section
// 11): agent_controller, agent_client, client, svr_client, tfs_client.
#pragma once

#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "clients/agent/flags.h"
#include "common/fleet/agent/config.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent_tools {

// What a tool works with; outlives it.
struct ToolWorld {
  std::ostream* out = nullptr;  // results, as the reference prints them
  std::ostream* err = nullptr;  // what the reference logs
  FileSystem* files = nullptr;
  agent::Environment environment;
};

// One program.
struct Tool {
  std::string_view name;
  std::string_view help;
  std::span<const ToolFlag> flags;
  Status (*run)(const ToolFlags& flags, ToolWorld& world) = nullptr;
};
std::span<const Tool> AllTools();

// Runs the tool `name`; `arguments` are without the program's name. Returns the exit code: 0, or 1
// with the reason on `err`, as the reference ends with after an exception.
int RunTool(std::string_view name, std::span<const std::string> arguments, ToolWorld world);

// The command line of `run`: its flag --bin_name, by default "agent", is cut out.
struct RunTarget {
  std::string bin_name;
  std::vector<std::string> arguments;
};
// Errors: kInvalidArgument  none of the programs.
Result<RunTarget> SplitRun(std::span<const std::string> arguments);

// What several tools need.

// Connected. Errors: kInvalidArgument  no servers; kUnavailable  they cannot be reached.
Result<std::unique_ptr<discovery::ZkClient>> OpenZooKeeper(const std::string& servers,
                                                           const ToolWorld& world);
// The file of --conf; without it defaults and the environment alone. Errors: those of
// agent::LoadAgentConfig.
Result<agent::AgentConfig> ToolConfig(const ToolFlags& flags, const ToolWorld& world);
// MY_HOST_IP, or the address of the host's name.
std::string ToolHost(const ToolWorld& world);

Status RunController(const ToolFlags& flags, ToolWorld& world);
Status RunAgentClient(const ToolFlags& flags, ToolWorld& world);
Status RunServingClient(const ToolFlags& flags, ToolWorld& world);
Status RunSvrClient(const ToolFlags& flags, ToolWorld& world);
Status RunTfsClient(const ToolFlags& flags, ToolWorld& world);

}  // namespace megalith::agent_tools

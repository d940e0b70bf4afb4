// Configuration of the agent beside its agent.conf.
#pragma once

#include <string>

#include "common/foundation/config/field.h"

namespace megalith::services {

struct AgentServiceConfig {
  std::string conf;
  std::string model_server;
  std::string tfs_log = "/var/log/tfs.std.log";
};

inline constexpr config::ConfigField<AgentServiceConfig> kAgentServiceFields[] = {
    config::Field<&AgentServiceConfig::conf>(
        "conf", "agent.conf: what to register and where ZooKeeper is (docs/agent.md)"),
    config::Field<&AgentServiceConfig::model_server>(
        "model_server",
        "model server to start and keep running; none: others run them; empty: what "
        "MONOLITH_TFS_BINARY names, else Monolith's if it is there, else ours"),
    config::Field<&AgentServiceConfig::tfs_log>(
        "tfs_log",
        "file for the output of model servers, the type before its name: ps_tfs.std.log"),
};

}  // namespace megalith::services

// Configuration of the agent beside its agent.conf.
#pragma once

#include <string>

#include "common/foundation/config/field.h"

namespace megalith::services {

struct AgentServiceConfig {
  std::string conf;
};

inline constexpr config::ConfigField<AgentServiceConfig> kAgentServiceFields[] = {
    config::Field<&AgentServiceConfig::conf>(
        "conf", "agent.conf: what to register and where ZooKeeper is (docs/agent.md)"),
};

}  // namespace megalith::services

// What an agent consists of while it runs: its session with ZooKeeper, the manager of its version,
// and the model servers that it has started.
#pragma once

#include <memory>
#include <string>

#include "common/fleet/agent/address_book.h"
#include "common/fleet/agent/config.h"
#include "common/fleet/agent/layout_manager.h"
#include "common/fleet/agent/mirror_manager.h"
#include "common/fleet/agent/model_manager.h"
#include "common/fleet/agent/model_servers.h"
#include "common/fleet/agent/replica_manager.h"
#include "common/fleet/agent/resource_reporter.h"
#include "common/fleet/agent/serving_status.h"
#include "common/fleet/agent/supervisor.h"
#include "services/agent/config.h"
#include "services/common/service_context.h"

namespace megalith::services {

// Thread-safe.
class RunningAgent {
 public:
  // Connects to ZooKeeper, registers, begins to watch, and starts the model servers. Without
  // ZooKeeper it registers when it comes. `context` outlives it. Errors: kFailedPrecondition  a
  // version with a deploy_type that it does not serve; kPermissionDenied  ZooKeeper refuses the
  // credentials; those of the managers.
  static Result<std::unique_ptr<RunningAgent>> Start(const agent::AgentConfig& config,
                                                     const AgentServiceConfig& fields,
                                                     ServiceContext& context);
  // Nobody is sent here any more before the model servers end.
  ~RunningAgent();

  const agent::AddressBook& book() const;

 private:
  RunningAgent(const agent::AgentConfig& config, const AgentServiceConfig& fields,
               ServiceContext& context);
  Status StartReplicas();
  Status StartMirror();
  Status StartLayout();
  Status StartServers();

  const agent::AgentConfig config_;
  ServiceContext& context_;
  agent::ModelServerOptions options_;
  std::string binary_;  // of the model servers; empty: others run them
  std::unique_ptr<discovery::ZkClient> client_;
  std::unique_ptr<agent::ServingStatus> status_;
  std::unique_ptr<agent::ModelManager> models_;      // none without a rough-sort model
  std::unique_ptr<agent::ReplicaManager> replicas_;  // version 1
  agent::ResourceReporter resources_;
  std::unique_ptr<agent::MirrorManager> mirror_;  // version 2
  std::unique_ptr<agent::LayoutManager> layout_;  // version 3
  std::unique_ptr<agent::Supervisor> servers_;
};

}  // namespace megalith::services

// Parameter sync of one server process: which half of it runs, made from configuration.
#pragma once

#include <memory>

#include "common/learning/sync/syncer.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/parameter_server/serving/serving_role.h"
#include "services/parameter_server/serving/sync_config.h"

namespace megalith::services {

// Use: Make, give observer() to the TableSet, Attach once the tables hold what they start with.
// It outlives the set; Stop comes before the set goes. Not thread-safe, except for what it hands
// out.
class SyncRole {
 public:
  // Server number `shard` of its model. `context` outlives the role.
  // Errors: kInvalidArgument  a role without a model's name.
  static Result<std::unique_ptr<SyncRole>> Make(const SyncConfig& config, int32_t shard,
                                                ServiceContext& context);
  ~SyncRole();

  // What a training server's tables report to; null in other roles.
  embedding::SetObserver* observer() { return touched_.get(); }

  // Training: begins to push. Serving: returns the services to be added to the server.
  // Errors: those of Syncer::Make.
  Result<ServiceList> Attach(embedding::TableSet& set);

  // Ends pushes; may be called several times.
  void Stop();

  // Training, after Attach; else null. Its checkpoints() want to hear of snapshots.
  sync::Syncer* syncer() { return syncer_.get(); }
  // Serving, after Attach; else null. Its SetVersion wants to hear of restored checkpoints.
  ServingRole* serving() { return serving_.get(); }

 private:
  SyncRole(const SyncConfig& config, int32_t shard, ServiceContext& context);

  const SyncConfig config_;
  const std::string model_;     // "<model>:ps_<shard>"
  const std::string resource_;  // "<resource>_<shard>"
  const int32_t shard_;
  ServiceContext& context_;
  std::unique_ptr<sync::TouchedSet> touched_;
  std::unique_ptr<sync::Syncer> syncer_;
  std::shared_ptr<ServingRole> serving_;
};

}  // namespace megalith::services

#include "services/parameter_server/serving/sync_role.h"

#include <utility>

#include "common/fleet/stubs/sync_target.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"

namespace megalith::services {
namespace {

constexpr int64_t kBytesPerFloat = 5;  // with what protobuf adds, generously

}  // namespace

Result<std::unique_ptr<SyncRole>> SyncRole::Make(const SyncConfig& config, int32_t shard,
                                                 ServiceContext& context) {
  if (config.role != SyncRoleKind::kNone && config.model.empty()) {
    return InvalidArgument("sync: a server that sends or takes rows needs the name of its model");
  }
  return std::unique_ptr<SyncRole>(new SyncRole(config, shard, context));
}

SyncRole::SyncRole(const SyncConfig& config, int32_t shard, ServiceContext& context)
    : config_(config),
      model_(StrCat(config.model, ":ps_", shard)),
      resource_(StrCat(config.resource, "_", shard)),
      shard_(shard),
      context_(context) {
  if (config.role != SyncRoleKind::kTrain) return;
  touched_ = std::make_unique<sync::TouchedSet>(
      sync::TouchedSet::Options{.max_keys = static_cast<size_t>(config.max_keys)},
      context.process.clock());
}

SyncRole::~SyncRole() { Stop(); }

void SyncRole::Stop() { syncer_ = nullptr; }

Result<ServiceList> SyncRole::Attach(embedding::TableSet& set) {
  const rpc::Process& process = context_.process;
  if (config_.role == SyncRoleKind::kServing) {
    ServingRoleOptions options;
    options.models = {model_, StrCat("ps_", shard_)};
    options.resource = resource_;
    options.version = config_.version;
    options.max_floats = process.config().max_response_bytes / kBytesPerFloat;
    options.instance = EntropySeed();
    serving_ = std::make_shared<ServingRole>(std::move(options), set, process.metrics());
    return MakeServingRole(serving_, process.threads());
  }
  if (config_.role == SyncRoleKind::kNone) return ServiceList();
  sync::SyncOptions options;
  options.push = {
      .model = model_, .form = config_.form, .resource = resource_, .timeout = config_.timeout};
  options.interval = config_.interval;
  options.resend_bytes_per_second = config_.resend_bytes_per_second;
  options.max_parallel = static_cast<size_t>(config_.max_parallel);
  const rpc::ChannelOptions channel = rpc::ChannelOptionsOf(process.config(), process.metrics());
  ASSIGN_OR_RETURN(
      syncer_,
      sync::Syncer::Make(
          options, {.set = set,
                    .touched = *touched_,
                    .resolve = stubs::ResolveSyncTargets(
                        process.discovery(), config_.targets.empty() ? model_ : config_.targets),
                    .connect = stubs::DialSyncTargets(channel, process.files()),
                    .metrics = process.metrics(),
                    .clock = process.clock(),
                    .seed = EntropySeed()}));
  syncer_->Start();
  return ServiceList();
}

}  // namespace megalith::services

// Serving replicas over gRPC: binds what common/learning/sync needs from the outside.
#pragma once

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/learning/sync/sync_target.h"

namespace megalith::stubs {

// Sends to `channel` with tensorflow.serving.PredictionService/Predict. A failed call is not tried
// again here: sync does that, with the rows as they are by then. Errors of Push: those of the call;
// kResourceExhausted  the message is above 32 MiB, Monolith's limit of a channel.
std::unique_ptr<sync::SyncTarget> MakeSyncTarget(std::shared_ptr<rpc::Channel> channel);

// Dials each target; an address that cannot be dialled fails in Push. What `options` say about
// retries is ignored. `options.metrics`, if any, and `files` outlive the targets.
sync::TargetFactory DialSyncTargets(rpc::ChannelOptions options,
                                    FileSystem& files = RealFileSystem());

// The replicas that `registry` lists for `service`; it outlives the resolver.
sync::TargetResolver ResolveSyncTargets(discovery::Registry& registry, std::string service);

}  // namespace megalith::stubs

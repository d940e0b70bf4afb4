#include "common/fleet/stubs/sync_target.h"

#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/sync/sync_proto.h"

namespace megalith::stubs {

using tensorflow::serving::PredictRequest;
using tensorflow::serving::PredictResponse;

namespace {

constexpr char kService[] = "tensorflow.serving.PredictionService";
constexpr size_t kMaxMessageBytes = 32 << 20;

class GrpcTarget final : public sync::SyncTarget {
 public:
  explicit GrpcTarget(std::shared_ptr<rpc::Channel> channel)
      : predict_(std::move(channel), kService, "Predict") {}

  Result<sync::PushAck> Push(const sync::Push& push) override {
    const PredictRequest request = sync::ToPredictRequest(push);
    if (request.ByteSizeLong() > kMaxMessageBytes) {
      return ResourceExhausted(StrCat("a part of ", request.ByteSizeLong(), " bytes is above the ",
                                      kMaxMessageBytes, " that targets accept"));
    }
    ASSIGN_OR_RETURN(const PredictResponse response, predict_(request, {.timeout = push.timeout}));
    sync::PushAck ack{.instance = sync::InstanceOf(response), .version = {}};
    if (response.model_spec().has_version()) ack.version = response.model_spec().version().value();
    return ack;
  }

 private:
  const rpc::UnaryMethod<PredictRequest, PredictResponse> predict_;
};

// An address that cannot even be dialled.
class BrokenTarget final : public sync::SyncTarget {
 public:
  explicit BrokenTarget(Status status) : status_(std::move(status)) {}
  Result<sync::PushAck> Push(const sync::Push&) override { return status_; }

 private:
  const Status status_;
};

}  // namespace

std::unique_ptr<sync::SyncTarget> MakeSyncTarget(std::shared_ptr<rpc::Channel> channel) {
  return std::make_unique<GrpcTarget>(std::move(channel));
}

sync::TargetFactory DialSyncTargets(rpc::ChannelOptions options, FileSystem& files) {
  options.retry.max_attempts = 1;
  return [options = std::move(options),
          &files](const sync::TargetAddress& target) -> std::unique_ptr<sync::SyncTarget> {
    auto channel = rpc::Channel::Dial(target.address, options, files);
    if (!channel.ok()) return std::make_unique<BrokenTarget>(channel.status());
    return MakeSyncTarget(*std::move(channel));
  };
}

sync::TargetResolver ResolveSyncTargets(discovery::Registry& registry, std::string service) {
  return [&registry, service = std::move(service)]() -> Result<std::vector<sync::TargetAddress>> {
    ASSIGN_OR_RETURN(const discovery::Snapshot snapshot, registry.Lookup(service));
    std::vector<sync::TargetAddress> targets;
    for (const discovery::Endpoint& endpoint : *snapshot) {
      targets.push_back({.address = endpoint.address, .idc = {}, .cluster = {}, .replica_id = -1});
    }
    return targets;
  };
}

}  // namespace megalith::stubs

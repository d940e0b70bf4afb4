// The waiting room of megalith.table.v1: embedding::Rendezvous behind gRPC.
#pragma once

#include "common/fleet/rpc/service.h"
#include "common/learning/embedding/server/rendezvous.h"
#include "megalith/table/v1/table.pb.h"
#include "services/parameter_server/config.h"

namespace megalith::services {

// Thread-safe. Has threads of its own: its calls wait.
// What each method promises: protos/megalith/table/v1/table.proto.
class CoordinationService final : public rpc::Service {
 public:
  explicit CoordinationService(const ParameterServerConfig& config);

  Result<table::v1::BarrierResponse> Barrier(const table::v1::BarrierRequest& request,
                                             const rpc::Call& call);
  Result<table::v1::PushResponse> Push(const table::v1::PushRequest& request,
                                       const rpc::Call& call);
  Result<table::v1::PopResponse> Pop(const table::v1::PopRequest& request, const rpc::Call& call);
  Result<table::v1::CloseQueueResponse> CloseQueue(const table::v1::CloseQueueRequest& request,
                                                   const rpc::Call& call);
  Result<table::v1::RemoveResponse> Remove(const table::v1::RemoveRequest& request,
                                           const rpc::Call& call);

 private:
  embedding::Rendezvous rendezvous_;
};

}  // namespace megalith::services

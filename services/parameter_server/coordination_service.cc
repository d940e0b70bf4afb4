#include "services/parameter_server/coordination_service.h"

namespace megalith::services {

namespace v1 = table::v1;

CoordinationService::CoordinationService(const ParameterServerConfig& config)
    : Service("megalith.table.v1.CoordinationService",
              {.unary = static_cast<size_t>(config.coordination_threads),
               .max_queued = static_cast<size_t>(config.coordination_threads),
               .max_streams = 1}),
      rendezvous_({.max_queued_bytes = static_cast<uint64_t>(config.max_queued_item_bytes)}) {
  Unary("Barrier", this, &CoordinationService::Barrier);
  Unary("Push", this, &CoordinationService::Push);
  Unary("Pop", this, &CoordinationService::Pop);
  Unary("CloseQueue", this, &CoordinationService::CloseQueue);
  Unary("Remove", this, &CoordinationService::Remove);
}

Result<v1::BarrierResponse> CoordinationService::Barrier(const v1::BarrierRequest& request,
                                                         const rpc::Call& call) {
  RETURN_IF_ERROR(rendezvous_.Arrive(request.name(), request.round(), request.participants(),
                                     request.participant(), call.cancellation()));
  return v1::BarrierResponse();
}

Result<v1::PushResponse> CoordinationService::Push(const v1::PushRequest& request,
                                                   const rpc::Call& call) {
  RETURN_IF_ERROR(rendezvous_.Push(request.queue(), request.capacity(), request.producer(),
                                   request.sequence(), request.item(), call.cancellation()));
  return v1::PushResponse();
}

Result<v1::PopResponse> CoordinationService::Pop(const v1::PopRequest& request,
                                                 const rpc::Call& call) {
  v1::PopResponse response;
  ASSIGN_OR_RETURN(*response.mutable_item(),
                   rendezvous_.Pop(request.queue(), request.consumer(), request.sequence(),
                                   call.cancellation()));
  return response;
}

Result<v1::CloseQueueResponse> CoordinationService::CloseQueue(const v1::CloseQueueRequest& request,
                                                               const rpc::Call&) {
  RETURN_IF_ERROR(rendezvous_.Close(request.queue()));
  return v1::CloseQueueResponse();
}

Result<v1::RemoveResponse> CoordinationService::Remove(const v1::RemoveRequest& request,
                                                       const rpc::Call&) {
  rendezvous_.Remove(request.name());
  return v1::RemoveResponse();
}

}  // namespace megalith::services

// One streaming call, of whatever direction, on the callback API.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "common/fleet/rpc/internal/server_core.h"
#include "common/fleet/rpc/service.h"

namespace megalith::rpc::internal {

// Starts the call and returns its reactor, which owns itself and calls Finish exactly once.
grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* StartStream(
    const MethodRecord& method, const StreamBody& body, grpc::CallbackServerContext* context);

}  // namespace megalith::rpc::internal

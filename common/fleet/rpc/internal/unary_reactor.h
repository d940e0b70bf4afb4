// One unary call on the callback API.
#pragma once

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include "common/fleet/rpc/internal/server_core.h"
#include "common/fleet/rpc/service.h"

namespace megalith::rpc::internal {

// Starts the call and returns its reactor, on which Finish is called exactly once.
grpc::ServerUnaryReactor* StartUnary(const MethodRecord& method, const UnaryBody& body,
                                     grpc::CallbackServerContext* context,
                                     const grpc::ByteBuffer* request, grpc::ByteBuffer* response);

}  // namespace megalith::rpc::internal

// Messages in and out of gRPC's byte buffers, with errors that say what is wrong.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include "common/foundation/base/status.h"

namespace google::protobuf {
class Message;
}

namespace megalith::rpc {

// Errors: kInvalidArgument  the bytes are no message of this type; the text names the type, and the
// field if it is one
//   that is no UTF-8.
Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message);

// Errors: kResourceExhausted  the message is above 2 GiB, which protobuf cannot write.
Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes);

// Sends protobuf's own complaints into ParseMessage's errors instead of stderr. Called once by
// Server and Channel.
void CaptureProtobufLog();

}  // namespace megalith::rpc

// Typed ends of a streaming call on the server side.
#pragma once

#include <grpcpp/support/byte_buffer.h>

#include <optional>

#include "common/fleet/rpc/codec.h"
#include "common/foundation/base/status.h"

namespace megalith::rpc {

// Untyped messages of one call. Both methods block the calling pool thread, never a thread of
// gRPC's. One thread may read while another writes.
class RawStream {
 public:
  virtual ~RawStream() = default;
  // nullopt when the caller has sent everything. Errors: kCancelled, kDeadlineExceeded.
  virtual Result<std::optional<grpc::ByteBuffer>> Read() = 0;
  // Returns when the message before this one is on its way. Errors: kCancelled, kDeadlineExceeded;
  // kResourceExhausted  the message is above max_response_bytes.
  virtual Status Write(grpc::ByteBuffer message) = 0;
};

// Messages from the caller.
template <typename Request>
class Reader {
 public:
  explicit Reader(RawStream* stream) : stream_(stream) {}
  // nullopt when the caller has sent everything. Errors: as RawStream; kInvalidArgument  bytes that
  // do not parse.
  Result<std::optional<Request>> Read() {
    ASSIGN_OR_RETURN(std::optional<grpc::ByteBuffer> bytes, stream_->Read());
    if (!bytes) return std::optional<Request>();
    std::optional<Request> request(std::in_place);
    RETURN_IF_ERROR(ParseMessage(*bytes, &*request));
    return request;
  }

 private:
  RawStream* const stream_;
};

// Messages to the caller.
template <typename Response>
class Writer {
 public:
  explicit Writer(RawStream* stream) : stream_(stream) {}
  Status Write(const Response& response) {
    grpc::ByteBuffer bytes;
    RETURN_IF_ERROR(SerializeMessage(response, &bytes));
    return stream_->Write(std::move(bytes));
  }

 private:
  RawStream* const stream_;
};

}  // namespace megalith::rpc

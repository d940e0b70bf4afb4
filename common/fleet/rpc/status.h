// Our Status on gRPC's wire: code and message as gRPC carries them, Python class, position and
// trace id in the details.
#pragma once

#include <grpcpp/support/status.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/base/status.h"

namespace megalith::common::v1 {
class ErrorDetail;
}

namespace megalith::rpc {

// A place in program text, 1-based; zeros mean none.
struct TextPosition {
  uint32_t line = 0;
  uint32_t column = 0;
};

// The first "line L, column C" of a message, which is how parsers say where they stopped.
TextPosition PositionIn(std::string_view message);

// Messages are cut to this many bytes: status and details share the 8 KiB that clients admit as
// metadata.
inline constexpr size_t kMaxMessageBytes = 1000;

// Text that is no UTF-8 is escaped. `trace_id` goes into the details.
grpc::Status ToGrpc(const Status& status, const std::string& trace_id);
void FillErrorDetail(const Status& status, const std::string& trace_id,
                     common::v1::ErrorDetail* detail);

// The inverse; details that do not parse are ignored. Never loses the code or the message.
Status FromGrpc(const grpc::Status& status);

}  // namespace megalith::rpc

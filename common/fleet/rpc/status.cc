#include "common/fleet/rpc/status.h"

#include "common/foundation/base/strings.h"
#include "google/rpc/status.pb.h"
#include "megalith/common/v1/common.pb.h"

namespace megalith::rpc {
namespace {

// Reads digits at `*at`, which moves behind them; 0 if there are none or too many.
uint32_t ReadNumber(std::string_view text, size_t* at) {
  const size_t start = *at;
  while (*at < text.size() && text[*at] >= '0' && text[*at] <= '9') ++*at;
  const std::optional<uint64_t> value = ParseUint(text.substr(start, *at - start));
  return value && *value <= UINT32_MAX ? static_cast<uint32_t>(*value) : 0;
}

std::string WireMessage(const std::string& message) {
  std::string text = FindInvalidUtf8(message) ? Printable(message, kMaxMessageBytes) : message;
  if (text.size() <= kMaxMessageBytes) return text;
  text.resize(kMaxMessageBytes);
  if (const auto bad = FindInvalidUtf8(text)) text.resize(*bad);  // do not cut a character in two
  return text + "...";
}

}  // namespace

TextPosition PositionIn(std::string_view message) {
  constexpr std::string_view kLine = "line ";
  constexpr std::string_view kColumn = ", column ";
  for (size_t at = message.find(kLine); at != std::string_view::npos;
       at = message.find(kLine, at)) {
    at += kLine.size();
    TextPosition position;
    position.line = ReadNumber(message, &at);
    if (position.line == 0 || message.substr(at, kColumn.size()) != kColumn) continue;
    at += kColumn.size();
    position.column = ReadNumber(message, &at);
    if (position.column != 0) return position;
  }
  return {};
}

void FillErrorDetail(const Status& status, const std::string& trace_id,
                     common::v1::ErrorDetail* detail) {
  const TextPosition position = PositionIn(status.message());
  detail->set_python_class(status.python_class());
  detail->set_message(WireMessage(status.message()));
  detail->set_line(position.line);
  detail->set_column(position.column);
  detail->set_trace_id(trace_id);
}

grpc::Status ToGrpc(const Status& status, const std::string& trace_id) {
  if (status.ok()) return grpc::Status::OK;
  common::v1::ErrorDetail detail;
  FillErrorDetail(status, trace_id, &detail);
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(detail.message());
  details.add_details()->PackFrom(detail);
  return {static_cast<grpc::StatusCode>(status.code()), detail.message(),
          details.SerializeAsString()};
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return OkStatus();
  int code = static_cast<int>(status.error_code());
  if (code < 1 || code > 16) code = static_cast<int>(Code::kUnknown);
  std::string python_class;
  google::rpc::Status details;
  if (details.ParseFromString(status.error_details())) {
    for (const google::protobuf::Any& any : details.details()) {
      common::v1::ErrorDetail detail;
      if (any.UnpackTo(&detail)) python_class = detail.python_class();
    }
  }
  return Status::WithClass(static_cast<Code>(code), python_class, status.error_message());
}

}  // namespace megalith::rpc

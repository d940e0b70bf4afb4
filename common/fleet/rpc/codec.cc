#include "common/fleet/rpc/codec.h"

#include <google/protobuf/message.h>
#include <google/protobuf/stubs/logging.h>
#include <grpcpp/support/proto_buffer_reader.h>
#include <grpcpp/support/slice.h>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

#include "common/foundation/base/strings.h"

namespace megalith::rpc {
namespace {

// gRPC hands the bytes of a message from the thread that serialised it to the one that parses it,
// both of one process where channels are in-process. Its locks are inside libraries that are not
// instrumented, so ThreadSanitizer is told of the hand-over here.
#ifdef MEGALITH_THREAD_SANITIZER
std::atomic<uint64_t> messages_handed_over{0};
void HandOver() { messages_handed_over.fetch_add(1, std::memory_order_release); }
void TakeOver() { messages_handed_over.load(std::memory_order_acquire); }
#else
void HandOver() {}
void TakeOver() {}
#endif

// The last complaint of protobuf on this thread, while ParseMessage listens.
thread_local std::string* complaint = nullptr;

void OnProtobufLog(google::protobuf::LogLevel, const char*, int, const std::string& message) {
  if (complaint != nullptr) *complaint = message;
}

// protobuf's sentence about UTF-8 names the field in quotes; ours keeps only that.
std::string FieldIn(const std::string& sentence) {
  const size_t open = sentence.find('\'');
  const size_t close = open == std::string::npos ? open : sentence.find('\'', open + 1);
  if (close == std::string::npos || sentence.find("UTF-8") == std::string::npos) return "";
  return sentence.substr(open + 1, close - open - 1);
}

bool Parse(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  grpc::Slice slice;
  if (bytes.TrySingleSlice(&slice).ok()) {
    return slice.size() <= INT32_MAX &&
           message->ParseFromArray(slice.begin(), static_cast<int>(slice.size()));
  }
  grpc::ByteBuffer copy(bytes);  // shares the slices; the reader wants a mutable buffer
  grpc::ProtoBufferReader reader(&copy);
  return reader.status().ok() && message->ParseFromZeroCopyStream(&reader);
}

}  // namespace

void CaptureProtobufLog() {
  static std::once_flag once;
  std::call_once(once, [] { google::protobuf::SetLogHandler(&OnProtobufLog); });
}

Status ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::Message* message) {
  TakeOver();
  std::string sentence;
  complaint = &sentence;
  const bool parsed = Parse(bytes, message);
  complaint = nullptr;
  if (parsed) return OkStatus();
  const std::string& type = message->GetDescriptor()->full_name();
  if (const std::string field = FieldIn(sentence); !field.empty()) {
    return InvalidArgument(StrCat("field ", field, " is not UTF-8 text"));
  }
  return InvalidArgument(
      StrCat("the ", bytes.Length(), " bytes received are no message of type ", type));
}

Status SerializeMessage(const google::protobuf::Message& message, grpc::ByteBuffer* bytes) {
  const size_t size = message.ByteSizeLong();
  if (size > INT32_MAX) {
    return ResourceExhausted(StrCat("message of type ", message.GetDescriptor()->full_name(),
                                    " would have ", size,
                                    " bytes, protobuf's limit is 2147483647"));
  }
  grpc::Slice slice(size);
  message.SerializeWithCachedSizesToArray(const_cast<uint8_t*>(slice.begin()));
  *bytes = grpc::ByteBuffer(&slice, 1);
  HandOver();
  return OkStatus();
}

}  // namespace megalith::rpc

#include "common/fleet/rpc/service.h"

#include <google/protobuf/descriptor.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>

#include "common/fleet/rpc/internal/server_core.h"
#include "common/fleet/rpc/internal/stream_reactor.h"
#include "common/fleet/rpc/internal/unary_reactor.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::rpc {

using grpc::ByteBuffer;
using grpc::internal::RpcMethod;
using grpc::internal::RpcServiceMethod;

Service::Service(std::string full_name, ServiceThreads threads)
    : full_name_(std::move(full_name)), threads_(threads) {}

Service::~Service() { StopThreads(); }

std::string Service::short_name() const {
  // megalith.<name>.v1.<Name>Service
  const std::vector<std::string_view> parts = Split(full_name_, '.');
  return std::string(parts.size() >= 3 ? parts[parts.size() - 3] : parts.front());
}

void Service::StopThreads() {
  if (unary_pool_ != nullptr) unary_pool_->Shutdown();
  if (stream_pool_ != nullptr) stream_pool_->Shutdown();
}

internal::MethodRecord* Service::NewRecord(std::string_view method,
                                           const google::protobuf::Descriptor* request,
                                           const google::protobuf::Descriptor* response,
                                           bool client, bool server) {
  const google::protobuf::MethodDescriptor* declared =
      google::protobuf::DescriptorPool::generated_pool()->FindMethodByName(
          StrCat(full_name_, ".", method));
  CHECK(declared != nullptr);
  CHECK(declared->input_type() == request && declared->output_type() == response);
  CHECK(declared->client_streaming() == client && declared->server_streaming() == server);
  auto record = std::make_unique<internal::MethodRecord>();
  record->service = full_name_;
  record->method = std::string(method);
  record->path = StrCat("/", full_name_, "/", method);
  records_.push_back(std::move(record));
  return records_.back().get();
}

void Service::AddUnary(std::string_view method, const google::protobuf::Descriptor* request,
                       const google::protobuf::Descriptor* response, internal::UnaryBody body) {
  internal::MethodRecord* record =
      NewRecord(method, request, response, /*client=*/false, /*server=*/false);
  if (unary_pool_ == nullptr) {
    unary_pool_ = std::make_unique<ThreadPool>(short_name().substr(0, 12), threads_.unary,
                                               threads_.max_queued);
  }
  record->pool = unary_pool_.get();
  const int index = static_cast<int>(records_.size()) - 1;
  AddMethod(new RpcServiceMethod(record->path.c_str(), RpcMethod::NORMAL_RPC, nullptr));
  MarkMethodRawCallback(
      index, new grpc::internal::CallbackUnaryHandler<ByteBuffer, ByteBuffer>(
                 [record, body = std::move(body)](grpc::CallbackServerContext* context,
                                                  const ByteBuffer* in, ByteBuffer* out) {
                   return internal::StartUnary(*record, body, context, in, out);
                 }));
}

void Service::AddStream(std::string_view method, const google::protobuf::Descriptor* request,
                        const google::protobuf::Descriptor* response, bool client, bool server,
                        internal::StreamBody body) {
  internal::MethodRecord* record = NewRecord(method, request, response, client, server);
  if (stream_pool_ == nullptr) {
    // A stream that finds no free thread is refused soon: one waiting call per thread, no more.
    stream_pool_ = std::make_unique<ThreadPool>(short_name().substr(0, 10) + "-s",
                                                threads_.max_streams, threads_.max_streams);
  }
  record->pool = stream_pool_.get();
  const int index = static_cast<int>(records_.size()) - 1;
  // On the wire all directions of streaming look alike, so one kind of reactor serves them all.
  AddMethod(new RpcServiceMethod(record->path.c_str(), RpcMethod::BIDI_STREAMING, nullptr));
  MarkMethodRawCallback(index,
                        new grpc::internal::CallbackBidiHandler<ByteBuffer, ByteBuffer>(
                            [record, body = std::move(body)](grpc::CallbackServerContext* context) {
                              return internal::StartStream(*record, body, context);
                            }));
}

void Service::Attach(internal::ServerCore* core) {
  core_ = core;
  for (const auto& record : records_) {
    record->core = core;
    for (size_t code = 0; code < record->handled.size(); ++code) {
      record->handled[code] = &core->metrics.GetCounter(
          telemetry::kRpcHandled,
          {record->service, record->method, CodeName(static_cast<Code>(code))});
    }
    record->seconds =
        &core->metrics.GetHistogram(telemetry::kRpcSeconds, {record->service, record->method});
  }
}

}  // namespace megalith::rpc

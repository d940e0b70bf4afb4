// A unary echo on gRPC's own callback API and a blocking client of it, with nothing of ours: what
// the benchmarks of this folder compare with. Header only; for benchmarks.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/testing/echo_service.h"
#include "common/foundation/base/strings.h"

namespace megalith::bench {

using testing::v1::EchoRequest;
using testing::v1::EchoResponse;

// What generated code does for a service whose handler answers at once on gRPC's own thread. The
// answer is the text followed by pad_bytes bytes.
class BareEcho final : public grpc::Service {
 public:
  BareEcho() {
    using grpc::internal::RpcServiceMethod;
    AddMethod(new RpcServiceMethod(path_.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodCallback(0, new grpc::internal::CallbackUnaryHandler<EchoRequest, EchoResponse>(
                              [](grpc::CallbackServerContext* context, const EchoRequest* request,
                                 EchoResponse* response) {
                                response->set_text(request->text());
                                response->mutable_text()->append(request->pad_bytes(), 'x');
                                grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
                                reactor->Finish(grpc::Status::OK);
                                return reactor;
                              }));
  }

 private:
  const std::string path_ = StrCat("/", rpc::testing::kEchoServiceName, "/Echo");
};

// One blocking call with a deadline, as generated stubs make it.
template <typename Request, typename Response>
grpc::Status BareCall(grpc::Channel* channel, const std::string& path, const Request& request,
                      Response* response) {
  const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  using google::protobuf::MessageLite;
  return grpc::internal::BlockingUnaryCall<Request, Response, MessageLite, MessageLite>(
      channel, method, &context, request, response);
}

// Seconds of each of `calls` runs of `call`.
template <typename Call>
void Time(int calls, const Call& call, std::vector<double>* seconds) {
  for (int i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    call();
    seconds->push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
}

inline double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

}  // namespace megalith::bench

// What the RPC adapter costs: a small echo through rpc::Service against the same echo on gRPC's
// bare callback API, in one process over loopback TCP, interleaved, with the same client. Prints
// median and 90th percentile in microseconds and the ratio of the medians.
//
//   bench/rpc_bench [calls per round, default 200] [rounds, default 60]
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/impl/client_unary_call.h>
#include <grpcpp/impl/codegen/proto_utils.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/server.h"
#include "common/fleet/rpc/testing/echo_service.h"
#include "common/foundation/base/strings.h"

namespace megalith {
namespace {

using rpc::testing::kEchoServiceName;
namespace v1 = ::megalith::testing::v1;

// What generated code does for a service whose handler answers at once on gRPC's own thread.
class BareEcho final : public grpc::Service {
 public:
  BareEcho() {
    using grpc::internal::RpcServiceMethod;
    AddMethod(new RpcServiceMethod(path_.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodCallback(0,
                       new grpc::internal::CallbackUnaryHandler<v1::EchoRequest, v1::EchoResponse>(
                           [](grpc::CallbackServerContext* context, const v1::EchoRequest* request,
                              v1::EchoResponse* response) {
                             response->set_text(request->text());
                             grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
                             reactor->Finish(grpc::Status::OK);
                             return reactor;
                           }));
  }

 private:
  const std::string path_ = StrCat("/", kEchoServiceName, "/Echo");
};

// Seconds of each call.
std::vector<double> Measure(grpc::Channel* channel, int calls, const char* name = "Echo") {
  const std::string path = StrCat("/", kEchoServiceName, "/", name);
  const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
  v1::EchoRequest request;
  request.set_text("hello");
  std::vector<double> out;
  for (int i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::EchoResponse response;
    const grpc::Status status = grpc::internal::BlockingUnaryCall<v1::EchoRequest, v1::EchoResponse,
                                                                  google::protobuf::MessageLite,
                                                                  google::protobuf::MessageLite>(
        channel, method, &context, request, &response);
    CHECK(status.ok() && response.text() == "hello");
    out.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return out;
}

// The same through our client.
std::vector<double> MeasureOurClient(
    const rpc::UnaryMethod<v1::EchoRequest, v1::EchoResponse>& echo, int calls) {
  v1::EchoRequest request;
  request.set_text("hello");
  std::vector<double> out;
  for (int i = 0; i < calls; ++i) {
    const auto start = std::chrono::steady_clock::now();
    const auto response = echo(request);
    CHECK(response.ok() && response->text() == "hello");
    out.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return out;
}

double Quantile(std::vector<double> values, double q) {
  std::sort(values.begin(), values.end());
  return values[static_cast<size_t>(q * static_cast<double>(values.size() - 1))];
}

int Run(int calls, int rounds) {
  BareEcho bare;
  grpc::ServerBuilder builder;
  int bare_port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &bare_port);
  builder.RegisterService(&bare);
  const std::unique_ptr<grpc::Server> bare_server = builder.BuildAndStart();

  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Service>> services;
  services.push_back(std::make_unique<rpc::testing::EchoService>(nullptr));
  const auto server =
      *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), metrics);

  const auto dial = [](const std::string& address) {
    return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  };
  const auto bare_channel = dial(StrCat("127.0.0.1:", bare_port));
  const auto our_channel = dial(server->addresses()[0]);
  using Method = rpc::UnaryMethod<v1::EchoRequest, v1::EchoResponse>;
  const auto fleet_channel = *rpc::Channel::Dial(server->addresses()[0], {});
  const Method echo(fleet_channel, kEchoServiceName, "Echo");
  const Method quick(fleet_channel, kEchoServiceName, "EchoQuick");
  Measure(bare_channel.get(), 200);
  Measure(our_channel.get(), 200);
  MeasureOurClient(echo, 200);

  std::vector<double> bare_seconds;
  std::vector<double> our_seconds;
  std::vector<double> client_seconds;
  std::vector<double> quick_server_seconds;
  std::vector<double> quick_seconds;
  const auto append = [](std::vector<double>& to, std::vector<double> more) {
    to.insert(to.end(), more.begin(), more.end());
  };
  // Short turns, so that all three see the same neighbours on the machine.
  for (int i = 0; i < rounds; ++i) {
    append(bare_seconds, Measure(bare_channel.get(), calls));
    append(our_seconds, Measure(our_channel.get(), calls));
    append(client_seconds, MeasureOurClient(echo, calls));
    append(quick_server_seconds, Measure(our_channel.get(), calls, "EchoQuick"));
    append(quick_seconds, MeasureOurClient(quick, calls));
  }
  const double bare_median = Quantile(bare_seconds, 0.5);
  const auto print = [&](const char* name, const std::vector<double>& seconds) {
    std::printf("%-34s %10.1f %10.1f %8.2f\n", name, Quantile(seconds, 0.5) * 1e6,
                Quantile(seconds, 0.9) * 1e6, Quantile(seconds, 0.5) / bare_median);
  };
  std::printf("%-34s %10s %10s %8s\n", "unary echo, 5 bytes, loopback TCP", "median us", "p90 us",
              "ratio");
  print("bare gRPC callback", bare_seconds);
  print("our server (pool), bare client", our_seconds);
  print("our server (pool), our client", client_seconds);
  print("our server (quick), bare client", quick_server_seconds);
  print("our server (quick), our client", quick_seconds);
  return 0;
}

}  // namespace
}  // namespace megalith

int main(int argc, char** argv) {
  const auto number = [&](int i, int fallback) {
    return argc > i ? static_cast<int>(megalith::ParseInt(argv[i]).value_or(fallback)) : fallback;
  };
  return megalith::Run(number(1, 200), number(2, 60));
}

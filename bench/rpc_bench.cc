// What the RPC adapter costs: a small echo through rpc::Service against the same echo on gRPC's
// bare callback API, in one process over loopback TCP, interleaved, with the same client. Prints
// median, 90th and 99th percentile in microseconds and the ratio of the medians.
//
//   bench/rpc_bench [calls per round, default 200] [rounds, default 60]
#include <grpcpp/create_channel.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "bench/bare_grpc.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/server.h"

namespace megalith::bench {
namespace {

using rpc::testing::kEchoServiceName;
using Method = rpc::UnaryMethod<EchoRequest, EchoResponse>;

struct Row {
  std::string name;
  std::function<void()> call;
  std::vector<double> seconds;
};

std::function<void()> Bare(std::shared_ptr<grpc::Channel> channel, const char* name) {
  return [channel = std::move(channel), path = StrCat("/", kEchoServiceName, "/", name)] {
    EchoRequest request;
    request.set_text("hello");
    EchoResponse response;
    const grpc::Status status = BareCall(channel.get(), path, request, &response);
    CHECK(status.ok() && response.text() == "hello");
  };
}

std::function<void()> Ours(const Method& method) {
  return [method] {
    EchoRequest request;
    request.set_text("hello");
    const auto response = method(request);
    CHECK(response.ok() && response->text() == "hello");
  };
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
  const auto our_channel = dial(server->addresses()[0]);
  const auto fleet_channel = *rpc::Channel::Dial(server->addresses()[0], {});
  std::vector<Row> rows = {
      {"bare gRPC callback", Bare(dial(StrCat("127.0.0.1:", bare_port)), "Echo"), {}},
      {"our server (pool), bare client", Bare(our_channel, "Echo"), {}},
      {"our server (pool), our client", Ours({fleet_channel, kEchoServiceName, "Echo"}), {}},
      {"our server (quick), bare client", Bare(our_channel, "EchoQuick"), {}},
      {"our server (quick), our client", Ours({fleet_channel, kEchoServiceName, "EchoQuick"}), {}},
  };
  for (Row& row : rows) Time(200, row.call, &row.seconds);
  for (Row& row : rows) row.seconds.clear();
  // Short turns, so that all see the same neighbours on the machine.
  for (int i = 0; i < rounds; ++i) {
    for (Row& row : rows) Time(calls, row.call, &row.seconds);
  }
  std::printf("%-34s %10s %10s %10s %8s\n", "unary echo, 5 bytes, loopback TCP", "median us",
              "p90 us", "p99 us", "ratio");
  for (const Row& row : rows) {
    std::printf("%-34s %10.1f %10.1f %10.1f %8.2f\n", row.name.c_str(),
                Quantile(row.seconds, 0.5) * 1e6, Quantile(row.seconds, 0.9) * 1e6,
                Quantile(row.seconds, 0.99) * 1e6,
                Quantile(row.seconds, 0.5) / Quantile(rows[0].seconds, 0.5));
  }
  return 0;
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  const auto number = [&](int i, int fallback) {
    return argc > i ? static_cast<int>(megalith::ParseInt(argv[i]).value_or(fallback)) : fallback;
  };
  return megalith::bench::Run(number(1, 200), number(2, 60));
}

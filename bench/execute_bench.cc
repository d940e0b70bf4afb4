// What a service hop costs: a small warm Execute by key (f32[8] + f32[8], real engines, reference
// backend, whole fleet in one process) against a bare gRPC echo with messages of the same sizes on
// the same transport, interleaved. Transports: loopback TCP, unix socket, in-process channel.
// Prints median, 90th and 99th percentile in microseconds and the ratio of the medians.
//
//   bench/execute_bench [calls per round, default 200] [rounds, default 60]
#include <grpcpp/create_channel.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/bare_grpc.h"
#include "common/fleet/rpc/channel.h"
#include "common/foundation/base/file_system.h"
#include "megalith/execute/v1/execute.pb.h"
#include "services/allinone/engines.h"
#include "services/allinone/fleet.h"

namespace megalith::bench {
namespace {

using execute::v1::ExecuteRequest;
using execute::v1::ExecuteResponse;
using Method = rpc::UnaryMethod<ExecuteRequest, ExecuteResponse>;

constexpr char kService[] = "megalith.execute.v1.ExecuteService";
constexpr char kProgram[] = "{ lambda ; a:f32[8] b:f32[8]. let c:f32[8] = add a b in (c,) }";

// One transport: where the bare echo and the fleet are.
struct Transport {
  std::string name;
  std::shared_ptr<grpc::Channel> bare;
  std::shared_ptr<grpc::Channel> fleet;
  std::shared_ptr<rpc::Channel> our_client;
};

struct Row {
  std::string name;
  std::function<void()> call;
  std::vector<double> seconds;
};

ExecuteRequest AddRequest() {
  ExecuteRequest request;
  request.mutable_chain()->mutable_source()->set_jaxpr_text(kProgram);
  for (int i = 0; i < 2; ++i) {
    auto* t = request.add_arguments()->mutable_tensor();
    t->set_dtype("f32");
    t->add_dims(8);
    t->set_data(std::string(32, '\0'));
  }
  return request;
}

// The rows of one transport; the first is the bare echo.
std::vector<Row> RowsOf(const Transport& t) {
  const Method execute(t.our_client, kService, "Execute");
  ExecuteRequest request = AddRequest();
  const auto first = execute(request);
  CHECK(first.ok());
  request.set_key(first->key());
  // Twice by key: then the program has proved quick.
  for (int i = 0; i < 2; ++i) CHECK(execute(request).ok());
  const auto warm = execute(request);
  CHECK(warm.ok());

  // "text" is field 1, "pad_bytes" a varint: text of the length that makes both messages as long as
  // those of Execute.
  EchoRequest echo;
  EchoResponse answer;
  while (answer.ByteSizeLong() < warm->ByteSizeLong()) answer.mutable_text()->push_back('x');
  echo.set_text("x");
  while (true) {
    echo.set_pad_bytes(std::max<size_t>(answer.text().size(), echo.text().size()) -
                       echo.text().size());
    if (echo.ByteSizeLong() >= request.ByteSizeLong()) break;
    echo.mutable_text()->push_back('x');
  }
  std::printf("%s: request %zu bytes, answer %zu bytes; echo %zu and %zu\n", t.name.c_str(),
              request.ByteSizeLong(), warm->ByteSizeLong(), echo.ByteSizeLong(),
              answer.ByteSizeLong());

  const std::string echo_path = StrCat("/", rpc::testing::kEchoServiceName, "/Echo");
  const std::string execute_path = StrCat("/", kService, "/Execute");
  return {{"bare echo, bare client",
           [t, echo, echo_path] {
             EchoResponse response;
             CHECK(BareCall(t.bare.get(), echo_path, echo, &response).ok());
           },
           {}},
          {"Execute, bare client",
           [t, request, execute_path] {
             ExecuteResponse response;
             CHECK(BareCall(t.fleet.get(), execute_path, request, &response).ok());
             CHECK(response.results_size() == 1);
           },
           {}},
          {"Execute, our client",
           [execute, request] {
             const auto response = execute(request);
             CHECK(response.ok() && response->results_size() == 1);
           },
           {}}};
}

void Measure(const Transport& transport, int calls, int rounds) {
  std::vector<Row> rows = RowsOf(transport);
  for (Row& row : rows) Time(500, row.call, &row.seconds);
  for (Row& row : rows) row.seconds.clear();
  for (int i = 0; i < rounds; ++i) {
    for (Row& row : rows) Time(calls, row.call, &row.seconds);
  }
  for (const Row& row : rows) {
    std::printf("%-12s %-26s %10.1f %10.1f %10.1f %8.2f\n", transport.name.c_str(),
                row.name.c_str(), Quantile(row.seconds, 0.5) * 1e6,
                Quantile(row.seconds, 0.9) * 1e6, Quantile(row.seconds, 0.99) * 1e6,
                Quantile(row.seconds, 0.5) / Quantile(rows[0].seconds, 0.5));
  }
}

int Run(int calls, int rounds) {
  const TempDirectory directory;
  const std::string bare_unix = StrCat("unix:", directory.path(), "/bare");
  BareEcho bare;
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.AddListeningPort(bare_unix, grpc::InsecureServerCredentials());
  builder.RegisterService(&bare);
  const std::unique_ptr<grpc::Server> bare_server = builder.BuildAndStart();

  services::EmbeddedFleet::Options options;
  options.process.listen = {"127.0.0.1:0", StrCat("unix:", directory.path(), "/fleet")};
  const auto fleet = *services::EmbeddedFleet::Start(options, services::RealEngines());

  const auto dial = [](const std::string& address) {
    return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  };
  const auto& addresses = fleet->server().addresses();
  const std::vector<Transport> transports = {
      {"TCP", dial(StrCat("127.0.0.1:", port)), dial(addresses[0]),
       *rpc::Channel::Dial(addresses[0], {})},
      {"unix", dial(bare_unix), dial(addresses[1]), *rpc::Channel::Dial(addresses[1], {})},
      {"in-process", bare_server->InProcessChannel({}), fleet->server().InProcessChannel(),
       fleet->channel()},
  };
  std::printf("%-12s %-26s %10s %10s %10s %8s\n", "transport", "call", "median us", "p90 us",
              "p99 us", "ratio");
  for (const Transport& t : transports) Measure(t, calls, rounds);
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

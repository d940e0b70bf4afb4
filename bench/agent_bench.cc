// What a heartbeat costs: AgentService.HeartBeat over 1,000 replicas in 200 tasks against a bare
// gRPC echo that answers as many bytes, in one process over loopback TCP, interleaved, with the
// same client. Prints median, 90th and 99th percentile in microseconds and the ratios of the last.
//
//   bench/agent_bench [calls per round, default 100] [rounds, default 60]
#include <grpcpp/create_channel.h>

#include <cstdio>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "bench/bare_grpc.h"
#include "common/fleet/agent/replica_table.h"
#include "common/fleet/rpc/server.h"
#include "monolith/agent_service/agent_service.pb.h"
#include "services/agent/agent_service.h"

namespace megalith::bench {
namespace {

namespace pb = monolith::serving::agent_service;

constexpr int kTasks = 200;
constexpr int kReplicasOfATask = 5;

discovery::Tree TreeOfReplicas() {
  discovery::Tree tree;
  for (int task = 0; task < kTasks; ++task) {
    const std::string path = StrCat("ps:", task);
    tree.nodes[path] = std::make_shared<discovery::ZkNode>();
    for (int replica = 0; replica < kReplicasOfATask; ++replica) {
      const std::string address = StrCat("10.0.", task, ".", replica, ":8500");
      tree.nodes[StrCat(path, "/", replica)] = std::make_shared<discovery::ZkNode>(
          discovery::ZkNode{.data = discovery::WriteRecord(
                                discovery::ReplicaMeta{.address = address, .stat = 30})});
    }
  }
  return tree;
}

struct Row {
  std::string name;
  std::function<void()> call;
  std::vector<double> seconds;
};

int Run(int calls, int rounds) {
  agent::ReplicaTable table({});
  table.Update(TreeOfReplicas());
  telemetry::MetricRegistry metrics;
  std::vector<std::unique_ptr<rpc::Service>> services;
  services.push_back(
      std::make_unique<services::AgentService>(table, nullptr, rpc::ServiceThreads()));
  const auto server =
      *rpc::Server::Start({.listen = {"127.0.0.1:0"}}, std::move(services), metrics);
  BareEcho bare;
  grpc::ServerBuilder builder;
  int bare_port = 0;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &bare_port);
  builder.RegisterService(&bare);
  const std::unique_ptr<grpc::Server> bare_server = builder.BuildAndStart();

  const auto dial = [](const std::string& address) {
    return grpc::CreateChannel(address, grpc::InsecureChannelCredentials());
  };
  const auto agent_channel = dial(server->addresses()[0]);
  const auto bare_channel = dial(StrCat("127.0.0.1:", bare_port));
  const auto call = [](grpc::Channel* channel, const std::string& path,
                       const google::protobuf::Message& request) {
    const std::string bytes = request.SerializeAsString();
    const grpc::Slice slice(bytes);
    const grpc::ByteBuffer in(&slice, 1);
    grpc::ByteBuffer out;
    const grpc::internal::RpcMethod method(path.c_str(), grpc::internal::RpcMethod::NORMAL_RPC);
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    const auto status = grpc::internal::BlockingUnaryCall<grpc::ByteBuffer, grpc::ByteBuffer>(
        channel, method, &context, in, &out);
    CHECK(status.ok());
    return out.Length();
  };
  const auto heart_beat = [&] {
    return call(agent_channel.get(), "/monolith.serving.agent_service.AgentService/HeartBeat",
                pb::HeartBeatRequest());
  };
  const size_t bytes = heart_beat();
  const auto echo = [&] {
    EchoRequest request;
    request.set_pad_bytes(bytes - 4);  // and the field's tag and length
    CHECK(call(bare_channel.get(), StrCat("/", rpc::testing::kEchoServiceName, "/Echo"), request) ==
          bytes);
  };
  std::vector<Row> rows = {{"bare gRPC echo of equal bytes", echo, {}},
                           {"AgentService.HeartBeat", [&heart_beat] { (void)heart_beat(); }, {}}};
  for (Row& row : rows) Time(200, row.call, &row.seconds);
  for (Row& row : rows) row.seconds.clear();
  // Short turns, so that both see the same neighbours on the machine.
  for (int i = 0; i < rounds; ++i) {
    for (Row& row : rows) Time(calls, row.call, &row.seconds);
  }
  std::printf("%zu bytes for %d replicas in %d tasks\n", bytes, kTasks * kReplicasOfATask, kTasks);
  std::printf("%-32s %10s %10s %10s %8s %8s\n", "", "median us", "p90 us", "p99 us", "median x",
              "p99 x");
  const auto at = [](const Row& row, double q) { return Quantile(row.seconds, q); };
  for (const Row& row : rows) {
    std::printf("%-32s %10.1f %10.1f %10.1f %8.2f %8.2f\n", row.name.c_str(), at(row, 0.5) * 1e6,
                at(row, 0.9) * 1e6, at(row, 0.99) * 1e6, at(row, 0.5) / at(rows[0], 0.5),
                at(row, 0.99) / at(rows[0], 0.99));
  }
  return 0;
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  const auto number = [&](int i, int fallback) {
    return argc > i ? static_cast<int>(megalith::ParseInt(argv[i]).value_or(fallback)) : fallback;
  };
  return megalith::bench::Run(number(1, 100), number(2, 60));
}

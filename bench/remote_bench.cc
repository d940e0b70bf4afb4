// Small calls of the plugin on a fleet against a bare gRPC echo of the same size, in turns:
//   megalith --listen=unix:/tmp/megalith.sock &
//   remote_bench unix:/tmp/megalith.sock [ROUNDS]
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <cstdio>
#include <cstdlib>

#include "bench/bare_grpc.h"
#include "clients/pjrt/testing/plugin_host.h"
#include "common/foundation/base/file_system.h"

namespace megalith::pjrt {
namespace {

class Bench : public PluginHost {
 public:
  void TestBody() override {}

  int Main(const std::string& address, int rounds) {
    const TempDirectory directory;
    const std::string socket = "unix:" + JoinPath(directory.path(), "echo");
    bench::BareEcho echo;
    grpc::ServerBuilder builder;
    builder.AddListeningPort(socket, grpc::InsecureServerCredentials());
    builder.RegisterService(&echo);
    const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
    const auto channel = grpc::CreateChannel(socket, grpc::InsecureChannelCredentials());
    bench::EchoRequest request;
    request.set_text(std::string(100, 'x'));
    const std::string path = StrCat("/", rpc::testing::kEchoServiceName, "/Echo");

    std::string error = Open({{"address", address}});
    abi::LoadedExecutable* add = nullptr;
    if (error.empty()) error = Compile(kAdd, &add);
    if (!error.empty()) {
      std::fprintf(stderr, "%s\n", error.c_str());
      return 1;
    }
    abi::Buffer* const a = PutFloats({1, 2, 3});
    const auto call_echo = [&] {
      bench::EchoResponse response;
      bench::BareCall(channel.get(), path, request, &response);
    };
    const auto launch = [&](int times) {
      std::vector<abi::Buffer*> results, last;
      for (int i = 0; i < times; ++i) {
        Run(add, {last.empty() ? a : last[0], a}, &results);
        if (!last.empty()) Destroy(last[0]);
        last = results;
      }
      Get<float>(last[0]);
      Destroy(last[0]);
    };
    std::vector<double> echoes, one, eight;
    bench::Time(100, call_echo, &echoes);
    bench::Time(100, [&] { launch(1); }, &one);
    echoes.clear();
    one.clear();
    for (int r = 0; r < rounds; ++r) {
      bench::Time(200, call_echo, &echoes);
      bench::Time(200, [&] { launch(1); }, &one);
      bench::Time(50, [&] { launch(8); }, &eight);
    }
    const double base = bench::Quantile(echoes, 0.5);
    const auto print = [base](const char* name, const std::vector<double>& seconds) {
      const double median = bench::Quantile(seconds, 0.5);
      std::printf("%-28s %8.1f us %6.2f\n", name, median * 1e6, median / base);
    };
    print("bare echo", echoes);
    print("launch and fetch", one);
    print("8 launches in a row, fetch", eight);
    Destroy(a);
    Destroy(add);
    TearDown();
    server->Shutdown();
    return 0;
  }
};

}  // namespace
}  // namespace megalith::pjrt

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: remote_bench ADDRESS [ROUNDS]\n");
    return 2;
  }
  return megalith::pjrt::Bench().Main(argv[1], argc > 2 ? std::max(1, std::atoi(argv[2])) : 20);
}

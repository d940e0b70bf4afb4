// A compile storm: clients that all at once want one of a few programs that nobody has compiled,
// from a fleet in one process, over loopback TCP. Prints the time until all have theirs, the
// median, the 99th percentile and the longest wait of a client, and how many programs were
// compiled; then the same again with all of them in the cache.
//
//   bench/storm_bench [clients, default 200] [programs, default 20] [tier, default 1]
#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <string>
#include <thread>
#include <vector>

#include "common/fleet/rpc/channel.h"
#include "common/fleet/stubs/health_client.h"
#include "common/fleet/stubs/program_clients.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "megalith/compile/v1/compile.pb.h"
#include "services/allinone/engines.h"
#include "services/allinone/fleet.h"

namespace megalith::bench {
namespace {

// Two layers with a softmax: products, fused kernels, reductions. `seed` makes it another program.
std::string ProgramText(int seed) {
  return StrCat(R"(module {
  func.func public @main(%x: tensor<32x64xf32>, %w: tensor<64x128xf32>, %v: tensor<128x64xf32>) -> tensor<32x64xf32> {
    %zero = stablehlo.constant dense<0.0> : tensor<f32>
    %low = stablehlo.constant dense<0xFF800000> : tensor<f32>
    %c = stablehlo.constant dense<)",
                seed, R"(.25> : tensor<32x128xf32>
    %h = stablehlo.dot_general %x, %w, contracting_dims = [1] x [0] : (tensor<32x64xf32>, tensor<64x128xf32>) -> tensor<32x128xf32>
    %b = stablehlo.add %h, %c : tensor<32x128xf32>
    %t = stablehlo.tanh %b : tensor<32x128xf32>
    %o = stablehlo.dot_general %t, %v, contracting_dims = [1] x [0] : (tensor<32x128xf32>, tensor<128x64xf32>) -> tensor<32x64xf32>
    %m = stablehlo.reduce(%o init: %low) applies stablehlo.maximum across dimensions = [1] : (tensor<32x64xf32>, tensor<f32>) -> tensor<32xf32>
    %mb = stablehlo.broadcast_in_dim %m, dims = [0] : (tensor<32xf32>) -> tensor<32x64xf32>
    %d = stablehlo.subtract %o, %mb : tensor<32x64xf32>
    %e = stablehlo.exponential %d : tensor<32x64xf32>
    %s = stablehlo.reduce(%e init: %zero) applies stablehlo.add across dimensions = [1] : (tensor<32x64xf32>, tensor<f32>) -> tensor<32xf32>
    %sb = stablehlo.broadcast_in_dim %s, dims = [0] : (tensor<32xf32>) -> tensor<32x64xf32>
    %r = stablehlo.divide %e, %sb : tensor<32x64xf32>
    return %r : tensor<32x64xf32>
  }
}
)");
}

// False if some client failed.
bool Storm(const std::string& name, const std::string& address, int clients, int programs,
           const std::string& tier, telemetry::MetricRegistry& metrics) {
  std::vector<double> seconds(static_cast<size_t>(clients));
  std::atomic<int> failed{0};
  std::latch ready(clients + 1);
  const uint64_t before = metrics.GetCounter(telemetry::kCompileStarted).value();
  std::vector<std::jthread> threads;
  for (int c = 0; c < clients; ++c) {
    threads.emplace_back([&, c] {
      const std::shared_ptr<rpc::Channel> channel = *rpc::Channel::Dial(address, {});
      // Connecting is no part of it.
      while (!stubs::HealthClient(channel).GetInfo().ok()) std::this_thread::yield();
      const stubs::CompileClient client(channel);
      compile::v1::CompileRequest request;
      request.set_stablehlo_text(ProgramText(c % programs));
      (*request.mutable_options()->mutable_extra())["tier"] = tier;
      request.mutable_options()->set_client(StrCat("client ", c));
      ready.arrive_and_wait();
      const Stopwatch stopwatch;
      const auto result = client.Compile(request, nullptr);
      seconds[static_cast<size_t>(c)] = stopwatch.Seconds();
      if (!result.ok() && failed++ == 0)
        std::fprintf(stderr, "%s\n", result.status().ToString().c_str());
    });
  }
  ready.arrive_and_wait();
  const Stopwatch stopwatch;
  threads.clear();
  const double total = stopwatch.Seconds();
  std::sort(seconds.begin(), seconds.end());
  std::printf("| %s | %d | %d | %.0f | %.0f | %.0f | %.0f | %llu | %d |\n", name.c_str(), clients,
              programs, total * 1e3, seconds[seconds.size() / 2] * 1e3,
              seconds[seconds.size() * 99 / 100] * 1e3, seconds.back() * 1e3,
              static_cast<unsigned long long>(
                  metrics.GetCounter(telemetry::kCompileStarted).value() - before),
              failed.load());
  return failed.load() == 0;
}

int Main(int argc, char** argv) {
  const int clients = argc > 1 ? std::atoi(argv[1]) : 200;
  const int programs = argc > 2 ? std::atoi(argv[2]) : 20;
  const std::string tier = argc > 3 ? argv[3] : "1";
  if (clients < 1 || programs < 1) {
    std::fprintf(stderr, "usage: storm_bench [clients] [programs] [tier]\n");
    return 2;
  }
  services::EmbeddedFleet::Options options;
  options.process.listen = {"127.0.0.1:0"};
  options.process.access_log_per_second = 1;
  const auto fleet = services::EmbeddedFleet::Start(std::move(options), services::RealEngines());
  if (!fleet.ok()) {
    std::fprintf(stderr, "%s\n", fleet.status().ToString().c_str());
    return 1;
  }
  const std::string address = (*fleet)->server().addresses()[0];
  std::printf(
      "tier %s\n| storm | clients | programs | total ms | p50 ms | p99 ms | longest ms | "
      "compilations | failed |\n|---|---|---|---|---|---|---|---|---|\n",
      tier.c_str());
  bool good = Storm("cold", address, clients, programs, tier, (*fleet)->metrics());
  good = Storm("again", address, clients, programs, tier, (*fleet)->metrics()) && good;
  return good ? 0 : 1;
}

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) { return megalith::bench::Main(argc, argv); }

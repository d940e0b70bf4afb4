// A parameter server over gRPC on loopback: lookups and gradient steps of 1024 ids of each of 26
// tables, beside a bare gRPC echo of the same messages with as many bytes.
//   parameter_server_bench [ROUNDS] [DIM] [ROWS per table] [log]
// With `log` instead: gradient steps of several clients at once on a server that keeps a log.
#include <grpcpp/create_channel.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>

#include "bench/bare_grpc.h"
#include "common/fleet/rpc/server.h"
#include "common/fleet/stubs/table_client.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/telemetry/log.h"
#include "megalith/table/v1/table.pb.h"
#include "services/parameter_server/table_service.h"

namespace megalith::bench {
namespace {

namespace v1 = table::v1;
using embedding::Fid;

constexpr int kTables = 26;
constexpr int kBatch = 1024;

// Answers with a given number of bytes, on gRPC's own thread.
template <typename Request, typename Response>
class BareTables final : public grpc::Service {
 public:
  explicit BareTables(const char* method, size_t bytes)
      : path_(StrCat("/bare.Tables/", method)), bytes_(bytes) {
    using grpc::internal::RpcServiceMethod;
    AddMethod(new RpcServiceMethod(path_.c_str(), grpc::internal::RpcMethod::NORMAL_RPC, nullptr));
    MarkMethodCallback(
        0, new grpc::internal::CallbackUnaryHandler<Request, Response>(
               [this](grpc::CallbackServerContext* context, const Request*, Response* response) {
                 if constexpr (requires { response->mutable_rows(); }) {
                   response->mutable_rows()->resize(bytes_);
                 }
                 grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
                 reactor->Finish(grpc::Status::OK);
                 return reactor;
               }));
  }
  const std::string& path() const { return path_; }

 private:
  const std::string path_;
  const size_t bytes_;
};

struct Batch {
  v1::LookupRequest lookup;
  v1::ApplyRequest apply;
};

std::string TableName(int t) { return StrCat("feature_", t); }

Batch MakeBatch(Rng& rng, uint64_t rows, size_t dim) {
  Batch batch;
  const std::vector<float> gradients(kBatch * dim, 0.001F);
  for (int t = 0; t < kTables; ++t) {
    std::vector<Fid> ids;
    for (int i = 0; i < kBatch; ++i) ids.push_back(static_cast<Fid>(rng.Below(rows)));
    v1::IdBatch* wanted = batch.lookup.add_parts();
    wanted->set_table(TableName(t));
    embedding::AppendIds(ids, wanted->mutable_ids());
    v1::GradientBatch* step = batch.apply.add_parts();
    step->set_table(TableName(t));
    step->set_ids(wanted->ids());
    embedding::AppendValues(gradients, embedding::ValueFormat::kFp32, step->mutable_gradients());
  }
  return batch;
}

v1::CreateTableRequest TableOf(int t, size_t dim) {
  v1::CreateTableRequest request;
  request.set_name(TableName(t));
  v1::Segment* segment = request.mutable_config()->add_segments();
  segment->set_dim(static_cast<int64_t>(dim));
  segment->mutable_optimizer()->set_name("adagrad");
  segment->mutable_initializer()->set_name("random_uniform");
  return request;
}

void Print(const char* name, const std::vector<double>& ours, const std::vector<double>& bare) {
  const double rows = kTables * kBatch;
  std::printf(
      "%-8s %8.2f M rows/s   p50 %8.0f us   p99 %8.0f us   bare echo p50 %8.0f us   p99 "
      "%8.0f us   ratio p50 %.2f   p99 %.2f\n",
      name, rows / Quantile(ours, 0.5) * 1e-6, Quantile(ours, 0.5) * 1e6,
      Quantile(ours, 0.99) * 1e6, Quantile(bare, 0.5) * 1e6, Quantile(bare, 0.99) * 1e6,
      Quantile(ours, 0.5) / Quantile(bare, 0.5), Quantile(ours, 0.99) / Quantile(bare, 0.99));
}

class Bench {
 public:
  // False: something did not start; it has said what.
  bool Start(size_t dim, uint64_t rows, bool log) {
    process_config_.listen = {"127.0.0.1:0"};
    process_ = std::make_unique<rpc::Process>(process_config_, metrics_, discovery_,
                                              RealFileSystem(), RealClock());
    auto ledger = ledger::Ledger::Open(
        {.directory = JoinPath(directory_.path(), "ledger"), .service = "bench"}, metrics_);
    if (!ledger.ok()) return Failed(ledger.status());
    ledger_ = *std::move(ledger);
    context_ = std::make_unique<services::ServiceContext>(services::ServiceContext{
        .process = *process_, .ledger = *ledger_, .data_directory = directory_.path()});
    services::ParameterServerConfig config;
    config.log = log;
    auto list = services::MakeParameterServer(config, *context_);
    if (!list.ok()) return Failed(list.status());
    auto server =
        rpc::Server::Start(rpc::ServerOptionsOf(process_config_), *std::move(list), metrics_);
    if (!server.ok()) return Failed(server.status());
    server_ = *std::move(server);
    auto channel = rpc::Channel::Dial(server_->addresses()[0], {});
    if (!channel.ok()) return Failed(channel.status());
    channel_ = *std::move(channel);
    return Fill(dim, rows);
  }

  void Run(int rounds, size_t dim, uint64_t rows) {
    const rpc::UnaryMethod<v1::LookupRequest, v1::LookupResponse> lookup(channel_, kService,
                                                                         "Lookup");
    const rpc::UnaryMethod<v1::ApplyRequest, v1::ApplyResponse> apply(channel_, kService, "Apply");
    BareTables<v1::LookupRequest, v1::LookupResponse> bare_lookup(
        "Lookup", size_t{kTables} * kBatch * dim * sizeof(float));
    BareTables<v1::ApplyRequest, v1::ApplyResponse> bare_apply("Apply", 0);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(-1);
    builder.RegisterService(&bare_lookup);
    builder.RegisterService(&bare_apply);
    const auto bare_server = builder.BuildAndStart();
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(-1);
    const auto bare = grpc::CreateCustomChannel(StrCat("127.0.0.1:", port),
                                                grpc::InsecureChannelCredentials(), arguments);
    Rng rng(1);
    std::vector<double> ours[2];
    std::vector<double> echo[2];
    for (int round = -rounds / 10; round < rounds; ++round) {
      const Batch batch = MakeBatch(rng, rows, dim);
      std::vector<double> times[4];
      Time(1, [&] { Check(lookup(batch.lookup).status()); }, &times[0]);
      Time(
          1,
          [&] {
            v1::LookupResponse response;
            (void)BareCall(bare.get(), bare_lookup.path(), batch.lookup, &response);
          },
          &times[1]);
      Time(1, [&] { Check(apply(batch.apply).status()); }, &times[2]);
      Time(
          1,
          [&] {
            v1::ApplyResponse response;
            (void)BareCall(bare.get(), bare_apply.path(), batch.apply, &response);
          },
          &times[3]);
      if (round < 0) continue;  // warms up
      ours[0].push_back(times[0][0]);
      echo[0].push_back(times[1][0]);
      ours[1].push_back(times[2][0]);
      echo[1].push_back(times[3][0]);
    }
    std::printf("%d tables of dim %zu with %llu rows each, %d ids of each in a call\n", kTables,
                dim, static_cast<unsigned long long>(rows), kBatch);
    Print("lookup", ours[0], echo[0]);
    Print("apply", ours[1], echo[1]);
    bare_server->Shutdown();
  }

  // Each client of its own channel sends one call after the other.
  void RunClients(int rounds, size_t dim, uint64_t rows) {
    for (const int clients : {1, 2, 4, 8}) {
      std::vector<std::thread> threads;
      const Stopwatch watch;
      for (int c = 0; c < clients; ++c) {
        threads.emplace_back([&, c] {
          Rng rng(static_cast<uint64_t>(c) + 1);
          const Batch batch = MakeBatch(rng, rows, dim);
          const auto channel = rpc::Channel::Dial(server_->addresses()[0], {});
          Check(channel.status());
          const rpc::UnaryMethod<v1::ApplyRequest, v1::ApplyResponse> apply(*channel, kService,
                                                                            "Apply");
          for (int i = 0; i < rounds; ++i) Check(apply(batch.apply).status());
        });
      }
      for (std::thread& thread : threads) thread.join();
      const double calls = static_cast<double>(clients) * rounds;
      std::printf("apply with a log, %d clients: %8.1f calls/s, %6.2f M rows/s\n", clients,
                  calls / watch.Seconds(), calls * kTables * kBatch / watch.Seconds() * 1e-6);
    }
  }

 private:
  static constexpr char kService[] = "megalith.table.v1.TableService";

  static bool Failed(const Status& status) {
    std::fprintf(stderr, "%s\n", status.ToString().c_str());
    return false;
  }
  static void Check(const Status& status) {
    if (!status.ok()) std::exit(Failed(status) ? 0 : 1);
  }
  bool Fill(size_t dim, uint64_t rows) {
    const rpc::UnaryMethod<v1::CreateTableRequest, v1::CreateTableResponse> create(
        channel_, kService, "CreateTable");
    const rpc::UnaryMethod<v1::ApplyRequest, v1::ApplyResponse> apply(channel_, kService, "Apply");
    constexpr uint64_t kStep = 10'000;
    for (int t = 0; t < kTables; ++t) {
      if (const auto made = create(TableOf(t, dim)); !made.ok()) return Failed(made.status());
      for (uint64_t from = 0; from < rows; from += kStep) {
        v1::ApplyRequest request;
        std::vector<Fid> ids;
        for (uint64_t i = from; i < std::min(from + kStep, rows); ++i) {
          ids.push_back(static_cast<Fid>(i));
        }
        v1::GradientBatch* part = request.add_parts();
        part->set_table(TableName(t));
        embedding::AppendIds(ids, part->mutable_ids());
        part->mutable_gradients()->resize(ids.size() * dim * sizeof(float));
        if (const auto done = apply(request); !done.ok()) return Failed(done.status());
      }
    }
    return true;
  }

  TempDirectory directory_;
  rpc::ProcessConfig process_config_;
  telemetry::MetricRegistry metrics_;
  discovery::MemoryRegistry discovery_;
  std::unique_ptr<rpc::Process> process_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<services::ServiceContext> context_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<rpc::Channel> channel_;
};

}  // namespace
}  // namespace megalith::bench

int main(int argc, char** argv) {
  using namespace megalith;
  const int rounds = argc > 1 ? std::max(10, std::atoi(argv[1])) : 500;
  const auto dim = static_cast<size_t>(argc > 2 ? std::max(1, std::atoi(argv[2])) : 16);
  const auto rows = static_cast<uint64_t>(argc > 3 ? std::max(1, std::atoi(argv[3])) : 100'000);
  telemetry::SetLogLevel(telemetry::Level::error);
  bench::Bench bench;
  const bool log = argc > 4 && std::string_view(argv[4]) == "log";
  if (!bench.Start(dim, rows, log)) return 1;
  if (log) {
    bench.RunClients(rounds, dim, rows);
  } else {
    bench.Run(rounds, dim, rows);
  }
  return 0;
}

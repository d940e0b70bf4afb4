#include "common/fleet/rpc/server.h"

#include <grpc/support/log.h>
#include <grpcpp/channel.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <thread>

#include "common/fleet/rpc/internal/server_core.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"
#include "grpc/health/v1/health.pb.h"

namespace megalith::rpc {
namespace {

// What gRPC's C core reports goes into our log. It is for debugging: whatever matters also comes
// back as a status.
void OnGrpcLog(gpr_log_func_args* args) {
  telemetry::Log(
      telemetry::Level::debug, "grpc_message",
      {{"file", args->file}, {"line", args->line}, {"message", Printable(args->message, 500)}});
}

void InitGrpcOnce() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
    // Links the health schema in, so that reflection can describe what gRPC's own code serves.
    grpc::health::v1::HealthCheckRequest::descriptor();
    CaptureProtobufLog();
    gpr_set_log_function(&OnGrpcLog);
  });
}

// "host:0" -> "host:4711"; other forms stay.
std::string WithPort(const std::string& listen, int port) {
  if (listen.starts_with("unix:")) return listen;
  return StrCat(listen.substr(0, listen.rfind(':')), ":", port);
}

int ClampToInt(uint64_t bytes) { return static_cast<int>(std::min<uint64_t>(bytes, INT32_MAX)); }

}  // namespace

struct Server::Impl {
  Impl(const ServerOptions& options, telemetry::MetricRegistry& metrics, const Clock& clock)
      : core(metrics, clock, options.access_log_per_second) {
    core.default_deadline = options.default_deadline;
    core.max_response_bytes = options.max_response_bytes;
    core.in_flight = &metrics.GetGauge(telemetry::kRpcInFlight);
    core.rejected_full = &metrics.GetCounter(telemetry::kRpcRejected, {"queue_full"});
    core.rejected_expired = &metrics.GetCounter(telemetry::kRpcRejected, {"expired"});
    core.rejected_draining = &metrics.GetCounter(telemetry::kRpcRejected, {"draining"});
  }

  internal::ServerCore core;
  std::vector<std::unique_ptr<Service>> services;
  std::unique_ptr<grpc::Server> server;
  std::vector<std::string> addresses;
  std::mutex drain_mu;
  bool drained = false;  // guarded by drain_mu
};

Server::Server() = default;

Server::~Server() {
  if (impl_ != nullptr && impl_->server != nullptr) Drain(std::chrono::milliseconds(0));
}

Result<std::unique_ptr<Server>> Server::Start(const ServerOptions& options,
                                              std::vector<std::unique_ptr<Service>> services,
                                              telemetry::MetricRegistry& metrics, FileSystem& files,
                                              const Clock& clock) {
  InitGrpcOnce();
  std::unique_ptr<Server> server(new Server());
  server->impl_ = std::make_unique<Impl>(options, metrics, clock);
  Impl& impl = *server->impl_;
  impl.services = std::move(services);

  ASSIGN_OR_RETURN(const auto credentials, MakeServerCredentials(options.tls, files));
  grpc::ServerBuilder builder;
  builder.SetMaxReceiveMessageSize(ClampToInt(options.max_request_bytes));
  builder.SetMaxSendMessageSize(
      -1);  // responses are measured by the adapter, whose error names the limit
  // Two servers on one port would each get half of the calls; that is always a mistake here.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  std::vector<int> ports(options.listen.size(), 0);
  for (size_t i = 0; i < options.listen.size(); ++i) {
    builder.AddListeningPort(options.listen[i], credentials, &ports[i]);
  }
  for (const auto& service : impl.services) {
    service->Attach(&impl.core);
    builder.RegisterService(service.get());
  }
  // Publishes the services to gRPC's threads, each of which counts its call here first. gRPC orders
  // this too, but not in a way that ThreadSanitizer sees.
  impl.core.active.store(0);
  impl.server = builder.BuildAndStart();
  for (size_t i = 0; i < ports.size(); ++i) {
    if (ports[i] == 0)
      return Unavailable(StrCat("cannot listen on '", Printable(options.listen[i]), "'"));
    impl.addresses.push_back(WithPort(options.listen[i], ports[i]));
  }
  if (impl.server == nullptr)
    return Unavailable(StrCat("cannot listen on ", Join(options.listen, ", ")));
  grpc::HealthCheckServiceInterface* health = impl.server->GetHealthCheckService();
  health->SetServingStatus(true);
  for (const auto& service : impl.services) health->SetServingStatus(service->full_name(), true);
  return server;
}

const std::vector<std::string>& Server::addresses() const { return impl_->addresses; }

std::shared_ptr<grpc::Channel> Server::InProcessChannel() {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  return impl_->server->InProcessChannel(arguments);
}

std::vector<std::string> Server::service_names() const {
  std::vector<std::string> out;
  for (const auto& service : impl_->services) out.push_back(service->full_name());
  return out;
}

void Server::StopReadiness() { impl_->server->GetHealthCheckService()->SetServingStatus(false); }

Server::DrainReport Server::Drain(std::chrono::milliseconds patience) {
  const std::lock_guard<std::mutex> lock(impl_->drain_mu);
  if (impl_->drained) return {};
  impl_->drained = true;
  const Stopwatch stopwatch(impl_->core.clock);
  const auto deadline = std::chrono::system_clock::now() + patience;
  StopReadiness();
  internal::ServerCore& core = impl_->core;
  core.draining.store(true);
  // New calls from outside are refused by the adapter, with a status that tells callers to go
  // elsewhere. gRPC's own Shutdown would cancel calls that arrive at the wrong moment, and cut
  // in-process calls off at once.
  while (core.active.load() > 0 && std::chrono::system_clock::now() < deadline) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  DrainReport report;
  // Shutdown refuses what is new, waits for what runs, and cancels the rest at the deadline without
  // telling how much that was: `count` looks shortly before.
  std::atomic<bool> done{false};
  std::thread count([&] {
    while (!done.load() &&
           std::chrono::system_clock::now() < deadline - std::chrono::milliseconds(2)) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    report.calls_cancelled = static_cast<uint64_t>(std::max<int64_t>(0, core.active.load()));
  });
  if (std::chrono::system_clock::now() >= deadline) count.join();
  impl_->server->Shutdown(deadline);
  done.store(true);
  if (count.joinable()) count.join();
  impl_->server->Wait();
  for (const auto& service : impl_->services) service->StopThreads();
  report.seconds = stopwatch.Seconds();
  return report;
}

}  // namespace megalith::rpc

// All services of the fleet in one process, joined by local channels.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/process.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/telemetry/metrics.h"
#include "services/agent/config.h"
#include "services/cache/config.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/compile/compile_engine.h"
#include "services/compile/config.h"
#include "services/execute/config.h"
#include "services/execute/execute_engine.h"
#include "services/parameter_server/config.h"
#include "services/trace/config.h"
#include "services/trace/trace_engine.h"

namespace megalith::services {

// How the services of one process call each other.
enum class Transport : uint8_t { kInProcess = 0, kTcp = 1 };

// Where the services get what they run from.
struct Engines {
  MakeTraceEngine trace;
  MakeCompileEngine compile;
  MakeExecuteEngine execute;
};

struct FleetConfig {
  Transport transport = Transport::kInProcess;
  CacheServiceConfig cache;
  TraceServiceConfig trace;
  CompileServiceConfig compile;
  ExecuteServiceConfig execute;
  ParameterServerConfig tables;
  // Served if it names an agent.conf; starts no model servers unless it is told to.
  AgentServiceConfig agent{.conf = "", .model_server = "none"};
};

// Every service of the fleet, each with its own threads, on local channels of `context.process`,
// which must be bound (Process::BindLocal) once the server runs.
Result<ServiceList> MakeFleet(const FleetConfig& config, const Engines& engines,
                              ServiceContext& context);

// The process `megalith`.
ServiceSpec AllInOneSpec(const Engines& engines);

// The fleet inside a client's or a test's process, without sockets unless `process.listen` names
// some. Thread-safe after Start.
class EmbeddedFleet {
 public:
  struct Options {
    rpc::ProcessConfig process;
    FleetConfig fleet;
    std::string data_directory;  // empty: a temporary one that is removed at the end
    bool seal_packages = true;   // with a key that it makes; false: as separate processes without
  };
  // Errors: those of opening ledger and cache, of the engines and of the listening sockets.
  static Result<std::unique_ptr<EmbeddedFleet>> Start(Options options, const Engines& engines);
  // Drains.
  ~EmbeddedFleet();

  std::shared_ptr<rpc::Channel> channel() const { return channel_; }
  rpc::Server& server() { return *server_; }
  ledger::Ledger& ledger() { return *ledger_; }
  telemetry::MetricRegistry& metrics() { return metrics_; }
  const std::string& data_directory() const { return data_directory_; }

 private:
  explicit EmbeddedFleet(Options options) : options_(std::move(options)) {}
  const Options options_;
  std::unique_ptr<TempDirectory> temporary_;
  std::string data_directory_;
  telemetry::MetricRegistry metrics_;
  discovery::MemoryRegistry discovery_;
  std::unique_ptr<rpc::Process> process_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<ServiceContext> context_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<rpc::Channel> channel_;
};

}  // namespace megalith::services

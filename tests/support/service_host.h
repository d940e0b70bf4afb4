// Runs services in the test's process, as their main() would, reached through an in-process
// channel.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/process.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/telemetry/metrics.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"

namespace megalith::testing {

// Not thread-safe. Data survives Stop and Start.
class ServiceHost {
 public:
  ServiceHost();
  ~ServiceHost();

  // To be changed before Start.
  rpc::ProcessConfig& config() { return config_; }
  // Makes the services and a LedgerService; fails the test if that fails.
  void Start(const std::function<Result<services::ServiceList>(services::ServiceContext&)>& make);
  void Stop();

  std::shared_ptr<rpc::Channel> channel() const { return channel_; }
  rpc::Server& server() { return *server_; }
  rpc::Process& process() { return *process_; }
  telemetry::MetricRegistry& metrics() { return metrics_; }
  const std::string& data_directory() const { return directory_.path(); }

 private:
  TempDirectory directory_;
  rpc::ProcessConfig config_;
  telemetry::MetricRegistry metrics_;
  discovery::MemoryRegistry discovery_;
  std::unique_ptr<rpc::Process> process_;
  std::unique_ptr<ledger::Ledger> ledger_;
  std::unique_ptr<services::ServiceContext> context_;
  std::unique_ptr<rpc::Server> server_;
  std::shared_ptr<rpc::Channel> channel_;
};

}  // namespace megalith::testing

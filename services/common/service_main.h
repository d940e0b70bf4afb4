// main() of every service: configuration, ledger, server. A service adds its fields and makes its
// handlers.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/process.h"
#include "common/foundation/config/loader.h"
#include "services/common/service_context.h"

namespace megalith::services {

// Fields that all services have besides those of rpc::ProcessConfig.
struct ServiceConfig {
  rpc::ProcessConfig process;
  std::string data_dir;
  std::string fleet_key_file;
};

using ServiceList = std::vector<std::unique_ptr<rpc::Service>>;

// One kind of process. The functions share their own configuration structs.
struct ServiceSpec {
  std::string name;         // "cache"; the binary is megalith-<name>
  std::string description;  // for --help and docs/config.md
  std::function<void(config::Loader&)> add_fields;
  std::function<Result<ServiceList>(ServiceContext&)> make;
  // May be empty; called once the configuration is read, and may complete what the process has in
  // common with others. `loader` tells where values came from.
  std::function<Status(const config::Loader&, rpc::ProcessConfig*)> on_configured = {};
  // May be empty; called once calls are accepted.
  std::function<Status(ServiceContext&, rpc::Server&)> on_started = {};
  // May be empty; called on a thread of its own when the process begins to drain, while its gRPC
  // server does too. Finishes what other servers of the service are doing, for so long at most.
  std::function<void(std::chrono::milliseconds patience)> on_draining = {};
  // Makes itself a key of the fleet, in its data directory, if none is configured.
  bool own_fleet_key = false;
};

// Where a process that makes its own key keeps it.
inline constexpr char kFleetKeyName[] = "fleet.key";

// Puts the fields of `config` and those of the service into `loader`.
void AddFields(const ServiceSpec& spec, ServiceConfig* config, config::Loader* loader);

// Runs the process; returns its exit code (rpc::RunProcess).
int RunService(int argc, char** argv, const ServiceSpec& spec);

}  // namespace megalith::services

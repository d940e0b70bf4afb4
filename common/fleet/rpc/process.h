// The life of a server process: configuration, logging, metrics, serving, drain. It lets main.cc be
// a page.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/rpc/channel.h"
#include "common/fleet/rpc/process_config.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/config/loader.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::rpc {

// What the services of one process share. Thread-safe once services are made.
class Process {
 public:
  // `config`, `metrics`, `discovery`, `files` and `clock` must outlive the process object.
  Process(const ProcessConfig& config, telemetry::MetricRegistry& metrics,
          discovery::Registry& discovery, FileSystem& files, const Clock& clock)
      : config_(config), metrics_(metrics), discovery_(discovery), files_(files), clock_(clock) {}

  const ProcessConfig& config() const { return config_; }
  telemetry::MetricRegistry& metrics() const { return metrics_; }
  discovery::Registry& discovery() const { return discovery_; }
  FileSystem& files() const { return files_; }
  const Clock& clock() const { return clock_; }
  ServiceThreads threads() const { return ThreadsOf(config_); }

  // A channel to another service: to `address` if it is not empty, which may be a target as
  // rpc::Dial takes them, otherwise to the replicas that discovery lists for `service`. Errors:
  // those of rpc::Dial and Channel::Discover.
  Result<std::shared_ptr<Channel>> ChannelTo(const std::string& service,
                                             const std::string& address) const;

  // A channel to this process's own server; calls fail with kUnavailable until BindLocal.
  std::shared_ptr<Channel> LocalChannel();
  // Connects all local channels: in process, or through the first listening socket.
  Status BindLocal(Server& server, bool through_socket);

 private:
  const ProcessConfig& config_;
  telemetry::MetricRegistry& metrics_;
  discovery::Registry& discovery_;
  FileSystem& files_;
  const Clock& clock_;
  std::vector<std::shared_ptr<Channel>> local_;
};

struct ProcessHooks {
  // May be empty. Called once the configuration is read, before anything uses it; may complete it.
  // An error ends the process as wrong configuration does.
  std::function<Status()> on_configured;
  // Makes the services; called once, before anything listens.
  std::function<Result<std::vector<std::unique_ptr<Service>>>(Process&)> make_services;
  // May be empty. Called once calls are accepted.
  std::function<Status(Process&, Server&)> on_started;
  // May be empty. Called once, on a thread of its own, while the server drains.
  std::function<void(std::chrono::milliseconds patience)> on_draining;
  // May be empty. Called once when the services are gone, or could not be made, while metrics and
  // discovery still live.
  std::function<void()> on_ended;
};

// Runs a server until SIGTERM or SIGINT, then drains. `loader` has all fields, those of `config`
// included. Returns the exit code: 0 after a drain or --help, 1 if it could not start, 2 for wrong
// configuration. A second signal during the drain ends the process at once. Must be called before
// any thread is started.
int RunProcess(int argc, char** argv, config::Loader& loader, const ProcessConfig& config,
               const ProcessHooks& hooks);

}  // namespace megalith::rpc

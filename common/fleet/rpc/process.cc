#include "common/fleet/rpc/process.h"

#include <grpcpp/channel.h>
#include <pthread.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

#include "common/fleet/discovery/static_file.h"
#include "common/fleet/discovery/zookeeper/zk_registry.h"
#include "common/fleet/rpc/dial.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/version.h"
#include "common/foundation/telemetry/backend/metrics_server.h"
#include "common/foundation/telemetry/backend/spdlog_sink.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::rpc {
namespace {

using telemetry::Level;
using telemetry::Log;

// Signals are taken by one thread with sigwait; blocking them before any thread exists makes all
// threads inherit it.
sigset_t BlockSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  std::signal(SIGPIPE, SIG_IGN);
  return set;
}

Status StartLogging(const ProcessConfig& config) {
  telemetry::SetLogLevel(config.log_level);
  ASSIGN_OR_RETURN(
      auto sink, telemetry::MakeSpdlogSink({.format = config.log_format, .file = config.log_file}));
  telemetry::SetLogSink(std::move(sink));
  return OkStatus();
}

void LogConfig(const config::Loader& loader) {
  for (const config::EffectiveValue& v : loader.Effective()) {
    if (v.source == config::Source::kDefault) {
      Log(Level::debug, "config_default", {{"name", v.name}, {"value", v.value}});
    } else {
      Log(Level::info, "config_value",
          {{"name", v.name}, {"value", v.value}, {"source", config::SourceName(v.source)}});
    }
  }
}

// What a process waits for ZooKeeper at its start before it goes on without.
constexpr std::chrono::milliseconds kZooKeeperStartWait{15'000};

std::string ZkAuthOf(const ProcessConfig& config) {
  const char* const from_environment = std::getenv("ZK_AUTH");
  return config.discovery_auth.empty() && from_environment != nullptr ? from_environment
                                                                      : config.discovery_auth;
}

Result<std::unique_ptr<discovery::Registry>> OpenZooKeeper(const ProcessConfig& config) {
  const std::optional<std::string> servers = discovery::ZkServersOf(config.discovery);
  if (!servers) {
    return InvalidArgument(StrCat("discovery expects zk://host:port,host:port/chroot, got '",
                                  Printable(config.discovery), "'"));
  }
  if (!config.discovery_file.empty()) {
    return InvalidArgument("discovery and discovery_file exclude each other: give one of them");
  }
  const discovery::ZkOptions options{
      .servers = *servers, .auth = ZkAuthOf(config), .session_timeout = config.discovery_session};
  ASSIGN_OR_RETURN(auto registry, discovery::ZkRegistry::Open(options, kZooKeeperStartWait));
  return std::unique_ptr<discovery::Registry>(std::move(registry));
}

Result<std::unique_ptr<discovery::Registry>> MakeDiscovery(const ProcessConfig& config) {
  if (!config.discovery.empty()) return OpenZooKeeper(config);
  if (config.discovery_file.empty()) {
    return std::unique_ptr<discovery::Registry>(std::make_unique<discovery::MemoryRegistry>());
  }
  ASSIGN_OR_RETURN(auto file, discovery::StaticFileRegistry::Open(
                                  config.discovery_file, RealFileSystem(), config.discovery_poll));
  return std::unique_ptr<discovery::Registry>(std::move(file));
}

// Tells ZooKeeper which services of ours are here. Other registries are told by their owners.
Result<std::vector<std::unique_ptr<discovery::Handle>>> Announce(
    const ProcessConfig& config, const std::vector<std::string>& services, const Server& server,
    discovery::Registry& registry) {
  std::vector<std::unique_ptr<discovery::Handle>> handles;
  if (config.discovery.empty()) return handles;
  std::string address = config.advertise;
  if (address.empty() && !server.addresses().empty()) address = server.addresses().front();
  if (address.empty()) return handles;
  for (const std::string& service : services) {
    ASSIGN_OR_RETURN(auto handle, registry.Register({.service = service, .address = address}));
    handles.push_back(std::move(handle));
  }
  return handles;
}

Status WritePortFile(const ProcessConfig& config, const Server& server,
                     const std::string& metrics_address) {
  if (config.port_file.empty()) return OkStatus();
  return RealFileSystem().WriteAtomically(
      config.port_file, StrCat(Join(server.addresses(), "\n"), "\n", metrics_address, "\n"));
}

// Calls a function when the scope ends, however it ends.
class AtEnd {
 public:
  explicit AtEnd(const std::function<void()>& function) : function_(function) {}
  ~AtEnd() {
    if (function_) function_();
  }
  AtEnd(const AtEnd&) = delete;
  AtEnd& operator=(const AtEnd&) = delete;

 private:
  const std::function<void()>& function_;
};

// Serves until a signal arrives and the drain is done.
Status Run(config::Loader& loader, const ProcessConfig& config, const ProcessHooks& hooks,
           const sigset_t& signals) {
  RETURN_IF_ERROR(StartLogging(config));
  LogConfig(loader);
  telemetry::MetricRegistry metrics;
  metrics.GetGauge(telemetry::kBuildInfo, {loader.service(), kVersion}).Set(1);
  ASSIGN_OR_RETURN(const auto discovery, MakeDiscovery(config));
  Process process(config, metrics, *discovery, RealFileSystem(), RealClock());
  const AtEnd ended(hooks.on_ended);
  ASSIGN_OR_RETURN(auto services, hooks.make_services(process));
  std::vector<std::string> names;
  for (const auto& service : services) {
    if (service->full_name().starts_with("megalith.")) names.push_back(service->short_name());
  }
  std::unique_ptr<telemetry::MetricsServer> metrics_server;
  if (!config.metrics_listen.empty()) {
    ASSIGN_OR_RETURN(metrics_server,
                     telemetry::MetricsServer::Start(config.metrics_listen, metrics));
  }
  const std::string metrics_address = metrics_server == nullptr ? "" : metrics_server->address();
  ASSIGN_OR_RETURN(const auto server,
                   Server::Start(ServerOptionsOf(config), std::move(services), metrics));
  if (hooks.on_started) RETURN_IF_ERROR(hooks.on_started(process, *server));
  ASSIGN_OR_RETURN(auto announced, Announce(config, names, *server, *discovery));
  RETURN_IF_ERROR(WritePortFile(config, *server, metrics_address));
  Log(Level::info, "server_started",
      {{"service", loader.service()},
       {"version", kVersion},
       {"listen", Join(server->addresses(), ",")},
       {"metrics", metrics_address},
       {"pid", static_cast<int64_t>(::getpid())}});

  int signal = 0;
  sigwait(&signals, &signal);
  ::pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);  // the next signal ends the process
  Log(Level::info, "server_draining", {{"signal", signal}, {"drain_ms", config.drain.count()}});
  announced.clear();  // nobody is sent here any more
  server->StopReadiness();
  std::this_thread::sleep_for(config.lame_duck);
  std::thread others;
  if (hooks.on_draining) others = std::thread([&] { hooks.on_draining(config.drain); });
  const Server::DrainReport report = server->Drain(config.drain);
  if (others.joinable()) others.join();
  Log(Level::info, "server_drained",
      {{"seconds", report.seconds}, {"calls_cancelled", report.calls_cancelled}});
  return OkStatus();
}

}  // namespace

Result<std::shared_ptr<Channel>> Process::ChannelTo(const std::string& service,
                                                    const std::string& address) const {
  const ChannelOptions options = ChannelOptionsOf(config_, metrics_);
  if (address.empty()) return Channel::Discover(discovery_, service, options, files_);
  return rpc::Dial(address,
                   {.channel = options,
                    .registry = &discovery_,
                    .discovery = config_.discovery,
                    .zk_auth = ZkAuthOf(config_),
                    .session_timeout = config_.discovery_session,
                    .start_wait = kZooKeeperStartWait,
                    .file_poll = config_.discovery_poll},
                   files_);
}

std::shared_ptr<Channel> Process::LocalChannel() {
  local_.push_back(Channel::Unbound("local", ChannelOptionsOf(config_, metrics_)));
  return local_.back();
}

Status Process::BindLocal(Server& server, bool through_socket) {
  if (through_socket && server.addresses().empty()) {
    return InvalidArgument("the socket transport needs an address to listen on");
  }
  for (const auto& channel : local_) {
    if (through_socket) {
      RETURN_IF_ERROR(channel->BindAddress(server.addresses().front(), files_));
    } else {
      channel->Bind(server.InProcessChannel());
    }
  }
  return OkStatus();
}

int RunProcess(int argc, char** argv, config::Loader& loader, const ProcessConfig& config,
               const ProcessHooks& hooks) {
  const sigset_t signals = BlockSignals();
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  const Status loaded = loader.Load(arguments, config::ProcessEnvironment(), RealFileSystem());
  if (!loaded.ok()) {
    std::fprintf(stderr, "%s: %s\nTry --help.\n", argv[0], loaded.message().c_str());
    return 2;
  }
  if (loader.help_requested()) {
    std::fputs(loader.Help().c_str(), stdout);
    return 0;
  }
  if (hooks.on_configured) {
    const Status completed = hooks.on_configured();
    if (!completed.ok()) {
      std::fprintf(stderr, "%s: %s\n", argv[0], completed.message().c_str());
      return 2;
    }
  }
  const Status status = Run(loader, config, hooks, signals);
  if (status.ok()) return 0;
  std::fprintf(stderr, "%s: cannot start: %s\n", argv[0], status.ToString().c_str());
  return 1;
}

}  // namespace megalith::rpc

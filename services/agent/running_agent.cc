#include "services/agent/running_agent.h"

#include <unistd.h>

#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "services/common/service_main.h"

namespace megalith::services {
namespace {

constexpr std::chrono::seconds kZooKeeperStartWait{15};  // Monolith's

// Every task of ps, and dense where it is alone, has a replica: entry can answer (spec 8.2).
bool EntryMayStart(const agent::AgentConfig& config, const agent::ReplicaTable& table) {
  for (int64_t i = 0; i < config.num_ps; ++i) {
    if (!table.Available("ps", i)) return false;
  }
  return !config.dense_alone || table.Available("dense", 0);
}

// Beside our own binary.
std::string OurModelServer() {
  char path[4096];
  const ssize_t size = ::readlink("/proc/self/exe", path, sizeof(path));
  const std::string_view self(path, size < 0 ? 0 : static_cast<size_t>(size));
  return StrCat(self.substr(0, self.rfind('/') + 1), "megalith-execute");
}

}  // namespace

RunningAgent::RunningAgent(const agent::AgentConfig& config, const AgentServiceConfig& fields,
                           ServiceContext& context)
    : config_(config),
      context_(context),
      resources_(RealFileSystem(), config.memory_limit, context.process.clock()) {
  options_.binary = fields.model_server;
  options_.ours = OurModelServer();
  options_.tfs_log = fields.tfs_log;
  options_.data_directory = context.data_directory;
  binary_ = agent::ModelServerBinary(config_, options_);
}

Result<std::unique_ptr<RunningAgent>> RunningAgent::Start(const agent::AgentConfig& config,
                                                          const AgentServiceConfig& fields,
                                                          ServiceContext& context) {
  if (config.agent_version == 1 && config.deploy_type == agent::DeployType::kUnified) {
    return FailedPrecondition(
        "deploy_type unified needs agent_version 3; version 1 serves ps, entry, dense and mixed");
  }
  std::unique_ptr<RunningAgent> out(new RunningAgent(config, fields, context));
  ASSIGN_OR_RETURN(out->models_, agent::MakeModelManager(config));
  ASSIGN_OR_RETURN(out->client_, discovery::ZkClient::Open(
                                     {.servers = config.zk_servers, .auth = config.zk_auth}));
  const Status connected = out->client_->WaitConnected(kZooKeeperStartWait);
  if (connected.code() == Code::kPermissionDenied) return connected;
  if (!connected.ok()) {
    telemetry::Log(telemetry::Level::warn, "discovery_unread", {{"error", connected.ToString()}});
  }
  ASSIGN_OR_RETURN(out->status_, agent::ServingStatus::Make(
                                     config, rpc::ChannelOptionsOf(context.process.config(),
                                                                   context.process.metrics())));
  RETURN_IF_ERROR(config.agent_version == 3   ? out->StartLayout()
                  : config.agent_version == 2 ? out->StartMirror()
                                              : out->StartReplicas());
  if (out->models_) out->models_->Start();
  if (!out->binary_.empty()) RETURN_IF_ERROR(out->StartServers());
  return out;
}

RunningAgent::~RunningAgent() {
  if (servers_) servers_->Hold();
  layout_.reset();
  mirror_.reset();
  replicas_.reset();
  servers_.reset();
}

const agent::AddressBook& RunningAgent::book() const {
  if (layout_) return *layout_;
  if (mirror_) return *mirror_;
  return replicas_->table();
}

Status RunningAgent::StartReplicas() {
  ASSIGN_OR_RETURN(replicas_, agent::ReplicaManager::Make(config_, *client_, *status_,
                                                          &context_.process.metrics(),
                                                          context_.process.clock()));
  RETURN_IF_ERROR(replicas_->Register());
  replicas_->Start();
  return OkStatus();
}

Status RunningAgent::StartMirror() {
  agent::MirrorManagerOptions options;
  options.available_memory = [this] { return resources_.Memory().available; };
  options.cpu_percent = [this] { return resources_.CpuPercent(); };
  options.metrics = &context_.process.metrics();
  options.clock = &context_.process.clock();
  ASSIGN_OR_RETURN(mirror_,
                   agent::MirrorManager::Make(config_, std::move(options), *client_, *status_));
  mirror_->Start();
  return OkStatus();
}

Status RunningAgent::StartLayout() {
  agent::LayoutManagerOptions options{.model_config_file =
                                          agent::ModelConfigFile(options_, "unified")};
  if (!binary_.empty() && !agent::IsOurs(binary_)) {
    ASSIGN_OR_RETURN(options.grpc, agent::SpeaksGrpc(binary_, RealFileSystem()));
    // The names of all fields are in a binary that has the message.
    ASSIGN_OR_RETURN(options.knows_latest_once,
                     agent::BinaryContains(binary_, "latest_once", RealFileSystem()));
  }
  options.available_memory = [] { return agent::HostMemory(RealFileSystem()).available; };
  options.metrics = &context_.process.metrics();
  options.clock = &context_.process.clock();
  ASSIGN_OR_RETURN(layout_,
                   agent::LayoutManager::Make(config_, std::move(options), *client_, *status_));
  RETURN_IF_ERROR(layout_->Register());
  layout_->Start();
  return OkStatus();
}

Status RunningAgent::StartServers() {
  std::function<bool()> entry_may_start;
  if (replicas_) {
    entry_may_start = [this] { return EntryMayStart(config_, replicas_->table()); };
  }
  ASSIGN_OR_RETURN(std::vector<agent::ProcessSpec> processes,
                   agent::PlanModelServers(config_, options_, binary_, std::move(entry_may_start)));
  if (models_) {
    // A model server that starts before its rough-sort model is there would serve without it.
    for (agent::ProcessSpec& process : processes) {
      process.may_start = [models = models_.get(), inner = std::move(process.may_start)] {
        return models->ready() && (!inner || inner());
      };
    }
  }
  agent::SupervisorOptions supervision;
  supervision.metrics = &context_.process.metrics();
  servers_ = std::make_unique<agent::Supervisor>(std::move(processes), supervision);
  return OkStatus();
}

}  // namespace megalith::services

#include "common/fleet/agent/replica_manager.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::agent {
namespace {

using discovery::ModelState;
using telemetry::Level;
using telemetry::Log;

// How often nodes are looked after that somebody else may have deleted.
constexpr std::chrono::seconds kVerifyInterval{60};

}  // namespace

discovery::ReplicaMeta OwnAddresses(const AgentConfig& config, std::string_view server) {
  const ServerPorts& ports = config.PortsOf(server);
  const std::string ipv6 = StrCat("[", config.host_ipv6, "]");
  return {.address = StrCat(config.host_ip, ":", ports.grpc),
          .address_ipv6 = StrCat(ipv6, ":", ports.grpc),
          .stat = static_cast<int64_t>(ModelState::kUnknown),
          .archon_address = StrCat(config.host_ip, ":", ports.archon),
          .archon_address_ipv6 = StrCat(ipv6, ":", ports.archon)};
}

int64_t ReplicaIdOf(const AgentConfig& config, std::string_view server) {
  if (TypeOfServer(server) != "dense" || config.more_dense.empty()) return config.replica_id;
  const auto count = static_cast<int64_t>(config.more_dense.size()) + 1;
  const int64_t index = IndexOfServer(server);
  int64_t id = 0;
  // Ids of pods have 40 bits; one that was given by hand may be anything.
  if (config.replica_id < 0 || __builtin_mul_overflow(config.replica_id, count, &id)) return index;
  return id > INT64_MAX - index ? index : id + index;
}

std::vector<OwnReplica> OwnReplicas(const AgentConfig& config) {
  std::vector<OwnReplica> out;
  if (config.Serves(DeployType::kPs)) {
    for (int64_t i = 0; i < config.num_ps; ++i) {
      if (i % config.num_shard == config.shard_id) out.push_back({"ps", "ps", i, StrCat("ps_", i)});
    }
  }
  if (config.Serves(DeployType::kEntry)) out.push_back({"entry", "entry", 0, "entry"});
  if (config.Serves(DeployType::kDense) && config.dense_alone) {
    out.push_back({"dense", "dense", 0, "dense_0"});
    for (size_t i = 1; i <= config.more_dense.size(); ++i) {
      out.push_back({StrCat("dense.", i), "dense", 0, "dense_0"});
    }
  }
  return out;
}

Result<std::unique_ptr<ReplicaManager>> ReplicaManager::Make(const AgentConfig& config,
                                                             discovery::ZkClient& client,
                                                             ModelStatusSource& status,
                                                             telemetry::MetricRegistry* metrics,
                                                             const Clock& clock) {
  if (config.dc_aware && (config.idc.empty() || config.cluster.empty())) {
    return FailedPrecondition(
        "dc_aware needs a location: set TCE_INTERNAL_IDC and TCE_LOGICAL_CLUSTER");
  }
  std::unique_ptr<ReplicaManager> manager(new ReplicaManager());
  manager->config_ = config;
  manager->client_ = &client;
  manager->status_ = &status;
  manager->clock_ = &clock;
  manager->metrics_ = metrics;
  const std::string base = StrCat("/", config.bzid, "/service/", config.base_name);
  manager->task_root_ = config.dc_aware ? StrCat(base, "/", config.idc, ":", config.cluster) : base;
  if (!discovery::ParseReplicaPath(StrCat(manager->task_root_, "/ps:0"))) {
    return FailedPrecondition(StrCat(
        "bzid, base_name, idc and cluster must consist of letters, digits, '-' and '_', got '",
        Printable(manager->task_root_), "'"));
  }
  manager->table_ =
      std::make_unique<ReplicaTable>(ReplicaTableOptions{.dc_aware = config.dc_aware,
                                                         .idc = config.idc,
                                                         .cluster = config.cluster,
                                                         .prefer_ipv6 = config.ipv6_only,
                                                         .clock = &clock});
  for (OwnReplica& replica : OwnReplicas(config)) {
    Own own;
    own.meta = OwnAddresses(config, replica.server);
    own.replica = std::move(replica);
    manager->own_.push_back(std::move(own));
  }
  manager->registrations_ = std::make_unique<discovery::ZkRegistrations>(client);
  manager->mirror_ = std::make_unique<discovery::TreeMirror>(
      client,
      discovery::TreeMirrorOptions{
          .base = base, .max_depth = config.dc_aware ? 3 : 2, .clock = &clock},
      [table = manager->table_.get()](const discovery::TreeSnapshot& tree) {
        table->Update(*tree);
      });
  return manager;
}

ReplicaManager::~ReplicaManager() {
  {
    const std::lock_guard<std::mutex> lock(stop_mu_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (thread_.joinable()) thread_.join();
}

Status ReplicaManager::Put(Own* own) {
  const OwnReplica& replica = own->replica;
  const std::string task = StrCat(task_root_, "/", replica.server_type, ":", replica.task);
  const std::string data = discovery::WriteRecord(own->meta);
  if (!own->path.empty()) return registrations_->Put(own->path, data);
  if (replica.server_type == "entry" && config_.replica_id < 0) {
    // The name that ZooKeeper gives is this agent's replica id from then on (spec 3).
    ASSIGN_OR_RETURN(own->path, registrations_->PutSequential(StrCat(task, "/0"), data));
    const auto id = ParseInt(std::string_view(own->path).substr(task.size() + 1));
    config_.replica_id = id.value_or(-1);
    return OkStatus();
  }
  const int64_t id = ReplicaIdOf(config_, replica.server);
  if (id < 0) {
    Log(Level::warn, "agent_replica_id_absent", {{"task", task}});
  }
  own->path = StrCat(task, "/", discovery::ReplicaName(replica.server_type, id));
  return registrations_->Put(own->path, data);
}

Status ReplicaManager::Register() {
  const std::lock_guard<std::mutex> lock(mu_);
  // Entry first: the others may take their id from its name.
  std::vector<Own*> order;
  for (Own& own : own_) order.push_back(&own);
  std::stable_partition(order.begin(), order.end(),
                        [](const Own* own) { return own->replica.server_type == "entry"; });
  for (Own* own : order) {
    const Status status = Put(own);
    if (!status.ok() && status.code() != Code::kUnavailable) {
      return status.Annotate(own->replica.model);
    }
  }
  return OkStatus();
}

void ReplicaManager::Tick() {
  std::vector<OwnReplica> models;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    for (const Own& own : own_) models.push_back(own.replica);
  }
  // Server types whose model server does not answer: it is not waited for again in this round.
  std::map<std::string, Status> silent;
  for (size_t i = 0; i < models.size(); ++i) {
    const std::string& type = models[i].server;
    const auto known = silent.find(type);
    const auto versions = known == silent.end() ? status_->GetModelStatus(type, models[i].model)
                                                : Result<std::vector<ModelVersion>>(known->second);
    const Code code = versions.status().code();
    if (code == Code::kDeadlineExceeded) silent.emplace(type, versions.status());
    int64_t state = static_cast<int64_t>(ModelState::kUnknown);
    bool in_error = false;
    std::string error;
    if (versions.ok()) {
      const ModelVersion* const chosen = ChooseVersion(*versions);
      if (chosen == nullptr) continue;
      in_error = chosen->error_code != 0;
      error = chosen->error;
      state = chosen->state;
    }
    const std::lock_guard<std::mutex> lock(mu_);
    Own& own = own_[i];
    if (in_error && !own.in_error) {
      Log(Level::warn, "agent_model_error", {{"model", models[i].model}, {"error", error}});
    }
    own.in_error = in_error;
    // Nothing is written while a model is in error or its state is the known one; a path is missing
    // only if registering could not be done yet.
    if (in_error || (own.meta.stat == state && !own.path.empty())) continue;
    if (own.meta.stat != state) {
      Log(Level::info, "agent_model_state",
          {{"model", models[i].model}, {"from", own.meta.stat}, {"to", state}});
    }
    own.meta.stat = state;
    const Status put = Put(&own);
    if (!put.ok() && put.code() != Code::kUnavailable) {
      Log(Level::error, "zookeeper_registration_failed",
          {{"path", own.path}, {"error", put.ToString()}});
    }
  }
}

void ReplicaManager::Export() const {
  if (metrics_ == nullptr) return;
  const std::chrono::duration<double> stale =
      mirror_->staleness().value_or(std::chrono::seconds(0));
  metrics_->GetGauge(telemetry::kAgentReplicas).Set(static_cast<double>(table_->size()));
  metrics_->GetGauge(telemetry::kAgentStale).Set(stale.count());
  metrics_->GetGauge(telemetry::kAgentDamagedNodes)
      .Set(static_cast<double>(table_->damaged() + mirror_->skipped()));
}

void ReplicaManager::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void ReplicaManager::Loop() {
  SetThreadName("agent-replicas");
  const std::chrono::seconds interval(config_.update_model_status_interval);
  std::chrono::nanoseconds verified = clock_->Monotonic();
  std::unique_lock<std::mutex> lock(stop_mu_);
  while (!stop_.wait_for(lock, interval, [this] { return stopping_; })) {
    lock.unlock();
    Tick();
    Export();
    if (clock_->Monotonic() - verified >= kVerifyInterval) {
      verified = clock_->Monotonic();
      (void)registrations_->Verify();  // what it cannot do now is tried again
    }
    lock.lock();
  }
}

std::vector<std::string> ReplicaManager::paths() const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::vector<std::string> out;
  for (const Own& own : own_) out.push_back(own.path);
  return out;
}

}  // namespace megalith::agent

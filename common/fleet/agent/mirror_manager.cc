#include "common/fleet/agent/mirror_manager.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/fleet/agent/model_info.h"
#include "common/fleet/agent/replica_manager.h"
#include "common/fleet/agent/replica_table.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"

namespace megalith::agent {
namespace {

using discovery::ModelState;
using discovery::PublishMeta;
using telemetry::Level;
using telemetry::Log;

// What a container has is told so often, and a model that could not be described looked at again.
constexpr std::chrono::seconds kReportInterval{10};
constexpr size_t kMaxReported = 1000;

// 32 hexadecimal digits: the name of a candidate.
std::string CandidateName() {
  std::random_device random;
  std::string out;
  for (int i = 0; i < 32; ++i) out += "0123456789abcdef"[random() % 16];
  return out;
}

}  // namespace

std::unique_ptr<discovery::TreeMirror> MirrorManager::Mirror(
    const std::string& name, int depth, discovery::TreeMirror::OnChange on_change) {
  return std::make_unique<discovery::TreeMirror>(
      client_,
      discovery::TreeMirrorOptions{
          .base = StrCat(root_, "/", name), .max_depth = depth, .clock = options_.clock},
      std::move(on_change));
}

Result<std::unique_ptr<MirrorManager>> MirrorManager::Make(const AgentConfig& config,
                                                           MirrorManagerOptions options,
                                                           discovery::ZkClient& client,
                                                           ModelControl& control) {
  if (config.deploy_type == DeployType::kUnified) {
    return FailedPrecondition("agent_version 2 needs deploy_type ps, entry, dense or mixed");
  }
  if (!discovery::ParseReplicaPath(StrCat("/", config.bzid, "/service/m/ps:0"))) {
    return FailedPrecondition(StrCat("bzid must consist of letters, digits, '-' and '_', got '",
                                     Printable(config.bzid), "'"));
  }
  if (!options.describe) {
    options.describe = [](const discovery::ModelMeta& meta) {
      return ExportedSubModels(meta.model_dir.value_or(""), meta.ckpt.value_or(""), std::nullopt,
                               RealFileSystem());
    };
  }
  std::unique_ptr<MirrorManager> manager(
      new MirrorManager(config, std::move(options), client, control));
  manager->root_ = StrCat("/", config.bzid);
  manager->registrations_ = std::make_unique<discovery::ZkRegistrations>(client);
  manager->portal_ = manager->Mirror("portal", 1);
  manager->publish_ = manager->Mirror("publish", 1);
  manager->resource_ = manager->Mirror("resource", 1);
  manager->election_ = manager->Mirror("election", 1);
  manager->service_ =
      manager->Mirror("service", 3, [self = manager.get()](const discovery::TreeSnapshot& tree) {
        auto fresh = std::make_shared<const Services>(
            ReadServices(*tree, [self](const std::string& path, const Status& status) {
              self->Damaged(path, status);
            }));
        const std::lock_guard<std::mutex> lock(self->mu_);
        self->services_ = std::move(fresh);
      });
  return manager;
}

MirrorManager::~MirrorManager() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (!election_path_.empty() && client_.state() == discovery::SessionState::kConnected) {
    (void)client_.Delete(election_path_);  // what cannot be deleted goes with the session
  }
}

void MirrorManager::Damaged(const std::string& path, const Status& status) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    if (damaged_.size() >= kMaxReported || !damaged_.insert(path).second) return;
  }
  Log(Level::warn, "zookeeper_node_skipped", {{"path", path}, {"error", status.ToString()}});
}

void MirrorManager::Report(const std::string& path, const Status& status) {
  if (status.ok() || status.code() == Code::kUnavailable) return;
  Log(Level::error, "zookeeper_registration_failed",
      {{"path", path}, {"error", status.ToString()}});
}

std::shared_ptr<const MirrorManager::Services> MirrorManager::services() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return services_;
}

void MirrorManager::ReportResource() {
  const std::chrono::nanoseconds now = options_.clock->Monotonic();
  if (reported_ && now - reported_at_ < kReportInterval) return;
  const Resource own = *GetResource();
  discovery::ResourceSpec spec{.address = own.address,
                               .shard_id = config_.shard_id,
                               .replica_id = config_.replica_id,
                               .memory = own.memory};
  if (options_.cpu_percent) spec.cpu = options_.cpu_percent();
  const std::string path = StrCat(root_, "/resource/", config_.shard_id, ":", config_.replica_id);
  Report(path, registrations_->Put(path, discovery::WriteRecord(spec)));
  reported_ = true;
  reported_at_ = now;
}

// A node of one's own for each session: one that is made again under its old number would take over
// from whoever leads meanwhile.
void MirrorManager::Candidate(int64_t session) {
  if (candidate_session_ != session) {
    candidate_ = StrCat(CandidateName(), "__lock__");
    candidate_session_ = session;
  }
  // One whose creation was in doubt may be there: a second one would leave it behind, and with the
  // lowest number nobody would lead.
  const std::string folder = StrCat(root_, "/election");
  const auto children = client_.Children(folder);
  if (!children.ok() && children.status().code() != Code::kNotFound) return;
  for (const std::string& name : children.ok() ? *children : std::vector<std::string>()) {
    if (name.starts_with(candidate_)) election_path_ = StrCat(folder, "/", name);
  }
  if (!election_path_.starts_with(StrCat(folder, "/", candidate_))) {
    const std::string id = config_.pod_name.empty() ? config_.local_ip : config_.pod_name;
    auto created = client_.Create(StrCat(folder, "/", candidate_), id,
                                  discovery::CreateMode::kEphemeralSequential);
    Report(folder, created.status());
    if (!created.ok()) return;
    election_path_ = *std::move(created);
  }
  election_session_ = session;
}

void MirrorManager::Elect() {
  const int64_t session = client_.session_id();
  if (config_.deploy_type != DeployType::kEntry && session != 0 && session != election_session_) {
    Candidate(session);
  }
  const bool current = election_->loaded() && !election_->staleness();
  const std::string leader = LeaderOf(*election_->snapshot());
  const bool leads = current && session != 0 && session == election_session_ && !leader.empty() &&
                     election_path_ == StrCat(root_, "/election/", leader);
  const std::lock_guard<std::mutex> lock(mu_);
  if (leads != leads_)
    Log(Level::info, "agent_leader", {{"path", election_path_}, {"leads", leads}});
  leads_ = leads;
}

bool MirrorManager::leads() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return leads_;
}

std::vector<WantedModel> MirrorManager::Wanted(const discovery::Tree& portal) {
  std::vector<WantedModel> out;
  std::map<std::string, Described> kept;
  const std::chrono::nanoseconds now = options_.clock->Monotonic();
  for (const auto& [name, node] : portal.nodes) {
    const auto meta = discovery::ReadRecord<discovery::ModelMeta>(node->data);
    if (!meta.ok()) {
      Damaged(name, meta.status());
      continue;
    }
    const auto before = described_.find(name);
    const bool same = before != described_.end() && before->second.meta == *meta;
    if (same && (before->second.parts.ok() || now - before->second.at < kReportInterval)) {
      kept.insert(*before);
    } else {
      kept.emplace(name, Described{*meta, options_.describe(*meta), now});
    }
    const Described& described = kept.at(name);
    if (!described.parts.ok()) Damaged(StrCat("portal/", name), described.parts.status());
    out.push_back({.name = name,
                   .num_groups = meta->num_shard,
                   .sub_models = described.parts.ok() ? *described.parts : std::vector<SubModel>(),
                   .spec_replicas = meta->spec_replicas});
  }
  described_ = std::move(kept);
  return out;
}

void MirrorManager::Lead() {
  // Decisions of what is not known would take models from where they are.
  for (const auto* mirror : {&portal_, &publish_, &resource_, &service_}) {
    if (!(*mirror)->loaded() || (*mirror)->staleness()) return;
  }
  const auto on_damaged = [this](const std::string& path, const Status& status) {
    Damaged(path, status);
  };
  const discovery::TreeSnapshot portal = portal_->snapshot();
  const discovery::TreeSnapshot published = publish_->snapshot();
  const std::vector<WantedModel> wanted = Wanted(*portal);
  const std::vector<PublishMeta> current = ReadPublishes(*published, on_damaged);
  const Schedule schedule = MakeSchedule(
      wanted, ReadResources(*resource_->snapshot(), current, *services(), on_damaged), current);
  std::map<std::string, std::string> told;
  for (const auto& [model, why] : schedule.unplaced) {
    told[model] = why.ToString();
    if (told_[model] != told[model]) {
      Log(Level::error, "agent_model_unplaced", {{"model", model}, {"error", told[model]}});
    }
  }
  told_ = std::move(told);
  Apply(schedule, *portal, *published);
}

// New and changed nodes first: a model that moves is not taken away before it can be loaded.
void MirrorManager::Apply(const Schedule& schedule, const discovery::Tree& portal,
                          const discovery::Tree& published) {
  std::set<std::string> wanted;
  for (const auto& [model, publishes] : schedule.publishes) {
    size_t written = 0;
    for (const PublishMeta& publish : publishes) {
      const std::string name = PublishName(publish);
      wanted.insert(name);
      const auto at = published.nodes.find(name);
      if (at != published.nodes.end()) {
        const auto before = discovery::ReadRecord<PublishMeta>(at->second->data);
        if (before.ok() && *before == publish) continue;
      }
      const std::string path = StrCat(root_, "/publish/", name);
      const std::string data = discovery::WriteRecord(publish);
      Status status = client_.Create(path, data, discovery::CreateMode::kPersistent).status();
      if (status.code() == Code::kAlreadyExists) status = client_.Set(path, data);
      Report(path, status);
      if (!status.ok()) return;  // the next tick begins anew
      ++written;
    }
    if (written != 0) {
      Log(Level::info, "agent_model_published", {{"model", model}, {"containers", written}});
    }
  }
  for (const auto& [name, node] : published.nodes) {
    const std::string model(ModelOfPublish(name));
    const bool gone = !model.empty() && !portal.nodes.contains(model);
    if (wanted.contains(name) || (!gone && !schedule.publishes.contains(model))) continue;
    const std::string path = StrCat(root_, "/publish/", name);
    const Status status = client_.Delete(path);
    if (status.code() != Code::kNotFound) Report(path, status);
  }
}

void MirrorManager::Load() {
  if (!publish_->loaded()) return;  // an empty list would unload everything
  const auto publishes = ReadPublishes(
      *publish_->snapshot(),
      [this](const std::string& path, const Status& status) { Damaged(path, status); });
  expected_ = ExpectedLoading(publishes, config_.shard_id, config_.replica_id, expected_);
  std::vector<PublishMeta> expected;
  for (const auto& [model, publish] : expected_) expected.push_back(publish);
  for (auto& [type, models] : ConfigsOf(config_, expected, false)) {
    const auto at = loaded_.find(type);
    if (at != loaded_.end() && at->second == models) continue;
    const Status status = ReloadWithDefault(type, models, control_);
    std::string& error = reload_errors_[type];
    if (!status.ok() && error != status.ToString()) {
      Log(Level::warn, "agent_reload_failed", {{"server", type}, {"error", status.ToString()}});
    }
    error = status.ok() ? "" : status.ToString();
    if (status.ok()) {
      loaded_[type] = std::move(models);
    } else {
      loaded_.erase(type);
    }
  }
}

void MirrorManager::TellServices() {
  std::set<std::string> own;
  for (const auto& [model, publish] : expected_) {
    for (const auto& [name, status] : StatusOf(config_, publish, false, control_)) {
      const std::string sub_model = name.substr(name.find(':') + 1);
      const std::string type = ServerTypeOf(config_, sub_model);
      const int64_t task = TaskOf(sub_model).second;
      // A model server that has forgotten its models was started anew: it is told again.
      if (status.version.error_code == static_cast<int64_t>(Code::kNotFound)) loaded_.erase(type);
      discovery::ReplicaMeta meta = OwnAddresses(config_, type);
      meta.stat = status.version.state;
      meta.model_name = model;
      meta.server_type = type;
      meta.task = task;
      meta.replica = config_.replica_id;
      const std::string path = StrCat(root_, "/service/", model, "/", type, ":", task, "/",
                                      std::max<int64_t>(config_.replica_id, 0));
      if (!discovery::ParseReplicaPath(path)) continue;  // nobody could read it
      Report(path, registrations_->Put(path, discovery::WriteRecord(meta)));
      own.insert(path);
    }
  }
  for (const std::string& path : own_) {
    if (!own.contains(path)) Report(path, registrations_->Remove(path));
  }
  own_ = std::move(own);
}

void MirrorManager::Tick() {
  ReportResource();
  Elect();
  if (leads()) Lead();
  Load();
  TellServices();
}

void MirrorManager::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void MirrorManager::Loop() {
  SetThreadName("agent-mirror");
  const std::chrono::seconds interval(config_.update_model_status_interval);
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    lock.unlock();
    Tick();
    Export();
    lock.lock();
    wake_.wait_for(lock, interval, [this] { return stopping_; });
  }
}

void MirrorManager::Export() const {
  if (options_.metrics == nullptr) return;
  std::chrono::duration<double> stale{0};
  uint64_t damaged = 0;
  for (const auto* mirror : {&portal_, &publish_, &resource_, &election_, &service_}) {
    const std::chrono::duration<double> age =
        (*mirror)->staleness().value_or(std::chrono::seconds(0));
    stale = std::max(stale, age);
    damaged += (*mirror)->skipped();
  }
  const auto all = services();
  {
    const std::lock_guard<std::mutex> lock(mu_);
    damaged += damaged_.size();
  }
  options_.metrics->GetGauge(telemetry::kAgentReplicas).Set(static_cast<double>(all->size()));
  options_.metrics->GetGauge(telemetry::kAgentStale).Set(stale.count());
  options_.metrics->GetGauge(telemetry::kAgentDamagedNodes).Set(static_cast<double>(damaged));
}

std::map<std::string, std::vector<std::string>> MirrorManager::HeartBeat(
    std::string_view server_type) const {
  std::map<std::string, std::vector<std::string>> out;
  const auto all = services();
  for (const ServedReplica& replica : *all) {
    if (replica.server_type != server_type ||
        replica.meta.stat != static_cast<int64_t>(ModelState::kAvailable)) {
      continue;
    }
    std::string address = ChooseAddress(replica.meta, config_.ipv6_only);
    if (address.empty() || FindInvalidUtf8(address)) continue;
    out[StrCat(replica.model, ":", replica.server_type, ":", replica.task)].push_back(
        std::move(address));
  }
  return out;
}

Result<std::vector<std::string>> MirrorManager::Replicas(const std::string& model,
                                                         std::string_view server_type,
                                                         int64_t task) const {
  const auto all = HeartBeat(server_type);
  const auto at = all.find(StrCat(model, ":", server_type, ":", task));
  return at == all.end() ? std::vector<std::string>() : at->second;
}

std::optional<Resource> MirrorManager::GetResource() const {
  Resource out;
  const bool ipv6 = config_.local_ip.find(':') != std::string::npos;
  out.address = StrCat(ipv6 ? "[" : "", config_.local_ip, ipv6 ? "]" : "", ":", config_.agent_port);
  out.shard_id = config_.shard_id;
  out.replica_id = config_.replica_id > INT32_MAX ? -1 : config_.replica_id;  // D8
  if (options_.available_memory) out.memory = options_.available_memory();
  return out;
}

}  // namespace megalith::agent

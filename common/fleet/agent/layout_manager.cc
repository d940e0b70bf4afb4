#include "common/fleet/agent/layout_manager.h"

#include <algorithm>
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

constexpr std::chrono::seconds kVerifyInterval{60};
constexpr size_t kMaxReported = 1000;

std::string HostPort(const std::string& host, int port) {
  return host.find(':') == host.npos ? StrCat(host, ":", port) : StrCat("[", host, "]:", port);
}

// Of the numbered folders in a model's folder; -1 without any.
int64_t HighestVersion(const std::string& base_path, FileSystem& files) {
  int64_t version = -1;
  const auto entries = files.List(base_path);
  if (!entries.ok()) return version;
  for (const FileInfo& entry : *entries) {
    if (entry.is_directory) version = std::max(version, ParseInt(entry.name).value_or(-1));
  }
  return version;
}

// The value of this container's service node (spec 4).
std::string ServiceInfo(const AgentConfig& config, const std::string& layout_path,
                        const LayoutFilters& filters) {
  discovery::Json::List texts;
  for (std::string& text : filters.Texts()) texts.push_back({std::move(text)});
  const discovery::Json debug{discovery::Json::Object{{"layout_path", {layout_path}},
                                                      {"layout_filters", {std::move(texts)}}}};
  const std::string& ip = config.local_ip;
  discovery::ContainerServiceInfo info{.grpc = HostPort(ip, config.unified.grpc),
                                       .http = HostPort(ip, config.unified.http),
                                       .archon = HostPort(ip, config.unified.archon),
                                       .agent = HostPort(ip, config.agent_port),
                                       .idc = std::nullopt,
                                       .debug_info = discovery::DumpPythonJson(debug)};
  if (!config.idc.empty()) info.idc = config.idc;
  return discovery::WriteRecord(info);
}

}  // namespace

Result<std::unique_ptr<LayoutManager>> LayoutManager::Make(const AgentConfig& config,
                                                           LayoutManagerOptions options,
                                                           discovery::ZkClient& client,
                                                           ModelStatusSource& status) {
  if (config.deploy_type != DeployType::kUnified) {
    return FailedPrecondition(StrCat("agent_version 3 needs deploy_type unified, got ",
                                     DeployTypeName(config.deploy_type)));
  }
  ASSIGN_OR_RETURN(const std::string layout_path, config.LayoutPath());
  std::unique_ptr<LayoutManager> manager(
      new LayoutManager(config, std::move(options), client, status));
  manager->root_ = StrCat("/", config.bzid);
  manager->container_ = config.Container();
  const std::string own = manager->service_info_path();
  for (const std::string& path : {layout_path, own}) {
    RETURN_IF_ERROR(discovery::CheckZkPath(path));
  }
  if (config.bzid.empty() || config.bzid.find('/') != config.bzid.npos ||
      manager->container_.find('/') != manager->container_.npos) {
    return FailedPrecondition(StrCat(
        "bzid must be a name, and TCE_PSM, idc, cluster and MY_POD_NAME must have no '/', got '",
        Printable(own), "'"));
  }
  ASSIGN_OR_RETURN(manager->filters_,
                   LayoutFilters::Parse(config.layout_filters, config.shard_id, config.num_shard));
  manager->info_ = ServiceInfo(config, layout_path, manager->filters_);
  manager->written_ = kEmptyModelConfig;
  RETURN_IF_ERROR(manager->options_.files->WriteAtomically(manager->options_.model_config_file,
                                                           kEmptyModelConfig));
  manager->registrations_ = std::make_unique<discovery::ZkRegistrations>(client);
  manager->Watch(layout_path);
  return manager;
}

void LayoutManager::Watch(const std::string& layout_path) {
  const auto mirror = [this](const std::string& base, int depth) {
    return std::make_unique<discovery::TreeMirror>(
        client_,
        discovery::TreeMirrorOptions{.base = base, .max_depth = depth, .clock = options_.clock},
        [this](const discovery::TreeSnapshot&) { Rebuild(); });
  };
  const std::lock_guard<std::mutex> lock(mirrors_mu_);
  saved_models_ = mirror(StrCat(root_, "/saved_models"), 2);
  containers_ = mirror(StrCat(root_, "/container_service"), 1);
  bindings_ = mirror(StrCat(root_, "/binding"), 2);
  layout_ = mirror(layout_path, 1);
}

LayoutManager::~LayoutManager() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
  {
    const std::lock_guard<std::mutex> lock(mirrors_mu_);
    closing_ = true;
  }
  for (auto* mirror : {&layout_, &bindings_, &containers_, &saved_models_}) mirror->reset();
}

std::string LayoutManager::service_info_path() const {
  return StrCat(root_, "/container_service/", container_);
}

Status LayoutManager::Register() {
  const Status put = registrations_->Put(service_info_path(), info_);
  return put.code() == Code::kUnavailable ? OkStatus() : put;
}

void LayoutManager::Damaged(const std::string& path, const Status& status) {
  if (reported_.size() >= kMaxReported || !reported_.insert(path).second) return;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    ++damaged_;
  }
  Log(Level::warn, "zookeeper_node_skipped", {{"path", path}, {"error", status.ToString()}});
}

std::vector<ModelEntry> LayoutManager::Accepted(const std::vector<LayoutModel>& layout) {
  std::vector<ModelEntry> out;
  for (const LayoutModel& model : layout) {
    if (!filters_.Accepts(model.sub_graph)) continue;
    ModelEntry entry{.name = model.Name(), .base_path = *model.deploy.model_base_path};
    entry.version_policy = model.deploy.version_policy.value_or("latest");
    // A policy that nobody knows costs its own sub-graph, not the layout (D2).
    const Status known = ModelConfigText({entry}).status();
    if (known.ok()) {
      out.push_back(std::move(entry));
    } else {
      Damaged(model.Name(), known);
    }
  }
  return out;
}

void LayoutManager::Rebuild() {
  auto fresh = std::make_shared<Content>();
  {
    const std::lock_guard<std::mutex> lock(mirrors_mu_);
    // What is declared and what is asked for must both be known: an empty list would unload all.
    if (closing_ || !layout_->loaded() || !saved_models_->loaded()) return;
    const auto on_damaged = [this](const std::string& path, const Status& status) {
      Damaged(path, status);
    };
    const auto layout = ReadLayout(*layout_->snapshot(), *saved_models_->snapshot(), on_damaged);
    std::set<std::string> subscribed;
    for (const LayoutModel& model : layout) subscribed.insert(model.model);
    fresh->models = Accepted(layout);
    fresh->addresses = BoundAddresses(subscribed, *bindings_->snapshot(), *containers_->snapshot(),
                                      options_.grpc, on_damaged);
  }
  {
    const std::lock_guard<std::mutex> lock(mu_);
    changed_ = changed_ || fresh->models != content_->models;
    content_ = std::move(fresh);
  }
  wake_.notify_all();
}

std::shared_ptr<const LayoutManager::Content> LayoutManager::content() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return content_;
}

void LayoutManager::WriteConfig(const std::vector<ModelEntry>& models) {
  const auto text = ModelConfigText(models);
  if (!text.ok() || *text == written_) return;
  if (models.empty() && written_ == kEmptyModelConfig) return;
  const Status status = options_.files->WriteAtomically(options_.model_config_file, *text);
  if (status.ok()) {
    Log(Level::info, "agent_layout_changed",
        {{"file", options_.model_config_file}, {"models", models.size()}});
    written_ = *text;
  } else {  // tried again with the next tick
    Log(Level::error, "agent_file_unwritten",
        {{"path", options_.model_config_file}, {"error", status.ToString()}});
  }
}

// A model without any version yet is left out until it has one.
std::vector<ModelEntry> LayoutManager::Pinned(const std::vector<ModelEntry>& models) {
  if (options_.knows_latest_once) return models;
  std::vector<ModelEntry> out;
  std::map<std::string, int64_t> kept;
  for (ModelEntry model : models) {
    if (AsciiLower(model.version_policy) == "latest_once") {
      const auto before = pinned_.find(model.name);
      const int64_t version = before == pinned_.end()
                                  ? HighestVersion(model.base_path, *options_.files)
                                  : before->second;
      if (version < 0) continue;
      kept[model.name] = version;
      model.version_policy = "specific";
      model.versions = {version};
    }
    out.push_back(std::move(model));
  }
  pinned_ = std::move(kept);
  return out;
}

void LayoutManager::Tick() {
  const std::vector<ModelEntry> models = Pinned(content()->models);
  WriteConfig(models);
  std::set<std::string> available;
  bool silent = false;  // a model server that does not answer is not waited for again
  for (const ModelEntry& model : models) {
    if (silent) break;
    const auto versions = status_.GetModelStatus("unified", model.name);
    silent = versions.status().code() == Code::kDeadlineExceeded;
    const ModelVersion* const chosen = versions.ok() ? ChooseVersion(*versions) : nullptr;
    const bool is_available =
        chosen != nullptr && chosen->state == static_cast<int64_t>(ModelState::kAvailable);
    if (is_available) available.insert(model.name);
    const bool bad = chosen != nullptr && !is_available && chosen->error_code != 0;
    if (bad && !in_error_[model.name]) {
      Log(Level::warn, "agent_model_error", {{"model", model.name}, {"error", chosen->error}});
    }
    in_error_[model.name] = bad;
  }
  Bind(available);
}

void LayoutManager::Bind(const std::set<std::string>& available) {
  const auto path_of = [this](const std::string& name) {
    const size_t colon = name.find(':');
    return StrCat(root_, "/binding/", name.substr(0, colon), "/", name.substr(colon + 1), ":",
                  container_);
  };
  const auto report = [](const std::string& path, const Status& status) {
    if (status.ok() || status.code() == Code::kUnavailable) return;
    Log(Level::error, "zookeeper_registration_failed",
        {{"path", path}, {"error", status.ToString()}});
  };
  for (const std::string& name : bound_) {
    if (!available.contains(name)) report(path_of(name), registrations_->Remove(path_of(name)));
  }
  // Put writes nothing that is written, and what a lost connection has kept from being written.
  for (const std::string& name : available)
    report(path_of(name), registrations_->Put(path_of(name), ""));
  bound_ = available;
}

void LayoutManager::Export() const {
  if (options_.metrics == nullptr) return;
  std::chrono::duration<double> stale{0};
  uint64_t damaged = 0;
  for (const auto* mirror : {&layout_, &saved_models_, &bindings_, &containers_}) {
    const std::chrono::duration<double> age =
        (*mirror)->staleness().value_or(std::chrono::seconds(0));
    stale = std::max(stale, age);
    damaged += (*mirror)->skipped();
  }
  size_t count = 0;
  for (const auto& [key, addresses] : content()->addresses) count += addresses.size();
  {
    const std::lock_guard<std::mutex> lock(mu_);
    damaged += damaged_;
  }
  options_.metrics->GetGauge(telemetry::kAgentReplicas).Set(static_cast<double>(count));
  options_.metrics->GetGauge(telemetry::kAgentStale).Set(stale.count());
  options_.metrics->GetGauge(telemetry::kAgentDamagedNodes).Set(static_cast<double>(damaged));
}

void LayoutManager::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void LayoutManager::Loop() {
  SetThreadName("agent-layout");
  const std::chrono::seconds interval(config_.update_model_status_interval);
  std::chrono::nanoseconds verified = options_.clock->Monotonic();
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    wake_.wait_for(lock, interval, [this] { return stopping_ || changed_; });
    if (stopping_) return;
    changed_ = false;
    lock.unlock();
    Tick();
    Export();
    if (options_.clock->Monotonic() - verified >= kVerifyInterval) {
      verified = options_.clock->Monotonic();
      (void)registrations_->Verify();  // what it cannot do now is tried again
    }
    lock.lock();
  }
}

std::map<std::string, std::vector<std::string>> LayoutManager::HeartBeat(std::string_view) const {
  return content()->addresses;
}

Result<std::vector<std::string>> LayoutManager::Replicas(const std::string&, std::string_view,
                                                         int64_t) const {
  return Status(Code::kUnknown, "Exception calling application: not implement for agent v3");
}

std::optional<Resource> LayoutManager::GetResource() const {
  Resource out;
  out.address = HostPort(config_.local_ip, config_.agent_port);
  out.shard_id = config_.shard_id;
  // D8: an id that the message cannot hold.
  out.replica_id = config_.replica_id > INT32_MAX ? -1 : config_.replica_id;
  if (options_.available_memory) out.memory = options_.available_memory();
  return out;
}

std::vector<std::string> LayoutManager::models() const {
  std::vector<std::string> out;
  for (const ModelEntry& model : content()->models) out.push_back(model.name);
  return out;
}

}  // namespace megalith::agent

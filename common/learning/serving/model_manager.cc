#include "common/learning/serving/model_manager.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::serving {
namespace {

using telemetry::Level;

// How often states are looked at when nobody wakes the manager, and how soon a cancelled wait ends.
constexpr std::chrono::milliseconds kTick{100};
constexpr int64_t kNanosPerSecond = 1'000'000'000;
constexpr size_t kMaxQueuedLoads = 100'000;

std::string IdText(const std::string& name, int64_t version) {
  return StrCat("{name: ", name, " version: ", version, "}");
}

Status NoServable(const ServableRequest& request, std::optional<int64_t> version) {
  return NotFound(StrCat("Servable not found for request: ",
                         version ? StrCat("Specific(", request.name, ", ", *version, ")")
                                 : StrCat("Latest(", request.name, ")")));
}

}  // namespace

Result<std::map<int64_t, std::string>> ListVersions(FileSystem& files,
                                                    const std::string& base_path) {
  std::map<int64_t, std::string> out;
  ASSIGN_OR_RETURN(const FileInfo base, files.Stat(base_path));
  if (!base.is_directory) {
    out.emplace(base.modified_unix_nanos / kNanosPerSecond, base_path);
    return out;
  }
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listed, files.List(base_path));
  for (const FileInfo& info : listed) {
    if (!info.is_directory) continue;
    const std::optional<int64_t> number = ParseInt(info.name);
    if (number.has_value() && *number >= 0) out[*number] = JoinPath(base_path, info.name);
  }
  return out;
}

std::set<int64_t> ChooseVersions(const VersionPolicy& policy,
                                 const std::map<int64_t, std::string>& offered,
                                 std::optional<int64_t> held) {
  std::set<int64_t> out;
  size_t count = offered.size();
  switch (policy.kind) {
    case VersionPolicy::Kind::kSpecific:
      for (const int64_t version : policy.versions)
        if (offered.count(version) != 0) out.insert(version);
      return out;
    case VersionPolicy::Kind::kLatestOnce:
      if (held.has_value()) return {*held};
      count = 1;
      break;
    case VersionPolicy::Kind::kLatest:
      count = std::max<size_t>(1, policy.count);
      break;
    case VersionPolicy::Kind::kAll:
      break;
  }
  for (auto it = offered.rbegin(); it != offered.rend() && out.size() < count; ++it)
    out.insert(it->first);
  return out;
}

Result<std::vector<ModelConfig>> FindModels(FileSystem& files, const std::string& directory) {
  ASSIGN_OR_RETURN(const auto own, ListVersions(files, directory));
  const std::string_view trimmed =
      std::string_view(directory).substr(0, directory.find_last_not_of('/') + 1);
  const auto model = [](std::string_view name, const std::string& path) {
    return ModelConfig{.name = std::string(name), .base_path = path, .platform = "megalith"};
  };
  if (!own.empty())
    return std::vector{model(trimmed.substr(trimmed.rfind('/') + 1), std::string(trimmed))};
  std::vector<ModelConfig> out;
  ASSIGN_OR_RETURN(const std::vector<FileInfo> listed, files.List(directory));
  for (const FileInfo& info : listed) {
    const std::string path = JoinPath(directory, info.name);
    if (info.is_directory) {
      const auto versions = ListVersions(files, path);
      if (versions.ok() && !versions->empty()) out.push_back(model(info.name, path));
    } else if (MayBeProgram(info)) {
      out.push_back(model(info.name.substr(0, info.name.find('.')), path));
    }
  }
  if (out.empty()) {
    return NotFound(StrCat("there is no model in ", Printable(directory, 400),
                           ": wanted programs, such as jax.export writes, folders with numbers as "
                           "names that hold them, or folders of such folders"));
  }
  return out;
}

ModelManager::ModelManager(ManagerOptions options, std::unique_ptr<Loader> loader,
                           FileSystem& files, const Clock& clock)
    : options_(options), loader_(std::move(loader)), files_(files), clock_(clock) {
  loaders_ = std::make_unique<ThreadPool>("model-load", std::max(1u, options_.load_threads),
                                          kMaxQueuedLoads);
  thread_ = std::thread([this] { Loop(); });
}

ModelManager::~ModelManager() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
    for (auto& [name, model] : models_) {
      for (auto& [number, version] : model.versions)
        if (version.load != nullptr) version.load->Cancel();
    }
  }
  wake_.notify_all();
  changed_.notify_all();
  thread_.join();
  loaders_->Shutdown();
}

Status ModelManager::CheckLabels(const ModelConfig& model) const {
  const auto old = std::ranges::find(config_, model.name, &ModelConfig::name);
  for (const auto& [label, number] : model.labels) {
    const bool is_new = old == config_.end() || old->labels.count(label) == 0;
    if (options_.labels_for_unavailable && is_new) continue;
    const Version* version = FindVersion(model.name, number);
    if (version == nullptr || version->state != VersionState::kAvailable) {
      return FailedPrecondition(StrCat("Request to assign label to version ", number, " of model ",
                                       model.name,
                                       ", which is not currently available for inference"));
    }
  }
  return OkStatus();
}

Status ModelManager::Check(const std::vector<ModelConfig>& models) const {
  std::set<std::string> names;
  for (const ModelConfig& model : models) {
    if (!names.insert(model.name).second) {
      return InvalidArgument(
          StrCat("Illegal to list model ", model.name, " multiple times in config list"));
    }
    if (model.platform.empty()) {
      return InvalidArgument(
          StrCat("Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
                 "ModelServerConfig::model_platform, model name is ",
                 model.name));
    }
    const auto old = std::ranges::find(config_, model.name, &ModelConfig::name);
    if (old != config_.end() && old->platform != model.platform) {
      return InvalidArgument(StrCat("Illegal to change a model's platform. For model ", model.name,
                                    " platform was ", old->platform,
                                    " and new platform requested is ", model.platform));
    }
    if (model.platform != "tensorflow" && model.platform != "megalith") {
      return InvalidArgument(
          StrCat("Model ", model.name, " requests unsupported platform ", model.platform));
    }
    if (!model.base_path.starts_with("/")) {
      return InvalidArgument(
          StrCat("Expected model ", model.name,
                 " to have an absolute path or URI; got base_path()=", model.base_path));
    }
  }
  for (const ModelConfig& model : models) RETURN_IF_ERROR(CheckLabels(model));
  return OkStatus();
}

Status ModelManager::Configure(std::vector<ModelConfig> models, const Cancellation& cancellation) {
  const std::lock_guard<std::mutex> configure_lock(configure_mu_);
  std::vector<std::string> added;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    RETURN_IF_ERROR(Check(models));
    std::set<std::string> names;
    for (const ModelConfig& config : models) {
      names.insert(config.name);
      Model& model = models_[config.name];
      if (std::ranges::find(config_, config.name, &ModelConfig::name) == config_.end())
        added.push_back(config.name);
      if (model.config.base_path != config.base_path || model.config.policy != config.policy)
        model.held.reset();
      model.config = config;
      model.configured = true;
      model.looked_at = false;
    }
    for (auto& [name, model] : models_) {
      if (names.count(name) != 0) continue;
      model.configured = false;
      model.held.reset();
      for (auto& [number, version] : model.versions) version.wanted = false;
    }
    config_ = std::move(models);
    configured_ = true;
    look_ = true;
  }
  wake_.notify_all();
  return WaitFor(added, cancellation);
}

Status ModelManager::WaitFor(const std::vector<std::string>& names,
                             const Cancellation& cancellation) {
  std::unique_lock<std::mutex> lock(mu_);
  while (true) {
    std::vector<std::string> failed;
    size_t waiting = 0;
    for (const std::string& name : names) {
      const Model& model = models_[name];
      bool available = false, open = !model.looked_at, any = false;
      for (const auto& [number, version] : model.versions) {
        available |= version.state == VersionState::kAvailable;
        if (!version.wanted) continue;
        any = true;
        open |= !version.failed;
        if (version.failed) {
          failed.push_back(
              StrCat(IdText(name, number), " due to error: ", version.status.ToString()));
        }
      }
      if (available) continue;
      if (open || !any) ++waiting;
    }
    if (waiting == 0) {
      size_t lacking = 0;
      for (const std::string& name : names) {
        const auto& versions = models_[name].versions;
        lacking += std::ranges::none_of(
            versions, [](const auto& v) { return v.second.state == VersionState::kAvailable; });
      }
      if (lacking == 0) return OkStatus();
      return Status(Code::kUnknown, StrCat(lacking, " servable(s) did not become available: {{",
                                           Join(failed, "}, {"), "}, }"));
    }
    if (stopping_) return Unavailable("the server is stopping");
    RETURN_IF_ERROR(cancellation.Check());
    changed_.wait_for(lock, kTick);
  }
}

void ModelManager::Poll() {
  std::vector<ModelConfig> configs;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    configs = config_;
  }
  std::map<std::string, std::map<int64_t, std::string>> offered;
  for (const ModelConfig& config : configs) {
    Result<std::map<int64_t, std::string>> versions = ListVersions(files_, config.base_path);
    if (!versions.ok()) {
      // Nothing is unloaded because a file system is away for a moment. Other models are not held
      // back by it.
      telemetry::Log(Level::warn, "model_folder_unreadable",
                     {{"model", config.name}, {"error", versions.status().message()}});
      continue;
    }
    offered.emplace(config.name, *std::move(versions));
  }
  const std::lock_guard<std::mutex> lock(mu_);
  for (auto& [name, versions] : offered) {
    Model& model = models_[name];
    const auto now = std::ranges::find(config_, name, &ModelConfig::name);
    const auto then = std::ranges::find(configs, name, &ModelConfig::name);
    if (now == config_.end() || now->base_path != then->base_path) continue;
    const std::set<int64_t> wanted = ChooseVersions(now->policy, versions, model.held);
    if (now->policy.kind == VersionPolicy::Kind::kLatestOnce && !wanted.empty())
      model.held = *wanted.begin();
    for (auto& [number, version] : model.versions)
      if (wanted.count(number) == 0) version.wanted = false;
    for (const int64_t number : wanted) {
      // What kLatestOnce holds on to need not be there any more.
      const auto path = versions.find(number);
      Version& version = model.versions[number];
      if (version.wanted) continue;
      if (path == versions.end()) continue;
      version.wanted = true;
      version.failed = false;
      version.path = path->second;
      if (version.state == VersionState::kEnd) {
        version.state = VersionState::kStart;
        version.status = OkStatus();
      }
    }
    model.looked_at = true;
  }
}

bool ModelManager::ActOn(const std::string& name, Model* model) {
  bool wanted_ready = false, any_wanted = false;
  size_t unwanted_ready = 0;
  Version* lowest = nullptr;
  int64_t lowest_number = 0;
  for (auto& [number, version] : model->versions) {
    const bool ready = version.state == VersionState::kAvailable;
    any_wanted |= version.wanted;
    wanted_ready |= ready && version.wanted;
    if (ready && !version.wanted) {
      if (unwanted_ready++ == 0) lowest = &version, lowest_number = number;
    }
    if (version.state == VersionState::kLoading && !version.wanted) {
      version.load->Cancel();
      wake_.notify_all();  // a load that waits for its next attempt
    }
    if (version.state == VersionState::kStart && !version.wanted) {
      version.state = VersionState::kEnd;
      return true;
    }
    if (version.state == VersionState::kUnloading && version.leaving.expired()) {
      version.state = version.wanted ? VersionState::kStart : VersionState::kEnd;
      return true;
    }
  }
  if (lowest != nullptr && (!any_wanted || wanted_ready || unwanted_ready > 1)) {
    telemetry::Log(Level::info, "model_unloaded", {{"model", name}, {"version", lowest_number}});
    lowest->leaving = lowest->servable;
    lowest->servable = nullptr;
    lowest->state = VersionState::kUnloading;
    return true;
  }
  for (auto it = model->versions.rbegin(); it != model->versions.rend(); ++it) {
    Version& version = it->second;
    if (!version.wanted || version.failed || version.state != VersionState::kStart) continue;
    StartLoad(name, it->first, &version);
    return true;
  }
  return false;
}

bool ModelManager::Act() {
  bool acted = false;
  for (auto& [name, model] : models_) {
    while (!stopping_ && ActOn(name, &model)) acted = true;
  }
  return acted;
}

void ModelManager::StartLoad(const std::string& name, int64_t number, Version* version) {
  version->state = VersionState::kLoading;
  version->load = std::make_shared<Cancellation>(std::nullopt, clock_);
  const Status submitted =
      loaders_->Submit([this, name, number, path = version->path, cancellation = version->load] {
        RunLoad(name, number, path, cancellation);
      });
  if (submitted.ok()) return;
  version->state = VersionState::kEnd;
  version->failed = true;
  version->status = submitted;
}

void ModelManager::RunLoad(const std::string& name, int64_t number, const std::string& path,
                           const std::shared_ptr<Cancellation>& cancellation) {
  const Stopwatch stopwatch(clock_);
  Result<std::shared_ptr<const Servable>> loaded = Internal("not loaded");
  for (uint32_t attempt = 0; attempt <= options_.max_load_retries; ++attempt) {
    loaded = cancellation->cancelled() ? Cancelled("Loading of servable cancelled")
                                       : loader_->Load(name, number, path, *cancellation);
    if (loaded.ok() || cancellation->cancelled()) break;
    telemetry::Log(Level::warn, "model_load_failed",
                   {{"model", name},
                    {"version", number},
                    {"attempt", attempt + 1},
                    {"error", loaded.status().message()}});
    if (attempt == options_.max_load_retries) break;
    std::unique_lock<std::mutex> lock(mu_);
    changed_.notify_all();
    wake_.wait_for(lock, options_.load_retry_interval,
                   [&] { return stopping_ || cancellation->cancelled(); });
  }
  {
    const std::lock_guard<std::mutex> lock(mu_);
    Version& version = models_[name].versions[number];
    version.load = nullptr;
    if (loaded.ok()) {
      version.state = VersionState::kAvailable;
      version.servable = *std::move(loaded);
      version.status = OkStatus();
      telemetry::Log(Level::info, "model_loaded",
                     {{"model", name},
                      {"version", number},
                      {"load_ms", static_cast<int64_t>(stopwatch.Seconds() * 1000)}});
    } else {
      version.state = VersionState::kEnd;
      version.failed = version.wanted;
      version.status =
          cancellation->cancelled() ? Cancelled("Loading of servable cancelled") : loaded.status();
    }
  }
  wake_.notify_all();
  changed_.notify_all();
}

void ModelManager::Loop() {
  SetThreadName("model-manager");
  std::chrono::nanoseconds next_poll = clock_.Monotonic();
  bool first = true;
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    const bool due = options_.poll_interval.count() > 0 && clock_.Monotonic() >= next_poll;
    if (configured_ && options_.poll_interval.count() >= 0 && (look_ || due || first)) {
      look_ = first = false;
      next_poll = clock_.Monotonic() + options_.poll_interval;
      lock.unlock();
      Poll();
      lock.lock();
    }
    if (Act()) changed_.notify_all();
    wake_.wait_for(lock, kTick, [this] { return stopping_ || look_; });
  }
}

const ModelManager::Version* ModelManager::FindVersion(const std::string& name,
                                                       int64_t version) const {
  const auto model = models_.find(name);
  if (model == models_.end()) return nullptr;
  const auto found = model->second.versions.find(version);
  return found == model->second.versions.end() ? nullptr : &found->second;
}

Result<std::shared_ptr<const Servable>> ModelManager::Find(const ServableRequest& request) const {
  if (request.name.empty()) return InvalidArgument("ModelSpec has no name specified.");
  const std::lock_guard<std::mutex> lock(mu_);
  std::optional<int64_t> wanted = request.version;
  if (request.label.has_value()) {
    if (!configured_) return Unavailable(StrCat("Model labels does not init yet.", *request.label));
    const auto config = std::ranges::find(config_, request.name, &ModelConfig::name);
    if (config == config_.end() || config->labels.count(*request.label) == 0) {
      return InvalidArgument(StrCat("Unrecognized servable version label: ", *request.label));
    }
    wanted = config->labels.at(*request.label);
  }
  if (wanted.has_value()) {
    const Version* version = FindVersion(request.name, *wanted);
    if (version == nullptr || version->servable == nullptr) return NoServable(request, wanted);
    return version->servable;
  }
  const auto model = models_.find(request.name);
  if (model == models_.end()) return NoServable(request, std::nullopt);
  for (auto it = model->second.versions.rbegin(); it != model->second.versions.rend(); ++it)
    if (it->second.servable != nullptr) return it->second.servable;
  return NoServable(request, std::nullopt);
}

Result<std::vector<VersionStatus>> ModelManager::StatusOf(const std::string& name,
                                                          std::optional<int64_t> version) const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::vector<VersionStatus> out;
  if (version.has_value()) {
    const Version* found = FindVersion(name, *version);
    if (found == nullptr)
      return NotFound(StrCat("Could not find version ", *version, " of model ", name));
    out.push_back({*version, found->state, found->status});
    return out;
  }
  if (const auto model = models_.find(name); model != models_.end()) {
    for (auto it = model->second.versions.rbegin(); it != model->second.versions.rend(); ++it)
      out.push_back({it->first, it->second.state, it->second.status});
  }
  if (out.empty()) return NotFound(StrCat("Could not find any versions of model ", name));
  return out;
}

std::vector<ModelConfig> ModelManager::models() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return config_;
}

}  // namespace megalith::serving

#include "common/fleet/agent/model_manager.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::agent {
namespace {

using telemetry::Level;
using telemetry::Log;

constexpr std::string_view kWriteDone = ".write.done";
constexpr std::string_view kReadLock = ".read.lock";
constexpr std::string_view kTemporary = "-temp";
constexpr int kMaxDepth = 32;  // of the directories of a version
constexpr size_t kChunkBytes = 1 << 20;

bool Contains(const std::string& outer, const std::string& inner) {
  return inner == outer || inner.starts_with(outer.back() == '/' ? outer : outer + "/");
}

// Of one's own making; other readers' locks are not touched (D11).
class ReadLock {
 public:
  ReadLock(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {
    // One that cannot be made does not keep the reference from reading either.
    made_ = !files_.Stat(path_).ok() && files_.WriteAtomically(path_, "").ok();
  }
  ~ReadLock() {
    if (made_) (void)files_.Remove(path_);
  }
  ReadLock(const ReadLock&) = delete;
  ReadLock& operator=(const ReadLock&) = delete;

 private:
  FileSystem& files_;
  const std::string path_;
  bool made_ = false;
};

}  // namespace

Result<std::unique_ptr<ModelManager>> ModelManager::Make(ModelManagerOptions options) {
  const std::string& source = options.source_path;
  const std::string& receive = options.receive_path;
  // What is received is removed at the start: a slip in agent.conf must not remove anything else.
  if (source.empty() || receive.size() < 2 || receive[0] != '/' || Contains(receive, source) ||
      Contains(source, receive) || receive.find("/..") != receive.npos) {
    return FailedPrecondition(
        StrCat("rough_sort_model_local_path '", Printable(receive),
               "' must be an absolute path apart from rough_sort_model_p2p_path '",
               Printable(source), "': it is emptied at the start"));
  }
  if (options.files->Stat(receive).ok()) RETURN_IF_ERROR(options.files->RemoveTree(receive));
  return std::unique_ptr<ModelManager>(new ModelManager(std::move(options)));
}

ModelManager::~ModelManager() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  wake_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool ModelManager::ready() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return ready_;
}

// The last complete delivery of each model.
Result<std::vector<ModelManager::Delivery>> ModelManager::Complete() const {
  ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, options_.files->List(options_.source_path));
  std::map<std::string, Delivery> last;
  for (const FileInfo& entry : entries) {
    if (!entry.is_directory || !entry.name.starts_with(options_.model_name)) continue;
    const std::string done = StrCat(entry.name, kWriteDone);
    const bool complete = std::any_of(entries.begin(), entries.end(), [&](const FileInfo& other) {
      return !other.is_directory && other.name == done;
    });
    const size_t at = entry.name.find('@');
    if (!complete || at == entry.name.npos || at == 0 || at + 1 == entry.name.size() ||
        entry.name.find('@', at + 1) != entry.name.npos) {
      continue;
    }
    Delivery delivery{entry.name.substr(0, at), entry.name.substr(at + 1), entry.name};
    Delivery& best = last[delivery.model];
    if (best.version < delivery.version) best = std::move(delivery);
  }
  std::vector<Delivery> out;
  for (auto& [model, delivery] : last) out.push_back(std::move(delivery));
  return out;
}

Status ModelManager::CopyFile(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(const auto source, options_.files->OpenRead(from));
  ASSIGN_OR_RETURN(const auto target, options_.files->OpenAppend(to));
  std::string chunk(kChunkBytes, '\0');
  while (true) {
    ASSIGN_OR_RETURN(const size_t count, source->Read(chunk));
    if (count == 0) return target->Sync();
    RETURN_IF_ERROR(target->Append(std::string_view(chunk).substr(0, count)));
  }
}

Status ModelManager::CopyTree(const std::string& from, const std::string& to, int depth) {
  if (depth > kMaxDepth) return InvalidArgument(StrCat("'", from, "' is nested too deeply"));
  RETURN_IF_ERROR(options_.files->MakeDirectory(to));
  ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, options_.files->List(from));
  for (const FileInfo& entry : entries) {
    const std::string source = JoinPath(from, entry.name);
    const std::string target = JoinPath(to, entry.name);
    RETURN_IF_ERROR(entry.is_directory ? CopyTree(source, target, depth + 1)
                                       : CopyFile(source, target));
  }
  return OkStatus();
}

// Every sub-model under a temporary name first, then all of them under their own.
Status ModelManager::CopyVersion(const Delivery& delivery, std::vector<std::string>* made) {
  FileSystem& files = *options_.files;
  const std::string from =
      JoinPath(JoinPath(options_.source_path, delivery.directory), delivery.model);
  ASSIGN_OR_RETURN(const std::vector<FileInfo> sub_models, files.List(from));
  std::vector<std::string> targets;
  Status status;
  for (const FileInfo& sub_model : sub_models) {
    if (!sub_model.is_directory) continue;
    const std::string source = JoinPath(JoinPath(from, sub_model.name), delivery.version);
    const std::string target =
        JoinPath(JoinPath(JoinPath(options_.receive_path, delivery.model), sub_model.name),
                 delivery.version);
    made->push_back(target);
    if (files.Stat(target).ok()) continue;
    targets.push_back(target);
    const std::string temporary = StrCat(target, kTemporary);
    if (files.Stat(temporary).ok()) status = files.RemoveTree(temporary);
    if (status.ok()) status = CopyTree(source, temporary, 0);
    if (!status.ok()) break;
  }
  if (status.ok() && made->empty()) status = NotFound(StrCat("'", from, "' has no sub-model"));
  for (const std::string& target : targets) {
    if (status.ok()) status = files.Rename(StrCat(target, kTemporary), target);
  }
  if (status.ok()) return status;
  for (const std::string& target : targets) {
    for (const std::string& path : {target, StrCat(target, kTemporary)}) {
      if (files.Stat(path).ok()) (void)files.RemoveTree(path);
    }
  }
  return status;
}

void ModelManager::DropOld(const std::string& model) {
  auto& versions = copied_[model];
  while (versions.size() > options_.keep_versions) {
    for (const std::string& path : versions.front().second) {
      if (options_.files->Stat(path).ok()) (void)options_.files->RemoveTree(path);
    }
    versions.erase(versions.begin());
  }
}

Result<int> ModelManager::LoopOnce() {
  ASSIGN_OR_RETURN(const std::vector<Delivery> deliveries, Complete());
  Status first;
  int copied = 0;
  for (const Delivery& delivery : deliveries) {
    auto& versions = copied_[delivery.model];
    if (!versions.empty() && versions.back().first >= delivery.version) continue;
    const std::string directory = JoinPath(options_.source_path, delivery.directory);
    const ReadLock lock(*options_.files, StrCat(directory, kReadLock));
    std::vector<std::string> made;
    const Status status = CopyVersion(delivery, &made);
    if (!status.ok()) {
      if (first.ok()) first = status;
      continue;
    }
    ++copied;
    Log(Level::info, "agent_model_copied",
        {{"model", delivery.model},
         {"version", delivery.version},
         {"path", options_.receive_path}});
    versions.emplace_back(delivery.version, std::move(made));
    DropOld(delivery.model);
  }
  if (!first.ok()) return first;
  if (copied > 0) {
    const std::lock_guard<std::mutex> lock(mu_);
    ready_ = true;
  }
  return copied;
}

void ModelManager::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void ModelManager::Loop() {
  SetThreadName("agent-models");
  const std::chrono::nanoseconds began = options_.clock->Monotonic();
  bool told = false;
  std::string last_error;
  while (true) {
    const Result<int> copied = LoopOnce();
    const std::string error = copied.ok() ? "" : copied.status().ToString();
    if (error != last_error && !error.empty()) {
      Log(Level::warn, "agent_model_copy_failed",
          {{"model", options_.model_name}, {"error", error}});
    }
    last_error = error;
    const std::chrono::nanoseconds waited = options_.clock->Monotonic() - began;
    if (!ready() && !told && waited >= options_.wait_limit) {
      told = true;
      Log(Level::error, "agent_model_missing",
          {{"model", options_.model_name},
           {"source", options_.source_path},
           {"seconds", std::chrono::duration_cast<std::chrono::seconds>(waited).count()}});
    }
    std::unique_lock<std::mutex> lock(mu_);
    const auto interval = ready_ ? options_.interval : options_.first_interval;
    if (wake_.wait_for(lock, interval, [this] { return stopping_; })) return;
  }
}

Result<std::unique_ptr<ModelManager>> MakeModelManager(const AgentConfig& config) {
  if (config.rough_sort_model_name.empty()) return std::unique_ptr<ModelManager>();
  ModelManagerOptions options;
  options.model_name = config.rough_sort_model_name;
  options.source_path = config.rough_sort_model_p2p_path;
  options.receive_path = config.rough_sort_model_local_path;
  return ModelManager::Make(std::move(options));
}

}  // namespace megalith::agent

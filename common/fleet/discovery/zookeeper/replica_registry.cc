#include "common/fleet/discovery/zookeeper/replica_registry.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::discovery {
namespace {

// Below the base: a location, a task, a replica.
constexpr int kMaxDepth = 3;

constexpr auto kAvailable = static_cast<int64_t>(ModelState::kAvailable);
constexpr auto kUnknown = static_cast<int64_t>(ModelState::kUnknown);

// The grammar of whole paths, for one relative to the base.
std::optional<ReplicaPath> ParseRelative(std::string_view path) {
  return ParseReplicaPath(StrCat("/b/service/b/", path));
}

std::string TaskOf(const ReplicaPath& path) {
  const std::string location = path.Location();
  return location.empty() ? path.Task() : StrCat(location, "/", path.Task());
}

}  // namespace

Result<std::unique_ptr<ReplicaRegistry>> ReplicaRegistry::Open(
    const ReplicaRegistryOptions& options, std::chrono::milliseconds start_wait) {
  std::unique_ptr<ReplicaRegistry> registry(new ReplicaRegistry(options));
  ASSIGN_OR_RETURN(registry->client_, ZkClient::Open(options.zookeeper));
  registry->mirror_ = std::make_unique<TreeMirror>(
      *registry->client_, TreeMirrorOptions{.base = options.base, .max_depth = kMaxDepth},
      [r = registry.get()](const TreeSnapshot& tree) { r->OnChange(tree); });
  Status read = registry->client_->WaitConnected(start_wait);
  if (read.code() == Code::kPermissionDenied) return read;
  if (read.ok()) read = registry->mirror_->WaitLoaded(start_wait);
  if (!read.ok()) {
    return Unavailable(StrCat("zookeeper at '", registry->client_->servers(),
                              "' was not read within ", start_wait.count(),
                              " ms: ", read.message()));
  }
  registry->thread_ = std::thread([r = registry.get()] { r->HoldLoop(); });
  return registry;
}

ReplicaRegistry::~ReplicaRegistry() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// Brings services_ in line with the tree at this moment; returns what changed.
std::set<std::string> ReplicaRegistry::Rebuild(Time now) {
  std::map<std::string, std::vector<Endpoint>> found;
  std::map<std::string, Held> held;
  next_end_ = Time::max();
  for (const auto& [path, node] : tree_->nodes) {
    const auto parsed = ParseRelative(path);
    if (!parsed) continue;
    const std::string task = TaskOf(*parsed);
    found[task];
    found[parsed->Task()];
    if (!parsed->replica || node->data.empty()) continue;
    const Result<ReplicaMeta> meta = ReadRecord<ReplicaMeta>(node->data);
    if (!meta.ok()) continue;
    const std::string address = ChooseAddress(*meta, options_.prefer_ipv6);
    if (address.empty()) continue;
    Held mine{.address = address, .owner = node->owner_session, .until = Time()};
    if (meta->stat != kAvailable) {
      const auto before = held_.find(path);
      if (meta->stat != kUnknown || before == held_.end() || before->second.address != address ||
          before->second.owner != mine.owner) {
        continue;
      }
      mine.until = before->second.until == Time() ? now + options_.flap_hold : before->second.until;
      if (mine.until <= now) continue;
      next_end_ = std::min(next_end_, mine.until);
    }
    held.emplace(path, std::move(mine));
    for (const std::string& service : std::set<std::string>{task, parsed->Task()}) {
      found[service].push_back({.service = service, .address = address});
    }
  }
  held_ = std::move(held);
  std::set<std::string> changed;
  for (const auto& [service, snapshot] : services_) {
    if (!found.contains(service)) changed.insert(service);
  }
  for (const std::string& service : changed) services_.erase(service);
  for (auto& [service, endpoints] : found) {
    std::sort(endpoints.begin(), endpoints.end());
    // Two nodes may give one address, for example around a restart.
    endpoints.erase(std::unique(endpoints.begin(), endpoints.end()), endpoints.end());
    Snapshot& current = services_[service];
    if (current != nullptr && *current == endpoints) continue;
    current = std::make_shared<const std::vector<Endpoint>>(std::move(endpoints));
    changed.insert(service);
  }
  return changed;
}

void ReplicaRegistry::OnChange(const TreeSnapshot& tree) {
  std::set<std::string> changed;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    tree_ = tree;
    changed = Rebuild(std::chrono::steady_clock::now());
  }
  changed_.notify_all();
  for (const std::string& service : changed) {
    watches_.Notify(service, [this, &service] { return Current(service); });
  }
}

// Ends holds whose time is over without any change of the tree.
void ReplicaRegistry::HoldLoop() {
  SetThreadName("zk-hold");
  std::unique_lock<std::mutex> lock(mu_);
  while (!stopping_) {
    if (next_end_ == Time::max()) {
      changed_.wait(lock);
    } else {
      changed_.wait_until(lock, next_end_);
    }
    const Time now = std::chrono::steady_clock::now();
    if (stopping_ || now < next_end_) continue;
    const std::set<std::string> changed = Rebuild(now);
    lock.unlock();
    for (const std::string& service : changed) {
      watches_.Notify(service, [this, &service] { return Current(service); });
    }
    lock.lock();
  }
}

Snapshot ReplicaRegistry::Current(const std::string& service) {
  const std::lock_guard<std::mutex> lock(mu_);
  const auto at = services_.find(service);
  return at != services_.end() ? at->second : std::make_shared<const std::vector<Endpoint>>();
}

Result<std::unique_ptr<Handle>> ReplicaRegistry::Register(const Endpoint&) {
  return Unimplemented("replicas are registered by agents, not through a client's registry");
}

Result<Snapshot> ReplicaRegistry::Lookup(const std::string& service) { return Current(service); }

Result<std::unique_ptr<Handle>> ReplicaRegistry::Watch(
    const std::string& service, std::function<void(const Snapshot&)> on_change) {
  return watches_.Add(service, std::move(on_change), [this, &service] { return Current(service); });
}

std::optional<std::chrono::nanoseconds> ReplicaRegistry::Staleness() const {
  return mirror_->staleness();
}

std::vector<std::string> ReplicaRegistry::Tasks(std::string_view server_type,
                                                std::string_view location) {
  std::map<int64_t, std::string> tasks;
  const std::lock_guard<std::mutex> lock(mu_);
  for (const auto& [service, snapshot] : services_) {
    const auto parsed = ParseRelative(service);
    if (!parsed || parsed->server_type != server_type || parsed->Location() != location) continue;
    tasks.emplace(parsed->task, service);
  }
  std::vector<std::string> out;
  for (auto& [task, service] : tasks) out.push_back(std::move(service));
  return out;
}

}  // namespace megalith::discovery

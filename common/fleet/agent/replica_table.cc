#include "common/fleet/agent/replica_table.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::agent {
namespace {

constexpr auto kAvailable = static_cast<int64_t>(discovery::ModelState::kAvailable);
constexpr auto kUnknown = static_cast<int64_t>(discovery::ModelState::kUnknown);
constexpr size_t kMaxReported = 1000;

}  // namespace

// Reads a task's path, relative to the base, by the grammar of whole paths.
bool ReplicaTable::ParseTask(std::string_view path, Task* out) const {
  const auto parsed = discovery::ParseReplicaPath(StrCat("/b/service/b/", path));
  if (!parsed || parsed->replica || (parsed->Location().empty() == options_.dc_aware)) return false;
  out->location = parsed->Location();
  out->server_type = parsed->server_type;
  out->task = parsed->task;
  return true;
}

void ReplicaTable::Damaged(const std::string& path, const Status& status) {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    ++damaged_;
  }
  if (reported_.size() < kMaxReported && reported_.insert(path).second) {
    telemetry::Log(telemetry::Level::warn, "zookeeper_node_skipped",
                   {{"path", path}, {"error", status.ToString()}});
  }
}

// A replica as it is now, with what is remembered of it.
Result<ReplicaTable::Replica> ReplicaTable::Read(const std::string& path,
                                                 std::shared_ptr<const discovery::ZkNode> node,
                                                 std::chrono::nanoseconds now) {
  const auto before = known_.find(path);
  if (before != known_.end() && before->second.node == node) return before->second;
  if (!discovery::ParseReplicaPath(StrCat("/b/service/b/", path))) {
    return InvalidArgument("the name of a replica must be a number");
  }
  Replica out;
  ASSIGN_OR_RETURN(out.meta, discovery::ReadRecord<discovery::ReplicaMeta>(node->data));
  out.node = std::move(node);
  out.order = before == known_.end() ? next_order_++ : before->second.order;
  if (before == known_.end() || out.meta.stat != kUnknown ||
      before->second.node->owner_session != out.node->owner_session ||
      ChooseAddress(before->second.meta, options_.prefer_ipv6) !=
          ChooseAddress(out.meta, options_.prefer_ipv6)) {
    return out;
  }
  out.held_until =
      before->second.meta.stat == kAvailable ? now + kFlapHold : before->second.held_until;
  return out;
}

void ReplicaTable::Update(const discovery::Tree& tree) {
  const std::chrono::nanoseconds now = options_.clock->Monotonic();
  auto fresh = std::make_shared<Content>();
  std::map<std::string, Replica> known;
  decltype(damaged_nodes_) damaged;
  for (const auto& [path, node] : tree.nodes) {
    Task task;
    if (ParseTask(path, &task)) {
      fresh->tasks.emplace(path, std::move(task));
      continue;
    }
    const size_t slash = path.rfind('/');
    const auto parent =
        slash == path.npos ? fresh->tasks.end() : fresh->tasks.find(path.substr(0, slash));
    // An empty value is one that its agent has not written yet.
    if (parent == fresh->tasks.end() || node->data.empty()) continue;
    Result<Replica> entry = Read(path, node, now);
    if (!entry.ok()) {
      const auto at = damaged_nodes_.find(path);
      if (at == damaged_nodes_.end() || at->second != node) Damaged(path, entry.status());
      damaged.emplace(path, node);
      continue;
    }
    parent->second.replicas.push_back(*entry);
    known.emplace(path, *std::move(entry));
  }
  for (auto& [path, task] : fresh->tasks) {
    std::sort(task.replicas.begin(), task.replicas.end(),
              [](const Replica& a, const Replica& b) { return a.order < b.order; });
  }
  known_ = std::move(known);
  damaged_nodes_ = std::move(damaged);
  const std::lock_guard<std::mutex> lock(mu_);
  content_ = std::move(fresh);
}

std::shared_ptr<const ReplicaTable::Content> ReplicaTable::content() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return content_;
}

bool ReplicaTable::Counts(const Task& task) const {
  if (!options_.dc_aware || options_.idc.empty() || options_.cluster.empty()) return true;
  return task.location == StrCat(options_.idc, ":", options_.cluster);
}

std::vector<std::string> ReplicaTable::AddressesOf(const Task& task) const {
  const std::chrono::nanoseconds now = options_.clock->Monotonic();
  std::vector<std::string> out;
  for (const Replica& replica : task.replicas) {
    if (replica.meta.stat != kAvailable && now >= replica.held_until) continue;
    // One replica without an address must not cost the others theirs.
    std::string address = ChooseAddress(replica.meta, options_.prefer_ipv6);
    if (!address.empty() && !FindInvalidUtf8(address)) out.push_back(std::move(address));
  }
  return out;
}

std::map<std::string, std::vector<std::string>> ReplicaTable::HeartBeat(
    std::string_view server_type) const {
  std::map<std::string, std::vector<std::string>> out;
  const auto current = content();
  for (const auto& [path, task] : current->tasks) {
    if (task.server_type != server_type || !Counts(task)) continue;
    // Without a location of one's own, several become equal: the last one counts.
    out[StrCat(task.server_type, ":", task.task)] = AddressesOf(task);
  }
  return out;
}

std::vector<std::string> ReplicaTable::Replicas(std::string_view server_type, int64_t task) const {
  std::vector<std::string> out;
  const auto current = content();
  for (const auto& [path, candidate] : current->tasks) {
    if (candidate.server_type != server_type || candidate.task != task || !Counts(candidate)) {
      continue;
    }
    for (std::string& address : AddressesOf(candidate)) out.push_back(std::move(address));
  }
  return out;
}

bool ReplicaTable::Available(std::string_view server_type, int64_t task) const {
  return !Replicas(server_type, task).empty();
}

uint64_t ReplicaTable::damaged() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return damaged_;
}

size_t ReplicaTable::size() const {
  size_t count = 0;
  const auto current = content();
  for (const auto& [path, task] : current->tasks) count += task.replicas.size();
  return count;
}

}  // namespace megalith::agent

#include "common/fleet/discovery/zookeeper/tree_mirror.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"

namespace megalith::discovery {
namespace {

using telemetry::Level;
using telemetry::Log;

// Paths that are remembered so as to log each once; further ones are only counted.
constexpr size_t kMaxReported = 1000;

int DepthOf(std::string_view relative) {
  return relative.empty() ? 0
                          : static_cast<int>(std::count(relative.begin(), relative.end(), '/')) + 1;
}

std::string Below(const std::string& relative, const std::string& name) {
  return relative.empty() ? name : StrCat(relative, "/", name);
}

bool SameNode(const ZkNode& a, const ZkNode& b) {
  return a.created == b.created && a.version == b.version && a.owner_session == b.owner_session &&
         a.data == b.data;
}

}  // namespace

TreeMirror::TreeMirror(ZkClient& client, TreeMirrorOptions options, OnChange on_change)
    : client_(client),
      options_(std::move(options)),
      on_change_(std::move(on_change)),
      snapshot_(std::make_shared<const Tree>()) {
  subscription_ = client_.Listen(this);
}

TreeMirror::~TreeMirror() { subscription_.reset(); }

TreeSnapshot TreeMirror::snapshot() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return snapshot_;
}

std::optional<std::chrono::nanoseconds> TreeMirror::staleness() const {
  const std::lock_guard<std::mutex> lock(mu_);
  if (current_ || !loaded_) return std::nullopt;
  return options_.clock->Monotonic() - current_until_;
}

bool TreeMirror::loaded() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return loaded_;
}

Status TreeMirror::WaitLoaded(std::chrono::milliseconds timeout) {
  std::unique_lock<std::mutex> lock(mu_);
  if (loaded_change_.wait_for(lock, timeout, [this] { return told_; })) return OkStatus();
  return DeadlineExceeded(
      StrCat("zookeeper: '", options_.base, "' could not be read within ", timeout.count(), " ms"));
}

uint64_t TreeMirror::skipped() const {
  const std::lock_guard<std::mutex> lock(mu_);
  return skipped_;
}

std::optional<std::string> TreeMirror::Relative(const std::string& path) const {
  if (path == options_.base) return "";
  if (!path.starts_with(options_.base)) return std::nullopt;
  if (options_.base == "/") return path.substr(1);
  if (path[options_.base.size()] != '/') return std::nullopt;
  return path.substr(options_.base.size() + 1);
}

std::string TreeMirror::Absolute(const std::string& relative) const {
  if (relative.empty()) return options_.base;
  return options_.base == "/" ? StrCat("/", relative) : StrCat(options_.base, "/", relative);
}

// Counts a node that cannot be followed. False if the connection is lost, so that nothing is known
// about any node.
bool TreeMirror::Skip(const std::string& path, const Status& status) {
  if (status.code() == Code::kUnavailable) return false;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    ++skipped_;
  }
  if (reported_.size() < kMaxReported && reported_.insert(path).second) {
    Log(Level::warn, "zookeeper_node_skipped", {{"path", path}, {"error", status.ToString()}});
  }
  return true;
}

bool TreeMirror::SkipExcess() {
  return Skip(options_.base, ResourceExhausted(StrCat("more than ", options_.max_nodes,
                                                      " nodes; further ones are left out")));
}

bool TreeMirror::Reload() {
  // The base first: while it is absent, its creation fires the watch that Exists leaves.
  Nodes fresh;
  const auto base = client_.Exists(options_.base, /*watch=*/true);
  if (!base.ok()) {
    if (!Skip(options_.base, base.status())) return false;
  } else if (base->has_value()) {
    if (!LoadBelow({""}, &fresh)) return false;
  }
  nodes_ = std::move(fresh);
  return true;
}

// Reads what is below `parents`, level by level, each level in about two round trips.
bool TreeMirror::LoadBelow(std::vector<std::string> parents, Nodes* nodes) {
  while (!parents.empty()) {
    std::vector<std::string> paths;
    for (const std::string& parent : parents) paths.push_back(Absolute(parent));
    const auto lists = client_.ChildrenOfMany(paths, /*watch=*/true);
    std::vector<std::string> relatives;
    for (size_t i = 0; i < parents.size(); ++i) {
      if (!lists[i].ok()) {
        if (lists[i].status().code() == Code::kNotFound) continue;  // gone meanwhile
        if (!Skip(paths[i], lists[i].status())) return false;
        continue;
      }
      for (const std::string& name : *lists[i]) {
        if (nodes->size() + relatives.size() >= options_.max_nodes) {
          SkipExcess();
          break;
        }
        relatives.push_back(Below(parents[i], name));
      }
    }
    parents.clear();
    if (!LoadNodes(relatives, nodes, &parents)) return false;
  }
  return true;
}

// Reads the nodes themselves, and adds those that may have children to `parents`.
bool TreeMirror::LoadNodes(const std::vector<std::string>& relatives, Nodes* nodes,
                           std::vector<std::string>* parents) {
  std::vector<std::string> paths;
  for (const std::string& relative : relatives) paths.push_back(Absolute(relative));
  auto found = client_.GetMany(paths, /*watch=*/true);
  for (size_t i = 0; i < relatives.size(); ++i) {
    if (!found[i].ok()) {
      if (found[i].status().code() == Code::kNotFound) continue;
      if (!Skip(paths[i], found[i].status())) return false;
      continue;
    }
    // An ephemeral node has no children.
    if (found[i]->owner_session == 0 && DepthOf(relatives[i]) < options_.max_depth) {
      parents->push_back(relatives[i]);
    }
    (*nodes)[relatives[i]] = std::make_shared<const ZkNode>(*std::move(found[i]));
  }
  return true;
}

void TreeMirror::RemoveBelow(const std::string& relative, bool itself) {
  if (relative.empty()) {
    nodes_.clear();
    return;
  }
  const std::string prefix = StrCat(relative, "/");
  auto at = nodes_.lower_bound(prefix);
  while (at != nodes_.end() && at->first.starts_with(prefix)) at = nodes_.erase(at);
  if (itself) nodes_.erase(relative);
}

bool TreeMirror::RefreshChildren(const std::string& relative) {
  const auto names = client_.Children(Absolute(relative), /*watch=*/true);
  if (!names.ok()) {
    if (names.status().code() != Code::kNotFound) return Skip(Absolute(relative), names.status());
    if (relative.empty()) return Reload();
    RemoveBelow(relative, /*itself=*/true);
    return true;
  }
  const std::string prefix = relative.empty() ? "" : StrCat(relative, "/");
  std::set<std::string> gone;
  for (auto at = nodes_.lower_bound(prefix); at != nodes_.end() && at->first.starts_with(prefix);
       ++at) {
    if (at->first.find('/', prefix.size()) == std::string::npos) gone.insert(at->first);
  }
  std::vector<std::string> added;
  for (const std::string& name : *names) {
    const std::string child = Below(relative, name);
    if (gone.erase(child) == 0) added.push_back(child);
  }
  for (const std::string& child : gone) RemoveBelow(child, /*itself=*/true);
  const size_t room = options_.max_nodes - std::min(options_.max_nodes, nodes_.size());
  if (added.size() > room) {
    if (!SkipExcess()) return false;
    added.resize(room);
  }
  std::vector<std::string> parents;
  return LoadNodes(added, &nodes_, &parents) && LoadBelow(std::move(parents), &nodes_);
}

bool TreeMirror::RefreshNode(const std::string& relative) {
  const bool known = nodes_.contains(relative);
  if (!known && nodes_.size() >= options_.max_nodes) {
    return SkipExcess();
  }
  auto node = client_.Get(Absolute(relative), /*watch=*/true);
  if (!node.ok()) {
    if (node.status().code() != Code::kNotFound) return Skip(Absolute(relative), node.status());
    RemoveBelow(relative, /*itself=*/true);
    return true;
  }
  const bool replaced = known && nodes_[relative]->created != node->created;
  const bool follow = node->owner_session == 0 && DepthOf(relative) < options_.max_depth;
  nodes_[relative] = std::make_shared<const ZkNode>(*std::move(node));
  if (known && !replaced) return true;
  RemoveBelow(relative, /*itself=*/false);
  return !follow || LoadBelow({relative}, &nodes_);
}

void TreeMirror::Publish() {
  TreeSnapshot fresh;
  {
    const std::lock_guard<std::mutex> lock(mu_);
    const auto same = [](const auto& a, const auto& b) {
      return a.first == b.first && (a.second == b.second || SameNode(*a.second, *b.second));
    };
    const bool changed =
        !loaded_ || !std::equal(nodes_.begin(), nodes_.end(), snapshot_->nodes.begin(),
                                snapshot_->nodes.end(), same);
    current_ = true;
    loaded_ = true;
    if (!changed) return;
    snapshot_ = std::make_shared<const Tree>(Tree{.nodes = nodes_});
    fresh = snapshot_;
  }
  if (on_change_) on_change_(fresh);
  // Only now: who has waited for the tree finds what was made of it.
  const std::lock_guard<std::mutex> lock(mu_);
  told_ = true;
  loaded_change_.notify_all();
}

void TreeMirror::Lose() {
  const std::lock_guard<std::mutex> lock(mu_);
  if (!current_) return;
  current_ = false;
  current_until_ = options_.clock->Monotonic();
}

void TreeMirror::OnSession(const SessionEvent& event) {
  if (event.state == SessionState::kConnected && Reload()) {
    Publish();
  } else {
    Lose();
  }
}

void TreeMirror::OnNode(const NodeEvent& event) {
  const std::optional<std::string> relative = Relative(event.path);
  if (!relative || DepthOf(*relative) > options_.max_depth) return;
  bool known = true;
  switch (event.kind) {
    case NodeEvent::Kind::kCreated:
      known = relative->empty() ? Reload() : RefreshNode(*relative);
      break;
    case NodeEvent::Kind::kDeleted:
      if (relative->empty()) {
        known = Reload();
      } else {
        // It may have been made again since: the list of its parent decides, and its watch tells.
        known = RefreshNode(*relative);
      }
      break;
    case NodeEvent::Kind::kChanged:
      known = relative->empty() ? client_.Exists(options_.base, /*watch=*/true).ok()
                                : RefreshNode(*relative);
      break;
    case NodeEvent::Kind::kChildren:
      known = RefreshChildren(*relative);
      break;
  }
  if (known) {
    Publish();
  } else {
    Lose();
  }
}

}  // namespace megalith::discovery

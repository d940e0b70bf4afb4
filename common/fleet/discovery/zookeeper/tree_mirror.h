// A copy of a part of ZooKeeper's tree that follows it by watches: who reads it never waits for
// ZooKeeper.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/fleet/discovery/zookeeper/client.h"
#include "common/foundation/base/clock.h"

namespace megalith::discovery {

// The nodes below a path at one moment; immutable.
struct Tree {
  // By path relative to the base, "ps:0/7"; the base itself is not in it. Parents come before their
  // children.
  std::map<std::string, std::shared_ptr<const ZkNode>, std::less<>> nodes;
};
using TreeSnapshot = std::shared_ptr<const Tree>;

struct TreeMirrorOptions {
  std::string base;   // absolute; need not exist yet
  int max_depth = 4;  // levels below the base that are followed
  // Further nodes are left out, counted and logged once: somebody else's tree must not exhaust us.
  size_t max_nodes = 100'000;
  const Clock* clock = &RealClock();  // outlives the mirror
};

// Thread-safe. While ZooKeeper is lost the last snapshot stays, and staleness() tells its age. The
// client must outlive the mirror.
class TreeMirror final : public ZkListener {
 public:
  // Called after each change, in order, on the client's event thread, without a lock held; the
  // first call is made once the tree was read for the first time. `on_change` may be empty.
  using OnChange = std::function<void(const TreeSnapshot&)>;
  TreeMirror(ZkClient& client, TreeMirrorOptions options, OnChange on_change);
  ~TreeMirror() override;

  // Never nullptr; empty before the tree was read for the first time.
  TreeSnapshot snapshot() const;
  // How long ago the snapshot was last known to be current: nullopt if it follows ZooKeeper now, or
  // was never read (see `loaded`).
  std::optional<std::chrono::nanoseconds> staleness() const;
  bool loaded() const;
  // Waits until the tree was read once and `on_change` was told. Errors: kDeadlineExceeded.
  Status WaitLoaded(std::chrono::milliseconds timeout);
  // Nodes that could not be read or were left out, since the start.
  uint64_t skipped() const;

  void OnSession(const SessionEvent& event) override;
  void OnNode(const NodeEvent& event) override;

 private:
  using Nodes = std::map<std::string, std::shared_ptr<const ZkNode>, std::less<>>;
  // Event thread only, as what they change.
  bool Reload();
  bool LoadBelow(std::vector<std::string> parents, Nodes* nodes);
  bool LoadNodes(const std::vector<std::string>& relatives, Nodes* nodes,
                 std::vector<std::string>* parents);
  bool RefreshChildren(const std::string& relative);
  bool RefreshNode(const std::string& relative);
  void RemoveBelow(const std::string& relative, bool itself);
  std::optional<std::string> Relative(const std::string& path) const;
  std::string Absolute(const std::string& relative) const;
  bool Skip(const std::string& path, const Status& status);
  bool SkipExcess();
  void Publish();
  void Lose();

  ZkClient& client_;
  const TreeMirrorOptions options_;
  const OnChange on_change_;
  Nodes nodes_;                     // event thread only
  std::set<std::string> reported_;  // event thread only; skipped nodes that were logged
  mutable std::mutex mu_;
  std::condition_variable loaded_change_;
  TreeSnapshot snapshot_;  // guarded by mu_, as all below
  bool loaded_ = false;    // the tree was read once
  bool told_ = false;      // and `on_change` has returned
  bool current_ = false;
  std::chrono::nanoseconds current_until_{0};
  uint64_t skipped_ = 0;
  std::unique_ptr<Handle> subscription_;  // last: ends first
};

}  // namespace megalith::discovery

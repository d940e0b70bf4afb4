// The replicas that Monolith's agents registered, as a Registry: the ones to call are those whose
// state is AVAILABLE (spec agent-service.md, sections 3 to 5).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "common/fleet/discovery/registry.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"

namespace megalith::discovery {

struct ReplicaRegistryOptions {
  ZkOptions zookeeper;
  std::string base;  // "/{bzid}/service/{base_name}"
  // How long an address stays in use after its state fell to UNKNOWN under the same owner: Python
  // agents do so, for up to a second, whenever they register again (D1).
  std::chrono::milliseconds flap_hold{3000};
  bool prefer_ipv6 = false;
};

// Read-only. Services are called as tasks are below the base: "ps:0", or "lf:default/ps:0" where
// nodes have locations; "ps:0" there means that task of all locations. Nodes that cannot be
// understood are left out. Answers come from memory, also while ZooKeeper is lost. Thread-safe.
class ReplicaRegistry final : public Registry {
 public:
  // Waits for the first reading of the tree for at most `start_wait`. Errors: those of
  // ZkClient::Open; kUnavailable  it was not read in time; kPermissionDenied  the servers refuse
  // the credentials.
  static Result<std::unique_ptr<ReplicaRegistry>> Open(const ReplicaRegistryOptions& options,
                                                       std::chrono::milliseconds start_wait);
  ~ReplicaRegistry() override;

  // Errors: kUnimplemented, always: only agents register.
  Result<std::unique_ptr<Handle>> Register(const Endpoint& endpoint) override;
  Result<Snapshot> Lookup(const std::string& service) override;
  Result<std::unique_ptr<Handle>> Watch(const std::string& service,
                                        std::function<void(const Snapshot&)> on_change) override;
  std::optional<std::chrono::nanoseconds> Staleness() const override;

  // The tasks of a server type that are known now, in their order, with or without replicas:
  // "ps:0", "ps:1". `location` is "lf:default", or empty for nodes without one.
  std::vector<std::string> Tasks(std::string_view server_type, std::string_view location);

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct Held {
    std::string address;
    int64_t owner = 0;
    Time until;  // zero while the replica is available
  };
  explicit ReplicaRegistry(const ReplicaRegistryOptions& options) : options_(options) {}
  void OnChange(const TreeSnapshot& tree);
  std::set<std::string> Rebuild(Time now);  // requires mu_
  void HoldLoop();
  Snapshot Current(const std::string& service);

  const ReplicaRegistryOptions options_;
  std::mutex mu_;
  std::condition_variable changed_;
  TreeSnapshot tree_;                         // guarded by mu_, as all below
  std::map<std::string, Held> held_;          // by path of the replica
  std::map<std::string, Snapshot> services_;  // by task, with and without its location
  Time next_end_ = Time::max();               // when the first hold ends
  bool stopping_ = false;
  WatchList watches_;
  std::unique_ptr<ZkClient> client_;
  std::unique_ptr<TreeMirror> mirror_;
  std::thread thread_;
};

}  // namespace megalith::discovery

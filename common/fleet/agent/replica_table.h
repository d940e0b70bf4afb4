// Who serves what: the replicas that Monolith's agents have registered, as answers of AgentService
// (spec agent-service.md, sections 2.1, 5.4 and 13.1).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/fleet/agent/address_book.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"
#include "common/foundation/base/clock.h"

namespace megalith::agent {

// How long an address stays in use after its state fell from AVAILABLE to UNKNOWN under the same
// owner: Python agents do so, for up to a second, whenever they register again (D1).
inline constexpr std::chrono::seconds kFlapHold{3};

struct ReplicaTableOptions {
  bool dc_aware = false;
  std::string idc;  // empty, as cluster: replicas of all locations count
  std::string cluster;
  bool prefer_ipv6 = false;
  const Clock* clock = &RealClock();  // outlives the table
};

// Made from snapshots of the tree below /{bzid}/service/{base_name}; answers come from memory.
// Thread-safe; Update is called by one thread at a time.
class ReplicaTable final : public AddressBook {
 public:
  explicit ReplicaTable(ReplicaTableOptions options) : options_(std::move(options)) {}

  // Nodes that cannot be understood are left out, counted, and logged once each.
  void Update(const discovery::Tree& tree);

  // Addresses of the available replicas of every known task of a server type ("ps"), by
  // "ps:{task}"; a task without any is listed with none.
  std::map<std::string, std::vector<std::string>> HeartBeat(
      std::string_view server_type) const override;
  // Of one task; empty for one that is not known.
  std::vector<std::string> Replicas(std::string_view server_type, int64_t task) const;
  Result<std::vector<std::string>> Replicas(const std::string&, std::string_view server_type,
                                            int64_t task) const override {
    return Replicas(server_type, task);
  }
  std::optional<Resource> GetResource() const override { return std::nullopt; }
  // Whether some replica of the task is available.
  bool Available(std::string_view server_type, int64_t task) const;

  // Damaged nodes met since the start.
  uint64_t damaged() const;
  // Replicas known now, available or not.
  size_t size() const;

 private:
  struct Replica {
    std::shared_ptr<const discovery::ZkNode> node;  // what it was read from
    discovery::ReplicaMeta meta;
    uint64_t order = 0;  // in which it was learnt
    std::chrono::nanoseconds held_until{0};
  };
  struct Task {
    std::string location;  // "lf:default" or empty
    std::string server_type;
    int64_t task = 0;
    std::vector<Replica> replicas;  // as learnt
  };
  struct Content {
    std::map<std::string, Task> tasks;  // by path relative to the base
  };
  std::shared_ptr<const Content> content() const;
  bool Counts(const Task& task) const;
  std::vector<std::string> AddressesOf(const Task& task) const;
  bool ParseTask(std::string_view path, Task* out) const;
  Result<Replica> Read(const std::string& path, std::shared_ptr<const discovery::ZkNode> node,
                       std::chrono::nanoseconds now);
  void Damaged(const std::string& path, const Status& status);

  const ReplicaTableOptions options_;
  std::map<std::string, Replica> known_;  // by leaf path; of the thread that updates
  // Damaged nodes as they were met last, of the thread that updates.
  std::map<std::string, std::shared_ptr<const discovery::ZkNode>> damaged_nodes_;
  std::set<std::string> reported_;  // of the thread that updates
  uint64_t next_order_ = 0;         // of the thread that updates
  mutable std::mutex mu_;
  std::shared_ptr<const Content> content_ = std::make_shared<const Content>();  // guarded by mu_
  uint64_t damaged_ = 0;                                                        // guarded by mu_
};

using discovery::ChooseAddress;

}  // namespace megalith::agent

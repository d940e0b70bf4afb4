// Registers this agent's model servers in ZooKeeper, keeps their state there current, and watches
// everybody's (spec agent-service.md, section 5).
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/fleet/agent/config.h"
#include "common/fleet/agent/model_status.h"
#include "common/fleet/agent/replica_table.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/registrations.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::agent {

// One node of this agent.
struct OwnReplica {
  std::string server;  // that serves it: its type, or "dense.1"
  std::string server_type;
  int64_t task = 0;
  std::string model;  // as the model server calls it: "ps_3", "entry", "dense_0"
};

// Which nodes a container registers (spec 5.2): of ps those with task mod num_shard == shard_id; of
// several dense servers one for each.
std::vector<OwnReplica> OwnReplicas(const AgentConfig& config);

// What a container tells of one of its model servers, with state UNKNOWN.
discovery::ReplicaMeta OwnAddresses(const AgentConfig& config, std::string_view server);

// Its replica id: that of the container, or with several dense servers one of each (spec 8.2).
int64_t ReplicaIdOf(const AgentConfig& config, std::string_view server);

// Version 1 of the agent. Thread-safe after Start.
class ReplicaManager {
 public:
  // `client`, `status`, `metrics` and `clock` must outlive the manager; `metrics` may be nullptr.
  // Errors: kFailedPrecondition  dc_aware without
  // idc or cluster, names that no path admits.
  static Result<std::unique_ptr<ReplicaManager>> Make(const AgentConfig& config,
                                                      discovery::ZkClient& client,
                                                      ModelStatusSource& status,
                                                      telemetry::MetricRegistry* metrics = nullptr,
                                                      const Clock& clock = RealClock());
  // Removes the nodes and joins.
  ~ReplicaManager();

  // Registers every replica with state UNKNOWN. What cannot be written now is written with the next
  // connection. Errors: those of ZkRegistrations, except kUnavailable.
  Status Register();
  // Asks the model servers once and writes the states that changed. A model server that does not
  // answer is UNKNOWN; a model in error keeps its state, and the others are asked all the same
  // (D9).
  void Tick();
  // Ticks every update_model_status_interval until the end, and brings back nodes that somebody
  // deleted every 60 s.
  void Start();

  const ReplicaTable& table() const { return *table_; }
  const discovery::TreeMirror& mirror() const { return *mirror_; }
  // The nodes registered, in order.
  std::vector<std::string> paths() const;

 private:
  struct Own {
    OwnReplica replica;
    discovery::ReplicaMeta meta;
    std::string path;  // empty until a sequential node got its name
    bool in_error = false;
  };
  ReplicaManager() = default;
  void Loop();
  Status Put(Own* own);  // requires mu_

  void Export() const;

  const Clock* clock_ = nullptr;
  telemetry::MetricRegistry* metrics_ = nullptr;
  AgentConfig config_;
  ModelStatusSource* status_ = nullptr;
  discovery::ZkClient* client_ = nullptr;
  std::unique_ptr<ReplicaTable> table_;
  mutable std::mutex mu_;
  std::vector<Own> own_;   // guarded by mu_
  std::string task_root_;  // where task nodes are
  std::mutex stop_mu_;
  std::condition_variable stop_;
  bool stopping_ = false;  // guarded by stop_mu_
  std::unique_ptr<discovery::ZkRegistrations> registrations_;
  std::unique_ptr<discovery::TreeMirror> mirror_;
  std::thread thread_;
};

}  // namespace megalith::agent

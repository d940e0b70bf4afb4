// Version 2 of the agent: one container leads and decides who loads what, all load what is
// published for them and tell what they serve (spec agent-service.md, sections 2.3 and 7).
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "common/fleet/agent/address_book.h"
#include "common/fleet/agent/config.h"
#include "common/fleet/agent/mirror_table.h"
#include "common/fleet/agent/model_control.h"
#include "common/fleet/agent/scheduler.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/registrations.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::agent {

struct MirrorManagerOptions {
  // What this container has; called on the manager's thread and by GetResource.
  std::function<int64_t()> available_memory = {};  // bytes; empty: 0
  std::function<double()> cpu_percent = {};        // of the manager's thread only; empty: -1
  // The parts of a model of the portal; slow. Empty: ExportedSubModels on the real files.
  std::function<Result<std::vector<SubModel>>(const discovery::ModelMeta&)> describe = {};
  telemetry::MetricRegistry* metrics = nullptr;  // outlive the manager, as below
  const Clock* clock = &RealClock();
};

// Thread-safe after Start. While ZooKeeper is lost nobody leads, and what is loaded stays.
class MirrorManager final : public AddressBook {
 public:
  // `client` and `control` must outlive the manager. Errors: kFailedPrecondition  deploy_type
  // unified, a bzid that no path admits.
  static Result<std::unique_ptr<MirrorManager>> Make(const AgentConfig& config,
                                                     MirrorManagerOptions options,
                                                     discovery::ZkClient& client,
                                                     ModelControl& control);
  // Removes this container's nodes and joins.
  ~MirrorManager() override;

  // One round: tells what this container has, takes part in the election (entry servers do not),
  // publishes if it leads, loads, and tells what it serves.
  void Tick();
  // Ticks every update_model_status_interval until the end.
  void Start();
  bool leads() const;

  // Keys are "{model}:{type}:{task}"; a task without an available replica has none.
  std::map<std::string, std::vector<std::string>> HeartBeat(
      std::string_view server_type) const override;
  Result<std::vector<std::string>> Replicas(const std::string& model, std::string_view server_type,
                                            int64_t task) const override;
  std::optional<Resource> GetResource() const override;

 private:
  struct Described {
    discovery::ModelMeta meta;
    Result<std::vector<SubModel>> parts;
    std::chrono::nanoseconds at{0};
  };
  using Services = std::vector<ServedReplica>;
  MirrorManager(const AgentConfig& config, MirrorManagerOptions options,
                discovery::ZkClient& client, ModelControl& control)
      : config_(config), options_(std::move(options)), client_(client), control_(control) {}
  std::unique_ptr<discovery::TreeMirror> Mirror(const std::string& name, int depth,
                                                discovery::TreeMirror::OnChange on_change = {});
  void Loop();
  void ReportResource();
  void Elect();
  void Candidate(int64_t session);
  void Lead();
  std::vector<WantedModel> Wanted(const discovery::Tree& portal);
  void Apply(const Schedule& schedule, const discovery::Tree& portal,
             const discovery::Tree& published);
  void Load();
  void TellServices();
  void Damaged(const std::string& path, const Status& status);
  void Report(const std::string& path, const Status& status);
  void Export() const;
  std::shared_ptr<const Services> services() const;

  const AgentConfig config_;
  const MirrorManagerOptions options_;
  discovery::ZkClient& client_;
  ModelControl& control_;
  std::string root_;  // "/{bzid}"
  // Of the thread that ticks:
  std::string candidate_, election_path_;
  int64_t candidate_session_ = 0, election_session_ = 0;
  std::chrono::nanoseconds reported_at_{0};
  bool reported_ = false;
  std::map<std::string, Described> described_;
  std::map<std::string, std::string> told_;  // models that cannot be placed, and why
  std::map<std::string, discovery::PublishMeta> expected_;
  std::map<std::string, std::vector<ModelEntry>> loaded_;  // by server type
  std::map<std::string, std::string> reload_errors_;
  std::set<std::string> own_;  // paths below service

  mutable std::mutex mu_;
  std::shared_ptr<const Services> services_ = std::make_shared<const Services>();  // guarded by mu_
  std::set<std::string> damaged_;                                                  // guarded by mu_
  bool leads_ = false;                                                             // guarded by mu_
  bool stopping_ = false;                                                          // guarded by mu_
  std::condition_variable wake_;
  std::unique_ptr<discovery::ZkRegistrations> registrations_;
  std::unique_ptr<discovery::TreeMirror> portal_, publish_, resource_, election_, service_;
  std::thread thread_;
};

}  // namespace megalith::agent

// Version 3 of the agent: loads what a layout asks for into the model server beside it, tells
// ZooKeeper what it serves, and watches what others serve (spec agent-service.md, sections 2.2, 6).
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
#include "common/fleet/agent/layout_filter.h"
#include "common/fleet/agent/layout_table.h"
#include "common/fleet/agent/model_status.h"
#include "common/fleet/agent/serving_text.h"
#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/registrations.h"
#include "common/fleet/discovery/zookeeper/tree_mirror.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::agent {

struct LayoutManagerOptions {
  std::string model_config_file;  // written for the model server
  bool grpc = true;               // sub-graphs call each other by gRPC, else by archon
  // The model server knows the version policy latest_once, which TensorFlow Serving does not. To
  // one that does not, the version that was the highest at the first look is named instead (D2).
  bool knows_latest_once = true;
  std::function<int64_t()> available_memory = {};  // bytes, for GetResource; empty: 0
  FileSystem* files = &RealFileSystem();           // outlive the manager, as all below
  telemetry::MetricRegistry* metrics = nullptr;
  const Clock* clock = &RealClock();
};

// Thread-safe after Start. The layout of ZooKeeper is only followed once both it and the
// declarations were read; while ZooKeeper is lost nothing is unloaded.
class LayoutManager final : public AddressBook {
 public:
  // Writes an empty model configuration. `client` and `status` must outlive the manager. Errors:
  // kFailedPrecondition  no layout_pattern, another deploy_type than unified, names that no path
  // admits; kInvalidArgument  a layout filter; those of FileSystem.
  static Result<std::unique_ptr<LayoutManager>> Make(const AgentConfig& config,
                                                     LayoutManagerOptions options,
                                                     discovery::ZkClient& client,
                                                     ModelStatusSource& status);
  // Removes the nodes and joins.
  ~LayoutManager() override;

  // Tells where this container is. What cannot be written now is written with the next connection,
  // and again in every new session (D4). Errors: those of ZkRegistrations, except kUnavailable.
  Status Register();
  // Writes the model configuration if the layout has changed, asks the model server for its models,
  // and binds those that are available.
  void Tick();
  // Ticks when the layout changes and every update_model_status_interval until the end, and brings
  // back nodes that somebody deleted every 60 s.
  void Start();

  std::map<std::string, std::vector<std::string>> HeartBeat(
      std::string_view server_type) const override;  // for any type
  Result<std::vector<std::string>> Replicas(const std::string& model, std::string_view server_type,
                                            int64_t task) const override;
  std::optional<Resource> GetResource() const override;

  // What the model server is to load, in the order of its configuration.
  std::vector<std::string> models() const;
  std::string service_info_path() const;

 private:
  struct Content {
    std::vector<ModelEntry> models;
    std::map<std::string, std::vector<std::string>> addresses;
  };
  LayoutManager(const AgentConfig& config, LayoutManagerOptions options,
                discovery::ZkClient& client, ModelStatusSource& status)
      : config_(config), options_(std::move(options)), client_(client), status_(status) {}
  void Loop();
  void Rebuild();  // on the client's event thread, as Damaged
  void Damaged(const std::string& path, const Status& status);
  std::vector<ModelEntry> Accepted(const std::vector<LayoutModel>& layout);
  std::vector<ModelEntry> Pinned(const std::vector<ModelEntry>& models);
  void WriteConfig(const std::vector<ModelEntry>& models);
  void Bind(const std::set<std::string>& available);
  void Watch(const std::string& layout_path);
  void Export() const;
  std::shared_ptr<const Content> content() const;

  const AgentConfig config_;
  const LayoutManagerOptions options_;
  discovery::ZkClient& client_;
  ModelStatusSource& status_;
  std::string root_;       // "/{bzid}"
  std::string container_;  // its name
  std::string info_;       // what it tells
  LayoutFilters filters_;
  std::set<std::string> reported_;  // event thread only
  std::string written_;             // of the thread that ticks, as below
  std::set<std::string> bound_;
  std::map<std::string, int64_t> pinned_;  // versions of models with latest_once
  std::map<std::string, bool> in_error_;
  mutable std::mutex mu_;
  std::shared_ptr<const Content> content_ = std::make_shared<const Content>();  // guarded by mu_
  uint64_t damaged_ = 0;                                                        // guarded by mu_
  std::condition_variable wake_;
  bool changed_ = false;   // guarded by mu_
  bool stopping_ = false;  // guarded by mu_
  std::unique_ptr<discovery::ZkRegistrations> registrations_;
  std::mutex mirrors_mu_;  // guards the pointers while mirrors come and go
  bool closing_ = false;   // guarded by mirrors_mu_
  std::unique_ptr<discovery::TreeMirror> layout_, saved_models_, bindings_, containers_;
  std::thread thread_;
};

}  // namespace megalith::agent

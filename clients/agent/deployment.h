// What operators do to the tree of Monolith's agents: declare models, place them, and look at who
// serves what (spec agent-service.md, sections 3 and 11).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fleet/discovery/zookeeper/client.h"
#include "common/fleet/discovery/zookeeper/records.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent_tools {

// The name of the model that the entry graph of an export calls: what stands before ':' in the
// attribute model_name of its first TfServingRemotePredict node, in
// {export}/entry/{first version}/saved_model.pb. nullopt  the graph has no such node. Errors: those
// of reading; kDataLoss  the file is no SavedModel.
Result<std::optional<std::string>> ModelNameOfExport(const std::string& export_base,
                                                     FileSystem& files);

// One replica as its node tells. `meta` is nullopt for a node that is damaged.
struct ReplicaRow {
  std::string path;
  std::optional<discovery::ReplicaMeta> meta;
};

// Thread-safe, as the client is, which must outlive it. Errors of all: those of ZkClient.
class Deployment {
 public:
  Deployment(discovery::ZkClient& client, std::string bzid)
      : client_(client), bzid_(std::move(bzid)) {}

  // Registers each folder of an export as a sub-graph of `model`, empty: the name in the export.
  // Returns the model's name. Errors: kAlreadyExists  the model is declared, and `overwrite` is not
  // set; kInvalidArgument  no name is found; those of ModelNameOfExport.
  Result<std::string> Declare(const std::string& export_base, const std::string& model,
                              bool overwrite, FileSystem& files);
  // Adds the declared sub-graphs that match "model:glob" to a layout, or takes them off it. Returns
  // their names. Errors: kInvalidArgument  another form of pattern.
  Result<std::vector<std::string>> Publish(std::string_view pattern, const std::string& layout,
                                           bool publish);
  // model_info, container_info and layout_info, in the order in which the reference prints them.
  Result<discovery::Json> Info();

  // Writes the model's portal node, which asks version 2 agents to load it. With `fresh` one that
  // exists is an error (kAlreadyExists).
  Status Load(const discovery::ModelMeta& model, bool fresh);
  // Errors: kNotFound  nobody asked to load it.
  Status Unload(const std::string& model);

  // The replicas below /{bzid}/service/{name}, sorted by path, with and without locations. Errors:
  // kNotFound  no agent has registered there.
  Result<std::vector<ReplicaRow>> Replicas(const std::string& name);
  // Names of /{bzid}/service. Empty if there is none.
  Result<std::vector<std::string>> Services();
  // Children of /{bzid}/{folder} with their values, sorted. Errors: kNotFound.
  Result<std::vector<std::pair<std::string, std::string>>> Folder(const std::string& folder);
  // Removes the children of /{bzid}/{folder}, with everything below them. Returns how many.
  Result<int64_t> Clean(const std::string& folder);

 private:
  std::string Path(std::string_view rest) const;
  Result<std::vector<std::string>> ChildrenOrNone(const std::string& path);
  Status RemoveTree(const std::string& path);
  Status Put(const std::string& path, std::string_view data);
  discovery::ZkClient& client_;
  const std::string bzid_;
};

// Shell patterns as Python's fnmatch has them: *, ?, [abc], [!abc].
bool MatchesGlob(std::string_view text, std::string_view pattern);

// "AVAILABLE" of 30; the number for one that has no name.
std::string StateName(int64_t state);

}  // namespace megalith::agent_tools

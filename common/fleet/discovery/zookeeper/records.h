// The values of Monolith's nodes in ZooKeeper, byte for byte as its Python agents write them, and
// the grammar of its replica paths (spec agent-service.md, sections 3 and 4). Persistent: never
// change.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/fleet/discovery/zookeeper/python_json.h"
#include "common/foundation/base/status.h"

namespace megalith::discovery {

// ModelVersionStatus.State of TF Serving.
enum class ModelState : int64_t {
  kUnknown = 0,
  kStart = 10,
  kLoading = 20,
  kAvailable = 30,
  kUnloading = 40,
  kEnd = 50,
};

// An address that one replica of a model server answers at. nullopt is written as null.
struct ReplicaMeta {
  std::optional<std::string> address;
  std::optional<std::string> address_ipv6;
  int64_t stat = 0;  // a ModelState
  std::optional<std::string> model_name;
  std::optional<std::string> server_type;
  int64_t task = -1;
  int64_t replica = -1;
  std::optional<std::string> archon_address;
  std::optional<std::string> archon_address_ipv6;
  friend bool operator==(const ReplicaMeta&, const ReplicaMeta&) = default;
};

// What a client is to dial (spec 2.1): the address of the preferred family, else of the other one.
// Empty if there is none: 0.0.0.0 and [::] count as none.
std::string ChooseAddress(const ReplicaMeta& meta, bool prefer_ipv6);

struct ModelMeta {
  std::optional<std::string> model_name;
  std::optional<std::string> model_dir;
  std::optional<std::string> ckpt;
  int64_t num_shard = -1;
  std::string action = "NONE";
  std::vector<std::string> spec_replicas;
  friend bool operator==(const ModelMeta&, const ModelMeta&) = default;
};

struct ResourceSpec {
  std::optional<std::string> address;
  std::optional<int64_t> shard_id;
  std::optional<int64_t> replica_id;
  std::optional<int64_t> memory;  // bytes
  double cpu = -1;
  double network = -1;
  double work_load = -1;
  friend bool operator==(const ResourceSpec&, const ResourceSpec&) = default;
};

struct PublishMeta {
  static constexpr int64_t kLoad = 1;
  static constexpr int64_t kUnload = 2;
  std::optional<int64_t> shard_id;
  int64_t replica_id = -1;
  std::optional<std::string> model_name;
  std::optional<int64_t> num_ps;
  int64_t total_publish_num = 1;
  // Sub-model and the path of its version, in the writer's order.
  std::optional<std::vector<std::pair<std::string, std::string>>> sub_models;
  int64_t ptype = kLoad;
  bool is_spec = false;
  friend bool operator==(const PublishMeta&, const PublishMeta&) = default;
};

struct SavedModelDeployConfig {
  std::optional<std::string> model_base_path;
  std::optional<std::string> version_policy;
  friend bool operator==(const SavedModelDeployConfig&, const SavedModelDeployConfig&) = default;
};

struct ContainerServiceInfo {
  std::optional<std::string> grpc;
  std::optional<std::string> http;
  std::optional<std::string> archon;
  std::optional<std::string> agent;
  std::optional<std::string> idc;
  std::optional<std::string> debug_info;  // itself JSON
  friend bool operator==(const ContainerServiceInfo&, const ContainerServiceInfo&) = default;
};

// The value of a node, as Python writes it.
std::string WriteRecord(const ReplicaMeta& record);
std::string WriteRecord(const ModelMeta& record);
std::string WriteRecord(const ResourceSpec& record);
std::string WriteRecord(const PublishMeta& record);
std::string WriteRecord(const SavedModelDeployConfig& record);
std::string WriteRecord(const ContainerServiceInfo& record);

// What a node says. Unknown keys are ignored; keys that are missing or whose value has another type
// leave the default (spec 13.1), so that a `stat` of "AVAILABLE" is not 30. Record is one of the
// types above. Errors: kInvalidArgument  the value is no JSON object, or above 1 MiB.
template <typename Record>
Result<Record> ReadRecord(std::string_view value);

// Where a replica is registered:
// /{bzid}/service/{base_name}[/{idc}:{cluster}]/{type}:{task}/{name}.
struct ReplicaPath {
  std::string bzid;
  std::string base_name;
  std::string idc;  // empty, as cluster, without a location
  std::string cluster;
  std::string server_type;  // "ps", "entry", "dense"
  int64_t task = 0;
  // Of a leaf; its number, so that "0000000002" is 2. nullopt for the path of a task.
  std::optional<int64_t> replica;

  // The location or an empty text: "lf:default".
  std::string Location() const;
  // "ps:0".
  std::string Task() const;
  friend bool operator==(const ReplicaPath&, const ReplicaPath&) = default;
};

// nullopt for a path that readers skip: another form, other characters than letters, digits, '-'
// and '_' in names, numbers that are none.
std::optional<ReplicaPath> ParseReplicaPath(std::string_view path);

// The name of a replica's leaf: eleven digits for entry, plain decimal for the others.
std::string ReplicaName(std::string_view server_type, int64_t replica);

}  // namespace megalith::discovery

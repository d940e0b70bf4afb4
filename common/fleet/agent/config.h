// agent.conf and the environment of Monolith's agent (spec agent-service.md, section 9).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"

namespace megalith::agent {

using Environment = std::map<std::string, std::string>;

// Which model servers a container runs.
enum class DeployType : uint8_t { kPs = 0, kEntry = 1, kDense = 2, kMixed = 3, kUnified = 4 };
std::string_view DeployTypeName(DeployType type);

// Where one model server listens.
struct ServerPorts {
  int archon = 0;
  int grpc = 0;
  int http = 0;
};

// One option of TF Serving as the file gives it.
struct ServingOption {
  std::string_view name;
  std::string value;     // as on a command line: booleans in lower case; empty: unset
  bool changed = false;  // from TF Serving's default
};

// Defaults are Monolith's. Text fields are empty where Python has None.
struct AgentConfig {
  std::string bzid, base_name, base_path;
  int64_t num_ps = 1;
  int64_t num_shard = 1;
  DeployType deploy_type = DeployType::kMixed;
  bool stand_alone_serving = false;
  std::string zk_servers;
  bool dense_alone = false;
  int64_t dense_service_num = 3;
  int64_t update_model_status_interval = 1;  // seconds
  int64_t agent_version = 1;
  int64_t max_waiting_sec = 1200;
  bool preload_jemalloc = true;
  std::string version_policy = "latest";
  std::string version_data = "1";
  int64_t fetch_ps_timeout_ms = 200;
  int64_t fetch_ps_long_conn_num = 100;
  bool fetch_ps_long_conn_enable = true;
  int64_t fetch_ps_retry = 2;
  int64_t aio_thread_num = 30;
  int64_t file_system_poll_wait_seconds_ps = 0;
  std::string rough_sort_model_name, rough_sort_model_local_path;
  std::string rough_sort_model_loaded_server = "entry";
  std::string rough_sort_model_p2p_path;
  bool rough_sort_resource_constrained = false;
  bool dc_aware = false;
  std::string layout_pattern;
  std::vector<std::string> layout_filters;
  bool use_metrics = true;
  std::vector<ServingOption> serving;  // every option, in the order of the command line

  // Computed from the environment.
  int64_t shard_id = -1;
  int64_t replica_id = -1;
  std::string idc, cluster, psm;
  std::string raw_cluster;  // TCE_CLUSTER as it is, for command lines
  std::string zk_auth;
  std::string pod_name;        // MY_POD_NAME; empty: none
  std::string local_ip;        // where this container is reached; "localhost" if nothing is known
  std::string serving_binary;  // MONOLITH_TFS_BINARY; empty: none
  int64_t cpu_limit = 0;       // MY_CPU_LIMIT; 0: none
  int64_t memory_limit = 0;    // MY_MEM_LIMIT, bytes; 0: none
  int64_t dense_service_index = 0;  // of this process among several dense ones
  bool inherit_output = false;      // MLP_POD_NAME: model servers write where the agent does
  std::string host_ip, host_ipv6;   // advertised; "0.0.0.0" and "::" where unknown
  bool ipv6_only = false;
  int agent_port = 0;
  ServerPorts entry, ps, dense, unified;
  // Of dense_service_num servers of a dense container those after the first.
  std::vector<ServerPorts> more_dense;

  bool Serves(DeployType type) const {
    return deploy_type == type || deploy_type == DeployType::kMixed;
  }
  const ServingOption* Option(std::string_view name) const;
  // Ports of a model server: "ps", "entry", "dense", "dense.1", "dense.2", ..., "unified".
  const ServerPorts& PortsOf(std::string_view server) const;
  // Version 3 (spec 3): where the layout is. Errors: kFailedPrecondition  no layout_pattern.
  Result<std::string> LayoutPath() const;
  // Version 3: how this container is called, "{psm};{idc};{cluster}:{pod}".
  std::string Container() const;
};

// "dense.1" is a server of type "dense"; others are called as their type. And its number, 0 for
// these.
std::string_view TypeOfServer(std::string_view server);
int64_t IndexOfServer(std::string_view server);

// What the machine tells beside the environment; tests have their own.
struct HostFacts {
  std::function<int()> free_port;  // one that nobody listens on
  std::string ipv4;                // of the host's name; empty: none
  std::string ipv6;
  std::string route_ip = {};  // from which this host speaks to the world; empty: from none
};
HostFacts ThisHost();

// Reads `path`, empty for none, and what it includes. All repetitions of a list are kept; a value
// that does not convert and a key that is given twice but holds one value are errors that name file
// and line, where the reference goes on with a default (D5). Unknown keys are ignored. Errors:
// kInvalidArgument; kNotFound  the file, or one it includes, is missing; kFailedPrecondition  a
// combination with which the agent cannot run.
Result<AgentConfig> LoadAgentConfig(const std::string& path, const Environment& environment,
                                    const HostFacts& host, FileSystem& files);

// The replica id of a pod: hexadecimal digits 10 to 19 of the MD5 of its name.
int64_t ReplicaIdOfPod(std::string_view pod_name);

}  // namespace megalith::agent

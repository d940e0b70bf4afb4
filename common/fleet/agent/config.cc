#include "common/fleet/agent/config.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "common/fleet/agent/expression.h"
#include "common/fleet/agent/md5.h"
#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr uint64_t kMaxFileBytes = 1 << 20;
constexpr int kMaxDepth = 16;      // of includes within includes
constexpr int kMaxIncludes = 256;  // all together
using C = AgentConfig;

// One key of the file.
struct Key {
  std::string_view name;
  std::variant<bool C::*, int64_t C::*, std::string C::*, std::vector<std::string> C::*> member;
};
const Key kKeys[] = {
    {"bzid", &C::bzid},
    {"base_name", &C::base_name},
    {"base_path", &C::base_path},
    {"num_ps", &C::num_ps},
    {"num_shard", &C::num_shard},
    {"stand_alone_serving", &C::stand_alone_serving},
    {"zk_servers", &C::zk_servers},
    {"dense_alone", &C::dense_alone},
    {"dense_service_num", &C::dense_service_num},
    {"update_model_status_interval", &C::update_model_status_interval},
    {"agent_version", &C::agent_version},
    {"max_waiting_sec", &C::max_waiting_sec},
    {"preload_jemalloc", &C::preload_jemalloc},
    {"version_policy", &C::version_policy},
    {"version_data", &C::version_data},
    {"fetch_ps_timeout_ms", &C::fetch_ps_timeout_ms},
    {"fetch_ps_long_conn_num", &C::fetch_ps_long_conn_num},
    {"fetch_ps_long_conn_enable", &C::fetch_ps_long_conn_enable},
    {"fetch_ps_retry", &C::fetch_ps_retry},
    {"aio_thread_num", &C::aio_thread_num},
    {"file_system_poll_wait_seconds_ps", &C::file_system_poll_wait_seconds_ps},
    {"rough_sort_model_name", &C::rough_sort_model_name},
    {"rough_sort_model_local_path", &C::rough_sort_model_local_path},
    {"rough_sort_model_loaded_server", &C::rough_sort_model_loaded_server},
    {"rough_sort_model_p2p_path", &C::rough_sort_model_p2p_path},
    {"rough_sort_resource_constrained", &C::rough_sort_resource_constrained},
    {"dc_aware", &C::dc_aware},
    {"layout_pattern", &C::layout_pattern},
    {"layout_filters", &C::layout_filters},
    {"use_metrics", &C::use_metrics},
};

// One option of TF Serving: its kind and default as on a command line.
struct Serving {
  std::string_view name;
  char kind;  // b, i, f or s
  std::string_view value;
};
constexpr Serving kServing[] = {
    {"enable_batching", 'b', "false"},
    {"allow_version_labels_for_unavailable_models", 'b', "false"},
    {"batching_parameters_file", 's', ""},
    {"num_load_threads", 'i', "0"},
    {"num_unload_threads", 'i', "0"},
    {"max_num_load_retries", 'i', "5"},
    {"load_retry_interval_micros", 'i', "60000000"},
    {"file_system_poll_wait_seconds", 'i', "1"},
    {"flush_filesystem_caches", 'b', "true"},
    {"tensorflow_session_parallelism", 'i', "0"},
    {"tensorflow_intra_op_parallelism", 'i', "0"},
    {"tensorflow_inter_op_parallelism", 'i', "0"},
    {"ssl_config_file", 's', ""},
    {"platform_config_file", 's', ""},
    {"per_process_gpu_memory_fraction", 'f', "0"},
    {"allow_growth", 'b', "true"},
    {"saved_model_tags", 's', ""},
    {"grpc_channel_arguments", 's', ""},
    {"grpc_max_threads", 'i', "0"},
    {"enable_model_warmup", 'b', "true"},
    {"version", 's', ""},
    {"remove_unused_fields_from_bundle_metagraph", 'b', "true"},
    {"enable_signature_method_name_check", 'b', "false"},
    {"xla_cpu_compilation_enabled", 'b', "false"},
    {"enable_profiler", 'b', "true"},
};

// A line `key value` of a file.
struct Line {
  std::string key;
  std::string value;
  std::string where;  // "agent.conf, line 3"
};

Status ReadLines(const std::string& path, FileSystem& files, int depth, int* included,
                 std::vector<Line>* out) {
  if (depth > kMaxDepth) {
    return InvalidArgument(StrCat("'", path, "' is included ", depth, " levels deep"));
  }
  if (++*included > kMaxIncludes) {
    return InvalidArgument(StrCat("more than ", kMaxIncludes, " files are included"));
  }
  ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxFileBytes));
  int number = 0;
  for (const std::string_view raw : Split(text, '\n')) {
    ++number;
    const std::string where = StrCat(path, ", line ", number);
    const std::string_view line = Trim(raw.substr(0, raw.find('#')));
    if (line.empty()) continue;
    if (line.starts_with("include")) {
      const size_t last = line.find_last_of(" \t=");
      if (last == line.npos) {
        return InvalidArgument(StrCat(where, ": expects 'include FILE'"));
      }
      RETURN_IF_ERROR(ReadLines(std::string(line.substr(last + 1)), files, depth + 1, included, out)
                          .Annotate(where));
      continue;
    }
    const size_t end = line.find_first_of(" \t=");
    const size_t begin = end == line.npos ? line.npos : line.find_first_not_of(" \t=", end);
    if (begin == line.npos) {
      return InvalidArgument(StrCat(where, ": expects 'key value', got '", Printable(line), "'"));
    }
    out->push_back({std::string(line.substr(0, end)), std::string(line.substr(begin)), where});
  }
  return OkStatus();
}

Status BadValue(const Line& line, std::string_view wanted) {
  return InvalidArgument(StrCat(line.where, ": ", Printable(line.key), " expects ", wanted,
                                ", got '", Printable(line.value), "'"));
}

Result<bool> ToBool(const Line& line) {
  const std::string text = AsciiLower(line.value);
  for (const char* yes : {"true", "y", "t", "yes", "1"}) {
    if (text == yes) return true;
  }
  for (const char* no : {"false", "n", "f", "no", "0"}) {
    if (text == no) return false;
  }
  return BadValue(line, "true, y, t, yes, 1 or false, n, f, no, 0");
}

Result<int64_t> ToInt(const Line& line) {
  const std::optional<double> value = EvaluateNumber(line.value);
  if (!value) return BadValue(line, "a number or an expression such as 60 * 1000");
  return static_cast<int64_t>(std::trunc(*value));
}

std::string ToText(const Line& line) { return AsciiLower(line.value) == "none" ? "" : line.value; }

// The one line of a key that holds one value; nullptr without any.
Result<const Line*> Single(const std::vector<Line>& lines, std::string_view key) {
  const Line* found = nullptr;
  for (const Line& line : lines) {
    if (line.key != key) continue;
    if (found != nullptr) {
      return InvalidArgument(StrCat(line.where, ": ", Printable(key), " was given before, at ",
                                    found->where, ": keep one of them"));
    }
    found = &line;
  }
  return found;
}

Status SetKeys(const std::vector<Line>& lines, AgentConfig* config) {
  for (const Key& key : kKeys) {
    if (const auto* list = std::get_if<std::vector<std::string> C::*>(&key.member)) {
      for (const Line& line : lines) {
        if (line.key == key.name) (config->**list).push_back(line.value);
      }
      continue;
    }
    ASSIGN_OR_RETURN(const Line* line, Single(lines, key.name));
    if (line == nullptr) continue;
    if (const auto* flag = std::get_if<bool C::*>(&key.member)) {
      ASSIGN_OR_RETURN(config->**flag, ToBool(*line));
    } else if (const auto* number = std::get_if<int64_t C::*>(&key.member)) {
      // As Python's None: the default stays.
      if (ToText(*line).empty()) continue;
      ASSIGN_OR_RETURN(config->**number, ToInt(*line));
    } else {
      config->**std::get_if<std::string C::*>(&key.member) = ToText(*line);
    }
  }
  return OkStatus();
}

Status SetServing(const std::vector<Line>& lines, AgentConfig* config) {
  for (const Serving& option : kServing) {
    ASSIGN_OR_RETURN(const Line* line, Single(lines, option.name));
    std::string value(option.value);
    if (line != nullptr && option.kind == 'b') {
      ASSIGN_OR_RETURN(const bool flag, ToBool(*line));
      value = flag ? "true" : "false";
    } else if (line != nullptr && option.kind == 's') {
      value = ToText(*line);
    } else if (line != nullptr && !ToText(*line).empty()) {
      const std::optional<double> number = EvaluateNumber(line->value);
      if (!number) return BadValue(*line, "a number or an expression such as 60 * 1000");
      value = option.kind == 'i' ? StrCat(static_cast<int64_t>(std::trunc(*number)))
              : *number == 0     ? "0"
                                 : PythonFloat(*number);
    }
    config->serving.push_back({option.name, value, value != option.value});
  }
  return OkStatus();
}

Status SetDeployType(const std::vector<Line>& lines, AgentConfig* config) {
  ASSIGN_OR_RETURN(const Line* line, Single(lines, "deploy_type"));
  if (line == nullptr) {
    ASSIGN_OR_RETURN(line, Single(lines, "server_type"));
  }
  if (config->stand_alone_serving) {
    config->deploy_type = DeployType::kMixed;
    return OkStatus();
  }
  constexpr DeployType kAll[] = {DeployType::kPs, DeployType::kEntry, DeployType::kDense,
                                 DeployType::kMixed, DeployType::kUnified};
  const std::string text = line == nullptr ? "" : AsciiLower(line->value);
  const auto* found = std::find_if(std::begin(kAll), std::end(kAll),
                                   [&](DeployType t) { return DeployTypeName(t) == text; });
  if (found == std::end(kAll)) {
    return FailedPrecondition(StrCat(
        "deploy_type must be ps, entry, dense, mixed or unified, got '", Printable(text), "'"));
  }
  config->deploy_type = *found;
  return OkStatus();
}

std::string EnvironmentText(const Environment& environment, const std::string& name) {
  const auto at = environment.find(name);
  return at == environment.end() ? "" : at->second;
}

Result<int64_t> EnvironmentInt(const Environment& environment, const std::string& name,
                               int64_t otherwise) {
  const std::string text = EnvironmentText(environment, name);
  if (text.empty()) return otherwise;
  const auto value = ParseInt(text);
  if (value) return *value;
  return InvalidArgument(
      StrCat("environment variable ", name, " expects an integer, got '", Printable(text), "'"));
}

// The port that a variable names, or a free one.
Result<int> PortOf(const Environment& environment, const std::string& name, const HostFacts& host) {
  ASSIGN_OR_RETURN(const int64_t port, EnvironmentInt(environment, name, 0));
  if (port < 0 || port > 65535) {
    return InvalidArgument(StrCat("environment variable ", name, " expects a port, got ", port));
  }
  return port == 0 ? host.free_port() : static_cast<int>(port);
}

// Spec 8.1. An empty name takes a free port.
Status SetServerPorts(const Environment& environment, const HostFacts& host,
                      const std::string& archon, const std::string& grpc, const std::string& http,
                      ServerPorts* ports) {
  ASSIGN_OR_RETURN(ports->archon, PortOf(environment, archon, host));
  ASSIGN_OR_RETURN(ports->grpc, PortOf(environment, grpc, host));
  ASSIGN_OR_RETURN(ports->http, PortOf(environment, http, host));
  return OkStatus();
}

Status SetPorts(const std::vector<Line>& lines, const Environment& environment,
                const HostFacts& host, AgentConfig* config) {
  ASSIGN_OR_RETURN(const Line* line, Single(lines, "agent_port"));
  if (line != nullptr && !ToText(*line).empty()) {
    ASSIGN_OR_RETURN(const int64_t port, ToInt(*line));
    if (port < 1 || port > 65535) return BadValue(*line, "a port");
    config->agent_port = static_cast<int>(port);
  } else {
    ASSIGN_OR_RETURN(config->agent_port, PortOf(environment, "PORT2", host));
  }
  ASSIGN_OR_RETURN(const int64_t index, EnvironmentInt(environment, "DENSE_SERVICE_IDX", 0));
  config->dense_service_index = index;
  const DeployType type = config->deploy_type;
  const auto set = [&](bool named, const char* archon, const char* grpc, const char* http,
                       ServerPorts* ports) {
    return named ? SetServerPorts(environment, host, archon, grpc, http, ports)
                 : SetServerPorts(environment, host, "", "", "", ports);
  };
  const bool mixed = type == DeployType::kMixed;
  if (type == DeployType::kUnified) return set(true, "PORT", "PORT3", "PORT4", &config->unified);
  RETURN_IF_ERROR(
      set(mixed || type == DeployType::kEntry, "PORT", "PORT3", "PORT4", &config->entry));
  RETURN_IF_ERROR(mixed ? set(true, "PORT7", "PORT5", "PORT6", &config->ps)
                        : set(type == DeployType::kPs, "PORT", "PORT3", "PORT4", &config->ps));
  if (!config->dense_alone) return OkStatus();
  RETURN_IF_ERROR(mixed ? set(index == 0, "PORT10", "PORT8", "PORT9", &config->dense)
                        : set(type == DeployType::kDense && index == 0, "PORT", "PORT3", "PORT4",
                              &config->dense));
  // Where the index is given, each of the servers has an agent of its own already.
  if (type != DeployType::kDense || environment.contains("DENSE_SERVICE_IDX")) return OkStatus();
  config->more_dense.resize(static_cast<size_t>(config->dense_service_num - 1));
  for (ServerPorts& ports : config->more_dense) RETURN_IF_ERROR(set(false, "", "", "", &ports));
  return OkStatus();
}

Status SetIdentity(const Environment& environment, const HostFacts& host, AgentConfig* config) {
  ASSIGN_OR_RETURN(config->shard_id, EnvironmentInt(environment, "SHARD_ID", -1));
  // D7: several dense processes of one container tell themselves apart by REPLICA_ID.
  ASSIGN_OR_RETURN(config->replica_id, EnvironmentInt(environment, "REPLICA_ID", -1));
  const std::string pod = EnvironmentText(environment, "MY_POD_NAME");
  if (config->replica_id < 0) config->replica_id = pod.empty() ? -1 : ReplicaIdOfPod(pod);
  config->idc = AsciiLower(EnvironmentText(environment, "TCE_INTERNAL_IDC"));
  for (const char* name : {"TCE_LOGICAL_CLUSTER", "TCE_CLUSTER", "TCE_PHYSICAL_CLUSTER"}) {
    if (config->cluster.empty()) config->cluster = AsciiLower(EnvironmentText(environment, name));
  }
  config->psm = EnvironmentText(environment, "TCE_PSM");
  config->raw_cluster = EnvironmentText(environment, "TCE_CLUSTER");
  config->pod_name = pod;
  config->serving_binary = EnvironmentText(environment, "MONOLITH_TFS_BINARY");
  config->inherit_output = environment.contains("MLP_POD_NAME");
  ASSIGN_OR_RETURN(config->cpu_limit, EnvironmentInt(environment, "MY_CPU_LIMIT", 0));
  ASSIGN_OR_RETURN(config->memory_limit, EnvironmentInt(environment, "MY_MEM_LIMIT", 0));
  config->zk_auth = EnvironmentText(environment, "ZK_AUTH");
  const std::string ipv4 = EnvironmentText(environment, "MY_HOST_IP");
  const std::string ipv6 = EnvironmentText(environment, "MY_HOST_IPV6");
  const std::string pod_ip = EnvironmentText(environment, "MY_POD_IP");
  config->host_ip = !ipv4.empty() ? ipv4 : !host.ipv4.empty() ? host.ipv4 : "0.0.0.0";
  config->host_ipv6 = !ipv6.empty() ? ipv6 : !host.ipv6.empty() ? host.ipv6 : "::";
  const bool any = !ipv4.empty() || !ipv6.empty() || !pod_ip.empty();
  // Spec 9.3: a name or address of the loopback interface is of no use to others.
  const auto usable = [](const std::string& ip) {
    return !ip.empty() && ip != "localhost" && ip != "127.0.0.1";
  };
  const std::string& named = ipv4.empty() ? host.ipv4 : ipv4;
  config->local_ip = usable(named) ? named : !host.route_ip.empty() ? host.route_ip : "localhost";
  in_addr parsed{};
  const std::string& first = ipv4.empty() ? pod_ip : ipv4;
  config->ipv6_only = any && ::inet_pton(AF_INET, first.c_str(), &parsed) != 1;
  if (config->replica_id < -1 || config->shard_id < -1) {
    return InvalidArgument("SHARD_ID and REPLICA_ID expect numbers from -1");
  }
  return OkStatus();
}

Status Check(const AgentConfig& config) {
  constexpr int64_t kMaxCount = 1'000'000;
  if (config.num_ps < 0 || config.num_ps > kMaxCount || config.num_shard < 1 ||
      config.num_shard > kMaxCount) {
    return FailedPrecondition("num_ps must be 0 to 1000000, num_shard 1 to 1000000");
  }
  if (config.update_model_status_interval < 1 || config.update_model_status_interval > 86'400) {
    return FailedPrecondition("update_model_status_interval must be 1 to 86400 seconds");
  }
  if (config.deploy_type == DeployType::kDense && !config.dense_alone) {
    return FailedPrecondition("deploy_type dense needs dense_alone true");
  }
  if (config.dense_service_num < 1 || config.dense_service_num > 64) {
    return FailedPrecondition("dense_service_num must be 1 to 64");
  }
  if (config.agent_version < 1 || config.agent_version > 3) {
    return FailedPrecondition(
        StrCat("agent_version must be 1, 2 or 3, got ", config.agent_version));
  }
  return OkStatus();
}

// A host that has IPv6 only cannot reach servers that are given by IPv4 addresses (spec 9.3).
Status CheckFamily(const AgentConfig& config) {
  if (!config.ipv6_only) return OkStatus();
  for (const std::string_view server : Split(config.zk_servers, ',')) {
    const std::string host(Trim(server.substr(0, server.find(':'))));
    in_addr parsed{};
    if (::inet_pton(AF_INET, host.c_str(), &parsed) != 1) continue;
    return FailedPrecondition(
        StrCat("zk_servers names the IPv4 address ", host,
               ", but this host has IPv6 only: name servers that it reaches"));
  }
  return OkStatus();
}

}  // namespace

std::string_view DeployTypeName(DeployType type) {
  constexpr std::string_view kNames[] = {"ps", "entry", "dense", "mixed", "unified"};
  return kNames[static_cast<size_t>(type)];
}

const ServingOption* AgentConfig::Option(std::string_view name) const {
  const auto at = std::find_if(serving.begin(), serving.end(),
                               [name](const ServingOption& o) { return o.name == name; });
  return at == serving.end() ? nullptr : &*at;
}

int64_t ReplicaIdOfPod(std::string_view pod_name) {
  int64_t id = 0;
  for (const char c : Md5Hex(pod_name).substr(10, 10)) {
    id = id * 16 + (c <= '9' ? c - '0' : c - 'a' + 10);
  }
  return id;
}

const ServerPorts& AgentConfig::PortsOf(std::string_view server) const {
  if (server == "ps") return ps;
  if (server == "entry") return entry;
  const auto index = static_cast<size_t>(IndexOfServer(server));
  if (index > 0 && index <= more_dense.size()) return more_dense[index - 1];
  return server == "dense" ? dense : unified;
}

std::string_view TypeOfServer(std::string_view server) {
  return server.substr(0, server.find('.'));
}

int64_t IndexOfServer(std::string_view server) {
  const size_t dot = server.find('.');
  return dot == server.npos ? 0 : ParseInt(server.substr(dot + 1)).value_or(0);
}

Result<std::string> AgentConfig::LayoutPath() const {
  if (layout_pattern.empty()) {
    return FailedPrecondition(
        "agent_version 3 needs layout_pattern: the name of a layout, or its path");
  }
  return layout_pattern[0] == '/' ? layout_pattern : StrCat("/", bzid, "/layouts/", layout_pattern);
}

std::string AgentConfig::Container() const {
  // As the reference prints them, None where there is no value.
  return StrCat(psm.empty() ? "unknown" : psm, ";", idc.empty() ? "None" : idc, ";",
                cluster.empty() ? "None" : cluster, ":", pod_name.empty() ? local_ip : pod_name);
}

namespace {

// The address from which packets to the world leave; nothing is sent.
std::string RouteIp() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return "";
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(80);
  (void)::inet_pton(AF_INET, "8.8.8.8", &address.sin_addr);
  socklen_t size = sizeof(address);
  char text[INET_ADDRSTRLEN] = {};
  const bool known = ::connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                     ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0 &&
                     ::inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text)) != nullptr;
  ::close(fd);
  return known ? text : "";
}

}  // namespace

HostFacts ThisHost() {
  HostFacts host;
  host.free_port = [] {
    const int fd = ::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    socklen_t size = sizeof(address);
    const bool bound = fd >= 0 && ::bind(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
    if (fd >= 0) ::close(fd);
    return bound ? static_cast<int>(ntohs(address.sin6_port)) : 0;
  };
  host.route_ip = RouteIp();
  char name[256] = {};
  addrinfo* found = nullptr;
  if (::gethostname(name, sizeof(name) - 1) != 0 ||
      ::getaddrinfo(name, nullptr, nullptr, &found) != 0) {
    return host;
  }
  for (const addrinfo* a = found; a != nullptr; a = a->ai_next) {
    char text[INET6_ADDRSTRLEN] = {};
    if (::getnameinfo(a->ai_addr, a->ai_addrlen, text, sizeof(text), nullptr, 0, NI_NUMERICHOST)) {
      continue;
    }
    std::string& out = a->ai_family == AF_INET ? host.ipv4 : host.ipv6;
    if (out.empty()) out = text;
  }
  ::freeaddrinfo(found);
  return host;
}

Result<AgentConfig> LoadAgentConfig(const std::string& path, const Environment& environment,
                                    const HostFacts& host, FileSystem& files) {
  std::vector<Line> lines;
  int included = 0;
  if (!path.empty()) RETURN_IF_ERROR(ReadLines(path, files, 0, &included, &lines));
  AgentConfig config;
  ASSIGN_OR_RETURN(const int64_t shards, EnvironmentInt(environment, "MONOLITH_HOST_SHARD_N", 1));
  config.num_shard = shards;
  RETURN_IF_ERROR(SetKeys(lines, &config));
  RETURN_IF_ERROR(SetServing(lines, &config));
  RETURN_IF_ERROR(SetDeployType(lines, &config));
  if (config.num_shard != shards) {
    return FailedPrecondition(
        StrCat("num_shard is ", config.num_shard, ", but MONOLITH_HOST_SHARD_N says ", shards));
  }
  RETURN_IF_ERROR(Check(config));
  RETURN_IF_ERROR(SetIdentity(environment, host, &config));
  RETURN_IF_ERROR(CheckFamily(config));
  RETURN_IF_ERROR(SetPorts(lines, environment, host, &config));
  return config;
}

}  // namespace megalith::agent

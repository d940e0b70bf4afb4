#include "common/fleet/discovery/zookeeper/records.h"

#include <algorithm>
#include <cmath>

#include "common/foundation/base/strings.h"

namespace megalith::discovery {
namespace {

constexpr size_t kMaxRecordBytes = 1 << 20;  // ZooKeeper's own limit

// The keys of each record in the order in which they are written.
template <typename V, typename R>
void VisitFields(V& visit, R& r, const ReplicaMeta*) {
  visit("address", r.address);
  visit("address_ipv6", r.address_ipv6);
  visit("stat", r.stat);
  visit("model_name", r.model_name);
  visit("server_type", r.server_type);
  visit("task", r.task);
  visit("replica", r.replica);
  visit("archon_address", r.archon_address);
  visit("archon_address_ipv6", r.archon_address_ipv6);
}

template <typename V, typename R>
void VisitFields(V& visit, R& r, const ModelMeta*) {
  visit("model_name", r.model_name);
  visit("model_dir", r.model_dir);
  visit("ckpt", r.ckpt);
  visit("num_shard", r.num_shard);
  visit("action", r.action);
  visit("spec_replicas", r.spec_replicas);
}

template <typename V, typename R>
void VisitFields(V& visit, R& r, const ResourceSpec*) {
  visit("address", r.address);
  visit("shard_id", r.shard_id);
  visit("replica_id", r.replica_id);
  visit("memory", r.memory);
  visit("cpu", r.cpu);
  visit("network", r.network);
  visit("work_load", r.work_load);
}

template <typename V, typename R>
void VisitFields(V& visit, R& r, const PublishMeta*) {
  visit("shard_id", r.shard_id);
  visit("replica_id", r.replica_id);
  visit("model_name", r.model_name);
  visit("num_ps", r.num_ps);
  visit("total_publish_num", r.total_publish_num);
  visit("sub_models", r.sub_models);
  visit("ptype", r.ptype);
  visit("is_spec", r.is_spec);
}

template <typename V, typename R>
void VisitFields(V& visit, R& r, const SavedModelDeployConfig*) {
  visit("model_base_path", r.model_base_path);
  visit("version_policy", r.version_policy);
}

template <typename V, typename R>
void VisitFields(V& visit, R& r, const ContainerServiceInfo*) {
  visit("grpc", r.grpc);
  visit("http", r.http);
  visit("archon", r.archon);
  visit("agent", r.agent);
  visit("idc", r.idc);
  visit("debug_info", r.debug_info);
}

Json ToJson(const std::string& v) { return {.value = v}; }
Json ToJson(int64_t v) { return {.value = v}; }
Json ToJson(double v) { return {.value = v}; }
Json ToJson(bool v) { return {.value = v}; }
Json ToJson(const std::vector<std::string>& v) {
  Json::List list;
  for (const std::string& text : v) list.push_back({.value = text});
  return {.value = std::move(list)};
}
Json ToJson(const std::vector<std::pair<std::string, std::string>>& v) {
  Json::Object object;
  for (const auto& [name, text] : v) object.emplace_back(name, Json{.value = text});
  return {.value = std::move(object)};
}
template <typename T>
Json ToJson(const std::optional<T>& v) {
  return v ? ToJson(*v) : Json{};
}

// Each takes what Python would find equal to a value of the field's type; false leaves the default.
bool FromJson(const Json& json, std::string* out) {
  const auto* text = json.As<std::string>();
  if (text != nullptr) *out = *text;
  return text != nullptr;
}
bool FromJson(const Json& json, int64_t* out) {
  if (const auto* integer = json.As<int64_t>()) {
    *out = *integer;
  } else if (const auto* flag = json.As<bool>()) {
    *out = *flag ? 1 : 0;
  } else if (const auto* real = json.As<double>();
             real != nullptr && std::abs(*real) < 9e15 && std::trunc(*real) == *real) {
    *out = static_cast<int64_t>(*real);
  } else {
    return false;
  }
  return true;
}
bool FromJson(const Json& json, double* out) {
  if (const auto* real = json.As<double>()) {
    *out = *real;
    return true;
  }
  int64_t integer = 0;
  if (!FromJson(json, &integer)) return false;
  *out = static_cast<double>(integer);
  return true;
}
bool FromJson(const Json& json, bool* out) {
  int64_t number = 0;
  if (!FromJson(json, &number)) return false;
  *out = number != 0;
  return true;
}
bool FromJson(const Json& json, std::vector<std::string>* out) {
  const auto* list = json.As<Json::List>();
  if (list == nullptr) return false;
  for (const Json& element : *list) {
    if (std::string text; FromJson(element, &text)) out->push_back(std::move(text));
  }
  return true;
}
bool FromJson(const Json& json, std::vector<std::pair<std::string, std::string>>* out) {
  const auto* object = json.As<Json::Object>();
  if (object == nullptr) return false;
  for (const auto& [name, value] : *object) {
    std::string text;
    if (!FromJson(value, &text)) continue;
    const auto same = std::find_if(out->begin(), out->end(),
                                   [&n = name](const auto& known) { return known.first == n; });
    if (same == out->end()) {
      out->emplace_back(name, std::move(text));
    } else {
      same->second = std::move(text);  // a Python dict keeps the first place and the last value
    }
  }
  return true;
}
template <typename T>
bool FromJson(const Json& json, std::optional<T>* out) {
  T value{};
  if (!FromJson(json, &value)) return false;
  *out = std::move(value);
  return true;
}

template <typename Record>
std::string Write(const Record& record) {
  Json::Object object;
  const auto visit = [&object](const char* name, const auto& field) {
    object.emplace_back(name, ToJson(field));
  };
  VisitFields(visit, record, static_cast<const Record*>(nullptr));
  return DumpPythonJson({.value = std::move(object)});
}

bool IsName(std::string_view text, bool dashes) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [dashes](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           (dashes && c == '-');
  });
}

std::optional<int64_t> Decimal(std::string_view text) {
  if (text.empty() || text[0] < '0' || text[0] > '9') return std::nullopt;
  return ParseInt(text);
}

}  // namespace

std::string WriteRecord(const ReplicaMeta& record) { return Write(record); }
std::string WriteRecord(const ModelMeta& record) { return Write(record); }
std::string WriteRecord(const ResourceSpec& record) { return Write(record); }
std::string WriteRecord(const PublishMeta& record) { return Write(record); }
std::string WriteRecord(const SavedModelDeployConfig& record) { return Write(record); }
std::string WriteRecord(const ContainerServiceInfo& record) { return Write(record); }

template <typename Record>
Result<Record> ReadRecord(std::string_view value) {
  if (value.size() > kMaxRecordBytes) {
    return InvalidArgument(
        StrCat("a node of ", value.size(), " bytes, at most ", kMaxRecordBytes, " are read"));
  }
  ASSIGN_OR_RETURN(const Json json, ParsePythonJson(value));
  if (json.As<Json::Object>() == nullptr) return InvalidArgument("expects a JSON object");
  Record record;
  const auto visit = [&json](const char* name, auto& field) {
    if (const Json* found = json.Find(name)) (void)FromJson(*found, &field);
  };
  VisitFields(visit, record, static_cast<const Record*>(nullptr));
  return record;
}

template Result<ReplicaMeta> ReadRecord(std::string_view);
template Result<ModelMeta> ReadRecord(std::string_view);
template Result<ResourceSpec> ReadRecord(std::string_view);
template Result<PublishMeta> ReadRecord(std::string_view);
template Result<SavedModelDeployConfig> ReadRecord(std::string_view);
template Result<ContainerServiceInfo> ReadRecord(std::string_view);

std::string ChooseAddress(const ReplicaMeta& meta, bool prefer_ipv6) {
  std::string ipv4 = meta.address.value_or("");
  std::string ipv6 = meta.address_ipv6.value_or("");
  if (ipv4.starts_with("0.0.0.0")) ipv4.clear();
  if (ipv6.starts_with("[::]")) ipv6.clear();
  if (prefer_ipv6) std::swap(ipv4, ipv6);
  return ipv4.empty() ? ipv6 : ipv4;
}

std::string ReplicaPath::Location() const {
  return idc.empty() && cluster.empty() ? "" : StrCat(idc, ":", cluster);
}

std::string ReplicaPath::Task() const { return StrCat(server_type, ":", task); }

std::optional<ReplicaPath> ParseReplicaPath(std::string_view path) {
  if (path.empty() || path[0] != '/') return std::nullopt;
  const std::vector<std::string_view> parts = Split(path.substr(1), '/');
  if (parts.size() < 4 || parts.size() > 6 || parts[1] != "service") return std::nullopt;
  ReplicaPath out;
  out.bzid = parts[0];
  out.base_name = parts[2];
  if (!IsName(out.bzid, true) || !IsName(out.base_name, true)) return std::nullopt;
  const auto pair = [](std::string_view text) {
    const size_t colon = text.find(':');
    return std::pair(text.substr(0, colon),
                     colon == text.npos ? std::string_view() : text.substr(colon + 1));
  };
  size_t next = 3;
  const auto is_task = [&](std::string_view text) {
    const auto [type, task] = pair(text);
    return IsName(type, false) && Decimal(task).has_value();
  };
  // Five parts are a task with a replica, or a location with a task.
  const bool located =
      parts.size() == 6 || (parts.size() == 5 && !Decimal(parts[4]) && is_task(parts[4]));
  if (located) {
    const auto [idc, cluster] = pair(parts[next++]);
    if (!IsName(idc, true) || !IsName(cluster, true)) return std::nullopt;
    out.idc = idc;
    out.cluster = cluster;
  }
  if (!is_task(parts[next])) return std::nullopt;
  const auto [type, task] = pair(parts[next++]);
  out.server_type = type;
  out.task = *Decimal(task);
  if (next == parts.size()) return out;
  out.replica = Decimal(parts[next++]);
  if (!out.replica || next != parts.size()) return std::nullopt;
  return out;
}

std::string ReplicaName(std::string_view server_type, int64_t replica) {
  std::string name = StrCat(replica);
  if (server_type == "entry" && replica >= 0 && name.size() < 11) {
    name.insert(0, 11 - name.size(), '0');
  }
  return name;
}

}  // namespace megalith::discovery

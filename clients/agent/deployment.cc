#include "clients/agent/deployment.h"

#include <algorithm>
#include <map>

#include "common/foundation/base/strings.h"

namespace megalith::agent_tools {
namespace {

using discovery::CreateMode;
using discovery::Json;

struct NamedState {
  discovery::ModelState state;
  std::string_view name;
};
constexpr NamedState kStates[] = {
    {discovery::ModelState::kUnknown, "UNKNOWN"},
    {discovery::ModelState::kStart, "START"},
    {discovery::ModelState::kLoading, "LOADING"},
    {discovery::ModelState::kAvailable, "AVAILABLE"},
    {discovery::ModelState::kUnloading, "UNLOADING"},
    {discovery::ModelState::kEnd, "END"},
};

Json Text(std::string text) { return {std::move(text)}; }

void Append(Json::Object* object, std::string_view name, std::string text) {
  for (auto& [key, value] : *object) {
    if (key == name) {
      std::get<Json::List>(value.value).push_back(Text(std::move(text)));
      return;
    }
  }
  object->emplace_back(std::string(name), Json{Json::List{Text(std::move(text))}});
}

// What is known of one model; printed with its keys sorted.
struct Model {
  std::map<std::string, Json::Object> graphs;
  std::optional<int64_t> total;
  int64_t available = 0;

  Json ToJson() const {
    std::map<std::string, Json> sorted;
    for (const auto& [name, graph] : graphs) sorted.emplace(name, Json{graph});
    if (total) sorted.insert_or_assign("sub_graphs_total", Json{*total});
    if (available > 0) sorted.insert_or_assign("sub_graphs_available", Json{available});
    return {Json::Object(sorted.begin(), sorted.end())};
  }
};

// A class of characters at the start of `pattern`, "[a-c]": whether `c` is in it; moves behind it.
// nullopt if there is no end: '[' then stands for itself.
std::optional<bool> MatchesClass(char c, std::string_view* pattern) {
  size_t at = 1;
  const bool negated = at < pattern->size() && (*pattern)[at] == '!';
  if (negated) ++at;
  const size_t end = pattern->find(']', at + 1);
  if (end == pattern->npos) return std::nullopt;
  bool found = false;
  for (; at < end; ++at) {
    if (at + 2 < end && (*pattern)[at + 1] == '-') {
      found = found || ((*pattern)[at] <= c && c <= (*pattern)[at + 2]);
      at += 2;
    } else {
      found = found || (*pattern)[at] == c;
    }
  }
  pattern->remove_prefix(end + 1);
  return found != negated;
}

}  // namespace

std::string StateName(int64_t state) {
  for (const NamedState& row : kStates) {
    if (static_cast<int64_t>(row.state) == state) return std::string(row.name);
  }
  return StrCat(state);
}

bool MatchesGlob(std::string_view text, std::string_view pattern) {
  // Where to go on when what follows the last '*' does not match: one character later.
  std::optional<std::pair<std::string_view, std::string_view>> retry;
  while (true) {
    bool matched = false;
    if (!pattern.empty() && pattern[0] == '*') {
      pattern.remove_prefix(1);
      retry.emplace(text, pattern);
      continue;
    }
    if (text.empty() && pattern.empty()) return true;
    if (!text.empty() && !pattern.empty()) {
      std::string_view rest = pattern;
      const auto in_class = pattern[0] == '[' ? MatchesClass(text[0], &rest) : std::nullopt;
      matched = in_class ? *in_class : pattern[0] == '?' || pattern[0] == text[0];
      if (!in_class) rest.remove_prefix(1);
      if (matched) {
        text.remove_prefix(1);
        pattern = rest;
      }
    }
    if (matched) continue;
    if (!retry || retry->first.empty()) return false;
    retry->first.remove_prefix(1);
    std::tie(text, pattern) = *retry;
  }
}

std::string Deployment::Path(std::string_view rest) const { return StrCat("/", bzid_, "/", rest); }

Result<std::vector<std::string>> Deployment::ChildrenOrNone(const std::string& path) {
  auto children = client_.Children(path);
  if (children.status().code() == Code::kNotFound) return std::vector<std::string>();
  return children;
}

Status Deployment::Put(const std::string& path, std::string_view data) {
  const auto created = client_.Create(path, data, CreateMode::kPersistent);
  if (created.status().code() == Code::kAlreadyExists) return client_.Set(path, data);
  return created.status();
}

Status Deployment::RemoveTree(const std::string& path) {
  ASSIGN_OR_RETURN(const auto children, ChildrenOrNone(path));
  for (const std::string& child : children) RETURN_IF_ERROR(RemoveTree(StrCat(path, "/", child)));
  const Status removed = client_.Delete(path);
  return removed.code() == Code::kNotFound ? OkStatus() : removed;
}

Result<std::string> Deployment::Declare(const std::string& export_base, const std::string& model,
                                        bool overwrite, FileSystem& files) {
  std::string name = model;
  if (name.empty()) {
    ASSIGN_OR_RETURN(const auto found, ModelNameOfExport(export_base, files));
    if (!found || found->empty()) {
      return InvalidArgument(StrCat("the entry graph of ", export_base,
                                    " calls no model (no TfServingRemotePredict node), so its name "
                                    "is not known: give --model_name"));
    }
    name = *found;
  }
  const std::string base = Path(StrCat("saved_models/", name));
  ASSIGN_OR_RETURN(const auto declared, ChildrenOrNone(base));
  if (!declared.empty() && !overwrite) {
    return Status(Code::kAlreadyExists, StrCat(name, " exists and not in overwrite mode"));
  }
  ASSIGN_OR_RETURN(const auto folders, files.List(export_base));
  for (const FileInfo& folder : folders) {
    if (!folder.is_directory) continue;
    const discovery::SavedModelDeployConfig config{
        .model_base_path = JoinPath(export_base, folder.name),
        .version_policy = folder.name == "entry" ? "latest" : "latest_once"};
    RETURN_IF_ERROR(Put(StrCat(base, "/", folder.name), discovery::WriteRecord(config)));
  }
  return name;
}

Result<std::vector<std::string>> Deployment::Publish(std::string_view pattern,
                                                     const std::string& layout, bool publish) {
  const size_t colon = pattern.find(':');
  if (colon == 0 || colon == pattern.npos) {
    return InvalidArgument(
        StrCat("expected MODEL:SUB_GRAPH with a pattern such as ps_* after the "
               "colon, got '",
               Printable(pattern), "'"));
  }
  const std::string model(pattern.substr(0, colon));
  ASSIGN_OR_RETURN(const auto declared, ChildrenOrNone(Path(StrCat("saved_models/", model))));
  std::vector<std::string> out;
  for (const std::string& graph : declared) {
    if (!MatchesGlob(graph, pattern.substr(colon + 1))) continue;
    const std::string path = Path(StrCat("layouts/", layout, "/", model, ":", graph));
    const Status done =
        publish ? client_.Create(path, "", CreateMode::kPersistent).status() : client_.Delete(path);
    const Code settled = publish ? Code::kAlreadyExists : Code::kNotFound;
    if (!done.ok() && done.code() != settled) return done;
    out.push_back(StrCat(model, ":", graph));
  }
  return out;
}

Result<Json> Deployment::Info() {
  std::map<std::string, Model> models;
  ASSIGN_OR_RETURN(const auto names, ChildrenOrNone(Path("saved_models")));
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const auto graphs, Folder(StrCat("saved_models/", name)));
    Model& model = models[name];
    model.total = static_cast<int64_t>(graphs.size());
    for (const auto& [graph, data] : graphs)
      model.graphs[graph].emplace_back("deploy_config", Text(data));
  }
  std::map<std::string, std::map<std::string, Json::Object>> containers;
  ASSIGN_OR_RETURN(const auto ids, ChildrenOrNone(Path("container_service")));
  for (const std::string& id : ids) {
    const size_t colon = id.find(':');
    const auto info = client_.Get(Path(StrCat("container_service/", id)));
    if (colon == id.npos || info.status().code() == Code::kNotFound) continue;
    RETURN_IF_ERROR(info.status());
    containers[id.substr(0, colon)][id.substr(colon + 1)].emplace_back("service_info",
                                                                       Text(info->data));
  }
  Json::Object layouts;
  ASSIGN_OR_RETURN(const auto layout_names, ChildrenOrNone(Path("layouts")));
  for (const std::string& layout : layout_names) {
    ASSIGN_OR_RETURN(const auto placed, ChildrenOrNone(Path(StrCat("layouts/", layout))));
    Json::List list;
    for (const std::string& graph : placed) list.push_back(Text(graph));
    layouts.emplace_back(layout, Json{std::move(list)});
  }
  ASSIGN_OR_RETURN(const auto bound, ChildrenOrNone(Path("binding")));
  for (const std::string& name : bound) {
    ASSIGN_OR_RETURN(const auto bindings, ChildrenOrNone(Path(StrCat("binding/", name))));
    for (const std::string& binding : bindings) {
      const size_t first = binding.find(':');
      const size_t second = first == binding.npos ? first : binding.find(':', first + 1);
      if (second == binding.npos) continue;
      const std::string graph = binding.substr(0, first);
      const std::string cluster = binding.substr(first + 1, second - first - 1);
      const std::string id = binding.substr(second + 1);
      Json::Object& entry = models[name].graphs[graph];
      const bool is_first = Json{entry}.Find("bindings") == nullptr;
      if (is_first) ++models[name].available;
      Append(&entry, "bindings", StrCat(cluster, ":", id));
      Append(&containers[cluster][id], "saved_models", StrCat(name, ":", graph));
    }
  }
  Json::Object model_info;
  for (const auto& [name, model] : models) model_info.emplace_back(name, model.ToJson());
  Json::Object container_info;
  for (const auto& [cluster, by_id] : containers) {
    Json::Object list;
    for (const auto& [id, entry] : by_id) list.emplace_back(id, Json{entry});
    container_info.emplace_back(cluster, Json{std::move(list)});
  }
  return Json{Json::Object{{"model_info", Json{std::move(model_info)}},
                           {"container_info", Json{std::move(container_info)}},
                           {"layout_info", Json{std::move(layouts)}}}};
}

Status Deployment::Load(const discovery::ModelMeta& model, bool fresh) {
  const std::string path = Path(StrCat("portal/", model.model_name.value_or("")));
  const std::string data = discovery::WriteRecord(model);
  if (!fresh) return Put(path, data);
  const auto created = client_.Create(path, data, CreateMode::kPersistent);
  if (created.status().code() == Code::kAlreadyExists) {
    return Status(Code::kAlreadyExists, StrCat(model.model_name.value_or(""), " has exists"));
  }
  return created.status();
}

Status Deployment::Unload(const std::string& model) {
  return client_.Delete(Path(StrCat("portal/", model)));
}

Result<std::vector<ReplicaRow>> Deployment::Replicas(const std::string& name) {
  const std::string base = Path(StrCat("service/", name));
  ASSIGN_OR_RETURN(const auto children, client_.Children(base));
  std::vector<std::string> tasks;
  for (const std::string& child : children) {
    const std::string path = StrCat(base, "/", child);
    if (discovery::ParseReplicaPath(path)) {
      tasks.push_back(path);
      continue;
    }
    ASSIGN_OR_RETURN(const auto below, ChildrenOrNone(path));
    for (const std::string& task : below) tasks.push_back(StrCat(path, "/", task));
  }
  std::vector<std::string> paths;
  for (const std::string& task : tasks) {
    ASSIGN_OR_RETURN(const auto replicas, ChildrenOrNone(task));
    for (const std::string& replica : replicas) paths.push_back(StrCat(task, "/", replica));
  }
  std::sort(paths.begin(), paths.end());
  std::vector<ReplicaRow> out;
  const auto nodes = client_.GetMany(paths);
  for (size_t i = 0; i < paths.size(); ++i) {
    if (nodes[i].status().code() == Code::kNotFound) continue;  // gone in the meantime
    RETURN_IF_ERROR(nodes[i].status());
    ReplicaRow row{.path = paths[i], .meta = {}};
    auto meta = discovery::ReadRecord<discovery::ReplicaMeta>(nodes[i]->data);
    if (meta.ok()) row.meta = *std::move(meta);
    out.push_back(std::move(row));
  }
  return out;
}

Result<std::vector<std::string>> Deployment::Services() { return ChildrenOrNone(Path("service")); }

Result<std::vector<std::pair<std::string, std::string>>> Deployment::Folder(
    const std::string& folder) {
  const std::string base = Path(folder);
  ASSIGN_OR_RETURN(const auto children, client_.Children(base));
  std::vector<std::string> paths;
  for (const std::string& child : children) paths.push_back(StrCat(base, "/", child));
  const auto nodes = client_.GetMany(paths);
  std::vector<std::pair<std::string, std::string>> out;
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (nodes[i].status().code() == Code::kNotFound) continue;
    RETURN_IF_ERROR(nodes[i].status());
    out.emplace_back(children[i], nodes[i]->data);
  }
  return out;
}

Result<int64_t> Deployment::Clean(const std::string& folder) {
  const std::string base = Path(folder);
  ASSIGN_OR_RETURN(const auto children, ChildrenOrNone(base));
  for (const std::string& child : children) RETURN_IF_ERROR(RemoveTree(StrCat(base, "/", child)));
  return static_cast<int64_t>(children.size());
}

}  // namespace megalith::agent_tools

// What an export of Monolith tells about itself: part of deployment.h.
#include <algorithm>
#include <map>
#include <set>

#include "clients/agent/deployment.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::agent_tools {
namespace {

using records::WireReader;
using records::WireType;

constexpr uint64_t kMaxGraphBytes = 2ull << 30;  // protobuf's own limit
constexpr int kMaxFolders = 32;                  // one within the other

// Calls `visit` with each field `number` of bytes of a message until it returns false. Errors:
// kDataLoss.
template <typename Visit>
Status EachOf(std::string_view message, uint32_t number, Visit visit) {
  WireReader in(message);
  while (in.Next()) {
    if (in.field().number != number || in.field().type != WireType::kBytes) continue;
    ASSIGN_OR_RETURN(const bool go_on, visit(in.field().bytes));
    if (!go_on) return OkStatus();
  }
  return in.status();
}

// The first field `number` of a message, empty without one.
Result<std::string_view> FirstOf(std::string_view message, uint32_t number) {
  std::string_view out;
  RETURN_IF_ERROR(EachOf(message, number, [&out](std::string_view bytes) -> Result<bool> {
    out = bytes;
    return false;
  }));
  return out;
}

// NodeDef: op is 2, attr is 5, a map of AttrValue, whose text is 2.
Result<std::optional<std::string>> RemoteModelOf(std::string_view node) {
  ASSIGN_OR_RETURN(const std::string_view op, FirstOf(node, 2));
  std::optional<std::string> out;
  if (op != "TfServingRemotePredict") return out;
  RETURN_IF_ERROR(EachOf(node, 5, [&out](std::string_view entry) -> Result<bool> {
    ASSIGN_OR_RETURN(const std::string_view key, FirstOf(entry, 1));
    if (key != "model_name") return true;
    ASSIGN_OR_RETURN(const std::string_view value, FirstOf(entry, 2));
    ASSIGN_OR_RETURN(const std::string_view text, FirstOf(value, 2));
    out = std::string(text);
    return false;
  }));
  return out;
}

Result<int64_t> BytesBelow(const std::string& path, int depth, FileSystem& files) {
  if (depth > kMaxFolders) return InvalidArgument(StrCat(path, ": folders are nested too deeply"));
  int64_t sum = 0;
  ASSIGN_OR_RETURN(const auto list, files.List(path));
  for (const FileInfo& file : list) {
    if (!file.is_directory) {
      sum += static_cast<int64_t>(file.size);
      continue;
    }
    ASSIGN_OR_RETURN(const int64_t below, BytesBelow(JoinPath(path, file.name), depth + 1, files));
    sum += below;
  }
  return sum;
}

// The shard of an asset "TABLE_3-00000-of-00001"; nullopt for a file of another name.
std::optional<int64_t> ShardOfAsset(std::string_view name) {
  const size_t of = name.rfind("-of-");
  if (of == name.npos || of == 0) return std::nullopt;
  const size_t part = name.rfind('-', of - 1);
  if (part == name.npos || part == 0) return std::nullopt;
  const size_t underscore = name.rfind('_', part - 1);
  if (underscore == name.npos) return std::nullopt;
  return ParseInt(name.substr(underscore + 1, part - underscore - 1));
}

Result<std::set<int64_t>> VersionsOf(const std::string& path, FileSystem& files) {
  std::set<int64_t> out;
  ASSIGN_OR_RETURN(const auto list, files.List(path));
  for (const FileInfo& file : list) {
    const auto version = ParseUint(file.name);
    if (file.is_directory && version && *version <= INT64_MAX)
      out.insert(static_cast<int64_t>(*version));
  }
  return out;
}

}  // namespace

Result<std::optional<std::string>> ModelNameOfExport(const std::string& export_base,
                                                     FileSystem& files) {
  const std::string entry = JoinPath(export_base, "entry");
  ASSIGN_OR_RETURN(auto versions, files.List(entry));
  std::erase_if(versions, [](const FileInfo& file) { return !file.is_directory; });
  if (versions.empty()) return NotFound(StrCat(entry, " has no version folder"));
  std::sort(versions.begin(), versions.end(),
            [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
  const std::string path = JoinPath(JoinPath(entry, versions[0].name), "saved_model.pb");
  ASSIGN_OR_RETURN(const std::string bytes, files.Read(path, kMaxGraphBytes));
  std::optional<std::string> out;
  // SavedModel.meta_graphs is 2, MetaGraphDef.graph_def 2, GraphDef.node 1.
  const auto find = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::string_view meta_graph, FirstOf(bytes, 2));
    ASSIGN_OR_RETURN(const std::string_view graph, FirstOf(meta_graph, 2));
    return EachOf(graph, 1, [&out](std::string_view node) -> Result<bool> {
      ASSIGN_OR_RETURN(out, RemoteModelOf(node));
      return !out.has_value();
    });
  };
  RETURN_IF_ERROR(find().Annotate(path));
  if (out) out->resize(std::min(out->size(), out->find(':')));
  return out;
}

Result<std::vector<SubModelInfo>> ExportInfo(const std::string& export_base,
                                             const std::string& checkpoint, FileSystem& files) {
  std::string base = export_base;
  while (base.size() > 1 && base.ends_with('/')) base.pop_back();
  ASSIGN_OR_RETURN(const auto folders, files.List(base));
  std::map<std::string, int64_t> bytes;
  std::optional<std::set<int64_t>> common;
  for (const FileInfo& folder : folders) {
    if (folder.name.starts_with(".") || !folder.is_directory) continue;
    bytes[folder.name] = 0;
    ASSIGN_OR_RETURN(auto versions, VersionsOf(JoinPath(base, folder.name), files));
    if (common) std::erase_if(versions, [&](int64_t v) { return !common->contains(v); });
    common = std::move(versions);
  }
  if (!common || common->empty()) {
    return FailedPrecondition(StrCat("the sub-models of ", base, " have no version in common"));
  }
  const std::string version = StrCat(*common->rbegin());
  for (auto& [name, size] : bytes) {
    ASSIGN_OR_RETURN(size, BytesBelow(JoinPath(JoinPath(base, name), version), 0, files));
  }
  if (!checkpoint.empty()) {
    const std::string assets = StrCat(base.substr(0, base.rfind('/') + 1), checkpoint, ".assets");
    const auto list = files.List(assets);
    if (!list.ok() && list.status().code() != Code::kNotFound) return list.status();
    for (const FileInfo& file : list.ok() ? *list : std::vector<FileInfo>()) {
      const auto shard = ShardOfAsset(file.name);
      if (shard) bytes[StrCat("ps_", *shard)] += static_cast<int64_t>(file.size);
    }
  }
  std::vector<SubModelInfo> out;
  for (const auto& [name, size] : bytes) {
    out.push_back({name, size, JoinPath(JoinPath(base, name), version)});
  }
  return out;
}

}  // namespace megalith::agent_tools

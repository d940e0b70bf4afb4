// What an export of Monolith tells about itself: part of deployment.h.
#include <algorithm>

#include "clients/agent/deployment.h"
#include "common/foundation/base/strings.h"
#include "common/learning/records/wire.h"

namespace megalith::agent_tools {
namespace {

using records::WireReader;
using records::WireType;

constexpr uint64_t kMaxGraphBytes = 2ull << 30;  // protobuf's own limit

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

}  // namespace megalith::agent_tools

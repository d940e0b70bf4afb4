#include "common/learning/embedding/checkpoint/state_files.h"

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/state_proto.h"

namespace megalith::embedding {
namespace {

constexpr uint64_t kMaxFileBytes = 64 << 20;

template <typename T>
Result<std::optional<T>> ReadFile(FileSystem& files, const std::string& path,
                                  Result<T> (*parse)(std::string_view)) {
  const Result<std::string> text = files.Read(path, kMaxFileBytes);
  if (!text.ok() && text.status().code() == Code::kNotFound) return std::optional<T>();
  RETURN_IF_ERROR(text);
  Result<T> parsed = parse(*text);
  if (!parsed.ok()) return parsed.status().Annotate(StrCat("'", path, "'"));
  return std::optional<T>(*std::move(parsed));
}

std::string Absolute(const std::string& directory, const std::string& path) {
  return path.empty() || path.starts_with('/') ? path : JoinPath(directory, path);
}

std::string Relative(const std::string& directory, const std::string& path) {
  const std::string below = JoinPath(directory, "");
  return path.starts_with(below) ? path.substr(below.size()) : path;
}

// When a checkpoint was written, from its files; 0 if it has none.
double TimeOf(FileSystem& files, const std::string& prefix) {
  for (const std::string& path : {StrCat(prefix, ".index"), AssetDirectory(prefix)}) {
    const Result<FileInfo> info = files.Stat(path);
    if (info.ok()) return static_cast<double>(info->modified_unix_nanos) * 1e-9;
  }
  return 0;
}

std::string RowCountsPath(const std::string& directory, int64_t step) {
  return JoinPath(directory, StrCat("ckpt.info-", step));
}

}  // namespace

Result<std::optional<CheckpointList>> ReadCheckpointList(FileSystem& files,
                                                         const std::string& directory) {
  ASSIGN_OR_RETURN(std::optional<CheckpointList> list,
                   ReadFile(files, JoinPath(directory, kCheckpointFile), &ParseCheckpointList));
  if (!list) return list;
  list->newest = Absolute(directory, list->newest);
  for (std::string& prefix : list->all) prefix = Absolute(directory, prefix);
  if (list->timestamps.size() != list->all.size()) {
    list->timestamps.clear();
    for (const std::string& prefix : list->all) list->timestamps.push_back(TimeOf(files, prefix));
  }
  return list;
}

Result<std::optional<MonolithState>> ReadMonolithState(FileSystem& files,
                                                       const std::string& directory) {
  ASSIGN_OR_RETURN(std::optional<MonolithState> state,
                   ReadFile(files, JoinPath(directory, kMonolithStateFile), &ParseMonolithState));
  if (!state) return state;
  for (std::string& prefix : state->exempt) prefix = Absolute(directory, prefix);
  return state;
}

Result<std::optional<RowCounts>> ReadRowCounts(FileSystem& files, const std::string& directory,
                                               int64_t step) {
  return ReadFile(files, RowCountsPath(directory, step), &ParseRowCounts);
}

Result<std::optional<ExportList>> ReadExportList(FileSystem& files, const std::string& directory) {
  return ReadFile(files, JoinPath(directory, kExportListFile), &ParseExportList);
}

Status WriteCheckpointList(FileSystem& files, const std::string& directory,
                           const CheckpointList& list) {
  CheckpointList written = list;
  written.newest = Relative(directory, list.newest);
  for (std::string& prefix : written.all) prefix = Relative(directory, prefix);
  return files.WriteAtomically(JoinPath(directory, kCheckpointFile), ToText(written));
}

Status WriteMonolithState(FileSystem& files, const std::string& directory,
                          const MonolithState& state) {
  MonolithState written = state;
  for (std::string& prefix : written.exempt) prefix = Relative(directory, prefix);
  return files.WriteAtomically(JoinPath(directory, kMonolithStateFile), ToText(written));
}

Status WriteRowCounts(FileSystem& files, const std::string& directory, int64_t step,
                      const RowCounts& counts) {
  return files.WriteAtomically(RowCountsPath(directory, step), ToText(counts));
}

Status WriteExportList(FileSystem& files, const std::string& directory, const ExportList& exports) {
  return files.WriteAtomically(JoinPath(directory, kExportListFile), ToText(exports));
}

}  // namespace megalith::embedding

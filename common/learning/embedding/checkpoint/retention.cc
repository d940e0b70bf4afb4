#include "common/learning/embedding/checkpoint/retention.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/state_files.h"

namespace megalith::embedding {
namespace {

std::string_view BaseName(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == std::string_view::npos ? path : path.substr(slash + 1);
}

bool Exists(FileSystem& files, const std::string& prefix) {
  return files.Stat(StrCat(prefix, ".index")).ok() || files.Stat(AssetDirectory(prefix)).ok();
}

// A save that did not come to its end left its marker (table_checkpoint.h).
bool IsUnfinished(FileSystem& files, const std::string& assets) {
  const Result<std::vector<FileInfo>> listing = files.List(assets);
  return listing.ok() && (listing->empty() ||
                          std::any_of(listing->begin(), listing->end(), [](const FileInfo& file) {
                            return file.name.starts_with("megalith_saving");
                          }));
}

Result<std::vector<CheckpointChoice>> SparseOnly(FileSystem& files, const std::string& directory) {
  constexpr std::string_view kSuffix = ".assets";
  std::vector<std::string> found;
  const Result<std::vector<FileInfo>> listing = files.List(directory);
  if (!listing.ok() && listing.status().code() == Code::kNotFound)
    return std::vector<CheckpointChoice>();
  RETURN_IF_ERROR(listing);
  for (const FileInfo& file : *listing) {
    if (file.is_directory && file.name.ends_with(kSuffix) &&
        !IsUnfinished(files, JoinPath(directory, file.name)))
      found.push_back(file.name);
  }
  if (found.empty()) return std::vector<CheckpointChoice>();
  if (found.size() > 1) {
    return FailedPrecondition(
        StrCat("'", directory, "' has no file 'checkpoint' that says which of ", Join(found, ", "),
               " to restore; write one or leave one directory"));
  }
  CheckpointChoice choice{.prefix = JoinPath(directory, found[0]), .sparse_only = true};
  choice.prefix.resize(choice.prefix.size() - kSuffix.size());
  // Any name will do here, so one without a step counts as step 0.
  const Result<int64_t> step = StepOf(BaseName(choice.prefix));
  if (step.ok()) choice.step = *step;
  return std::vector{choice};
}

}  // namespace

Result<std::vector<CheckpointChoice>> ChooseCheckpoints(FileSystem& files,
                                                        const std::string& directory) {
  ASSIGN_OR_RETURN(const std::optional<CheckpointList> list, ReadCheckpointList(files, directory));
  if (!list) return SparseOnly(files, directory);
  std::vector<std::string> prefixes = {list->newest};
  prefixes.insert(prefixes.end(), list->all.rbegin(), list->all.rend());
  std::vector<CheckpointChoice> out;
  std::set<std::string> seen = {""};
  for (const std::string& prefix : prefixes) {
    if (!seen.insert(prefix).second || !Exists(files, prefix)) continue;
    ASSIGN_OR_RETURN(const int64_t step, StepOf(BaseName(prefix)));
    out.push_back({.prefix = prefix, .step = step});
  }
  return out;
}

RetentionDecision Retain(const CheckpointList& list, const std::string& prefix, double now,
                         const std::vector<std::string>& exempt, const RetentionRules& rules) {
  std::set<std::string_view> exempt_names;
  for (const std::string& path : exempt) exempt_names.insert(BaseName(path));
  RetentionDecision out;
  out.kept.newest = prefix;
  out.kept.last_preserved = list.last_preserved;
  size_t counted = 0;
  const auto keep = [&](const std::string& path, double time) {
    out.kept.all.push_back(path);
    out.kept.timestamps.push_back(time);
    counted += exempt_names.contains(BaseName(path)) ? 0 : 1;
  };
  for (size_t i = 0; i < list.all.size(); ++i) {
    const double time = i < list.timestamps.size() ? list.timestamps[i] : 0;
    if (list.all[i] != prefix) keep(list.all[i], time);
  }
  keep(prefix, now);
  // The first checkpoint of all starts the clock of those that are preserved.
  if (out.kept.last_preserved == 0) out.kept.last_preserved = out.kept.timestamps.front();
  for (size_t i = 0; counted > std::max<size_t>(rules.keep, 1) && i < out.kept.all.size();) {
    if (exempt_names.contains(BaseName(out.kept.all[i]))) {
      ++i;
      continue;
    }
    const double time = out.kept.timestamps[i];
    const bool preserve = time >= out.kept.last_preserved + rules.keep_one_every;
    if (preserve) out.kept.last_preserved = time;
    (preserve ? out.preserved : out.remove).push_back(out.kept.all[i]);
    out.kept.all.erase(out.kept.all.begin() + static_cast<ptrdiff_t>(i));
    out.kept.timestamps.erase(out.kept.timestamps.begin() + static_cast<ptrdiff_t>(i));
    --counted;
  }
  return out;
}

Status RemoveCheckpoint(FileSystem& files, const std::string& prefix) {
  const size_t slash = prefix.rfind('/');
  const std::string directory = slash == std::string::npos ? "." : prefix.substr(0, slash);
  const std::string start = StrCat(BaseName(prefix), ".");
  const Result<std::vector<FileInfo>> listing = files.List(directory);
  if (!listing.ok() && listing.status().code() == Code::kNotFound) return OkStatus();
  RETURN_IF_ERROR(listing);
  for (const FileInfo& file : *listing) {
    if (!file.name.starts_with(start)) continue;
    const std::string path = JoinPath(directory, file.name);
    RETURN_IF_ERROR(file.is_directory ? files.RemoveTree(path) : files.Remove(path));
  }
  return OkStatus();
}

ExportDecision RetainExports(const ExportList& exports, const std::set<int64_t>& checkpoint_steps) {
  ExportDecision out;
  for (const ExportList::Export& one : exports.exports) {
    if (checkpoint_steps.contains(one.step)) {
      out.kept.exports.push_back(one);
    } else {
      out.remove.push_back(one.directory);
    }
  }
  return out;
}

}  // namespace megalith::embedding

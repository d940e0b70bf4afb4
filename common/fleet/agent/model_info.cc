#include "common/fleet/agent/model_info.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::agent {
namespace {

constexpr uint64_t kMaxTextBytes = 16 << 20;
constexpr int kMaxDepth = 32;
constexpr int kMaxFiles = 1'000'000;

std::string LastPart(std::string_view path) {
  while (path.ends_with('/')) path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

// Values of `name` in protobuf's text form, in order: `name: "x"` or `name: 5`.
std::vector<std::string> Values(std::string_view text, std::string_view name) {
  std::vector<std::string> out;
  for (const std::string_view line : Split(text, '\n')) {
    for (size_t at = line.find(name); at != line.npos; at = line.find(name, at + 1)) {
      std::string_view rest = Trim(line.substr(at + name.size()));
      if (!rest.starts_with(':')) continue;
      rest = Trim(rest.substr(1));
      const bool quoted = rest.starts_with('"');
      const size_t end = quoted ? rest.find('"', 1) : rest.find_first_of(" \t}");
      out.emplace_back(quoted ? rest.substr(1, end == rest.npos ? end : end - 1)
                              : rest.substr(0, end));
    }
  }
  return out;
}

int64_t StepOf(const std::string& checkpoint) {
  return ParseInt(checkpoint.substr(checkpoint.rfind('-') + 1)).value_or(-1);
}

// k of "…_{k}-NNNNN-of-NNNNN".
std::optional<int64_t> AssetIndex(std::string_view name) {
  const size_t of = name.rfind("-of-");
  if (of == name.npos || !ParseUint(name.substr(of + 4))) return std::nullopt;
  const size_t dash = name.rfind('-', of - 1);
  if (of == 0 || dash == name.npos || !ParseUint(name.substr(dash + 1, of - dash - 1))) {
    return std::nullopt;
  }
  const size_t underscore = name.rfind('_', dash);
  if (underscore == name.npos || underscore == 0) return std::nullopt;
  return ParseInt(name.substr(underscore + 1, dash - underscore - 1));
}

class Sizes {
 public:
  explicit Sizes(FileSystem& files) : files_(files) {}
  Result<int64_t> Of(const std::string& directory, int depth = 0) {
    ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, files_.List(directory));
    count_ += static_cast<int>(std::min<size_t>(entries.size(), kMaxFiles));
    if (count_ > kMaxFiles || depth > kMaxDepth) {
      return ResourceExhausted(
          StrCat("'", directory, "' has more than ", kMaxFiles, " files or too many levels"));
    }
    int64_t out = 0;
    for (const FileInfo& entry : entries) {
      int64_t size = static_cast<int64_t>(std::min<uint64_t>(entry.size, INT64_MAX));
      if (entry.is_directory) {
        ASSIGN_OR_RETURN(size, Of(JoinPath(directory, entry.name), depth + 1));
      }
      if (__builtin_add_overflow(out, size, &out)) out = INT64_MAX;
    }
    return out;
  }

 private:
  FileSystem& files_;
  int count_ = 0;
};

// Versions of one sub-model, and the one of `step` if it is known.
struct Versions {
  std::set<int64_t> all;
  std::optional<int64_t> of_step;
};

Result<Versions> VersionsOf(const std::string& directory, int64_t step, FileSystem& files) {
  Versions out;
  const auto state = files.Read(JoinPath(directory, "ExportSaverListenerState"), kMaxTextBytes);
  if (step >= 0 && state.ok()) {
    const auto directories = Values(*state, "export_dir");
    const auto steps = Values(*state, "global_step");
    for (size_t i = 0; i < std::min(directories.size(), steps.size()); ++i) {
      const auto version = ParseInt(LastPart(directories[i]));
      if (!version) continue;
      out.all.insert(*version);
      if (ParseInt(steps[i]) == step && !out.of_step) out.of_step = version;
    }
    return out;
  }
  ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, files.List(directory));
  for (const FileInfo& entry : entries) {
    const auto version = ParseInt(entry.name);
    if (entry.is_directory && version && *version >= 0) out.all.insert(*version);
  }
  return out;
}

Result<int64_t> CommonVersion(const std::string& exported_models,
                              const std::vector<std::string>& names, int64_t step,
                              FileSystem& files) {
  std::optional<int64_t> of_step;
  std::optional<std::set<int64_t>> common;
  for (const std::string& name : names) {
    ASSIGN_OR_RETURN(const Versions versions,
                     VersionsOf(JoinPath(exported_models, name), step, files));
    if (of_step && versions.of_step && *of_step != *versions.of_step) {
      return FailedPrecondition(StrCat("'", exported_models, "': ", name, " has version ",
                                       *versions.of_step, " of step ", step, ", others have ",
                                       *of_step));
    }
    if (!of_step) of_step = versions.of_step;
    if (!common) {
      common = versions.all;
    } else {
      std::erase_if(*common, [&](int64_t v) { return !versions.all.contains(v); });
    }
  }
  if (of_step) return *of_step;
  if (common && !common->empty()) return *common->rbegin();
  return NotFound(StrCat("'", exported_models, "': no version that every sub-model has"));
}

}  // namespace

Result<std::vector<SubModel>> ExportedSubModels(std::string exported_models, std::string checkpoint,
                                                std::optional<int64_t> version, FileSystem& files) {
  while (exported_models.size() > 1 && exported_models.back() == '/') exported_models.pop_back();
  const size_t slash = exported_models.rfind('/');
  const std::string base = slash == exported_models.npos ? "." : exported_models.substr(0, slash);
  ASSIGN_OR_RETURN(const std::vector<FileInfo> entries, files.List(exported_models));
  std::vector<std::string> names;
  for (const FileInfo& entry : entries) {
    if (entry.is_directory && !entry.name.starts_with('.')) names.push_back(entry.name);
  }
  if (names.empty()) return NotFound(StrCat("'", exported_models, "' has no sub-model"));
  if (checkpoint.empty()) {
    const auto state = files.Read(JoinPath(base, "checkpoint"), kMaxTextBytes);
    // The first line; "all_model_checkpoint_paths" follows.
    const auto paths =
        state.ok() ? Values(*state, "model_checkpoint_path") : std::vector<std::string>();
    if (!paths.empty()) checkpoint = LastPart(paths.front());
  }
  if (!version) {
    ASSIGN_OR_RETURN(version, CommonVersion(exported_models, names,
                                            checkpoint.empty() ? -1 : StepOf(checkpoint), files));
  }
  Sizes sizes(files);
  std::vector<SubModel> out;
  for (const std::string& name : names) {
    SubModel part{.name = name, .bytes = 0, .version_path = ""};
    part.version_path = JoinPath(JoinPath(exported_models, name), StrCat(*version));
    ASSIGN_OR_RETURN(part.bytes, sizes.Of(part.version_path));
    out.push_back(std::move(part));
  }
  const auto assets = files.List(JoinPath(base, StrCat(checkpoint, ".assets")));
  if (checkpoint.empty() || !assets.ok()) return out;
  for (const FileInfo& asset : *assets) {
    const auto index = AssetIndex(asset.name);
    if (!index) continue;
    for (SubModel& part : out) {
      const auto size = static_cast<int64_t>(std::min<uint64_t>(asset.size, INT64_MAX));
      if (part.name != StrCat("ps_", *index)) continue;
      if (__builtin_add_overflow(part.bytes, size, &part.bytes)) part.bytes = INT64_MAX;
    }
  }
  return out;
}

}  // namespace megalith::agent

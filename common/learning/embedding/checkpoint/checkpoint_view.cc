#include "common/learning/embedding/checkpoint/checkpoint_view.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/entry_files.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/retention.h"

namespace megalith::embedding {
namespace {

constexpr std::string_view kAssets = ".assets";

std::vector<uint32_t> AllServers(const CheckpointSource& source) {
  std::vector<uint32_t> out(source.servers);
  for (uint32_t server = 0; server < source.servers; ++server) out[server] = server;
  return out;
}

// The prefix of the checkpoint that `path` names.
Result<std::string> PrefixOf(FileSystem& files, std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  if (path.ends_with(kAssets)) return path.substr(0, path.size() - kAssets.size());
  if (files.Stat(AssetDirectory(path)).ok()) return path;
  const Result<FileInfo> info = files.Stat(path);
  if (!info.ok()) return NotFound(StrCat("there is no checkpoint or directory '", path, "'"));
  ASSIGN_OR_RETURN(const auto choices, ChooseCheckpoints(files, path));
  if (choices.empty()) return NotFound(StrCat("'", path, "' has no checkpoint"));
  return choices[0].prefix;
}

}  // namespace

Result<CheckpointView> CheckpointView::Open(FileSystem& files, const std::string& path) {
  CheckpointView out(files);
  ASSIGN_OR_RETURN(out.prefix_, PrefixOf(files, path));
  ASSIGN_OR_RETURN(out.source_, OpenCheckpoint(files, AssetDirectory(out.prefix_)));
  const Result<int64_t> step = StepOf(out.prefix_);
  if (step.ok()) out.step_ = *step;
  ASSIGN_OR_RETURN(out.deltas_, FindDeltas(
                                    files, out.prefix_, out.source_, AllServers(out.source_),
                                    [](const std::string&) { return false; }, &out.notes_));
  if (!out.deltas_.empty()) out.step_ = out.deltas_.back().step;
  return out;
}

std::vector<std::string> CheckpointView::Tables() const {
  std::set<std::string> names;
  for (const auto& [name, table] : source_.tables) names.insert(name);
  for (const FoundDelta& delta : deltas_) {
    for (const auto& [server, part] : delta.manifests)
      for (const auto& [name, table] : part.manifest.tables) names.insert(name);
  }
  return {names.begin(), names.end()};
}

Status CheckpointView::CheckTable(const std::string& table) const {
  const std::vector<std::string> names = Tables();
  if (std::find(names.begin(), names.end(), table) != names.end()) return OkStatus();
  return NotFound(
      StrCat("'", prefix_, "' has no table '", Printable(table), "'; it has ", Join(names, ", ")));
}

Status CheckpointView::ScanDeltas(
    const std::string& table, const std::vector<uint32_t>& servers,
    const std::function<Status(size_t delta, const DeltaRecord& record)>& take) {
  for (size_t i = 0; i < deltas_.size(); ++i) {
    for (const uint32_t server : servers) {
      const std::string name = DeltaName(deltas_[i].manifests.at(server).manifest.server);
      ASSIGN_OR_RETURN(const auto reader,
                       DeltaReader::Open(*files_, JoinPath(deltas_[i].directory, name)));
      bool here = false;
      while (true) {
        ASSIGN_OR_RETURN(const std::optional<DeltaRecord> record, reader->Next());
        if (!record) break;
        if (record->table) here = *record->table == table;
        if (here) RETURN_IF_ERROR(take(i, *record).Annotate(reader->Where()));
      }
    }
  }
  return OkStatus();
}

Status CheckpointView::ScanShard(const SourceShard& shard, const std::string& table,
                                 const Take& take) {
  ASSIGN_OR_RETURN(const auto reader, EntryShardReader::Open(*files_, source_.directory, shard.base,
                                                             shard.shard, shard.layout));
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<std::string_view> name, reader->NextTable());
    if (!name) return OkStatus();
    if (shard.layout == TableLayout::kNative && *name != table) continue;
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, reader->NextRow());
      if (!entry) break;
      ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*entry).Annotate(reader->Where()));
      RETURN_IF_ERROR(take(fid, *entry).Annotate(reader->Where()));
    }
  }
}

Status CheckpointView::Scan(const std::string& table, const std::vector<uint32_t>& servers,
                            const Take& take) {
  RETURN_IF_ERROR(CheckTable(table));
  // Which delta has the last word on a fid.
  std::unordered_map<Fid, size_t> newest;
  RETURN_IF_ERROR(
      ScanDeltas(table, servers, [&](size_t delta, const DeltaRecord& record) -> Status {
        if (record.entry) {
          ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*record.entry));
          newest[fid] = delta;
        }
        for (const Fid fid : record.erased) newest[fid] = delta;
        return OkStatus();
      }));
  if (source_.tables.contains(table)) {
    ASSIGN_OR_RETURN(const std::vector<SourceShard> shards,
                     FindSourceShards(*files_, source_, {table}, servers));
    for (const SourceShard& shard : shards) {
      RETURN_IF_ERROR(ScanShard(shard, table, [&](Fid fid, std::string_view entry) {
        return newest.contains(fid) ? OkStatus() : take(fid, entry);
      }));
    }
  }
  return ScanDeltas(table, servers, [&](size_t delta, const DeltaRecord& record) -> Status {
    if (!record.entry) return OkStatus();
    ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*record.entry));
    return newest.at(fid) == delta ? take(fid, *record.entry) : OkStatus();
  });
}

Status CheckpointView::Scan(const std::string& table, const Take& take) {
  return Scan(table, AllServers(source_), take);
}

Result<std::optional<std::string>> CheckpointView::Find(const std::string& table, Fid fid) {
  std::optional<std::string> found;
  const auto server = static_cast<uint32_t>(ShardOf(fid, static_cast<int>(source_.servers)));
  RETURN_IF_ERROR(Scan(table, {server}, [&](Fid other, std::string_view entry) {
    if (other == fid) found = std::string(entry);
    return OkStatus();
  }));
  return found;
}

Result<uint64_t> CheckpointView::Verify() {
  uint64_t count = 0;
  for (const auto& [server, part] : source_.manifests) {
    for (const auto& [name, digest] : part.manifest.files) {
      RETURN_IF_ERROR(VerifyFile(*files_, source_.directory, name, digest));
      ++count;
    }
  }
  // Those of deltas were checked when they were found.
  for (const FoundDelta& delta : deltas_) {
    for (const auto& [server, part] : delta.manifests) count += part.manifest.files.size();
  }
  if (source_.ours) return count;
  for (const auto& [name, table] : source_.tables) {
    ASSIGN_OR_RETURN(const std::vector<SourceShard> shards,
                     FindSourceShards(*files_, source_, {name}, AllServers(source_)));
    for (const SourceShard& shard : shards) {
      RETURN_IF_ERROR(ScanShard(shard, name, [](Fid, std::string_view) { return OkStatus(); }));
      ++count;
    }
  }
  return count;
}

}  // namespace megalith::embedding

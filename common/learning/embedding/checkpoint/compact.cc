#include "common/learning/embedding/checkpoint/compact.h"

#include <map>
#include <memory>
#include <unordered_map>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/part_writer.h"
#include "common/learning/embedding/checkpoint/publish.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"

namespace megalith::embedding {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

// One server's part.
class PartCompaction {
 public:
  PartCompaction(const CompactOptions& options, const CheckpointSource& base,
                 const std::vector<FoundDelta>& deltas, uint32_t server, PartWriter& part)
      : options_(options),
        files_(*options.files),
        base_(base),
        deltas_(deltas),
        server_(server),
        part_(part),
        rng_(EntropySeed()) {
    manifest_ = deltas.back().manifests.at(server).manifest;
    const Manifest& old = base.manifests.at(server).manifest;
    for (auto& [name, table] : manifest_.tables) {
      const auto before = old.tables.find(name);
      table.rows = 0;
      if (before != old.tables.end()) {
        table.base = before->second.base;
      } else {
        table.base = manifest_.layout == TableLayout::kNative
                         ? NativeTableBase(manifest_.server)
                         : StrCat(SingleTableBase(name),
                                  manifest_.server ? StrCat("_", *manifest_.server) : "");
      }
    }
    manifest_.delta.reset();
    manifest_.files.clear();
    manifest_.rows_of_slot.clear();
  }

  Status Run() {
    std::vector<std::string> bases = {HashFilterBase(manifest_.server.value_or(0))};
    for (const auto& [name, table] : manifest_.tables) bases.push_back(table.base);
    RETURN_IF_ERROR(part_.Begin(bases));
    RETURN_IF_ERROR(IndexDeltas());
    if (manifest_.layout == TableLayout::kNative) {
      std::vector<std::string> all;
      for (const auto& [name, table] : manifest_.tables) all.push_back(name);
      if (!all.empty()) RETURN_IF_ERROR(WriteFiles(manifest_.tables.at(all[0]).base, all));
    } else {
      for (const auto& [name, table] : manifest_.tables)
        RETURN_IF_ERROR(WriteFiles(table.base, {name}));
    }
    RETURN_IF_ERROR(CopyFilter());
    const FoundDelta& last = deltas_.back();
    ASSIGN_OR_RETURN(
        const Attachments attachments,
        ReadAttachments(files_, JoinPath(last.directory, AttachmentName(manifest_.server))));
    return part_.Finish(std::move(manifest_), attachments, options_.sidecar, rng_).status();
  }

  uint64_t rows = 0;

 private:
  struct Newest {
    uint32_t delta = 0;
    bool gone = false;
  };

  Result<std::unique_ptr<DeltaReader>> OpenDelta(const FoundDelta& delta) {
    return DeltaReader::Open(files_, JoinPath(delta.directory, DeltaName(manifest_.server)));
  }

  // Which delta has the last word on each fid.
  Status IndexDeltas() {
    for (uint32_t i = 0; i < deltas_.size(); ++i) {
      ASSIGN_OR_RETURN(const auto reader, OpenDelta(deltas_[i]));
      std::unordered_map<Fid, Newest>* table = nullptr;
      while (true) {
        ASSIGN_OR_RETURN(const std::optional<DeltaRecord> record, reader->Next());
        if (!record) break;
        if (record->table) table = &newest_[std::string(*record->table)];
        if (record->entry) {
          ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*record->entry).Annotate(reader->Where()));
          (*table)[fid] = {.delta = i, .gone = false};
        }
        for (const Fid fid : record->erased) (*table)[fid] = {.delta = i, .gone = true};
      }
    }
    return OkStatus();
  }

  // The base's readers of the files of `base`, one for each new shard; none for a new table.
  Status WriteFiles(const std::string& base, const std::vector<std::string>& tables) {
    std::vector<std::unique_ptr<EntryShardReader>> readers;
    std::vector<std::unique_ptr<EntryShardWriter>> writers;
    uint32_t shards = 1;
    const auto paths = FindShards(files_, base_.directory, base);
    if (paths.ok()) shards = static_cast<uint32_t>(paths->size());
    for (uint32_t shard = 0; shard < shards; ++shard) {
      if (paths.ok()) {
        ASSIGN_OR_RETURN(readers.emplace_back(),
                         EntryShardReader::Open(files_, base_.directory, base, {shard, shards},
                                                manifest_.layout));
      }
      ASSIGN_OR_RETURN(writers.emplace_back(),
                       EntryShardWriter::Create(part_.files(), part_.directory(), base,
                                                {shard, shards}, manifest_.layout, rng_));
    }
    std::vector<std::optional<std::string>> at(readers.size());
    for (size_t i = 0; i < readers.size(); ++i) RETURN_IF_ERROR(Advance(*readers[i], &at[i]));
    for (const std::string& table : tables) {
      for (size_t i = 0; i < writers.size(); ++i) {
        if (manifest_.layout == TableLayout::kNative)
          RETURN_IF_ERROR(writers[i]->BeginTable(table));
        // Tables of the base that are no more are passed over.
        while (i < at.size() && at[i] && manifest_.layout == TableLayout::kNative && *at[i] < table)
          RETURN_IF_ERROR(Advance(*readers[i], &at[i]));
        const bool here =
            i < at.size() && at[i] && (manifest_.layout == TableLayout::kSingle || *at[i] == table);
        if (here) RETURN_IF_ERROR(KeepRows(*readers[i], table, *writers[i]));
      }
      RETURN_IF_ERROR(AddChanged(table, writers));
    }
    for (const auto& writer : writers) RETURN_IF_ERROR(writer->Publish());
    return OkStatus();
  }

  static Status Advance(EntryShardReader& reader, std::optional<std::string>* at) {
    ASSIGN_OR_RETURN(const std::optional<std::string_view> name, reader.NextTable());
    *at = name ? std::optional<std::string>(std::string(*name)) : std::nullopt;
    return OkStatus();
  }

  // Rows of the base that no delta speaks of.
  Status KeepRows(EntryShardReader& reader, const std::string& table, EntryShardWriter& writer) {
    const std::unordered_map<Fid, Newest>& newest = newest_[table];
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, reader.NextRow());
      if (!entry) return OkStatus();
      ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*entry).Annotate(reader.Where()));
      if (newest.contains(fid)) continue;
      RETURN_IF_ERROR(Write(table, fid, *entry, writer));
    }
  }

  Status AddChanged(const std::string& table,
                    const std::vector<std::unique_ptr<EntryShardWriter>>& writers) {
    const std::unordered_map<Fid, Newest>& newest = newest_[table];
    if (newest.empty()) return OkStatus();
    uint64_t turn = 0;
    for (uint32_t i = 0; i < deltas_.size(); ++i) {
      ASSIGN_OR_RETURN(const auto reader, OpenDelta(deltas_[i]));
      bool here = false;
      while (true) {
        ASSIGN_OR_RETURN(const std::optional<DeltaRecord> record, reader->Next());
        if (!record) break;
        if (record->table) here = *record->table == table;
        if (!here || !record->entry) continue;
        ASSIGN_OR_RETURN(const Fid fid, FidOfEntry(*record->entry).Annotate(reader->Where()));
        const Newest& last = newest.at(fid);
        if (last.delta != i || last.gone) continue;
        RETURN_IF_ERROR(Write(table, fid, *record->entry, *writers[turn++ % writers.size()]));
      }
    }
    return OkStatus();
  }

  Status Write(const std::string& table, Fid fid, std::string_view entry,
               EntryShardWriter& writer) {
    if (++rows % 1024 == 0 && options_.cancellation != nullptr)
      RETURN_IF_ERROR(options_.cancellation->Check());
    ++manifest_.tables.at(table).rows;
    ++manifest_.rows_of_slot[SlotV2(fid)];
    return writer.Write(entry);
  }

  Status CopyFilter() {
    const std::string base = HashFilterBase(manifest_.server.value_or(0));
    // The newest that was saved: each delta has the whole filter, if there is one.
    const Manifest* source = &base_.manifests.at(server_).manifest;
    std::string directory = base_.directory;
    for (const FoundDelta& delta : deltas_) {
      const Manifest& manifest = delta.manifests.at(server_).manifest;
      if (!manifest.files.contains(StrCat(base, ".hash"))) continue;
      source = &manifest;
      directory = delta.directory;
    }
    for (const auto& [name, digest] : source->files) {
      if (!name.starts_with(StrCat(base, "-")) && name != StrCat(base, ".hash")) continue;
      ASSIGN_OR_RETURN(const auto from, files_.OpenRead(JoinPath(directory, name)));
      ASSIGN_OR_RETURN(const auto to,
                       StagedFile::Create(part_.files(), JoinPath(part_.directory(), name), rng_));
      std::vector<char> buffer(kCopyBytes);
      while (true) {
        ASSIGN_OR_RETURN(const size_t n, from->Read(buffer));
        RETURN_IF_ERROR(to->Append({buffer.data(), n}));
        if (n < buffer.size()) break;
      }
      RETURN_IF_ERROR(to->Publish());
    }
    return OkStatus();
  }

  const CompactOptions& options_;
  FileSystem& files_;
  const CheckpointSource& base_;
  const std::vector<FoundDelta>& deltas_;
  const uint32_t server_;
  PartWriter& part_;
  Rng rng_;
  Manifest manifest_;
  std::map<std::string, std::unordered_map<Fid, Newest>> newest_;
};

Result<std::string> BaseOf(const CompactOptions& options) {
  if (!options.base.empty()) return options.base;
  ASSIGN_OR_RETURN(const auto choices, ChooseCheckpoints(*options.files, options.directory));
  if (choices.empty()) return NotFound(StrCat("'", options.directory, "' has no checkpoint"));
  return choices[0].prefix;
}

Status VerifyBase(FileSystem& files, const CheckpointSource& base) {
  if (!base.ours) {
    return FailedPrecondition(
        StrCat("'", base.directory, "' was written by Monolith and has no deltas"));
  }
  for (const auto& [server, part] : base.manifests) {
    for (const auto& [name, digest] : part.manifest.files)
      RETURN_IF_ERROR(VerifyFile(files, base.directory, name, digest));
  }
  return OkStatus();
}

}  // namespace

Result<CompactReport> CompactCheckpoint(const CompactOptions& options) {
  FileSystem& files = *options.files;
  ASSIGN_OR_RETURN(const std::string prefix, BaseOf(options));
  ASSIGN_OR_RETURN(const CheckpointSource base, OpenCheckpoint(files, AssetDirectory(prefix)));
  RETURN_IF_ERROR(VerifyBase(files, base));
  std::vector<uint32_t> servers;
  for (const auto& [server, part] : base.manifests) servers.push_back(server);
  CompactReport report;
  ASSIGN_OR_RETURN(
      const std::vector<FoundDelta> deltas,
      FindDeltas(
          files, prefix, base, servers, [](const std::string&) { return false; }, &report.notes));
  if (deltas.empty()) return report;
  report.deltas = static_cast<uint32_t>(deltas.size());
  report.prefix = CheckpointPrefix(options.directory, deltas.back().step);
  std::vector<std::unique_ptr<PartWriter>> parts;
  for (const uint32_t server : servers) {
    PartWriter& part = *parts.emplace_back(std::make_unique<PartWriter>(
        files, AssetDirectory(report.prefix), base.manifests.at(server).manifest.server));
    PartCompaction compaction(options, base, deltas, server, part);
    RETURN_IF_ERROR(compaction.Run().Annotate(StrCat("compacting '", prefix, "'")));
    report.rows += compaction.rows;
  }
  for (const auto& part : parts) part->Keep();
  RETURN_IF_ERROR(PublishCheckpoint(files, *options.clock, options.directory, deltas.back().step,
                                    options.retention));
  return report;
}

}  // namespace megalith::embedding

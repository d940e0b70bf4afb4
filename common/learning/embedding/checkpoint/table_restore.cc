#include <algorithm>
#include <mutex>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/durability/bundle.h"
#include "common/learning/embedding/checkpoint/checkpoint_source.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/parallel_tasks.h"
#include "common/learning/embedding/checkpoint/row_loader.h"
#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/filters/filter_files.h"

namespace megalith::embedding {
namespace {

// Writes damaged files as they were, where there are sidecars. False: nothing was repaired.
bool Repair(FileSystem& files, const std::string& directory, std::vector<std::string>* notes) {
  const Result<std::vector<FileInfo>> listing = files.List(directory);
  if (!listing.ok()) return false;
  bool repaired = false;
  for (const FileInfo& file : *listing) {
    if (!file.name.starts_with(SidecarName(std::nullopt)) ||
        file.name.find(".tmp.") != std::string::npos)
      continue;
    const Result<std::string> sidecar = files.Read(JoinPath(directory, file.name));
    if (!sidecar.ok()) continue;
    const auto report = durability::RepairBundle(files, directory, *sidecar);
    if (!report.ok()) {
      notes->push_back(StrCat("'", directory, "' cannot be repaired from '", file.name,
                              "': ", report.status().message()));
      continue;
    }
    if (report->damaged.empty()) continue;
    repaired = true;
    notes->push_back(StrCat("'", directory, "': repaired ", Join(report->damaged, ", "), " from '",
                            file.name, "'"));
  }
  return repaired;
}

// One try to restore one checkpoint. Nothing of the set has changed when it fails.
class Attempt {
 public:
  Attempt(TableSet& set, const RestoreOptions& options, const CheckpointChoice& choice)
      : set_(set),
        options_(options),
        files_(*options.files),
        slots_(options.slots.begin(), options.slots.end()) {
    report_.prefix = choice.prefix;
    report_.base_step = choice.step;
    report_.step = choice.step;
  }

  Result<RestoreReport> Run() {
    ASSIGN_OR_RETURN(source_, OpenCheckpoint(files_, AssetDirectory(report_.prefix)));
    report_.servers = source_.servers;
    resharded_ = source_.servers != options_.placement.servers;
    servers_ = ServersToRead(source_.servers, options_.placement.server.value_or(0),
                             options_.placement.servers);
    RETURN_IF_ERROR(FindChain());
    RETURN_IF_ERROR(MatchTables());
    RETURN_IF_ERROR(Verify());
    RETURN_IF_ERROR(MakeTables());
    RETURN_IF_ERROR(LoadBase());
    for (const FoundDelta& delta : deltas_) RETURN_IF_ERROR(LoadDelta(delta));
    RETURN_IF_ERROR(ReadAllAttachments());
    DropExpired();
    RETURN_IF_ERROR(ReadTheFilter());
    report_.found = true;
    if (options_.before_change) RETURN_IF_ERROR(options_.before_change(report_));
    RETURN_IF_ERROR(Swap());
    return std::move(report_);
  }

 private:
  // A table that is restored.
  struct Target {
    std::string name;             // in the set
    std::string in_file;          // in the checkpoint
    std::shared_ptr<Table> live;  // null: it is made
    std::shared_ptr<Table> aside;
    TableConfig config;
  };

  bool WantsName(const std::string& name) const {
    return options_.tables.empty() ||
           std::find(options_.tables.begin(), options_.tables.end(), name) != options_.tables.end();
  }

  std::vector<std::string> OtherNames(const std::string& name) const {
    const auto found = options_.other_names.find(name);
    return found == options_.other_names.end() ? std::vector<std::string>() : found->second;
  }

  // Finds the deltas that are whole, and the tables that came with them.
  Status FindChain() {
    if (!options_.deltas) return OkStatus();
    const auto mend = [&](const std::string& directory) {
      return options_.repair && Repair(files_, directory, &report_.notes);
    };
    ASSIGN_OR_RETURN(deltas_,
                     FindDeltas(files_, report_.prefix, source_, servers_, mend, &report_.notes));
    if (options_.until) RETURN_IF_ERROR(CutChain(*options_.until));
    report_.deltas = static_cast<uint32_t>(deltas_.size());
    for (const FoundDelta& delta : deltas_) {
      report_.step = delta.step;
      for (const auto& [server, part] : delta.manifests) {
        for (const auto& [name, table] : part.manifest.tables) {
          SourceTable& known = source_.tables[name];
          known.layout = part.manifest.layout;
          known.config = table.config;
          known.max_update_time = std::max(known.max_update_time, table.max_update_time);
        }
      }
    }
    return OkStatus();
  }

  Status CutChain(int64_t until) {
    if (until == report_.base_step) {
      deltas_.clear();
      return OkStatus();
    }
    const auto last = std::find_if(deltas_.begin(), deltas_.end(),
                                   [&](const FoundDelta& delta) { return delta.step == until; });
    if (last == deltas_.end())
      return DataLoss(StrCat("'", source_.directory, "' has no whole delta of step ", until));
    deltas_.erase(last + 1, deltas_.end());
    return OkStatus();
  }

  // Finds out which table of the files becomes which of the set.
  Status MatchTables() {
    std::set<std::string> used;
    for (const auto& [name, table] : set_.Tables()) {
      if (!WantsName(name)) continue;
      const auto in_file = FindTable(source_, name, OtherNames(name));
      if (!in_file) {
        report_.missing.push_back(name);
        continue;
      }
      used.insert(*in_file);
      targets_.push_back({.name = name,
                          .in_file = *in_file,
                          .live = table,
                          .aside = nullptr,
                          .config = table->config()});
    }
    for (const auto& [name, table] : source_.tables) {
      if (used.contains(name)) continue;
      if (options_.create_missing && table.config && WantsName(name)) {
        targets_.push_back({.name = name,
                            .in_file = name,
                            .live = nullptr,
                            .aside = nullptr,
                            .config = *table.config});
      } else {
        report_.unknown.push_back(name);
      }
    }
    for (const std::string& name : options_.tables) {
      const bool found = std::any_of(targets_.begin(), targets_.end(),
                                     [&](const Target& t) { return t.name == name; });
      if (!found)
        return NotFound(StrCat("'", source_.directory, "' has no table '", Printable(name),
                               "'; it has ", Join(Names(), ", ")));
    }
    for (const Target& target : targets_) {
      RETURN_IF_ERROR(CheckShape(target));
      report_.tables.push_back(target.name);
    }
    return OkStatus();
  }

  std::vector<std::string> Names() const {
    std::vector<std::string> out;
    for (const auto& [name, table] : source_.tables) out.push_back(name);
    return out;
  }

  // Dims that differ are told before anything is read, where the files say what they hold.
  Status CheckShape(const Target& target) const {
    const SourceTable& table = source_.tables.at(target.in_file);
    if (!table.config) return OkStatus();
    const auto& ours = target.config.segments;
    const auto& theirs = table.config->segments;
    for (size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
      const int64_t wanted = i < ours.size() ? ours[i].dim : 0;
      const int64_t found = i < theirs.size() ? theirs[i].dim : 0;
      if (wanted == found) continue;
      return FailedPrecondition(StrCat("'", source_.directory, "': table '", target.name,
                                       "' segment ", i, " has ", found,
                                       " dims in the checkpoint, the server's has ", wanted));
    }
    return OkStatus();
  }

  Status Verify() {
    struct Check {
      std::string name;
      const FileDigest* digest;
    };
    std::vector<Check> checks;
    for (const uint32_t server : servers_) {
      const auto part = source_.manifests.find(server);
      if (part == source_.manifests.end()) continue;
      for (const auto& [name, digest] : part->second.manifest.files)
        checks.push_back({name, &digest});
    }
    return RunTasks(checks.size(), options_.threads, [&](size_t i) -> Status {
      if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
      return VerifyFile(files_, source_.directory, checks[i].name, *checks[i].digest);
    });
  }

  Status MakeTables() {
    for (Target& target : targets_) {
      ASSIGN_OR_RETURN(target.aside, set_.MakeAside(target.name, target.config));
      by_file_name_[target.in_file].push_back(&target);
    }
    return OkStatus();
  }

  Status LoadBase() {
    std::vector<std::string> names;
    for (const auto& [name, targets] : by_file_name_) names.push_back(name);
    ASSIGN_OR_RETURN(const std::vector<SourceShard> shards,
                     FindSourceShards(files_, source_, names, servers_));
    RETURN_IF_ERROR(
        RunTasks(shards.size(), options_.threads, [&](size_t i) { return LoadShard(shards[i]); }));
    for (const Target& target : targets_)
      target.aside->RaiseMaxUpdateTime(source_.tables.at(target.in_file).max_update_time);
    return OkStatus();
  }

  Status LoadShard(const SourceShard& shard) {
    auto opened =
        EntryShardReader::Open(files_, source_.directory, shard.base, shard.shard, shard.layout);
    if (!opened.ok()) {
      return opened.status().code() == Code::kNotFound ? DataLoss(opened.status().message())
                                                       : opened.status();
    }
    EntryShardReader& reader = **opened;
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string_view> name, reader.NextTable());
      if (!name) return OkStatus();
      const auto found = by_file_name_.find(
          shard.layout == TableLayout::kSingle ? shard.table : std::string(*name));
      if (found != by_file_name_.end()) RETURN_IF_ERROR(LoadTable(reader, found->second));
    }
  }

  // The rows of the table that the reader stands at.
  Status LoadTable(EntryShardReader& reader, const std::vector<Target*>& targets) {
    std::vector<RowLoader> loaders;
    for (Target* target : targets)
      loaders.emplace_back(*target->aside, target->name, options_, slots_, resharded_);
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<std::string_view> entry, reader.NextRow());
      if (!entry) break;
      for (RowLoader& loader : loaders)
        RETURN_IF_ERROR(loader.Add(*entry, [&] { return reader.Where(); }));
    }
    for (RowLoader& loader : loaders) {
      RETURN_IF_ERROR(loader.Flush());
      Count(loader);
    }
    return OkStatus();
  }

  Status LoadDelta(const FoundDelta& delta) {
    return RunTasks(servers_.size(), options_.threads, [&](size_t i) -> Status {
      const Manifest& manifest = delta.manifests.at(servers_[i]).manifest;
      ASSIGN_OR_RETURN(
          const auto reader,
          DeltaReader::Open(files_, JoinPath(delta.directory, DeltaName(manifest.server))));
      return LoadChanges(*reader);
    });
  }

  Status LoadChanges(DeltaReader& reader) {
    std::vector<RowLoader> loaders;
    std::vector<Target*> targets;
    while (true) {
      ASSIGN_OR_RETURN(const std::optional<DeltaRecord> record, reader.Next());
      if (!record || record->table) {
        for (RowLoader& loader : loaders) {
          RETURN_IF_ERROR(loader.Flush());
          Count(loader);
        }
        loaders.clear();
        targets.clear();
      }
      if (!record) return OkStatus();
      if (record->table) {
        const auto found = by_file_name_.find(std::string(*record->table));
        if (found == by_file_name_.end()) continue;
        targets = found->second;
        for (Target* target : targets)
          loaders.emplace_back(*target->aside, target->name, options_, slots_, resharded_);
      }
      for (size_t i = 0; i < targets.size(); ++i) {
        if (record->entry)
          RETURN_IF_ERROR(loaders[i].Add(*record->entry, [&] { return reader.Where(); }));
        targets[i]->aside->Erase(record->erased);
      }
    }
  }

  void Count(const RowLoader& loader) {
    const std::lock_guard lock(mu_);
    report_.rows += loader.rows;
    report_.skipped_rows += loader.skipped;
    if (options_.progress) options_.progress(report_.rows);
  }

  Status ReadAllAttachments() {
    const auto& manifests = deltas_.empty() ? source_.manifests : deltas_.back().manifests;
    const std::string& directory = deltas_.empty() ? source_.directory : deltas_.back().directory;
    for (const uint32_t server : servers_) {
      const auto part = manifests.find(server);
      if (part == manifests.end()) continue;
      const std::string path = JoinPath(directory, AttachmentName(part->second.manifest.server));
      ASSIGN_OR_RETURN(report_.attachments[server], ReadAttachments(files_, path));
    }
    return OkStatus();
  }

  void DropExpired() {
    if (!options_.drop_expired) return;
    for (const Target& target : targets_) {
      report_.expired_rows += static_cast<uint64_t>(
          options_.now ? target.aside->Evict(*options_.now) : target.aside->Evict());
    }
  }

  // The newest that was saved: a delta has the whole filter, too.
  std::string FilterDirectory(const std::string& base) const {
    const uint32_t own = options_.placement.server.value_or(0);
    for (auto delta = deltas_.rbegin(); delta != deltas_.rend(); ++delta) {
      const auto part = delta->manifests.find(own);
      if (part != delta->manifests.end() &&
          part->second.manifest.files.contains(StrCat(base, ".hash")))
        return delta->directory;
    }
    const bool of_base =
        std::find(source_.filters.begin(), source_.filters.end(), base) != source_.filters.end();
    return of_base ? source_.directory : "";
  }

  Status ReadTheFilter() {
    if (!options_.filter || set_.filter().split_files() == 0) return OkStatus();
    const std::string base = HashFilterBase(options_.placement.server.value_or(0));
    const std::string directory = FilterDirectory(base);
    if (directory.empty()) return OkStatus();
    if (resharded_) {
      report_.notes.push_back(StrCat("the hash filter is left out: it was saved by one of ",
                                     source_.servers,
                                     " servers, and its cells do not say whose they are"));
      return OkStatus();
    }
    auto loaded = LoadFilter(files_, directory, base, set_.filter());
    if (!loaded.ok()) {
      if (loaded.status().code() != Code::kFailedPrecondition) return loaded.status();
      report_.notes.push_back(StrCat("the hash filter is left out: ", loaded.status().message()));
      return OkStatus();
    }
    report_.filter = loaded->report.restored;
    if (!report_.filter)
      report_.notes.push_back(StrCat("the hash filter is left out: ", loaded->report.reason));
    swap_filter_ = std::move(loaded->swap);
    return OkStatus();
  }

  Status Swap() {
    std::map<std::string, std::shared_ptr<Table>> fresh;
    for (const Target& target : targets_) {
      if (options_.mode == RestoreMode::kMerge && target.live != nullptr) {
        RETURN_IF_ERROR(Merge(target));
      } else {
        fresh[target.name] = target.aside;
      }
    }
    // Writers ask the filter behind the gate only.
    set_.Replace(std::move(fresh), [&] {
      if (swap_filter_) swap_filter_();
      if (options_.at_moment) options_.at_moment();
    });
    return OkStatus();
  }

  Status Merge(const Target& target) {
    {
      const WriteGate::Exclusive gate(set_.gate());
      RETURN_IF_ERROR(target.aside->BeginSnapshot());
    }
    const size_t bytes = target.live->layout().payload_bytes();
    target.live->RaiseMaxUpdateTime(target.aside->max_update_time());
    return target.aside->ReadSnapshot([&](std::span<const Table::RowView> rows) -> Status {
      std::vector<Fid> fids;
      std::vector<uint32_t> timestamps;
      std::vector<std::byte> payloads;
      for (const Table::RowView& row : rows) {
        fids.push_back(row.fid);
        timestamps.push_back(row.timestamp);
        payloads.insert(payloads.end(), row.payload, row.payload + bytes);
      }
      return target.live->Load(fids, timestamps, payloads)
          .Annotate(StrCat("merging into table '", target.name, "'"));
    });
  }

  TableSet& set_;
  const RestoreOptions& options_;
  FileSystem& files_;
  const std::set<uint32_t> slots_;
  CheckpointSource source_;
  std::vector<FoundDelta> deltas_;
  bool resharded_ = false;
  std::vector<uint32_t> servers_;
  std::vector<Target> targets_;
  std::map<std::string, std::vector<Target*>> by_file_name_;
  std::function<void()> swap_filter_;
  std::mutex mu_;
  RestoreReport report_;  // counts are guarded by mu_ while rows are loaded
};

Status CheckOptions(const RestoreOptions& options) {
  RETURN_IF_ERROR(CheckPlacement(options.placement));
  for (const uint32_t slot : options.slots) {
    if (slot >= static_cast<uint32_t>(kSlotsV2))
      return InvalidArgument(StrCat("slots are 0 to ", kSlotsV2 - 1, ", got ", slot));
  }
  return OkStatus();
}

Result<std::vector<CheckpointChoice>> Candidates(const RestoreOptions& options) {
  if (!options.prefix.empty()) {
    if (!options.files->Stat(AssetDirectory(options.prefix)).ok())
      return NotFound(StrCat("there is no checkpoint '", options.prefix, "'"));
    CheckpointChoice choice{.prefix = options.prefix};
    const Result<int64_t> step = StepOf(options.prefix);
    if (step.ok()) choice.step = *step;
    return std::vector{choice};
  }
  ASSIGN_OR_RETURN(std::vector<CheckpointChoice> choices,
                   ChooseCheckpoints(*options.files, options.directory));
  if (!choices.empty()) return choices;
  ASSIGN_OR_RETURN(const auto list, ReadCheckpointList(*options.files, options.directory));
  if (list && !list->newest.empty()) {
    return DataLoss(StrCat("'", JoinPath(options.directory, kCheckpointFile), "' names '",
                           list->newest, "', which has no files, and no other that has"));
  }
  return choices;
}

}  // namespace

Result<RestoreReport> RestoreTables(TableSet& set, const RestoreOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  ASSIGN_OR_RETURN(const std::vector<CheckpointChoice> choices, Candidates(options));
  std::vector<std::string> notes;
  std::vector<std::string> errors;
  bool only_unfinished = true;
  for (const CheckpointChoice& choice : choices) {
    Result<RestoreReport> report = Attempt(set, options, choice).Run();
    const auto damaged = [&] { return !report.ok() && report.status().code() == Code::kDataLoss; };
    if (damaged() && options.repair &&
        Repair(*options.files, AssetDirectory(choice.prefix), &notes))
      report = Attempt(set, options, choice).Run();
    if (report.ok()) {
      report->notes.insert(report->notes.begin(), notes.begin(), notes.end());
      return report;
    }
    const bool unfinished = report.status().code() == Code::kAborted;
    if (!damaged() && !unfinished)
      return report.status().Annotate(StrCat("restoring '", choice.prefix, "'"));
    only_unfinished = only_unfinished && unfinished && choice.sparse_only;
    errors.push_back(report.status().message());
    notes.push_back(StrCat("'", choice.prefix, "' was passed over: ", errors.back()));
    if (!options.fall_back) break;
  }
  if (errors.empty() || only_unfinished) {
    RestoreReport nothing;
    nothing.notes = std::move(notes);
    return nothing;
  }
  return DataLoss(StrCat("no checkpoint of '",
                         options.prefix.empty() ? options.directory : options.prefix,
                         "' is whole: ", Join(errors, "; ")));
}

}  // namespace megalith::embedding

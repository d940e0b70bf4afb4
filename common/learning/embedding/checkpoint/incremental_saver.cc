#include "common/learning/embedding/checkpoint/incremental_saver.h"

#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/delta_files.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/manifest.h"
#include "common/learning/embedding/checkpoint/part_writer.h"
#include "common/learning/embedding/checkpoint/save_parts.h"
#include "common/learning/embedding/checkpoint/shard_workers.h"

namespace megalith::embedding {
namespace {

// Writes what changed of one table. A changed fid that the moment has no row of, or an expired one,
// is gone.
class TableDelta {
 public:
  TableDelta(const std::string& name, const FidSet& changed, const SaveOptions& options)
      : name_(name), changed_(changed), options_(options) {}

  Status Write(TableSet::Snapshot& snapshot, DeltaWriter& out) {
    const auto table = snapshot.tables().find(name_);
    if (table == snapshot.tables().end()) return OkStatus();
    RETURN_IF_ERROR(out.BeginTable(name_));
    const int64_t newest = snapshot.max_update_time(name_);
    std::string entry;
    RETURN_IF_ERROR(snapshot.Read(name_, [&](std::span<const Table::RowView> batch) -> Status {
      if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
      for (const Table::RowView& row : batch) {
        if (!changed_.Contains(row.fid)) continue;
        if (options_.leave_out_expired && table->second->Expired(row.fid, row.timestamp, newest))
          continue;
        entry.clear();
        AppendEntry(table->second->layout(), row, entry);
        RETURN_IF_ERROR(out.Write(entry));
        written_.Insert(row.fid);
      }
      return OkStatus();
    }));
    std::vector<Fid> gone;
    changed_.ForEach([&](Fid fid) {
      if (!written_.Contains(fid)) gone.push_back(fid);
    });
    tombstones = gone.size();
    rows = written_.size();
    return out.Erase(gone);
  }

  uint64_t rows = 0;
  uint64_t tombstones = 0;

 private:
  const std::string& name_;
  const FidSet& changed_;
  const SaveOptions& options_;
  FidSet written_;
};

Result<SaveReport> WriteDelta(TableSet& set, PartWriter& part, Moment& moment, Manifest manifest,
                              const std::map<std::string, FidSet>& changes,
                              const SaveOptions& options) {
  SaveReport report;
  report.base_step = manifest.delta->base_step;
  report.step = options.step;
  report.prefix = part.directory();
  report.delta = true;
  Rng rng(EntropySeed());
  ASSIGN_OR_RETURN(report.filter_cells_cut, SaveFilterOfMoment(set, moment, part, rng));
  const std::string name = DeltaName(options.placement.server);
  ASSIGN_OR_RETURN(const auto out,
                   DeltaWriter::Create(part.files(), JoinPath(part.directory(), name), rng));
  for (auto& [table, about] : manifest.tables) about.base = name;
  for (const auto& [table, changed] : changes) {
    TableDelta delta(table, changed, options);
    RETURN_IF_ERROR(delta.Write(*moment.snapshot, *out));
    report.rows += delta.rows;
    report.tombstones += delta.tombstones;
    if (const auto about = manifest.tables.find(table); about != manifest.tables.end())
      about->second.rows = delta.rows;
  }
  RETURN_IF_ERROR(out->Publish());
  ASSIGN_OR_RETURN(report.manifest,
                   part.Finish(std::move(manifest), moment.attachments, options.sidecar, rng));
  report.bytes = part.files().bytes();
  return report;
}

}  // namespace

Result<SaveReport> IncrementalSaver::Save(const SaveOptions& options) {
  const std::lock_guard lock(mu_);
  RETURN_IF_ERROR(CheckStep(options));
  FollowCompaction(options);
  if (!CheckDelta(options).ok()) return Whole(options);
  Result<SaveReport> delta = Delta(options);
  // The changes were not all known: what is sure to hold them is a whole one.
  if (!delta.ok() && delta.status().code() == Code::kOutOfRange) return Whole(options);
  return delta;
}

Result<SaveReport> IncrementalSaver::SaveDelta(const SaveOptions& options) {
  const std::lock_guard lock(mu_);
  RETURN_IF_ERROR(CheckStep(options));
  FollowCompaction(options);
  RETURN_IF_ERROR(CheckDelta(options));
  Result<SaveReport> delta = Delta(options);
  if (!delta.ok() && delta.status().code() == Code::kOutOfRange) {
    return FailedPrecondition(StrCat(delta.status().message(), ": save a whole checkpoint"));
  }
  return delta;
}

Status IncrementalSaver::CheckStep(const SaveOptions& options) const {
  RETURN_IF_ERROR(CheckPlacement(options.placement));
  if (last_ && last_->directory == options.directory && options.step <= last_->step) {
    return InvalidArgument(StrCat("step ", options.step, " does not come after step ", last_->step,
                                  ", which is saved"));
  }
  return OkStatus();
}

Result<SaveReport> IncrementalSaver::SaveWhole(const SaveOptions& options) {
  const std::lock_guard lock(mu_);
  return Whole(options);
}

Status IncrementalSaver::CheckDelta(const SaveOptions& options) const {
  const auto no = [](const auto&... why) {
    return FailedPrecondition(StrCat(why..., ": save a whole checkpoint"));
  };
  if (!last_ || last_->directory != options.directory ||
      last_->placement.server != options.placement.server ||
      last_->placement.servers != options.placement.servers || last_->layout != options.layout) {
    return no("this process has saved no checkpoint yet that a delta could follow");
  }
  if (last_->deltas >= options_.max_deltas) {
    return no("checkpoint ", last_->base_step, " has ", last_->deltas, " deltas, the most it may");
  }
  uint64_t rows = 0;
  for (const auto& [name, table] : set_.Tables()) rows += table->size();
  if (static_cast<double>(changes_.fids()) >
      options_.max_changed_share * static_cast<double>(rows)) {
    return no(changes_.fids(), " of ", rows, " rows changed, above the share of ",
              options_.max_changed_share);
  }
  if (changes_.incomplete()) return no("not all changes since the last save are known");
  const std::string base = CheckpointPrefix(options.directory, last_->base_step);
  const std::string head =
      last_->step == last_->base_step ? AssetDirectory(base) : DeltaDirectory(base, last_->step);
  if (!options.files->Stat(JoinPath(head, ManifestName(options.placement.server))).ok()) {
    return no("'", head, "' is gone");
  }
  return OkStatus();
}

// A compaction may have made a base of the chain that the last save ended.
void IncrementalSaver::FollowCompaction(const SaveOptions& options) {
  if (!last_ || last_->step == last_->base_step || last_->directory != options.directory) return;
  const std::string assets = AssetDirectory(CheckpointPrefix(options.directory, last_->step));
  const auto manifests = ReadManifests(*options.files, assets);
  if (!manifests.ok()) return;
  const auto mine = manifests->find(options.placement.server.value_or(0));
  if (mine == manifests->end() || manifests->size() != options.placement.servers) return;
  last_->base_step = last_->step;
  last_->manifest = mine->second.digest;
  last_->deltas = 0;
}

Result<SaveReport> IncrementalSaver::Whole(const SaveOptions& options) {
  ChangeLog::Changes taken;
  SaveOptions with_changes = options;
  with_changes.capture = [&] {
    taken = changes_.Take();
    return options.capture ? options.capture() : Attachments{};
  };
  Result<SaveReport> report = SaveTables(set_, with_changes);
  if (!report.ok()) {
    changes_.PutBack(std::move(taken));
    return report;
  }
  last_ = Last{.directory = options.directory,
               .placement = options.placement,
               .layout = options.layout,
               .base_step = options.step,
               .step = options.step,
               .deltas = 0,
               .manifest = report->manifest};
  return report;
}

Result<SaveReport> IncrementalSaver::Delta(const SaveOptions& options) {
  const std::string base = CheckpointPrefix(options.directory, last_->base_step);
  PartWriter part(*options.files, DeltaDirectory(base, options.step), options.placement.server);
  RETURN_IF_ERROR(part.Begin(
      {DeltaName(options.placement.server), HashFilterBase(options.placement.server.value_or(0))}));
  ChangeLog::Changes taken;
  ASSIGN_OR_RETURN(Moment moment, TakeMoment(set_, options, [&] { taken = changes_.Take(); }));
  if (!taken.incomplete.empty()) {
    const Status why(Code::kOutOfRange, taken.incomplete);
    changes_.PutBack(std::move(taken));
    return why;
  }
  const std::map<std::string, FidSet> changes = std::move(taken).Merged();
  Manifest manifest = ManifestOf(moment, options);
  manifest.delta = DeltaLink{.base_step = last_->base_step,
                             .previous_step = last_->step,
                             .previous_manifest = last_->manifest};
  Result<SaveReport> report = WriteDelta(set_, part, moment, std::move(manifest), changes, options)
                                  .Annotate(StrCat("saving '", part.directory(), "'"));
  if (!report.ok()) {
    changes_.PutBack({.incomplete = "", .parts = {changes}});
    return report;
  }
  part.Keep();
  // Others may not have saved theirs, or those before: then nobody would restore it.
  const auto heads = FindHeads(*options.files, options.directory, 1);
  report->published = heads.ok() && !heads->empty() &&
                      heads->front().base_step == last_->base_step &&
                      heads->front().step >= options.step;
  last_->step = options.step;
  last_->manifest = report->manifest;
  ++last_->deltas;
  return report;
}

}  // namespace megalith::embedding

#include <algorithm>
#include <thread>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/checkpoint/manifest.h"
#include "common/learning/embedding/checkpoint/part_writer.h"
#include "common/learning/embedding/checkpoint/save_parts.h"
#include "common/learning/embedding/checkpoint/shard_workers.h"
#include "common/learning/embedding/checkpoint/state_files.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "common/learning/embedding/filters/filter_files.h"

namespace megalith::embedding {
namespace {

constexpr uint64_t kBatchesBetweenProgress = 16;

std::string WithServer(std::string stem, const Placement& placement) {
  return placement.server ? StrCat(stem, "_", *placement.server) : stem;
}

Status CheckOptions(const SaveOptions& options) {
  RETURN_IF_ERROR(CheckPlacement(options.placement));
  if (options.step < 0) return InvalidArgument(StrCat("the step is ", options.step));
  if (options.shards && (*options.shards == 0 || *options.shards > kMaxShards)) {
    return InvalidArgument(
        StrCat("the number of shards must be 1 to ", kMaxShards, ", got ", *options.shards));
  }
  return OkStatus();
}

// Base names of the files by table. Errors: kInvalidArgument  two tables have the same.
Result<std::map<std::string, std::string>> BasesOf(const std::vector<std::string>& names,
                                                   const SaveOptions& options) {
  std::map<std::string, std::string> out;
  std::map<std::string, std::string> taken;
  for (const std::string& name : names) {
    std::string& base = out[name];
    if (options.layout == TableLayout::kNative) {
      base = NativeTableBase(options.placement.server);
      continue;
    }
    base = WithServer(SingleTableBase(name), options.placement);
    const auto [other, fresh] = taken.emplace(base, name);
    if (!fresh) {
      return InvalidArgument(StrCat("tables '", other->second, "' and '", name,
                                    "' would both be saved as '", base,
                                    "'; rename one, or save in the native layout"));
    }
  }
  return out;
}

class BaseSaver {
 public:
  BaseSaver(TableSet& set, const SaveOptions& options)
      : set_(set),
        options_(options),
        part_(*options.files, AssetDirectory(CheckpointPrefix(options.directory, options.step)),
              options.placement.server),
        rng_(EntropySeed()) {}

  Result<SaveReport> Run() {
    RETURN_IF_ERROR(CheckNotPublished());
    ASSIGN_OR_RETURN(const auto first_bases, BasesOf(set_.Names(), options_));
    std::vector<std::string> mine = {HashFilterBase(options_.placement.server.value_or(0))};
    for (const auto& [name, base] : first_bases) mine.push_back(base);
    RETURN_IF_ERROR(part_.Begin(mine));
    ASSIGN_OR_RETURN(moment_, TakeMoment(set_, options_));
    for (const auto& [name, table] : moment_.snapshot->tables())
      progress_.rows_total += moment_.snapshot->rows(name);
    report_.base_step = options_.step;
    report_.step = options_.step;
    report_.prefix = CheckpointPrefix(options_.directory, options_.step);
    manifest_ = ManifestOf(moment_, options_);
    ASSIGN_OR_RETURN(report_.filter_cells_cut, SaveFilterOfMoment(set_, moment_, part_, rng_));
    RETURN_IF_ERROR(WriteTables());
    ASSIGN_OR_RETURN(report_.manifest, part_.Finish(std::move(manifest_), moment_.attachments,
                                                    options_.sidecar, rng_));
    report_.bytes = part_.files().bytes();
    return Publish();
  }

 private:
  Status CheckNotPublished() {
    const std::string prefix = CheckpointPrefix(options_.directory, options_.step);
    ASSIGN_OR_RETURN(const std::optional<CheckpointList> list,
                     ReadCheckpointList(*options_.files, options_.directory));
    if (!list || !options_.files->Stat(AssetDirectory(prefix)).ok()) return OkStatus();
    if (list->newest != prefix &&
        std::find(list->all.begin(), list->all.end(), prefix) == list->all.end())
      return OkStatus();
    return Status(Code::kAlreadyExists,
                  StrCat("checkpoint '", prefix, "' is saved already; save under another step"));
  }

  Result<SaveReport> Publish() {
    const Result<PublishReport> published = PublishCheckpoint(
        *options_.files, *options_.clock, options_.directory, options_.step, options_.retention);
    if (!published.ok()) {
      // Whoever reads the list must find what it names.
      const auto list = ReadCheckpointList(*options_.files, options_.directory);
      if (!list.ok() || (*list && (*list)->newest == report_.prefix)) part_.Keep();
      return published.status();
    }
    part_.Keep();
    report_.published = published->published;
    report_.removed = published->removed;
    return std::move(report_);
  }

  Status WriteTables() {
    std::vector<std::string> names;
    for (const auto& [name, table] : moment_.snapshot->tables()) names.push_back(name);
    // Tables may have come or gone since Begin.
    ASSIGN_OR_RETURN(const auto bases, BasesOf(names, options_));
    if (options_.layout == TableLayout::kNative) {
      return names.empty() ? OkStatus()
                           : WriteGroup(names, bases.at(names[0]), progress_.rows_total);
    }
    for (const std::string& name : names)
      RETURN_IF_ERROR(WriteGroup({name}, bases.at(name), moment_.snapshot->rows(name)));
    return OkStatus();
  }

  // Tables that share files.
  Status WriteGroup(const std::vector<std::string>& names, const std::string& base, uint64_t rows) {
    const uint32_t shards = ShardCount(rows, options_.shards);
    ASSIGN_OR_RETURN(const auto workers,
                     ShardWorkers::Start(part_.files(), part_.directory(), base, shards,
                                         options_.layout, options_.threads, rng_));
    for (const std::string& name : names) {
      const Table& table = *moment_.snapshot->tables().at(name);
      const int64_t newest = moment_.snapshot->max_update_time(name);
      workers->BeginTable(
          name, table, options_.leave_out_expired ? std::optional<int64_t>(newest) : std::nullopt);
      RETURN_IF_ERROR(
          moment_.snapshot->Read(name, [&](std::span<const Table::RowView> batch) -> Status {
            RETURN_IF_ERROR(Step(batch.size()));
            return workers->Add(batch);
          }));
    }
    ASSIGN_OR_RETURN(const ShardWorkers::Counts counts, workers->Publish());
    report_.rows += counts.rows;
    report_.expired_rows += counts.expired;
    for (const auto& [slot, n] : counts.rows_of_slot) manifest_.rows_of_slot[slot] += n;
    for (const std::string& name : names) {
      manifest_.tables[name].base = base;
      manifest_.tables[name].rows = workers->rows(name);
    }
    return OkStatus();
  }

  Status Step(size_t rows) {
    if (options_.cancellation != nullptr) RETURN_IF_ERROR(options_.cancellation->Check());
    progress_.rows += rows;
    if (!options_.progress || ++batches_ % kBatchesBetweenProgress != 0) return OkStatus();
    progress_.bytes = part_.files().bytes();
    options_.progress(progress_);
    return OkStatus();
  }

  TableSet& set_;
  const SaveOptions& options_;
  PartWriter part_;
  Rng rng_;
  Moment moment_;
  Manifest manifest_;
  SaveReport report_;
  SaveProgress progress_;
  uint64_t batches_ = 0;
};

}  // namespace

Status CheckPlacement(const Placement& placement) {
  if (placement.servers == 0 || placement.server.value_or(0) >= placement.servers) {
    return InvalidArgument(
        StrCat("server ", placement.server.value_or(0), " of ", placement.servers));
  }
  if (!placement.server && placement.servers != 1) {
    return InvalidArgument(
        StrCat("a place among ", placement.servers, " servers needs the server's number"));
  }
  return OkStatus();
}

uint32_t ThreadsBesideWriters() {
  return std::clamp<uint32_t>(std::thread::hardware_concurrency() / 2, 1, 8) - 1;
}

std::string CheckpointPrefix(const std::string& directory, int64_t step) {
  return JoinPath(directory, StrCat("model.ckpt-", step));
}

Result<Moment> TakeMoment(TableSet& set, const SaveOptions& options,
                          const std::function<void()>& also) {
  Moment out;
  ASSIGN_OR_RETURN(out.snapshot, set.TakeSnapshot([&] {
    out.unix_nanos = options.clock->UnixNanos();
    if (options.capture) out.attachments = options.capture();
    if (also) also();
  }));
  return out;
}

Result<uint64_t> SaveFilterOfMoment(TableSet& set, Moment& moment, PartWriter& part, Rng& rng) {
  ASSIGN_OR_RETURN(const FilterSaveReport saved,
                   SaveFilter(part.files(), part.directory(),
                              HashFilterBase(part.server().value_or(0)), set.filter(), rng));
  moment.snapshot->EndFilter();
  return saved.cut_cells;
}

Manifest ManifestOf(const Moment& moment, const SaveOptions& options) {
  Manifest out{.step = options.step,
               .server = options.placement.server,
               .servers = options.placement.servers,
               .layout = options.layout,
               .unix_nanos = moment.unix_nanos,
               .delta = std::nullopt,
               .tables = {},
               .rows_of_slot = {},
               .files = {}};
  for (const auto& [name, table] : moment.snapshot->tables()) {
    out.tables[name] = {.base = "",
                        .rows = 0,
                        .max_update_time = moment.snapshot->max_update_time(name),
                        .config = table->config()};
  }
  return out;
}

Result<SaveReport> SaveTables(TableSet& set, const SaveOptions& options) {
  RETURN_IF_ERROR(CheckOptions(options));
  const std::string context =
      StrCat("saving '", CheckpointPrefix(options.directory, options.step), "'");
  return BaseSaver(set, options).Run().Annotate(context);
}

}  // namespace megalith::embedding

// The part of a TableStore that saves and restores.
#include <algorithm>
#include <limits>
#include <utility>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/strings.h"
#include "common/learning/embedding/checkpoint/file_names.h"
#include "common/learning/embedding/server/table_store.h"

namespace megalith::embedding {
namespace {

// Names of attachments (persistent: never change).
constexpr char kDense[] = "dense";
constexpr char kLogNumber[] = "log";
constexpr char kLogIdentity[] = "log_identity";
constexpr char kDraws[] = "filter_draws";

std::string BlobOf(const Attachments& attachments, const char* name) {
  const auto found = attachments.blobs.find(name);
  return found == attachments.blobs.end() || found->second == nullptr ? "" : *found->second;
}

std::shared_ptr<const std::string> Blob(std::string bytes) {
  return std::make_shared<const std::string>(std::move(bytes));
}

// What a log that begins at a restored checkpoint says it begins at; empty without one.
std::string NameOf(const RestoreReport& report) {
  if (!report.found) return "";
  return StrCat("checkpoint ", report.base_step, " with deltas to ", report.step, " of ",
                report.servers, " servers");
}

// A restore as it is in the log (docs/formats/table-log.md; persistent: never change).
struct RestoreRecord {
  int64_t base_step = 0;
  int64_t step = 0;
  TableStore::RestoreRequest request;
};

std::string Encode(const RestoreRecord& record) {
  ByteWriter out;
  out.I64(record.base_step);
  out.I64(record.step);
  out.U8(record.request.merge ? 1 : 0);
  out.U64(record.request.tables.size());
  for (const std::string& table : record.request.tables) out.Sized(table);
  out.U64(record.request.slots.size());
  for (const uint32_t slot : record.request.slots) out.U32(slot);
  return StrCat(std::string(1, TableStore::kOwnRecord), out.Take());
}

Result<RestoreRecord> Decode(std::string_view bytes) {
  RestoreRecord record;
  ByteReader in(bytes);
  ASSIGN_OR_RETURN(const uint64_t base_step, in.U64());
  ASSIGN_OR_RETURN(const uint64_t step, in.U64());
  ASSIGN_OR_RETURN(const uint8_t merge, in.U8());
  record.base_step = static_cast<int64_t>(base_step);
  record.step = static_cast<int64_t>(step);
  record.request.merge = merge != 0;
  ASSIGN_OR_RETURN(const uint64_t tables, in.U64());
  for (uint64_t i = 0; i < tables; ++i) {
    ASSIGN_OR_RETURN(const std::string_view table, in.Sized());
    record.request.tables.emplace_back(table);
  }
  ASSIGN_OR_RETURN(const uint64_t slots, in.U64());
  for (uint64_t i = 0; i < slots; ++i) {
    ASSIGN_OR_RETURN(const uint32_t slot, in.U32());
    record.request.slots.push_back(slot);
  }
  if (in.left() != 0) return DataLoss("the record of a restore has bytes after its end");
  return record;
}

// A part of the tables is no moment of the server: filter, variables and marks stay as they are.
bool IsWhole(const TableStore::RestoreRequest& request) {
  return !request.merge && request.tables.empty() && request.slots.empty();
}

Status NoDirectory() {
  return FailedPrecondition(
      "the server has no place for checkpoints; start it with checkpoint_dir");
}

}  // namespace

// Runs with no write going on, so it only takes what is quick to take: variables are shared until
// somebody changes them, and encoded later.
Attachments TableStore::Capture(uint64_t* log_number) {
  Attachments out;
  out.watermark = applied_.Snapshot();
  out.encoders[kDense] = [variables = dense_.Snapshot()] { return DenseStore::Encode(variables); };
  out.blobs[kDraws] = Blob(StrCat(tables_->filter().draws()));
  if (log_ != nullptr) {
    *log_number = log_->last();
    out.blobs[kLogNumber] = Blob(StrCat(*log_number));
    out.blobs[kLogIdentity] = Blob(log_->identity());
  }
  return out;
}

Result<TableStore::Saved> TableStore::Save(const SaveRequest& request,
                                           const Cancellation& cancellation) {
  if (options_.checkpoint_directory.empty()) return NoDirectory();
  const std::unique_lock<std::mutex> alone(saving_, std::try_to_lock);
  if (!alone.owns_lock()) return FailedPrecondition("another save or restore is under way");
  if (request.mode == SaveMode::kDelta && saver_ == nullptr) {
    return FailedPrecondition(
        "the server keeps no track of changed rows; start it with checkpoint_max_changes above 0, "
        "or save a whole checkpoint");
  }
  SavedMoment moment;
  SaveOptions options{.directory = options_.checkpoint_directory,
                      .step = request.step,
                      .placement = options_.placement};
  options.sidecar = request.sidecar;
  options.retention = options_.retention;
  // A replay must find the rows that its changes were made to, expired or not.
  options.leave_out_expired = log_ == nullptr;
  bool begun = false;
  options.capture = [&] {
    begun = true;
    if (listener_.at_moment) listener_.at_moment();
    return Capture(&moment.log_number);
  };
  options.cancellation = &cancellation;
  options.files = options_.files;
  options.clock = options_.clock;
  const Result<SaveReport> saved = saver_ == nullptr ? SaveTables(*tables_, options)
                                   : request.mode == SaveMode::kWhole ? saver_->SaveWhole(options)
                                   : request.mode == SaveMode::kDelta ? saver_->SaveDelta(options)
                                                                      : saver_->Save(options);
  // Who loads a checkpoint has all parts of it, so that of this server is what counts.
  if (begun && listener_.saved) {
    listener_.saved(saved.ok() ? std::optional(request.step) : std::nullopt);
  }
  if (!saved.ok()) return saved.status();
  moment.at = {.base_step = saved->base_step, .step = saved->step};
  saved_.push_back(moment);
  return Saved{.report = *saved, .log_cut = CutLog()};
}

// The checkpoint may have become whole long after this server's part: what counts is what a restore
// would take now, and what it would fall back to.
Status TableStore::CutLog() {
  if (log_ == nullptr) return OkStatus();
  ASSIGN_OR_RETURN(const std::vector<CheckpointHead> heads,
                   FindHeads(*options_.files, options_.checkpoint_directory, 2));
  if (heads.size() < 2) return OkStatus();
  const auto before = std::find_if(saved_.rbegin(), saved_.rend(), [&](const SavedMoment& moment) {
    return moment.at.base_step == heads[1].base_step && moment.at.step <= heads[1].step;
  });
  if (before == saved_.rend()) return OkStatus();
  const uint64_t number = before->log_number;
  saved_.erase(saved_.begin(), std::prev(before.base()));
  return log_->Truncate(number);
}

// --- restores ---

Result<TableStore::Prepared> TableStore::Prepare(const RestoreReport& report) {
  Prepared out;
  if (report.servers != options_.placement.servers) {
    // Rows were dealt out anew. Marks are of clients that count by shard, and mean nothing here.
    for (const auto& [server, attachments] : report.attachments) {
      DenseStore dense({});
      const std::string blob = BlobOf(attachments, kDense);
      if (blob.empty()) continue;
      RETURN_IF_ERROR(dense.Restore(blob));
      if (dense.Snapshot().empty()) continue;
      return FailedPrecondition(
          StrCat(report.prefix, " has dense variables of ", report.servers,
                 " servers, which are divided otherwise among ", options_.placement.servers,
                 "; restore with as many servers as saved it, or drop the variables before"));
    }
    return out;
  }
  const auto found = report.attachments.find(options_.placement.server.value_or(0));
  if (found == report.attachments.end()) return out;  // Monolith's own checkpoints
  const Attachments& own = found->second;
  if (!own.watermark.empty()) {
    ASSIGN_OR_RETURN(out.replace.emplace_back(), applied_.PrepareRestore(own.watermark));
  }
  if (const std::string blob = BlobOf(own, kDense); !blob.empty()) {
    ASSIGN_OR_RETURN(out.replace.emplace_back(), dense_.PrepareRestore(blob));
  }
  if (const auto draws = ParseUint(BlobOf(own, kDraws))) {
    out.replace.emplace_back([this, draws = *draws] { tables_->filter().SetDraws(draws); });
  }
  out.log_number = ParseUint(BlobOf(own, kLogNumber));
  out.log_identity = BlobOf(own, kLogIdentity);
  return out;
}

RestoreOptions TableStore::RestoreOptionsOf(const RestoreRequest& request) const {
  RestoreOptions options{.directory = options_.checkpoint_directory,
                         .placement = options_.placement};
  if (request.step) options.prefix = CheckpointPrefix(options.directory, *request.step);
  options.mode = request.merge ? RestoreMode::kMerge : RestoreMode::kReplace;
  options.tables = request.tables;
  options.slots = request.slots;
  options.filter = IsWhole(request);
  options.files = options_.files;
  return options;
}

Result<RestoreReport> TableStore::RestoreAtStart(UpdateLog::Options* log) {
  RestoreOptions options = RestoreOptionsOf({});
  Prepared prepared;
  options.before_change = [&](const RestoreReport& report) -> Status {
    ASSIGN_OR_RETURN(prepared, Prepare(report));
    return OkStatus();
  };
  options.at_moment = [&] {
    for (const auto& replace : prepared.replace) replace();
  };
  ASSIGN_OR_RETURN(RestoreReport report, RestoreTables(*tables_, options));
  log->begins_at = NameOf(report);
  if (!report.found) return report;
  restored_step_ = report.step;
  log->identity = prepared.log_identity;
  log->checkpointed = prepared.log_number.value_or(0);
  saved_.push_back({.at = {.base_step = report.base_step, .step = report.step},
                    .log_number = log->checkpointed});
  return report;
}

Result<RestoreReport> TableStore::Restore(const RestoreRequest& request,
                                          const Cancellation& cancellation) {
  if (options_.checkpoint_directory.empty()) return NoDirectory();
  const std::unique_lock<std::mutex> alone(saving_, std::try_to_lock);
  if (!alone.owns_lock()) return FailedPrecondition("another save or restore is under way");
  if (log_ != nullptr) RETURN_IF_ERROR(log_->Ready());
  Prepared prepared;
  std::optional<Order> order;
  std::string record;
  uint64_t number = 0;
  RestoreOptions options = RestoreOptionsOf(request);
  options.cancellation = &cancellation;
  options.before_change = [&](const RestoreReport& report) -> Status {
    if (IsWhole(request)) {
      ASSIGN_OR_RETURN(prepared, Prepare(report));
    }
    if (log_ == nullptr) return OkStatus();
    record = Encode({.base_step = report.base_step, .step = report.step, .request = request});
    order.reset();
    order.emplace(*this, std::span<const std::string_view>(), true);
    return OkStatus();
  };
  options.at_moment = [&] {
    for (const auto& replace : prepared.replace) replace();
    if (log_ != nullptr) number = log_->Append(record);
  };
  Result<RestoreReport> report = RestoreTables(*tables_, options);
  // A merge that found no room has changed rows: a replay has to meet it, too.
  if (!report.ok() && order && number == 0) number = log_->Append(record);
  order.reset();
  if (number != 0) RETURN_IF_ERROR(log_->Wait(number));
  RETURN_IF_ERROR(report.status());
  if (report->found && IsWhole(request) && listener_.restored) listener_.restored(report->step);
  return report;
}

Status TableStore::RestoreAgain(std::string_view bytes) {
  ASSIGN_OR_RETURN(const RestoreRecord record, Decode(bytes));
  RestoreOptions options = RestoreOptionsOf(record.request);
  // A compaction may have made a whole checkpoint of the chain since.
  const std::string compacted = CheckpointPrefix(options.directory, record.step);
  const bool is_compacted =
      record.step != record.base_step && options_.files->Stat(AssetDirectory(compacted)).ok();
  options.prefix = is_compacted ? compacted : CheckpointPrefix(options.directory, record.base_step);
  options.until = record.step;
  options.fall_back = false;
  Prepared prepared;
  options.before_change = [&](const RestoreReport& report) -> Status {
    if (!IsWhole(record.request)) return OkStatus();
    ASSIGN_OR_RETURN(prepared, Prepare(report));
    return OkStatus();
  };
  options.at_moment = [&] {
    for (const auto& replace : prepared.replace) replace();
  };
  const Status restored = RestoreTables(*tables_, options).status();
  if (record.request.merge && restored.code() == Code::kResourceExhausted) return OkStatus();
  return restored.Annotate(
      StrCat("checkpoint ", record.step, " was restored here while the server ran, and is needed"));
}

}  // namespace megalith::embedding

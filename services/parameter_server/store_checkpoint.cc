// The part of a ParameterStore that saves and restores.
#include <memory>
#include <mutex>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/learning/embedding/checkpoint/table_checkpoint.h"
#include "services/parameter_server/parameter_store.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::Attachments;
using embedding::RestoreReport;

namespace {

// Names of attachments (persistent: never change).
constexpr char kDense[] = "dense";
constexpr char kLogNumber[] = "log";

std::string BlobOf(const Attachments& attachments, const char* name) {
  const auto found = attachments.blobs.find(name);
  return found == attachments.blobs.end() || found->second == nullptr ? "" : *found->second;
}

embedding::Placement PlacementOf(const ParameterServerConfig& config) {
  if (config.shards == 1) return {};
  return {.server = static_cast<uint32_t>(config.shard),
          .servers = static_cast<uint32_t>(config.shards)};
}

Status NoDirectory() {
  return FailedPrecondition(
      "the server has no place for checkpoints; start it with "
      "checkpoint_dir");
}

}  // namespace

Result<v1::SaveResponse> ParameterStore::Save(const v1::SaveRequest& request,
                                              const Cancellation& cancellation) {
  if (config_.checkpoint_dir.empty()) return NoDirectory();
  const std::unique_lock<std::mutex> alone(saving_, std::try_to_lock);
  if (!alone.owns_lock()) return FailedPrecondition("another save is under way");
  uint64_t log_number = 0;
  embedding::SaveOptions options{.directory = config_.checkpoint_dir,
                                 .step = request.step(),
                                 .placement = PlacementOf(config_)};
  if (request.sidecar_percent() > 0) {
    options.sidecar.emplace().overhead = request.sidecar_percent() / 100.0;
  }
  options.retention.keep = static_cast<size_t>(config_.checkpoint_keep);
  bool begun = false;
  options.capture = [&] {
    begun = true;
    if (listener_.at_moment) listener_.at_moment();
    Attachments attachments;
    attachments.watermark = applied_.Snapshot();
    attachments.blobs[kDense] =
        std::make_shared<const std::string>(embedding::DenseStore::Encode(dense_.Snapshot()));
    if (log_ != nullptr) log_number = log_->last();
    attachments.blobs[kLogNumber] = std::make_shared<const std::string>(StrCat(log_number));
    return attachments;
  };
  options.cancellation = &cancellation;
  options.files = &files_;
  options.clock = &clock_;
  const Result<embedding::SaveReport> saved = embedding::SaveTables(*tables_, options);
  if (begun && listener_.saved) {
    const bool published = saved.ok() && saved->published;
    listener_.saved(published ? std::optional(request.step()) : std::nullopt);
  }
  if (!saved.ok()) return saved.status();
  const embedding::SaveReport& report = *saved;
  // What it holds is safe without the log. A part of a checkpoint that others have not finished is
  // not; the log is cut then when the server starts again.
  if (log_ != nullptr && report.published) RETURN_IF_ERROR(log_->Truncate(log_number));
  v1::SaveResponse response;
  response.set_prefix(report.prefix);
  response.set_published(report.published);
  response.set_rows(report.rows);
  response.set_expired_rows(report.expired_rows);
  response.set_bytes(report.bytes);
  return response;
}

Status ParameterStore::TakeAttachments(const RestoreReport& report, uint64_t* log_number) {
  if (report.servers != static_cast<uint32_t>(config_.shards)) {
    // Rows were dealt out anew. Marks are of clients that count by shard, and mean nothing here.
    for (const auto& [server, attachments] : report.attachments) {
      embedding::DenseStore dense({});
      const std::string blob = BlobOf(attachments, kDense);
      if (blob.empty()) continue;
      RETURN_IF_ERROR(dense.Restore(blob));
      if (dense.Snapshot().empty()) continue;
      return FailedPrecondition(
          StrCat(report.prefix, " has dense variables of ", report.servers,
                 " servers, which are divided otherwise among ", config_.shards,
                 "; restore with as many servers as saved it, or drop the variables before"));
    }
    return OkStatus();
  }
  const auto found = report.attachments.find(static_cast<uint32_t>(config_.shard));
  if (found == report.attachments.end()) return OkStatus();  // Monolith's own checkpoints
  const Attachments& own = found->second;
  if (!own.watermark.empty()) RETURN_IF_ERROR(applied_.Restore(own.watermark));
  if (const std::string blob = BlobOf(own, kDense); !blob.empty()) {
    RETURN_IF_ERROR(dense_.Restore(blob));
  }
  if (const auto number = ParseUint(BlobOf(own, kLogNumber))) *log_number = *number;
  return OkStatus();
}

Status ParameterStore::RestoreAtStart(uint64_t* log_number) {
  embedding::RestoreOptions options{.directory = config_.checkpoint_dir,
                                    .placement = PlacementOf(config_)};
  options.files = &files_;
  ASSIGN_OR_RETURN(const RestoreReport report, embedding::RestoreTables(*tables_, options));
  if (!report.found) return OkStatus();
  RETURN_IF_ERROR(TakeAttachments(report, log_number));
  restored_step_ = report.step;
  telemetry::Log(telemetry::Level::info, "table_checkpoint_restored",
                 {{"prefix", report.prefix}, {"step", report.step}, {"rows", report.rows}});
  for (const std::string& note : report.notes) {
    telemetry::Log(telemetry::Level::warn, "table_checkpoint_note", {{"note", note}});
  }
  return OkStatus();
}

Result<v1::RestoreResponse> ParameterStore::Restore(const v1::RestoreRequest& request,
                                                    const Cancellation& cancellation) {
  if (config_.checkpoint_dir.empty()) return NoDirectory();
  if (log_ != nullptr) {
    return FailedPrecondition(
        "a server with a log restores at its start; stop it, put its log "
        "aside and start it again");
  }
  embedding::RestoreOptions options{.directory = config_.checkpoint_dir,
                                    .placement = PlacementOf(config_)};
  if (request.step() != 0) {
    options.prefix = embedding::CheckpointPrefix(config_.checkpoint_dir, request.step());
  }
  options.mode =
      request.merge() ? embedding::RestoreMode::kMerge : embedding::RestoreMode::kReplace;
  options.tables.assign(request.tables().begin(), request.tables().end());
  options.slots.assign(request.slots().begin(), request.slots().end());
  options.cancellation = &cancellation;
  options.files = &files_;
  ASSIGN_OR_RETURN(const RestoreReport report, embedding::RestoreTables(*tables_, options));
  // A part of the tables is no moment of the server, so the marks stay as they are.
  const bool whole = !request.merge() && request.tables().empty() && request.slots().empty();
  uint64_t log_number = 0;
  if (report.found && whole) {
    RETURN_IF_ERROR(TakeAttachments(report, &log_number));
    if (listener_.restored) listener_.restored(report.step);
  }
  v1::RestoreResponse response;
  response.set_found(report.found);
  response.set_prefix(report.prefix);
  response.set_step(report.step);
  response.set_rows(report.rows);
  for (const std::string& name : report.tables) response.add_tables(name);
  for (const std::string& name : report.missing) response.add_missing(name);
  for (const std::string& note : report.notes) response.add_notes(note);
  return response;
}

}  // namespace megalith::services

// The part of a ParameterStore that saves and restores.
#include <memory>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "services/parameter_server/parameter_store.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::TableStore;

namespace {

void WarnOfLog(const TableStore::Saved& saved) {
  if (saved.log_cut.ok()) return;
  telemetry::Log(telemetry::Level::warn, "table_log_not_cut",
                 {{"prefix", saved.report.prefix}, {"error", saved.log_cut.ToString()}});
}

}  // namespace

Result<v1::SaveResponse> ParameterStore::Save(const v1::SaveRequest& request,
                                              const Cancellation& cancellation) {
  TableStore::SaveRequest save{
      .step = request.step(), .mode = TableStore::SaveMode::kWhole, .sidecar = std::nullopt};
  switch (request.mode()) {
    case v1::SAVE_MODE_UNSPECIFIED:
    case v1::SAVE_MODE_WHOLE:
      break;
    case v1::SAVE_MODE_DELTA:
      save.mode = TableStore::SaveMode::kDelta;
      break;
    default:
      return InvalidArgument(StrCat("save mode ", static_cast<int>(request.mode()),
                                    " is none that this server knows"));
  }
  if (request.sidecar_percent() > 0) {
    save.sidecar.emplace().overhead = request.sidecar_percent() / 100.0;
  }
  ASSIGN_OR_RETURN(const TableStore::Saved saved, store_->Save(save, cancellation));
  WarnOfLog(saved);
  const embedding::SaveReport& report = saved.report;
  v1::SaveResponse response;
  response.set_prefix(report.prefix);
  response.set_published(report.published);
  response.set_rows(report.rows);
  response.set_expired_rows(report.expired_rows);
  response.set_bytes(report.bytes);
  response.set_delta(report.delta);
  response.set_erased(report.tombstones);
  return response;
}

void ParameterStore::SaveSlot(const embedding::CheckpointSchedule::Slot& slot,
                              const Cancellation& cancellation) {
  const Stopwatch watch(clock_);
  // Servers that share a checkpoint save all the same; one that cannot waits for the next whole
  // one.
  const TableStore::SaveMode mode = slot.whole            ? TableStore::SaveMode::kWhole
                                    : config_.shards == 1 ? TableStore::SaveMode::kEither
                                                          : TableStore::SaveMode::kDelta;
  const auto saved =
      store_->Save({.step = slot.step, .mode = mode, .sidecar = std::nullopt}, cancellation);
  if (!saved.ok()) {
    if (cancellation.cancelled()) return;
    telemetry::Log(telemetry::Level::warn, "table_checkpoint_failed",
                   {{"step", slot.step}, {"error", saved.status().ToString()}});
    return;
  }
  WarnOfLog(*saved);
  const embedding::SaveReport& report = saved->report;
  telemetry::Log(telemetry::Level::info, "table_checkpoint_saved",
                 {{"prefix", report.prefix},
                  {"delta", report.delta},
                  {"published", report.published},
                  {"rows", report.rows},
                  {"bytes", report.bytes},
                  {"seconds", watch.Seconds()}});
}

Result<v1::RestoreResponse> ParameterStore::Restore(const v1::RestoreRequest& request,
                                                    const Cancellation& cancellation) {
  TableStore::RestoreRequest restore;
  if (request.step() != 0) restore.step = request.step();
  restore.merge = request.merge();
  restore.tables.assign(request.tables().begin(), request.tables().end());
  restore.slots.assign(request.slots().begin(), request.slots().end());
  ASSIGN_OR_RETURN(const embedding::RestoreReport report, store_->Restore(restore, cancellation));
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

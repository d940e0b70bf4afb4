#include "services/parameter_server/parameter_store.h"

#include <optional>
#include <utility>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/learning/embedding/cold/rocks_store.h"
#include "services/parameter_server/store_change.h"
#include "services/parameter_server/table_proto.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::Table;
using embedding::TableStore;

namespace {

Result<embedding::FilterConfig> FilterOf(const ParameterServerConfig& config) {
  embedding::FilterConfig filter;
  filter.type = config.filter;
  filter.capacity = static_cast<uint64_t>(config.filter_capacity);
  filter.splits = static_cast<uint32_t>(config.filter_splits);
  filter.thresholds.default_threshold = static_cast<uint32_t>(config.filter_threshold);
  for (const std::string& text : config.filter_thresholds) {
    const size_t colon = text.find(':');
    const auto slot = ParseUint(text.substr(0, colon));
    const auto threshold =
        colon == std::string::npos ? std::nullopt : ParseUint(text.substr(colon + 1));
    if (!slot || !threshold || *slot > UINT32_MAX || *threshold > UINT32_MAX) {
      return InvalidArgument(
          StrCat("filter_thresholds: wanted slot:threshold, got '", Printable(text), "'"));
    }
    filter.thresholds.threshold_of_slot[static_cast<uint32_t>(*slot)] =
        static_cast<uint32_t>(*threshold);
  }
  return filter;
}

embedding::OpenColdStoreOf ColdStores(const ParameterServerConfig& config, FileSystem& files) {
  if (config.cold_dir.empty()) return nullptr;
  return embedding::RocksStores(config.cold_dir, files);
}

}  // namespace

Result<std::unique_ptr<ParameterStore>> ParameterStore::Open(
    const ParameterServerConfig& config, const std::string& directory, uint64_t max_response_bytes,
    embedding::SetObserver* observer, telemetry::MetricRegistry& metrics, FileSystem& files,
    const Clock& clock) {
  if (config.shard >= config.shards) {
    return InvalidArgument(StrCat("shard is ", config.shard, ", wanted 0 to ", config.shards - 1));
  }
  if (config.update_window % 64 != 0) {
    return InvalidArgument(
        StrCat("update_window is ", config.update_window, ", wanted a multiple of 64"));
  }
  if (config.checkpoint_interval.count() != 0 && config.checkpoint_dir.empty()) {
    return InvalidArgument("checkpoint_interval_s needs a checkpoint_dir");
  }
  ASSIGN_OR_RETURN(const embedding::FilterConfig filter, FilterOf(config));
  std::unique_ptr<ParameterStore> store(
      new ParameterStore(config, max_response_bytes, metrics, clock));
  TableStore::Options options;
  options.tables = {.filter = filter,
                    .observer = observer,
                    .hash_seed = EntropySeed(),
                    .max_tables = static_cast<size_t>(config.max_tables),
                    .open_cold_store = ColdStores(config, files)};
  options.dense.max_bytes = static_cast<uint64_t>(config.max_dense_bytes);
  options.updates.max_clients = static_cast<size_t>(config.max_clients);
  options.updates.window = static_cast<uint64_t>(config.update_window);
  if (config.log) options.log_directory = JoinPath(directory, "log");
  options.log_segment_bytes = static_cast<uint64_t>(config.log_segment_bytes);
  options.on_log_commit = [metrics = &store->metrics_](const embedding::UpdateLog::Commit& commit) {
    metrics->Logged(commit);
  };
  options.checkpoint_directory = config.checkpoint_dir;
  if (config.shards > 1) {
    options.placement = {.server = static_cast<uint32_t>(config.shard),
                         .servers = static_cast<uint32_t>(config.shards)};
  }
  options.retention.keep = static_cast<size_t>(config.checkpoint_keep);
  options.max_changed_rows = static_cast<uint64_t>(config.checkpoint_max_changes);
  options.deltas.max_deltas = static_cast<uint32_t>(config.checkpoint_max_deltas);
  options.files = &files;
  options.clock = &clock;
  ASSIGN_OR_RETURN(store->store_, TableStore::Make(std::move(options)));
  RETURN_IF_ERROR(store->OpenStore(directory));
  return store;
}

void ParameterStore::Listen(TableStore::Listener listener) {
  store_->Listen(std::move(listener));
  if (config_.checkpoint_interval.count() == 0) return;
  schedule_ = std::make_unique<embedding::CheckpointSchedule>(
      embedding::CheckpointSchedule::Options{.interval = config_.checkpoint_interval,
                                             .whole_every = config_.checkpoint_whole_every,
                                             .clock = &clock_},
      [this](const embedding::CheckpointSchedule::Slot& slot, const Cancellation& cancellation) {
        SaveSlot(slot, cancellation);
      });
}

Status ParameterStore::OpenStore(const std::string& directory) {
  ASSIGN_OR_RETURN(const TableStore::OpenReport report,
                   store_->Open([this](std::string_view record) { return Replay(record); }));
  const embedding::RestoreReport& restored = report.restored;
  if (restored.found) {
    telemetry::Log(telemetry::Level::info, "table_checkpoint_restored",
                   {{"prefix", restored.prefix}, {"step", restored.step}, {"rows", restored.rows}});
  }
  for (const std::string& note : restored.notes) {
    telemetry::Log(telemetry::Level::warn, "table_checkpoint_note", {{"note", note}});
  }
  if (!store_->logs()) return OkStatus();
  telemetry::Log(telemetry::Level::info, "table_log_opened",
                 {{"directory", directory},
                  {"segments", report.log.segments},
                  {"records", report.log.replayed},
                  {"seconds", report.log_seconds}});
  if (report.log.torn_bytes != 0) {
    telemetry::Log(telemetry::Level::warn, "table_log_tail_dropped",
                   {{"file", report.log.torn_file}, {"bytes", report.log.torn_bytes}});
  }
  return OkStatus();
}

ParameterStore::ParameterStore(const ParameterServerConfig& config, uint64_t max_response_bytes,
                               telemetry::MetricRegistry& metrics, const Clock& clock)
    : config_(config),
      max_response_bytes_(max_response_bytes),
      clock_(clock),
      metrics_(metrics),
      helpers_(static_cast<size_t>(config.lookup_helpers)) {}

Status ParameterStore::Replay(std::string_view record) {
  if (record.empty()) return DataLoss("the record is empty");
  const std::string_view bytes = record.substr(1);
  switch (static_cast<Kind>(record[0])) {
    case Kind::kCreateTable:
      return ReplayAs(bytes, &ParameterStore::PlanCreateTable);
    case Kind::kAlterTable:
      return ReplayAs(bytes, &ParameterStore::PlanAlterTable);
    case Kind::kDropTable: {
      // The checkpoint's moment may lie between the drop and its record.
      const Status dropped = ReplayAs(bytes, &ParameterStore::PlanDropTable);
      return dropped.code() == Code::kNotFound ? OkStatus() : dropped;
    }
    case Kind::kApply:
      return ReplayAs(bytes, &ParameterStore::PlanApply);
    case Kind::kAssign:
      return ReplayAs(bytes, &ParameterStore::PlanAssign);
    case Kind::kAssignAdd:
      return ReplayAs(bytes, &ParameterStore::PlanAssignAdd);
    case Kind::kReinitialize:
      return ReplayAs(bytes, &ParameterStore::PlanReinitialize);
    case Kind::kErase:
      return ReplayAs(bytes, &ParameterStore::PlanErase);
    case Kind::kEvict:
      return ReplayAs(bytes, &ParameterStore::PlanEvict);
    case Kind::kCreateVariable:
      return ReplayAs(bytes, &ParameterStore::PlanCreateVariable);
    case Kind::kDropVariable:
      return ReplayAs(bytes, &ParameterStore::PlanDropVariable);
    case Kind::kApplyVariables:
      return ReplayAs(bytes, &ParameterStore::PlanApplyVariables);
    case Kind::kAssignVariables:
      return ReplayAs(bytes, &ParameterStore::PlanAssignVariables);
  }
  return DataLoss(StrCat("the record is of kind ", static_cast<int>(record[0]),
                         ", which this version does not know"));
}

// --- tables ---

Result<ParameterStore::Plan<v1::CreateTableResponse>> ParameterStore::PlanCreateTable(
    const v1::CreateTableRequest& request) {
  ASSIGN_OR_RETURN(embedding::TableConfig config,
                   TableConfigOf(request.config(), request.monolith_config()));
  Plan<v1::CreateTableResponse> plan;
  plan.catalog = true;
  plan.run = [this, &request, config = std::move(config)]() -> Result<v1::CreateTableResponse> {
    RETURN_IF_ERROR(tables().Create(request.name(), config));
    return v1::CreateTableResponse();
  };
  return plan;
}

Result<ParameterStore::Plan<v1::AlterTableResponse>> ParameterStore::PlanAlterTable(
    const v1::AlterTableRequest& request) {
  ASSIGN_OR_RETURN(embedding::TableConfig config,
                   TableConfigOf(request.config(), request.monolith_config()));
  Plan<v1::AlterTableResponse> plan;
  plan.catalog = true;
  plan.run = [this, &request, config = std::move(config)]() -> Result<v1::AlterTableResponse> {
    RETURN_IF_ERROR(tables().Alter(request.name(), config));
    return v1::AlterTableResponse();
  };
  return plan;
}

Result<ParameterStore::Plan<v1::DropTableResponse>> ParameterStore::PlanDropTable(
    const v1::DropTableRequest& request) {
  Plan<v1::DropTableResponse> plan;
  plan.catalog = true;
  plan.run = [this, &request]() -> Result<v1::DropTableResponse> {
    RETURN_IF_ERROR(tables().Drop(request.name()));
    metrics_.Dropped(request.name());
    return v1::DropTableResponse();
  };
  return plan;
}

Result<v1::CreateTableResponse> ParameterStore::CreateTable(const v1::CreateTableRequest& request,
                                                            const Cancellation& cancellation) {
  return Change(Kind::kCreateTable, request, &ParameterStore::PlanCreateTable, cancellation);
}

Result<v1::AlterTableResponse> ParameterStore::AlterTable(const v1::AlterTableRequest& request,
                                                          const Cancellation& cancellation) {
  return Change(Kind::kAlterTable, request, &ParameterStore::PlanAlterTable, cancellation);
}

Result<v1::DropTableResponse> ParameterStore::DropTable(const v1::DropTableRequest& request,
                                                        const Cancellation& cancellation) {
  return Change(Kind::kDropTable, request, &ParameterStore::PlanDropTable, cancellation);
}

Result<v1::ListTablesResponse> ParameterStore::ListTables(const v1::ListTablesRequest&) {
  v1::ListTablesResponse response;
  for (const auto& [name, table] : tables().Tables()) {
    v1::TableInfo* info = response.add_tables();
    info->set_name(name);
    *info->mutable_config() = TableConfigToProto(table->config());
    info->set_dim(table->dim());
    info->set_rows(table->size());
  }
  return response;
}

Result<v1::StatsResponse> ParameterStore::Stats(const v1::StatsRequest& request) {
  v1::StatsResponse response;
  const auto add = [&](const std::string& name, const Table& table) {
    *response.add_tables() = StatsToProto(name, table.Stats());
    metrics_.Holds(name, table);
  };
  if (request.tables().empty()) {
    for (const auto& [name, table] : tables().Tables()) add(name, *table);
  }
  for (const std::string& name : request.tables()) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Table> table, tables().Get(name));
    add(name, *table);
  }
  return response;
}

}  // namespace megalith::services

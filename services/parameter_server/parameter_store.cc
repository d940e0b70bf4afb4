#include "services/parameter_server/parameter_store.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "services/parameter_server/store_change.h"
#include "services/parameter_server/table_proto.h"

namespace megalith::services {

namespace v1 = table::v1;
using embedding::AppliedSequences;
using embedding::Fid;
using embedding::Table;
using embedding::TableSet;
using embedding::Unpacked;
using embedding::UpdateLog;
using embedding::ValueFormat;
using embedding::WriteGate;

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

}  // namespace

Result<std::unique_ptr<ParameterStore>> ParameterStore::Open(
    const ParameterServerConfig& config, const std::string& directory, uint64_t max_response_bytes,
    telemetry::MetricRegistry& metrics, FileSystem& files, const Clock& clock) {
  if (config.shard >= config.shards) {
    return InvalidArgument(StrCat("shard is ", config.shard, ", wanted 0 to ", config.shards - 1));
  }
  if (config.update_window % 64 != 0) {
    return InvalidArgument(
        StrCat("update_window is ", config.update_window, ", wanted a multiple of 64"));
  }
  ASSIGN_OR_RETURN(const embedding::FilterConfig filter, FilterOf(config));
  std::unique_ptr<ParameterStore> store(
      new ParameterStore(config, max_response_bytes, metrics, clock));
  ASSIGN_OR_RETURN(store->tables_,
                   TableSet::Make({.filter = filter,
                                   .observer = nullptr,
                                   .hash_seed = EntropySeed(),
                                   .max_tables = static_cast<size_t>(config.max_tables)}));
  if (!config.log) return store;
  ParameterStore* const self = store.get();
  UpdateLog::Opened opened;
  const Stopwatch watch(clock);
  ASSIGN_OR_RETURN(
      std::unique_ptr<UpdateLog> log,
      UpdateLog::Open(
          {.directory = JoinPath(directory, "log"),
           .segment_bytes = static_cast<uint64_t>(config.log_segment_bytes),
           .on_commit = [self](const UpdateLog::Commit& commit) { self->metrics_.Logged(commit); }},
          files, [self](uint64_t, std::string_view record) { return self->Replay(record); },
          &opened));
  store->log_ = std::move(log);
  telemetry::Log(telemetry::Level::info, "table_log_opened",
                 {{"directory", directory},
                  {"segments", opened.segments},
                  {"records", opened.replayed},
                  {"seconds", watch.Seconds()}});
  if (opened.torn_bytes != 0) {
    telemetry::Log(telemetry::Level::warn, "table_log_tail_dropped",
                   {{"file", opened.torn_file}, {"bytes", opened.torn_bytes}});
  }
  return store;
}

ParameterStore::ParameterStore(const ParameterServerConfig& config, uint64_t max_response_bytes,
                               telemetry::MetricRegistry& metrics, const Clock& clock)
    : config_(config),
      max_response_bytes_(max_response_bytes),
      clock_(clock),
      metrics_(metrics),
      dense_({.max_bytes = static_cast<uint64_t>(config.max_dense_bytes)}),
      applied_({.max_clients = static_cast<size_t>(config.max_clients),
                .window = static_cast<uint64_t>(config.update_window)},
               clock) {}

ParameterStore::Order::Order(ParameterStore& store, std::span<const std::string_view> tables,
                             bool all) {
  // A filter counts over all tables, so that its answers depend on the order among tables too.
  const bool filtered = store.tables_->filter_config().thresholds.Max() > 0;
  std::vector<size_t> indexes;
  if (all) {
    for (size_t i = 0; i < kOrders; ++i) indexes.push_back(i);
  } else if (filtered) {
    indexes.push_back(0);
  } else {
    for (const std::string_view table : tables) {
      indexes.push_back(std::hash<std::string_view>()(table) % kOrders);
    }
    std::sort(indexes.begin(), indexes.end());
    indexes.erase(std::unique(indexes.begin(), indexes.end()), indexes.end());
  }
  for (const size_t i : indexes) locks_.emplace_back(store.orders_[i]);
}

Status ParameterStore::Replay(std::string_view record) {
  if (record.empty()) return DataLoss("the record is empty");
  const std::string_view bytes = record.substr(1);
  switch (static_cast<Kind>(record[0])) {
    case Kind::kCreateTable:
      return ReplayAs(bytes, &ParameterStore::PlanCreateTable);
    case Kind::kAlterTable:
      return ReplayAs(bytes, &ParameterStore::PlanAlterTable);
    case Kind::kDropTable:
      return ReplayAs(bytes, &ParameterStore::PlanDropTable);
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
    RETURN_IF_ERROR(tables_->Create(request.name(), config));
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
    RETURN_IF_ERROR(tables_->Alter(request.name(), config));
    return v1::AlterTableResponse();
  };
  return plan;
}

Result<ParameterStore::Plan<v1::DropTableResponse>> ParameterStore::PlanDropTable(
    const v1::DropTableRequest& request) {
  Plan<v1::DropTableResponse> plan;
  plan.catalog = true;
  plan.run = [this, &request]() -> Result<v1::DropTableResponse> {
    RETURN_IF_ERROR(tables_->Drop(request.name()));
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
  for (const auto& [name, table] : tables_->Tables()) {
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
    for (const auto& [name, table] : tables_->Tables()) add(name, *table);
  }
  for (const std::string& name : request.tables()) {
    ASSIGN_OR_RETURN(const std::shared_ptr<Table> table, tables_->Get(name));
    add(name, *table);
  }
  return response;
}

}  // namespace megalith::services

// What one parameter server holds: tables, dense variables, the marks of applied updates, and the
// log.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"
#include "common/learning/embedding/server/checkpoint_schedule.h"
#include "common/learning/embedding/server/table_store.h"
#include "common/learning/embedding/server/value_format.h"
#include "megalith/table/v1/table.pb.h"
#include "services/parameter_server/config.h"
#include "services/parameter_server/helpers.h"
#include "services/parameter_server/store_metrics.h"

namespace megalith::services {

// An embedding::TableStore in the messages of megalith.table.v1: each change is checked and
// unpacked as far as that needs no table, and goes the store's one path.
//
// Thread-safe. What each method promises: protos/megalith/table/v1/table.proto.
class ParameterStore {
 public:
  // `observer` may be null, or outlives the store and hears of every change of rows.
  // Restores the newest checkpoint, then opens the log, if the configuration asks for one, in
  // `<directory>/log` and makes the changes again that the checkpoint does not have.
  // Errors: kInvalidArgument  the configuration; those of RestoreTables, of UpdateLog::Open and of
  //         the replay.
  static Result<std::unique_ptr<ParameterStore>> Open(const ParameterServerConfig& config,
                                                      const std::string& directory,
                                                      uint64_t max_response_bytes,
                                                      embedding::SetObserver* observer,
                                                      telemetry::MetricRegistry& metrics,
                                                      FileSystem& files, const Clock& clock);

  Result<table::v1::CreateTableResponse> CreateTable(const table::v1::CreateTableRequest& request,
                                                     const Cancellation& cancellation);
  Result<table::v1::AlterTableResponse> AlterTable(const table::v1::AlterTableRequest& request,
                                                   const Cancellation& cancellation);
  Result<table::v1::DropTableResponse> DropTable(const table::v1::DropTableRequest& request,
                                                 const Cancellation& cancellation);
  Result<table::v1::ListTablesResponse> ListTables(const table::v1::ListTablesRequest& request);
  Result<table::v1::LookupResponse> Lookup(const table::v1::LookupRequest& request);
  Result<table::v1::ApplyResponse> Apply(const table::v1::ApplyRequest& request,
                                         const Cancellation& cancellation);
  Result<table::v1::AssignResponse> Assign(const table::v1::AssignRequest& request,
                                           const Cancellation& cancellation);
  Result<table::v1::AssignResponse> AssignAdd(const table::v1::AssignRequest& request,
                                              const Cancellation& cancellation);
  Result<table::v1::ReinitializeResponse> Reinitialize(
      const table::v1::ReinitializeRequest& request, const Cancellation& cancellation);
  Result<table::v1::EraseResponse> Erase(const table::v1::EraseRequest& request,
                                         const Cancellation& cancellation);
  Result<table::v1::EvictResponse> Evict(const table::v1::EvictRequest& request,
                                         const Cancellation& cancellation);
  Result<table::v1::LookupEntriesResponse> LookupEntries(
      const table::v1::LookupEntriesRequest& request);
  Result<table::v1::ScanIdsResponse> ScanIds(const table::v1::ScanIdsRequest& request);
  Result<table::v1::CreateVariableResponse> CreateVariable(
      const table::v1::CreateVariableRequest& request, const Cancellation& cancellation);
  Result<table::v1::DropVariableResponse> DropVariable(
      const table::v1::DropVariableRequest& request, const Cancellation& cancellation);
  Result<table::v1::ListVariablesResponse> ListVariables(
      const table::v1::ListVariablesRequest& request);
  Result<table::v1::ReadVariablesResponse> ReadVariables(
      const table::v1::ReadVariablesRequest& request);
  Result<table::v1::ApplyVariablesResponse> ApplyVariables(
      const table::v1::ApplyVariablesRequest& request, const Cancellation& cancellation);
  Result<table::v1::AssignVariablesResponse> AssignVariables(
      const table::v1::AssignVariablesRequest& request, const Cancellation& cancellation);
  Result<table::v1::SaveResponse> Save(const table::v1::SaveRequest& request,
                                       const Cancellation& cancellation);
  Result<table::v1::RestoreResponse> Restore(const table::v1::RestoreRequest& request,
                                             const Cancellation& cancellation);
  Result<table::v1::StatsResponse> Stats(const table::v1::StatsRequest& request);

  embedding::TableSet& tables() { return store_->tables(); }

  // Hears of saves and of whole restores, that of the start included. To be called before the first
  // call of any other; saves by schedule begin with it.
  void Listen(embedding::TableStore::Listener listener);

 private:
  // What a change is in the log (persistent: never change).
  enum class Kind : uint8_t {
    kCreateTable = 1,
    kAlterTable = 2,
    kDropTable = 3,
    kApply = 4,
    kAssign = 5,
    kAssignAdd = 6,
    kReinitialize = 7,
    kErase = 8,
    kEvict = 9,
    kCreateVariable = 10,
    kDropVariable = 11,
    kApplyVariables = 12,
    kAssignVariables = 13,
  };

  // A change that is checked as far as it can be without the tables.
  template <typename Response>
  struct Plan {
    std::vector<std::string_view> tables;  // that it changes
    bool catalog = false;                  // it changes which tables there are
    std::function<Result<Response>()> run;
    // Instead of `run`: see TableStore::Change.
    std::function<Status()> prepare;
    std::function<Status()> check;
    std::function<void(size_t)> part;
    std::function<Response()> finish;  // once all parts are done
  };
  template <typename Request, typename Response>
  using Planner = Result<Plan<Response>> (ParameterStore::*)(const Request&);

  ParameterStore(const ParameterServerConfig& config, uint64_t max_response_bytes,
                 telemetry::MetricRegistry& metrics, const Clock& clock);

  template <typename Request, typename Response>
  Result<Response> Change(Kind kind, const Request& request, Planner<Request, Response> planner,
                          const Cancellation& cancellation);
  Status OpenStore(const std::string& directory);
  void SaveSlot(const embedding::CheckpointSchedule::Slot& slot, const Cancellation& cancellation);
  Status Replay(std::string_view record);
  template <typename Request, typename Response>
  Status ReplayAs(std::string_view bytes, Planner<Request, Response> planner);

  Result<Plan<table::v1::CreateTableResponse>> PlanCreateTable(
      const table::v1::CreateTableRequest& request);
  Result<Plan<table::v1::AlterTableResponse>> PlanAlterTable(
      const table::v1::AlterTableRequest& request);
  Result<Plan<table::v1::DropTableResponse>> PlanDropTable(
      const table::v1::DropTableRequest& request);
  Result<Plan<table::v1::ApplyResponse>> PlanApply(const table::v1::ApplyRequest& request);
  Result<Plan<table::v1::AssignResponse>> PlanWrite(const table::v1::AssignRequest& request,
                                                    bool add);
  Result<Plan<table::v1::AssignResponse>> PlanAssign(const table::v1::AssignRequest& request);
  Result<Plan<table::v1::AssignResponse>> PlanAssignAdd(const table::v1::AssignRequest& request);
  Result<Plan<table::v1::ReinitializeResponse>> PlanReinitialize(
      const table::v1::ReinitializeRequest& request);
  Result<Plan<table::v1::EraseResponse>> PlanErase(const table::v1::EraseRequest& request);
  Result<Plan<table::v1::EvictResponse>> PlanEvict(const table::v1::EvictRequest& request);
  Result<Plan<table::v1::CreateVariableResponse>> PlanCreateVariable(
      const table::v1::CreateVariableRequest& request);
  Result<Plan<table::v1::DropVariableResponse>> PlanDropVariable(
      const table::v1::DropVariableRequest& request);
  Result<Plan<table::v1::ApplyVariablesResponse>> PlanApplyVariables(
      const table::v1::ApplyVariablesRequest& request);
  Result<Plan<table::v1::AssignVariablesResponse>> PlanAssignVariables(
      const table::v1::AssignVariablesRequest& request);

  // The ids of one part, checked. `at_most` is lowered by their number.
  Result<embedding::Unpacked<embedding::Fid>> Ids(const std::string& bytes, int64_t* at_most) const;

  const ParameterServerConfig config_;
  const uint64_t max_response_bytes_;
  const Clock& clock_;
  StoreMetrics metrics_;
  Helpers helpers_;
  std::unique_ptr<embedding::TableStore> store_;
  std::unique_ptr<embedding::CheckpointSchedule> schedule_;  // null: none. Ends first
};

}  // namespace megalith::services

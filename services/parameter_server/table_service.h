// megalith.table.v1: a ParameterStore behind gRPC.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "common/fleet/rpc/service.h"
#include "megalith/table/v1/table.pb.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/parameter_server/config.h"
#include "services/parameter_server/parameter_store.h"
#include "services/parameter_server/serving/sync_role.h"

namespace megalith::services {

// Thread-safe. What each method promises: protos/megalith/table/v1/table.proto.
class TableService final : public rpc::Service {
 public:
  // Opens the store in `<data_directory>/tables`. Errors: those of ParameterStore::Open and of
  // SyncRole::Make.
  static Result<std::unique_ptr<TableService>> Make(const ParameterServerConfig& config,
                                                    ServiceContext& context);
  ~TableService() override;

  // Begins to send rows to serving servers, or returns the services that take them, as the
  // configuration says; once. Errors: those of SyncRole::Attach.
  Result<ServiceList> StartSync();

  Result<table::v1::CreateTableResponse> CreateTable(const table::v1::CreateTableRequest& request,
                                                     const rpc::Call& call);
  Result<table::v1::AlterTableResponse> AlterTable(const table::v1::AlterTableRequest& request,
                                                   const rpc::Call& call);
  Result<table::v1::DropTableResponse> DropTable(const table::v1::DropTableRequest& request,
                                                 const rpc::Call& call);
  Result<table::v1::ListTablesResponse> ListTables(const table::v1::ListTablesRequest& request,
                                                   const rpc::Call& call);
  Result<table::v1::LookupResponse> Lookup(const table::v1::LookupRequest& request,
                                           const rpc::Call& call);
  Result<table::v1::ApplyResponse> Apply(const table::v1::ApplyRequest& request,
                                         const rpc::Call& call);
  Result<table::v1::AssignResponse> Assign(const table::v1::AssignRequest& request,
                                           const rpc::Call& call);
  Result<table::v1::AssignResponse> AssignAdd(const table::v1::AssignRequest& request,
                                              const rpc::Call& call);
  Result<table::v1::ReinitializeResponse> Reinitialize(
      const table::v1::ReinitializeRequest& request, const rpc::Call& call);
  Result<table::v1::EraseResponse> Erase(const table::v1::EraseRequest& request,
                                         const rpc::Call& call);
  Result<table::v1::EvictResponse> Evict(const table::v1::EvictRequest& request,
                                         const rpc::Call& call);
  Result<table::v1::LookupEntriesResponse> LookupEntries(
      const table::v1::LookupEntriesRequest& request, const rpc::Call& call);
  Result<table::v1::ScanIdsResponse> ScanIds(const table::v1::ScanIdsRequest& request,
                                             const rpc::Call& call);
  Result<table::v1::CreateVariableResponse> CreateVariable(
      const table::v1::CreateVariableRequest& request, const rpc::Call& call);
  Result<table::v1::DropVariableResponse> DropVariable(
      const table::v1::DropVariableRequest& request, const rpc::Call& call);
  Result<table::v1::ListVariablesResponse> ListVariables(
      const table::v1::ListVariablesRequest& request, const rpc::Call& call);
  Result<table::v1::ReadVariablesResponse> ReadVariables(
      const table::v1::ReadVariablesRequest& request, const rpc::Call& call);
  Result<table::v1::ApplyVariablesResponse> ApplyVariables(
      const table::v1::ApplyVariablesRequest& request, const rpc::Call& call);
  Result<table::v1::AssignVariablesResponse> AssignVariables(
      const table::v1::AssignVariablesRequest& request, const rpc::Call& call);
  Result<table::v1::SaveResponse> Save(const table::v1::SaveRequest& request,
                                       const rpc::Call& call);
  Result<table::v1::RestoreResponse> Restore(const table::v1::RestoreRequest& request,
                                             const rpc::Call& call);
  Result<table::v1::StatsResponse> Stats(const table::v1::StatsRequest& request,
                                         const rpc::Call& call);

 private:
  TableService(std::unique_ptr<SyncRole> sync, std::unique_ptr<ParameterStore> store,
               ServiceContext& context);

  const std::unique_ptr<SyncRole> sync_;  // the tables report to it
  sync::TouchedSet::Target moment_ = {};  // of the save under way
  const std::unique_ptr<ParameterStore> store_;
};

// The services of a parameter server.
Result<ServiceList> MakeParameterServer(const ParameterServerConfig& config,
                                        ServiceContext& context);

// The process megalith-parameter-server.
ServiceSpec ParameterServerSpec();

}  // namespace megalith::services

#include "services/parameter_server/table_service.h"

#include "services/parameter_server/coordination_service.h"

namespace megalith::services {

namespace v1 = table::v1;

Result<std::unique_ptr<TableService>> TableService::Make(const ParameterServerConfig& config,
                                                         ServiceContext& context) {
  if (config.log && context.data_is_temporary) {
    return InvalidArgument(
        "the log of tables would be in a temporary directory and gone at exit; set data_dir");
  }
  ASSIGN_OR_RETURN(std::unique_ptr<SyncRole> sync,
                   SyncRole::Make(config.sync, config.shard, context));
  ASSIGN_OR_RETURN(
      std::unique_ptr<ParameterStore> store,
      ParameterStore::Open(config, JoinPath(context.data_directory, "tables"),
                           static_cast<uint64_t>(context.process.config().max_response_bytes),
                           sync->observer(), context.process.metrics(), context.process.files(),
                           context.process.clock()));
  return std::unique_ptr<TableService>(
      new TableService(std::move(sync), std::move(store), context));
}

TableService::~TableService() { sync_->Stop(); }

Result<ServiceList> TableService::StartSync() {
  ASSIGN_OR_RETURN(ServiceList services, sync_->Attach(store_->tables()));
  embedding::TableStore::Listener listener;
  if (sync::Syncer* const syncer = sync_->syncer()) {
    listener.at_moment = [this, syncer] { moment_ = syncer->checkpoints().Begin(); };
    listener.saved = [this, syncer](std::optional<int64_t> step) {
      if (step) {
        syncer->checkpoints().Publish(moment_, *step);
      } else {
        syncer->checkpoints().Abandon(moment_);
      }
    };
  }
  if (ServingRole* const serving = sync_->serving()) {
    listener.restored = [serving](int64_t step) { serving->SetVersion(step); };
  }
  store_->Listen(std::move(listener));
  return services;
}

TableService::TableService(std::unique_ptr<SyncRole> sync, std::unique_ptr<ParameterStore> store,
                           ServiceContext& context)
    : Service("megalith.table.v1.TableService", context.process.threads()),
      sync_(std::move(sync)),
      store_(std::move(store)) {
  Unary("CreateTable", this, &TableService::CreateTable);
  Unary("AlterTable", this, &TableService::AlterTable);
  Unary("DropTable", this, &TableService::DropTable);
  Unary("ListTables", this, &TableService::ListTables);
  Unary("Lookup", this, &TableService::Lookup);
  Unary("Apply", this, &TableService::Apply);
  Unary("Assign", this, &TableService::Assign);
  Unary("AssignAdd", this, &TableService::AssignAdd);
  Unary("Reinitialize", this, &TableService::Reinitialize);
  Unary("Erase", this, &TableService::Erase);
  Unary("Evict", this, &TableService::Evict);
  Unary("LookupEntries", this, &TableService::LookupEntries);
  Unary("ScanIds", this, &TableService::ScanIds);
  Unary("CreateVariable", this, &TableService::CreateVariable);
  Unary("DropVariable", this, &TableService::DropVariable);
  Unary("ListVariables", this, &TableService::ListVariables);
  Unary("ReadVariables", this, &TableService::ReadVariables);
  Unary("ApplyVariables", this, &TableService::ApplyVariables);
  Unary("AssignVariables", this, &TableService::AssignVariables);
  Unary("Save", this, &TableService::Save);
  Unary("Restore", this, &TableService::Restore);
  Unary("Stats", this, &TableService::Stats);
}

Result<v1::CreateTableResponse> TableService::CreateTable(const v1::CreateTableRequest& request,
                                                          const rpc::Call& call) {
  return store_->CreateTable(request, call.cancellation());
}

Result<v1::AlterTableResponse> TableService::AlterTable(const v1::AlterTableRequest& request,
                                                        const rpc::Call& call) {
  return store_->AlterTable(request, call.cancellation());
}

Result<v1::DropTableResponse> TableService::DropTable(const v1::DropTableRequest& request,
                                                      const rpc::Call& call) {
  return store_->DropTable(request, call.cancellation());
}

Result<v1::ListTablesResponse> TableService::ListTables(const v1::ListTablesRequest& request,
                                                        const rpc::Call&) {
  return store_->ListTables(request);
}

Result<v1::LookupResponse> TableService::Lookup(const v1::LookupRequest& request,
                                                const rpc::Call&) {
  return store_->Lookup(request);
}

Result<v1::ApplyResponse> TableService::Apply(const v1::ApplyRequest& request,
                                              const rpc::Call& call) {
  return store_->Apply(request, call.cancellation());
}

Result<v1::AssignResponse> TableService::Assign(const v1::AssignRequest& request,
                                                const rpc::Call& call) {
  return store_->Assign(request, call.cancellation());
}

Result<v1::AssignResponse> TableService::AssignAdd(const v1::AssignRequest& request,
                                                   const rpc::Call& call) {
  return store_->AssignAdd(request, call.cancellation());
}

Result<v1::ReinitializeResponse> TableService::Reinitialize(const v1::ReinitializeRequest& request,
                                                            const rpc::Call& call) {
  return store_->Reinitialize(request, call.cancellation());
}

Result<v1::EraseResponse> TableService::Erase(const v1::EraseRequest& request,
                                              const rpc::Call& call) {
  return store_->Erase(request, call.cancellation());
}

Result<v1::EvictResponse> TableService::Evict(const v1::EvictRequest& request,
                                              const rpc::Call& call) {
  return store_->Evict(request, call.cancellation());
}

Result<v1::LookupEntriesResponse> TableService::LookupEntries(
    const v1::LookupEntriesRequest& request, const rpc::Call&) {
  return store_->LookupEntries(request);
}

Result<v1::ScanIdsResponse> TableService::ScanIds(const v1::ScanIdsRequest& request,
                                                  const rpc::Call&) {
  return store_->ScanIds(request);
}

Result<v1::CreateVariableResponse> TableService::CreateVariable(
    const v1::CreateVariableRequest& request, const rpc::Call& call) {
  return store_->CreateVariable(request, call.cancellation());
}

Result<v1::DropVariableResponse> TableService::DropVariable(const v1::DropVariableRequest& request,
                                                            const rpc::Call& call) {
  return store_->DropVariable(request, call.cancellation());
}

Result<v1::ListVariablesResponse> TableService::ListVariables(
    const v1::ListVariablesRequest& request, const rpc::Call&) {
  return store_->ListVariables(request);
}

Result<v1::ReadVariablesResponse> TableService::ReadVariables(
    const v1::ReadVariablesRequest& request, const rpc::Call&) {
  return store_->ReadVariables(request);
}

Result<v1::ApplyVariablesResponse> TableService::ApplyVariables(
    const v1::ApplyVariablesRequest& request, const rpc::Call& call) {
  return store_->ApplyVariables(request, call.cancellation());
}

Result<v1::AssignVariablesResponse> TableService::AssignVariables(
    const v1::AssignVariablesRequest& request, const rpc::Call& call) {
  return store_->AssignVariables(request, call.cancellation());
}

Result<v1::SaveResponse> TableService::Save(const v1::SaveRequest& request, const rpc::Call& call) {
  return store_->Save(request, call.cancellation());
}

Result<v1::RestoreResponse> TableService::Restore(const v1::RestoreRequest& request,
                                                  const rpc::Call& call) {
  return store_->Restore(request, call.cancellation());
}

Result<v1::StatsResponse> TableService::Stats(const v1::StatsRequest& request, const rpc::Call&) {
  return store_->Stats(request);
}

Result<ServiceList> MakeParameterServer(const ParameterServerConfig& config,
                                        ServiceContext& context) {
  ASSIGN_OR_RETURN(auto service, TableService::Make(config, context));
  ASSIGN_OR_RETURN(ServiceList list, service->StartSync());
  list.push_back(std::move(service));
  list.push_back(std::make_unique<CoordinationService>(config));
  return list;
}

ServiceSpec ParameterServerSpec() {
  const auto config = std::make_shared<ParameterServerConfig>();
  return {
      .name = "parameter_server",
      .description = "Holds embedding tables: looks rows up and applies gradients to them.",
      .add_fields =
          [config](config::Loader& loader) {
            loader.Add<ParameterServerConfig>(kParameterServerFields, config.get());
            loader.Add<SyncConfig>(kSyncFields, &config->sync, "sync_");
          },
      .make = [config](ServiceContext& context) { return MakeParameterServer(*config, context); },
      .on_started = nullptr};
}

}  // namespace megalith::services

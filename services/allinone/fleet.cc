#include "services/allinone/fleet.h"

#include <grpcpp/channel.h>

#include "services/agent/agent_service.h"
#include "services/cache/cache_service.h"
#include "services/common/info_service.h"
#include "services/compile/compile_service.h"
#include "services/execute/execute_service.h"
#include "services/parameter_server/table_service.h"
#include "services/trace/trace_service.h"

namespace megalith::config {

template <>
struct EnumWords<services::Transport> {
  static constexpr std::string_view kWords[] = {"inprocess", "tcp"};
};

}  // namespace megalith::config

namespace megalith::services {
namespace {

constexpr config::ConfigField<FleetConfig> kFleetFields[] = {
    config::Field<&FleetConfig::transport>("transport",
                                           "how services of this process call each other: "
                                           "directly, or through the first listening socket"),
};

}  // namespace

Result<ServiceList> MakeFleet(const FleetConfig& config, const Engines& engines,
                              ServiceContext& context) {
  ASSIGN_OR_RETURN(auto cache, CacheService::Make(config.cache, context));
  ASSIGN_OR_RETURN(auto trace_engine, engines.trace(config.trace));
  ASSIGN_OR_RETURN(auto compile_engine, engines.compile());
  ASSIGN_OR_RETURN(auto execute_engine, engines.execute());
  const std::shared_ptr<rpc::Channel> local = context.process.LocalChannel();
  ServiceList list;
  list.push_back(std::move(cache));
  list.push_back(std::make_unique<TraceService>(config.trace, std::move(trace_engine), context));
  list.push_back(
      std::make_unique<CompileService>(config.compile, std::move(compile_engine), local, context));
  list.push_back(std::make_unique<ExecuteService>(
      config.execute, std::move(execute_engine),
      ExecutePeers{.trace = local, .compile = local, .cache = local}, context));
  ASSIGN_OR_RETURN(ServiceList tables, MakeParameterServer(config.tables, context));
  for (auto& service : tables) list.push_back(std::move(service));
  if (!config.agent.conf.empty()) {
    ASSIGN_OR_RETURN(const agent::AgentConfig agent_config,
                     agent::LoadAgentConfig(config.agent.conf, config::ProcessEnvironment(),
                                            agent::ThisHost(), context.process.files()));
    ASSIGN_OR_RETURN(auto agent, MakeAgent(agent_config, context, config.agent));
    list.push_back(std::move(agent));
  }
  return list;
}

ServiceSpec AllInOneSpec(const Engines& engines) {
  const auto config = std::make_shared<FleetConfig>();
  return {
      .name = "allinone",
      .description = "The whole fleet in one process.",
      .add_fields =
          [config](config::Loader& loader) {
            loader.Add<FleetConfig>(kFleetFields, config.get());
            loader.Add<CacheServiceConfig>(kCacheServiceFields, &config->cache, "cache_");
            loader.Add<TraceServiceConfig>(kTraceServiceFields, &config->trace, "trace_");
            loader.Add<CompileServiceConfig>(kCompileServiceFields, &config->compile, "compile_");
            loader.Add<ExecuteServiceConfig>(kExecuteServiceFields, &config->execute, "execute_");
            loader.Add<ParameterServerConfig>(kParameterServerFields, &config->tables, "table_");
            loader.Add<SyncConfig>(kSyncFields, &config->tables.sync, "table_sync_");
            loader.Add<AgentServiceConfig>(kAgentServiceFields, &config->agent, "agent_");
          },
      .make = [config,
               engines](ServiceContext& context) { return MakeFleet(*config, engines, context); },
      .on_started =
          [config](ServiceContext& context, rpc::Server& server) {
            return context.process.BindLocal(server, config->transport == Transport::kTcp);
          },
      .own_fleet_key = true};
}

Result<std::unique_ptr<EmbeddedFleet>> EmbeddedFleet::Start(Options options,
                                                            const Engines& engines) {
  std::unique_ptr<EmbeddedFleet> fleet(new EmbeddedFleet(std::move(options)));
  const Options& o = fleet->options_;
  fleet->data_directory_ = o.data_directory;
  if (o.data_directory.empty()) {
    fleet->temporary_ = std::make_unique<TempDirectory>();
    fleet->data_directory_ = fleet->temporary_->path();
  }
  fleet->process_ = std::make_unique<rpc::Process>(o.process, fleet->metrics_, fleet->discovery_,
                                                   RealFileSystem(), RealClock());
  ASSIGN_OR_RETURN(fleet->ledger_,
                   ledger::Ledger::Open({.directory = JoinPath(fleet->data_directory_, "ledger"),
                                         .service = "fleet"},
                                        fleet->metrics_));
  fleet->context_ =
      std::make_unique<ServiceContext>(ServiceContext{.process = *fleet->process_,
                                                      .ledger = *fleet->ledger_,
                                                      .data_directory = fleet->data_directory_});
  if (o.seal_packages) {
    ASSIGN_OR_RETURN(fleet->context_->fleet_key,
                     cache::FleetKey::ReadOrMake(JoinPath(fleet->data_directory_, kFleetKeyName),
                                                 fleet->process_->files()));
  }
  ASSIGN_OR_RETURN(ServiceList services, MakeFleet(o.fleet, engines, *fleet->context_));
  AddCommonServices("embedded", *fleet->context_, &services);
  ASSIGN_OR_RETURN(fleet->server_, rpc::Server::Start(rpc::ServerOptionsOf(o.process),
                                                      std::move(services), fleet->metrics_));
  RETURN_IF_ERROR(
      fleet->process_->BindLocal(*fleet->server_, o.fleet.transport == Transport::kTcp));
  rpc::ChannelOptions channel_options = rpc::ChannelOptionsOf(o.process, fleet->metrics_);
  fleet->channel_ = rpc::Channel::Wrap(fleet->server_->InProcessChannel(), channel_options);
  return fleet;
}

EmbeddedFleet::~EmbeddedFleet() {
  if (server_ != nullptr) server_->Drain(options_.process.drain);
}

}  // namespace megalith::services

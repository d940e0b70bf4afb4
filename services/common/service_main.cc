#include "services/common/service_main.h"

#include <optional>

#include "common/foundation/base/file_system.h"
#include "common/foundation/base/version.h"
#include "services/common/info_service.h"

namespace megalith::services {
namespace {

constexpr config::ConfigField<ServiceConfig> kFields[] = {
    config::Field<&ServiceConfig::data_dir>("data_dir",
                                            "where the ledger and stored data live; empty means a "
                                            "temporary directory that is removed at exit"),
    config::Field<&ServiceConfig::fleet_key_file>(
        "fleet_key_file",
        "file with the secret of the fleet, by which compile marks the packages it makes and "
        "execute knows them: the same for both; empty: none, or the all-in-one process makes one "
        "in data_dir"),
};

// What lives as long as the process serves.
struct State {
  std::optional<TempDirectory> temporary;
  std::unique_ptr<ledger::Ledger> ledger;
  std::optional<ServiceContext> context;
};

Result<ServiceList> MakeServices(const ServiceSpec& spec, const ServiceConfig& config,
                                 rpc::Process& process, State* state) {
  std::string directory = config.data_dir;
  if (directory.empty()) directory = state->temporary.emplace().path();
  RETURN_IF_ERROR(process.files().MakeDirectory(directory));
  ASSIGN_OR_RETURN(
      state->ledger,
      ledger::Ledger::Open({.directory = JoinPath(directory, "ledger"), .service = spec.name},
                           process.metrics(), process.files(), process.clock()));
  state->context.emplace(ServiceContext{.process = process,
                                        .ledger = *state->ledger,
                                        .data_directory = directory,
                                        .data_is_temporary = state->temporary.has_value()});
  if (!config.fleet_key_file.empty()) {
    ASSIGN_OR_RETURN(state->context->fleet_key,
                     cache::FleetKey::Read(config.fleet_key_file, process.files()));
  } else if (spec.own_fleet_key) {
    ASSIGN_OR_RETURN(
        state->context->fleet_key,
        cache::FleetKey::ReadOrMake(JoinPath(directory, kFleetKeyName), process.files()));
  }
  ASSIGN_OR_RETURN(ServiceList services, spec.make(*state->context));
  AddCommonServices(spec.name, *state->context, &services);
  return services;
}

void RecordLifecycle(ledger::Ledger& ledger, const std::string& decision) {
  ledger::Entry entry;
  entry.kind = ledger::Kind::kLifecycle;
  entry.policy = "operator";
  entry.decision = decision;
  entry.outcome = "ok";
  entry.evidence = {{"version", std::string(kVersion)}};
  // Recording the start must not keep a process from starting; the ledger logs its own failures.
  (void)ledger.AppendLater(std::move(entry));
}

}  // namespace

void AddFields(const ServiceSpec& spec, ServiceConfig* config, config::Loader* loader) {
  loader->Add<rpc::ProcessConfig>(rpc::ProcessFields(), &config->process);
  loader->Add<ServiceConfig>(kFields, config);
  if (spec.add_fields) spec.add_fields(*loader);
}

int RunService(int argc, char** argv, const ServiceSpec& spec) {
  ServiceConfig config;
  config::Loader loader(spec.name, spec.description);
  AddFields(spec, &config, &loader);
  State state;
  const rpc::ProcessHooks hooks{
      .on_configured = [&]() -> Status {
        return spec.on_configured ? spec.on_configured(loader, &config.process) : OkStatus();
      },
      .make_services =
          [&](rpc::Process& process) { return MakeServices(spec, config, process, &state); },
      .on_started = [&](rpc::Process&, rpc::Server& server) -> Status {
        RecordLifecycle(*state.ledger, "start");
        return spec.on_started ? spec.on_started(*state.context, server) : OkStatus();
      },
      .on_draining = spec.on_draining,
      .on_ended =
          [&] {
            if (state.ledger != nullptr) RecordLifecycle(*state.ledger, "stop");
            state.ledger.reset();
          }};
  return rpc::RunProcess(argc, argv, loader, config.process, hooks);
}

}  // namespace megalith::services

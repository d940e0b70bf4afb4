// megalithctl services: what runs and whether it serves.
#include <nlohmann/json.hpp>

#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "common/fleet/stubs/health_client.h"
#include "common/foundation/base/strings.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

Status RunServices(Session& session, const Arguments&) {
  ASSIGN_OR_RETURN(auto channel, session.Fleet());
  ASSIGN_OR_RETURN(const auto options, session.CallOptions());
  const stubs::HealthClient client(std::move(channel));
  ASSIGN_OR_RETURN(const stubs::ProcessInfo info, client.GetInfo(options));
  Json services = Json::array();
  TextTable table({"service", "health"});
  bool all_serve = true;
  for (const std::string& name : info.services) {
    const Result<bool> serving = client.IsServing(name, options);
    all_serve = all_serve && serving.ok() && *serving;
    const std::string health = !serving.ok() ? serving.status().ToString()
                               : *serving    ? "serving"
                                             : "not serving";
    services.push_back({{"name", name}, {"serving", serving.ok() && *serving}});
    table.Add({name, health});
  }
  session.Print(Json{{"process", info.process},
                     {"version", info.version},
                     {"started_unix_nanos", info.started_unix_nanos},
                     {"services", services}}
                    .dump(),
                StrCat(info.process, " ", info.version, "\n", table.Render()));
  return all_serve ? OkStatus() : Status(Code::kAborted, "not every service serves");
}

constexpr CommandDef kCommands[] = {
    {.name = "services",
     .positional = "",
     .min_positional = 0,
     .max_positional = 0,
     .help = "Print the version of a process, its services and their health. Exit code 1 if one "
             "does not serve.",
     .flags = {},
     .run = RunServices},
};

}  // namespace

std::span<const CommandDef> ServicesCommands() { return kCommands; }

}  // namespace megalith::cli

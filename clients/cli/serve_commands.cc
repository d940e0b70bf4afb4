// megalithctl serve: a directory of programs over TensorFlow Serving's API, with nothing else
// running.
#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "clients/cli/families.h"
#include "clients/cli/session.h"
#include "common/fleet/rpc/server.h"
#include "common/foundation/base/strings.h"
#include "common/machines/backends/backends.h"
#include "services/execute/serving/model_serving.h"

namespace megalith::cli {
namespace {

using Json = nlohmann::json;

constexpr char kDefaultListen[] = "127.0.0.1:8500";
constexpr std::chrono::milliseconds kDrain{10'000};

Result<std::vector<serving::ModelConfig>> ModelsOf(Session& session, const std::string& word) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(word, error).lexically_normal().string();
  if (error) return InvalidArgument(StrCat(Printable(word), ": ", error.message()));
  return serving::FindModels(session.files(), path);
}

// What is served, once it is.
void Announce(Session& session, const rpc::Server& server, services::ModelServing& serving) {
  Json json = {{"addresses", server.addresses()}, {"models", Json::array()}};
  TextTable table({"model", "version", "signatures"});
  for (const serving::ModelConfig& model : serving.models().models()) {
    const auto servable = serving.models().Find({.name = model.name, .version = {}, .label = {}});
    if (!servable.ok()) continue;
    std::vector<std::string> signatures;
    for (const auto& [name, signature] : (*servable)->signatures) signatures.push_back(name);
    json["models"].push_back(
        {{"name", model.name}, {"version", (*servable)->version}, {"signatures", signatures}});
    table.Add({model.name, StrCat((*servable)->version), Join(signatures, " ")});
  }
  session.Print(json.dump(),
                StrCat(table.Render(), "\nserving on ", Join(server.addresses(), ", ")));
  session.Flush();
}

Status RunServe(Session& session, const Arguments& arguments) {
  ASSIGN_OR_RETURN(std::vector<serving::ModelConfig> models,
                   ModelsOf(session, arguments.positional()[0]));
  ASSIGN_OR_RETURN(const int64_t threads, arguments.GetPositive("threads", 16));
  services::ModelServingConfig config;
  ASSIGN_OR_RETURN(const auto serving, services::ModelServing::Start(
                                           config, std::move(models), machines::AllBackends(),
                                           session.files(), RealClock(), session.cancellation()));
  telemetry::MetricRegistry metrics;
  rpc::ServerOptions options;
  options.listen = arguments.GetAll("listen");
  if (options.listen.empty()) options.listen.emplace_back(kDefaultListen);
  ASSIGN_OR_RETURN(
      const auto server,
      rpc::Server::Start(options, serving->MakeServices({.unary = static_cast<size_t>(threads)}),
                         metrics, session.files()));
  Announce(session, *server, *serving);
  while (session.CheckCancelled().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  server->Drain(kDrain);
  return OkStatus();
}

constexpr auto kFlags = std::to_array<FlagDef>({
    {.name = "listen",
     .value_name = "ADDRESS",
     .help = "host:port or unix:/path to serve on, 127.0.0.1:8500 without any; port 0 picks one",
     .repeated = true},
    {.name = "threads", .value_name = "N", .help = "requests that run at the same time (16)"},
});

constexpr CommandDef kCommands[] = {
    {.name = "serve",
     .positional = "DIR",
     .min_positional = 1,
     .max_positional = 1,
     .help = "Serve the models in a directory over TensorFlow Serving's API until interrupted. A "
             "model is a folder with numbered versions, or a program by itself: what jax.export or "
             "megalith.save_program wrote, StableHLO, or an executable package.",
     .flags = kFlags,
     .run = RunServe,
     .examples = "megalithctl serve models\n"
                 "megalithctl serve models/ranker --listen 127.0.0.1:9000"},
};

}  // namespace

std::span<const CommandDef> ServeCommands() { return kCommands; }

}  // namespace megalith::cli

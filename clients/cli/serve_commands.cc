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

constexpr char kDefaultHost[] = "127.0.0.1";
constexpr int kDefaultPort = 8500;
constexpr std::chrono::milliseconds kDrain{10'000};

using services::ModelServingConfig;

constexpr auto kOwnFlags = std::to_array<FlagDef>({
    {.name = "listen",
     .value_name = "ADDRESS",
     .help = "host:port or unix:/path to serve on, 127.0.0.1:8500 without any; port 0 picks one",
     .repeated = true},
    {.name = "threads", .value_name = "N", .help = "requests that run at the same time (16)"},
});

// The settings of a model server are flags too.
constexpr auto kSettings = [] {
  std::array<FlagDef, std::size(services::kModelServingFields)> out{};
  for (size_t i = 0; i < out.size(); ++i) {
    const config::FieldSpec& spec = services::kModelServingFields[i].spec;
    const bool is_bool = spec.kind == config::FieldKind::kBool;
    const bool is_text = spec.kind == config::FieldKind::kString;
    out[i] = {.name = spec.name,
              .value_name = is_bool   ? "BOOL"
                            : is_text ? "TEXT"
                                      : "N",
              .help = spec.help,
              .words = is_bool ? "true false" : "",
              .optional_value = is_bool};
  }
  return out;
}();

// Flags of tensorflow_model_server that say the same as one of ours.
constexpr auto kStockFlags = std::to_array<FlagDef>({
    {.name = "port", .value_name = "N", .help = "serve gRPC on 127.0.0.1:N as well"},
    {.name = "grpc_socket_path",
     .value_name = "PATH",
     .help = "serve gRPC on a UNIX socket as well"},
    {.name = "grpc_max_threads", .value_name = "N", .help = "as --threads"},
});

// Its other flags. Those without a word on what to do instead are taken, so that command lines
// written for it go on working, and mean nothing here; the meaning of the others would be lost.
struct OtherFlag {
  std::string_view name;
  bool is_switch = false;
  std::string_view instead = "";
};
constexpr std::string_view kUseTls =
    "run megalith-execute with --tls_certificate_file, --tls_key_file and --tls_client_ca_file";
constexpr auto kOthers = std::to_array<OtherFlag>({
    {"enable_grpc_healthcheck_service", true},
    {"enable_profiler", true},
    {"flush_filesystem_caches", true},
    {"grpc_channel_arguments", false, "gRPC's own limits apply; leave the flag out"},
    {"mixed_precision", false, "export the program in the precision that it should run in"},
    {"num_tflite_interpreters_per_pool", false},
    {"num_tflite_pools", false},
    {"num_unload_threads", false},
    {"per_process_gpu_memory_fraction", false},
    {"platform_config_file", false, "there is one platform; leave the flag out"},
    {"prefer_tflite_model", true},
    {"remove_unused_fields_from_bundle_metagraph", true},
    {"saved_model_tags", false},
    {"skip_initialize_tpu", true},
    {"ssl_config_file", false, kUseTls},
    {"tensorflow_inter_op_parallelism", false},
    {"tensorflow_intra_op_parallelism", false},
    {"tensorflow_session_config_file", false, "no TensorFlow runs here; leave the flag out"},
    {"tensorflow_session_parallelism", false},
    {"thread_pool_factory_config_file", false,
     "give --threads, or num_batch_threads in --batching_parameters_file"},
    {"use_alts_credentials", true, kUseTls},
    {"xla_cpu_compilation_enabled", true},
    {"xla_gpu_compilation_enabled", true},
});

constexpr auto kOtherFlags = [] {
  std::array<FlagDef, kOthers.size()> out{};
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = {.name = kOthers[i].name,
              .value_name = kOthers[i].is_switch ? "BOOL" : "VALUE",
              .help = kOthers[i].instead.empty() ? "of tensorflow_model_server; no effect here"
                                                 : "of tensorflow_model_server; refused",
              .optional_value = kOthers[i].is_switch};
  }
  return out;
}();

constexpr auto kFlags = JoinFlags(kOwnFlags, kSettings, kStockFlags, kOtherFlags);

// Says which flags do nothing. Errors: kUnimplemented  one that must not be passed over.
Status CheckOtherFlags(Session& session, const Arguments& arguments) {
  for (const OtherFlag& flag : kOthers) {
    // A switch that is off asks for nothing.
    if (!arguments.Has(flag.name) || (flag.is_switch && arguments.Get(flag.name) == "false"))
      continue;
    if (!flag.instead.empty())
      return Unimplemented(StrCat("flag --", flag.name, " is not supported: ", flag.instead));
    session.Note(StrCat("--", flag.name, " has no effect here"));
  }
  return OkStatus();
}

// What gRPC listens on.
Result<std::vector<std::string>> ListenOf(const Arguments& arguments) {
  std::vector<std::string> out = arguments.GetAll("listen");
  ASSIGN_OR_RETURN(const std::optional<int64_t> port, arguments.GetInt("port"));
  if (port && (*port < 0 || *port > 65535))
    return InvalidArgument(StrCat("flag --port expects 0 to 65535, got ", *port));
  if (port && *port > 0) out.push_back(StrCat(kDefaultHost, ":", *port));
  if (arguments.Has("grpc_socket_path"))
    out.push_back(StrCat("unix:", arguments.Get("grpc_socket_path")));
  if (out.empty()) out.push_back(StrCat(kDefaultHost, ":", kDefaultPort));
  return out;
}

Result<ModelServingConfig> ConfigOf(const Arguments& arguments) {
  ModelServingConfig out;
  for (const auto& field : services::kModelServingFields) {
    if (!arguments.Has(field.spec.name)) continue;
    RETURN_IF_ERROR(field.set(out, field.spec, arguments.Get(field.spec.name))
                        .Annotate(StrCat("flag --", field.spec.name)));
  }
  return out;
}

Result<std::vector<serving::ModelConfig>> ModelsOf(Session& session, const std::string& word) {
  std::error_code error;
  const std::string path = std::filesystem::absolute(word, error).lexically_normal().string();
  if (error) return InvalidArgument(StrCat(Printable(word), ": ", error.message()));
  return serving::FindModels(session.files(), path);
}

// What is served, once it is.
void Announce(Session& session, const rpc::Server& server, services::ModelServing& serving) {
  Json json = {{"addresses", server.addresses()}, {"models", Json::array()}};
  const std::string rest = serving.rest_address();
  if (!rest.empty()) json["rest_address"] = rest;
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
                StrCat(table.Render(), "\nserving on ", Join(server.addresses(), ", "),
                       rest.empty() ? "" : StrCat(", REST on http://", rest, "/v1/models")));
  session.Flush();
}

// The models in DIR, or those of the flags.
Result<std::unique_ptr<services::ModelServing>> StartServing(Session& session,
                                                             const Arguments& arguments) {
  ASSIGN_OR_RETURN(const ModelServingConfig config, ConfigOf(arguments));
  if (arguments.positional().empty()) {
    if (!config.any()) {
      return InvalidArgument(
          "serve needs a directory of models, --model_base_path or --model_config_file");
    }
    return services::ModelServing::Start(config, machines::AllBackends(), session.files(),
                                         RealClock(), session.cancellation());
  }
  if (config.any()) {
    return InvalidArgument(
        "give a directory of models, or --model_base_path or --model_config_file, not both");
  }
  ASSIGN_OR_RETURN(std::vector<serving::ModelConfig> models,
                   ModelsOf(session, arguments.positional()[0]));
  return services::ModelServing::Start(config, std::move(models), machines::AllBackends(),
                                       session.files(), RealClock(), session.cancellation());
}

Status RunServe(Session& session, const Arguments& arguments) {
  RETURN_IF_ERROR(CheckOtherFlags(session, arguments));
  rpc::ServerOptions options;
  ASSIGN_OR_RETURN(options.listen, ListenOf(arguments));
  ASSIGN_OR_RETURN(const int64_t most, arguments.GetPositive("grpc_max_threads", 16));
  ASSIGN_OR_RETURN(const int64_t threads, arguments.GetPositive("threads", most));
  ASSIGN_OR_RETURN(const auto serving, StartServing(session, arguments));
  telemetry::MetricRegistry metrics;
  ASSIGN_OR_RETURN(
      const auto server,
      rpc::Server::Start(options, serving->MakeServices({.unary = static_cast<size_t>(threads)}),
                         metrics, session.files()));
  RETURN_IF_ERROR(serving->StartRest(server->addresses()));
  Announce(session, *server, *serving);
  while (session.CheckCancelled().ok()) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  std::thread rest([&serving] { serving->DrainRest(kDrain); });
  server->Drain(kDrain);
  rest.join();
  return OkStatus();
}

constexpr CommandDef kCommands[] = {
    {.name = "serve",
     .positional = "[DIR]",
     .min_positional = 0,
     .max_positional = 1,
     .help = "Serve the models in a directory over TensorFlow Serving's API until interrupted. A "
             "model is a folder with numbered versions, or a program by itself: what jax.export or "
             "megalith.save_program wrote, StableHLO, or an executable package.",
     .flags = kFlags,
     .run = RunServe,
     .examples = "megalithctl serve models\n"
                 "megalithctl serve models/ranker --listen 0.0.0.0:8500 --rest_api_port 8501\n"
                 "megalithctl serve --model_config_file=/etc/models.config"},
};

}  // namespace

std::span<const CommandDef> ServeCommands() { return kCommands; }

}  // namespace megalith::cli

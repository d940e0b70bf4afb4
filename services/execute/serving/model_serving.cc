#include "services/execute/serving/model_serving.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/learning/serving/batching/batching_loader.h"
#include "common/learning/serving/serving_proto.h"
#include "common/machines/runtime/backend.h"

namespace megalith::services {
namespace {

constexpr uint64_t kMaxConfigBytes = 64 << 20;
// Of the threads that run batches, where no file names them (a label of metrics).
constexpr char kBatchThreads[] = "model_server_batch_threads";

serving::ManagerOptions ManagerOptionsOf(const ModelServingConfig& config) {
  return {.poll_interval = std::chrono::seconds(config.file_system_poll_wait_seconds),
          .load_threads = static_cast<uint32_t>(std::max(1, config.num_load_threads)),
          .max_load_retries = static_cast<uint32_t>(config.max_num_load_retries),
          .load_retry_interval = std::chrono::duration_cast<std::chrono::milliseconds>(
              std::chrono::microseconds(config.load_retry_interval_micros)),
          .labels_for_unavailable = config.allow_version_labels_for_unavailable_models};
}

serving::InferenceOptions InferenceOptionsOf(const ModelServingConfig& config) {
  return {.check_method_name = config.enable_signature_method_name_check};
}

RestApiOptions RestApiOptionsOf(const ModelServingConfig& config,
                                const serving::MonitoringSettings& monitoring,
                                serving::ServingMetrics* metrics) {
  return {.inference = InferenceOptionsOf(config),
          .max_input_bytes = static_cast<uint64_t>(config.max_input_bytes),
          .cors = config.rest_api_enable_cors_support,
          .metrics = metrics,
          .metrics_path = monitoring.enabled ? monitoring.path : ""};
}

size_t RestThreadsOf(const ModelServingConfig& config) {
  if (config.rest_api_num_threads > 0) return static_cast<size_t>(config.rest_api_num_threads);
  return 4 * std::max(1u, std::thread::hardware_concurrency());
}

constexpr char kLoopback[] = "127.0.0.1";

// Of the first address that is host:port.
std::string HostOf(const std::vector<std::string>& addresses) {
  for (const std::string& address : addresses) {
    if (!address.starts_with("unix:")) return address.substr(0, address.rfind(':'));
  }
  return kLoopback;
}

Result<std::vector<serving::ModelConfig>> ReadConfigFile(const std::string& path,
                                                         FileSystem& files) {
  ASSIGN_OR_RETURN(const std::string text, files.Read(path, kMaxConfigBytes));
  ASSIGN_OR_RETURN(const auto config, serving::ParseModelServerConfig(text).Annotate(path));
  if (!config.has_model_config_list())
    return InvalidArgument(StrCat(path, ": there is no model_config_list"));
  return serving::ModelConfigsOf(config.model_config_list()).Annotate(path);
}

}  // namespace

Result<ModelServing::Settings> ModelServing::ReadSettings(const ModelServingConfig& config,
                                                          FileSystem& files) {
  Settings out;
  const bool batched = config.enable_batching || config.enable_per_model_batching_parameters;
  if (!config.batching_parameters_file.empty()) {
    if (!batched)
      return InvalidArgument("batching_parameters_file is given without enable_batching");
    ASSIGN_OR_RETURN(const std::string text,
                     files.Read(config.batching_parameters_file, kMaxConfigBytes));
    ASSIGN_OR_RETURN(out.batching, serving::ParseBatchingParameters(text).Annotate(
                                       config.batching_parameters_file));
  } else if (batched) {
    out.batching = serving::BatchingParameters{.pool_name = kBatchThreads};
  }
  if (!config.monitoring_config_file.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     files.Read(config.monitoring_config_file, kMaxConfigBytes));
    ASSIGN_OR_RETURN(out.monitoring,
                     serving::ParseMonitoringConfig(text).Annotate(config.monitoring_config_file));
  }
  return out;
}

// Programs of folders, in batches, warmed up.
std::unique_ptr<serving::Loader> ModelServing::MakeLoader(ModelServing* self) {
  const ModelServingConfig& config = self->config_;
  auto loader =
      serving::MakeFolderLoader(*self->backends_, self->files_, serving::ParseSignatureFile);
  if (self->settings_.batching) {
    const serving::BatchingParameters& batching = *self->settings_.batching;
    self->batch_metrics_.emplace(self->metrics_, batching.pool_name);
    const auto threads = static_cast<size_t>(
        batching.threads.value_or(std::max(1u, std::thread::hardware_concurrency())));
    serving::BatchingParser parser;
    if (config.enable_per_model_batching_parameters) parser = serving::ParseBatchingParameters;
    loader =
        serving::MakeBatchingLoader(std::move(loader),
                                    std::make_shared<serving::BatchScheduler>(
                                        threads, "batch", &*self->batch_metrics_, self->clock_),
                                    batching.options, std::move(parser), self->files_);
  }
  if (!config.enable_model_warmup) return loader;
  const auto max_bytes = static_cast<uint64_t>(config.max_input_bytes);
  return serving::MakeWarmupLoader(
      std::move(loader),
      [max_bytes](std::string_view record) {
        return serving::ParsePredictionLog(record, max_bytes);
      },
      {.iterations = static_cast<uint32_t>(config.num_request_iterations_for_warmup),
       .inference = InferenceOptionsOf(config),
       .observer = [self](
                       const std::string& path, Code code, uint64_t records,
                       double seconds) { self->metrics_.OnWarmup(path, code, records, seconds); }},
      self->files_);
}

ModelServing::ModelServing(const ModelServingConfig& config, Settings settings,
                           std::shared_ptr<const runtime::BackendRegistry> backends,
                           FileSystem& files, const Clock& clock)
    : config_(config),
      backends_(std::move(backends)),
      files_(files),
      clock_(clock),
      settings_(std::move(settings)),
      models_(std::make_unique<serving::ModelManager>(ManagerOptionsOf(config_), MakeLoader(this),
                                                      files_, clock_)),
      rest_api_(RestApiOptionsOf(config_, settings_.monitoring, &metrics_), *models_) {
  server_ = std::make_shared<ModelServer>(
      ModelServerOptions{.inference = InferenceOptionsOf(config_),
                         .max_input_bytes = static_cast<uint64_t>(config_.max_input_bytes),
                         .answer_as_content = config_.enable_serialization_as_tensor_content,
                         .metrics = &metrics_},
      *models_);
}

ModelServing::~ModelServing() {
  {
    const std::lock_guard<std::mutex> lock(mu_);
    stopping_ = true;
  }
  stop_.Cancel();
  wake_.notify_all();
  if (poller_.joinable()) poller_.join();
}

Result<std::unique_ptr<ModelServing>> ModelServing::Start(
    const ModelServingConfig& config, std::vector<serving::ModelConfig> models,
    std::shared_ptr<const runtime::BackendRegistry> backends, FileSystem& files, const Clock& clock,
    const Cancellation& cancellation) {
  ASSIGN_OR_RETURN(Settings settings, ReadSettings(config, files));
  std::unique_ptr<ModelServing> out(
      new ModelServing(config, std::move(settings), std::move(backends), files, clock));
  RETURN_IF_ERROR(out->models_->Configure(std::move(models), cancellation));
  return out;
}

Result<std::unique_ptr<ModelServing>> ModelServing::Start(
    const ModelServingConfig& config, std::shared_ptr<const runtime::BackendRegistry> backends,
    FileSystem& files, const Clock& clock, const Cancellation& cancellation) {
  std::vector<serving::ModelConfig> models;
  if (!config.model_config_file.empty()) {
    ASSIGN_OR_RETURN(models, ReadConfigFile(config.model_config_file, files));
  } else {
    models.push_back(
        {.name = config.model_name, .base_path = config.model_base_path, .platform = "tensorflow"});
  }
  ASSIGN_OR_RETURN(
      auto out, Start(config, std::move(models), std::move(backends), files, clock, cancellation));
  if (!config.model_config_file.empty() && config.model_config_file_poll_wait_seconds > 0)
    out->poller_ = std::thread([serving = out.get()] { serving->PollConfigFile(); });
  return out;
}

void ModelServing::PollConfigFile() {
  SetThreadName("model-config");
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mu_);
      wake_.wait_for(lock, std::chrono::seconds(config_.model_config_file_poll_wait_seconds),
                     [this] { return stopping_; });
      if (stopping_) return;
    }
    Result<std::vector<serving::ModelConfig>> models =
        ReadConfigFile(config_.model_config_file, files_);
    const Status status =
        models.ok() ? models_->Configure(*std::move(models), stop_) : models.status();
    if (!status.ok()) {
      telemetry::Log(telemetry::Level::warn, "model_config_rejected",
                     {{"path", config_.model_config_file}, {"error", status.message()}});
    }
  }
}

Status ModelServing::StartRest(const std::vector<std::string>& grpc_addresses,
                               std::optional<uint16_t> port) {
  if (!port && config_.rest_api_port == 0) {
    if (!settings_.monitoring.enabled) return OkStatus();
    return InvalidArgument(
        "the metrics that monitoring_config_file asks for are offered on the REST port: give "
        "rest_api_port too");
  }
  const std::string number = StrCat(port ? *port : config_.rest_api_port);
  for (const std::string& address : grpc_addresses) {
    if (number != "0" && address.ends_with(StrCat(":", number))) {
      return InvalidArgument(
          StrCat("gRPC listens on port ", number, ": rest_api_port must be another one"));
    }
  }
  http::ServerOptions options;
  options.listen = StrCat(
      config_.rest_api_host.empty() ? HostOf(grpc_addresses) : config_.rest_api_host, ":", number);
  options.name = "rest";
  options.threads = RestThreadsOf(config_);
  options.request = std::chrono::milliseconds(config_.rest_api_timeout_in_ms);
  options.max_body_bytes = static_cast<uint64_t>(config_.rest_api_max_body_bytes);
  options.max_buffered_bytes = std::max(options.max_buffered_bytes, options.max_body_bytes);
  ASSIGN_OR_RETURN(rest_,
                   http::Server::Start(
                       options,
                       [this](const http::Request& request, const Cancellation& cancellation) {
                         return rest_api_.Handle(request, cancellation);
                       },
                       [this](int status, std::string_view sentence) {
                         return rest_api_.Refuse(status, sentence);
                       },
                       clock_));
  telemetry::Log(telemetry::Level::info, "rest_api_started", {{"listen", rest_->address()}});
  return OkStatus();
}

void ModelServing::DrainRest(std::chrono::milliseconds patience) {
  if (rest_ != nullptr) rest_->Drain(patience);
}

ServiceList ModelServing::MakeServices(rpc::ServiceThreads threads) {
  return MakeModelServices(server_, threads);
}

void AddModelServing(MakeBackends backends, ServiceSpec* spec) {
  struct State {
    ModelServingConfig config;
    std::unique_ptr<ModelServing> serving;
  };
  const auto state = std::make_shared<State>();
  spec->add_fields = [state, inner = spec->add_fields](config::Loader& loader) {
    if (inner) inner(loader);
    loader.Add<ModelServingConfig>(kModelServingFields, &state->config);
  };
  spec->on_started = [state, inner = spec->on_started](ServiceContext& context,
                                                       rpc::Server& server) -> Status {
    if (inner) RETURN_IF_ERROR(inner(context, server));
    return state->serving == nullptr ? OkStatus() : state->serving->StartRest(server.addresses());
  };
  spec->on_draining = [state, inner = spec->on_draining](std::chrono::milliseconds patience) {
    if (inner) inner(patience);
    if (state->serving != nullptr) state->serving->DrainRest(patience);
  };
  spec->make = [state, backends = std::move(backends),
                inner = spec->make](ServiceContext& context) -> Result<ServiceList> {
    ASSIGN_OR_RETURN(ServiceList services, inner(context));
    if (!state->config.any()) return services;
    rpc::Process& process = context.process;
    ASSIGN_OR_RETURN(state->serving, ModelServing::Start(state->config, backends(), process.files(),
                                                         process.clock(), Cancellation()));
    for (auto& service : state->serving->MakeServices(process.threads()))
      services.push_back(std::move(service));
    return services;
  };
}

}  // namespace megalith::services

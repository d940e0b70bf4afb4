#include "services/execute/serving/model_serving.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/learning/serving/serving_proto.h"
#include "common/machines/runtime/backend.h"

namespace megalith::services {
namespace {

constexpr uint64_t kMaxConfigBytes = 64 << 20;

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

std::unique_ptr<serving::Loader> MakeLoader(const ModelServingConfig& config,
                                            const runtime::BackendRegistry& backends,
                                            FileSystem& files) {
  auto loader = serving::MakeFolderLoader(backends, files, serving::ParseSignatureFile);
  if (!config.enable_model_warmup) return loader;
  const auto max_bytes = static_cast<uint64_t>(config.max_input_bytes);
  return serving::MakeWarmupLoader(
      std::move(loader),
      [max_bytes](std::string_view record) {
        return serving::ParsePredictionLog(record, max_bytes);
      },
      {.iterations = static_cast<uint32_t>(config.num_request_iterations_for_warmup),
       .inference = InferenceOptionsOf(config)},
      files);
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

ModelServing::ModelServing(const ModelServingConfig& config,
                           std::shared_ptr<const runtime::BackendRegistry> backends,
                           FileSystem& files, const Clock& clock)
    : config_(config), backends_(std::move(backends)), files_(files), clock_(clock) {
  models_ = std::make_unique<serving::ModelManager>(
      ManagerOptionsOf(config_), MakeLoader(config_, *backends_, files_), files_, clock_);
  server_ = std::make_shared<ModelServer>(
      ModelServerOptions{.inference = InferenceOptionsOf(config_),
                         .max_input_bytes = static_cast<uint64_t>(config_.max_input_bytes),
                         .answer_as_content = config_.enable_serialization_as_tensor_content},
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
  std::unique_ptr<ModelServing> out(new ModelServing(config, std::move(backends), files, clock));
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

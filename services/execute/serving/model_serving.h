// A model server made from configuration: its models and its services.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/http/server.h"
#include "common/foundation/base/file_system.h"
#include "common/learning/serving/model_manager.h"
#include "common/learning/serving/monitoring/serving_metrics.h"
#include "common/learning/serving/settings_proto.h"
#include "services/common/service_main.h"
#include "services/execute/serving/model_server.h"
#include "services/execute/serving/rest_api.h"
#include "services/execute/serving/serving_config.h"

namespace megalith::runtime {
class BackendRegistry;
}

namespace megalith::services {

// Thread-safe once started. Outlives the services that it made.
class ModelServing {
 public:
  // Returns once every model of the configuration has an available version. `files` and `clock`
  // outlive it. Errors: those of the configuration file and of ModelManager::Configure.
  static Result<std::unique_ptr<ModelServing>> Start(
      const ModelServingConfig& config, std::shared_ptr<const runtime::BackendRegistry> backends,
      FileSystem& files, const Clock& clock, const Cancellation& cancellation);
  // The same with these models in place of those that the configuration names.
  static Result<std::unique_ptr<ModelServing>> Start(
      const ModelServingConfig& config, std::vector<serving::ModelConfig> models,
      std::shared_ptr<const runtime::BackendRegistry> backends, FileSystem& files,
      const Clock& clock, const Cancellation& cancellation);
  ~ModelServing();

  ServiceList MakeServices(rpc::ServiceThreads threads);
  // Opens the REST API, if the configuration asks for one, beside a server that listens on
  // `grpc_addresses`; `port` stands in for the configured one if it is given (0 picks one). Called
  // once. Errors: kInvalidArgument  the port is gRPC's; those of http::Server::Start.
  Status StartRest(const std::vector<std::string>& grpc_addresses,
                   std::optional<uint16_t> port = std::nullopt);
  // host:port; empty if there is none.
  std::string rest_address() const { return rest_ == nullptr ? "" : rest_->address(); }
  // Answers the REST requests that run, for so long at most, and takes no more.
  void DrainRest(std::chrono::milliseconds patience);
  ModelServer& server() { return *server_; }
  const serving::ServingMetrics& metrics() const { return metrics_; }
  serving::ModelManager& models() { return *models_; }

 private:
  // What the files say that the configuration names.
  struct Settings {
    std::optional<serving::BatchingParameters> batching;
    serving::MonitoringSettings monitoring;
  };
  static Result<Settings> ReadSettings(const ModelServingConfig& config, FileSystem& files);
  static std::unique_ptr<serving::Loader> MakeLoader(ModelServing* self);
  ModelServing(const ModelServingConfig& config, Settings settings,
               std::shared_ptr<const runtime::BackendRegistry> backends, FileSystem& files,
               const Clock& clock);
  void PollConfigFile();

  const ModelServingConfig config_;
  const std::shared_ptr<const runtime::BackendRegistry> backends_;
  FileSystem& files_;
  const Clock& clock_;
  const Settings settings_;
  serving::ServingMetrics metrics_;
  std::optional<serving::BatchMetrics> batch_metrics_;  // if requests are batched
  std::unique_ptr<serving::ModelManager> models_;
  std::shared_ptr<ModelServer> server_;
  std::mutex mu_;
  std::condition_variable wake_;
  bool stopping_ = false;  // guarded by mu_
  Cancellation stop_;
  std::thread poller_;  // only if the file is polled
  RestApi rest_api_;
  std::unique_ptr<http::Server> rest_;  // goes before everything that its requests use
};

using MakeBackends = std::function<std::shared_ptr<const runtime::BackendRegistry>()>;

// Lets a process serve models beside its own services, if its configuration names some.
// `backends` is asked once, then.
void AddModelServing(MakeBackends backends, ServiceSpec* spec);

}  // namespace megalith::services

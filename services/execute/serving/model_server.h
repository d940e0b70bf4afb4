// A model server with TensorFlow Serving's API: what its two gRPC services answer, without gRPC
// (tf-serving.md section 3).
#pragma once

#include <memory>
#include <string>

#include "common/learning/serving/inference.h"
#include "common/learning/serving/model_manager.h"
#include "common/learning/serving/monitoring/serving_metrics.h"
#include "services/common/service_main.h"
#include "tensorflow_serving/apis/classification.pb.h"
#include "tensorflow_serving/apis/get_model_metadata.pb.h"
#include "tensorflow_serving/apis/get_model_status.pb.h"
#include "tensorflow_serving/apis/inference.pb.h"
#include "tensorflow_serving/apis/model_management.pb.h"
#include "tensorflow_serving/apis/predict.pb.h"
#include "tensorflow_serving/apis/regression.pb.h"

namespace megalith::services {

struct ModelServerOptions {
  serving::InferenceOptions inference;
  // Of all inputs of one request, once they are unpacked.
  uint64_t max_input_bytes = 1ull << 30;
  // Answers carry tensor_content in place of typed lists.
  bool answer_as_content = false;
  // Counts requests, if not nullptr; outlives the server.
  serving::ServingMetrics* metrics = nullptr;
};

// Errors of all methods have TensorFlow Serving's codes and texts. Thread-safe.
class ModelServer {
 public:
  // `models` outlives the server.
  ModelServer(ModelServerOptions options, serving::ModelManager& models)
      : options_(options), models_(models) {}

  Result<tensorflow::serving::PredictResponse> Predict(
      const tensorflow::serving::PredictRequest& request, const Cancellation& cancellation);
  Result<tensorflow::serving::ClassificationResponse> Classify(
      const tensorflow::serving::ClassificationRequest& request, const Cancellation& cancellation);
  Result<tensorflow::serving::RegressionResponse> Regress(
      const tensorflow::serving::RegressionRequest& request, const Cancellation& cancellation);
  Result<tensorflow::serving::MultiInferenceResponse> MultiInference(
      const tensorflow::serving::MultiInferenceRequest& request, const Cancellation& cancellation);
  Result<tensorflow::serving::GetModelMetadataResponse> GetModelMetadata(
      const tensorflow::serving::GetModelMetadataRequest& request);
  Result<tensorflow::serving::GetModelStatusResponse> GetModelStatus(
      const tensorflow::serving::GetModelStatusRequest& request);
  Result<tensorflow::serving::ReloadConfigResponse> HandleReloadConfig(
      const tensorflow::serving::ReloadConfigRequest& request, const Cancellation& cancellation);

  // Counts a request over gRPC to `model` that ended so.
  void Count(const std::string& model, std::string_view api, const Status& status, double seconds) {
    if (options_.metrics != nullptr)
      options_.metrics->OnRequest(model, status.code(), api, "GRPC", seconds);
  }

 private:
  void CountExamples(const std::string& model, size_t examples) {
    if (options_.metrics != nullptr) options_.metrics->OnExamples(model, examples);
  }
  void CountRun(const std::string& model, std::string_view api, double seconds) {
    if (options_.metrics != nullptr) options_.metrics->OnRun(model, api, seconds);
  }
  Result<std::shared_ptr<const serving::Servable>> Find(
      bool present, const tensorflow::serving::ModelSpec& spec) const;

  const ModelServerOptions options_;
  serving::ModelManager& models_;
};

// tensorflow.serving.PredictionService and ModelService over one server, which they keep alive.
ServiceList MakeModelServices(std::shared_ptr<ModelServer> server, rpc::ServiceThreads threads);

}  // namespace megalith::services

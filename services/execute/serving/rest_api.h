// TensorFlow Serving's REST API over the models of a server (tf-serving.md section 7): what it
// answers to requests, without a socket.
#pragma once

#include "common/fleet/http/server.h"
#include "common/learning/serving/inference.h"
#include "common/learning/serving/model_manager.h"
#include "common/learning/serving/monitoring/serving_metrics.h"
#include "common/learning/serving/rest/rest_url.h"

namespace megalith::services {

struct RestApiOptions {
  serving::InferenceOptions inference;
  // Of all tensors of one request.
  uint64_t max_input_bytes = 1ull << 30;
  // Answers may be read by scripts of any origin.
  bool cors = false;
  // Counts requests, if not nullptr; outlives the API.
  serving::ServingMetrics* metrics = nullptr;
  // Where they are offered; empty: nowhere.
  std::string metrics_path;
};

// Thread-safe.
class RestApi {
 public:
  // `models` outlives it.
  RestApi(RestApiOptions options, serving::ModelManager& models)
      : options_(std::move(options)), models_(models) {}

  http::Response Handle(const http::Request& request, const Cancellation& cancellation);

  // {"error": "..."}, as answers to requests that never came to Handle.
  http::Response Refuse(int status, std::string_view sentence) const;

 private:
  Result<std::string> Answer(const serving::RestTarget& target, const std::string& body,
                             const Cancellation& cancellation);
  Result<std::string> Predict(const serving::ServableRequest& target, const std::string& body,
                              const Cancellation& cancellation);
  Result<std::string> Infer(const serving::RestTarget& target, const std::string& body,
                            const Cancellation& cancellation);
  // Of a run, or of a request to what `target` names.
  void CountRun(const std::string& model, serving::RestAction action, double seconds);
  void CountRequest(const Result<serving::RestTarget>& target, const Status& status,
                    double seconds);
  http::Response Metrics(const http::Request& request) const;
  http::Response Preflight(const http::Request& request) const;
  http::Response JsonResponse(int status, std::string body) const;

  const RestApiOptions options_;
  serving::ModelManager& models_;
};

}  // namespace megalith::services

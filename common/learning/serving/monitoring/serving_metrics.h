// Metrics under the names that dashboards of TensorFlow Serving ask for (tf-serving.md section 8).
// They have a registry of their own: names and units are not those of the other metrics here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "common/foundation/telemetry/metrics.h"
#include "common/learning/serving/batching/batch_scheduler.h"

namespace megalith::serving {

// Thread-safe.
class ServingMetrics {
 public:
  // A finished request. `api` is "Predict" over gRPC and "predict" over REST, empty for REST
  // requests that infer nothing; `entrypoint` is "GRPC" or "REST". The time counts if it succeeded.
  void OnRequest(std::string_view model, Code code, std::string_view api,
                 std::string_view entrypoint, double seconds);
  // A run of the model within a request, whatever came of it.
  void OnRun(std::string_view model, std::string_view api, double seconds);
  // A request with so many Examples.
  void OnExamples(std::string_view model, uint64_t count);
  // A version warmed up with so many records.
  void OnWarmup(std::string_view path, Code code, uint64_t records, double seconds);

  // Sum over the first cell of the metric with that internal name
  // ("/tensorflow/serving/request_count"), as a reload reports it; 0 for other names.
  int64_t FirstValueOf(std::string_view internal_name) const;
  // All of them as text for Prometheus, as the stock server writes it.
  std::string Render() const;

 private:
  friend class BatchMetrics;
  telemetry::MetricRegistry registry_;
};

// Batches of one pool of threads as metrics; `metrics` outlives it.
class BatchMetrics final : public BatchObserver {
 public:
  BatchMetrics(ServingMetrics& metrics, std::string pool_name)
      : metrics_(metrics), pool_name_(std::move(pool_name)) {}
  void OnRequest(int64_t rows) override;
  void OnBatch(int64_t rows, int64_t executed, std::chrono::nanoseconds queued) override;

 private:
  ServingMetrics& metrics_;
  const std::string pool_name_;
};

}  // namespace megalith::serving

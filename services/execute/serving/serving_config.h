// Configuration of a model server.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "common/foundation/config/field.h"

namespace megalith::services {

// Names and meanings of the first group are those of tensorflow_model_server (tf-serving.md section
// 9).
struct ModelServingConfig {
  std::string model_name = "default";
  std::string model_base_path;
  std::string model_config_file;
  int64_t model_config_file_poll_wait_seconds = 0;
  int64_t file_system_poll_wait_seconds = 1;
  bool allow_version_labels_for_unavailable_models = false;
  int32_t num_load_threads = 0;
  int32_t max_num_load_retries = 5;
  int64_t load_retry_interval_micros = 60'000'000;
  bool enable_model_warmup = true;
  int32_t num_request_iterations_for_warmup = 0;
  bool enable_signature_method_name_check = false;
  bool enable_serialization_as_tensor_content = false;
  int64_t max_input_bytes = 1ll << 30;
  int32_t rest_api_port = 0;
  std::string rest_api_host;
  int32_t rest_api_num_threads = 0;
  int64_t rest_api_timeout_in_ms = 30'000;
  bool rest_api_enable_cors_support = false;
  int64_t rest_api_max_body_bytes = 64ll << 20;
  bool enable_batching = false;
  std::string batching_parameters_file;
  bool enable_per_model_batching_parameters = false;
  std::string monitoring_config_file;

  bool any() const { return !model_base_path.empty() || !model_config_file.empty(); }
};

inline constexpr config::ConfigField<ModelServingConfig> kModelServingFields[] = {
    config::Field<&ModelServingConfig::model_name>("model_name",
                                                   "name of the model in model_base_path"),
    config::Field<&ModelServingConfig::model_base_path>(
        "model_base_path",
        "serve the model whose versions are the numbered folders here, over TensorFlow Serving's "
        "API; empty: none"),
    config::Field<&ModelServingConfig::model_config_file>(
        "model_config_file",
        "text form of tensorflow.serving.ModelServerConfig: several models, version policies, "
        "labels; model_name and model_base_path are ignored then"),
    config::Field<&ModelServingConfig::model_config_file_poll_wait_seconds>(
        "model_config_file_poll_wait_seconds",
        "read model_config_file again after so many seconds; 0: once"),
    config::Field<&ModelServingConfig::file_system_poll_wait_seconds>(
        "file_system_poll_wait_seconds",
        "look for new versions after so many seconds; 0: once, negative: never")
        .Range(-1, 1'000'000'000),
    config::Field<&ModelServingConfig::allow_version_labels_for_unavailable_models>(
        "allow_version_labels_for_unavailable_models",
        "a label that is new may point to a version that is not available"),
    config::Field<&ModelServingConfig::num_load_threads>("num_load_threads",
                                                         "versions loaded at the same time; 0: 1")
        .Range(0, 1024),
    config::Field<&ModelServingConfig::max_num_load_retries>(
        "max_num_load_retries", "further attempts to load a version that fails")
        .Range(0, 1'000'000),
    config::Field<&ModelServingConfig::load_retry_interval_micros>(
        "load_retry_interval_micros", "microseconds between these attempts"),
    config::Field<&ModelServingConfig::enable_model_warmup>(
        "enable_model_warmup",
        "a version answers the requests in its assets.extra/tf_serving_warmup_requests before it "
        "becomes available"),
    config::Field<&ModelServingConfig::num_request_iterations_for_warmup>(
        "num_request_iterations_for_warmup", "times that each of them is run; 0: once")
        .Range(0, 1'000'000),
    config::Field<&ModelServingConfig::enable_signature_method_name_check>(
        "enable_signature_method_name_check",
        "refuse signatures whose method_name is not that of the call"),
    config::Field<&ModelServingConfig::enable_serialization_as_tensor_content>(
        "enable_serialization_as_tensor_content",
        "answers carry tensor_content in place of lists of values"),
    config::Field<&ModelServingConfig::max_input_bytes>(
        "max_input_bytes", "all inputs of one request together, once they are unpacked"),
    config::Field<&ModelServingConfig::rest_api_port>(
        "rest_api_port", "port of the REST API, another one than that of gRPC; 0: none")
        .Range(0, 65535),
    config::Field<&ModelServingConfig::rest_api_host>(
        "rest_api_host", "host that the REST API listens on; empty: that of gRPC"),
    config::Field<&ModelServingConfig::rest_api_num_threads>(
        "rest_api_num_threads", "REST requests that run at the same time; 0: 4 for each processor")
        .Range(0, 4096),
    config::Field<&ModelServingConfig::rest_api_timeout_in_ms>("rest_api_timeout_in_ms",
                                                               "deadline of a REST request")
        .Range(1, 86'400'000),
    config::Field<&ModelServingConfig::rest_api_enable_cors_support>(
        "rest_api_enable_cors_support", "scripts of pages from anywhere may read REST answers"),
    config::Field<&ModelServingConfig::rest_api_max_body_bytes>("rest_api_max_body_bytes",
                                                                "larger REST requests are refused")
        .Range(1, 4'000'000'000),
    config::Field<&ModelServingConfig::enable_batching>(
        "enable_batching", "run requests that come at the same time together"),
    config::Field<&ModelServingConfig::batching_parameters_file>(
        "batching_parameters_file",
        "text form of tensorflow.serving.BatchingParameters; needs enable_batching; empty: its "
        "defaults"),
    config::Field<&ModelServingConfig::enable_per_model_batching_parameters>(
        "enable_per_model_batching_parameters",
        "each version has its own in batching_params.pbtxt, and is not batched without that file; "
        "of batching_parameters_file only the threads count then"),
    config::Field<&ModelServingConfig::monitoring_config_file>(
        "monitoring_config_file",
        "text form of tensorflow.serving.MonitoringConfig: metrics with TensorFlow Serving's names "
        "on the REST port"),
};

}  // namespace megalith::services

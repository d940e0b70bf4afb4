#include "common/learning/serving/settings_proto.h"

#include "common/foundation/base/strings.h"
#include "common/learning/serving/text_proto.h"
#include "tensorflow_serving/config/monitoring_config.pb.h"
#include "tensorflow_serving/servables/tensorflow/session_bundle_config.pb.h"

namespace megalith::serving {
namespace {

namespace tfs = tensorflow::serving;

constexpr char kDefaultMetricsPath[] = "/monitoring/prometheus/metrics";
constexpr char kDefaultPoolName[] = "batch_threads";

}  // namespace

Result<BatchingParameters> ParseBatchingParameters(std::string_view text) {
  tfs::BatchingParameters proto;
  RETURN_IF_ERROR(ParseTextMessage(text, &proto));
  BatchingParameters out;
  BatchingOptions& options = out.options;
  if (proto.has_max_batch_size()) options.max_batch_size = proto.max_batch_size().value();
  if (proto.has_batch_timeout_micros())
    options.batch_timeout = std::chrono::microseconds(proto.batch_timeout_micros().value());
  if (proto.has_max_enqueued_batches())
    options.max_enqueued_batches = proto.max_enqueued_batches().value();
  options.allowed_batch_sizes = {proto.allowed_batch_sizes().begin(),
                                 proto.allowed_batch_sizes().end()};
  options.pad_variable_length_inputs = proto.pad_variable_length_inputs();
  options.split_large_batches = proto.enable_large_batch_splitting().value();
  if (proto.has_max_execution_batch_size()) {
    options.max_execution_batch_size = proto.max_execution_batch_size().value();
    if (options.max_execution_batch_size < 1)
      return InvalidArgument("max_execution_batch_size must be at least 1");
  }
  if (proto.has_num_batch_threads()) {
    out.threads = proto.num_batch_threads().value();
    if (*out.threads < 1 || *out.threads > 4096)
      return InvalidArgument("num_batch_threads must be between 1 and 4096");
  }
  out.pool_name =
      proto.has_thread_pool_name() ? proto.thread_pool_name().value() : kDefaultPoolName;
  RETURN_IF_ERROR(CheckBatchingOptions(options));
  return out;
}

Result<MonitoringSettings> ParseMonitoringConfig(std::string_view text) {
  tfs::MonitoringConfig proto;
  RETURN_IF_ERROR(ParseTextMessage(text, &proto));
  MonitoringSettings out;
  out.enabled = proto.prometheus_config().enable();
  out.path = proto.prometheus_config().path();
  if (out.path.empty()) out.path = kDefaultMetricsPath;
  if (out.path.starts_with('/')) return out;
  return InvalidArgument(
      StrCat("the path of prometheus_config must begin with '/', got '", Printable(out.path), "'"));
}

}  // namespace megalith::serving

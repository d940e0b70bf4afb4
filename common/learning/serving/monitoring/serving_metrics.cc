#include "common/learning/serving/monitoring/serving_metrics.h"

#include <charconv>
#include <chrono>

#include "common/foundation/base/strings.h"

namespace megalith::serving {
namespace {

using telemetry::MetricDef;
using telemetry::MetricFamily;
using telemetry::MetricKind;
using telemetry::MetricSample;

// Microseconds, 10 * 1.8^k (persistent: owned by TensorFlow Serving, dashboards know them).
constexpr auto kMicros = [] {
  std::array<double, 33> out{};
  double bound = 10;
  for (double& each : out) {
    each = bound;
    bound *= 1.8;
  }
  return out;
}();
constexpr auto kPowersOfTwo = [] {
  std::array<double, 15> out{};
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<double>(1 << i);
  return out;
}();

// Names and labels (persistent: owned by TensorFlow Serving).
constexpr MetricDef kRequestCount{.name = "/tensorflow/serving/request_count",
                                  .kind = MetricKind::kCounter,
                                  .labels = {"model_name", "status"}};
constexpr MetricDef kRequestLatency{.name = "/tensorflow/serving/request_latency",
                                    .kind = MetricKind::kHistogram,
                                    .labels = {"model_name", "API", "entrypoint"},
                                    .buckets = kMicros};
constexpr MetricDef kRuntimeLatency{.name = "/tensorflow/serving/runtime_latency",
                                    .kind = MetricKind::kHistogram,
                                    .labels = {"model_name", "API", "runtime"},
                                    .buckets = kMicros};
constexpr MetricDef kExampleCounts{.name = "/tensorflow/serving/request_example_counts",
                                   .kind = MetricKind::kHistogram,
                                   .labels = {"model"},
                                   .buckets = kPowersOfTwo};
constexpr MetricDef kExampleTotal{.name = "/tensorflow/serving/request_example_count_total",
                                  .kind = MetricKind::kCounter,
                                  .labels = {"model"}};
constexpr MetricDef kWarmupLatency{.name = "/tensorflow/serving/model_warmup_latency",
                                   .kind = MetricKind::kHistogram,
                                   .labels = {"model_path", "status"},
                                   .buckets = kMicros};
constexpr MetricDef kWarmupRecords{.name = "/tensorflow/serving/model_warmup_records_read",
                                   .kind = MetricKind::kCounter,
                                   .labels = {"model_path", "status"}};
constexpr MetricDef kQueuingLatency{.name = "/tensorflow/serving/batching_session/queuing_latency",
                                    .kind = MetricKind::kHistogram,
                                    .labels = {"thread_pool_name"},
                                    .buckets = kMicros};
constexpr MetricDef kWrappedRuns{.name = "/tensorflow/serving/batching_session/wrapped_run_count",
                                 .kind = MetricKind::kCounter,
                                 .labels = {}};
constexpr MetricDef kPaddingSize{.name = "/tensorflow/serving/batching_session/padding_size",
                                 .kind = MetricKind::kHistogram,
                                 .labels = {"execution_batch_size"},
                                 .buckets = kPowersOfTwo};
constexpr MetricDef kInputBatchSize{.name = "/tensorflow/serving/batching_session/input_batch_size",
                                    .kind = MetricKind::kHistogram,
                                    .labels = {},
                                    .buckets = kPowersOfTwo};
constexpr MetricDef kProcessedBatchSize{
    .name = "/tensorflow/serving/batching_session/processed_batch_size",
    .kind = MetricKind::kHistogram,
    .labels = {},
    .buckets = kPowersOfTwo};

// What the stock server calls a session of TensorFlow 1; ours runs programs in its place.
constexpr std::string_view kRuntime = "TF1";
constexpr double kMicrosPerSecond = 1e6;

// ":tensorflow:serving:request_count".
std::string ExportedName(std::string_view name) {
  std::string out(name);
  for (char& c : out) {
    const bool keep = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!keep && c != '_') c = ':';
  }
  return out;
}

// "%g", whatever the locale.
std::string NumberText(double value) {
  char text[40];
  const auto r = std::to_chars(text, text + sizeof(text), value, std::chars_format::general, 6);
  return std::string(text, r.ptr);
}

std::string Escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    if (c == '\\' || c == '"') out += '\\';
    if (c == '\n') {
      out += "\\n";
    } else {
      out += c;
    }
  }
  return out;
}

std::string LabelsOf(const MetricDef& def, const MetricSample& sample) {
  std::vector<std::string> out;
  for (size_t i = 0; i < sample.labels.size(); ++i)
    out.push_back(StrCat(def.labels[i], "=\"", Escaped(sample.labels[i]), "\""));
  return Join(out, ",");
}

void RenderHistogram(const std::string& name, const MetricDef& def, const MetricSample& sample,
                     std::string* out) {
  const std::string labels = LabelsOf(def, sample);
  const std::string before = labels.empty() ? "" : labels + ",";
  uint64_t below = 0;
  for (size_t i = 0; i < sample.counts.size(); ++i) {
    below += sample.counts[i];
    const std::string bound = i < def.buckets.size() ? NumberText(def.buckets[i]) : "+Inf";
    StrAppend(out, name, "_bucket{", before, "le=\"", bound, "\"} ", below, "\n");
  }
  StrAppend(out, name, "_sum{", labels, "} ", NumberText(sample.value), "\n");
  StrAppend(out, name, "_count{", labels, "} ", below, "\n");
}

void RenderFamily(const MetricFamily& family, std::string* out) {
  const MetricDef& def = *family.def;
  const std::string name = ExportedName(def.name);
  const bool histogram = def.kind == MetricKind::kHistogram;
  StrAppend(out, "# TYPE ", name, " ", histogram ? "histogram" : "counter", "\n");
  for (const MetricSample& sample : family.samples) {
    if (histogram) {
      RenderHistogram(name, def, sample, out);
    } else {
      StrAppend(out, name, "{", LabelsOf(def, sample), "} ", static_cast<uint64_t>(sample.value),
                "\n");
    }
  }
}

}  // namespace

void ServingMetrics::OnRequest(std::string_view model, Code code, std::string_view api,
                               std::string_view entrypoint, double seconds) {
  registry_.GetCounter(kRequestCount, {model, CodeName(code)}).Add();
  if (code != Code::kOk) return;
  registry_.GetHistogram(kRequestLatency, {model, api, entrypoint})
      .Observe(seconds * kMicrosPerSecond);
}

void ServingMetrics::OnRun(std::string_view model, std::string_view api, double seconds) {
  registry_.GetHistogram(kRuntimeLatency, {model, api, kRuntime})
      .Observe(seconds * kMicrosPerSecond);
}

void ServingMetrics::OnExamples(std::string_view model, uint64_t count) {
  registry_.GetHistogram(kExampleCounts, {model}).Observe(static_cast<double>(count));
  registry_.GetCounter(kExampleTotal, {model}).Add(count);
}

void ServingMetrics::OnWarmup(std::string_view path, Code code, uint64_t records, double seconds) {
  registry_.GetHistogram(kWarmupLatency, {path, CodeName(code)})
      .Observe(seconds * kMicrosPerSecond);
  registry_.GetCounter(kWarmupRecords, {path, CodeName(code)}).Add(records);
}

int64_t ServingMetrics::FirstValueOf(std::string_view internal_name) const {
  for (const MetricFamily& family : registry_.Snapshot()) {
    if (family.def->name != internal_name || family.def->kind != MetricKind::kCounter) continue;
    return family.samples.empty() ? 0 : static_cast<int64_t>(family.samples.front().value);
  }
  return 0;
}

std::string ServingMetrics::Render() const {
  std::string out;
  for (const MetricFamily& family : registry_.Snapshot()) RenderFamily(family, &out);
  return out;
}

void BatchMetrics::OnRequest(int64_t rows) {
  metrics_.registry_.GetCounter(kWrappedRuns).Add();
  metrics_.registry_.GetHistogram(kInputBatchSize).Observe(static_cast<double>(rows));
}

void BatchMetrics::OnBatch(int64_t rows, int64_t executed, std::chrono::nanoseconds queued) {
  telemetry::MetricRegistry& registry = metrics_.registry_;
  registry.GetHistogram(kQueuingLatency, {pool_name_})
      .Observe(std::chrono::duration<double, std::micro>(queued).count());
  registry.GetHistogram(kProcessedBatchSize).Observe(static_cast<double>(executed));
  registry.GetHistogram(kPaddingSize, {StrCat(executed)})
      .Observe(static_cast<double>(executed - rows));
}

}  // namespace megalith::serving

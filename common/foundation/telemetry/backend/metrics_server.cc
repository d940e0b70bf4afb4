#include "common/foundation/telemetry/backend/metrics_server.h"

#include <prometheus/collectable.h>
#include <prometheus/exposer.h>
#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <limits>
#include <thread>

#include "common/foundation/base/strings.h"

namespace megalith::telemetry {
namespace {

prometheus::MetricType TypeOf(MetricKind kind) {
  switch (kind) {
    case MetricKind::kCounter:
      return prometheus::MetricType::Counter;
    case MetricKind::kGauge:
      return prometheus::MetricType::Gauge;
    case MetricKind::kHistogram:
      return prometheus::MetricType::Histogram;
  }
  return prometheus::MetricType::Untyped;
}

prometheus::ClientMetric Convert(const MetricDef& def, const MetricSample& sample) {
  prometheus::ClientMetric out;
  for (size_t i = 0; i < sample.labels.size(); ++i) {
    out.label.push_back({.name = std::string(def.labels[i]), .value = sample.labels[i]});
  }
  if (def.kind == MetricKind::kCounter) out.counter.value = sample.value;
  if (def.kind == MetricKind::kGauge) out.gauge.value = sample.value;
  if (def.kind == MetricKind::kHistogram) {
    uint64_t cumulative = 0;
    for (size_t i = 0; i < sample.counts.size(); ++i) {
      cumulative += sample.counts[i];
      const double bound =
          i < def.buckets.size() ? def.buckets[i] : std::numeric_limits<double>::infinity();
      out.histogram.bucket.push_back({.cumulative_count = cumulative, .upper_bound = bound});
    }
    out.histogram.sample_count = cumulative;
    out.histogram.sample_sum = sample.value;
  }
  return out;
}

class RegistryView final : public prometheus::Collectable {
 public:
  explicit RegistryView(const MetricRegistry& registry) : registry_(registry) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> out;
    for (const MetricFamily& family : registry_.Snapshot()) {
      prometheus::MetricFamily f;
      f.name = std::string(family.def->name);
      f.help = std::string(family.def->help);
      f.type = TypeOf(family.def->kind);
      for (const MetricSample& sample : family.samples)
        f.metric.push_back(Convert(*family.def, sample));
      out.push_back(std::move(f));
    }
    return out;
  }

 private:
  const MetricRegistry& registry_;
};

// Makes one connection to a port of this machine and drops it.
void TouchPort(int port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return;
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(static_cast<uint16_t>(port));
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  // The outcome does not matter: the attempt wakes the listener.
  [[maybe_unused]] const int unused = ::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof(to));
  ::close(fd);
}

}  // namespace

struct MetricsServer::Impl {
  // civetweb's listener looks at its stop flag only when a connection comes or every two seconds.
  // Knocking at the port while it stops turns a drain of two seconds into one of milliseconds.
  ~Impl() {
    if (exposer == nullptr) return;
    std::atomic<bool> stopped{false};
    std::thread knocker([&stopped, port = port] {
      while (!stopped.load()) {
        TouchPort(port);
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    exposer.reset();
    stopped.store(true);
    knocker.join();
  }

  std::shared_ptr<RegistryView> view;
  std::unique_ptr<prometheus::Exposer> exposer;
  int port = 0;
};

MetricsServer::MetricsServer() : impl_(std::make_unique<Impl>()) {}
MetricsServer::~MetricsServer() = default;

Result<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                            const MetricRegistry& registry) {
  std::unique_ptr<MetricsServer> server(new MetricsServer());
  try {
    server->impl_->view = std::make_shared<RegistryView>(registry);
    server->impl_->exposer = std::make_unique<prometheus::Exposer>(listen);
    server->impl_->exposer->RegisterCollectable(server->impl_->view);
    const std::vector<int> ports = server->impl_->exposer->GetListeningPorts();
    server->impl_->port = ports.empty() ? 0 : ports.front();
    server->address_ = StrCat(listen.substr(0, listen.rfind(':')), ":", server->impl_->port);
  } catch (const std::exception& e) {
    return Unavailable(
        StrCat("metrics endpoint cannot listen on '", Printable(listen), "': ", e.what()));
  }
  return server;
}

std::string RenderMetrics(const MetricRegistry& registry) {
  return prometheus::TextSerializer().Serialize(RegistryView(registry).Collect());
}

}  // namespace megalith::telemetry

// The /metrics endpoint that Prometheus scrapes.
#pragma once

#include <memory>
#include <string>

#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith::telemetry {

// Serves a registry as text over HTTP on its own threads until destroyed.
class MetricsServer {
 public:
  // `listen` is host:port; port 0 picks a free one. `registry` must outlive the server.
  // Errors: kUnavailable  the address cannot be bound.
  static Result<std::unique_ptr<MetricsServer>> Start(const std::string& listen,
                                                      const MetricRegistry& registry);
  ~MetricsServer();

  // host:port with the port that was bound.
  const std::string& address() const { return address_; }

 private:
  struct Impl;
  MetricsServer();
  std::unique_ptr<Impl> impl_;
  std::string address_;
};

// What /metrics would answer now.
std::string RenderMetrics(const MetricRegistry& registry);

}  // namespace megalith::telemetry

// Listens, serves, reports health, drains.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "common/fleet/rpc/service.h"
#include "common/fleet/rpc/tls.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/file_system.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/metrics.h"

namespace grpc {
class Channel;
}

namespace megalith::rpc {

struct ServerOptions {
  // "host:port" (port 0 picks a free one) or "unix:/path". Empty: only in-process channels.
  std::vector<std::string> listen;
  ServerTls tls;
  uint64_t max_request_bytes = 64ull << 20;   // larger requests are refused before they are read
  uint64_t max_response_bytes = 64ull << 20;  // larger responses become RESOURCE_EXHAUSTED
  std::chrono::milliseconds default_deadline{60'000};  // of calls whose caller sets none
  uint32_t access_log_per_second = 10;
};

// One gRPC server with any number of services. It has grpc.health.v1 (every service and ""),
// reflection and our services. Thread-safe.
class Server {
 public:
  // `metrics`, `clock` must outlive the server.
  // Errors: kInvalidArgument  the TLS files; kUnavailable  an address that cannot be bound, by
  // name.
  static Result<std::unique_ptr<Server>> Start(const ServerOptions& options,
                                               std::vector<std::unique_ptr<Service>> services,
                                               telemetry::MetricRegistry& metrics,
                                               FileSystem& files = RealFileSystem(),
                                               const Clock& clock = RealClock());
  // Drains with no patience.
  ~Server();

  // As options.listen, with the ports that were bound.
  const std::vector<std::string>& addresses() const;

  // A channel that needs no socket. It fails with UNAVAILABLE once the server has drained.
  std::shared_ptr<grpc::Channel> InProcessChannel();

  std::vector<std::string> service_names() const;  // full names

  // Withdraws readiness: health answers NOT_SERVING, calls are still served.
  void StopReadiness();

  struct DrainReport {
    double seconds = 0;
    uint64_t calls_cancelled = 0;  // still running after `patience`
  };
  // StopReadiness, then accepts no new connection or call, waits up to `patience` for running
  // calls, cancels the rest, joins the services' threads. Every call whose handler has started gets
  // its answer unless it is cancelled. The second call returns at once with an empty report.
  DrainReport Drain(std::chrono::milliseconds patience);

 private:
  struct Impl;
  Server();
  std::unique_ptr<Impl> impl_;
};

}  // namespace megalith::rpc

// What a handler knows about the call it serves.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/telemetry/trace_context.h"

namespace grpc {
class CallbackServerContext;
}

namespace megalith::rpc {

// Deadline, cancellation and trace ids of one call. Made by the server before the handler runs and
// valid until the handler returns. All methods may be called from any thread while it is valid.
class Call {
 public:
  // A call that no server made, for tests and for work that the process starts by itself.
  explicit Call(std::optional<std::chrono::nanoseconds> timeout = std::nullopt,
                const Clock& clock = RealClock());
  // Made by the adapter; `default_timeout` applies if the caller set no deadline.
  Call(grpc::CallbackServerContext* context, std::chrono::nanoseconds default_timeout,
       const Clock& clock);
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // True once the caller has gone or the deadline has passed. Long work asks at least every 50 ms.
  bool cancelled() const { return !cancellation_.Check().ok(); }
  // OK, kCancelled or kDeadlineExceeded.
  Status Check() const { return cancellation_.Check(); }
  const Cancellation& cancellation() const { return cancellation_; }
  Cancellation& cancellation() { return cancellation_; }

  const telemetry::TraceContext& trace() const { return trace_; }
  // 32 hexadecimal digits.
  std::string trace_id() const { return trace_.TraceIdText(); }

  // "ipv4:127.0.0.1:4711", "unix:", "inproc"; empty without a server.
  std::string peer() const;
  // Names in the certificate of the caller, joined by ','; empty without mutual TLS.
  std::string peer_identity() const;

  // nullptr without a server. Outgoing calls use it to follow this call's cancellation.
  grpc::CallbackServerContext* context() const { return context_; }

 private:
  grpc::CallbackServerContext* const context_;
  Cancellation cancellation_;
  telemetry::TraceContext trace_;
};

}  // namespace megalith::rpc

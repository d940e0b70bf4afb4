// What the server and the reactors of its calls share.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <functional>
#include <string>

#include "common/fleet/rpc/call.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/status.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metrics.h"

namespace megalith {
class ThreadPool;
}

namespace megalith::rpc::internal {

// Settings and counters of one server. Outlives every call. Thread-safe.
class ServerCore {
 public:
  ServerCore(telemetry::MetricRegistry& metrics, const Clock& clock, uint32_t access_log_per_second)
      : metrics(metrics),
        clock(clock),
        access_sampler(access_log_per_second, clock),
        failure_sampler(access_log_per_second, clock) {}

  telemetry::MetricRegistry& metrics;
  const Clock& clock;
  std::chrono::nanoseconds default_deadline{0};
  uint64_t max_response_bytes = 0;
  telemetry::LogSampler access_sampler;
  telemetry::LogSampler failure_sampler;
  // Calls that have arrived and whose status has not been handed to gRPC.
  std::atomic<int64_t> active{0};
  // Once set, calls from outside the process are refused. Calls of this process's own services are
  // not: calls that are still running may need them.
  std::atomic<bool> draining{false};

  telemetry::Gauge* in_flight = nullptr;
  telemetry::Counter* rejected_full = nullptr;
  telemetry::Counter* rejected_expired = nullptr;
  telemetry::Counter* rejected_draining = nullptr;
};

// One method: its name and its metrics, looked up once.
struct MethodRecord {
  std::string service;  // full name
  std::string method;
  std::string path;  // "/service/method"
  ServerCore* core = nullptr;
  ThreadPool* pool = nullptr;
  std::array<telemetry::Counter*, 17> handled{};  // by code
  telemetry::Histogram* seconds = nullptr;
};

// What is known about a call when it ends.
struct CallSizes {
  uint64_t request_bytes = 0;
  uint64_t response_bytes = 0;
};

// Counts an arriving call. An error means that it must end at once with this status.
Status RecordStart(const MethodRecord& method, const Call& call);

// Counts and logs one finished call. Called once per call, before its status goes out.
void RecordEnd(const MethodRecord& method, const Call& call, const Status& status,
               std::chrono::nanoseconds arrived, const CallSizes& sizes);

// Puts the call into the pool; counts a refusal.
Status Enqueue(const MethodRecord& method, std::function<void()> task);

// For the head of the queue: the error of a call that is not worth starting any more; counts it.
Status CheckBeforeRun(const MethodRecord& method, const Call& call);

// Runs `body` and turns an exception into kInternal.
template <typename Body>
Status Guarded(const Body& body) {
  try {
    return body();
  } catch (const std::exception& e) {
    return Internal(std::string("handler failed: ") + e.what());
  } catch (...) {
    return Internal("handler failed with an exception of unknown type");
  }
}

}  // namespace megalith::rpc::internal

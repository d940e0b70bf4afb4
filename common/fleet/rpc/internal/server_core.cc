#include "common/fleet/rpc/internal/server_core.h"

#include "common/foundation/base/strings.h"
#include "common/foundation/base/thread_pool.h"

namespace megalith::rpc::internal {
namespace {

using telemetry::Level;
using telemetry::Log;

bool IsServerFault(Code code) {
  return code == Code::kUnknown || code == Code::kInternal || code == Code::kDataLoss;
}

bool FromOutside(const Call& call) {
  const std::string peer = call.peer();
  return peer.starts_with("ipv4:") || peer.starts_with("ipv6:") || peer.starts_with("unix:");
}

}  // namespace

Status RecordStart(const MethodRecord& method, const Call& call) {
  ServerCore& core = *method.core;
  core.active.fetch_add(1);
  core.in_flight->Add(1);
  if (core.draining.load() && FromOutside(call)) {
    core.rejected_draining->Add();
    return Unavailable("the server is draining; the call has not run, retry on another replica");
  }
  return OkStatus();
}

Status Enqueue(const MethodRecord& method, std::function<void()> task) {
  const Status queued = method.pool->Submit(std::move(task));
  if (!queued.ok()) method.core->rejected_full->Add();
  return queued;
}

Status CheckBeforeRun(const MethodRecord& method, const Call& call) {
  const Status alive = call.Check();
  if (alive.code() != Code::kDeadlineExceeded) return alive;
  method.core->rejected_expired->Add();
  return DeadlineExceeded(
      "the deadline passed while the call waited in the queue; the server is overloaded");
}

void RecordEnd(const MethodRecord& method, const Call& call, const Status& status,
               std::chrono::nanoseconds arrived, const CallSizes& sizes) {
  ServerCore& core = *method.core;
  const double seconds = std::chrono::duration<double>(core.clock.Monotonic() - arrived).count();
  method.handled[static_cast<size_t>(status.code())]->Add();
  method.seconds->Observe(seconds);
  core.in_flight->Add(-1);
  if (IsServerFault(status.code())) {
    const auto verdict = core.failure_sampler.Admit();
    if (verdict.admit) {
      Log(Level::warn, "rpc_failed",
          {{"method", method.path},
           {"code", CodeName(status.code())},
           {"message", status.message()},
           {"peer", call.peer()},
           {"trace_id", call.trace_id()},
           {"suppressed", verdict.suppressed}});
    }
  }
  if (telemetry::LogEnabled(Level::debug)) {
    const auto verdict = core.access_sampler.Admit();
    if (verdict.admit) {
      Log(Level::debug, "rpc_access",
          {{"method", method.path},
           {"code", CodeName(status.code())},
           {"seconds", seconds},
           {"request_bytes", sizes.request_bytes},
           {"response_bytes", sizes.response_bytes},
           {"peer", call.peer()},
           {"trace_id", call.trace_id()},
           {"suppressed", verdict.suppressed}});
    }
  }
}

}  // namespace megalith::rpc::internal

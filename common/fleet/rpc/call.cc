#include "common/fleet/rpc/call.h"

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>

#include "common/fleet/rpc/internal/trace_ids.h"

namespace megalith::rpc {
namespace {

using std::chrono::nanoseconds;

std::optional<nanoseconds> After(std::optional<nanoseconds> timeout, const Clock& clock) {
  if (!timeout) return std::nullopt;
  return clock.Monotonic() + *timeout;
}

// Deadlines travel as points of the wall clock; ours are points of the monotonic one.
nanoseconds DeadlineOf(const grpc::CallbackServerContext& context, nanoseconds default_timeout,
                       const Clock& clock) {
  const auto deadline = context.deadline();
  if (deadline == std::chrono::system_clock::time_point::max())
    return clock.Monotonic() + default_timeout;
  return clock.Monotonic() +
         std::chrono::duration_cast<nanoseconds>(deadline - std::chrono::system_clock::now());
}

telemetry::TraceContext TraceOf(const grpc::CallbackServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto at = metadata.find(internal::kTraceParentKey);
  if (at != metadata.end()) {
    if (const auto parsed = telemetry::ParseTraceParent({at->second.data(), at->second.size()})) {
      return internal::ChildTrace(*parsed);
    }
  }
  return internal::FreshTrace();
}

}  // namespace

Call::Call(std::optional<nanoseconds> timeout, const Clock& clock)
    : context_(nullptr),
      cancellation_(After(timeout, clock), clock),
      trace_(internal::FreshTrace()) {}

Call::Call(grpc::CallbackServerContext* context, nanoseconds default_timeout, const Clock& clock)
    : context_(context),
      cancellation_(
          DeadlineOf(*context, default_timeout, clock), clock,
          [](const void* c) {
            return static_cast<const grpc::CallbackServerContext*>(c)->IsCancelled();
          },
          context),
      trace_(TraceOf(*context)) {}

std::string Call::peer() const { return context_ == nullptr ? "" : context_->peer(); }

std::string Call::peer_identity() const {
  if (context_ == nullptr) return "";
  const std::shared_ptr<const grpc::AuthContext> auth = context_->auth_context();
  if (auth == nullptr || !auth->IsPeerAuthenticated()) return "";
  std::string out;
  for (const grpc::string_ref& name : auth->GetPeerIdentity()) {
    if (!out.empty()) out += ',';
    out.append(name.data(), name.size());
  }
  return out;
}

}  // namespace megalith::rpc

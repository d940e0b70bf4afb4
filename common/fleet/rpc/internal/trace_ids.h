// Trace ids for calls: which metadata carries them and where fresh ones come from.
#pragma once

#include "common/foundation/base/rng.h"
#include "common/foundation/telemetry/trace_context.h"

namespace megalith::rpc::internal {

inline constexpr char kTraceParentKey[] = "traceparent";

// One generator per thread: ids need no order and must not cost a lock per call.
inline Rng& ThreadRng() {
  thread_local Rng rng(EntropySeed());
  return rng;
}
inline telemetry::TraceContext FreshTrace() {
  return telemetry::TraceContext::Generate(ThreadRng());
}
inline telemetry::TraceContext ChildTrace(const telemetry::TraceContext& parent) {
  return parent.Child(ThreadRng());
}

}  // namespace megalith::rpc::internal

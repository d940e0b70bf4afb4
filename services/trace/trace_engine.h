// What the trace service needs from the library of programs. The service owns limits, repeated
// requests, evidence and wire; the engine owns everything that a program means.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/policy.h"
#include "common/foundation/base/status.h"
#include "megalith/trace/v1/trace.pb.h"

namespace megalith::services {

// One step of the work, for the ledger.
struct TraceStep {
  std::string transform;  // "grad(argnums=0)"
  uint64_t eqns_in = 0;
  uint64_t eqns_out = 0;
  double seconds = 0;
};

// Thread-safe. Requests and answers are the wire's own messages, because the forms a program may
// have are: the engine converts them.
class TraceEngine {
 public:
  virtual ~TraceEngine() = default;
  // Fills everything of the answer but `ids`. `policy` is the one that applies.
  // Errors: those of TraceService.Trace; those of `cancellation`.
  virtual Result<trace::v1::TraceResponse> Trace(const trace::v1::TraceRequest& request,
                                                 Policy policy, std::vector<TraceStep>* steps,
                                                 const Cancellation& cancellation) = 0;
  virtual Result<trace::v1::LowerResponse> Lower(const trace::v1::LowerRequest& request,
                                                 Policy policy, std::vector<TraceStep>* steps,
                                                 const Cancellation& cancellation) = 0;
};

// Makes the engine of a process with this configuration.
struct TraceServiceConfig;
using MakeTraceEngine =
    std::function<Result<std::shared_ptr<TraceEngine>>(const TraceServiceConfig&)>;

}  // namespace megalith::services

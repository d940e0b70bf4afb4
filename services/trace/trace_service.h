// megalith.trace.v1: programs in, transformed programs or StableHLO out.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/fleet/rpc/service.h"
#include "megalith/trace/v1/trace.pb.h"
#include "services/common/lru_map.h"
#include "services/common/service_context.h"
#include "services/common/service_main.h"
#include "services/trace/config.h"
#include "services/trace/trace_engine.h"

namespace megalith::services {

// Thread-safe. What each method promises: protos/megalith/trace/v1/trace.proto.
class TraceService final : public rpc::Service {
 public:
  TraceService(const TraceServiceConfig& config, std::shared_ptr<TraceEngine> engine,
               ServiceContext& context);

  Result<trace::v1::TraceResponse> Trace(const trace::v1::TraceRequest& request,
                                         const rpc::Call& call);
  Result<trace::v1::LowerResponse> Lower(const trace::v1::LowerRequest& request,
                                         const rpc::Call& call);

 private:
  template <typename Response>
  using Results = LruMap<std::shared_ptr<const Response>>;
  template <typename Request>
  Status CheckLimits(const Request& request) const;
  // Answers from `results` or by `work`, records evidence and fills ids.
  template <typename Request, typename Response, typename Work>
  Result<Response> Serve(const Request& request, ledger::Kind kind, Results<Response>& results,
                         const Work& work, const rpc::Call& call);
  struct Evidence {
    std::string decision;
    std::string key;
    Policy policy = Policy::kStrict;
    std::vector<TraceStep> steps;
    double seconds = 0;
  };
  std::optional<uint64_t> Record(const rpc::Call& call, ledger::Kind kind,
                                 const Sha256Digest& request, const Status& outcome,
                                 const Evidence& evidence) const;

  const TraceServiceConfig config_;
  const std::shared_ptr<TraceEngine> engine_;
  const Recorder recorder_;
  const Clock& clock_;
  telemetry::Histogram& trace_seconds_;
  Results<trace::v1::TraceResponse> traced_;   // by digest of the request
  Results<trace::v1::LowerResponse> lowered_;  // by digest of the request
};

// The process megalith-trace.
ServiceSpec TraceSpec(MakeTraceEngine make_engine);

}  // namespace megalith::services

#include "services/trace/trace_service.h"

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "services/common/canonical.h"

namespace megalith::services {

namespace v1 = trace::v1;

namespace {

template <typename Response>
void SetSteps(const std::vector<TraceStep>& steps, Response* response) {
  for (const TraceStep& step : steps) {
    v1::TransformStep* out = response->add_steps();
    out->set_transform(step.transform);
    out->set_eqns_in(step.eqns_in);
    out->set_eqns_out(step.eqns_out);
    out->set_seconds(step.seconds);
  }
}

}  // namespace

TraceService::TraceService(const TraceServiceConfig& config, std::shared_ptr<TraceEngine> engine,
                           ServiceContext& context)
    : Service("megalith.trace.v1.TraceService", context.process.threads()),
      config_(config),
      engine_(std::move(engine)),
      recorder_(context.ledger, "trace"),
      clock_(context.process.clock()),
      trace_seconds_(context.process.metrics().GetHistogram(telemetry::kTraceSeconds)),
      traced_(static_cast<size_t>(config.max_cached_results)),
      lowered_(static_cast<size_t>(config.max_cached_results)) {
  Unary("Trace", this, &TraceService::Trace);
  Unary("Lower", this, &TraceService::Lower);
}

template <typename Request>
Status TraceService::CheckLimits(const Request& request) const {
  const v1::ProgramSource& source = request.source();
  if (source.form_case() == v1::ProgramSource::FORM_NOT_SET) {
    return InvalidArgument(
        "the request carries no program: set source.jaxpr_text, program, program_bytes, "
        "stablehlo_text or stablehlo_artifact");
  }
  const uint64_t bytes = source.has_program()
                             ? source.program().ByteSizeLong()
                             : source.jaxpr_text().size() + source.program_bytes().size() +
                                   source.stablehlo_text().size() +
                                   source.stablehlo_artifact().size();
  if (bytes > static_cast<uint64_t>(config_.max_program_bytes)) {
    return ResourceExhausted(StrCat("program has ", bytes,
                                    " bytes, the limit max_program_bytes is ",
                                    config_.max_program_bytes));
  }
  if (request.stack_size() > config_.max_transforms) {
    return ResourceExhausted(StrCat("stack has ", request.stack_size(),
                                    " transforms, the limit max_transforms is ",
                                    config_.max_transforms));
  }
  for (int i = 0; i < request.stack_size(); ++i) {
    if (request.stack(i).kind_case() == v1::Transform::KIND_NOT_SET) {
      return InvalidArgument(
          StrCat("transform ", i, " of the stack is none that this build knows"));
    }
  }
  return OkStatus();
}

template <typename Request, typename Response, typename Work>
Result<Response> TraceService::Serve(const Request& request, ledger::Kind kind,
                                     Results<Response>& results, const Work& work,
                                     const rpc::Call& call) {
  RETURN_IF_ERROR(CheckLimits(request));
  const Stopwatch stopwatch(clock_);
  Evidence evidence;
  evidence.policy = PolicyOf(request.options().policy(), config_.policy);
  const Sha256Digest digest = Sha256::Of(CanonicalBytes(request));
  Result<Response> response = Status(Code::kInternal, "no result");
  if (const auto known = results.Get(digest.Hex())) {
    evidence.decision = "use result of an equal request";
    response = **known;
  } else {
    evidence.decision = "trace";
    response = work(evidence.policy, &evidence.steps);
    trace_seconds_.Observe(stopwatch.Seconds());
    if (response.ok()) SetSteps(evidence.steps, &*response);
    if (response.ok() &&
        response->ByteSizeLong() <= static_cast<size_t>(config_.max_cached_result_bytes)) {
      results.Put(digest.Hex(), std::make_shared<const Response>(*response));
    }
  }
  evidence.seconds = stopwatch.Seconds();
  if (response.ok()) evidence.key = response->key();
  const std::optional<uint64_t> sequence = Record(call, kind, digest, response.status(), evidence);
  if (!response.ok()) return response;
  response->mutable_ids()->set_trace_id(call.trace_id());
  if (sequence) response->mutable_ids()->add_ledger_sequences(*sequence);
  return response;
}

std::optional<uint64_t> TraceService::Record(const rpc::Call& call, ledger::Kind kind,
                                             const Sha256Digest& request, const Status& outcome,
                                             const Evidence& evidence) const {
  ledger::Entry entry;
  entry.kind = kind;
  entry.inputs = {{"request", request}};
  entry.policy = std::string(PolicyName(evidence.policy));
  entry.alternatives = {"trace", "use result of an equal request"};
  entry.decision = evidence.decision;
  entry.outcome = outcome.ok() ? "ok" : outcome.ToString();
  entry.evidence = {{"seconds", StrCat(evidence.seconds)}};
  for (const TraceStep& step : evidence.steps) {
    entry.evidence.emplace_back(step.transform, StrCat(step.eqns_in, " -> ", step.eqns_out,
                                                       " equations in ", step.seconds, " s"));
  }
  entry.key = evidence.key;
  return recorder_.Record(call, std::move(entry));
}

Result<v1::TraceResponse> TraceService::Trace(const v1::TraceRequest& request,
                                              const rpc::Call& call) {
  return Serve(
      request, ledger::Kind::kTransform, traced_,
      [&](Policy policy, std::vector<TraceStep>* steps) {
        return engine_->Trace(request, policy, steps, call.cancellation());
      },
      call);
}

Result<v1::LowerResponse> TraceService::Lower(const v1::LowerRequest& request,
                                              const rpc::Call& call) {
  return Serve(
      request, ledger::Kind::kLower, lowered_,
      [&](Policy policy, std::vector<TraceStep>* steps) {
        return engine_->Lower(request, policy, steps, call.cancellation());
      },
      call);
}

ServiceSpec TraceSpec(MakeTraceEngine make_engine) {
  const auto config = std::make_shared<TraceServiceConfig>();
  return {.name = "trace",
          .description = "Transforms programs and lowers them to StableHLO.",
          .add_fields =
              [config](config::Loader& loader) {
                loader.Add<TraceServiceConfig>(kTraceServiceFields, config.get());
              },
          .make = [config, make_engine](ServiceContext& context) -> Result<ServiceList> {
            ASSIGN_OR_RETURN(auto engine, make_engine(*config));
            ServiceList list;
            list.push_back(std::make_unique<TraceService>(*config, std::move(engine), context));
            return list;
          },
          .on_started = nullptr};
}

}  // namespace megalith::services

#include "services/compile/compile_service.h"

#include "common/fleet/cache/cache_proto.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/log.h"
#include "common/foundation/telemetry/metric_table.h"
#include "services/common/timings.h"
#include "services/compile/compile_proto.h"

namespace megalith::services {

namespace v1 = compile::v1;

namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr char kKind[] = "executable";

std::string OutcomeText(v1::CacheOutcome outcome) {
  std::string name = AsciiLower(v1::CacheOutcome_Name(outcome));
  return name.substr(std::string_view("cache_outcome_").size());
}

}  // namespace

// Progress events of one call. The share of the whole is by fixed weights: compiling is nearly all
// of it.
class CompileService::Progress {
 public:
  Progress(rpc::Writer<v1::CompileEvent>& writer, const Clock& clock)
      : writer_(writer), stopwatch_(clock) {}

  // Events are best effort: a caller that has gone is noticed by the work itself.
  void Report(const char* stage, double fraction) {
    v1::CompileEvent event;
    event.mutable_progress()->set_stage(stage);
    event.mutable_progress()->set_fraction(fraction);
    event.mutable_progress()->set_seconds(stopwatch_.Seconds());
    (void)writer_.Write(event);
  }

 private:
  rpc::Writer<v1::CompileEvent>& writer_;
  const Stopwatch stopwatch_;
};

CompileService::CompileService(const CompileServiceConfig& config,
                               std::shared_ptr<CompileEngine> engine,
                               std::shared_ptr<rpc::Channel> cache, ServiceContext& context)
    : Service("megalith.compile.v1.CompileService", context.process.threads()),
      config_(config),
      engine_(std::move(engine)),
      cache_(std::move(cache)),
      recorder_(context.ledger, "compile"),
      clock_(context.process.clock()),
      compile_seconds_(context.process.metrics().GetHistogram(telemetry::kCompileSeconds)) {
  ServerStream("Compile", this, &CompileService::Compile);
  ServerStream("GetExecutable", this, &CompileService::GetExecutable);
}

Result<CompileInput> CompileService::InputOf(const v1::CompileRequest& request) const {
  CompileInput input{
      .text = request.stablehlo_text(),
      .artifact = request.stablehlo_artifact(),
      .target = request.options().target(),
      .policy = PolicyOf(request.options().policy(), config_.policy),
      .options = {request.options().extra().begin(), request.options().extra().end()}};
  if (input.text.empty() && input.artifact.empty()) {
    return InvalidArgument(
        "the request carries no program: set stablehlo_text or stablehlo_artifact");
  }
  if (input.target.empty()) input.target = config_.target;
  if (input.target.empty()) input.target = engine_->default_target();
  return input;
}

Status CompileService::Compile(const v1::CompileRequest& request,
                               rpc::Writer<v1::CompileEvent>& writer, const rpc::Call& call) {
  Progress progress(writer, clock_);
  Timings timings(clock_);
  ASSIGN_OR_RETURN(const CompileInput input, InputOf(request));
  progress.Report("parse", 0);
  ASSIGN_OR_RETURN(const std::unique_ptr<CompileJob> job,
                   engine_->Prepare(input, call.cancellation()));
  timings.Lap("prepare");
  const Result<Package> package = Obtain(*job, request.options().ignore_cache(), progress, call);
  timings.Lap("obtain");
  const std::optional<uint64_t> sequence =
      Record(call, *job, input, package, timings.total_seconds());
  if (!package.ok()) return package.status();

  v1::CompileEvent event;
  v1::CompileResult& result = *event.mutable_result();
  result.set_key(job->key().Hex());
  for (const cache::Component& c : job->key().components)
    *result.add_key_components() = cache::ComponentToProto(c);
  *result.mutable_signature() = SignatureToProto(job->signature());
  *result.mutable_cost() = CostToProto(job->cost());
  result.set_cache(package->outcome);
  if (request.return_package() || !package->store_error.ok()) result.set_package(*package->bytes);
  timings.CopyTo(&result);
  result.mutable_ids()->set_trace_id(call.trace_id());
  if (sequence) result.mutable_ids()->add_ledger_sequences(*sequence);
  return writer.Write(event);
}

Result<CompileService::Package> CompileService::Obtain(CompileJob& job, bool ignore_cache,
                                                       Progress& progress, const rpc::Call& call) {
  const std::string key = job.key().Hex();
  progress.Report("lookup", 0.1);
  Status lookup = NotFound("the caller asked to ignore the cache");
  if (!ignore_cache) {
    const Result<cache::Entry> entry = cache_.Get(key, {.parent = &call});
    if (entry.ok())
      return Package{.bytes = entry->value, .outcome = v1::CACHE_OUTCOME_HIT, .store_error = {}};
    lookup = entry.status();
    RETURN_IF_ERROR(call.Check());
  }
  using Shared = std::shared_ptr<const Package>;
  ASSIGN_OR_RETURN(
      const auto outcome,
      flights_.Do(key, call.cancellation(), [&](const Cancellation& all_gone) -> Result<Shared> {
        ASSIGN_OR_RETURN(Package package,
                         Build(job, lookup, ignore_cache, progress, all_gone, call));
        return std::make_shared<const Package>(std::move(package));
      }));
  Package package = *outcome.value;
  if (outcome.shared) package.outcome = v1::CACHE_OUTCOME_SHARED;
  return package;
}

Result<CompileService::Package> CompileService::Build(CompileJob& job, const Status& lookup,
                                                      bool ignore_cache, Progress& progress,
                                                      const Cancellation& cancellation,
                                                      const rpc::Call& call) {
  const Stopwatch stopwatch(clock_);
  const auto report = [&progress](double done) { progress.Report("compile", 0.2 + 0.7 * done); };
  report(0);
  ASSIGN_OR_RETURN(std::string bytes, job.Compile(report, cancellation));
  compile_seconds_.Observe(stopwatch.Seconds());
  if (bytes.size() > static_cast<uint64_t>(config_.max_package_bytes)) {
    return ResourceExhausted(StrCat("package has ", bytes.size(),
                                    " bytes, the limit max_package_bytes is ",
                                    config_.max_package_bytes));
  }
  progress.Report("store", 0.9);
  Package package;
  package.bytes = std::make_shared<const std::string>(std::move(bytes));
  // The result may serve others than this caller, so storing it does not end with this caller.
  const telemetry::TraceContext trace = call.trace();
  if (ignore_cache)
    (void)cache_.Evict({job.key().Hex()}, std::nullopt,
                       {.cancellation = &cancellation, .trace = trace});
  package.store_error =
      cache_.Put(job.key(), *package.bytes, {.cancellation = &cancellation, .trace = trace})
          .status();
  package.outcome = ignore_cache                       ? v1::CACHE_OUTCOME_IGNORED
                    : lookup.code() == Code::kDataLoss ? v1::CACHE_OUTCOME_REPAIRED
                                                       : v1::CACHE_OUTCOME_MISS;
  if (!package.store_error.ok()) package.outcome = v1::CACHE_OUTCOME_NOT_STORED;
  return package;
}

std::optional<uint64_t> CompileService::Record(const rpc::Call& call, const CompileJob& job,
                                               const CompileInput& input,
                                               const Result<Package>& package,
                                               double seconds) const {
  ledger::Entry entry;
  entry.kind = ledger::Kind::kCompile;
  for (const cache::Component& c : job.key().components)
    entry.inputs.emplace_back(c.name, c.digest);
  entry.policy = std::string(PolicyName(input.policy));
  entry.alternatives = {"use cached package", "compile", "join a compilation in progress"};
  entry.decision = package.ok() ? OutcomeText(package->outcome) : "compile";
  entry.outcome = package.ok() ? "ok" : package.status().ToString();
  entry.evidence = {
      {"target", input.target}, {"seconds", StrCat(seconds)}, {"flops", StrCat(job.cost().flops)}};
  if (package.ok()) {
    entry.evidence.emplace_back("package_bytes", StrCat(package->bytes->size()));
    if (!package->store_error.ok())
      entry.evidence.emplace_back("store_error", package->store_error.ToString());
  }
  entry.key = job.key().Hex();
  return recorder_.Record(call, std::move(entry));
}

Status CompileService::GetExecutable(const v1::GetExecutableRequest& request,
                                     rpc::Writer<v1::GetExecutableChunk>& writer,
                                     const rpc::Call& call) {
  ASSIGN_OR_RETURN(const cache::Entry entry, cache_.Get(request.key(), {.parent = &call}));
  if (entry.key.kind != kKind) {
    return InvalidArgument(
        StrCat("key ", request.key(), " is of kind '", entry.key.kind, "', expected executable"));
  }
  ASSIGN_OR_RETURN(const Signature signature, engine_->SignatureOf(*entry.value));
  size_t at = 0;
  do {
    v1::GetExecutableChunk chunk;
    if (at == 0) {
      *chunk.mutable_signature() = SignatureToProto(signature);
      chunk.set_total_bytes(entry.value->size());
    }
    chunk.set_data(entry.value->substr(at, kChunkBytes));
    at += chunk.data().size();
    RETURN_IF_ERROR(writer.Write(chunk));
  } while (at < entry.value->size());
  return OkStatus();
}

ServiceSpec CompileSpec(MakeCompileEngine make_engine) {
  const auto config = std::make_shared<CompileServiceConfig>();
  return {.name = "compile",
          .description = "Compiles StableHLO programs into executables.",
          .add_fields =
              [config](config::Loader& loader) {
                loader.Add<CompileServiceConfig>(kCompileServiceFields, config.get());
              },
          .make = [config, make_engine](ServiceContext& context) -> Result<ServiceList> {
            ASSIGN_OR_RETURN(auto engine, make_engine());
            ASSIGN_OR_RETURN(auto cache, context.process.ChannelTo("cache", config->cache_address));
            ServiceList list;
            list.push_back(std::make_unique<CompileService>(*config, std::move(engine),
                                                            std::move(cache), context));
            return list;
          },
          .on_started = nullptr};
}

}  // namespace megalith::services

#include "services/compile/compile_service.h"

#include <utility>

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
constexpr size_t kMaxClientBytes = 200;
constexpr size_t kStoredKeys = 10'000;

std::string OutcomeText(v1::CacheOutcome outcome) {
  std::string name = AsciiLower(v1::CacheOutcome_Name(outcome));
  return name.substr(std::string_view("cache_outcome_").size());
}

Urgency UrgencyOf(v1::Priority priority) {
  if (priority == v1::PRIORITY_BATCH) return Urgency::kBatch;
  if (priority == v1::PRIORITY_BACKGROUND) return Urgency::kBackground;
  return Urgency::kInteractive;
}

CompileQueueLimits LimitsOf(const CompileServiceConfig& c) {
  return {.workers = c.workers,
          .programs = static_cast<size_t>(c.queue_programs),
          .programs_of_client = static_cast<size_t>(c.queue_programs_of_client),
          .time_budget = c.time_budget,
          .wait_budget = c.queue_budget,
          .memory_budget_bytes = static_cast<uint64_t>(c.memory_budget_bytes),
          .service_memory_bytes = static_cast<uint64_t>(c.service_memory_bytes)};
}

rpc::ServiceThreads ThreadsOf(const CompileServiceConfig& config, rpc::ServiceThreads threads) {
  threads.max_streams = static_cast<size_t>(config.callers);
  return threads;
}

// How a request that got no package ended.
std::string_view FailureOf(Code code) {
  if (code == Code::kCancelled || code == Code::kDeadlineExceeded) return "cancelled";
  return code == Code::kResourceExhausted ? "over_limit" : "failed";
}

}  // namespace

// Progress events of one call. The share of the whole is by fixed weights: compiling is nearly all
// of it.
class CompileService::Progress {
 public:
  Progress(rpc::Writer<v1::CompileEvent>& writer, const Clock& clock)
      : writer_(writer), stopwatch_(clock) {}

  // Events are best effort: a caller that has gone is noticed by the work itself.
  void Report(std::string_view stage, double fraction) {
    v1::CompileEvent event;
    event.mutable_progress()->set_stage(std::string(stage));
    event.mutable_progress()->set_fraction(fraction);
    event.mutable_progress()->set_seconds(stopwatch_.Seconds());
    (void)writer_.Write(event);
  }

 private:
  rpc::Writer<v1::CompileEvent>& writer_;
  const Stopwatch stopwatch_;
};

// One call's place among those of its client.
class CompileService::Seat {
 public:
  static Result<Seat> Take(CompileService* service, const std::string& client) {
    const std::lock_guard<std::mutex> lock(service->seats_mu_);
    int& taken = service->seats_[client];
    if (taken >= service->config_.callers_of_client) {
      return ResourceExhausted(
          StrCat("this client has ", taken, " calls in progress, its share (callers_of_client) is ",
                 service->config_.callers_of_client, "; wait for some of them, then retry"));
    }
    ++taken;
    return Seat(service, client);
  }
  Seat(Seat&& other) noexcept
      : service_(std::exchange(other.service_, nullptr)), client_(std::move(other.client_)) {}
  ~Seat() {
    if (service_ == nullptr) return;
    const std::lock_guard<std::mutex> lock(service_->seats_mu_);
    const auto at = service_->seats_.find(client_);
    if (--at->second == 0) service_->seats_.erase(at);
  }

 private:
  Seat(CompileService* service, std::string client)
      : service_(service), client_(std::move(client)) {}
  CompileService* service_;
  std::string client_;
};

CompileService::CompileService(const CompileServiceConfig& config,
                               std::shared_ptr<CompileEngine> engine,
                               std::shared_ptr<rpc::Channel> cache, ServiceContext& context)
    : Service("megalith.compile.v1.CompileService", ThreadsOf(config, context.process.threads())),
      config_(config),
      engine_(std::move(engine)),
      cache_(std::move(cache)),
      fleet_key_(context.fleet_key),
      recorder_(context.ledger, "compile"),
      clock_(context.process.clock()),
      metrics_(context.process.metrics()),
      stored_(kStoredKeys),
      queue_(LimitsOf(config), context.process.metrics(), context.process.clock()) {
  ServerStream("Compile", this, &CompileService::Compile);
  ServerStream("GetExecutable", this, &CompileService::GetExecutable);
}

void CompileService::Count(std::string_view outcome) const {
  metrics_.GetCounter(telemetry::kCompileRequests, {outcome}).Add();
}

Result<CompileInput> CompileService::InputOf(const v1::CompileRequest& request) const {
  CompileInput input{
      .text = request.stablehlo_text(),
      .artifact = request.stablehlo_artifact(),
      .target = request.options().target(),
      .policy = PolicyOf(request.options().policy(), config_.policy),
      .options = {request.options().extra().begin(), request.options().extra().end()},
      .memory_budget_bytes = static_cast<uint64_t>(config_.memory_budget_bytes)};
  if (input.text.empty() && input.artifact.empty()) {
    return InvalidArgument(
        "the request carries no program: set stablehlo_text or stablehlo_artifact");
  }
  if (input.target.empty()) input.target = config_.target;
  if (input.target.empty()) input.target = engine_->default_target();
  return input;
}

// A name the caller chose counts within its certificate only.
Result<std::string> CompileService::ClientOf(const v1::CompileRequest& request,
                                             const rpc::Call& call) const {
  const std::string& name = request.options().client();
  if (name.size() > kMaxClientBytes) {
    return InvalidArgument(
        StrCat("client has ", name.size(), " bytes, the most is ", kMaxClientBytes));
  }
  const std::string identity = call.peer_identity();
  if (!name.empty()) return identity.empty() ? name : StrCat(identity, "/", name);
  return identity.empty() ? call.peer() : identity;
}

Status CompileService::Compile(const v1::CompileRequest& request,
                               rpc::Writer<v1::CompileEvent>& writer, const rpc::Call& call) {
  const Status status = [&]() -> Status {
    ASSIGN_OR_RETURN(const std::string client, ClientOf(request, call));
    ASSIGN_OR_RETURN(const Seat seat, Seat::Take(this, client));
    return CompileSeated(request, client, writer, call);
  }();
  if (!status.ok()) Count(FailureOf(status.code()));
  return status;
}

Status CompileService::CompileSeated(const v1::CompileRequest& request, const std::string& client,
                                     rpc::Writer<v1::CompileEvent>& writer, const rpc::Call& call) {
  Progress progress(writer, clock_);
  Timings timings(clock_);
  ASSIGN_OR_RETURN(const CompileInput input, InputOf(request));
  progress.Report("parse", 0);
  ASSIGN_OR_RETURN(std::unique_ptr<CompileJob> prepared,
                   engine_->Prepare(input, call.cancellation()));
  const std::shared_ptr<CompileJob> job = std::move(prepared);
  timings.Lap("prepare");
  const Result<Obtained> obtained = Obtain(job, request.options(), client, progress, call);
  timings.Lap("obtain");
  const std::optional<uint64_t> sequence =
      Record(call, *job, input, request, client, obtained, timings.total_seconds());
  if (!obtained.ok()) return obtained.status();
  Count(obtained->hit ? "hit" : obtained->outcome.shared ? "shared" : "compiled");

  const CompiledPackage& package = *obtained->outcome.package;
  v1::CompileEvent event;
  v1::CompileResult& result = *event.mutable_result();
  result.set_key(job->key().Hex());
  for (const cache::Component& c : job->key().components)
    *result.add_key_components() = cache::ComponentToProto(c);
  *result.mutable_signature() = SignatureToProto(job->signature());
  *result.mutable_cost() = CostToProto(job->cost());
  result.set_cache(obtained->outcome.shared ? v1::CACHE_OUTCOME_SHARED : package.outcome);
  if (request.return_package() || !package.store_error.ok()) result.set_package(*package.bytes);
  timings.CopyTo(&result);
  result.mutable_ids()->set_trace_id(call.trace_id());
  if (sequence) result.mutable_ids()->add_ledger_sequences(*sequence);
  return writer.Write(event);
}

Result<CompileService::Obtained> CompileService::Obtain(const std::shared_ptr<CompileJob>& job,
                                                        const v1::CompileOptions& options,
                                                        const std::string& client,
                                                        Progress& progress, const rpc::Call& call) {
  const std::string key = job->key().Hex();
  const bool ignore_cache = options.ignore_cache();
  progress.Report("lookup", 0.1);
  Status lookup = NotFound("the caller asked to ignore the cache");
  Obtained out;
  if (!ignore_cache) {
    Result<CompiledPackagePtr> found = FromCache(key, {.parent = &call});
    if (found.ok()) {
      out.hit = true;
      out.outcome.package = *std::move(found);
      return out;
    }
    lookup = found.status();
    RETURN_IF_ERROR(call.Check());
  }
  // The result may serve others than this caller, so it takes nothing of the call along but its
  // trace.
  CompileTask task{.key = key,
                   .client = client,
                   .urgency = UrgencyOf(options.priority()),
                   .memory_bytes = job->memory_bytes(),
                   .find = nullptr,
                   .run = [this, job, lookup, ignore_cache, trace = call.trace()](
                              const StageProgress& report, const Cancellation& cancellation) {
                     return Build(*job, lookup, ignore_cache, report, cancellation, trace);
                   }};
  if (!ignore_cache) {
    task.find = [this, key, trace = call.trace()](const Cancellation& c) {
      return FindStored(key, {.cancellation = &c, .trace = trace});
    };
  }
  ASSIGN_OR_RETURN(out.outcome, queue_.Do(std::move(task), call.cancellation(),
                                          [&progress](std::string_view stage, double done) {
                                            progress.Report(stage, done);
                                          }));
  out.hit = out.outcome.package->outcome == v1::CACHE_OUTCOME_HIT;
  return out;
}

Result<CompiledPackagePtr> CompileService::FromCache(const std::string& key,
                                                     const rpc::CallOptions& options) const {
  ASSIGN_OR_RETURN(const cache::Entry entry, cache_.Get(key, options));
  if (fleet_key_.present()) {
    RETURN_IF_ERROR(OpenPackage(fleet_key_, "compile", key, *entry.value).status());
  }
  return std::make_shared<const CompiledPackage>(
      CompiledPackage{.bytes = entry.value, .outcome = v1::CACHE_OUTCOME_HIT, .store_error = {}});
}

// What was stored after its caller had looked for it.
CompiledPackagePtr CompileService::FindStored(const std::string& key,
                                              const rpc::CallOptions& options) {
  if (!stored_.Get(key)) return nullptr;
  const Result<CompiledPackagePtr> found = FromCache(key, options);
  return found.ok() ? *found : nullptr;
}

Result<CompiledPackagePtr> CompileService::Build(CompileJob& job, const Status& lookup,
                                                 bool ignore_cache, const StageProgress& progress,
                                                 const Cancellation& cancellation,
                                                 const telemetry::TraceContext& trace) {
  const std::string key = job.key().Hex();
  const rpc::CallOptions options{.cancellation = &cancellation, .trace = trace};
  CompiledPackage package;
  const Stopwatch stopwatch(clock_);
  const auto report = [&progress](double done) { progress("compile", 0.2 + 0.7 * done); };
  report(0);
  ASSIGN_OR_RETURN(std::string bytes, job.Compile(report, cancellation));
  metrics_.GetHistogram(telemetry::kCompileSeconds, {job.tier()}).Observe(stopwatch.Seconds());
  if (bytes.size() > static_cast<uint64_t>(config_.max_package_bytes)) {
    return ResourceExhausted(StrCat("package has ", bytes.size(),
                                    " bytes, the limit max_package_bytes is ",
                                    config_.max_package_bytes));
  }
  progress("store", 0.9);
  package.bytes = std::make_shared<const std::string>(fleet_key_.Seal(key, std::move(bytes)));
  if (ignore_cache || lookup.code() == Code::kDataLoss) {
    // An equal entry stays: somebody may be about to load it.
    const Result<cache::Entry> old = cache_.Get(key, options);
    if (!old.ok() || *old->value != *package.bytes) {
      (void)cache_.Evict({key}, std::nullopt, options);
    }
  }
  package.store_error = cache_.Put(job.key(), *package.bytes, options).status();
  package.outcome = ignore_cache                       ? v1::CACHE_OUTCOME_IGNORED
                    : lookup.code() == Code::kDataLoss ? v1::CACHE_OUTCOME_REPAIRED
                                                       : v1::CACHE_OUTCOME_MISS;
  if (!package.store_error.ok()) package.outcome = v1::CACHE_OUTCOME_NOT_STORED;
  if (package.store_error.ok()) stored_.Put(key, true);
  return std::make_shared<const CompiledPackage>(std::move(package));
}

std::optional<uint64_t> CompileService::Record(const rpc::Call& call, const CompileJob& job,
                                               const CompileInput& input,
                                               const v1::CompileRequest& request,
                                               const std::string& client,
                                               const Result<Obtained>& obtained,
                                               double seconds) const {
  ledger::Entry entry;
  entry.kind = ledger::Kind::kCompile;
  for (const cache::Component& c : job.key().components)
    entry.inputs.emplace_back(c.name, c.digest);
  entry.policy = std::string(PolicyName(input.policy));
  entry.alternatives = {"use cached package", "compile", "join a compilation in progress"};
  entry.outcome = obtained.ok() ? "ok" : obtained.status().ToString();
  entry.evidence = {
      {"target", input.target},
      {"tier", job.tier()},
      {"client", client},
      {"priority", kUrgencyNames[static_cast<size_t>(UrgencyOf(request.options().priority()))]},
      {"seconds", StrCat(seconds)},
      {"flops", StrCat(job.cost().flops)},
      {"memory_bytes", StrCat(job.memory_bytes())}};
  if (obtained.ok()) {
    const CompileQueue::Outcome& outcome = obtained->outcome;
    entry.decision =
        OutcomeText(outcome.shared ? v1::CACHE_OUTCOME_SHARED : outcome.package->outcome);
    entry.evidence.emplace_back("package_bytes", StrCat(outcome.package->bytes->size()));
    if (!obtained->hit) {
      entry.evidence.emplace_back("wait_seconds", StrCat(outcome.wait_seconds));
      entry.evidence.emplace_back("compile_seconds", StrCat(outcome.run_seconds));
    }
    if (!outcome.package->store_error.ok())
      entry.evidence.emplace_back("store_error", outcome.package->store_error.ToString());
  } else {
    const std::string_view failure = FailureOf(obtained.status().code());
    entry.decision = failure == "failed" ? "compile" : failure;
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
  ASSIGN_OR_RETURN(const Signature signature,
                   engine_->SignatureOf(cache::WithoutSeal(*entry.value)));
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
                loader.Add<CompileServiceConfig>(kCompilePeerFields, config.get());
              },
          .make = [config, make_engine](ServiceContext& context) -> Result<ServiceList> {
            ASSIGN_OR_RETURN(auto engine, make_engine());
            WarnWithoutFleetKey(context, "compile");
            ASSIGN_OR_RETURN(auto cache, context.process.ChannelTo("cache", config->cache_address));
            ServiceList list;
            list.push_back(std::make_unique<CompileService>(*config, std::move(engine),
                                                            std::move(cache), context));
            return list;
          },
          .on_started = nullptr};
}

}  // namespace megalith::services

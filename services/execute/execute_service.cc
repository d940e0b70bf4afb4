#include "services/execute/execute_service.h"

#include <algorithm>

#include "common/fleet/rpc/status.h"
#include "common/foundation/base/rng.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/telemetry/metric_table.h"
#include "common/foundation/tensor/physical.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/machines/runtime/backend.h"
#include "megalith/compile/v1/compile.pb.h"
#include "megalith/trace/v1/trace.pb.h"
#include "services/common/canonical.h"
#include "services/execute/profile_proto.h"
#include "services/execute/session.h"
#include "services/execute/weak_arguments.h"

namespace megalith::services {

namespace v1 = execute::v1;

namespace {

constexpr size_t kChunkBytes = 1 << 20;
constexpr size_t kMaxChains = 10'000;
constexpr uint64_t kHeaderRoomBytes = 64 << 10;
constexpr size_t kMaxClientBytes = 200;
constexpr size_t kMaxHandlesPerCall = 100'000;
// What one call may give back on gRPC's thread: returning memory takes time in proportion to its
// size.
constexpr int kMaxQuickHandles = 100;
constexpr size_t kMaxQuickFreeBytes = 1 << 20;

// Callers that wait for a compiler or a load must not keep others from running what is there.
rpc::ServiceThreads ThreadsOf(const ExecuteServiceConfig& config, rpc::ServiceThreads threads) {
  threads.unary = std::max(threads.unary, static_cast<size_t>(config.callers));
  return threads;
}

// Who asks and how urgently does not change what is made.
std::string ChainIdentity(const v1::ProgramChain& chain) {
  if (chain.compile_options().client().empty() && chain.compile_options().priority() == 0)
    return CanonicalBytes(chain);
  v1::ProgramChain plain = chain;
  plain.mutable_compile_options()->clear_client();
  plain.mutable_compile_options()->clear_priority();
  return CanonicalBytes(plain);
}

// True for a lowered program without transforms, which the compile service takes as it is. What
// belongs to other forms is refused by the trace service.
bool IsLowered(const v1::ProgramChain& chain) {
  const trace::v1::ProgramSource& source = chain.source();
  return chain.stack().empty() && chain.trace_options().extra().empty() &&
         source.in_avals().empty() && source.consts().empty() && source.rules().empty() &&
         (source.form_case() == trace::v1::ProgramSource::kStablehloText ||
          source.form_case() == trace::v1::ProgramSource::kStablehloArtifact);
}

std::vector<bool> WeakFlags(const v1::ExecuteRequest& request) {
  const v1::ProgramChain& chain = request.chain();
  std::vector<bool> out;
  for (int i = 0; i < request.arguments_size(); ++i) {
    out.push_back(request.arguments(i).weak() ||
                  (i < chain.weak_arguments_size() && chain.weak_arguments(i)));
  }
  return out;
}

tensor::ArrayType TypeOf(const tensor::Tensor& t) {
  return {.dtype = t.dtype(), .shape = t.shape(), .weak_type = false};
}

}  // namespace

ExecuteService::ExecuteService(const ExecuteServiceConfig& config,
                               std::shared_ptr<ExecuteEngine> engine, const ExecutePeers& peers,
                               ServiceContext& context)
    : Service("megalith.execute.v1.ExecuteService", ThreadsOf(config, context.process.threads())),
      config_(config),
      engine_(std::move(engine)),
      trace_(peers.trace),
      compile_(peers.compile),
      cache_(peers.cache),
      fleet_key_(context.fleet_key),
      recorder_(context.ledger, "execute"),
      clock_(context.process.clock()),
      max_response_bytes_(static_cast<uint64_t>(context.process.config().max_response_bytes)),
      run_seconds_(context.process.metrics().GetHistogram(telemetry::kExecuteSeconds)),
      loaded_gauge_(context.process.metrics().GetGauge(telemetry::kExecuteLoaded)),
      buffers_(static_cast<uint64_t>(config.max_buffer_bytes), EntropySeed(),
               context.process.metrics()),
      run_slots_(context.process.threads().unary + context.process.threads().max_streams),
      loaded_(static_cast<size_t>(config.max_loaded_programs)),
      chains_(kMaxChains) {
  Unary("Load", this, &ExecuteService::Load);
  Unary("Unload", this, &ExecuteService::Unload);
  Unary("Execute", this, &ExecuteService::Execute, &ExecuteService::QuickExecute);
  BidiStream("ExecuteStream", this, &ExecuteService::ExecuteStream);
  BidiStream("Session", this, &ExecuteService::RunSession);
  Unary("PutBuffer", this, &ExecuteService::PutBuffer, &ExecuteService::QuickPutBuffer);
  ClientStream("PutBufferStream", this, &ExecuteService::PutBufferStream);
  Unary("GetBuffer", this, &ExecuteService::GetBuffer, &ExecuteService::QuickGetBuffer);
  ServerStream("GetBufferStream", this, &ExecuteService::GetBufferStream);
  Unary("FreeBuffer", this, &ExecuteService::FreeBuffer, &ExecuteService::QuickFreeBuffer);
}

void ExecuteService::Remember(const std::string& key, const ExecutablePtr& executable) {
  loaded_.Put(key, executable);
  loaded_gauge_.Set(static_cast<double>(loaded_.size()));
}

Result<ExecuteService::ExecutablePtr> ExecuteService::LoadPackage(
    const std::string& key, std::string_view bytes, const Cancellation& cancellation) const {
  if (!fleet_key_.present()) {
    return engine_->Load(cache::WithoutSeal(bytes), runtime::Origin::kStranger, cancellation);
  }
  const Result<std::string_view> package = OpenPackage(fleet_key_, "execute", key, bytes);
  RETURN_IF_ERROR(package.status());
  return engine_->Load(*package, runtime::Origin::kOwn, cancellation);
}

Result<ExecuteService::Ready> ExecuteService::LoadByKey(const std::string& key,
                                                        const rpc::Call& call) {
  if (std::optional<ExecutablePtr> executable = loaded_.Get(key)) {
    return Ready{.executable = *executable, .key = key, .was_loaded = true};
  }
  const Stopwatch stopwatch(clock_);
  const auto load = [this, key,
                     trace = call.trace()](const Cancellation& all_gone) -> Result<ExecutablePtr> {
    // A load may have ended between the look above and now.
    if (std::optional<ExecutablePtr> executable = loaded_.Get(key)) return *executable;
    ASSIGN_OR_RETURN(
        const cache::Entry entry,
        cache_.Get(key, {.cancellation = &all_gone, .trace = trace}).Annotate("executable"));
    ASSIGN_OR_RETURN(ExecutablePtr executable, LoadPackage(key, *entry.value, all_gone));
    Remember(key, executable);
    return executable;
  };
  const auto outcome = loads_.DoApart(key, call.cancellation(), load);
  Record(call, "load", key, outcome.status(), stopwatch.Seconds());
  if (!outcome.ok()) return outcome.status();
  return Ready{.executable = outcome->value, .key = key, .was_loaded = false};
}

Status ExecuteService::LowerChain(const ChainTask& task, const rpc::CallOptions& options,
                                  compile::v1::CompileRequest* compile) const {
  const v1::ProgramChain& chain = task.chain;
  if (IsLowered(chain)) {
    const trace::v1::ProgramSource& source = chain.source();
    if (source.form_case() == trace::v1::ProgramSource::kStablehloText) {
      compile->set_stablehlo_text(source.stablehlo_text());
    } else {
      compile->set_stablehlo_artifact(source.stablehlo_artifact());
    }
    return OkStatus();
  }
  trace::v1::LowerRequest lower;
  *lower.mutable_source() = chain.source();
  *lower.mutable_stack() = chain.stack();
  *lower.mutable_options() = chain.trace_options();
  lower.mutable_arguments();
  for (const tensor::ArrayType& type : task.arguments) {
    *lower.mutable_arguments()->add_types() = tensor::TypeToProto(type);
  }
  Result<trace::v1::LowerResponse> lowered = trace_.Lower(lower, options);
  if (lowered.status().code() == Code::kInvalidArgument &&
      std::ranges::any_of(task.arguments, &tensor::ArrayType::weak_type)) {
    lower.clear_arguments();
    Result<trace::v1::LowerResponse> own = trace_.Lower(lower, options);
    if (own.ok()) lowered = std::move(own);
  }
  RETURN_IF_ERROR(lowered.status());
  compile->set_stablehlo_text(std::move(*lowered->mutable_stablehlo_text()));
  return OkStatus();
}

Result<ExecuteService::Chain> ExecuteService::CompileChain(const ChainTask& task,
                                                           const rpc::CallOptions& options) const {
  const v1::ProgramChain& chain = task.chain;
  Chain out;
  Stopwatch stopwatch(clock_);
  compile::v1::CompileRequest compile;
  RETURN_IF_ERROR(LowerChain(task, options, &compile));
  out.trace_seconds = stopwatch.Seconds();
  *compile.mutable_options() = chain.compile_options();
  // Whoever ignores the cache also replaces its entries, so this one may be gone when it is loaded.
  compile.set_return_package(chain.compile_options().ignore_cache());
  if (compile.options().client().empty()) compile.mutable_options()->set_client(task.client);
  stopwatch = Stopwatch(clock_);
  ASSIGN_OR_RETURN(const compile::v1::CompileResult compiled,
                   compile_.Compile(compile, nullptr, options));
  out.compile_seconds = stopwatch.Seconds();
  out.key = compiled.key();
  out.package = compiled.package();
  return out;
}

Result<ExecuteService::Ready> ExecuteService::LoadByChain(const v1::ExecuteRequest& request,
                                                          Timings* timings, const rpc::Call& call) {
  const v1::ProgramChain& chain = request.chain();
  ASSIGN_OR_RETURN(const std::vector<tensor::Tensor> arguments, ArgumentsOf(request.arguments()));
  std::vector<tensor::ArrayType> types;
  for (const tensor::Tensor& t : arguments) types.push_back(TypeOf(t));
  const std::vector<bool> weak = WeakFlags(request);
  for (size_t i = 0; i < types.size(); ++i) types[i].weak_type = weak[i];
  std::string identity = ChainIdentity(chain);
  for (const tensor::ArrayType& t : types) {
    StrAppend(&identity, tensor::TypeText(t.dtype, t.shape), t.weak_type ? "~;" : ";");
  }
  const std::string digest = Sha256::Of(identity).Hex();
  if (const std::optional<std::string> key = chains_.Get(digest);
      key && !chain.compile_options().ignore_cache()) {
    Result<Ready> ready = LoadByKey(*key, call);
    // An entry that has been evicted or damaged since is compiled again.
    if (ready.ok() ||
        (ready.status().code() != Code::kNotFound && ready.status().code() != Code::kDataLoss))
      return ready;
  }
  // Whoever came first may leave: what runs for all owns what it uses.
  const auto task = std::make_shared<ChainTask>();
  task->chain = chain;
  task->arguments = std::move(types);
  const std::string caller = call.peer_identity();
  task->client =
      Printable(caller.empty() ? call.peer() : caller, kMaxClientBytes).substr(0, kMaxClientBytes);
  ASSIGN_OR_RETURN(
      const auto outcome,
      compiles_.DoApart(digest, call.cancellation(),
                        [this, task, trace = call.trace()](
                            const Cancellation& all_gone) -> Result<std::shared_ptr<const Chain>> {
                          ASSIGN_OR_RETURN(
                              Chain out,
                              CompileChain(*task, {.cancellation = &all_gone, .trace = trace}));
                          return std::make_shared<const Chain>(std::move(out));
                        }));
  const std::string& key = outcome.value->key;
  const std::string& package = outcome.value->package;
  timings->Skip();
  if (!outcome.shared) {
    timings->Add("trace", outcome.value->trace_seconds);
    timings->Add("compile", outcome.value->compile_seconds);
  }
  chains_.Put(digest, key);
  if (package.empty()) return LoadByKey(key, call);
  // The cache could not store it, or may not keep it: the answer must not depend on that.
  ASSIGN_OR_RETURN(const ExecutablePtr executable, LoadPackage(key, package, call.cancellation()));
  Remember(key, executable);
  return Ready{.executable = executable, .key = key, .was_loaded = false};
}

Result<std::vector<tensor::Tensor>> ExecuteService::ArgumentsOf(
    const google::protobuf::RepeatedPtrField<v1::Argument>& arguments) const {
  std::vector<tensor::Tensor> out;
  out.reserve(static_cast<size_t>(arguments.size()));
  for (const v1::Argument& a : arguments) {
    const std::string where = StrCat("argument ", out.size());
    if (a.kind_case() == v1::Argument::kBuffer) {
      ASSIGN_OR_RETURN(tensor::Tensor t, buffers_.Get(a.buffer()).Annotate(where));
      out.push_back(std::move(t));
    } else if (a.kind_case() == v1::Argument::kTensor) {
      ASSIGN_OR_RETURN(
          tensor::Tensor t,
          tensor::TensorFromProto(a.tensor(), static_cast<uint64_t>(config_.max_tensor_bytes))
              .Annotate(where));
      out.push_back(std::move(t));
    } else {
      return InvalidArgument(StrCat(where, " has neither a tensor nor a buffer"));
    }
  }
  return out;
}

Result<v1::BufferInfo> ExecuteService::Keep(tensor::Tensor tensor) {
  v1::BufferInfo info;
  *info.mutable_type() = tensor::TypeToProto(TypeOf(tensor));
  ASSIGN_OR_RETURN(*info.mutable_handle(), buffers_.Put(std::move(tensor)));
  return info;
}

Result<v1::ExecuteResponse> ExecuteService::RunReady(const Ready& ready,
                                                     const v1::ExecuteRequest& request,
                                                     bool wait_for_slot, Timings* timings,
                                                     const rpc::Call& call) {
  ASSIGN_OR_RETURN(std::vector<tensor::Tensor> arguments, ArgumentsOf(request.arguments()));
  RETURN_IF_ERROR(AdaptWeak(ready.executable->inputs(), WeakFlags(request), &arguments));
  for (tensor::Tensor& t : arguments) t = tensor::ToPhysical(t);
  RETURN_IF_ERROR(CheckArguments(ready.executable->inputs(), arguments));
  std::optional<RunSlots::Slot> slot;
  if (wait_for_slot) {
    ASSIGN_OR_RETURN(RunSlots::Slot taken, run_slots_.Take(call.cancellation()));
    slot.emplace(std::move(taken));
  }
  const Stopwatch stopwatch(clock_);
  runtime::RunProfile profile;
  ASSIGN_OR_RETURN(std::vector<tensor::Tensor> results,
                   ready.executable->RunTaking(std::move(arguments), call.cancellation(),
                                               request.profile() ? &profile : nullptr));
  run_seconds_.Observe(stopwatch.Seconds());
  slot.reset();
  timings->Lap("run");
  v1::ExecuteResponse response;
  response.set_key(ready.key);
  if (request.profile()) *response.mutable_profile() = ProfileToProto(profile);
  for (tensor::Tensor& result : results) {
    if (request.return_buffers()) {
      ASSIGN_OR_RETURN(*response.add_results()->mutable_buffer(), Keep(std::move(result)));
    } else {
      *response.add_results()->mutable_tensor() = tensor::TensorToProto(result);
    }
  }
  timings->CopyTo(&response);
  response.mutable_ids()->set_trace_id(call.trace_id());
  return response;
}

Result<v1::ExecuteResponse> ExecuteService::Execute(const v1::ExecuteRequest& request,
                                                    const rpc::Call& call) {
  Timings timings(clock_);
  Result<Ready> ready = InvalidArgument("the request names no program: set key or chain");
  if (request.program_case() == v1::ExecuteRequest::kKey) ready = LoadByKey(request.key(), call);
  if (request.program_case() == v1::ExecuteRequest::kChain) {
    ready = LoadByChain(request, &timings, call);
  }
  if (!ready.ok()) {
    Record(call, "refuse", request.key(), ready.status(), timings.total_seconds());
    return ready.status();
  }
  timings.Lap("load");
  Result<v1::ExecuteResponse> response =
      RunReady(*ready, request, /*wait_for_slot=*/true, &timings, call);
  // A warm run by key leaves no entry: it decides nothing. A chain decided what to run.
  if (request.has_chain() || !response.ok()) {
    const std::optional<uint64_t> sequence =
        Record(call, "run", ready->key, response.status(), timings.total_seconds());
    if (response.ok() && sequence) response->mutable_ids()->add_ledger_sequences(*sequence);
  }
  return response;
}

Result<std::optional<v1::ExecuteResponse>> ExecuteService::QuickExecute(
    const v1::ExecuteRequest& request, const rpc::Call& call) {
  // A profiled run takes longer, and its answer is longer.
  if (request.program_case() != v1::ExecuteRequest::kKey || request.profile())
    return std::optional<v1::ExecuteResponse>();
  const std::optional<ExecutablePtr> executable = loaded_.Get(request.key());
  if (!executable || !(*executable)->quick()) return std::optional<v1::ExecuteResponse>();
  Timings timings(clock_);
  ASSIGN_OR_RETURN(v1::ExecuteResponse response,
                   RunReady({.executable = *executable, .key = request.key(), .was_loaded = true},
                            request, /*wait_for_slot=*/false, &timings, call));
  return std::optional<v1::ExecuteResponse>(std::move(response));
}

Status ExecuteService::ExecuteStream(rpc::Reader<v1::ExecuteStreamRequest>& reader,
                                     rpc::Writer<v1::ExecuteStreamResponse>& writer,
                                     const rpc::Call& call) {
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::ExecuteStreamRequest> item, reader.Read());
    if (!item) return OkStatus();
    v1::ExecuteStreamResponse answer;
    answer.set_id(item->id());
    Result<v1::ExecuteResponse> response = Execute(item->request(), call);
    // The end of the whole call is not the failure of one request.
    if (!response.ok()) RETURN_IF_ERROR(call.Check());
    if (response.ok()) {
      *answer.mutable_response() = *std::move(response);
    } else {
      answer.mutable_error()->set_code(static_cast<uint32_t>(response.status().code()));
      rpc::FillErrorDetail(response.status(), call.trace_id(),
                           answer.mutable_error()->mutable_detail());
    }
    RETURN_IF_ERROR(writer.Write(answer));
  }
}

Status ExecuteService::RunSession(rpc::Reader<v1::SessionRequest>& reader,
                                  rpc::Writer<v1::SessionResponse>& writer, const rpc::Call& call) {
  Session session(
      {.buffers = buffers_,
       .slots = run_slots_,
       .run_seconds = run_seconds_,
       .clock = clock_,
       .max_tensor_bytes = static_cast<uint64_t>(config_.max_tensor_bytes),
       .load = [this, &call](const v1::SessionLoad& load) -> Result<ExecutablePtr> {
         if (!load.package().empty()) {
           return LoadPackage(load.key(), load.package(), call.cancellation());
         }
         ASSIGN_OR_RETURN(Ready ready, LoadByKey(load.key(), call));
         return std::move(ready.executable);
       },
       .record = [this, &call](const std::string& decision,
                               const Status& status) { Record(call, decision, "", status, 0); }},
      &writer, &call);
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::SessionRequest> request, reader.Read());
    if (!request) return OkStatus();
    RETURN_IF_ERROR(session.Handle(*request));
  }
}

Result<v1::LoadResponse> ExecuteService::Load(const v1::LoadRequest& request,
                                              const rpc::Call& call) {
  Timings timings(clock_);
  ASSIGN_OR_RETURN(const Ready ready, LoadByKey(request.key(), call));
  timings.Lap("load");
  v1::LoadResponse response;
  for (const tensor::ArrayType& t : ready.executable->inputs()) {
    *response.mutable_signature()->add_inputs() = tensor::TypeToProto(t);
  }
  for (const tensor::ArrayType& t : ready.executable->outputs()) {
    *response.mutable_signature()->add_outputs() = tensor::TypeToProto(t);
  }
  response.set_was_loaded(ready.was_loaded);
  timings.CopyTo(&response);
  return response;
}

Result<v1::UnloadResponse> ExecuteService::Unload(const v1::UnloadRequest& request,
                                                  const rpc::Call&) {
  v1::UnloadResponse response;
  response.set_was_loaded(loaded_.Erase(request.key()));
  loaded_gauge_.Set(static_cast<double>(loaded_.size()));
  return response;
}

Result<v1::PutBufferResponse> ExecuteService::PutBuffer(const v1::PutBufferRequest& request,
                                                        const rpc::Call&) {
  ASSIGN_OR_RETURN(
      tensor::Tensor tensor,
      tensor::TensorFromProto(request.tensor(), static_cast<uint64_t>(config_.max_tensor_bytes)));
  v1::PutBufferResponse response;
  ASSIGN_OR_RETURN(*response.mutable_buffer(), Keep(std::move(tensor)));
  return response;
}

Result<v1::PutBufferResponse> ExecuteService::PutBufferStream(
    rpc::Reader<v1::PutBufferChunk>& reader, const rpc::Call& call) {
  common::v1::TensorProto whole;
  bool first = true;
  while (true) {
    ASSIGN_OR_RETURN(const std::optional<v1::PutBufferChunk> chunk, reader.Read());
    if (!chunk) break;
    if (first != chunk->has_type())
      return InvalidArgument("the type belongs into the first chunk, and only there");
    if (first) {
      whole.set_dtype(chunk->type().dtype());
      *whole.mutable_dims() = chunk->type().dims();
    }
    first = false;
    if (whole.data().size() + chunk->data().size() >
        static_cast<uint64_t>(config_.max_tensor_bytes)) {
      return ResourceExhausted(
          StrCat("tensor is above max_tensor_bytes (", config_.max_tensor_bytes, ")"));
    }
    whole.mutable_data()->append(chunk->data());
  }
  if (first) return InvalidArgument("the stream carried no chunk");
  RETURN_IF_ERROR(call.Check());
  ASSIGN_OR_RETURN(tensor::Tensor tensor, tensor::TensorFromProto(whole));
  v1::PutBufferResponse response;
  ASSIGN_OR_RETURN(*response.mutable_buffer(), Keep(std::move(tensor)));
  return response;
}

Result<v1::GetBufferResponse> ExecuteService::GetBuffer(const v1::GetBufferRequest& request,
                                                        const rpc::Call&) {
  ASSIGN_OR_RETURN(const tensor::Tensor tensor, buffers_.Get(request.handle()));
  if (tensor.byte_size() + kHeaderRoomBytes > max_response_bytes_) {
    return ResourceExhausted(StrCat("buffer has ", tensor.byte_size(),
                                    " bytes, above max_response_bytes (", max_response_bytes_,
                                    "); use GetBufferStream"));
  }
  v1::GetBufferResponse response;
  *response.mutable_tensor() = tensor::TensorToProto(tensor);
  return response;
}

Status ExecuteService::GetBufferStream(const v1::GetBufferRequest& request,
                                       rpc::Writer<v1::GetBufferChunk>& writer, const rpc::Call&) {
  ASSIGN_OR_RETURN(const tensor::Tensor tensor, buffers_.Get(request.handle()));
  const std::string_view bytes = tensor.bytes();
  size_t at = 0;
  do {
    v1::GetBufferChunk chunk;
    if (at == 0) *chunk.mutable_type() = tensor::TypeToProto(TypeOf(tensor));
    chunk.set_data(std::string(bytes.substr(at, kChunkBytes)));
    at += chunk.data().size();
    RETURN_IF_ERROR(writer.Write(chunk));
  } while (at < bytes.size());
  return OkStatus();
}

Result<v1::FreeBufferResponse> ExecuteService::FreeBuffer(const v1::FreeBufferRequest& request,
                                                          const rpc::Call&) {
  if (static_cast<size_t>(request.handles_size()) > kMaxHandlesPerCall) {
    return ResourceExhausted(StrCat("request frees ", request.handles_size(),
                                    " buffers, the limit is ", kMaxHandlesPerCall));
  }
  v1::FreeBufferResponse response;
  uint32_t freed = 0;
  for (const std::string& handle : request.handles()) freed += buffers_.Free(handle) ? 1 : 0;
  response.set_freed(freed);
  return response;
}

Result<std::optional<v1::PutBufferResponse>> ExecuteService::QuickPutBuffer(
    const v1::PutBufferRequest& request, const rpc::Call& call) {
  ASSIGN_OR_RETURN(v1::PutBufferResponse response, PutBuffer(request, call));
  return std::optional<v1::PutBufferResponse>(std::move(response));
}

Result<std::optional<v1::GetBufferResponse>> ExecuteService::QuickGetBuffer(
    const v1::GetBufferRequest& request, const rpc::Call& call) {
  const Result<tensor::Tensor> tensor = buffers_.Get(request.handle());
  if (tensor.ok() && tensor->byte_size() > kMaxQuickBytes)
    return std::optional<v1::GetBufferResponse>();
  ASSIGN_OR_RETURN(v1::GetBufferResponse response, GetBuffer(request, call));
  return std::optional<v1::GetBufferResponse>(std::move(response));
}

Result<std::optional<v1::FreeBufferResponse>> ExecuteService::QuickFreeBuffer(
    const v1::FreeBufferRequest& request, const rpc::Call& call) {
  if (request.handles_size() > kMaxQuickHandles) return std::optional<v1::FreeBufferResponse>();
  size_t bytes = 0;
  for (const std::string& handle : request.handles()) {
    if (const auto tensor = buffers_.Get(handle); tensor.ok()) bytes += tensor->byte_size();
  }
  if (bytes > kMaxQuickFreeBytes) return std::optional<v1::FreeBufferResponse>();
  ASSIGN_OR_RETURN(v1::FreeBufferResponse response, FreeBuffer(request, call));
  return std::optional<v1::FreeBufferResponse>(std::move(response));
}

std::optional<uint64_t> ExecuteService::Record(const rpc::Call& call, const std::string& decision,
                                               const std::string& key, const Status& outcome,
                                               double seconds) const {
  ledger::Entry entry;
  entry.kind = ledger::Kind::kExecute;
  entry.policy = "by key, otherwise through trace and compile";
  entry.decision = decision;
  entry.outcome = outcome.ok() ? "ok" : outcome.ToString();
  entry.evidence = {{"seconds", StrCat(seconds)}};
  entry.key = key;
  return recorder_.Record(call, std::move(entry));
}

ServiceSpec ExecuteSpec(MakeExecuteEngine make_engine) {
  const auto config = std::make_shared<ExecuteServiceConfig>();
  return {
      .name = "execute",
      .description = "Runs compiled programs; takes a program in place of a key too.",
      .add_fields =
          [config](config::Loader& loader) {
            loader.Add<ExecuteServiceConfig>(kExecuteServiceFields, config.get());
            loader.Add<ExecuteServiceConfig>(kExecutePeerFields, config.get());
          },
      .make = [config, make_engine](ServiceContext& context) -> Result<ServiceList> {
        ASSIGN_OR_RETURN(auto engine, make_engine());
        WarnWithoutFleetKey(context, "execute");
        ExecutePeers peers;
        ASSIGN_OR_RETURN(peers.trace, context.process.ChannelTo("trace", config->trace_address));
        ASSIGN_OR_RETURN(peers.compile,
                         context.process.ChannelTo("compile", config->compile_address));
        ASSIGN_OR_RETURN(peers.cache, context.process.ChannelTo("cache", config->cache_address));
        ServiceList list;
        list.push_back(
            std::make_unique<ExecuteService>(*config, std::move(engine), peers, context));
        return list;
      },
      .on_started = nullptr};
}

}  // namespace megalith::services

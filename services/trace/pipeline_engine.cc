#include "services/trace/pipeline_engine.h"

#include "common/fleet/cache/cache_proto.h"
#include "common/fleet/cache/key.h"
#include "common/foundation/base/clock.h"
#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/tensor_proto.h"
#include "common/programs/ir/ir_proto.h"
#include "common/programs/ir/print.h"
#include "common/programs/ops/registry.h"
#include "common/programs/pipeline/pipeline.h"
#include "common/programs/raising/raising.h"
#include "common/programs/stablehlo/canonical.h"
#include "common/programs/stablehlo/printer.h"
#include "services/common/canonical.h"
#include "services/trace/stablehlo_source.h"
#include "services/trace/trace_convert.h"

namespace megalith::services {
namespace {

namespace v1 = trace::v1;

// Adds a named timing to an answer and starts the next lap.
template <typename Response>
void Lap(std::string_view name, Stopwatch* watch, Response* response) {
  common::v1::Timing* timing = response->add_timings();
  timing->set_name(std::string(name));
  timing->set_seconds(watch->Seconds());
  *watch = Stopwatch();
}

template <typename Response>
void SetTypes(const ir::Jaxpr& jaxpr, Response* response) {
  for (const ir::Aval& a : jaxpr.InAvals()) *response->add_in_avals() = AvalToProto(a);
  for (const ir::Aval& a : jaxpr.OutAvals()) *response->add_out_avals() = AvalToProto(a);
}

// The options as one component of the key: those that are known first, then what the hardened
// policy let through.
std::string OptionsText(const v1::TraceOptions& options) {
  std::string out =
      StrCat("width=", options.print().width(), " hide_shapes=", options.print().hide_shapes());
  std::map<std::string, std::string> extra(options.extra().begin(), options.extra().end());
  for (const auto& [name, value] : extra) StrAppend(&out, " ", name, "=", value);
  return out;
}

class PipelineEngine final : public TraceEngine {
 public:
  explicit PipelineEngine(const TraceServiceConfig& config) {
    options_.parse_limits.max_bytes = static_cast<uint64_t>(config.max_program_bytes);
    options_.parse_limits.max_eqns = static_cast<uint64_t>(config.max_equations);
    options_.parse_limits.max_depth = config.max_depth;
    options_.limits.max_eqns = static_cast<uint64_t>(config.max_equations);
    options_.limits.max_depth =
        config.max_depth + 28;  // transforms wrap programs a few levels deeper
  }

  Result<v1::TraceResponse> Trace(const v1::TraceRequest& request, Policy policy,
                                  std::vector<TraceStep>* steps,
                                  const Cancellation& cancellation) override {
    v1::TraceResponse response;
    Stopwatch watch;
    ASSIGN_OR_RETURN(pipeline::TraceOptions options, OptionsOf(request, cancellation));
    ASSIGN_OR_RETURN(const ModulePtr module, ModuleOf(request.source(), &options));
    ASSIGN_OR_RETURN(const pipeline::Traced traced, Run(request, module.get(), policy, steps,
                                                        options, "trace", &watch, &response));
    if (!request.options().omit_text()) {
      const v1::PrintOptions& print = request.options().print();
      auto text = ir::PrintWithin(
          options.parse_limits.max_bytes, traced.program.closed.jaxpr,
          {.width = print.width() == 0 ? 80 : print.width(), .print_shapes = !print.hide_shapes()});
      if (!text.ok())
        return text.status().Annotate("limit max_program_bytes; set options.omit_text");
      response.set_jaxpr_text(*std::move(text));
    }
    for (const tensor::Tensor& t : traced.program.closed.consts)
      *response.add_consts() = tensor::TensorToProto(t);
    if (!request.options().omit_program())
      RETURN_IF_ERROR(SetProgram(traced.program, options, &response));
    Lap("print", &watch, &response);
    return response;
  }

  Result<v1::LowerResponse> Lower(const v1::LowerRequest& request, Policy policy,
                                  std::vector<TraceStep>* steps,
                                  const Cancellation& cancellation) override {
    v1::LowerResponse response;
    Stopwatch watch;
    ASSIGN_OR_RETURN(pipeline::TraceOptions options, OptionsOf(request, cancellation));
    ASSIGN_OR_RETURN(const ModulePtr lowered, ModuleOf(request.source(), &options));
    ASSIGN_OR_RETURN(const std::vector<pipeline::Transform> stack, StackFromProto(request.stack()));
    if (lowered != nullptr && IsIdentity(stack))
      return TakeLowered(request, *lowered, policy, stack, options, steps);
    ASSIGN_OR_RETURN(const pipeline::Traced traced, Run(request, lowered.get(), policy, steps,
                                                        options, "lower", &watch, &response));
    ASSIGN_OR_RETURN(const stablehlo::Module module,
                     pipeline::LowerToStablehlo(traced.program, options));
    Lap("lower", &watch, &response);
    response.set_stablehlo_text(stablehlo::PrintModule(module));
    ASSIGN_OR_RETURN(const std::string canonical, stablehlo::CanonicalBytes(module));
    response.set_canonical_digest(Sha256::Of(canonical).Hex());
    Lap("print", &watch, &response);
    return response;
  }

 private:
  using ModulePtr = std::unique_ptr<const stablehlo::Module>;

  // The module of a program that comes lowered, null for the other forms. Turns 64-bit mode on
  // where the program needs it.
  static Result<ModulePtr> ModuleOf(const v1::ProgramSource& source,
                                    pipeline::TraceOptions* options) {
    if (!IsStablehlo(source)) return ModulePtr();
    ASSIGN_OR_RETURN(stablehlo::Module module, ModuleFromProto(source, options->parse_limits));
    options->x64 = options->x64 || raising::Uses64Bits(module);
    return std::make_unique<const stablehlo::Module>(std::move(module));
  }

  // A program that is lowered already and stays what it is: checked, and answered as text whatever
  // its form. The key is one for all forms, because it is made from the canonical program.
  Result<v1::LowerResponse> TakeLowered(const v1::LowerRequest& request,
                                        const stablehlo::Module& module, Policy policy,
                                        const std::vector<pipeline::Transform>& stack,
                                        const pipeline::TraceOptions& options,
                                        std::vector<TraceStep>* steps) const {
    v1::LowerResponse response;
    Stopwatch watch;
    RETURN_IF_ERROR(CheckOptions(request.options(), policy));
    ASSIGN_OR_RETURN(const stablehlo::Func* entry, module.Entry());
    if (options.arg_avals) RETURN_IF_ERROR(CheckArgumentTypes(*options.arg_avals, *entry));
    const uint64_t ops = module.CountOps();
    for (const pipeline::Transform& t : stack)
      steps->push_back({.transform = t.name, .eqns_in = ops, .eqns_out = ops, .seconds = 0});
    for (const stablehlo::TensorType& t : entry->input_types())
      *response.add_in_avals() = AvalToProto(AvalOf(t));
    for (const stablehlo::TensorType& t : entry->results)
      *response.add_out_avals() = AvalToProto(AvalOf(t));
    ASSIGN_OR_RETURN(const std::string canonical, stablehlo::CanonicalBytes(module));
    response.set_canonical_digest(Sha256::Of(canonical).Hex());
    cache::KeyBuilder builder{"lower"};
    builder.Add("program", canonical).Add("options", OptionsText(request.options()));
    SetKey(builder.Build(), &response);
    Lap("key", &watch, &response);
    response.set_stablehlo_text(stablehlo::PrintModule(module));
    Lap("print", &watch, &response);
    return response;
  }

  template <typename Response>
  static void SetKey(const cache::Key& key, Response* response) {
    response->set_key(key.Hex());
    for (const cache::Component& c : key.components)
      *response->add_key_components() = cache::ComponentToProto(c);
  }

  // This process's limits with what the request asks for.
  template <typename Request>
  Result<pipeline::TraceOptions> OptionsOf(const Request& request,
                                           const Cancellation& cancellation) const {
    pipeline::TraceOptions options = options_;
    options.x64 = request.source().x64();
    options.cancel = &cancellation;
    if (!request.has_arguments()) return options;
    options.arg_avals.emplace();
    for (const common::v1::TypeProto& type : request.arguments().types()) {
      ASSIGN_OR_RETURN(const ir::Aval aval, AvalFromProto(type).Annotate(
                                                StrCat("argument ", options.arg_avals->size())));
      options.arg_avals->push_back(aval);
    }
    return options;
  }

  // Parses, checks, transforms; fills types, key and timings.
  template <typename Request, typename Response>
  Result<pipeline::Traced> Run(const Request& request, const stablehlo::Module* lowered,
                               Policy policy, std::vector<TraceStep>* steps,
                               const pipeline::TraceOptions& options, std::string_view kind,
                               Stopwatch* watch, Response* response) const {
    RETURN_IF_ERROR(CheckOptions(request.options(), policy));
    ASSIGN_OR_RETURN(const std::vector<pipeline::Transform> stack, StackFromProto(request.stack()));
    ASSIGN_OR_RETURN(const ir::Program program,
                     lowered != nullptr
                         ? pipeline::LoadStablehlo(*lowered, request.source().fun_name(), options)
                         : LoadProgram(request.source(), options));
    Lap("parse", watch, response);
    ASSIGN_OR_RETURN(pipeline::Traced traced, pipeline::Apply(program, stack, options));
    for (const pipeline::TraceStep& s : traced.steps) {
      steps->push_back({.transform = s.transform,
                        .eqns_in = s.eqns_in,
                        .eqns_out = s.eqns_out,
                        .seconds = s.seconds});
    }
    Lap("apply", watch, response);
    SetTypes(*traced.program.closed.jaxpr, response);
    cache::KeyBuilder builder{std::string(kind)};
    for (const pipeline::KeyComponent& c : pipeline::TraceKey(program, stack, options))
      builder.Add(c.name, c.value);
    builder.Add("options", OptionsText(request.options()));
    SetKey(builder.Build(), response);
    Lap("key", watch, response);
    return traced;
  }

  Result<ir::Program> LoadProgram(const v1::ProgramSource& proto,
                                  const pipeline::TraceOptions& options) const {
    ASSIGN_OR_RETURN(const pipeline::Source source, SourceFromProto(proto, options.parse_limits));
    ASSIGN_OR_RETURN(ir::Program program, pipeline::Load(source, options));
    if (proto.in_avals().empty()) return program;
    const std::vector<ir::Aval> own = program.closed.jaxpr->InAvals();
    if (static_cast<size_t>(proto.in_avals_size()) != own.size()) {
      return InvalidArgument(StrCat("in_avals has ", proto.in_avals_size(),
                                    " entries, the program has ", own.size(), " inputs"));
    }
    for (size_t i = 0; i < own.size(); ++i) {
      ASSIGN_OR_RETURN(const ir::Aval aval, AvalFromProto(proto.in_avals(static_cast<int>(i))));
      if (!aval.SameType(own[i])) {
        return InvalidArgument(
            StrCat("in_avals[", i, "] is ", aval.Text(), ", the program says ", own[i].Text()));
      }
    }
    return program;
  }

  // The result in the form that carries everything, as message and as bytes.
  Status SetProgram(const ir::Program& program, const pipeline::TraceOptions& options,
                    v1::TraceResponse* response) const {
    ir::Session session(ops::AllOps(), options.limits, options.cancel);
    session.set_x64(options.x64);
    ASSIGN_OR_RETURN(*response->mutable_program(), ir::ProgramToProto(session, program));
    response->set_program_bytes(CanonicalBytes(response->program()));
    return OkStatus();
  }

  static Status CheckOptions(const v1::TraceOptions& options, Policy policy) {
    if (options.extra().empty() ||
        Ask(policy, PolicyQuestion::kUnknownOption) == PolicyAnswer::kAdmitAsKey) {
      return OkStatus();
    }
    return InvalidArgument(StrCat("unknown trace option '",
                                  Printable(options.extra().begin()->first), "'; policy is ",
                                  PolicyName(policy)));
  }

  pipeline::TraceOptions options_;
};

}  // namespace

std::shared_ptr<TraceEngine> MakePipelineEngine(const TraceServiceConfig& config) {
  return std::make_shared<PipelineEngine>(config);
}

}  // namespace megalith::services

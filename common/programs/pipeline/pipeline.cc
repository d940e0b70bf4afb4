#include "common/programs/pipeline/pipeline.h"

#include "common/foundation/base/sha256.h"
#include "common/foundation/base/strings.h"
#include "common/programs/ir/check.h"
#include "common/programs/ir/compare.h"
#include "common/programs/lowering/lowering.h"
#include "common/programs/ops/registry.h"
#include "common/programs/pipeline/rules.h"
#include "common/programs/pipeline/transforms.h"
#include "common/programs/raising/raising.h"

namespace megalith::pipeline {
namespace {

using ir::Aval;
using ir::Builder;
using ir::Program;
using ir::Value;
using Avals = std::vector<Aval>;

// Bumped when the tracer's output for some program changes, so that old cache entries are not
// found.
constexpr std::string_view kTracerVersion = "1";

std::vector<bool> WeakInputs(const ir::Jaxpr& jaxpr) {
  std::vector<bool> out;
  for (const ir::VarId v : jaxpr.invars()) out.push_back(jaxpr.aval(v).weak_type);
  return out;
}

uint64_t CountEqns(const ir::Jaxpr& jaxpr) { return jaxpr.eqns().size(); }

// Every jvp doubles the inputs, which are no equations: they have the same limit.
Status CheckInputs(const ir::Session& session, const Avals& args) {
  if (args.size() <= session.limits().max_eqns) return OkStatus();
  return ResourceExhausted(StrCat("the transformed program has more than ",
                                  session.limits().max_eqns, " inputs (limit max_eqns)"));
}

// Builds the transformed program level by level: types flow from the outermost transform in,
// programs back out.
class StackApplier {
 public:
  StackApplier(ir::Session& session, const Program& source, const std::vector<Transform>& stack,
               Traced* out)
      : session_(session), source_(source), stack_(stack), out_(out) {}

  // The function after the first `level` transforms, for arguments of the given types.
  Result<Program> Build(size_t level, const Avals& args) {
    if (level == 0) return Specialized(args);
    const Transform& t = stack_[level - 1];
    const TransformDef* def = FindTransform(t.name);
    if (def == nullptr) {
      return InvalidArgument(StrCat("unknown transform '", Printable(t.name), "'; there are ",
                                    Join(TransformNames(), ", ")));
    }
    ASSIGN_OR_RETURN(const Avals inner_args, def->inner(t, args));
    ASSIGN_OR_RETURN(const Program inner, Build(level - 1, inner_args));
    const Stopwatch watch;
    Builder b(session_);
    std::vector<Value> inputs;
    for (const Aval& a : args) inputs.push_back(b.Input(a));
    const Result<std::vector<Value>> outs = def->apply(b, t, CalleeOf(inner), inputs);
    // A sticky error of the builder is the cause of whatever the transform reports.
    RETURN_IF_ERROR(b.status());
    RETURN_IF_ERROR(outs.status());
    Program result;
    ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, b.Finish(*outs));
    result.closed = ir::Closed(std::move(jaxpr));
    result.fun_name = def->keeps_name ? inner.fun_name : "<lambda>";
    out_->steps.push_back({t.Text(), CountEqns(*inner.closed.jaxpr),
                           CountEqns(*result.closed.jaxpr), watch.Seconds()});
    return result;
  }

 private:
  // The source for arguments of these types. Types equal up to weakness are checked again with the
  // new flags.
  Result<Program> Specialized(const Avals& args) {
    const Avals own = source_.closed.jaxpr->InAvals();
    if (args.size() != own.size()) {
      return TypeError(StrCat("the program takes ", own.size(), " arguments, got ", args.size()));
    }
    Program out = source_;
    if (args == own) return out;
    Avals consts;
    for (const tensor::Tensor& t : source_.closed.consts)
      consts.push_back(Aval{t.dtype(), false, t.shape()});
    ir::TypeChecker checker(session_.limits().max_depth);
    ASSIGN_OR_RETURN(out.closed.jaxpr, checker.Check(source_.closed.jaxpr, args, consts));
    return out;
  }

  ir::Session& session_;
  const Program& source_;
  const std::vector<Transform>& stack_;
  Traced* out_;
};

// Re-traces a program equation by equation, which drops what tracing drops.
Result<Program> Retrace(ir::Session& session, const Program& p) {
  Builder b(session);
  std::vector<Value> inputs;
  for (const Aval& a : p.closed.jaxpr->InAvals()) inputs.push_back(b.Input(a));
  const std::vector<Value> outs = b.Inline(p.closed, inputs);
  Program out;
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, b.Finish(outs));
  out.closed = ir::Closed(std::move(jaxpr));
  out.fun_name = p.fun_name;
  return out;
}

// Argument types of the transformed program from the program's own.
Result<Avals> DeriveArgs(ir::Session& session, const Program& source,
                         const std::vector<Transform>& stack) {
  Avals args = source.closed.jaxpr->InAvals();
  for (size_t i = 0; i < stack.size(); ++i) {
    const TransformDef* def = FindTransform(stack[i].name);
    if (def == nullptr)
      return InvalidArgument(StrCat("unknown transform '", Printable(stack[i].name), "'"));
    Avals outs;
    if (stack[i].name == "vjp" || stack[i].name == "linear_transpose") {
      // Cotangent types are output types, which only the program built so far can tell.
      Traced scratch;
      const std::vector<Transform> below(stack.begin(), stack.begin() + static_cast<int64_t>(i));
      ASSIGN_OR_RETURN(const Program p,
                       StackApplier(session, source, below, &scratch).Build(i, args));
      outs = p.closed.jaxpr->OutAvals();
    }
    ASSIGN_OR_RETURN(args, def->outer(stack[i], args, outs));
    RETURN_IF_ERROR(CheckInputs(session, args));
  }
  return args;
}

}  // namespace

Result<Program> Load(const Source& source, const TraceOptions& options) {
  Program program;
  program.fun_name = source.fun_name;
  program.closed.jaxpr = source.jaxpr;
  if (program.closed.jaxpr == nullptr) {
    ASSIGN_OR_RETURN(program.closed.jaxpr,
                     ir::ParseJaxpr(source.text, ops::AllOps(), options.parse_limits));
  }
  program.closed.consts = source.consts;
  const int max_depth = options.limits.max_depth;
  ir::RuleSet rules = source.rules;
  for (ir::RuleBodies& rule : rules) {
    for (ir::ClosedJaxpr* body : {&rule.jvp, &rule.fwd, &rule.bwd}) {
      if (body->jaxpr == nullptr) continue;
      Result<ir::ClosedJaxpr> checked =
          ir::CheckProgram(*body, WeakInputs(*body->jaxpr), max_depth);
      if (!checked.ok()) return checked.status().Annotate(StrCat("rule of ", Printable(rule.name)));
      *body = *std::move(checked);
    }
  }
  ASSIGN_OR_RETURN(program.closed.jaxpr,
                   AttachRules(program.closed.jaxpr,
                               std::make_shared<const ir::RuleSet>(std::move(rules)), max_depth));
  const std::vector<bool> weak =
      source.weak_inputs.empty() ? WeakInputs(*program.closed.jaxpr) : source.weak_inputs;
  ASSIGN_OR_RETURN(program.closed, ir::CheckProgram(program.closed, weak, max_depth));
  return program;
}

Result<Program> LoadStablehlo(const stablehlo::Module& module, const std::string& fun_name,
                              const TraceOptions& options) {
  raising::RaiseOptions raise{
      .x64 = options.x64, .limits = options.limits, .cancel = options.cancel};
  if (!fun_name.empty()) raise.fun_name = fun_name;
  return raising::Raise(module, raise);
}

Result<Traced> Apply(const Program& source, const std::vector<Transform>& stack,
                     const TraceOptions& options) {
  if (stack.size() > static_cast<size_t>(options.limits.max_depth)) {
    return ResourceExhausted(StrCat("the stack has ", stack.size(), " transforms, more than ",
                                    options.limits.max_depth, " (limit max_depth)"));
  }
  ir::Session session(ops::AllOps(), options.limits, options.cancel);
  session.set_x64(options.x64);
  Traced out;
  Avals args;
  if (options.arg_avals) {
    args = *options.arg_avals;
  } else {
    ASSIGN_OR_RETURN(args, DeriveArgs(session, source, stack));
  }
  ASSIGN_OR_RETURN(out.program,
                   StackApplier(session, source, stack, &out).Build(stack.size(), args));
  if (stack.empty()) {
    ASSIGN_OR_RETURN(out.program, Retrace(session, out.program));
  }
  return out;
}

Result<stablehlo::Module> LowerToStablehlo(const Program& program, const TraceOptions& options) {
  lowering::LowerOptions lower;
  lower.x64 = options.x64;
  lower.cancel = options.cancel;
  return lowering::Lower(program, ops::AllOps(), lower);
}

std::vector<KeyComponent> TraceKey(const Program& source, const std::vector<Transform>& stack,
                                   const TraceOptions& options) {
  std::vector<std::string> transforms;
  for (const Transform& t : stack) transforms.push_back(t.Text());
  std::string args = "derived";
  if (options.arg_avals) {
    args.clear();
    for (const Aval& a : *options.arg_avals)
      StrAppend(&args, a.Text(), a.weak_type ? "~" : "", ";");
  }
  return {{"program", Sha256::Of(ir::CanonicalBytes(source.closed)).Hex()},
          {"name", source.fun_name},
          {"transforms", Join(transforms, " ")},
          {"arguments", args},
          {"x64", options.x64 ? "on" : "off"},
          {"tracer", std::string(kTracerVersion)}};
}

}  // namespace megalith::pipeline

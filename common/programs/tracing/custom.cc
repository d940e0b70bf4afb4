#include "common/programs/tracing/custom.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/pipeline/rules.h"
#include "common/programs/staging/jaxpr_ops.h"
#include "common/programs/tracing/trace.h"

namespace megalith::tracing {
namespace {

using ir::RuleBodies;
using Bits = std::vector<bool>;

// A rule body, and which results it left out as zeros.
struct Body {
  ir::JaxprPtr jaxpr;
  Bits zeros;
};

// Traces a rule of `f` for the given arguments. Results from `optional_from` on may be without
// value.
Result<Body> TraceBody(Trace& trace, const Function& rule, const Avals& inputs,
                       size_t optional_from) {
  Body body;
  internal::FunctionImpl impl;
  impl.name = rule.name();
  impl.call = [&](std::span<const Array> args) {
    const Outputs outs = rule.Call(args);
    Arrays present;
    body.zeros.clear();
    for (size_t i = 0; i < outs.size(); ++i) {
      body.zeros.push_back(i >= optional_from && !outs[i].has_value());
      if (!body.zeros.back()) present.push_back(outs[i]);
    }
    return present;
  };
  std::optional<pipeline::Callee> callee =
      trace.TraceFunction(Function(std::move(impl)), inputs, Trace::Constants::kOwn);
  if (!callee) return trace.status();
  if (!callee->captured.empty()) {
    return Status::WithClass(
        Code::kInvalidArgument, "UnexpectedTracerError",
        StrCat("the rule ", rule.name(), " uses an array of a function around it, of type ",
               callee->captured[0].aval().Text(), "; pass it as an argument"));
  }
  body.jaxpr = std::move(callee->jaxpr);
  return body;
}

Avals TangentTypes(const Avals& avals) {
  Avals out;
  for (const Aval& a : avals) out.push_back(a.Tangent().Strong());
  return out;
}

// "f32[3],f32[]" of a list of types.
std::string TypesText(const Avals& avals) {
  std::vector<std::string> texts;
  for (const Aval& a : avals) texts.push_back(a.Text());
  return StrCat("[", Join(texts, ", "), "]");
}

// `got` has the types of `want` except where `zeros` says there is nothing.
Status CheckTypes(std::string_view what, const Avals& want, const Bits& zeros,
                  std::span<const Aval> got) {
  Avals left;
  for (size_t i = 0; i < want.size(); ++i) {
    if (i >= zeros.size() || !zeros[i]) left.push_back(want[i]);
  }
  bool same = left.size() == got.size();
  for (size_t i = 0; i < left.size() && same; ++i) same = left[i].SameType(got[i]);
  if (same) return OkStatus();
  return TypeError(StrCat(what, " with equal shapes and dtypes: expected ", TypesText(left),
                          ", got ", TypesText(Avals(got.begin(), got.end()))));
}

Status MakeJvpBodies(Trace& trace, const Function& f, const Function& jvp, const Avals& inputs,
                     const Avals& outs, RuleBodies* out) {
  const Avals tangents_in = TangentTypes(inputs);
  Avals all = inputs;
  all.insert(all.end(), tangents_in.begin(), tangents_in.end());
  ASSIGN_OR_RETURN(Body body, TraceBody(trace, jvp, all, outs.size()));
  const size_t n = outs.size();
  if (body.zeros.size() != 2 * n) {
    return TypeError(StrCat("Custom JVP rule ", jvp.name(), " for function ", f.name(),
                            " must produce ", n, " results and as many tangents, but gave ",
                            body.zeros.size(), " arrays"));
  }
  const Avals got = body.jaxpr->OutAvals();
  RETURN_IF_ERROR(CheckTypes(StrCat("Custom JVP rule ", jvp.name(), " for function ", f.name(),
                                    " must produce primal outputs"),
                             outs, {}, std::span(got).first(n)));
  out->out_zeros.assign(body.zeros.begin() + static_cast<int64_t>(n), body.zeros.end());
  RETURN_IF_ERROR(CheckTypes(StrCat("Custom JVP rule ", jvp.name(), " for function ", f.name(),
                                    " must produce primal and tangent outputs"),
                             TangentTypes(outs), out->out_zeros, std::span(got).subspan(n)));
  out->jvp = ir::Closed(std::move(body.jaxpr));
  return OkStatus();
}

Status MakeVjpBodies(Trace& trace, const Function& f, const Function& fwd, const Function& bwd,
                     const Avals& inputs, const Avals& outs, RuleBodies* out) {
  ASSIGN_OR_RETURN(const Body forward, TraceBody(trace, fwd, inputs, SIZE_MAX));
  const size_t n = outs.size();
  const Avals got = forward.jaxpr->OutAvals();
  if (got.size() < n) {
    return TypeError(StrCat("Custom VJP fwd rule ", fwd.name(), " for function ", f.name(),
                            " must produce ", n, " results, then residuals, but gave ", got.size(),
                            " arrays"));
  }
  RETURN_IF_ERROR(CheckTypes(StrCat("Custom VJP fwd rule ", fwd.name(), " for function ", f.name(),
                                    " must produce primal outputs"),
                             outs, {}, std::span(got).first(n)));
  // Residuals that are arguments are not repeated; the others come before the results.
  const std::vector<int> forwarded = staging::ForwardedInputs(*forward.jaxpr);
  std::vector<size_t> order;
  Bits keep(got.size(), true);
  size_t own = 0;
  for (size_t i = n; i < got.size(); ++i) {
    out->input_fwds.push_back(forwarded[i]);
    keep[i] = forwarded[i] < 0;
    if (keep[i]) order.push_back(n + own++);
  }
  for (size_t i = 0; i < n; ++i) order.push_back(i);
  out->num_res = static_cast<int64_t>(got.size() - n);
  std::vector<size_t> same;
  for (size_t i = 0; i < inputs.size(); ++i) same.push_back(i);
  const ir::JaxprPtr pruned = staging::PruneOutputs(trace.session(), forward.jaxpr, keep);
  out->fwd = ir::Closed(staging::Reorder(trace.session(), pruned, same, order));
  Avals bwd_inputs(got.begin() + static_cast<int64_t>(n), got.end());
  const Avals cotangents = TangentTypes(outs);
  bwd_inputs.insert(bwd_inputs.end(), cotangents.begin(), cotangents.end());
  ASSIGN_OR_RETURN(Body backward, TraceBody(trace, bwd, bwd_inputs, 0));
  if (backward.zeros.size() != inputs.size()) {
    return TypeError(StrCat("Custom VJP bwd rule ", bwd.name(), " for function ", f.name(),
                            " must produce ", inputs.size(),
                            " cotangents, one per argument, but gave ", backward.zeros.size()));
  }
  out->bwd_zeros = backward.zeros;
  RETURN_IF_ERROR(CheckTypes(StrCat("Custom VJP bwd rule ", bwd.name(), " for function ", f.name(),
                                    " must produce cotangents"),
                             TangentTypes(inputs), backward.zeros, backward.jaxpr->OutAvals()));
  out->bwd = ir::Closed(std::move(backward.jaxpr));
  return OkStatus();
}

using MakeBodies =
    std::function<Status(Trace&, const Avals& inputs, const Avals& outs, RuleBodies*)>;

// The place of a function's rule for these types in the trace's set; traced once.
Result<size_t> RuleIndex(Trace& trace, const std::shared_ptr<const void>& identity,
                         const Function& f, bool is_vjp, const Avals& inputs, const Avals& outs,
                         const MakeBodies& make) {
  std::string key = "custom rule";
  for (const Aval& a : inputs) StrAppend(&key, " ", a.Text(), a.weak_type ? "~" : "");
  if (const size_t* known = trace.session().FindFor<size_t>(identity.get(), key)) return *known;
  ir::RuleSet& rules = trace.rules();
  const size_t index = rules.size();
  rules.emplace_back();
  rules[index].is_vjp = is_vjp;
  rules[index].name = f.name();
  // Remembered before it is traced: the rule may call the function.
  trace.session().RememberFor(identity, key, index);
  RuleBodies bodies = rules[index];
  RETURN_IF_ERROR(make(trace, inputs, outs, &bodies));
  for (ir::ClosedJaxpr* body : {&bodies.jvp, &bodies.fwd, &bodies.bwd}) {
    if (body->jaxpr == nullptr) continue;
    ASSIGN_OR_RETURN(body->jaxpr, pipeline::DetachRules(body->jaxpr, rules));
  }
  rules[index] = std::move(bodies);
  return index;
}

Function CustomCall(const Function& f, bool is_vjp,
                    std::vector<std::pair<std::string, std::string>> rule_names, MakeBodies make) {
  internal::FunctionImpl impl;
  impl.name = f.name();
  impl.params = f.params();
  impl.identity = std::make_shared<char>();
  const std::shared_ptr<const void> identity = impl.identity;
  impl.call = [=](std::span<const Array> args) {
    Trace* running = Trace::Current();
    if (running == nullptr || !running->ok()) return Arrays();
    Trace& trace = *running;
    const Values operands = trace.UseAll(args);
    Avals inputs;
    for (const Value& v : operands) inputs.push_back(v.aval());
    const std::optional<pipeline::Callee> callee =
        trace.TraceFunction(f, inputs, Trace::Constants::kOutside);
    if (!callee) return Arrays();
    const Result<size_t> index =
        RuleIndex(trace, identity, f, is_vjp, inputs, callee->jaxpr->OutAvals(), make);
    if (!index.ok()) {
      trace.Fail(index.status());
      return Arrays();
    }
    const ir::OpDef* op =
        trace.session().ops().Find(is_vjp ? "custom_vjp_call" : "custom_jvp_call");
    ir::Params params(*op);
    params.Set("name", ParamValue::Text(f.name()));
    params.Set("call_jaxpr", ParamValue::SubJaxpr(staging::ConstsToInputs(callee->jaxpr)));
    params.Set("num_consts", ParamValue::Int(static_cast<int64_t>(callee->captured.size())));
    params.Set("symbolic_zeros", ParamValue::Bool(false));
    params.Set("rule", ParamValue::Rule(pipeline::RuleAt(trace.shared_rules(), *index)));
    for (const auto& [name, value] : rule_names) params.Set(name, ParamValue::Text(value));
    Values all = callee->captured;
    all.insert(all.end(), operands.begin(), operands.end());
    const Values outs = trace.builder().Emit(*op, std::move(params), all);
    return trace.CheckBuilder() ? trace.WrapAll(outs) : Arrays();
  };
  return Function(std::move(impl));
}

}  // namespace

Function CustomJvp(Function f, Function jvp) {
  return CustomCall(
      f, /*is_vjp=*/false, {{"jvp", jvp.name()}},
      [f, jvp](Trace& trace, const Avals& inputs, const Avals& outs, RuleBodies* bodies) {
        return MakeJvpBodies(trace, f, jvp, inputs, outs, bodies);
      });
}

Function CustomVjp(Function f, Function fwd, Function bwd) {
  return CustomCall(
      f, /*is_vjp=*/true, {{"fwd", fwd.name()}, {"bwd", bwd.name()}},
      [f, fwd, bwd](Trace& trace, const Avals& inputs, const Avals& outs, RuleBodies* bodies) {
        return MakeVjpBodies(trace, f, fwd, bwd, inputs, outs, bodies);
      });
}

}  // namespace megalith::tracing

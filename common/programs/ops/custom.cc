// Functions with derivative rules of their own: custom_jvp_call, custom_vjp_call, custom_lin.
//
// Source: spec/transforms.md section 5. The rule bodies travel in the hidden parameter `rule`
// (ir::CustomRule).
#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {
namespace {

using ir::ClosedJaxpr;
using ir::CustomRule;
using ir::RuleBodies;
using RulePtr = std::shared_ptr<const CustomRule>;

Types CustomCallType(const TypeArgs& a) {
  const JaxprPtr& body = a.params.Sub("call_jaxpr");
  if (body->invars().size() != a.operands.size()) {
    return TypeError(StrCat(a.op.name, " calls a jaxpr of ", body->invars().size(), " inputs with ",
                            a.operands.size(), " operands"));
  }
  for (size_t i = 0; i < a.operands.size(); ++i) {
    if (!body->aval(body->invars()[i]).SameType(a.operands[i])) {
      return TypeError(StrCat("operand ", i, " of ", a.op.name, " has type ", a.operands[i].Text(),
                              ", its jaxpr takes ", body->aval(body->invars()[i]).Text()));
    }
  }
  const int64_t num_consts = a.params.Int("num_consts");
  if (num_consts < 0 || num_consts > static_cast<int64_t>(a.operands.size())) {
    return TypeError(
        StrCat(a.op.name, " has num_consts=", num_consts, " for ", a.operands.size(), " operands"));
  }
  return body->OutAvals();
}

Result<Params> RetypeCustomCall(ir::TypeChecker& checker, const TypeArgs& a) {
  ASSIGN_OR_RETURN(JaxprPtr body,
                   checker.Check(a.params.Sub("call_jaxpr"),
                                 std::vector<Aval>(a.operands.begin(), a.operands.end())));
  Params out = a.params;
  out.Set("call_jaxpr", ParamValue::SubJaxpr(std::move(body)));
  return out;
}

Result<RuleBodies> MakeBodies(ir::Session& session, const CustomRule& rule) {
  const std::string key = StrCat("rule ", rule.index, rule.derivation);
  if (const auto* made = session.FindFor<RuleBodies>(rule.set.get(), key)) return *made;
  ASSIGN_OR_RETURN(RuleBodies bodies, rule.make(session, rule));
  return session.RememberFor(rule.set, key, std::move(bodies));
}

// The bodies of a call's rule, made at most once per session, or an error that says how to send
// them.
Result<RuleBodies> BodiesOf(ir::Session& session, const Params& params, bool is_vjp) {
  const RulePtr& rule = params["rule"].AsRule();
  if (rule == nullptr || rule->original().is_vjp != is_vjp) {
    return Status::WithClass(
        Code::kInvalidArgument, "AttributeError",
        StrCat("No ", is_vjp ? "VJP" : "JVP", " defined for ", is_vjp ? "custom_vjp" : "custom_jvp",
               " function ", params["name"].is_none() ? params.Text("bwd") : params.Text("name"),
               " using def", is_vjp ? "vjp" : "jvp",
               ": text does not carry rule bodies, send them in `rules`"));
  }
  return MakeBodies(session, *rule);
}

bool Fits(const ClosedJaxpr& closed, size_t inputs) {
  return closed.jaxpr != nullptr && closed.jaxpr->invars().size() == inputs;
}

// ---- custom_jvp ----

JvpResult JvpCustomJvp(Builder& b, const JvpArgs& a) {
  const auto found = BodiesOf(b.session(), a.params, /*is_vjp=*/false);
  if (!found.ok()) {
    b.Fail(found.status());
    return {};
  }
  const RuleBodies& rule = *found;
  const auto consts = static_cast<size_t>(a.params.Int("num_consts"));
  for (size_t i = 0; i < consts; ++i) {
    if (a.tangents[i]) {
      b.Fail(
          NotImplementedError("Detected differentiation of a custom_jvp function with respect to a "
                              "closed-over value. That isn't "
                              "supported because the custom JVP rule only specifies how to "
                              "differentiate the custom_jvp function with "
                              "respect to explicit input parameters."));
      return {};
    }
  }
  std::vector<Value> inputs = Slice(a.primals, consts, a.primals.size());
  for (size_t i = consts; i < a.primals.size(); ++i) {
    inputs.push_back(ir::InstantiateZeros(b, a.tangents[i], a.primals[i].aval()));
  }
  const size_t num_outs = a.params.Sub("call_jaxpr")->outs().size();
  if (!Fits(rule.jvp, inputs.size()) || rule.out_zeros.size() != num_outs) {
    b.Fail(TypeError(StrCat("the JVP rule of ", rule.name, " does not fit its function")));
    return {};
  }
  const std::vector<Value> outs = b.Inline(rule.jvp, inputs);
  JvpResult out;
  if (!b.ok()) return out;
  out.primals = Slice(outs, 0, num_outs);
  size_t next = num_outs;
  for (const bool zero : rule.out_zeros) {
    Value t = zero || next >= outs.size() ? Value() : outs[next++];
    out.tangents.push_back(autodiff::IsNonzero(t) ? t : Value());
  }
  return out;
}

// A call with unknown operands is inlined: its rule has done its work.
std::vector<Value> PartialEvalCustomJvp(Builder& known, Builder& unknown,
                                        const ir::PartialEvalArgs& a) {
  const bool all_known = std::none_of(a.operands.begin(), a.operands.end(),
                                      [&](const Value& v) { return unknown.Owns(v); });
  if (all_known) return known.Emit(a.op, a.params, a.operands);
  staging::SplitBuilder split(known, unknown);
  std::vector<Value> outs = split.Inline(*a.params.Sub("call_jaxpr"), {}, a.operands);
  known.Fail(split.status());
  return outs;
}

// A call that stands in a linear program is the linear function itself.
std::vector<Value> TransposeCustomJvp(Builder& b, const TransposeArgs& a) {
  return autodiff::BackwardPass(b, *a.params.Sub("call_jaxpr"), {}, a.operands, a.cotangents);
}

// Evaluates a rule body on batched inputs, without moving outputs.
BatchResult EvalRule(Builder& b, const ClosedJaxpr& closed, std::span<const Value> inputs,
                     std::span<const int> dims, const ir::AxisData& axis) {
  std::vector<Value> consts;
  for (const tensor::Tensor& t : closed.consts) consts.push_back(b.Const(t));
  return batching::EvalBatched(b, *closed.jaxpr, consts, inputs, dims, axis);
}

std::vector<Value> BatchedInputs(Builder& b, const ClosedJaxpr& closed, std::span<const int> dims,
                                 int64_t size) {
  std::vector<Value> out;
  for (size_t i = 0; i < dims.size(); ++i) {
    out.push_back(b.Input(
        batching::BatchedAval(closed.jaxpr->aval(closed.jaxpr->invars()[i]), dims[i], size)));
  }
  return out;
}

Result<ClosedJaxpr> FinishClosed(Builder& b, std::span<const Value> outs) {
  RETURN_IF_ERROR(b.status());
  ASSIGN_OR_RETURN(JaxprPtr jaxpr, b.Finish(outs));
  return ir::Closed(std::move(jaxpr));
}

// Moves an output of a rule to where the function has it.
Result<Value> MoveTo(Builder& b, Value v, int from, int to, int64_t size, const std::string& name) {
  if (from == to) return v;
  if (to == kUnmapped) {
    return Unimplemented(StrCat("vmap of ", name,
                                ": its rule gives a batched value where the function gives an "
                                "unbatched one"));
  }
  return batching::MatchAxis(b, v, from, to, size);
}

Status BatchJvpBody(ir::Session& session, RuleBodies* rule, const std::vector<int>& in_dims,
                    const std::vector<int>& out_dims, const ir::AxisData& axis) {
  if (!Fits(rule->jvp, 2 * in_dims.size()) || rule->out_zeros.size() != out_dims.size()) {
    return TypeError(StrCat("the JVP rule of ", rule->name, " does not fit its function"));
  }
  std::vector<int> dims = in_dims;
  Append(&dims, in_dims);
  Builder b(session);
  const std::vector<Value> inputs = BatchedInputs(b, rule->jvp, dims, axis.size);
  BatchResult outs = EvalRule(b, rule->jvp, inputs, dims, axis);
  RETURN_IF_ERROR(b.status());
  std::vector<int> to = out_dims;
  for (size_t i = 0; i < out_dims.size(); ++i) {
    if (!rule->out_zeros[i]) to.push_back(out_dims[i]);
  }
  for (size_t i = 0; i < outs.values.size() && i < to.size(); ++i) {
    ASSIGN_OR_RETURN(outs.values[i],
                     MoveTo(b, outs.values[i], outs.dims[i], to[i], axis.size, rule->name));
  }
  ASSIGN_OR_RETURN(rule->jvp, FinishClosed(b, outs.values));
  return OkStatus();
}

// Residuals stay where the forward body has them; cotangents of unmapped inputs are summed over the
// batch.
Status BatchVjpBodies(ir::Session& session, RuleBodies* rule, const std::vector<int>& in_dims,
                      const std::vector<int>& out_dims, const ir::AxisData& axis) {
  if (!Fits(rule->fwd, in_dims.size()) || rule->fwd.jaxpr->outs().size() < out_dims.size()) {
    return TypeError(StrCat("the forward rule of ", rule->name, " does not fit its function"));
  }
  Builder f(session);
  const std::vector<Value> inputs = BatchedInputs(f, rule->fwd, in_dims, axis.size);
  BatchResult outs = EvalRule(f, rule->fwd, inputs, in_dims, axis);
  RETURN_IF_ERROR(f.status());
  const size_t own = outs.values.size() - out_dims.size();
  for (size_t i = 0; i < out_dims.size(); ++i) {
    ASSIGN_OR_RETURN(outs.values[own + i], MoveTo(f, outs.values[own + i], outs.dims[own + i],
                                                  out_dims[i], axis.size, rule->name));
  }
  std::vector<int> bwd_dims;
  size_t next = 0;
  for (const int64_t i : rule->input_fwds) {
    if (i >= static_cast<int64_t>(in_dims.size()) || (i < 0 && next >= own)) {
      return TypeError(StrCat("the residuals of ", rule->name, " do not fit its function"));
    }
    bwd_dims.push_back(i >= 0 ? in_dims[static_cast<size_t>(i)] : outs.dims[next++]);
  }
  Append(&bwd_dims, out_dims);
  ASSIGN_OR_RETURN(rule->fwd, FinishClosed(f, outs.values));
  if (!Fits(rule->bwd, bwd_dims.size())) {
    return TypeError(StrCat("the backward rule of ", rule->name, " does not fit its function"));
  }
  Builder b(session);
  const std::vector<Value> bwd_inputs = BatchedInputs(b, rule->bwd, bwd_dims, axis.size);
  BatchResult cts = EvalRule(b, rule->bwd, bwd_inputs, bwd_dims, axis);
  RETURN_IF_ERROR(b.status());
  next = 0;
  for (size_t i = 0; i < in_dims.size() && next < cts.values.size(); ++i) {
    if (i < rule->bwd_zeros.size() && rule->bwd_zeros[i]) continue;
    Value& v = cts.values[next];
    const int from = cts.dims[next++];
    if (in_dims[i] != kUnmapped) {
      v = batching::MatchAxis(b, v, from, in_dims[i], axis.size);
    } else if (from != kUnmapped) {
      v = ir::ReduceSum(b, v, {from});
    }
  }
  ASSIGN_OR_RETURN(rule->bwd, FinishClosed(b, cts.values));
  return OkStatus();
}

// A rule whose bodies are batched on demand.
RulePtr BatchedRuleOf(const RulePtr& rule, std::vector<int> in_dims, std::vector<int> out_dims,
                      const ir::AxisData& axis) {
  if (rule == nullptr) return nullptr;
  auto out = std::make_shared<CustomRule>(*rule);
  StrAppend(&out->derivation, " vmap ", Join(in_dims, ","), "->", Join(out_dims, ","), ":",
            axis.size, axis.name);
  const std::string name(axis.name);
  const int64_t size = axis.size;
  out->make = [rule, in_dims = std::move(in_dims), out_dims = std::move(out_dims), name, size](
                  ir::Session& session, const CustomRule&) -> Result<RuleBodies> {
    ASSIGN_OR_RETURN(RuleBodies bodies, MakeBodies(session, *rule));
    const ir::AxisData axis_data{name, size};
    RETURN_IF_ERROR(bodies.is_vjp ? BatchVjpBodies(session, &bodies, in_dims, out_dims, axis_data)
                                  : BatchJvpBody(session, &bodies, in_dims, out_dims, axis_data));
    return bodies;
  };
  return out;
}

// custom_jvp_call and custom_vjp_call: function and rule batched.
BatchResult BatchCustomCall(Builder& b, const BatchArgs& a) {
  const std::vector<int> dims(a.dims.begin(), a.dims.end());
  const auto function = batching::BatchJaxpr(b.session(), a.params.Sub("call_jaxpr"), dims, a.axis);
  if (!function.ok()) {
    b.Fail(function.status());
    return {};
  }
  const auto consts = static_cast<size_t>(a.params.Int("num_consts"));
  Params params = a.params;
  params.Set("call_jaxpr", ParamValue::SubJaxpr(function->jaxpr));
  params.Set("rule", ParamValue::Rule(BatchedRuleOf(a.params["rule"].AsRule(),
                                                    Slice(dims, consts, dims.size()),
                                                    function->out_dims, a.axis)));
  return {b.Emit(a.op, std::move(params), a.values), function->out_dims};
}

// ---- custom_vjp ----

JvpResult JvpCustomVjp(Builder& b, const JvpArgs& a, Builder& linear) {
  const auto found = BodiesOf(b.session(), a.params, /*is_vjp=*/true);
  if (!found.ok()) {
    b.Fail(found.status());
    return {};
  }
  const RuleBodies& rule = *found;
  const auto consts = static_cast<size_t>(a.params.Int("num_consts"));
  for (size_t i = 0; i < consts; ++i) {
    if (a.tangents[i]) {
      b.Fail(
          NotImplementedError("Detected differentiation of a custom_vjp function with respect to a "
                              "closed-over value. That isn't "
                              "supported because the custom VJP rule only specifies how to "
                              "differentiate the custom_vjp function with "
                              "respect to explicit input parameters."));
      return {};
    }
  }
  const std::vector<Value> inputs = Slice(a.primals, consts, a.primals.size());
  const size_t num_outs = a.params.Sub("call_jaxpr")->outs().size();
  size_t own = 0;
  bool sane =
      Fits(rule.fwd, inputs.size()) && rule.input_fwds.size() == static_cast<size_t>(rule.num_res);
  for (const int64_t f : rule.input_fwds) {
    own += f < 0 ? 1 : 0;
    sane = sane && f < static_cast<int64_t>(inputs.size());
  }
  if (!sane || rule.fwd.jaxpr->outs().size() != own + num_outs) {
    b.Fail(TypeError(StrCat("the VJP rule of ", rule.name, " does not fit its function")));
    return {};
  }
  const std::vector<Value> outs = b.Inline(rule.fwd, inputs);
  if (!b.ok()) return {};
  std::vector<Value> operands;
  size_t next = 0;
  for (const int64_t f : rule.input_fwds)
    operands.push_back(f < 0 ? outs[next++] : inputs[static_cast<size_t>(f)]);
  JvpResult out;
  out.primals = Slice(outs, own, outs.size());
  std::vector<Aval> out_avals;
  for (const Value& v : out.primals) out_avals.push_back(v.aval().Tangent());
  const Bits nonzeros = autodiff::Nonzeros(a.tangents);
  Append(&operands, Where(a.tangents, nonzeros));
  ir::ParamValues in_zeros;
  for (const bool nz : nonzeros) in_zeros.push_back(ParamValue::Bool(!nz));
  out.tangents = linear.EmitN("custom_lin", operands,
                              {{"bwd", a.params["bwd"]},
                               {"in_zeros", ParamValue::List(std::move(in_zeros))},
                               {"num_res", ParamValue::Int(rule.num_res)},
                               {"symbolic_zeros", a.params["symbolic_zeros"]},
                               {"out_avals", ParamValue::Avals(out_avals)},
                               {"rule", a.params["rule"]}});
  return out;
}

JvpResult ForwardCustomVjp(Builder& b, const JvpArgs& a) { return JvpCustomVjp(b, a, b); }

JvpResult LinearizeCustomVjp(Builder& outer, Builder& linear, const ir::LinearizeArgs& a) {
  JvpResult out = JvpCustomVjp(outer, JvpArgs{a.op, a.params, a.primals, a.tangents}, linear);
  outer.Fail(linear.status());
  return out;
}

Status LowerCustomCall(lowering::LowerContext& c) {
  c.Out(c.Inline(c.params().Sub("call_jaxpr"), c.ins()));
  return OkStatus();
}

// A rule without the outputs that are not used.
RulePtr ShrunkRuleOf(const RulePtr& rule, const Bits& used_results) {
  auto out = std::make_shared<CustomRule>(*rule);
  StrAppend(&out->derivation, " dce ", staging::BitsKey(used_results));
  out->make = [rule, used_results](ir::Session& session, const CustomRule&) -> Result<RuleBodies> {
    ASSIGN_OR_RETURN(RuleBodies bodies, MakeBodies(session, *rule));
    Bits used = used_results;
    Bits out_zeros;
    for (size_t i = 0; i < used_results.size(); ++i) {
      if (!bodies.out_zeros[i]) used.push_back(used_results[i]);
      if (used_results[i]) out_zeros.push_back(bodies.out_zeros[i]);
    }
    ASSIGN_OR_RETURN(const staging::DceOutcome jvp,
                     staging::Dce(session, bodies.jvp.jaxpr, used,
                                  Bits(bodies.jvp.jaxpr->invars().size(), true)));
    bodies.jvp = {jvp.jaxpr, Where(bodies.jvp.consts, jvp.used_consts)};
    bodies.out_zeros = std::move(out_zeros);
    return bodies;
  };
  return out;
}

// The rule may read inputs that the shrunk function does not, so all inputs stay.
Result<ir::DceResult> DceCustomJvp(ir::Session& session, const ir::Jaxpr&, const ir::Eqn& eqn,
                                   const Bits& used_results) {
  ir::DceResult out;
  out.used_operands.assign(eqn.num_operands, true);
  const RulePtr& rule = (*eqn.params)["rule"].AsRule();
  if (rule == nullptr || Count(used_results) == used_results.size()) return out;
  ASSIGN_OR_RETURN(const staging::DceOutcome body,
                   staging::Dce(session, eqn.params->Sub("call_jaxpr"), used_results,
                                Bits(eqn.num_operands, true)));
  Params params = *eqn.params;
  params.Set("call_jaxpr", ParamValue::SubJaxpr(body.jaxpr));
  params.Set("rule", ParamValue::Rule(ShrunkRuleOf(rule, used_results)));
  out.params = std::make_shared<const Params>(std::move(params));
  out.kept_results = used_results;
  return out;
}

// ---- custom_lin ----

Types CustomLinType(const TypeArgs& a) { return a.params["out_avals"].AsAvals(); }

constexpr std::string_view kForwardOfVjp =
    "can't apply forward-mode autodiff (jvp) to a custom_vjp function.";

std::vector<Value> TransposeCustomLin(Builder& b, const TransposeArgs& a) {
  const auto found = BodiesOf(b.session(), a.params, /*is_vjp=*/true);
  if (!found.ok()) {
    b.Fail(found.status());
    return {};
  }
  const RuleBodies& rule = *found;
  const auto num_res = static_cast<size_t>(a.params.Int("num_res"));
  std::vector<Value> inputs;
  for (size_t i = 0; i < num_res && i < a.operands.size(); ++i)
    inputs.push_back(a.operands[i].value);
  for (size_t i = 0; i < a.cotangents.size(); ++i) {
    inputs.push_back(ir::InstantiateZeros(b, a.cotangents[i], a.results[i]));
  }
  const Bits in_zeros = a.params["in_zeros"].AsBools();
  const size_t num_consts = in_zeros.size() - std::min(in_zeros.size(), rule.bwd_zeros.size());
  if (!Fits(rule.bwd, inputs.size())) {
    b.Fail(TypeError(StrCat("the backward rule of ", rule.name, " does not fit its function")));
    return {};
  }
  const std::vector<Value> cts = b.Inline(rule.bwd, inputs);
  std::vector<Value> out(num_res);
  if (!b.ok()) return out;
  size_t next = 0;
  for (size_t i = 0; i < in_zeros.size(); ++i) {
    const bool zero = i < num_consts || rule.bwd_zeros[i - num_consts];
    const Value ct = zero || next >= cts.size() ? Value() : cts[next++];
    if (!in_zeros[i]) out.push_back(ct);
  }
  return out;
}

BatchResult BatchCustomLin(Builder& b, const BatchArgs&) {
  b.Fail(TypeError(std::string(kForwardOfVjp)));
  return {};
}

Status LowerCustomLin(lowering::LowerContext&) { return TypeError(std::string(kForwardOfVjp)); }

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kJvpParams[] = {
    {"name", Type::kText},
    {"call_jaxpr", Type::kJaxpr},
    {"jvp", Type::kText},
    {"num_consts", Type::kInt, Show::kUnlessDefault, "0"},
    {"symbolic_zeros", Type::kBool},
    {"rule", Type::kRule, Show::kNever, "None"},
};
constexpr ParamSpec kVjpParams[] = {
    {"name", Type::kText},
    {"bwd", Type::kText},
    {"call_jaxpr", Type::kJaxpr},
    {"fwd", Type::kText},
    {"num_consts", Type::kInt, Show::kUnlessDefault, "0"},
    {"symbolic_zeros", Type::kBool},
    {"rule", Type::kRule, Show::kNever, "None"},
};
constexpr ParamSpec kLinParams[] = {
    {"bwd", Type::kText},
    {"in_zeros", Type::kTuple},
    {"num_res", Type::kInt},
    {"symbolic_zeros", Type::kBool},
    {"out_avals", Type::kTuple, Show::kNever, "()"},
    {"rule", Type::kRule, Show::kNever, "None"},
};

constexpr OpDef kOps[] = {
    {.name = "custom_jvp_call",
     .results = -1,
     .params = kJvpParams,
     .type_rule = CustomCallType,
     .retype = RetypeCustomCall,
     .jvp = ir::JvpFull(JvpCustomJvp),
     .partial_eval = PartialEvalCustomJvp,
     .transpose = TransposeCustomJvp,
     .batch = ir::BatchAlways(BatchCustomCall),
     .dce = DceCustomJvp,
     .lower = LowerCustomCall,
     .spec = "primitives.md#custom_jvp_call"},
    {.name = "custom_vjp_call",
     .results = -1,
     .params = kVjpParams,
     .type_rule = CustomCallType,
     .retype = RetypeCustomCall,
     .jvp = ir::JvpFull(ForwardCustomVjp),
     .linearize = LinearizeCustomVjp,
     .batch = ir::BatchAlways(BatchCustomCall),
     .lower = LowerCustomCall,
     .spec = "primitives.md#custom_vjp_call"},
    {.name = "custom_lin",
     .results = -1,
     .params = kLinParams,
     .type_rule = CustomLinType,
     .transpose = TransposeCustomLin,
     .batch = ir::BatchFull(BatchCustomLin),
     .lower = LowerCustomLin,
     .spec = "primitives.md#custom_lin"},
};

}  // namespace

std::span<const OpDef> CustomOps() { return kOps; }

}  // namespace megalith::ops

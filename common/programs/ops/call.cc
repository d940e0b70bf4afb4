// Plain calls of nested programs: jit, closed_call, call.
#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/linearize.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {
namespace {

// The parameter that holds the callee: `jaxpr` of jit, `call_jaxpr` of the others.
std::string_view CalleeName(const OpDef& op) { return op.inherits_names ? "jaxpr" : "call_jaxpr"; }
const JaxprPtr& Callee(const OpDef& op, const Params& params) { return params.Sub(CalleeName(op)); }

Params WithCallee(const OpDef& op, const Params& params, JaxprPtr callee) {
  Params out = params;
  out.Set(CalleeName(op), ParamValue::SubJaxpr(std::move(callee)));
  return out;
}

Types CallType(const TypeArgs& a) {
  const JaxprPtr& callee = Callee(a.op, a.params);
  if (callee->invars().size() != a.operands.size()) {
    return TypeError(StrCat(a.op.name, " calls a jaxpr of ", callee->invars().size(),
                            " inputs with ", a.operands.size(), " operands"));
  }
  for (size_t i = 0; i < a.operands.size(); ++i) {
    const Aval& want = callee->aval(callee->invars()[i]);
    if (!want.SameType(a.operands[i])) {
      return TypeError(StrCat("operand ", i, " of ", a.op.name, " has type ", a.operands[i].Text(),
                              ", the called jaxpr takes ", want.Text()));
    }
  }
  return callee->OutAvals();
}

Result<Params> RetypeCall(ir::TypeChecker& checker, const TypeArgs& a) {
  const std::vector<Aval> inputs(a.operands.begin(), a.operands.end());
  ASSIGN_OR_RETURN(JaxprPtr callee, checker.Check(Callee(a.op, a.params), inputs));
  return WithCallee(a.op, a.params, std::move(callee));
}

JvpResult JvpCall(Builder& b, const JvpArgs& a) {
  const std::vector<bool> nonzeros = autodiff::Nonzeros(a.tangents);
  const auto jvp = autodiff::JvpJaxpr(b.session(), Callee(a.op, a.params), nonzeros);
  if (!jvp.ok()) {
    b.Fail(jvp.status());
    return {};
  }
  std::vector<Value> operands(a.primals.begin(), a.primals.end());
  for (const Value& t : Where(a.tangents, nonzeros)) operands.push_back(t);
  const std::vector<Value> results = b.Emit(a.op, WithCallee(a.op, a.params, jvp->jaxpr), operands);
  JvpResult out;
  if (!b.ok()) return out;
  const size_t n = jvp->nonzero_out.size();
  out.primals.assign(results.begin(), results.begin() + static_cast<int64_t>(n));
  size_t next = n;
  for (const bool nz : jvp->nonzero_out) out.tangents.push_back(nz ? results[next++] : Value());
  return out;
}

// Calls `jaxpr` for outputs [primal outputs, residuals], leaving out of the call what is an input
// or repeats an output. Gives all outputs back in place.
std::vector<Value> CallPruned(Builder& b, const OpDef& op, const Params& params, JaxprPtr jaxpr,
                              std::span<const Value> operands, size_t num_residuals) {
  ir::Session& session = b.session();
  const std::vector<int> in_fwd = staging::ForwardedInputs(*jaxpr);
  std::vector<bool> keep;
  for (const int f : in_fwd) keep.push_back(f < 0);
  jaxpr = staging::PruneOutputs(session, jaxpr, keep);
  // Residuals are the last outputs; one that equals a kept primal output is not returned twice.
  size_t kept_residuals = 0;
  for (size_t i = in_fwd.size() - num_residuals; i < in_fwd.size(); ++i)
    kept_residuals += keep[i] ? 1 : 0;
  const size_t kept_primals = jaxpr->outs().size() - kept_residuals;
  std::vector<int> out_fwd(jaxpr->outs().size(), -1);
  for (size_t r = kept_primals; r < jaxpr->outs().size(); ++r) {
    for (size_t p = 0; p < kept_primals; ++p) {
      if (!jaxpr->outs()[r].is_literal() && jaxpr->outs()[r] == jaxpr->outs()[p])
        out_fwd[r] = static_cast<int>(p);
    }
  }
  std::vector<bool> keep_again;
  for (const int f : out_fwd) keep_again.push_back(f < 0);
  const JaxprPtr pruned = staging::PruneOutputs(session, jaxpr, keep_again);
  const std::vector<Value> results = b.Emit(op, WithCallee(op, params, pruned), operands);
  if (!b.ok()) return {};
  std::vector<Value> middle;
  size_t next = 0;
  for (const int f : out_fwd)
    middle.push_back(f < 0 ? results[next++] : middle[static_cast<size_t>(f)]);
  std::vector<Value> out;
  next = 0;
  for (const int f : in_fwd)
    out.push_back(f < 0 ? middle[next++] : operands[static_cast<size_t>(f)]);
  return out;
}

JvpResult LinearizeCall(Builder& outer, Builder& linear, const ir::LinearizeArgs& a) {
  const std::vector<bool> nonzeros = autodiff::Nonzeros(a.tangents);
  const auto lin = autodiff::LinearizeJaxpr(outer.session(), Callee(a.op, a.params), nonzeros);
  if (!lin.ok()) {
    outer.Fail(lin.status());
    return {};
  }
  const std::vector<Value> results =
      CallPruned(outer, a.op, a.params, lin->primal, a.primals, lin->num_residuals_out);
  JvpResult out;
  if (!outer.ok()) return out;
  const size_t n = lin->nonzero_out.size();
  out.primals.assign(results.begin(), results.begin() + static_cast<int64_t>(n));
  std::vector<Value> operands =
      staging::ResidualValues(outer, lin->residuals, std::span(results).subspan(n), a.primals);
  for (const Value& t : Where(a.tangents, nonzeros)) operands.push_back(t);
  const std::vector<Value> tangents =
      linear.Emit(a.op, WithCallee(a.op, a.params, lin->tangent), operands);
  outer.Fail(linear.status());
  if (!outer.ok()) return out;
  out.tangents = Spread(lin->nonzero_out, tangents);
  return out;
}

std::vector<Value> PartialEvalCall(Builder& known, Builder& unknown, const ir::PartialEvalArgs& a) {
  std::vector<bool> unknown_ins;
  for (const Value& v : a.operands) unknown_ins.push_back(unknown.Owns(v));
  const auto parts = staging::PartialEval(known.session(), Callee(a.op, a.params), unknown_ins,
                                          /*forward=*/std::vector<bool>(unknown_ins.size(), true));
  if (!parts.ok()) {
    known.Fail(parts.status());
    return {};
  }
  const std::vector<Value> known_ins = Where(a.operands, Not(unknown_ins));
  size_t num_residuals = 0;
  for (const staging::Residual& r : parts->residuals) num_residuals += r.own() ? 1 : 0;
  const std::vector<Value> known_outs =
      CallPruned(known, a.op, a.params, parts->known, known_ins, num_residuals);
  if (!known.ok()) return {};
  // The unknown call takes residuals after its own operands.
  std::vector<Value> operands = Where(a.operands, unknown_ins);
  const size_t num_unknown = operands.size();
  Append(&operands,
         staging::ResidualValues(known, parts->residuals,
                                 std::span(known_outs).subspan(known_outs.size() - num_residuals),
                                 known_ins));
  const size_t num_res = operands.size() - num_unknown;
  std::vector<size_t> order;
  for (size_t i = 0; i < num_unknown; ++i) order.push_back(num_res + i);
  for (size_t i = 0; i < num_res; ++i) order.push_back(i);
  const JaxprPtr callee = staging::Reorder(known.session(), parts->unknown, order);
  const std::vector<Value> unknown_outs =
      unknown.Emit(a.op, WithCallee(a.op, a.params, callee), operands);
  if (!unknown.ok()) return {};
  std::vector<Value> out;
  size_t k = 0;
  size_t u = 0;
  for (const bool uk : parts->unknown_outs) out.push_back(uk ? unknown_outs[u++] : known_outs[k++]);
  return out;
}

std::vector<ir::SplitValue> SplitCall(Builder& known, Builder& staged, const ir::SplitArgs& a) {
  std::vector<bool> unknown_ins;
  std::vector<bool> inst_ins;
  std::vector<Value> known_ins;
  std::vector<Value> inst_values;
  for (const ir::SplitValue& v : a.operands) {
    unknown_ins.push_back(v.unknown);
    inst_ins.push_back(v.instantiated);
    if (!v.unknown) known_ins.push_back(v.known);
    if (v.instantiated) inst_values.push_back(v.staged);
  }
  const auto parts = staging::SplitByPolicy(known.session(), Callee(a.op, a.params), unknown_ins,
                                            inst_ins, {}, {}, a.policy);
  if (!parts.ok()) {
    known.Fail(parts.status());
    return {};
  }
  // Residuals that are known inputs or known outputs are not returned again.
  const size_t primal_outs = parts->known->outs().size() - parts->num_res;
  const std::vector<int> in_fwd = staging::ForwardedInputs(*parts->known);
  std::vector<bool> keep(parts->known->outs().size(), true);
  std::vector<int> residual_in(parts->num_res, -1);
  std::vector<int> residual_out(parts->num_res, -1);
  for (size_t r = 0; r < parts->num_res; ++r) {
    const size_t o = primal_outs + r;
    residual_in[r] = in_fwd[o];
    for (size_t p = 0; p < primal_outs && in_fwd[o] < 0; ++p) {
      if (!parts->known->outs()[o].is_literal() &&
          parts->known->outs()[o] == parts->known->outs()[p]) {
        residual_out[r] = static_cast<int>(p);
      }
    }
    keep[o] = residual_in[r] < 0 && residual_out[r] < 0;
  }
  const JaxprPtr pruned = staging::PruneOutputs(known.session(), parts->known, keep);
  const std::vector<Value> known_outs =
      known.Emit(a.op, WithCallee(a.op, a.params, pruned), known_ins);
  if (!known.ok()) return {};
  std::vector<Value> staged_operands;
  size_t next = primal_outs;
  for (size_t r = 0; r < parts->num_res; ++r) {
    if (residual_in[r] >= 0) {
      staged_operands.push_back(known_ins[static_cast<size_t>(residual_in[r])]);
    } else if (residual_out[r] >= 0) {
      staged_operands.push_back(known_outs[static_cast<size_t>(residual_out[r])]);
    } else {
      staged_operands.push_back(known_outs[next++]);
    }
  }
  staged_operands.insert(staged_operands.end(), inst_values.begin(), inst_values.end());
  const std::vector<Value> staged_outs =
      staged.Emit(a.op, WithCallee(a.op, a.params, parts->staged), staged_operands);
  if (!staged.ok()) return {};
  std::vector<ir::SplitValue> out;
  size_t k = 0;
  size_t s = 0;
  for (size_t i = 0; i < parts->unknown_outs.size(); ++i) {
    ir::SplitValue v{parts->unknown_outs[i], parts->inst_outs[i], {}, {}};
    if (!v.unknown) v.known = known_outs[k++];
    if (v.instantiated) v.staged = staged_outs[s++];
    out.push_back(v);
  }
  return out;
}

std::vector<Value> TransposeCall(Builder& b, const TransposeArgs& a) {
  std::vector<bool> linear;
  std::vector<bool> nonzero_cts;
  std::vector<Value> operands;
  for (const LinearOperand& x : a.operands) {
    linear.push_back(x.linear);
    if (!x.linear) operands.push_back(x.value);
  }
  for (const Value& ct : a.cotangents) {
    nonzero_cts.push_back(bool(ct));
    if (ct) operands.push_back(ct);
  }
  const auto transposed =
      autodiff::TransposeJaxpr(b.session(), Callee(a.op, a.params), linear, nonzero_cts);
  if (!transposed.ok()) {
    b.Fail(transposed.status());
    return {};
  }
  const std::vector<Value> results =
      b.Emit(a.op, WithCallee(a.op, a.params, transposed->jaxpr), operands);
  std::vector<Value> out;
  if (!b.ok()) return out;
  size_t next = 0;
  for (const bool nz : transposed->nonzero_out) out.push_back(nz ? results[next++] : Value());
  return out;
}

BatchResult BatchCall(Builder& b, const BatchArgs& a) {
  const auto batched = batching::BatchJaxpr(b.session(), Callee(a.op, a.params),
                                            std::vector<int>(a.dims.begin(), a.dims.end()), a.axis);
  if (!batched.ok()) {
    b.Fail(batched.status());
    return {};
  }
  return {b.Emit(a.op, WithCallee(a.op, a.params, batched->jaxpr), a.values), batched->out_dims};
}

Result<ir::DceResult> DceCall(ir::Session& session, const ir::Jaxpr&, const ir::Eqn& eqn,
                              const std::vector<bool>& used_results) {
  ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                   staging::Dce(session, Callee(*eqn.op, *eqn.params), used_results));
  ir::DceResult out;
  out.used_operands = dce.used_inputs;
  out.kept_results = used_results;
  out.params = std::make_shared<const Params>(WithCallee(*eqn.op, *eqn.params, dce.jaxpr));
  return out;
}

// jit becomes a private function of the same name; closed_call one called closed_call.
Status LowerCall(lowering::LowerContext& c) {
  const std::string_view name =
      c.op().inherits_names ? std::string_view(c.params().Text("name")) : c.op().name;
  c.Out(c.Call(name, Callee(c.op(), c.params()), c.ins()));
  return OkStatus();
}

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kJitParams[] = {
    {"name", Type::kText},
    {"compiler_options_kvs", Type::kAny, Show::kUnlessDefault, "()"},
    {"ctx_mesh", Type::kAny, Show::kUnlessDefault, "None"},
    {"donated_invars", Type::kAny, Show::kUnlessDefault, "None"},
    {"in_layouts", Type::kAny, Show::kUnlessDefault, "None"},
    {"in_shardings", Type::kAny, Show::kUnlessDefault, "None"},
    {"inline", Type::kBool, Show::kNever, "False"},
    {"jaxpr", Type::kJaxpr},
    {"keep_unused", Type::kBool, Show::kUnlessDefault, "False"},
    {"out_layouts", Type::kAny, Show::kUnlessDefault, "None"},
    {"out_shardings", Type::kAny, Show::kUnlessDefault, "None"},
};
constexpr ParamSpec kCallParams[] = {{"call_jaxpr", Type::kJaxpr}};

constexpr OpDef kOps[] = {
    {.name = "jit",
     .results = -1,
     .params = kJitParams,
     .type_rule = CallType,
     .retype = RetypeCall,
     .jvp = ir::JvpFull(JvpCall),
     .linearize = LinearizeCall,
     .partial_eval = PartialEvalCall,
     .split = SplitCall,
     .transpose = TransposeCall,
     .batch = ir::BatchAlways(BatchCall),
     .dce = DceCall,
     .lower = LowerCall,
     .inherits_names = true,
     .spec = "primitives.md#jit"},
    {.name = "closed_call",
     .results = -1,
     .params = kCallParams,
     .type_rule = CallType,
     .retype = RetypeCall,
     .jvp = ir::JvpFull(JvpCall),
     .linearize = LinearizeCall,
     .partial_eval = PartialEvalCall,
     .split = SplitCall,
     .transpose = TransposeCall,
     .batch = ir::BatchFull(BatchCall),
     .dce = DceCall,
     .lower = LowerCall,
     .spec = "primitives.md#closed_call"},
    {.name = "core_call",
     .results = -1,
     .params = kCallParams,
     .tier = 2,
     .type_rule = CallType,
     .retype = RetypeCall,
     .jvp = ir::JvpFull(JvpCall),
     .linearize = LinearizeCall,
     .partial_eval = PartialEvalCall,
     .split = SplitCall,
     .transpose = TransposeCall,
     .batch = ir::BatchFull(BatchCall),
     .dce = DceCall,
     .lower = LowerCall,
     .spec = "primitives.md#call"},
};

}  // namespace

std::span<const OpDef> CallOps() { return kOps; }

}  // namespace megalith::ops

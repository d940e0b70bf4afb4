#include "common/programs/autodiff/transpose.h"

#include "common/foundation/base/strings.h"
#include "common/programs/ir/emit.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::autodiff {

using ir::Atom;
using ir::Builder;
using ir::Eqn;
using ir::Jaxpr;
using ir::JaxprPtr;
using ir::LinearOperand;
using ir::Value;

std::vector<Value> TransposeEqn(Builder& b, const ir::TransposeArgs& args) {
  bool any = false;
  for (const Value& ct : args.cotangents) any = any || bool(ct);
  if (!any) return std::vector<Value>(args.operands.size());
  if (args.op.transpose == nullptr) {
    b.Fail(NotImplementedError(StrCat("Transpose rule (for reverse-mode differentiation) for '",
                                      args.op.name, "' not implemented")));
    return std::vector<Value>(args.operands.size());
  }
  std::vector<Value> cts = args.op.transpose(b, args);
  cts.resize(args.operands.size());
  return cts;
}

std::vector<Value> BackwardPass(Builder& b, const Jaxpr& jaxpr, std::span<const Value> consts,
                                std::span<const LinearOperand> inputs,
                                std::span<const Value> cotangents) {
  std::vector<Value> env(jaxpr.num_vars());
  std::vector<bool> linear(jaxpr.num_vars(), false);
  std::vector<Value> cts(jaxpr.num_vars());
  const std::vector<Value> all_consts = b.BindConsts(jaxpr, consts);
  for (size_t i = 0; i < all_consts.size(); ++i) env[jaxpr.constvars()[i]] = all_consts[i];
  for (size_t i = 0; i < inputs.size(); ++i) {
    const ir::VarId v = jaxpr.invars()[i];
    linear[v] = inputs[i].linear;
    (inputs[i].linear ? cts : env)[v] = inputs[i].value;
  }
  std::vector<Value> results(inputs.size());
  bool any_ct = false;
  for (const Value& ct : cotangents) any_ct = any_ct || bool(ct);
  if (!any_ct) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (inputs[i].linear) results[i] = inputs[i].value;
    }
    return results;
  }

  std::vector<const Eqn*> linear_eqns;
  std::vector<Value> operands;
  for (const Eqn& eqn : jaxpr.eqns()) {
    bool is_linear = false;
    for (const Atom a : jaxpr.operands(eqn))
      is_linear = is_linear || (!a.is_literal() && linear[a.var()]);
    if (is_linear) {
      for (uint32_t r = 0; r < eqn.num_results; ++r) linear[eqn.first_result + r] = true;
      linear_eqns.push_back(&eqn);
      continue;
    }
    operands.clear();
    for (const Atom a : jaxpr.operands(eqn)) {
      operands.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
    }
    const std::vector<Value> out = b.Emit(*eqn.op, eqn.params, operands);
    if (!b.ok()) return results;
    for (uint32_t r = 0; r < eqn.num_results; ++r) env[eqn.first_result + r] = out[r];
  }
  for (size_t i = 0; i < jaxpr.outs().size(); ++i) {
    const Atom a = jaxpr.outs()[i];
    if (!a.is_literal() && linear[a.var()] && cotangents[i]) {
      cts[a.var()] = ir::AddTangents(b, cts[a.var()], cotangents[i]);
    }
  }
  for (auto it = linear_eqns.rbegin(); it != linear_eqns.rend(); ++it) {
    const Eqn& eqn = **it;
    std::vector<Value> out_cts;
    std::vector<ir::Aval> out_avals;
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      out_cts.push_back(cts[eqn.first_result + r]);
      out_avals.push_back(jaxpr.aval(eqn.first_result + r));
    }
    std::vector<LinearOperand> eqn_operands;
    for (const Atom a : jaxpr.operands(eqn)) {
      if (a.is_literal()) {
        eqn_operands.push_back({b.Lit(jaxpr.literal(a)), jaxpr.aval(a), false});
      } else if (linear[a.var()]) {
        eqn_operands.push_back({Value(), jaxpr.aval(a), true});
      } else {
        eqn_operands.push_back({env[a.var()], jaxpr.aval(a), false});
      }
    }
    const std::vector<Value> in_cts =
        TransposeEqn(b, ir::TransposeArgs{*eqn.op, *eqn.params, out_cts, out_avals, eqn_operands});
    if (!b.ok()) return results;
    const auto atoms = jaxpr.operands(eqn);
    for (size_t i = 0; i < atoms.size(); ++i) {
      if (!eqn_operands[i].linear || !in_cts[i]) continue;
      cts[atoms[i].var()] = ir::AddTangents(b, cts[atoms[i].var()], in_cts[i]);
    }
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].linear) results[i] = cts[jaxpr.invars()[i]];
  }
  return results;
}

Result<TransposedJaxpr> TransposeJaxpr(ir::Session& session, const JaxprPtr& jaxpr,
                                       const std::vector<bool>& linear,
                                       const std::vector<bool>& nonzero_cts,
                                       const std::vector<bool>& instantiate) {
  const std::string key = StrCat("transpose ", staging::BitsKey(linear), " ",
                                 staging::BitsKey(nonzero_cts), " ", staging::BitsKey(instantiate));
  if (const auto* done = session.Find<TransposedJaxpr>(jaxpr, key)) return *done;
  Builder b(session);
  std::vector<LinearOperand> inputs;
  for (size_t i = 0; i < linear.size(); ++i) {
    const ir::Aval& aval = jaxpr->aval(jaxpr->invars()[i]);
    inputs.push_back({linear[i] ? Value() : b.Input(aval), aval, linear[i]});
  }
  std::vector<Value> cts;
  for (size_t i = 0; i < nonzero_cts.size(); ++i) {
    cts.push_back(nonzero_cts[i] ? b.Input(jaxpr->aval(jaxpr->outs()[i]).Tangent()) : Value());
  }
  std::vector<Value> in_cts = BackwardPass(b, *jaxpr, {}, inputs, cts);
  RETURN_IF_ERROR(b.status());
  TransposedJaxpr out;
  std::vector<Value> outs;
  for (size_t i = 0; i < in_cts.size(); ++i) {
    if (!in_cts[i] && inputs[i].linear && i < instantiate.size() && instantiate[i]) {
      in_cts[i] = ir::Zeros(b, inputs[i].aval.Tangent());
    }
    out.nonzero_out.push_back(bool(in_cts[i]));
    if (in_cts[i]) outs.push_back(in_cts[i]);
  }
  ASSIGN_OR_RETURN(out.jaxpr, b.Finish(outs));
  return session.Remember(jaxpr, key, std::move(out));
}

}  // namespace megalith::autodiff

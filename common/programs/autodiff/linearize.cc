#include "common/programs/autodiff/linearize.h"

#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/ir/emit.h"
#include "common/programs/staging/jaxpr_ops.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::autodiff {

using ir::Atom;
using ir::Builder;
using ir::Jaxpr;
using ir::JaxprPtr;
using ir::JvpResult;
using ir::Value;

JvpResult LinearizeByJvp(Builder& outer, Builder& linear, const ir::LinearizeArgs& args) {
  staging::SplitBuilder split(outer, linear);
  JvpResult out = JvpEqn(split, ir::JvpArgs{args.op, args.params, args.primals, args.tangents});
  outer.Fail(split.status());
  for (const Value& y : out.primals) {
    if (!linear.Owns(y)) continue;
    outer.Fail(ValueError(
        "Linearization failed to produce known values for all output primals. This is typically "
        "caused by attempting to differentiate a function uses an operation that does not support "
        "reverse-mode autodiff."));
  }
  // A tangent that does not depend on the input tangents is zero.
  for (Value& t : out.tangents) {
    if (t && !linear.Owns(t)) t = Value();
  }
  return out;
}

JvpResult EvalLinearize(Builder& outer, Builder& linear, const Jaxpr& jaxpr,
                        std::span<const Value> consts, std::span<const Value> primals,
                        std::span<const Value> tangents) {
  std::vector<Value> env(jaxpr.num_vars());
  std::vector<Value> tangent_env(jaxpr.num_vars());
  const std::vector<Value> all_consts = outer.BindConsts(jaxpr, consts);
  for (size_t i = 0; i < all_consts.size(); ++i) env[jaxpr.constvars()[i]] = all_consts[i];
  for (size_t i = 0; i < primals.size(); ++i) {
    env[jaxpr.invars()[i]] = primals[i];
    if (IsNonzero(tangents[i])) tangent_env[jaxpr.invars()[i]] = tangents[i];
  }
  std::vector<Value> xs;
  std::vector<Value> ts;
  for (const ir::Eqn& eqn : jaxpr.eqns()) {
    xs.clear();
    ts.clear();
    bool any = false;
    for (const Atom a : jaxpr.operands(eqn)) {
      xs.push_back(a.is_literal() ? outer.Lit(jaxpr.literal(a)) : env[a.var()]);
      ts.push_back(a.is_literal() ? Value() : tangent_env[a.var()]);
      any = any || bool(ts.back());
    }
    JvpResult results;
    const ir::LinearizeArgs args{*eqn.op, *eqn.params, xs, ts};
    if (!any) {
      results.primals = outer.Emit(*eqn.op, eqn.params, xs);
      results.tangents.resize(results.primals.size());
    } else if (eqn.op->linearize != nullptr) {
      results = eqn.op->linearize(outer, linear, args);
    } else {
      results = LinearizeByJvp(outer, linear, args);
    }
    outer.Fail(linear.status());
    if (!outer.ok()) return {};
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      env[eqn.first_result + r] = results.primals[r];
      if (IsNonzero(results.tangents[r])) tangent_env[eqn.first_result + r] = results.tangents[r];
    }
  }
  JvpResult out;
  for (const Atom a : jaxpr.outs()) {
    out.primals.push_back(a.is_literal() ? outer.Lit(jaxpr.literal(a)) : env[a.var()]);
    out.tangents.push_back(a.is_literal() ? Value() : tangent_env[a.var()]);
  }
  return out;
}

namespace {

// Finishes a linear trace: dead code goes, also inside nested programs; residuals become constvars.
Result<LinearMap> FinishLinear(Builder& outer, Builder& linear,
                               std::span<const Value> nonzero_tangents) {
  std::vector<Value> captured;
  ASSIGN_OR_RETURN(const JaxprPtr raw,
                   linear.Finish(nonzero_tangents, &captured, /*remove_dead=*/true));
  ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                   staging::Dce(outer.session(), raw, std::vector<bool>(raw->outs().size(), true),
                                std::vector<bool>(raw->invars().size(), true)));
  LinearMap map;
  map.jaxpr = dce.jaxpr;
  for (size_t i = 0; i < captured.size(); ++i) {
    if (dce.used_consts[i]) map.residuals.push_back(captured[i]);
  }
  return map;
}

}  // namespace

Result<LinearMap> Linearize(Builder& outer, const Jaxpr& jaxpr, std::span<const Value> consts,
                            std::span<const Value> primals, const std::vector<bool>& wanted,
                            std::vector<Value>* primal_outs) {
  Builder linear(outer.session());
  std::vector<Value> tangents(primals.size());
  for (size_t i = 0; i < primals.size(); ++i) {
    if (wanted[i]) tangents[i] = linear.Input(primals[i].aval().Tangent());
  }
  JvpResult results = EvalLinearize(outer, linear, jaxpr, consts, primals, tangents);
  RETURN_IF_ERROR(outer.status());
  std::vector<Value> nonzero;
  std::vector<bool> nonzero_out;
  for (const Value& t : results.tangents) {
    nonzero_out.push_back(bool(t));
    if (t) nonzero.push_back(t);
  }
  ASSIGN_OR_RETURN(LinearMap map, FinishLinear(outer, linear, nonzero));
  map.nonzero_out = std::move(nonzero_out);
  *primal_outs = std::move(results.primals);
  return map;
}

Result<LinearizedJaxpr> LinearizeJaxpr(ir::Session& session, const JaxprPtr& jaxpr,
                                       const std::vector<bool>& nonzeros,
                                       const std::vector<bool>& instantiate,
                                       const std::vector<bool>& allow_forward,
                                       bool forward_constants) {
  const std::string key =
      StrCat("lin ", staging::BitsKey(nonzeros), " ", staging::BitsKey(instantiate), " ",
             staging::BitsKey(allow_forward), forward_constants ? " c" : "");
  if (const auto* done = session.Find<LinearizedJaxpr>(jaxpr, key)) return *done;
  Builder primal(session);
  Builder linear(session);
  std::vector<Value> inputs;
  std::vector<Value> tangents(nonzeros.size());
  std::unordered_map<const void*, int> input_index;
  for (size_t i = 0; i < nonzeros.size(); ++i) {
    inputs.push_back(primal.Input(jaxpr->aval(jaxpr->invars()[i])));
    if (allow_forward.empty() || allow_forward[i])
      input_index.emplace(inputs[i].id(), static_cast<int>(i));
    if (nonzeros[i]) tangents[i] = linear.Input(inputs[i].aval().Tangent());
  }
  JvpResult results = EvalLinearize(primal, linear, *jaxpr, {}, inputs, tangents);
  RETURN_IF_ERROR(primal.status());
  LinearizedJaxpr out;
  std::vector<Value> nonzero_tangents;
  for (size_t i = 0; i < results.tangents.size(); ++i) {
    Value t = results.tangents[i];
    if (!t && i < instantiate.size() && instantiate[i])
      t = ir::Zeros(primal, results.primals[i].aval().Tangent());
    out.nonzero_out.push_back(bool(t));
    if (t) nonzero_tangents.push_back(t);
  }
  ASSIGN_OR_RETURN(const LinearMap map, FinishLinear(primal, linear, nonzero_tangents));
  out.tangent = staging::ConstsToInputs(map.jaxpr);
  std::vector<Value> primal_outs = results.primals;
  for (const Value& r : map.residuals) {
    staging::Residual source;
    if (const auto it = input_index.find(r.id()); it != input_index.end())
      source.input = it->second;
    const tensor::Tensor* constant = forward_constants ? primal.ConstantValue(r) : nullptr;
    if (constant != nullptr) source.constant = *constant;
    if (source.own()) {
      primal_outs.push_back(r);
      ++out.num_residuals_out;
    }
    out.residuals.push_back(std::move(source));
  }
  ASSIGN_OR_RETURN(const JaxprPtr raw, primal.Finish(primal_outs));
  ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                   staging::Dce(session, raw, std::vector<bool>(raw->outs().size(), true),
                                std::vector<bool>(raw->invars().size(), true)));
  out.primal = dce.jaxpr;
  return session.Remember(jaxpr, key, std::move(out));
}

}  // namespace megalith::autodiff

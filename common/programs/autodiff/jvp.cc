#include "common/programs/autodiff/jvp.h"

#include "common/foundation/base/strings.h"
#include "common/programs/ir/emit.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::autodiff {

using ir::Atom;
using ir::Builder;
using ir::Jaxpr;
using ir::JaxprPtr;
using ir::JvpResult;
using ir::JvpRule;
using ir::Value;

std::vector<bool> Nonzeros(std::span<const Value> tangents) {
  std::vector<bool> out;
  for (const Value& t : tangents) out.push_back(IsNonzero(t));
  return out;
}

namespace {

JvpResult LinearJvp(Builder& b, const ir::JvpArgs& a) {
  JvpResult out;
  auto params = std::make_shared<const ir::Params>(a.params);
  out.primals = b.Emit(a.op, params, a.primals);
  std::vector<Value> tangents;
  for (size_t i = 0; i < a.tangents.size(); ++i) {
    tangents.push_back(ir::InstantiateZeros(b, a.tangents[i], a.primals[i].aval()));
  }
  out.tangents = b.Emit(a.op, params, tangents);
  return out;
}

JvpResult TermsJvp(Builder& b, const ir::JvpArgs& a) {
  JvpResult out;
  out.primals = b.Emit(a.op, a.params, a.primals);
  if (!b.ok()) return out;
  // All terms first, then their sum from the left.
  std::vector<Value> terms;
  for (size_t i = 0; i < a.tangents.size() && i < a.op.jvp.terms.size(); ++i) {
    if (!a.tangents[i] || a.op.jvp.terms[i] == nullptr) continue;
    terms.push_back(a.op.jvp.terms[i](b, a.tangents[i], out.primals[0], a.primals, a.params));
  }
  Value sum;
  for (const Value& t : terms) sum = ir::AddTangents(b, sum, t);
  out.tangents = {sum};
  return out;
}

}  // namespace

JvpResult JvpEqn(Builder& b, const ir::JvpArgs& a) {
  JvpResult out;
  switch (a.op.jvp.kind) {
    case JvpRule::Kind::kMissing:
      b.Fail(NotImplementedError(
          StrCat("Differentiation rule for '", a.op.name, "' not implemented")));
      break;
    case JvpRule::Kind::kZero:
      out.primals = b.Emit(a.op, a.params, a.primals);
      out.tangents.resize(out.primals.size());
      break;
    case JvpRule::Kind::kLinear:
      out = LinearJvp(b, a);
      break;
    case JvpRule::Kind::kTerms:
      out = TermsJvp(b, a);
      break;
    case JvpRule::Kind::kFull:
      out = a.op.jvp.full(b, a);
      break;
  }
  out.tangents.resize(out.primals.size());
  return out;
}

JvpResult EvalJvp(Builder& b, const Jaxpr& jaxpr, std::span<const Value> consts,
                  std::span<const Value> primals, std::span<const Value> tangents) {
  std::vector<Value> env(jaxpr.num_vars());
  std::vector<Value> tangent_env(jaxpr.num_vars());
  const std::vector<Value> all_consts = b.BindConsts(jaxpr, consts);
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
      xs.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
      ts.push_back(a.is_literal() ? Value() : tangent_env[a.var()]);
      any = any || bool(ts.back());
    }
    JvpResult results;
    if (any) {
      results = JvpEqn(b, ir::JvpArgs{*eqn.op, *eqn.params, xs, ts});
    } else {
      results.primals = b.Emit(*eqn.op, eqn.params, xs);
      results.tangents.resize(results.primals.size());
    }
    if (!b.ok()) return {};
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      env[eqn.first_result + r] = results.primals[r];
      if (IsNonzero(results.tangents[r])) tangent_env[eqn.first_result + r] = results.tangents[r];
    }
  }
  JvpResult out;
  for (const Atom a : jaxpr.outs()) {
    out.primals.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
    out.tangents.push_back(a.is_literal() ? Value() : tangent_env[a.var()]);
  }
  return out;
}

Result<JvpJaxprResult> JvpJaxpr(ir::Session& session, const JaxprPtr& jaxpr,
                                const std::vector<bool>& nonzeros,
                                const std::vector<bool>& instantiate) {
  const std::string key =
      StrCat("jvp ", staging::BitsKey(nonzeros), " ", staging::BitsKey(instantiate));
  if (const auto* done = session.Find<JvpJaxprResult>(jaxpr, key)) return *done;
  Builder b(session);
  std::vector<Value> primals;
  std::vector<Value> tangents(nonzeros.size());
  for (const ir::VarId v : jaxpr->invars()) primals.push_back(b.Input(jaxpr->aval(v)));
  for (size_t i = 0; i < nonzeros.size(); ++i) {
    if (nonzeros[i]) tangents[i] = b.Input(primals[i].aval().Tangent());
  }
  const JvpResult results = EvalJvp(b, *jaxpr, {}, primals, tangents);
  RETURN_IF_ERROR(b.status());
  JvpJaxprResult out;
  std::vector<Value> outs = results.primals;
  for (size_t i = 0; i < results.tangents.size(); ++i) {
    Value t = results.tangents[i];
    if (!t && i < instantiate.size() && instantiate[i])
      t = ir::Zeros(b, results.primals[i].aval().Tangent());
    out.nonzero_out.push_back(bool(t));
    if (t) outs.push_back(t);
  }
  ASSIGN_OR_RETURN(out.jaxpr, b.Finish(outs));
  return session.Remember(jaxpr, key, std::move(out));
}

}  // namespace megalith::autodiff

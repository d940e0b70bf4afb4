// remat2: what jax.checkpoint makes of a function: compute again instead of keeping.
//
// Source: spec/transforms.md section 5.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/autodiff/jvp.h"
#include "common/programs/autodiff/transpose.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ir/check.h"
#include "common/programs/lowering/context.h"
#include "common/programs/ops/control.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/policies.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::ops {

namespace {

bool SaveEverything(const OpDef&, const Params&) { return true; }
bool SaveNothing(const OpDef&, const Params&) { return false; }
bool SaveProducts(const OpDef& op, const Params&) { return op.product != OpDef::Product::kNo; }
bool SaveUnbatchedDots(const OpDef& op, const Params& params) {
  if (op.product != OpDef::Product::kDot) return false;
  const ir::ParamValues& dims = params["dimension_numbers"].elements();
  if (dims.size() != 2) return false;
  for (const ParamValue& side : dims[1].elements()) {
    if (!side.elements().empty()) return false;
  }
  return true;
}

struct NamedPolicy {
  std::string_view name;
  ir::SavePolicy policy;
};
constexpr NamedPolicy kPolicies[] = {
    {"everything_saveable", SaveEverything},
    {"nothing_saveable", SaveNothing},
    {"dots_saveable", SaveProducts},
    {"dots_with_no_batch_dims_saveable", SaveUnbatchedDots},
};

}  // namespace

Result<ir::SavePolicy> PolicyByName(std::string_view name) {
  for (const NamedPolicy& p : kPolicies) {
    if (p.name == name) return p.policy;
  }
  return Unimplemented(StrCat("rematerialisation policy '", Printable(name),
                              "' is not supported; there are "
                              "everything_saveable, nothing_saveable, dots_saveable and "
                              "dots_with_no_batch_dims_saveable"));
}

namespace {

// The parameter is None or the text of a Python function, "<function dots_saveable at 0x0>".
Result<ir::SavePolicy> PolicyOf(const Params& params) {
  const ParamValue& policy = params["policy"];
  if (policy.is_none()) return ir::SavePolicy(SaveNothing);
  std::string_view text = policy.AsText();
  constexpr std::string_view kPrefix = "<function ";
  if (text.starts_with(kPrefix)) text = text.substr(kPrefix.size());
  return PolicyByName(text.substr(0, text.find(' ')));
}

Params WithBody(const Params& base, JaxprPtr body) {
  Params p = base;
  p.Set("jaxpr", ParamValue::SubJaxpr(std::move(body)));
  return p;
}

Types RematType(const TypeArgs& a) {
  const JaxprPtr& body = a.params.Sub("jaxpr");
  if (body->invars().size() != a.operands.size()) {
    return TypeError(StrCat("remat2 of a jaxpr of ", body->invars().size(), " inputs is given ",
                            a.operands.size(), " operands"));
  }
  for (size_t i = 0; i < a.operands.size(); ++i) {
    if (!body->aval(body->invars()[i]).SameType(a.operands[i])) {
      return TypeError(StrCat("operand ", i, " of remat2 has type ", a.operands[i].Text(),
                              ", its jaxpr takes ", body->aval(body->invars()[i]).Text()));
    }
  }
  RETURN_IF_ERROR(PolicyOf(a.params));
  return body->OutAvals();
}

Result<Params> RetypeRemat(ir::TypeChecker& checker, const TypeArgs& a) {
  ASSIGN_OR_RETURN(JaxprPtr body,
                   checker.Check(a.params.Sub("jaxpr"),
                                 std::vector<Aval>(a.operands.begin(), a.operands.end())));
  return WithBody(a.params, std::move(body));
}

JvpResult JvpRemat(Builder& b, const JvpArgs& a) {
  const Bits nonzeros = autodiff::Nonzeros(a.tangents);
  const auto jvp = autodiff::JvpJaxpr(b.session(), a.params.Sub("jaxpr"), nonzeros);
  if (!jvp.ok()) {
    b.Fail(jvp.status());
    return {};
  }
  std::vector<Value> operands(a.primals.begin(), a.primals.end());
  Append(&operands, Where(a.tangents, nonzeros));
  const std::vector<Value> results = b.Emit(a.op, WithBody(a.params, jvp->jaxpr), operands);
  if (!b.ok()) return {};
  const size_t n = jvp->nonzero_out.size();
  return {Slice(results, 0, n), Spread(jvp->nonzero_out, Slice(results, n, results.size()))};
}

// How many bits a float of this type has for exponent and mantissa.
struct FloatFormat {
  int64_t exponent;
  int64_t mantissa;
};
FloatFormat FormatOf(DType d) {
  if (d == DType::kF64) return {11, 52};
  if (d == DType::kF16) return {5, 10};
  if (d == DType::kBF16) return {8, 7};
  return {8, 23};
}

// Evaluates the forward half. Residuals that are also read inside pass through reduce_precision, so
// that forward and backward computations see the same bits even where a backend keeps excess
// precision.
std::vector<Value> EvalKnown(Builder& b, const ir::Jaxpr& jaxpr, std::span<const Value> inputs,
                             size_t num_res) {
  std::vector<bool> read(jaxpr.num_vars(), false);
  for (const ir::Eqn& eqn : jaxpr.eqns()) {
    for (const ir::Atom a : jaxpr.operands(eqn)) {
      if (!a.is_literal()) read[a.var()] = true;
    }
  }
  std::vector<bool> round(jaxpr.num_vars(), false);
  std::vector<ir::VarId> order;
  for (size_t i = jaxpr.outs().size() - num_res; i < jaxpr.outs().size(); ++i) {
    const ir::Atom a = jaxpr.outs()[i];
    if (a.is_literal() || !read[a.var()] || round[a.var()] || !tensor::IsFloat(jaxpr.aval(a).dtype))
      continue;
    round[a.var()] = true;
    order.push_back(a.var());
  }
  const auto rounded = [&](Value v) {
    const FloatFormat f = FormatOf(v.dtype());
    return b.Emit1("reduce_precision", {v},
                   {{"exponent_bits", ParamValue::Int(f.exponent)},
                    {"mantissa_bits", ParamValue::Int(f.mantissa)}});
  };
  std::vector<Value> env(jaxpr.num_vars());
  for (size_t i = 0; i < inputs.size(); ++i) env[jaxpr.invars()[i]] = inputs[i];
  // Inputs are rounded first, the last one listed before the others.
  for (auto it = order.rbegin(); it != order.rend(); ++it) {
    if (env[*it]) env[*it] = rounded(env[*it]);
  }
  std::vector<Value> operands;
  for (const ir::Eqn& eqn : jaxpr.eqns()) {
    operands.clear();
    for (const ir::Atom a : jaxpr.operands(eqn)) {
      operands.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
    }
    const std::vector<Value> results = b.Emit(*eqn.op, eqn.params, operands);
    if (!b.ok()) return {};
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      const ir::VarId v = eqn.first_result + r;
      env[v] = round[v] ? rounded(results[r]) : results[r];
    }
  }
  std::vector<Value> outs;
  for (const ir::Atom a : jaxpr.outs())
    outs.push_back(a.is_literal() ? b.Lit(jaxpr.literal(a)) : env[a.var()]);
  return outs;
}

std::vector<Value> PartialEvalRemat(Builder& known, Builder& unknown,
                                    const ir::PartialEvalArgs& a) {
  const auto fail = [&](const Status& s) {
    known.Fail(s);
    return std::vector<Value>();
  };
  ir::Session& session = known.session();
  const auto policy = PolicyOf(a.params);
  if (!policy.ok()) return fail(policy.status());
  Bits uk;
  for (const Value& v : a.operands) uk.push_back(unknown.Owns(v));
  const auto parts = staging::SplitByPolicy(session, a.params.Sub("jaxpr"), uk,
                                            Bits(uk.size(), true), {}, {}, *policy);
  if (!parts.ok()) return fail(parts.status());
  // Of the staged half only what gives unknown outputs; then of the known half only the residuals
  // that it reads.
  Bits wanted;
  for (size_t i = 0; i < parts->unknown_outs.size(); ++i) {
    if (parts->inst_outs[i]) wanted.push_back(parts->unknown_outs[i]);
  }
  const auto staged = staging::Dce(session, parts->staged, wanted);
  if (!staged.ok()) return fail(staged.status());
  const Bits used_res = Slice(staged->used_inputs, 0, parts->num_res);
  const Bits used_in = Slice(staged->used_inputs, parts->num_res, staged->used_inputs.size());
  const size_t known_outs = parts->unknown_outs.size() - Count(parts->unknown_outs);
  const auto forward =
      staging::Dce(session, parts->known, Concat({Bits(known_outs, true), used_res}));
  if (!forward.ok()) return fail(forward.status());
  const std::vector<Value> known_ins = Where(Where(a.operands, Not(uk)), forward->used_inputs);
  const std::vector<Value> results = EvalKnown(known, *forward->jaxpr, known_ins, Count(used_res));
  if (!known.ok()) return {};
  std::vector<Value> operands = Slice(results, known_outs, results.size());
  Append(&operands, Where(a.operands, used_in));
  Params params = WithBody(a.params, staged->jaxpr);
  params.Set("differentiated", ParamValue::Bool(true));
  const std::vector<Value> unknown_results = unknown.Emit(a.op, std::move(params), operands);
  if (!unknown.ok()) return {};
  std::vector<Value> out;
  size_t k = 0;
  size_t u = 0;
  for (const bool is_unknown : parts->unknown_outs)
    out.push_back(is_unknown ? unknown_results[u++] : results[k++]);
  return out;
}

std::vector<ir::SplitValue> SplitRemat(Builder& known, Builder& staged, const ir::SplitArgs& a) {
  Bits uk;
  Bits inst;
  std::vector<Value> known_ins;
  std::vector<Value> staged_ins;
  for (const ir::SplitValue& v : a.operands) {
    uk.push_back(v.unknown);
    inst.push_back(v.instantiated);
    if (!v.unknown) known_ins.push_back(v.known);
    if (v.instantiated) staged_ins.push_back(v.staged);
  }
  const auto parts =
      staging::SplitByPolicy(known.session(), a.params.Sub("jaxpr"), uk, inst, {}, {}, a.policy);
  if (!parts.ok()) {
    known.Fail(parts.status());
    return {};
  }
  const std::vector<Value> results = known.Emit(a.op, WithBody(a.params, parts->known), known_ins);
  if (!known.ok()) return {};
  const size_t known_outs = results.size() - parts->num_res;
  std::vector<Value> operands = Slice(results, known_outs, results.size());
  Append(&operands, staged_ins);
  Params params = WithBody(a.params, parts->staged);
  params.Set("differentiated", ParamValue::Bool(true));
  const std::vector<Value> again = staged.Emit(a.op, std::move(params), operands);
  if (!staged.ok()) return {};
  std::vector<ir::SplitValue> out;
  size_t k = 0;
  size_t s = 0;
  for (size_t i = 0; i < parts->unknown_outs.size(); ++i) {
    ir::SplitValue v{parts->unknown_outs[i], parts->inst_outs[i], {}, {}};
    if (!v.unknown) v.known = results[k++];
    if (v.instantiated) v.staged = again[s++];
    out.push_back(v);
  }
  return out;
}

// The transposed body computes the non-linear part first, then runs the linear part backwards.
Result<autodiff::TransposedJaxpr> TransposeBody(ir::Session& session, const JaxprPtr& jaxpr,
                                                const Bits& linear, const Bits& nonzero_cts) {
  const std::string key =
      StrCat("remat transpose ", staging::BitsKey(linear), " ", staging::BitsKey(nonzero_cts));
  if (const auto* done = session.Find<autodiff::TransposedJaxpr>(jaxpr, key)) return *done;
  ASSIGN_OR_RETURN(const staging::KnownUnknown parts, staging::PartialEval(session, jaxpr, linear));
  Builder b(session);
  std::vector<Value> known_ins;
  for (size_t i = 0; i < linear.size(); ++i) {
    if (!linear[i]) known_ins.push_back(b.Input(jaxpr->aval(jaxpr->invars()[i])));
  }
  std::vector<Value> cts;
  for (size_t i = 0; i < nonzero_cts.size(); ++i) {
    const Value ct = nonzero_cts[i] ? b.Input(jaxpr->aval(jaxpr->outs()[i]).Tangent()) : Value();
    if (parts.unknown_outs[i]) cts.push_back(ct);
  }
  const std::vector<Value> known = b.Inline(*parts.known, {}, known_ins);
  RETURN_IF_ERROR(b.status());
  const size_t num_res = parts.residuals.size();
  std::vector<LinearOperand> inputs;
  for (size_t i = known.size() - num_res; i < known.size(); ++i)
    inputs.push_back({known[i], known[i].aval(), false});
  for (size_t i = 0; i < linear.size(); ++i) {
    if (linear[i]) inputs.push_back({Value(), jaxpr->aval(jaxpr->invars()[i]), true});
  }
  const std::vector<Value> in_cts = autodiff::BackwardPass(b, *parts.unknown, {}, inputs, cts);
  RETURN_IF_ERROR(b.status());
  autodiff::TransposedJaxpr out;
  std::vector<Value> outs;
  size_t next = num_res;
  for (const bool is_linear : linear) {
    const Value ct = is_linear ? in_cts[next++] : Value();
    out.nonzero_out.push_back(bool(ct));
    if (ct) outs.push_back(ct);
  }
  ASSIGN_OR_RETURN(out.jaxpr, b.Finish(outs));
  return session.Remember(jaxpr, key, std::move(out));
}

std::vector<Value> TransposeRemat(Builder& b, const TransposeArgs& a) {
  Bits linear;
  std::vector<Value> operands;
  for (const LinearOperand& x : a.operands) {
    linear.push_back(x.linear);
    if (!x.linear) operands.push_back(x.value);
  }
  Bits nonzero_cts;
  for (const Value& ct : a.cotangents) {
    nonzero_cts.push_back(bool(ct));
    if (ct) operands.push_back(ct);
  }
  const auto body = TransposeBody(b.session(), a.params.Sub("jaxpr"), linear, nonzero_cts);
  if (!body.ok()) {
    b.Fail(body.status());
    return {};
  }
  const std::vector<Value> results = b.Emit(a.op, WithBody(a.params, body->jaxpr), operands);
  if (!b.ok()) return {};
  return Spread(body->nonzero_out, results);
}

BatchResult BatchRemat(Builder& b, const BatchArgs& a) {
  const JaxprPtr& jaxpr = a.params.Sub("jaxpr");
  const auto batched =
      batching::BatchJaxprTo(b.session(), jaxpr, std::vector<int>(a.dims.begin(), a.dims.end()),
                             a.axis, std::vector<batching::OutDim>(jaxpr->outs().size()));
  if (!batched.ok()) {
    b.Fail(batched.status());
    return {};
  }
  return {b.Emit(a.op, WithBody(a.params, batched->jaxpr), a.values), batched->out_dims};
}

Result<ir::DceResult> DceRemat(ir::Session& session, const ir::Jaxpr&, const ir::Eqn& eqn,
                               const Bits& used_results) {
  ASSIGN_OR_RETURN(const staging::DceOutcome dce,
                   staging::Dce(session, eqn.params->Sub("jaxpr"), used_results));
  ir::DceResult out;
  out.used_operands = dce.used_inputs;
  out.kept_results = used_results;
  out.params = std::make_shared<const Params>(WithBody(*eqn.params, dce.jaxpr));
  return out;
}

Status LowerRemat(lowering::LowerContext& c) {
  lowering::Values operands = c.ins();
  if (c.params().Bool("differentiated") && c.params().Bool("prevent_cse") && !operands.empty()) {
    operands = c.b().OptimizationBarrier(operands);
  }
  c.Out(c.Inline(c.params().Sub("jaxpr"), operands));
  return OkStatus();
}

using Type = ParamSpec::Type;

constexpr ParamSpec kRematParams[] = {
    {"differentiated", Type::kBool},
    {"jaxpr", Type::kJaxpr},
    {.name = "policy", .type = Type::kText, .nullable = true},
    {"prevent_cse", Type::kAny},
};

constexpr OpDef kOps[] = {
    {.name = "remat2",
     .results = -1,
     .params = kRematParams,
     .type_rule = RematType,
     .retype = RetypeRemat,
     .jvp = ir::JvpFull(JvpRemat),
     .partial_eval = PartialEvalRemat,
     .split = SplitRemat,
     .transpose = TransposeRemat,
     .batch = ir::BatchFull(BatchRemat),
     .dce = DceRemat,
     .lower = LowerRemat,
     .spec = "primitives.md#remat2"},
};

}  // namespace

std::span<const OpDef> RematOps() { return kOps; }

}  // namespace megalith::ops

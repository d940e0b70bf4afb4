#include "common/programs/staging/partial_eval.h"

#include <algorithm>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/staging/jaxpr_ops.h"

namespace megalith::staging {

using ir::Atom;
using ir::Builder;
using ir::Eqn;
using ir::Jaxpr;
using ir::JaxprPtr;
using ir::SplitValue;
using ir::Value;

std::vector<Value> SplitBuilder::Process(const ir::OpDef& op,
                                         std::shared_ptr<const ir::Params> params,
                                         std::span<const Value> operands) {
  std::vector<Value> results;
  if (op.partial_eval != nullptr) {
    // Also of unknown operands or literals alone: what a nested program makes from nothing is
    // known.
    results = op.partial_eval(known_, unknown_, ir::PartialEvalArgs{op, *params, operands});
  } else {
    const bool any_unknown =
        std::any_of(operands.begin(), operands.end(), [&](const Value& v) { return IsUnknown(v); });
    results = (any_unknown ? unknown_ : known_).Emit(op, std::move(params), operands);
  }
  Fail(known_.status());
  Fail(unknown_.status());
  return results;
}

std::vector<Value> ResidualValues(Builder& b, const std::vector<Residual>& residuals,
                                  std::span<const Value> given, std::span<const Value> inputs) {
  std::vector<Value> out;
  size_t next = 0;
  for (const Residual& r : residuals) {
    if (r.constant) {
      out.push_back(b.Const(*r.constant));
    } else {
      out.push_back(r.own() ? given[next++] : inputs[static_cast<size_t>(r.input)]);
    }
  }
  return out;
}

Result<KnownUnknown> PartialEval(ir::Session& session, const JaxprPtr& jaxpr,
                                 const std::vector<bool>& unknown_ins,
                                 const std::vector<bool>& forward,
                                 const std::vector<bool>& instantiate) {
  const std::string key =
      StrCat("pe ", BitsKey(unknown_ins), " ", BitsKey(forward), " ", BitsKey(instantiate));
  if (const auto* done = session.Find<KnownUnknown>(jaxpr, key)) return *done;
  Builder known(session);
  Builder unknown(session);
  SplitBuilder split(known, unknown);
  std::vector<Value> inputs;
  std::unordered_map<const void*, int> forwardable;  // known inputs by identity
  int num_known = 0;
  for (size_t i = 0; i < unknown_ins.size(); ++i) {
    const ir::Aval& aval = jaxpr->aval(jaxpr->invars()[i]);
    inputs.push_back(unknown_ins[i] ? unknown.Input(aval) : known.Input(aval));
    if (unknown_ins[i]) continue;
    if (i < forward.size() && forward[i]) forwardable.emplace(inputs.back().id(), num_known);
    ++num_known;
  }
  const std::vector<Value> outs = split.Inline(*jaxpr, {}, inputs);
  RETURN_IF_ERROR(split.status());
  KnownUnknown result;
  std::vector<Value> known_outs;
  std::vector<Value> unknown_outs;
  for (size_t i = 0; i < outs.size(); ++i) {
    const bool is_unknown = split.IsUnknown(outs[i]) || (i < instantiate.size() && instantiate[i]);
    result.unknown_outs.push_back(is_unknown);
    (is_unknown ? unknown_outs : known_outs).push_back(outs[i]);
  }
  std::vector<Value> residuals;
  ASSIGN_OR_RETURN(const JaxprPtr open,
                   unknown.Finish(unknown_outs, &residuals, /*remove_dead=*/true,
                                  Builder::CaptureOrder::kSearch));
  result.unknown = ConstsToInputs(open);
  for (const Value& r : residuals) {
    Residual source;
    if (const auto it = forwardable.find(r.id()); it != forwardable.end())
      source.input = it->second;
    const tensor::Tensor* constant = forward.empty() ? nullptr : known.ConstantValue(r);
    if (constant != nullptr) source.constant = *constant;
    if (source.own()) known_outs.push_back(r);
    result.residuals.push_back(std::move(source));
  }
  ASSIGN_OR_RETURN(result.known, known.Finish(known_outs));
  return session.Remember(jaxpr, key, std::move(result));
}

namespace {

// Values on both sides of a split by policy.
class PolicySplit {
 public:
  PolicySplit(Builder& known, Builder& staged, ir::SavePolicy policy)
      : known_(known), staged_(staged), policy_(policy) {}

  // The staged side's name of a value: its own, or the known side's as a residual.
  static Value Staged(const SplitValue& v) { return v.instantiated ? v.staged : v.known; }

  std::vector<SplitValue> Apply(const ir::OpDef& op,
                                const std::shared_ptr<const ir::Params>& params,
                                std::span<const SplitValue> operands) {
    bool any_unknown = false;
    for (const SplitValue& v : operands) any_unknown |= v.unknown;
    if (op.split != nullptr)
      return op.split(known_, staged_, ir::SplitArgs{op, *params, operands, policy_});
    std::vector<Value> known_operands;
    std::vector<Value> staged_operands;
    for (const SplitValue& v : operands) {
      known_operands.push_back(v.known);
      staged_operands.push_back(Staged(v));
    }
    std::vector<SplitValue> out;
    if (any_unknown) {
      for (const Value& r : staged_.Emit(op, params, staged_operands))
        out.push_back({true, true, {}, r});
      return out;
    }
    const std::vector<Value> results = known_.Emit(op, params, known_operands);
    if (policy_(op, *params)) {
      for (const Value& r : results) out.push_back({false, false, r, {}});
      return out;
    }
    const std::vector<Value> again = staged_.Emit(op, params, staged_operands);
    for (size_t i = 0; i < results.size(); ++i) out.push_back({false, true, results[i], again[i]});
    return out;
  }

 private:
  Builder& known_;
  Builder& staged_;
  ir::SavePolicy policy_;
};

}  // namespace

Result<SplitJaxprs> SplitByPolicy(ir::Session& session, const JaxprPtr& jaxpr,
                                  const std::vector<bool>& unknown_ins,
                                  const std::vector<bool>& inst_ins,
                                  const std::vector<bool>& ensure_unknown_outs,
                                  const std::vector<bool>& ensure_inst_outs,
                                  ir::SavePolicy policy) {
  const std::string key = StrCat("split ", BitsKey(unknown_ins), " ", BitsKey(inst_ins), " ",
                                 BitsKey(ensure_unknown_outs), " ", BitsKey(ensure_inst_outs), " ",
                                 reinterpret_cast<uintptr_t>(policy));
  if (const auto* done = session.Find<SplitJaxprs>(jaxpr, key)) return *done;
  Builder known(session);
  Builder staged(session);
  PolicySplit split(known, staged, policy);
  std::vector<SplitValue> env(jaxpr->num_vars());
  for (size_t i = 0; i < unknown_ins.size(); ++i) {
    const ir::VarId v = jaxpr->invars()[i];
    SplitValue& slot = env[v];
    slot.unknown = unknown_ins[i];
    slot.instantiated = inst_ins[i];
    if (!slot.unknown) slot.known = known.Input(jaxpr->aval(v));
    if (slot.instantiated) slot.staged = staged.Input(jaxpr->aval(v));
  }
  const std::vector<Value> consts = known.BindConsts(*jaxpr, {});
  for (size_t i = 0; i < consts.size(); ++i) {
    // Constants are at hand on both sides.
    SplitValue& slot = env[jaxpr->constvars()[i]];
    slot = {false, true, consts[i], staged.Const(jaxpr->const_values()[i])};
  }
  const auto read = [&](Atom a) {
    if (!a.is_literal()) return env[a.var()];
    const Value literal = known.Lit(jaxpr->literal(a));
    return SplitValue{false, true, literal, literal};
  };
  std::vector<SplitValue> operands;
  for (const Eqn& eqn : jaxpr->eqns()) {
    operands.clear();
    for (const Atom a : jaxpr->operands(eqn)) operands.push_back(read(a));
    const std::vector<SplitValue> results = split.Apply(*eqn.op, eqn.params, operands);
    RETURN_IF_ERROR(known.status());
    RETURN_IF_ERROR(staged.status());
    for (size_t r = 0; r < results.size(); ++r) env[eqn.first_result + r] = results[r];
  }
  SplitJaxprs result;
  std::vector<Value> known_outs;
  std::vector<Value> staged_outs;
  for (size_t i = 0; i < jaxpr->outs().size(); ++i) {
    const SplitValue v = read(jaxpr->outs()[i]);
    const bool unknown = v.unknown || (i < ensure_unknown_outs.size() && ensure_unknown_outs[i]);
    const bool inst = v.instantiated || (i < ensure_inst_outs.size() && ensure_inst_outs[i]);
    result.unknown_outs.push_back(unknown);
    result.inst_outs.push_back(inst);
    if (!unknown) known_outs.push_back(v.known);
    if (inst) staged_outs.push_back(PolicySplit::Staged(v));
  }
  std::vector<Value> residuals;
  ASSIGN_OR_RETURN(const JaxprPtr open, staged.Finish(staged_outs, &residuals));
  result.staged = ConstsToInputs(open);
  result.num_res = residuals.size();
  known_outs.insert(known_outs.end(), residuals.begin(), residuals.end());
  ASSIGN_OR_RETURN(result.known, known.Finish(known_outs));
  return session.Remember(jaxpr, key, std::move(result));
}

}  // namespace megalith::staging

#include "common/programs/staging/jaxpr_ops.h"

#include <unordered_map>

#include "common/foundation/base/strings.h"

namespace megalith::staging {

using ir::Atom;
using ir::Eqn;
using ir::Jaxpr;
using ir::JaxprAssembler;
using ir::JaxprPtr;
using ir::VarId;

std::string BitsKey(const std::vector<bool>& bits) {
  std::string out;
  for (const bool b : bits) out += b ? '1' : '0';
  return out;
}

namespace {

// Copies parts of a jaxpr into a new one.
class Copier {
 public:
  explicit Copier(const Jaxpr& from) : from_(from), ids_(from.num_vars()) {}
  // Constvar i; open ones must be copied before those with values.
  void Const(size_t i) {
    const VarId v = from_.constvars()[i];
    ids_[v] = i < from_.num_open()
                  ? to_.AddConst(from_.aval(v))
                  : to_.AddConst(from_.aval(v), from_.const_values()[i - from_.num_open()]);
  }
  void Consts() {
    for (size_t i = 0; i < from_.constvars().size(); ++i) Const(i);
  }
  void Input(VarId v) { ids_[v] = to_.AddInput(from_.aval(v)); }
  void Unused(const ir::Aval& aval) { to_.AddInput(aval); }
  Atom Map(Atom a) {
    return a.is_literal() ? to_.AddLiteral(from_.literal(a)) : Atom::Var(ids_[a.var()]);
  }
  void Whole(const Eqn& eqn) {
    operands_.clear();
    results_.clear();
    for (const Atom a : from_.operands(eqn)) operands_.push_back(Map(a));
    for (uint32_t r = 0; r < eqn.num_results; ++r)
      results_.push_back(from_.aval(eqn.first_result + r));
    const VarId first = to_.AddEqn(eqn.op, eqn.params, operands_, results_);
    for (uint32_t r = 0; r < eqn.num_results; ++r) ids_[eqn.first_result + r] = first + r;
  }
  void Shrunk(const Eqn& eqn, const ir::DceResult& dce) {
    operands_.clear();
    results_.clear();
    const auto all = from_.operands(eqn);
    for (size_t i = 0; i < all.size(); ++i) {
      if (dce.used_operands[i]) operands_.push_back(Map(all[i]));
    }
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      if (dce.kept_results[r]) results_.push_back(from_.aval(eqn.first_result + r));
    }
    VarId next = to_.AddEqn(eqn.op, dce.params, operands_, results_);
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      if (dce.kept_results[r]) ids_[eqn.first_result + r] = next++;
    }
  }
  JaxprPtr Finish(std::vector<Atom> outs) {
    to_.SetOuts(std::move(outs));
    return to_.Finish();
  }

 private:
  const Jaxpr& from_;
  JaxprAssembler to_;
  std::vector<VarId> ids_;
  std::vector<Atom> operands_;
  std::vector<ir::Aval> results_;
};

// What is needed of each equation, found from the outputs backwards.
Result<std::vector<ir::DceResult>> NeededParts(ir::Session& session, const Jaxpr& jaxpr,
                                               std::vector<bool>* used) {
  std::vector<ir::DceResult> parts(jaxpr.eqns().size());
  for (size_t i = jaxpr.eqns().size(); i-- > 0;) {
    const Eqn& eqn = jaxpr.eqns()[i];
    std::vector<bool> used_results(eqn.num_results);
    bool any = false;
    for (uint32_t r = 0; r < eqn.num_results; ++r) {
      used_results[r] = (*used)[eqn.first_result + r];
      any = any || used_results[r];
    }
    ir::DceResult& part = parts[i];
    if (!any) {
      part.removed = true;
      continue;
    }
    if (eqn.op->dce != nullptr) {
      ASSIGN_OR_RETURN(part, eqn.op->dce(session, jaxpr, eqn, used_results));
    } else {
      part.used_operands.assign(eqn.num_operands, true);
    }
    if (part.removed) continue;
    const auto operands = jaxpr.operands(eqn);
    for (size_t k = 0; k < operands.size(); ++k) {
      if (part.used_operands[k] && !operands[k].is_literal()) (*used)[operands[k].var()] = true;
    }
  }
  return parts;
}

}  // namespace

Result<DceOutcome> Dce(ir::Session& session, const JaxprPtr& jaxpr,
                       const std::vector<bool>& used_outputs,
                       const std::vector<bool>& keep_inputs) {
  const std::string key = StrCat("dce ", BitsKey(used_outputs), " ", BitsKey(keep_inputs));
  if (const auto* known = session.Find<DceOutcome>(jaxpr, key)) return *known;
  std::vector<bool> used(jaxpr->num_vars(), false);
  for (size_t i = 0; i < jaxpr->outs().size(); ++i) {
    if (used_outputs[i] && !jaxpr->outs()[i].is_literal()) used[jaxpr->outs()[i].var()] = true;
  }
  ASSIGN_OR_RETURN(const std::vector<ir::DceResult> parts, NeededParts(session, *jaxpr, &used));
  DceOutcome outcome;
  Copier copier(*jaxpr);
  for (size_t i = 0; i < jaxpr->constvars().size(); ++i) {
    outcome.used_consts.push_back(used[jaxpr->constvars()[i]]);
    if (outcome.used_consts.back()) copier.Const(i);
  }
  for (size_t i = 0; i < jaxpr->invars().size(); ++i) {
    const VarId v = jaxpr->invars()[i];
    const bool keep = used[v] || (i < keep_inputs.size() && keep_inputs[i]);
    outcome.used_inputs.push_back(keep);
    if (keep) copier.Input(v);
  }
  for (size_t i = 0; i < jaxpr->eqns().size(); ++i) {
    if (parts[i].removed) continue;
    if (parts[i].params == nullptr) {
      copier.Whole(jaxpr->eqns()[i]);
    } else {
      copier.Shrunk(jaxpr->eqns()[i], parts[i]);
    }
  }
  std::vector<Atom> outs;
  for (size_t i = 0; i < jaxpr->outs().size(); ++i) {
    if (used_outputs[i]) outs.push_back(copier.Map(jaxpr->outs()[i]));
  }
  outcome.jaxpr = copier.Finish(std::move(outs));
  return session.Remember(jaxpr, key, std::move(outcome));
}

std::vector<int> ForwardedInputs(const Jaxpr& jaxpr) {
  std::unordered_map<VarId, int> index;
  for (size_t i = 0; i < jaxpr.invars().size(); ++i)
    index.emplace(jaxpr.invars()[i], static_cast<int>(i));
  std::vector<int> out;
  for (const Atom a : jaxpr.outs()) {
    const auto it = a.is_literal() ? index.end() : index.find(a.var());
    out.push_back(it == index.end() ? -1 : it->second);
  }
  return out;
}

JaxprPtr PruneOutputs(ir::Session& session, const JaxprPtr& jaxpr, const std::vector<bool>& keep) {
  const std::string key = StrCat("prune ", BitsKey(keep));
  if (const auto* known = session.Find<JaxprPtr>(jaxpr, key)) return *known;
  Copier copier(*jaxpr);
  copier.Consts();
  for (const VarId v : jaxpr->invars()) copier.Input(v);
  for (const Eqn& eqn : jaxpr->eqns()) copier.Whole(eqn);
  std::vector<Atom> outs;
  for (size_t i = 0; i < keep.size(); ++i) {
    if (keep[i]) outs.push_back(copier.Map(jaxpr->outs()[i]));
  }
  return session.Remember(jaxpr, key, copier.Finish(std::move(outs)));
}

JaxprPtr ConstsToInputs(const JaxprPtr& jaxpr) {
  if (jaxpr->num_open() == 0) return jaxpr;
  Copier copier(*jaxpr);
  for (size_t i = jaxpr->num_open(); i < jaxpr->constvars().size(); ++i) copier.Const(i);
  for (const VarId v : jaxpr->constvars().subspan(0, jaxpr->num_open())) copier.Input(v);
  for (const VarId v : jaxpr->invars()) copier.Input(v);
  for (const Eqn& eqn : jaxpr->eqns()) copier.Whole(eqn);
  std::vector<Atom> outs;
  for (const Atom a : jaxpr->outs()) outs.push_back(copier.Map(a));
  return copier.Finish(std::move(outs));
}

JaxprPtr Reorder(ir::Session& session, const JaxprPtr& jaxpr, const std::vector<size_t>& in_order,
                 const std::vector<size_t>& out_order) {
  std::string key = "order";
  for (const size_t i : in_order) StrAppend(&key, " ", i);
  key += " :";
  for (const size_t i : out_order) StrAppend(&key, " ", i);
  if (const auto* known = session.Find<JaxprPtr>(jaxpr, key)) return *known;
  Copier copier(*jaxpr);
  copier.Consts();
  for (const size_t i : in_order) copier.Input(jaxpr->invars()[i]);
  for (const Eqn& eqn : jaxpr->eqns()) copier.Whole(eqn);
  std::vector<Atom> outs;
  for (size_t i = 0; i < jaxpr->outs().size(); ++i) {
    outs.push_back(copier.Map(jaxpr->outs()[out_order.empty() ? i : out_order[i]]));
  }
  return session.Remember(jaxpr, key, copier.Finish(std::move(outs)));
}

JaxprPtr WithUnusedInputs(ir::Session& session, const JaxprPtr& jaxpr,
                          const std::vector<ir::Aval>& avals) {
  std::string key = "unused";
  for (const ir::Aval& a : avals) StrAppend(&key, " ", a.Text(), a.weak_type ? "~" : "");
  if (const auto* known = session.Find<JaxprPtr>(jaxpr, key)) return *known;
  Copier copier(*jaxpr);
  copier.Consts();
  for (const VarId v : jaxpr->invars()) copier.Input(v);
  for (const ir::Aval& a : avals) copier.Unused(a);
  for (const Eqn& eqn : jaxpr->eqns()) copier.Whole(eqn);
  std::vector<Atom> outs;
  for (const Atom a : jaxpr->outs()) outs.push_back(copier.Map(a));
  return session.Remember(jaxpr, key, copier.Finish(std::move(outs)));
}

}  // namespace megalith::staging

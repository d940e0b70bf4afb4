#include "common/programs/ir/jaxpr.h"

namespace megalith::ir {

std::vector<Aval> Jaxpr::InAvals() const {
  std::vector<Aval> out;
  out.reserve(invars_.size());
  for (const VarId v : invars_) out.push_back(avals_[v]);
  return out;
}

std::vector<Aval> Jaxpr::OutAvals() const {
  std::vector<Aval> out;
  out.reserve(outs_.size());
  for (const Atom a : outs_) out.push_back(aval(a));
  return out;
}

std::vector<bool> Jaxpr::UnusedVars() const {
  std::vector<bool> unused(avals_.size(), true);
  for (const Atom a : atoms_) {
    if (!a.is_literal()) unused[a.var()] = false;
  }
  for (const Atom a : outs_) {
    if (!a.is_literal()) unused[a.var()] = false;
  }
  return unused;
}

namespace {

// Most programs have some variables and equations; growing to them from nothing costs several
// allocations.
template <typename T>
void MakeFirstRoom(std::vector<T>& list) {
  if (list.capacity() == 0) list.reserve(16);
}

}  // namespace

VarId JaxprAssembler::AddConst(Aval aval) {
  MakeFirstRoom(jaxpr_->avals_);
  jaxpr_->avals_.push_back(std::move(aval));
  jaxpr_->constvars_.push_back(static_cast<VarId>(jaxpr_->avals_.size() - 1));
  return jaxpr_->constvars_.back();
}

VarId JaxprAssembler::AddConst(Aval aval, tensor::Tensor value) {
  jaxpr_->const_values_.push_back(std::move(value));
  return AddConst(std::move(aval));
}

JaxprPtr WithConstValues(const JaxprPtr& jaxpr, std::vector<tensor::Tensor> consts) {
  CHECK(consts.size() == jaxpr->constvars().size());
  if (consts.empty()) return jaxpr;
  JaxprAssembler copy(*jaxpr);
  copy.SetConstValues(std::move(consts));
  return copy.Finish();
}

ClosedJaxpr Closed(JaxprPtr jaxpr) {
  CHECK(jaxpr->num_open() == 0);
  std::vector<tensor::Tensor> consts(jaxpr->const_values().begin(), jaxpr->const_values().end());
  return {std::move(jaxpr), std::move(consts)};
}

VarId JaxprAssembler::AddInput(Aval aval) {
  MakeFirstRoom(jaxpr_->avals_);
  jaxpr_->avals_.push_back(std::move(aval));
  jaxpr_->invars_.push_back(static_cast<VarId>(jaxpr_->avals_.size() - 1));
  return jaxpr_->invars_.back();
}

Atom JaxprAssembler::AddLiteral(const Literal& literal) {
  jaxpr_->literals_.push_back(literal);
  return Atom::Lit(static_cast<uint32_t>(jaxpr_->literals_.size() - 1));
}

VarId JaxprAssembler::AddEqn(const OpDef* op, std::shared_ptr<const Params> params,
                             std::span<const Atom> operands, std::span<const Aval> results) {
  Eqn eqn;
  eqn.op = op;
  eqn.params = std::move(params);
  MakeFirstRoom(jaxpr_->avals_);
  MakeFirstRoom(jaxpr_->atoms_);
  MakeFirstRoom(jaxpr_->eqns_);
  eqn.first_operand = static_cast<uint32_t>(jaxpr_->atoms_.size());
  eqn.num_operands = static_cast<uint32_t>(operands.size());
  jaxpr_->atoms_.insert(jaxpr_->atoms_.end(), operands.begin(), operands.end());
  eqn.first_result = static_cast<VarId>(jaxpr_->avals_.size());
  eqn.num_results = static_cast<uint32_t>(results.size());
  jaxpr_->avals_.insert(jaxpr_->avals_.end(), results.begin(), results.end());
  jaxpr_->eqns_.push_back(std::move(eqn));
  return jaxpr_->eqns_.back().first_result;
}

}  // namespace megalith::ir

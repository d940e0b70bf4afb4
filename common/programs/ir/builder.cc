#include "common/programs/ir/builder.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/check.h"

namespace megalith::ir {

const Aval& Value::Invalid() {
  static const Aval invalid;
  return invalid;
}

OpTable::OpTable(std::span<const std::span<const OpDef>> families) {
  for (const std::span<const OpDef> family : families) {
    for (const OpDef& op : family) {
      all_.push_back(&op);
      CHECK(by_name_.emplace(op.name, &op).second && "two records of one primitive");
    }
  }
}

const OpDef* OpTable::Find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : it->second;
}

Status Session::Charge(uint64_t eqns) {
  const uint64_t before = emitted_;
  emitted_ += eqns;
  if (emitted_ > limits_.max_eqns) {
    return ResourceExhausted(StrCat("the transformed program has more than ", limits_.max_eqns,
                                    " equations (limit max_eqns)"));
  }
  if (cancel_ != nullptr && before >> 10 != emitted_ >> 10) return cancel_->Check();
  return OkStatus();
}

Value Session::Lit(const Literal& literal) {
  internal::ValueNode* node = NewNode();
  node->aval = literal.aval();
  node->is_literal = true;
  node->literal = literal;
  return Value(node);
}

Value Builder::NewVar(const Aval& aval) {
  internal::ValueNode* node = session_->NewNode();
  node->aval = aval;
  node->owner = this;
  node->index = static_cast<uint32_t>(vars_.size());
  vars_.emplace_back(node);
  return vars_.back();
}

Value Builder::Scalar(const Literal& literal) {
  internal::ValueNode* node = session_->NewNode();
  node->aval = literal.aval();
  node->is_literal = true;
  node->literal = literal;
  node->owner = this;
  return Value(node);
}

Value Builder::Input(const Aval& aval) {
  Fail(CheckSize(aval));
  const Value v = NewVar(aval);
  inputs_.push_back(v.index());
  return v;
}

Value Builder::Const(const tensor::Tensor& value, bool weak) {
  if (value.rank() == 0 && !tensor::IsKey(value.dtype()))
    return Lit(Literal::FromTensor(value, weak));
  Value& known = constant_values_[{value.data(), value.TypeText()}];
  if (!known) {
    known = NewVar(Aval{value.dtype(), weak, value.shape()});
    constants_.emplace(known.index(), value);
  }
  return known;
}

void Builder::Fail(Status status) {
  if (status_.ok() && !status.ok()) status_ = std::move(status);
}

Value Builder::Poison(const Aval& aval) {
  internal::ValueNode* node = session_->NewNode();
  node->aval = aval;
  node->owner = this;
  return Value(node);
}

std::vector<Value> Builder::Emit(const OpDef& op, Params params, std::span<const Value> operands) {
  return Emit(op, std::make_shared<const Params>(std::move(params)), operands);
}

std::vector<Value> Builder::Emit(const OpDef& op, std::shared_ptr<const Params> params,
                                 std::span<const Value> operands) {
  for (const Value& v : operands) {
    if (v || !status_.ok()) continue;
    // Transposing a function that is not linear reads linear operands, which have no value.
    Fail(Status::WithClass(
        Code::kInvalidArgument, "AssertionError",
        StrCat("the function is not linear: ", op.name, " needs a value that only its input has")));
  }
  if (status_.ok()) return Process(op, std::move(params), operands);
  return std::vector<Value>(
      op.results > 0 ? static_cast<size_t>(op.results) : 1,
      Poison(operands.empty() ? Aval{DType::kF32, false, {}} : operands[0].aval()));
}

std::vector<Value> Builder::EmitN(std::string_view name, std::span<const Value> operands,
                                  NamedParams named) {
  const OpDef* op = session_->ops().Find(name);
  if (op == nullptr) {
    Fail(Internal(StrCat("no primitive '", name, "' in the table this session uses")));
    return {Poison(Aval{DType::kF32, false, {}})};
  }
  Params params(*op);
  for (const auto& [key, value] : named) params.Set(key, value);
  return Emit(*op, std::move(params), operands);
}

Value Builder::Emit1(std::string_view op, std::span<const Value> operands, NamedParams params) {
  std::vector<Value> results = EmitN(op, operands, params);
  return results.empty() ? Poison(Aval{DType::kF32, false, {}}) : results[0];
}

Value Builder::Emit1(std::string_view op, std::initializer_list<Value> operands,
                     NamedParams params) {
  return Emit1(op, std::span<const Value>(operands.begin(), operands.size()), params);
}

std::vector<Value> Builder::Process(const OpDef& op, std::shared_ptr<const Params> params,
                                    std::span<const Value> operands) {
  std::vector<Aval> types;
  types.reserve(operands.size());
  bool all_literals = !operands.empty();
  for (const Value& v : operands) {
    types.push_back(v.aval());
    all_literals &= v.is_literal() && !Captures(v);
  }
  const TypeArgs args{op, *params, types};
  const auto fail = [&](Status status) -> std::vector<Value> {
    Fail(std::move(status));
    return {Poison(types.empty() ? Aval{DType::kF32, false, {}} : types[0])};
  };
  if (op.fold != nullptr && all_literals) {
    std::vector<Literal> literals;
    for (const Value& v : operands) literals.push_back(v.literal());
    const Literal folded = op.fold(literals, *params);
    if (folded.dtype() != DType::kInvalid) return {Builder::Scalar(folded)};
  }
  if (op.forward != nullptr) {
    const int i = op.forward(args);
    if (i >= 0) return {operands[static_cast<size_t>(i)]};
  }
  if (op.type_rule == nullptr) {
    return fail(NotImplementedError(StrCat("type rule for '", op.name, "' not implemented")));
  }
  Result<std::vector<Aval>> results = op.type_rule(args);
  if (!results.ok()) return fail(results.status());
  for (const Aval& aval : *results) {
    const Status size = CheckSize(aval);
    if (!size.ok()) return fail(size);
  }
  const Status charged = session_->Charge(1);
  if (!charged.ok()) return fail(charged);
  PendingEqn eqn{&op,
                 std::move(params),
                 static_cast<uint32_t>(operands_.size()),
                 static_cast<uint32_t>(operands.size()),
                 static_cast<uint32_t>(vars_.size()),
                 static_cast<uint32_t>(results->size())};
  operands_.insert(operands_.end(), operands.begin(), operands.end());
  std::vector<Value> out;
  out.reserve(results->size());
  for (const Aval& aval : *results) out.push_back(NewVar(aval));
  eqns_.push_back(std::move(eqn));
  return out;
}

std::vector<Value> Builder::Inline(const Jaxpr& jaxpr, std::span<const Value> consts,
                                   std::span<const Value> inputs) {
  CHECK(inputs.size() == jaxpr.invars().size());
  std::vector<Value> env(jaxpr.num_vars());
  const std::vector<Value> all_consts = BindConsts(jaxpr, consts);
  for (size_t i = 0; i < all_consts.size(); ++i) env[jaxpr.constvars()[i]] = all_consts[i];
  for (size_t i = 0; i < inputs.size(); ++i) env[jaxpr.invars()[i]] = inputs[i];
  const auto read = [&](Atom a) { return a.is_literal() ? Lit(jaxpr.literal(a)) : env[a.var()]; };
  std::vector<Value> operands;
  for (const Eqn& eqn : jaxpr.eqns()) {
    operands.clear();
    for (const Atom a : jaxpr.operands(eqn)) operands.push_back(read(a));
    const std::vector<Value> results = Emit(*eqn.op, eqn.params, operands);
    if (!ok()) break;
    for (size_t i = 0; i < results.size(); ++i) env[eqn.first_result + i] = results[i];
  }
  std::vector<Value> outs;
  for (const Atom a : jaxpr.outs()) {
    const Value v = read(a);
    outs.push_back(v ? v : Poison(jaxpr.aval(a)));
  }
  return outs;
}

std::vector<Value> Builder::BindConsts(const Jaxpr& jaxpr, std::span<const Value> consts) {
  std::vector<Value> out(consts.begin(), consts.end());
  if (out.size() == jaxpr.constvars().size()) return out;
  if (out.size() != jaxpr.num_open()) {
    Fail(InvalidArgument(
        "a nested program has constants whose values were not sent; use the proto form"));
    for (size_t i = out.size(); i < jaxpr.constvars().size(); ++i)
      out.push_back(Poison(jaxpr.aval(jaxpr.constvars()[i])));
    return out;
  }
  for (size_t i = 0; i < jaxpr.const_values().size(); ++i) {
    out.push_back(Const(jaxpr.const_values()[i],
                        jaxpr.aval(jaxpr.constvars()[jaxpr.num_open() + i]).weak_type));
  }
  return out;
}

const tensor::Tensor* Builder::ConstantValue(const Value& v) const {
  if (!OwnsVar(v)) return nullptr;
  const auto it = constants_.find(v.index());
  return it == constants_.end() ? nullptr : &it->second;
}

std::vector<Value> Builder::Inline(const ClosedJaxpr& closed, std::span<const Value> inputs) {
  std::vector<Value> consts;
  for (size_t i = 0; i < closed.consts.size(); ++i) {
    consts.push_back(
        Const(closed.consts[i], closed.jaxpr->aval(closed.jaxpr->constvars()[i]).weak_type));
  }
  return Inline(*closed.jaxpr, consts, inputs);
}

Result<JaxprPtr> Builder::Finish(std::span<const Value> outs, std::vector<Value>* captured,
                                 bool remove_dead, CaptureOrder order) {
  RETURN_IF_ERROR(status_);
  const std::vector<bool> keep = LiveEqns(outs, remove_dead);
  // Values of other builders, and constants of this one, become constvars in order of first use.
  std::vector<Value> foreign;
  std::vector<uint32_t> const_vars;
  std::unordered_map<const void*, size_t> foreign_index;
  std::vector<bool> seen(vars_.size(), false);
  const auto visit = [&](const Value& v) {
    if (!v) return;
    if (Captures(v)) {
      if (foreign_index.emplace(v.id(), foreign.size()).second) foreign.push_back(v);
    } else if (OwnsVar(v) && !constants_.empty() && !seen[v.index()] &&
               constants_.count(v.index()) > 0) {
      seen[v.index()] = true;
      const_vars.push_back(v.index());
    }
  };
  if (order == CaptureOrder::kSearch) {
    for (const Value& v : CapturesBySearch(outs)) visit(v);
  }
  for (size_t i = 0; i < eqns_.size(); ++i) {
    if (!keep[i]) continue;
    for (uint32_t k = 0; k < eqns_[i].num_operands; ++k)
      visit(operands_[eqns_[i].first_operand + k]);
  }
  for (const Value& v : outs) visit(v);
  if (captured == nullptr && !foreign.empty())
    return Internal("a trace uses values of another trace");

  JaxprAssembler assembler;
  std::vector<VarId> foreign_ids;
  std::vector<VarId> ids(vars_.size());
  for (const Value& v : foreign) foreign_ids.push_back(assembler.AddConst(v.aval()));
  for (const uint32_t v : const_vars)
    ids[v] = assembler.AddConst(vars_[v].aval(), constants_.at(v));
  for (const uint32_t v : inputs_) ids[v] = assembler.AddInput(vars_[v].aval());
  const auto atom = [&](const Value& v) {
    if (OwnsVar(v)) return Atom::Var(ids[v.index()]);
    if (Captures(v)) return Atom::Var(foreign_ids[foreign_index.at(v.id())]);
    return assembler.AddLiteral(v.literal());
  };
  std::vector<Atom> operands;
  std::vector<Aval> results;
  for (size_t i = 0; i < eqns_.size(); ++i) {
    if (!keep[i]) continue;
    PendingEqn& e = eqns_[i];
    operands.clear();
    results.clear();
    for (uint32_t k = 0; k < e.num_operands; ++k)
      operands.push_back(atom(operands_[e.first_operand + k]));
    for (uint32_t r = 0; r < e.num_results; ++r)
      results.push_back(vars_[e.first_result + r].aval());
    const VarId first = assembler.AddEqn(e.op, std::move(e.params), operands, results);
    for (uint32_t r = 0; r < e.num_results; ++r) ids[e.first_result + r] = first + r;
  }
  std::vector<Atom> out_atoms;
  for (const Value& v : outs) out_atoms.push_back(atom(v));
  assembler.SetOuts(std::move(out_atoms));
  if (captured != nullptr) *captured = std::move(foreign);
  eqns_.clear();
  operands_.clear();
  return assembler.Finish();
}

// Kahn's algorithm backwards from inputs and outputs, as jaxlib's topological_sort: the last end
// node first, a node once its last reader was visited, and the whole order reversed. Every use of a
// captured value is a node of its own.
std::vector<Value> Builder::CapturesBySearch(std::span<const Value> outs) const {
  std::vector<int64_t> eqn_of(vars_.size(), -1);
  for (size_t i = 0; i < eqns_.size(); ++i) {
    for (uint32_t r = 0; r < eqns_[i].num_results; ++r)
      eqn_of[eqns_[i].first_result + r] = static_cast<int64_t>(i);
  }
  struct Node {
    int64_t var = -1;  // own variable, or
    Value captured;    // one use of a value of another builder
  };
  const auto parents = [&](const Node& n) {
    std::vector<Node> out;
    if (n.var < 0 || eqn_of[static_cast<size_t>(n.var)] < 0) return out;
    const PendingEqn& e = eqns_[static_cast<size_t>(eqn_of[static_cast<size_t>(n.var)])];
    for (uint32_t k = 0; k < e.num_operands; ++k) {
      const Value& v = operands_[e.first_operand + k];
      if (OwnsVar(v)) {
        out.push_back({static_cast<int64_t>(v.index()), {}});
      } else if (Captures(v)) {
        out.push_back({-1, v});
      }
    }
    return out;
  };
  std::vector<Node> ends;
  std::vector<bool> is_end(vars_.size(), false);
  const auto add_end = [&](const Value& v) {
    if (!OwnsVar(v)) {
      if (Captures(v)) ends.push_back({-1, v});
    } else if (!is_end[v.index()]) {
      is_end[v.index()] = true;
      ends.push_back({static_cast<int64_t>(v.index()), {}});
    }
  };
  for (const uint32_t v : inputs_) add_end(vars_[v]);
  for (const Value& v : outs) add_end(v);
  std::vector<int64_t> readers(vars_.size(), 0);
  std::vector<Node> stack = ends;
  while (!stack.empty()) {
    const Node n = stack.back();
    stack.pop_back();
    if (n.var < 0) continue;
    if (readers[static_cast<size_t>(n.var)]++ > 0) continue;
    for (const Node& p : parents(n)) stack.push_back(p);
  }
  std::vector<Node> ready;
  for (const Node& n : ends) {
    if (n.var < 0 || --readers[static_cast<size_t>(n.var)] == 0) ready.push_back(n);
  }
  std::vector<Value> found;
  while (!ready.empty()) {
    const Node n = ready.back();
    ready.pop_back();
    if (n.var < 0) found.push_back(n.captured);
    for (const Node& p : parents(n)) {
      if (p.var < 0 || readers[static_cast<size_t>(p.var)] == 1) {
        ready.push_back(p);
      } else {
        --readers[static_cast<size_t>(p.var)];
      }
    }
  }
  std::reverse(found.begin(), found.end());
  return found;
}

std::vector<bool> Builder::LiveEqns(std::span<const Value> outs, bool remove_dead) const {
  std::vector<bool> keep(eqns_.size(), true);
  if (!remove_dead) return keep;
  std::vector<bool> live(vars_.size(), false);
  for (const Value& v : outs) {
    if (Owns(v)) live[v.index()] = true;
  }
  for (size_t i = eqns_.size(); i-- > 0;) {
    const PendingEqn& e = eqns_[i];
    bool any = false;
    for (uint32_t r = 0; r < e.num_results; ++r) any = any || live[e.first_result + r];
    keep[i] = any;
    if (!any) continue;
    for (uint32_t k = 0; k < e.num_operands; ++k) {
      const Value& v = operands_[e.first_operand + k];
      if (Owns(v)) live[v.index()] = true;
    }
  }
  return keep;
}

}  // namespace megalith::ir

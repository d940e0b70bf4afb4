// Jaxprs: typed, first-order programs in static single assignment form.
//
// Source: spec/jaxpr.md. A jaxpr sees only its own variables; nested jaxprs are parameters of
// equations.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "common/programs/ir/aval.h"
#include "common/programs/ir/literal.h"
#include "common/programs/ir/params.h"

namespace megalith::ir {

// Index of a variable in its jaxpr.
using VarId = uint32_t;

// An operand or output: a variable, or a literal of the same jaxpr.
class Atom {
 public:
  static Atom Var(VarId id) { return Atom(static_cast<int64_t>(id)); }
  static Atom Lit(uint32_t index) { return Atom(~static_cast<int64_t>(index)); }
  bool is_literal() const { return v_ < 0; }
  VarId var() const { return static_cast<VarId>(v_); }
  uint32_t literal() const { return static_cast<uint32_t>(~v_); }
  friend bool operator==(const Atom&, const Atom&) = default;

 private:
  explicit Atom(int64_t v) : v_(v) {}
  int64_t v_;
};

struct OpDef;

// `results = op[params] operands`. Operands and results are runs in the jaxpr's pools.
struct Eqn {
  const OpDef* op = nullptr;
  std::shared_ptr<const Params> params;
  uint32_t first_operand = 0;
  uint32_t num_operands = 0;
  VarId first_result = 0;  // results are consecutive variables
  uint32_t num_results = 0;
};

// Immutable once built (by ir::Builder or the parser), so it may be read from any thread.
class Jaxpr {
 public:
  std::span<const VarId> constvars() const { return constvars_; }
  // Values of the last constvars. Those before are open: whoever evaluates the jaxpr supplies them.
  // In a nested jaxpr all constvars have values; in a program sent by a client the values are
  // beside it (ClosedJaxpr).
  std::span<const tensor::Tensor> const_values() const { return const_values_; }
  size_t num_open() const { return constvars_.size() - const_values_.size(); }
  std::span<const VarId> invars() const { return invars_; }
  std::span<const Eqn> eqns() const { return eqns_; }
  std::span<const Atom> outs() const { return outs_; }
  std::span<const Atom> operands(const Eqn& e) const {
    return {atoms_.data() + e.first_operand, e.num_operands};
  }

  size_t num_vars() const { return avals_.size(); }
  const Aval& aval(VarId v) const { return avals_[v]; }
  const Literal& literal(Atom a) const { return literals_[a.literal()]; }
  Aval aval(Atom a) const {
    return a.is_literal() ? literals_[a.literal()].aval() : avals_[a.var()];
  }
  std::vector<Aval> InAvals() const;
  std::vector<Aval> OutAvals() const;

  // Another jaxpr of the text this one was read from, whose variables have the same names; or this
  // one. In JAX such jaxprs are different ones that share their variables. Only printing asks.
  const Jaxpr* namesake() const { return namesake_ ? namesake_.get() : this; }

  // True for a result that neither an equation nor the outputs read: it prints as `_`.
  std::vector<bool> UnusedVars() const;

 private:
  friend class Builder;
  friend class JaxprAssembler;
  std::vector<Aval> avals_;
  std::vector<Literal> literals_;
  std::vector<Atom> atoms_;
  std::vector<VarId> constvars_;
  std::vector<tensor::Tensor> const_values_;
  std::vector<VarId> invars_;
  std::vector<Eqn> eqns_;
  std::vector<Atom> outs_;
  std::shared_ptr<const Jaxpr> namesake_;
};

// Builds a jaxpr variable by variable; used by the parser and by code that copies jaxprs. Not
// thread-safe.
class JaxprAssembler {
 public:
  JaxprAssembler() : jaxpr_(std::make_shared<Jaxpr>()) {}
  // Starts from a copy.
  explicit JaxprAssembler(const Jaxpr& from) : jaxpr_(std::make_shared<Jaxpr>(from)) {
    jaxpr_->namesake_ = nullptr;
  }
  VarId AddConst(Aval aval);  // open; before those with values
  VarId AddConst(Aval aval, tensor::Tensor value);
  VarId AddInput(Aval aval);
  Atom AddLiteral(const Literal& literal);
  // Returns the first result; the others follow it.
  VarId AddEqn(const OpDef* op, std::shared_ptr<const Params> params,
               std::span<const Atom> operands, std::span<const Aval> results);
  void SetOuts(std::vector<Atom> outs) { jaxpr_->outs_ = std::move(outs); }
  void SetConstValues(std::vector<tensor::Tensor> values) {
    jaxpr_->const_values_ = std::move(values);
  }
  // New parameters for the equation at `i` of a copy.
  void SetParams(size_t i, std::shared_ptr<const Params> params) {
    jaxpr_->eqns_[i].params = std::move(params);
  }
  void SetNamesake(std::shared_ptr<const Jaxpr> namesake) {
    jaxpr_->namesake_ = std::move(namesake);
  }
  const Jaxpr& current() const { return *jaxpr_; }
  JaxprPtr Finish() { return std::exchange(jaxpr_, nullptr); }

 private:
  std::shared_ptr<Jaxpr> jaxpr_;
};

// A jaxpr with the values of all its constvars, in their order.
struct ClosedJaxpr {
  JaxprPtr jaxpr;
  std::vector<tensor::Tensor> consts;
};

// The same jaxpr with the values inside it: no constvar is open. `consts` has one entry per
// constvar.
JaxprPtr WithConstValues(const JaxprPtr& jaxpr, std::vector<tensor::Tensor> consts);
// A jaxpr without open constvars as a ClosedJaxpr.
ClosedJaxpr Closed(JaxprPtr jaxpr);

class Session;

// The bodies of one custom derivative rule as a client sends them (fixtures README, field `rules`).
//
// custom_jvp: `jvp` takes all primals, then all tangents, and gives primals, then the tangents
// whose `out_zeros` entry is false. custom_vjp: `fwd` takes primals and gives the residuals that
// are not forwarded inputs, then the primal outputs; `input_fwds` has one entry per residual, the
// input it equals or -1; `bwd` takes residuals, then output cotangents, and gives the cotangents of
// the inputs whose `bwd_zeros` entry is false.
struct RuleBodies {
  bool is_vjp = false;
  std::string name;
  ClosedJaxpr jvp;
  std::vector<bool> out_zeros;
  ClosedJaxpr fwd;
  int64_t num_res = 0;
  std::vector<int64_t> input_fwds;
  ClosedJaxpr bwd;
  std::vector<bool> bwd_zeros;
};

// All rules of one program. A custom call inside a body has no rule of its own, which means the
// rule of the same name here, or one without a set, which means the rule of that index here; often
// it is the very rule whose body it stands in. References from a set to itself would never be
// freed.
using RuleSet = std::vector<RuleBodies>;

// A rule as an equation refers to it: one of a set, possibly transformed. Transformed bodies are
// made when they are asked for, because a rule may call itself. Immutable; the set outlives every
// reference.
struct CustomRule {
  std::shared_ptr<const RuleSet>
      set;  // null only inside a set and in a program that was just decoded
  size_t index = 0;
  // How the bodies follow from the set's: "" for as they are, otherwise a text that is equal for
  // equal bodies.
  std::string derivation;
  // Gives the bodies with every nested call's rule filled in. Remembers nothing: callers remember
  // per session.
  std::function<Result<RuleBodies>(Session&, const CustomRule&)> make;

  const RuleBodies& original() const { return (*set)[index]; }
};

// What a user means by "my program": a closed jaxpr and the name its function had.
struct Program {
  ClosedJaxpr closed;
  std::string fun_name = "<lambda>";
};

}  // namespace megalith::ir

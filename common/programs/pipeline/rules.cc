#include "common/programs/pipeline/rules.h"

#include <functional>
#include <unordered_map>

#include "common/foundation/base/strings.h"
#include "common/programs/ir/op_def.h"

namespace megalith::pipeline {
namespace {

using ir::Jaxpr;
using ir::JaxprPtr;
using ir::ParamValue;
using SetPtr = std::shared_ptr<const ir::RuleSet>;

// Picks the rule of a call; null leaves the call without one.
using Choose = std::function<Result<std::shared_ptr<const ir::CustomRule>>(const ir::Eqn&)>;

bool HasRuleParam(const ir::OpDef& op) {
  for (const ir::ParamSpec& spec : op.params) {
    if (spec.type == ir::ParamSpec::Type::kRule) return true;
  }
  return false;
}

// Copies a jaxpr with rules filled in, nested programs included; a program that occurs twice stays one object.
class RuleFiller {
 public:
  explicit RuleFiller(Choose choose) : choose_(std::move(choose)) {}

  Result<JaxprPtr> Fill(const JaxprPtr& jaxpr) {
    ir::JaxprAssembler out;
    std::vector<ir::VarId> ids(jaxpr->num_vars());
    for (const ir::VarId v : jaxpr->constvars()) ids[v] = out.AddConst(jaxpr->aval(v));
    for (const ir::VarId v : jaxpr->invars()) ids[v] = out.AddInput(jaxpr->aval(v));
    const auto atom = [&](ir::Atom a) {
      return a.is_literal() ? out.AddLiteral(jaxpr->literal(a)) : ir::Atom::Var(ids[a.var()]);
    };
    for (const ir::Eqn& eqn : jaxpr->eqns()) {
      ASSIGN_OR_RETURN(std::shared_ptr<const ir::Params> params, FillParams(eqn));
      std::vector<ir::Atom> operands;
      for (const ir::Atom a : jaxpr->operands(eqn)) operands.push_back(atom(a));
      std::vector<ir::Aval> results;
      for (uint32_t r = 0; r < eqn.num_results; ++r) results.push_back(jaxpr->aval(eqn.first_result + r));
      const ir::VarId first = out.AddEqn(eqn.op, std::move(params), operands, results);
      for (uint32_t r = 0; r < eqn.num_results; ++r) ids[eqn.first_result + r] = first + r;
    }
    std::vector<ir::Atom> outs;
    for (const ir::Atom a : jaxpr->outs()) outs.push_back(atom(a));
    out.SetOuts(std::move(outs));
    // A repeated program consumes its rules again but is the object made first.
    return done_.emplace(jaxpr.get(), out.Finish()).first->second;
  }

 private:
  Result<std::shared_ptr<const ir::Params>> FillParams(const ir::Eqn& eqn) {
    ir::Params params = *eqn.params;
    bool changed = false;
    if (HasRuleParam(*eqn.op) && params["rule"].is_none()) {
      ASSIGN_OR_RETURN(std::shared_ptr<const ir::CustomRule> rule, choose_(eqn));
      if (rule != nullptr) params.Set("rule", ParamValue::Rule(std::move(rule)));
      changed = true;
    }
    for (size_t i = 0; i < eqn.op->params.size(); ++i) {
      const ParamValue value = params.values()[i];
      if (value.kind() == ParamValue::Kind::kJaxpr) {
        ASSIGN_OR_RETURN(JaxprPtr sub, Fill(value.AsJaxpr()));
        params.Set(eqn.op->params[i].name, ParamValue::SubJaxpr(std::move(sub)));
        changed = true;
      } else if (!value.AsJaxprs().empty() && value.kind() == ParamValue::Kind::kTuple) {
        std::vector<JaxprPtr> subs;
        for (const JaxprPtr& j : value.AsJaxprs()) {
          ASSIGN_OR_RETURN(JaxprPtr sub, Fill(j));
          subs.push_back(std::move(sub));
        }
        params.Set(eqn.op->params[i].name, ParamValue::SubJaxprs(subs));
        changed = true;
      }
    }
    return changed ? std::make_shared<const ir::Params>(std::move(params)) : eqn.params;
  }

  Choose choose_;
  std::unordered_map<const Jaxpr*, JaxprPtr> done_;
};

std::shared_ptr<const ir::CustomRule> RuleAt(const SetPtr& set, size_t index);

// The bodies of a rule as sent, with calls inside them pointing back into the set.
Result<ir::RuleBodies> OriginalBodies(ir::Session&, const ir::CustomRule& rule) {
  const SetPtr& set = rule.set;
  ir::RuleBodies out = (*set)[rule.index];
  RuleFiller filler([&set](const ir::Eqn& eqn) -> Result<std::shared_ptr<const ir::CustomRule>> {
    const std::string& name = eqn.params->Text("name");
    for (size_t i = 0; i < set->size(); ++i) {
      if ((*set)[i].name == name) return RuleAt(set, i);
    }
    return std::shared_ptr<const ir::CustomRule>();
  });
  for (ir::ClosedJaxpr* body : {&out.jvp, &out.fwd, &out.bwd}) {
    if (body->jaxpr == nullptr) continue;
    ASSIGN_OR_RETURN(body->jaxpr, filler.Fill(body->jaxpr));
  }
  return out;
}

std::shared_ptr<const ir::CustomRule> RuleAt(const SetPtr& set, size_t index) {
  auto rule = std::make_shared<ir::CustomRule>();
  rule->set = set;
  rule->index = index;
  rule->make = OriginalBodies;
  return rule;
}

}  // namespace

Result<JaxprPtr> AttachRules(const JaxprPtr& jaxpr, SetPtr set) {
  size_t next = 0;
  RuleFiller filler([&](const ir::Eqn& eqn) -> Result<std::shared_ptr<const ir::CustomRule>> {
    const std::string& name = eqn.params->Text("name");
    if (next >= set->size()) {
      return InvalidArgument(StrCat("the program calls ", eqn.op->name, " function '", Printable(name),
                                    "' as number ", next, ", but only ", set->size(), " rules were sent"));
    }
    return RuleAt(set, next++);
  });
  ASSIGN_OR_RETURN(JaxprPtr out, filler.Fill(jaxpr));
  if (next != set->size()) {
    return InvalidArgument(StrCat(set->size(), " rules were sent, but the program has ", next, " custom calls"));
  }
  return out;
}

}  // namespace megalith::pipeline

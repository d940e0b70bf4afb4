#include "common/programs/pipeline/rules.h"

#include <climits>
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

// Bodies were checked before they went into a set.
constexpr int kMaxBodyDepth = INT_MAX;

// Picks the rule of a call; null leaves the call without one.
using Choose = std::function<Result<std::shared_ptr<const ir::CustomRule>>(const ir::Eqn&)>;

// Which calls to give another rule, by the one they have.
using Wants = bool (*)(const ParamValue& rule, const ir::RuleSet* set);

// The call has no rule yet: none at all, or a place in the set.
bool HasNoRule(const ParamValue& rule, const ir::RuleSet*) {
  return rule.is_none() || rule.AsRule()->set == nullptr;
}
bool IsOfSet(const ParamValue& rule, const ir::RuleSet* set) {
  return !rule.is_none() && rule.AsRule()->set.get() == set;
}

// Copies a jaxpr with other rules for the calls that want one, nested programs included; a program
// that occurs twice stays one object.
class RuleFiller {
 public:
  RuleFiller(int max_depth, Choose choose, Wants wants = HasNoRule,
             const ir::RuleSet* set = nullptr)
      : max_depth_(max_depth), choose_(std::move(choose)), wants_(wants), set_(set) {}

  Result<JaxprPtr> Fill(const JaxprPtr& jaxpr) {
    ASSIGN_OR_RETURN(const bool any, Wanting(jaxpr));
    if (!any) return jaxpr;
    ir::JaxprAssembler out(*jaxpr);
    for (size_t i = 0; i < jaxpr->eqns().size(); ++i) {
      ASSIGN_OR_RETURN(std::shared_ptr<const ir::Params> params, FillParams(jaxpr->eqns()[i]));
      out.SetParams(i, std::move(params));
    }
    // A repeated program consumes its rules again but is the object made first.
    return done_.emplace(jaxpr.get(), out.Finish()).first->second;
  }

 private:
  bool WantsRule(const ir::Eqn& eqn) const {
    for (size_t i = 0; i < eqn.op->params.size(); ++i) {
      if (eqn.op->params[i].type == ir::ParamSpec::Type::kRule)
        return wants_(eqn.params->values()[i], set_);
    }
    return false;
  }

  // True if calls in this program or nested ones want rules.
  Result<bool> Wanting(const JaxprPtr& jaxpr) {
    if (const auto it = wanting_.find(jaxpr.get()); it != wanting_.end()) return it->second;
    if (++depth_ > max_depth_) {
      return ResourceExhausted(
          StrCat("jaxprs are nested deeper than ", max_depth_, " levels (limit max_depth)"));
    }
    bool any = false;
    for (const ir::Eqn& eqn : jaxpr->eqns()) {
      any |= WantsRule(eqn);
      for (const ParamValue& value : eqn.params->values()) {
        ASSIGN_OR_RETURN(const bool nested, Wanting(value));
        any |= nested;
      }
    }
    --depth_;
    wanting_.emplace(jaxpr.get(), any);
    return any;
  }

  Result<bool> Wanting(const ParamValue& value) {
    if (value.kind() == ParamValue::Kind::kJaxpr) return Wanting(value.AsJaxpr());
    bool any = false;
    for (const ParamValue& e : value.elements()) {
      ASSIGN_OR_RETURN(const bool nested, Wanting(e));
      any |= nested;
    }
    return any;
  }

  Result<std::shared_ptr<const ir::Params>> FillParams(const ir::Eqn& eqn) {
    ir::Params params = *eqn.params;
    bool changed = false;
    if (WantsRule(eqn)) {
      ASSIGN_OR_RETURN(std::shared_ptr<const ir::CustomRule> rule, choose_(eqn));
      params.Set("rule", rule == nullptr ? ParamValue() : ParamValue::Rule(std::move(rule)));
      changed = true;
    }
    for (size_t i = 0; i < eqn.op->params.size(); ++i) {
      const ParamValue& value = eqn.params->values()[i];
      ASSIGN_OR_RETURN(const bool any, Wanting(value));
      if (!any) continue;
      ASSIGN_OR_RETURN(ParamValue filled, FillValue(value));
      params.Set(eqn.op->params[i].name, std::move(filled));
      changed = true;
    }
    return changed ? std::make_shared<const ir::Params>(std::move(params)) : eqn.params;
  }

  Result<ParamValue> FillValue(const ParamValue& value) {
    if (value.kind() == ParamValue::Kind::kJaxpr) {
      ASSIGN_OR_RETURN(JaxprPtr sub, Fill(value.AsJaxpr()));
      return ParamValue::SubJaxpr(std::move(sub));
    }
    if (!value.is_sequence()) return value;
    ir::ParamValues elements;
    for (const ParamValue& e : value.elements()) {
      ASSIGN_OR_RETURN(ParamValue filled, FillValue(e));
      elements.push_back(std::move(filled));
    }
    switch (value.kind()) {
      case ParamValue::Kind::kList:
        return ParamValue::List(std::move(elements));
      case ParamValue::Kind::kNamedTuple:
        return ParamValue::NamedTuple(value.tuple_name(), value.fields(), std::move(elements));
      default:
        return ParamValue::Tuple(std::move(elements));
    }
  }

  const int max_depth_;
  int depth_ = 0;
  Choose choose_;
  Wants wants_;
  const ir::RuleSet* set_;
  std::unordered_map<const Jaxpr*, JaxprPtr> done_;
  std::unordered_map<const Jaxpr*, bool> wanting_;
};

// The bodies of a rule as sent, with calls inside them pointing back into the set.
Result<ir::RuleBodies> OriginalBodies(ir::Session&, const ir::CustomRule& rule) {
  const SetPtr& set = rule.set;
  ir::RuleBodies out = (*set)[rule.index];
  RuleFiller filler(kMaxBodyDepth,
                    [&set](const ir::Eqn& eqn) -> Result<std::shared_ptr<const ir::CustomRule>> {
                      if (const auto& place = (*eqn.params)["rule"].AsRule())
                        return RuleAt(set, place->index);
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

}  // namespace

std::shared_ptr<const ir::CustomRule> RuleAt(const SetPtr& set, size_t index) {
  auto rule = std::make_shared<ir::CustomRule>();
  rule->set = set;
  rule->index = index;
  rule->make = OriginalBodies;
  return rule;
}

Result<JaxprPtr> DetachRules(const JaxprPtr& jaxpr, const ir::RuleSet& set) {
  RuleFiller filler(
      kMaxBodyDepth,
      [](const ir::Eqn& eqn) -> Result<std::shared_ptr<const ir::CustomRule>> {
        const auto& own = (*eqn.params)["rule"].AsRule();
        if (!own->derivation.empty()) {
          return Unimplemented(StrCat("a derivative rule in which '",
                                      Printable(own->original().name),
                                      "' itself is mapped by vmap"));
        }
        auto place = std::make_shared<ir::CustomRule>();
        place->index = own->index;
        return std::shared_ptr<const ir::CustomRule>(std::move(place));
      },
      IsOfSet, &set);
  return filler.Fill(jaxpr);
}

Result<JaxprPtr> AttachRules(const JaxprPtr& jaxpr, SetPtr set, int max_depth) {
  size_t next = 0;
  bool in_order = true;
  RuleFiller filler(
      max_depth, [&](const ir::Eqn& eqn) -> Result<std::shared_ptr<const ir::CustomRule>> {
        if (const auto& place = (*eqn.params)["rule"].AsRule()) {
          in_order = false;
          return RuleAt(set, place->index);
        }
        if (set->empty() || !in_order) return std::shared_ptr<const ir::CustomRule>();
        if (next >= set->size()) {
          return InvalidArgument(StrCat("the program calls ", eqn.op->name, " function '",
                                        Printable(eqn.params->Text("name")), "' as number ", next,
                                        ", but only ", set->size(), " rules were sent"));
        }
        return RuleAt(set, next++);
      });
  ASSIGN_OR_RETURN(JaxprPtr out, filler.Fill(jaxpr));
  if (in_order && next != set->size()) {
    return InvalidArgument(
        StrCat(set->size(), " rules were sent, but the program has ", next, " custom calls"));
  }
  return out;
}

}  // namespace megalith::pipeline

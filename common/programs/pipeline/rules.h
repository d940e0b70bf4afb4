// Putting custom-rule bodies back into programs whose text lacks them.
#pragma once

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"

namespace megalith::pipeline {

// Gives the calls of custom_jvp and custom_vjp functions in `jaxpr` the rules of `set`: those that
// carry an index the rule of that index, otherwise the rules in pre-order of appearance (parameters
// in key order). Calls inside rule bodies find their rule when the body is used. Errors:
// kInvalidArgument when rules in order are fewer or more than calls; kResourceExhausted
// (max_depth).
Result<ir::JaxprPtr> AttachRules(const ir::JaxprPtr& jaxpr, std::shared_ptr<const ir::RuleSet> set,
                                 int max_depth);

// The rule at a place of a set.
std::shared_ptr<const ir::CustomRule> RuleAt(const std::shared_ptr<const ir::RuleSet>& set,
                                             size_t index);

// Makes `jaxpr` fit for a body in `set`: calls whose rule is one of the set's refer to its place,
// because a set that refers to itself would never be freed. Errors: kUnimplemented for calls with a
// transformed rule of the set.
Result<ir::JaxprPtr> DetachRules(const ir::JaxprPtr& jaxpr, const ir::RuleSet& set);

}  // namespace megalith::pipeline

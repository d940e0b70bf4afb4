// Putting custom-rule bodies back into programs whose text lacks them.
#pragma once

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"

namespace megalith::pipeline {

// Gives the calls of custom_jvp and custom_vjp functions in `jaxpr` the rules of `set`, in pre-order of appearance
// (parameters in key order). Calls inside rule bodies take the rule of the same name when the body is used.
// Errors: kInvalidArgument when there are fewer or more rules than calls, or a rule is of the other kind.
Result<ir::JaxprPtr> AttachRules(const ir::JaxprPtr& jaxpr, std::shared_ptr<const ir::RuleSet> set);

}  // namespace megalith::pipeline

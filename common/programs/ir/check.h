// Type checking: recomputes every type of a program, finds weak types, and refuses what is
// ill-typed.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_def.h"

namespace megalith::ir {

// Checks jaxprs against operand types that come from outside. One object per program: a sub-jaxpr
// that is used twice with the same types is checked once and stays one object. Not thread-safe.
class TypeChecker {
 public:
  explicit TypeChecker(int max_depth = 128) : max_depth_(max_depth) {}

  // The same jaxpr with the given input types and every other type recomputed by the primitives'
  // rules, nested jaxprs included. Declared types must agree up to weakness. Errors:
  // kInvalidArgument "eqn 3 (add): ..." with JAX's error class; kUnimplemented for primitives
  // without a type rule.
  Result<JaxprPtr> Check(const JaxprPtr& jaxpr, const std::vector<Aval>& inputs,
                         const std::vector<Aval>& consts = {});

 private:
  Result<JaxprPtr> CheckUncached(const Jaxpr& jaxpr, const std::vector<Aval>& inputs,
                                 const std::vector<Aval>& consts);
  int max_depth_;
  int depth_ = 0;
  std::map<std::pair<const Jaxpr*, std::string>, std::pair<JaxprPtr, JaxprPtr>> done_;
};

// Refuses an array that no machine could hold, so that later arithmetic on sizes in bytes does not
// overflow. Error: kInvalidArgument.
Status CheckSize(const Aval& aval);

// Checks a whole program whose inputs have the given weak flags (empty: all strong); constants are
// checked against their constvars.
Result<ClosedJaxpr> CheckProgram(const ClosedJaxpr& program,
                                 const std::vector<bool>& weak_inputs = {}, int max_depth = 128);

}  // namespace megalith::ir

// What the canonical form does to single ops. For canonical.cc only.
#pragma once

#include <string>
#include <vector>

#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {

// True if result i is just operand i.
bool IsNoOp(const Op& op, const Func& func);

// The op that stands for the original, with all attributes that have a meaning and no others.
struct CanonicalOp {
  const OpDef* def = nullptr;
  std::vector<RespelledOperand> operands;
  AttrDict attrs;
  std::string callee;      // if set: inline this function instead
  bool no_effect = false;  // an op of an effectful kind that says it has none
};
// Errors: kUnimplemented (custom calls that name functions).
Result<CanonicalOp> CanonicalOf(const Op& op, const Func& func);

}  // namespace megalith::stablehlo

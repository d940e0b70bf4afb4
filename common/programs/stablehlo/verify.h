// Is a module a valid program?
#pragma once

#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {

// Checks everything the other parts of this library rely on: value ids and scoping (an operand is
// defined earlier in the same region or in an enclosing one), arity, attribute kinds, types by the
// rule of each op, regions and their terminators, function signatures, callees and the absence of
// recursion, and the limits on elements, nesting and call depth. A module that passes can be
// printed, made canonical, planned and evaluated. Errors name the function, the position and the
// op: "@main op 3 (stablehlo.add, line 7): operand 1 has ...". kInvalidArgument; kResourceExhausted
// for a limit. Cost: linear.
Status Verify(const Module& module, const Limits& limits = {});

// The same for one op whose operands are already known to be good: arity, attributes, types. Gives
// the result types. `declared` are the types as written, empty if they are to be inferred. `module`
// may be null while it is being built: callees are then not checked.
Status VerifyOp(const Op& op, const Func& func, const Module* module,
                std::span<const TensorType> declared, std::vector<TensorType>* results);

}  // namespace megalith::stablehlo

// From StableHLO back to a jaxpr, so that programs which arrive lowered can be transformed.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/programs/ir/builder.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::raising {

struct RaiseOptions {
  std::string fun_name = "<lambda>";
  bool x64 = false;
  ir::SessionLimits limits;
  const Cancellation* cancel = nullptr;
};

// A jaxpr that takes and gives what @main does and lowers to a program of the same values. It is
// made from the canonical program: all spellings of a program raise to one jaxpr. Loops that count
// to a constant become `scan`, so that they have a reverse mode. Rules that the author gave to
// functions (custom_jvp, custom_vjp) are not in StableHLO: derivatives are those of the operations.
//
// Errors: those of Canonicalize; kUnimplemented  an operation, or a use of one, that has no
// primitive; the message names it and says what to do instead. kResourceExhausted  a limit.
Result<ir::Program> Raise(const stablehlo::Module& module, const RaiseOptions& options = {});

// True if a value of the program has elements of 64 bits, which JAX has in 64-bit mode only.
bool Uses64Bits(const stablehlo::Module& module);

}  // namespace megalith::raising

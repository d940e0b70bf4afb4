// A loop of a plan as one LLVM function.
#pragma once

#include <string>

#include "common/foundation/base/status.h"
#include "common/machines/codegen/cpu/ir_kernel.h"
#include "common/machines/codegen/cpu/loop_request.h"

namespace megalith::codegen {

// Adds a function of type runtime::WhileFn, optimised as a whole. Kernels, copies and products are
// emitted where they stand. Arrays of one element that every step reads and writes as such (loop
// counters, conditions, scalars that are carried) live in registers; those that leave the loop are
// written when it ends.
// Errors: kUnimplemented names an operation that has no code.
Result<KernelFunction> EmitLoop(const LoopRequest& request, const TargetTraits& traits,
                                const std::string& name, llvm::Module* module);

}  // namespace megalith::codegen

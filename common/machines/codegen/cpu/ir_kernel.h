// The loop nest of a fused kernel as one LLVM function.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/status.h"
#include "common/machines/codegen/cpu/ir_ops.h"
#include "common/machines/runtime/loop.h"

namespace llvm {
class Function;
class Module;
}  // namespace llvm

namespace megalith::codegen {

struct KernelFunction {
  llvm::Function* function = nullptr;
  uint64_t scratch_bytes = 0;
};

// Adds a function of type runtime::LoopFn. Requires a kernel that Simplify made of one that
// CheckLoopKernel accepts. Errors: kUnimplemented names an operation that has no code.
Result<KernelFunction> EmitKernel(const runtime::LoopKernel& kernel, const TargetTraits& traits,
                                  const std::string& name, llvm::Module* module);

}  // namespace megalith::codegen

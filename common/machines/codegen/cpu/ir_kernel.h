// The loop nest of a fused kernel as one LLVM function.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/codegen/cpu/ir_ops.h"
#include "common/machines/runtime/loop.h"

namespace llvm {
class AllocaInst;
class Function;
class IRBuilderBase;
class Module;
class Value;
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

// Emits all points of a kernel where `builder` stands, on one thread, and leaves the builder behind
// them. `buffers` are the addresses of the arguments, `scratch` that of memory as large as the
// result says. `variables` gets what the kernel keeps on the stack, for the caller to promote.
// Requires a kernel that Simplify made. Errors: kUnimplemented.
Result<uint64_t> EmitWholeKernel(const runtime::LoopKernel& kernel, const TargetTraits& traits,
                                 std::vector<llvm::Value*> buffers, llvm::Value* scratch,
                                 llvm::IRBuilderBase* builder,
                                 std::vector<llvm::AllocaInst*>* variables);

}  // namespace megalith::codegen

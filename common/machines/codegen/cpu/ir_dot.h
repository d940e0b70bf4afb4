// Small matrix products as LLVM code.
#pragma once

#include <vector>

#include "common/machines/codegen/cpu/ir_ops.h"
#include "common/machines/codegen/cpu/loop_request.h"

namespace llvm {
class AllocaInst;
class IRBuilderBase;
}  // namespace llvm

namespace megalith::codegen {

// Emits the product where `builder` stands and leaves the builder behind it. `variables` gets what
// is kept on the stack, for the caller to promote. Sums run along k, one product after the other,
// or by lanes that are added up at the end.
void EmitDot(const DotRequest& dot, const TargetTraits& traits, llvm::Value* lhs, llvm::Value* rhs,
             llvm::Value* out, llvm::IRBuilderBase* builder,
             std::vector<llvm::AllocaInst*>* variables);

}  // namespace megalith::codegen

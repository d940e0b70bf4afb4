#include "common/machines/codegen/cpu/ir_math.h"

#include <llvm/IR/IRBuilder.h>

namespace megalith::codegen {

bool HasVectorMath(kernels::ScalarOp) { return false; }

llvm::Value* EmitVectorMath(llvm::IRBuilderBase&, const TargetTraits&, kernels::ScalarOp,
                            llvm::Value* x, llvm::Value*) {
  return x;
}

}  // namespace megalith::codegen

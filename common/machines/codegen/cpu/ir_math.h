// The formulas of kernels/vector_math.h as LLVM instructions.
#pragma once

#include "common/machines/codegen/cpu/ir_ops.h"

namespace megalith::codegen {

// True for the operations on floats that EmitVectorMath knows: rounding and the transcendental
// functions.
bool HasVectorMath(kernels::ScalarOp op);

// `y` is not looked at by operations of one operand. May leave the builder in another block.
llvm::Value* EmitVectorMath(llvm::IRBuilderBase& builder, const TargetTraits& traits,
                            kernels::ScalarOp op, llvm::Value* x, llvm::Value* y);

}  // namespace megalith::codegen

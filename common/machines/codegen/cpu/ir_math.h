// The formulas of kernels/vector_math.h as LLVM instructions.
#pragma once

#include "common/machines/codegen/cpu/ir_ops.h"

namespace megalith::codegen {

// True for the operations on f32 and f64 that EmitVectorMath knows: those of vector_math.h and
// rounding.
bool HasVectorMath(kernels::ScalarOp op);

// `y` is not looked at by operations of one operand; `imm` is that of the instruction. May leave
// the builder in another block.
llvm::Value* EmitVectorMath(llvm::IRBuilderBase& builder, const TargetTraits& traits,
                            kernels::ScalarOp op, llvm::Value* x, llvm::Value* y, uint64_t imm);

}  // namespace megalith::codegen

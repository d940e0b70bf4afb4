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
// or by lanes that are added up at the end. `odd`, null or 0 and 1 in turn, does not change
// results: products in a loop with a matrix a little larger than the first level of cache begin
// with the quarter of it that the turn before has used last.
void EmitDot(const DotRequest& dot, const TargetTraits& traits, llvm::Value* lhs, llvm::Value* rhs,
             llvm::Value* out, llvm::Value* odd, llvm::IRBuilderBase* builder,
             std::vector<llvm::AllocaInst*>* variables);

}  // namespace megalith::codegen

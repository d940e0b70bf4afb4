// The shape of a kernel as the code generator wants it: few dimensions, long innermost ones.
#pragma once

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// An equal kernel, with the same numbering of outer points and at least one outer dimension, in
// which neighbouring dimensions that every access walks alike are one, dimensions of one element
// are gone, and instructions that nothing uses too. Stages run inside keep their last dimension if
// that is the only one.
runtime::LoopKernel Simplify(const runtime::LoopKernel& kernel);

}  // namespace megalith::codegen

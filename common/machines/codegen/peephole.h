// Cheaper forms of instructions while a fused kernel is built.
#pragma once

#include <cstdint>
#include <span>

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// If `instr`, which `stage` does not have yet, has a value that a cheaper instruction gives bit for
// bit, puts that in its place: shifts to both sides that are joined become rotations, positions are
// made in the type they are converted to. Operands that nobody needs any more stay behind.
// `extents` are those of the outer dimensions and then of the stage's.
void Cheapen(const runtime::LoopStage& stage, std::span<const int64_t> extents,
             runtime::LoopInstr* instr);

}  // namespace megalith::codegen

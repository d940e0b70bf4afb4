// Ready-made vector routines: each applies one scalar operation to a run of elements. Compiled for
// several instruction sets from one source, chosen once by what the processor has.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/machines/kernels/scalar_ops.h"

namespace megalith::kernels {

// Bytes of the block a splat operand is given as: its element, repeated.
inline constexpr int kSplatBytes = 64;

// out[i] = op(in[0][i], in[1][i], in[2][i]) for i below n. Operand k is an array of n elements, or,
// if bit k of `splats` is set, a block of kSplatBytes. `out` may be the start of an operand whose
// elements are as wide as those of the result. Nothing needs alignment beyond its elements'.
// `imm` is that of the instruction (loop.h).
using TileFn = void (*)(const void* const* in, uint32_t splats, void* out, int64_t n, uint64_t imm);

// The routine of an operation on operands of register type `operand` (kSelect: of its second) with
// a result of `result`; nullptr if there is none (kLoad, kIndex, kConstant, types the table
// excludes). Thread-safe.
TileFn FindTileFn(ScalarOp op, DType operand, DType result);

// Combines all n > 0 elements of in[0] into out[0], with several accumulators; nullptr for types
// other than f32 and f64, and for operations that no reduction is made of.
TileFn FindReduceFn(ScalarOp op, DType type);

// Between storage and registers: bf16 or f16 to f32 and back. nullptr for other types.
TileFn FindDecodeFn(DType storage);
TileFn FindEncodeFn(DType storage);

// The instruction set chosen: "avx512", "avx2", "sse2".
std::string_view TileInstructionSet();

}  // namespace megalith::kernels

// Kernels that move elements of any type without looking at them.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "strided_copy": transposition, slice, reversal, padding, concatenation, broadcast. Copies pieces
// of operands into out[0]. params: 1 if the last operand is one element that fills the whole result
// first, then for each other operand: list of sizes of the piece, where it starts in the result,
// list of strides there, where it starts in the operand, list of strides there (all in elements).
// Elements of the result that no piece covers are left as they are. Pieces must not overlap in the
// result.
extern const LibraryKernel kStridedCopyKernel;

// "fill": out[0] full of the one element of in[0]. No params.
extern const LibraryKernel kFillKernel;

// "dynamic_slice": in[0] the operand, then a scalar integer for each dimension: where the slice,
// which has the shape of out[0], starts, clamped so that it fits. No params.
extern const LibraryKernel kDynamicSliceKernel;

// "dynamic_update_slice": in[0] the operand, in[1] the update, then a scalar start for each
// dimension, clamped; out[0], which may be in[0] in place. No params.
extern const LibraryKernel kDynamicUpdateSliceKernel;

}  // namespace megalith::kernels

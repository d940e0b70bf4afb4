// Reductions over sliding windows, and running ones.
//
// Narrow floats (bf16, f16) are folded in f32 and rounded once, but for select_and_scatter, which
// rounds after every addition. Combinations are those of combine.h without kReplace.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "reduce_window": in[0] the array, in[1] the initial value; out[0]. params: CombineKind, then a
// list with an entry per dimension for each of: window size, stride, padding before, padding after,
// base dilation, window dilation. Padding and holes take no part. The order of folding is not
// specified; sums of floats differ by roundings from those in order.
extern const LibraryKernel kReduceWindowKernel;

// "cumulative": in[0] the array, in[1] (optional) the initial value; out[0] of the same type:
// element i is the initial value folded with elements 0 to i along a dimension, or with i to the
// last. params: CombineKind, dimension, 1 if from the end.
extern const LibraryKernel kCumulativeKernel;

// "select_and_scatter": in[0] the array, in[1] the source (an element per window), in[2] the
// initial value; out[0] like in[0]: the initial value everywhere, and each element of the source
// folded into the place its window selects. params: SelectKind, CombineKind, then lists with an
// entry per dimension: window size, stride, padding before, padding after.
extern const LibraryKernel kSelectAndScatterKernel;

// The selected element stays while this is true of it and the next one of the window. Appears in
// packages (persistent: never change, append only).
enum class SelectKind : uint8_t {
  kGreaterEqual = 0,
  kLessEqual = 1,
  kGreater = 2,
  kLess = 3,
};

}  // namespace megalith::kernels

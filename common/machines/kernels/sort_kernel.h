// Sorting arrays along a dimension.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "sort": N arrays of one shape are sorted together along a dimension; equal elements keep their
// order. params: dimension, number of keys, then for each key, the most significant first: number
// of the operand, SortOrder (sort_keys.h), 1 if descending. Operands that are no keys may have
// elements of any type. A column of plain order that holds NaN, which has no order, is arranged by
// a merge sort: insertion in blocks of eight, then merges, the comparator asked as `less(right,
// left)`.
extern const LibraryKernel kSortKernel;

// "top_k": in[0] values [..., n]; out[0] the k greatest of each row, in descending order, out[1]
// their positions (i32). Of equal elements the first comes first; floats are in total order, so
// that NaN is the greatest. No params.
extern const LibraryKernel kTopKKernel;

}  // namespace megalith::kernels

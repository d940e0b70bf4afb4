// Two loop kernels made into one that runs the stages of both at each outer point.
//
// That is how rows are normalised in one pass over memory (softmax: maximum, exponentials, their
// sum, quotients, with the row in the cache), and how kernels that read one array share the read.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "common/machines/runtime/loop.h"

namespace megalith::codegen {

// A kernel and the places (numbers of arrays) behind its arguments, each place once.
struct PlacedKernel {
  runtime::LoopKernel kernel;
  std::vector<uint32_t> places;
};

// A kernel that has the effect of `first` and then `second`; none if their points do not fit
// together, or if one reads at a point what the other writes at another.
std::optional<PlacedKernel> JoinKernels(const PlacedKernel& first, const PlacedKernel& second);

// What a kernel touches of one of its buffers at one outer point, if that is apart from what it
// touches at every other.
struct RowRange {
  int64_t begin = 0;  // elements from where the row of the point begins; may be negative
  int64_t end = 0;
  int width = 0;  // bytes of an element
};
std::optional<RowRange> RowOf(const runtime::LoopKernel& kernel, runtime::LoopBuffer buffer);

}  // namespace megalith::codegen

// Where the windows of a gather or scatter are: positions of the batch (one window each) are
// numbered in row-major order and turned into offsets in bytes, many at a time.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/library.h"
#include "common/machines/kernels/params.h"

namespace megalith::kernels {

// Dimension numbers, in the words of gather.
struct IndexDims {
  Dims offset_dims;  // of the array side (the result, or the updates)
  Dims collapsed;    // operand dimensions without one on the array side
  Dims operand_batching, indices_batching;
  Dims index_map;  // operand dimension of each index component
  int64_t index_vector_dim = 0;
};

// A number of the batch as a sum of strides.
struct BatchOffset {
  struct Dim {
    int64_t divisor, size, stride;
  };
  std::vector<Dim> dims;  // outermost first; neighbours merged
  int64_t At(int64_t b) const {
    if (dims.size() == 1 && dims[0].divisor == 1) return b * dims[0].stride;
    int64_t offset = 0;
    for (const Dim& d : dims) offset += b / d.divisor % d.size * d.stride;
    return offset;
  }
};

class IndexPlan {
 public:
  // Checks everything. `window`: slice sizes by operand dimension (gather); empty: they follow from
  // the array side (scatter).
  static Result<IndexPlan> Create(std::string_view kernel, const IndexDims& d,
                                  const ArraySpec& operand, const ArraySpec& indices,
                                  const ArraySpec& array, Dims window);

  int64_t count() const { return count_; }  // positions of the batch
  const Dims& window() const { return window_; }
  const Dims& operand_strides() const { return operand_strides_; }  // bytes
  // Bytes by operand dimension; 0 for those that are not on the array side.
  const Dims& array_strides() const { return array_strides_; }
  // Two windows are the same or have no element in common.
  bool disjoint() const { return disjoint_; }

  // offsets[i] = where the window of position begin + i starts in the operand: clamped, or -1 if it
  // does not fit and `drop`.
  void Offsets(const void* indices, int64_t begin, int64_t n, bool drop, int64_t* offsets) const;
  // Where it starts on the array side.
  int64_t ArrayOffset(int64_t position) const { return array_offset_.At(position); }

 private:
  struct Component {
    int64_t limit;   // the greatest start that fits
    int64_t stride;  // bytes
  };
  template <typename T>
  void OffsetsOf(const T* indices, int64_t begin, int64_t n, bool drop, int64_t* offsets) const;

  DType index_dtype_ = DType::kI32;
  int64_t count_ = 0;
  int64_t inner_ = 1;  // positions after the index vector's dimension
  std::vector<Component> components_;
  BatchOffset batched_, array_offset_;
  Dims window_, operand_strides_, array_strides_;
  bool disjoint_ = true;
};

}  // namespace megalith::kernels

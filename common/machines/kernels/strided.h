// Copies between arrays of different strides, the base of every kernel that moves elements.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "common/foundation/tensor/shape.h"
#include "common/machines/kernels/work_pool.h"

namespace megalith::kernels {

// A copy of the elements of a shape: strides in bytes, which may be negative (reversal) or, on the
// reading side, zero (broadcast). Made once, run any number of times from any thread.
class StridedCopy {
 public:
  StridedCopy() = default;
  // `width` bytes per element: 1, 2, 4, 8 or 16. At most 16 dimensions.
  StridedCopy(const tensor::Shape& shape, const tensor::Dims& to_strides,
              const tensor::Dims& from_strides, int width);

  // `to` and `from` are where the element of index zero is. No byte may be on both sides.
  void Run(void* to, const void* from) const;
  // Split over the pool if there is enough to do.
  void Run(void* to, const void* from, WorkPool& pool) const;

  int64_t bytes() const { return bytes_; }
  // True if it is one memcpy of bytes().
  bool contiguous() const {
    return dims_.empty() || (dims_.size() == 1 && dims_[0].to == width_ && dims_[0].from == width_);
  }

 private:
  struct Dim {
    int64_t size, to, from;
  };
  using Sizes = std::array<int64_t, 16>;
  template <typename T>
  void RunAs(char* to, const char* from, const Sizes& sizes) const;
  void RunPart(char* to, const char* from, size_t dim, int64_t begin, int64_t end) const;

  std::vector<Dim> dims_;  // outermost first, neighbours merged; none of size 1
  int width_ = 1;
  int64_t bytes_ = 0;  // copied; 0 if there is nothing to do
  // The dimension that is contiguous on the reading side while the last one is on the writing side:
  // blocks are transposed. dims_.size() if there is none.
  size_t transposed_ = 0;
};

// Row-major strides in bytes.
tensor::Dims ByteStrides(const tensor::Shape& shape, int width);

// n copies of the element at `value`.
void FillElements(void* to, const void* value, int64_t n, int width, WorkPool& pool);

}  // namespace megalith::kernels

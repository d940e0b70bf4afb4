#include "common/foundation/tensor/shape.h"

#include <algorithm>

#include "common/foundation/base/status.h"
#include "common/foundation/base/strings.h"

namespace megalith::tensor {

void Dims::insert(size_t at, int64_t v) {
  CHECK(at <= size_);
  push_back(v);
  std::rotate(data() + at, data() + size_ - 1, data() + size_);
}

void Dims::erase(size_t at) {
  CHECK(at < size_);
  std::rotate(data() + at, data() + at + 1, data() + size_);
  if (size_ > kInline) {
    heap_.pop_back();
    if (size_ - 1 == kInline) std::copy(heap_.begin(), heap_.end(), inline_.begin());
  }
  --size_;
}

std::optional<int64_t> NumElements(const Shape& shape) {
  int64_t n = 1;
  bool overflow = false;
  for (const int64_t d : shape) {
    if (d < 0) return std::nullopt;
    if (d == 0) return 0;
    overflow |= __builtin_mul_overflow(n, d, &n);
  }
  if (overflow) return std::nullopt;
  return n;
}

Dims RowMajorStrides(const Shape& shape) {
  Dims strides(shape.size(), 1);
  for (size_t i = shape.size(); i-- > 1;) {
    int64_t product = 0;
    // Overflow can only happen for shapes without elements or ones that no Tensor can have.
    if (__builtin_mul_overflow(strides[i], shape[i], &product)) product = 0;
    strides[i - 1] = product;
  }
  return strides;
}

std::string DimsText(std::span<const int64_t> dims) { return Join(dims, ","); }

std::string TupleText(std::span<const int64_t> dims) {
  return StrCat("(", Join(dims, ", "), dims.size() == 1 ? ",)" : ")");
}

}  // namespace megalith::tensor

// What kernels on batches of matrices share: shapes split into a batch and two last dimensions.
#pragma once

#include <algorithm>
#include <atomic>
#include <complex>
#include <cstdint>
#include <optional>

#include "common/foundation/base/strings.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

struct MatrixBatch {
  DType dtype = DType::kInvalid;
  int64_t batch = 1, rows = 0, columns = 0;
};

// kInvalidArgument for a rank below 2; kUnimplemented unless elements are f32, f64, c64 or c128.
inline Result<MatrixBatch> ReadMatrixBatch(const ArraySpec& spec) {
  const size_t rank = spec.shape.size();
  if (rank < 2) return InvalidArgument(StrCat("wanted matrices, got rank ", rank));
  if (spec.dtype != DType::kF32 && spec.dtype != DType::kF64 && spec.dtype != DType::kC64 &&
      spec.dtype != DType::kC128) {
    return Unimplemented(StrCat("factorization of ", tensor::Name(spec.dtype)));
  }
  if (!tensor::NumElements(spec.shape)) return InvalidArgument("too many elements");
  MatrixBatch m = {spec.dtype, 1, spec.shape[rank - 2], spec.shape[rank - 1]};
  for (size_t i = 0; i + 2 < rank; ++i) m.batch *= spec.shape[i];
  return m;
}

// What precedes the last two dimensions.
inline Shape BatchDims(const Shape& shape) {
  return Shape(std::span<const int64_t>(shape).first(shape.size() - 2));
}

// Calls `work` with a null pointer of the C++ type of elements.
template <typename Work>
auto VisitMatrixType(DType dtype, const Work& work) {
  switch (dtype) {
    case DType::kF32:
      return work(static_cast<float*>(nullptr));
    case DType::kF64:
      return work(static_cast<double*>(nullptr));
    case DType::kC64:
      return work(static_cast<std::complex<float>*>(nullptr));
    default:
      return work(static_cast<std::complex<double>*>(nullptr));
  }
}

// Calls work(item, slot) for the items of a batch, in parallel, until the call is cancelled; at any
// time at most one call has a slot, which is below `slots`.
template <typename Work>
void ForEachMatrix(const KernelCall& call, int64_t batch, int64_t slots, const Work& work) {
  std::atomic<int64_t> next{0};
  call.pool.For(std::min(batch, slots), 1, [&](int64_t begin, int64_t end) {
    for (int64_t slot = begin; slot < end; ++slot) {
      for (int64_t item; call.Poll().ok() && (item = next++) < batch;) work(item, slot);
    }
  });
}

inline bool SameSpec(const ArraySpec& a, const ArraySpec& b) {
  return a.dtype == b.dtype && a.shape == b.shape;
}

}  // namespace megalith::kernels

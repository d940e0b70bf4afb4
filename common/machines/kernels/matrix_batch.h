// What kernels on batches of matrices share: shapes split into a batch and two last dimensions.
#pragma once

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

inline bool SameSpec(const ArraySpec& a, const ArraySpec& b) {
  return a.dtype == b.dtype && a.shape == b.shape;
}

}  // namespace megalith::kernels

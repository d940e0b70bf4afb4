// The library kernel "dot": a batch of matrix products. And how stablehlo.dot_general becomes one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// in[0] is read as [batch, inner, m, k], in[1] as [batch, inner, k, n], out[0] is dense
// [batch, inner, m, n], whatever shapes they have; strides count elements and are not negative.
// `inner` is a second batch dimension, such as the heads of attention. Element types, accumulation
// and rounding are those of GemmProblem (gemm.h).
// As parameters: these 13 numbers in this order (persistent: never change, append only).
struct DotParams {
  int64_t batch = 1, inner = 1, m = 1, n = 1, k = 1;
  int64_t lhs_batch = 0, lhs_inner = 0, lhs_row = 0, lhs_col = 0;
  int64_t rhs_batch = 0, rhs_inner = 0, rhs_row = 0, rhs_col = 0;

  std::string Pack() const;
  friend bool operator==(const DotParams&, const DotParams&) = default;
};

// The dimension numbers of stablehlo.dot_general.
struct DotDimensions {
  Dims lhs_batch, rhs_batch, lhs_contract, rhs_contract;
};

// dot_general of dense operands as one product, without moving them: free and contracted
// dimensions must each merge into one, batch dimensions into two. nullopt if they do not; then the
// caller transposes one of the operands first. Requires valid dimension numbers.
std::optional<DotParams> CanonicalDot(const Shape& lhs, const Shape& rhs,
                                      const DotDimensions& dims);

extern const LibraryKernel kDotKernel;

}  // namespace megalith::kernels

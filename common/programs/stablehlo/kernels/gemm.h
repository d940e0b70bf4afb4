// Matrix product on row-major arrays.
#pragma once

#include <cstdint>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

// c[m, n] = sum over k of a[m, k] * b[k, n], with distances lda, ldb, ldc between rows.
// Instantiated for float, double, uint32_t and uint64_t (which wrap). The sum runs over k in order,
// in blocks of 256 whose partial sums are added up; products are rounded before they are added (no
// fused multiply-add). Polls `run` between blocks.
template <typename T>
Status Gemm(int64_t m, int64_t n, int64_t k, const T* a, int64_t lda, const T* b, int64_t ldb, T* c,
            int64_t ldc, const Run& run);

}  // namespace megalith::stablehlo

#include <immintrin.h>

#include "common/machines/kernels/gemm_blocks.h"

#define MEGALITH_VECTOR_BYTES 64
#define MEGALITH_TILE_ROWS 8

namespace megalith::kernels {
namespace {

template <typename T>
inline auto LoadFirst(const T* p, int count) {
  typedef T Vector __attribute__((vector_size(MEGALITH_VECTOR_BYTES)));
  const auto mask = static_cast<uint32_t>((1U << count) - 1);
  if constexpr (sizeof(T) == 4) {
    return (Vector)_mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), p);
  } else {
    return (Vector)_mm512_maskz_loadu_epi64(static_cast<__mmask8>(mask), p);
  }
}

template <typename T, typename Vector>
inline void StoreFirst(T* p, Vector v, int count) {
  const auto mask = static_cast<uint32_t>((1U << count) - 1);
  if constexpr (sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>(mask), (__m512i)v);
  } else {
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>(mask), (__m512i)v);
  }
}

}  // namespace
}  // namespace megalith::kernels

#include "common/machines/kernels/gemm_blocks.inc"

namespace megalith::kernels {

extern const GemmKernels<float> kGemmAvx512F32;
extern const GemmKernels<double> kGemmAvx512F64;
extern const GemmKernels<uint32_t> kGemmAvx512U32;
extern const GemmKernels<uint64_t> kGemmAvx512U64;
const GemmKernels<float> kGemmAvx512F32 = kKernels<float, Block<float>>;
const GemmKernels<double> kGemmAvx512F64 = kKernels<double, Block<double>>;
const GemmKernels<uint32_t> kGemmAvx512U32 = kKernels<uint32_t, IntegerBlock<uint32_t>>;
const GemmKernels<uint64_t> kGemmAvx512U64 = kKernels<uint64_t, IntegerBlock<uint64_t>>;

}  // namespace megalith::kernels

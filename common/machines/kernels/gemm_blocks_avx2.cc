#include <immintrin.h>

#include "common/machines/kernels/gemm_blocks.h"

#define MEGALITH_VECTOR_BYTES 32
#define MEGALITH_TILE_ROWS 6

namespace megalith::kernels {
namespace {

// All ones in the first `count` lanes.
inline __m256i Mask32(int count) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), lane);
}
inline __m256i Mask64(int count) {
  const __m256i lane = _mm256_setr_epi64x(0, 1, 2, 3);
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), lane);
}

template <typename T>
inline auto LoadFirst(const T* p, int count) {
  typedef T Vector __attribute__((vector_size(MEGALITH_VECTOR_BYTES)));
  if constexpr (sizeof(T) == 4) {
    return (Vector)_mm256_maskload_epi32(reinterpret_cast<const int*>(p), Mask32(count));
  } else {
    return (Vector)_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), Mask64(count));
  }
}

template <typename T, typename Vector>
inline void StoreFirst(T* p, Vector v, int count) {
  if constexpr (sizeof(T) == 4) {
    _mm256_maskstore_epi32(reinterpret_cast<int*>(p), Mask32(count), (__m256i)v);
  } else {
    _mm256_maskstore_epi64(reinterpret_cast<long long*>(p), Mask64(count), (__m256i)v);
  }
}

}  // namespace
}  // namespace megalith::kernels

#include "common/machines/kernels/gemm_blocks.inc"

namespace megalith::kernels {

extern const GemmKernels<float> kGemmAvx2F32;
extern const GemmKernels<double> kGemmAvx2F64;
extern const GemmKernels<uint32_t> kGemmAvx2U32;
extern const GemmKernels<uint64_t> kGemmAvx2U64;
const GemmKernels<float> kGemmAvx2F32 = kKernels<float, Block<float>>;
const GemmKernels<double> kGemmAvx2F64 = kKernels<double, Block<double>>;
const GemmKernels<uint32_t> kGemmAvx2U32 = kKernels<uint32_t, IntegerBlock<uint32_t>>;
const GemmKernels<uint64_t> kGemmAvx2U64 = kKernels<uint64_t, IntegerBlock<uint64_t>>;

}  // namespace megalith::kernels

#include "common/machines/kernels/gemm_blocks.h"

#define MEGALITH_VECTOR_BYTES 16
#define MEGALITH_TILE_ROWS 4

namespace megalith::kernels {
namespace {

template <typename T>
inline auto LoadFirst(const T* p, int count) {
  typedef T Vector __attribute__((vector_size(MEGALITH_VECTOR_BYTES)));
  T parts[MEGALITH_VECTOR_BYTES / sizeof(T)] = {};
  for (int i = 0; i < count; ++i) parts[i] = p[i];
  Vector v;
  __builtin_memcpy(&v, parts, sizeof v);
  return v;
}

template <typename T, typename Vector>
inline void StoreFirst(T* p, Vector v, int count) {
  T parts[MEGALITH_VECTOR_BYTES / sizeof(T)];
  __builtin_memcpy(parts, &v, sizeof v);
  for (int i = 0; i < count; ++i) p[i] = parts[i];
}

}  // namespace
}  // namespace megalith::kernels

#include "common/machines/kernels/gemm_blocks.inc"

namespace megalith::kernels {

extern const GemmKernels<float> kGemmSse2F32;
extern const GemmKernels<double> kGemmSse2F64;
extern const GemmKernels<uint32_t> kGemmSse2U32;
extern const GemmKernels<uint64_t> kGemmSse2U64;
const GemmKernels<float> kGemmSse2F32 = kKernels<float, Block<float>>;
const GemmKernels<double> kGemmSse2F64 = kKernels<double, Block<double>>;
const GemmKernels<uint32_t> kGemmSse2U32 = kKernels<uint32_t, IntegerBlock<uint32_t>>;
const GemmKernels<uint64_t> kGemmSse2U64 = kKernels<uint64_t, IntegerBlock<uint64_t>>;

}  // namespace megalith::kernels

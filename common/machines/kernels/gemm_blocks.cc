#include "common/machines/kernels/gemm_blocks.h"

namespace megalith::kernels {

extern const GemmKernels<float> kGemmSse2F32, kGemmAvx2F32, kGemmAvx512F32;
extern const GemmKernels<double> kGemmSse2F64, kGemmAvx2F64, kGemmAvx512F64;
extern const GemmKernels<uint32_t> kGemmSse2U32, kGemmAvx2U32, kGemmAvx512U32;
extern const GemmKernels<uint64_t> kGemmSse2U64, kGemmAvx2U64, kGemmAvx512U64;

template <>
const GemmKernels<float>& GemmKernelsFor<float>(Isa isa) {
  return isa == Isa::kAvx512 ? kGemmAvx512F32 : isa == Isa::kAvx2 ? kGemmAvx2F32 : kGemmSse2F32;
}
template <>
const GemmKernels<double>& GemmKernelsFor<double>(Isa isa) {
  return isa == Isa::kAvx512 ? kGemmAvx512F64 : isa == Isa::kAvx2 ? kGemmAvx2F64 : kGemmSse2F64;
}
template <>
const GemmKernels<uint32_t>& GemmKernelsFor<uint32_t>(Isa isa) {
  return isa == Isa::kAvx512 ? kGemmAvx512U32 : isa == Isa::kAvx2 ? kGemmAvx2U32 : kGemmSse2U32;
}
template <>
const GemmKernels<uint64_t>& GemmKernelsFor<uint64_t>(Isa isa) {
  return isa == Isa::kAvx512 ? kGemmAvx512U64 : isa == Isa::kAvx2 ? kGemmAvx2U64 : kGemmSse2U64;
}

}  // namespace megalith::kernels

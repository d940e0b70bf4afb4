#include "common/machines/kernels/fft_lanes.h"

namespace megalith::kernels {

extern const FftLanes<float> kFftSse2F32, kFftAvx2F32, kFftAvx512F32;
extern const FftLanes<double> kFftSse2F64, kFftAvx2F64, kFftAvx512F64;

template <>
const FftLanes<float>& FftLanesFor<float>(Isa isa) {
  return isa == Isa::kAvx512 ? kFftAvx512F32 : isa == Isa::kAvx2 ? kFftAvx2F32 : kFftSse2F32;
}
template <>
const FftLanes<double>& FftLanesFor<double>(Isa isa) {
  return isa == Isa::kAvx512 ? kFftAvx512F64 : isa == Isa::kAvx2 ? kFftAvx2F64 : kFftSse2F64;
}

}  // namespace megalith::kernels

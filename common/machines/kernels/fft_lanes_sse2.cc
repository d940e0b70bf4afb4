#include "common/machines/kernels/fft_lanes.h"

#include "common/machines/kernels/fft_lanes.inc"

namespace megalith::kernels {

extern const FftLanes<float> kFftSse2F32;
extern const FftLanes<double> kFftSse2F64;
const FftLanes<float> kFftSse2F32 = kFft<float>;
const FftLanes<double> kFftSse2F64 = kFft<double>;

}  // namespace megalith::kernels

#include "common/machines/kernels/fft_lanes.h"

#include "common/machines/kernels/fft_lanes.inc"

namespace megalith::kernels {

extern const FftLanes<float> kFftAvx2F32;
extern const FftLanes<double> kFftAvx2F64;
const FftLanes<float> kFftAvx2F32 = kFft<float>;
const FftLanes<double> kFftAvx2F64 = kFft<double>;

}  // namespace megalith::kernels

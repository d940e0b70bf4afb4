#include "common/machines/kernels/fft_lanes.h"

#include "common/machines/kernels/fft_lanes.inc"

namespace megalith::kernels {

extern const FftLanes<float> kFftAvx512F32;
extern const FftLanes<double> kFftAvx512F64;
const FftLanes<float> kFftAvx512F32 = kFft<float>;
const FftLanes<double> kFftAvx512F64 = kFft<double>;

}  // namespace megalith::kernels

// The library kernel "fft": stablehlo.fft over up to three trailing dimensions of any length.
#pragma once

#include <cstdint>

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// Numbers of the parameter `type` (persistent: never change).
enum class FftKind : int64_t { kFft = 0, kIfft = 1, kRfft = 2, kIrfft = 3 };

// Parameters: type, the number of transformed dimensions, their lengths (of the real side for RFFT
// and IRFFT). Elements are c64 and c128, on the real side f32 and f64.
//
// Computed in the element type, except that lengths with a prime factor above 7 go through f64
// (Bluestein's algorithm). The relative error of a transform, in the 2-norm, is a small multiple of
// the rounding unit times log2 of the length. Lengths over 2^24 and zero: kUnimplemented.
extern const LibraryKernel kFftKernel;

}  // namespace megalith::kernels

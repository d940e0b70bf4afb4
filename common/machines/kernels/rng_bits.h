// Random bits from a counter: StableHLO's rng_bit_generator.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// "rng_bit_generator": in[0] the state (u64[2], for philox also u64[3]), out[0] the state after,
// out[1] the bits (integers or floats of 8 to 64 bits). params: RngKind. The state may be updated
// in place.
extern const LibraryKernel kRngBitsKernel;

// Appears in packages (persistent: never change, append only).
enum class RngKind : uint8_t {
  kThreeFry = 0,  // threefry2x32 (Salmon et al. 2011), 20 rounds
  kPhilox = 1,    // philox4x32, 10 rounds
};

}  // namespace megalith::kernels

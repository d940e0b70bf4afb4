// Conversion between double or float and the floats narrower than 32 bits.
//
// Rounding is to nearest, ties to even, in one step from the source type. Where a format has no
// infinity, values beyond its range become NaN, as ml_dtypes (and so JAX) converts them.
#pragma once

#include <bit>
#include <cstdint>

#include "common/foundation/tensor/dtype.h"

namespace megalith::tensor {

// The value of the low bits of `bits` in the format of `dtype` (any float of at most 16 bits).
double DecodeSmallFloat(DType dtype, uint16_t bits);
// The nearest representable value's bits.
uint16_t EncodeSmallFloat(DType dtype, double value);

// bf16 and f16 storage with conversions; arithmetic happens in float.
struct BF16 {
  uint16_t bits = 0;
  BF16() = default;
  explicit BF16(float v) {
    const uint32_t u = std::bit_cast<uint32_t>(v);
    if ((u & 0x7FFFFFFFu) > 0x7F800000u) {
      bits = static_cast<uint16_t>((u >> 16) | 0x40);  // quiet NaN, payload cut
    } else {
      bits = static_cast<uint16_t>((u + 0x7FFFu + ((u >> 16) & 1u)) >> 16);
    }
  }
  explicit operator float() const {
    return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
  }
};

struct F16 {
  uint16_t bits = 0;
  F16() = default;
  explicit F16(float v);
  explicit operator float() const;
};

}  // namespace megalith::tensor

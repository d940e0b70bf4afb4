// IEEE binary16 bits and float32, in integer operations that vectorise on every machine.
#pragma once

#include <bit>
#include <cstdint>

namespace megalith::tensor {

inline constexpr float kLargestHalf = 65504;
inline constexpr float kSmallestNormalHalf = 0x1p-14F;
inline constexpr float kSmallestHalf = 0x1p-24F;

// The nearest half, ties to even; beyond the range an infinity, NaN stays one.
[[gnu::always_inline]] inline uint16_t HalfOf(float value) {
  const auto word = std::bit_cast<uint32_t>(value);
  const uint32_t sign = word & 0x80000000U;
  const uint32_t magnitude = word ^ sign;
  // Normal: rebias the exponent and round the 13 bits that go.
  const uint32_t odd = (magnitude >> 13) & 1U;
  const uint32_t normal = (magnitude - (112U << 23) + 0xFFFU + odd) >> 13;
  // Subnormal: adding 0.5 lets the float unit round at 2^-24, the last bit of 0.5.
  const uint32_t half_one = std::bit_cast<uint32_t>(0.5F);
  const uint32_t tiny = std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude) + 0.5F) - half_one;
  uint32_t bits = magnitude < std::bit_cast<uint32_t>(kSmallestNormalHalf) ? tiny : normal;
  bits = magnitude >= (143U << 23) ? 0x7C00U : bits;  // 65536 and above
  bits = magnitude > (255U << 23) ? 0x7E00U : bits;   // NaN
  return static_cast<uint16_t>(bits | (sign >> 16));
}

// Exact.
[[gnu::always_inline]] inline float FloatOf(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000U) << 16;
  const uint32_t magnitude = static_cast<uint32_t>(half & 0x7FFFU) << 13;
  // The exponent is 112 too small, for subnormals too.
  const float scaled = std::bit_cast<float>(magnitude) * 0x1p112F;
  const uint32_t finite = std::bit_cast<uint32_t>(scaled);
  const uint32_t special = magnitude | 0x7F800000U;
  return std::bit_cast<float>((magnitude >= (0x7C00U << 13) ? special : finite) | sign);
}

}  // namespace megalith::tensor

#include "common/learning/embedding/stochastic_half.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "common/foundation/tensor/half.h"
#include "common/learning/embedding/hashing.h"

namespace megalith::embedding {
namespace {

// A float has 13 bits of fraction more than a half.
constexpr uint32_t kExtraBits = (1U << 13) - 1;

float Rounded(float value, uint64_t random) {
  const float magnitude = std::fabs(value);
  if (!(magnitude < tensor::kLargestHalf)) {
    return std::isnan(value) ? value : std::copysign(tensor::kLargestHalf, value);
  }
  float out;
  if (magnitude < tensor::kSmallestNormalHalf) {
    // Multiples of the smallest half; the quotient is exact.
    const float quotient = magnitude / tensor::kSmallestHalf;
    const float lower = std::floor(quotient);
    const auto draw = static_cast<float>(random >> 40) * 0x1p-24F;
    out = (lower + (draw < quotient - lower ? 1.0F : 0.0F)) * tensor::kSmallestHalf;
  } else {
    // A random number below one unit of the half carries into it as often as it should.
    const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
    out = std::bit_cast<float>((bits + static_cast<uint32_t>(random & kExtraBits)) & ~kExtraBits);
    out = std::min(out, tensor::kLargestHalf);
  }
  return std::copysign(out, value);
}

}  // namespace

void RoundToHalfAtRandom(uint64_t key, int64_t count, float* values) {
  for (int64_t i = 0; i < count; ++i) {
    values[i] = Rounded(values[i], Mix(key + static_cast<uint64_t>(i)));
  }
}

}  // namespace megalith::embedding

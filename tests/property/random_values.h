// Types and numbers for random programs.
#pragma once

#include <cstdint>

#include "common/foundation/base/rng.h"
#include "common/foundation/tensor/tensor.h"

namespace megalith::property {

using tensor::Dims;
using tensor::DType;
using tensor::Shape;
using tensor::Tensor;

// What the elements of an array are like. Special values are NaN, infinities, negative zero,
// denormals and the ends of the range; of integers 0, -1 and the ends of the range.
enum class Mood : uint8_t {
  kTame,     // near 1 in magnitude; small integers
  kWhole,    // small whole numbers in any dtype, so that sums are exact and values repeat
  kMixed,    // tame with a special value here and there
  kSpecial,  // special values, and numbers of any exponent
  kZero,
};
Mood RandomMood(Rng& rng);

// Any dtype StableHLO has; the common ones more often.
DType RandomDType(Rng& rng);
// One of those that `mask` (rules.h: kBoolOk and the like) allows.
DType RandomDType(Rng& rng, uint32_t mask);

// A shape of `rank` dimensions, now and then with a dimension of 0, of at most `max_elements`.
Shape RandomShape(Rng& rng, size_t rank, int64_t max_elements);
// Any rank from 0 to 8; scalars and vectors more often.
Shape RandomShape(Rng& rng, int64_t max_elements);

Tensor RandomTensor(Rng& rng, DType dtype, const Shape& shape, Mood mood);

// Uniform in [low, high].
int64_t Between(Rng& rng, int64_t low, int64_t high);
inline bool OneIn(Rng& rng, uint64_t n) { return rng.Below(n) == 0; }

}  // namespace megalith::property

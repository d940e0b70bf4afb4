// Learning rates that change with the trainer's step (embedding-tables.md section 3).
#pragma once

#include <cstdint>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

// From `initial` to `end` over `decay_steps`, along a power of the way that is left; computed in
// float32 as TensorFlow does.
struct PolynomialDecay {
  float initial = 0;
  float end = 0.0001F;
  int64_t decay_steps = 1;
  float power = 1;
  bool cycle = false;  // begin again, over a longer way, instead of staying at the end
};

// Errors: kInvalidArgument  decay_steps below 1, a power below 0, or a number that is not finite.
Status Check(const PolynomialDecay& schedule);

// The rate at `step`; steps below 0 count as 0. Requires Check(schedule).ok().
float RateAt(const PolynomialDecay& schedule, int64_t step);

// From 0 at step 0 to `rate` at `warmup_steps` and after; the constant `rate` if that is 0.
float WarmedUp(float rate, int64_t warmup_steps, int64_t step);

}  // namespace megalith::embedding

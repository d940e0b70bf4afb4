#include "common/learning/embedding/learning_rate.h"

#include <algorithm>
#include <cmath>

#include "common/foundation/base/strings.h"

namespace megalith::embedding {

Status Check(const PolynomialDecay& schedule) {
  if (schedule.decay_steps < 1) {
    return InvalidArgument(StrCat("decay_steps is ", schedule.decay_steps, ", wanted 1 or more"));
  }
  for (const float x : {schedule.initial, schedule.end, schedule.power}) {
    if (!std::isfinite(x)) {
      return InvalidArgument("initial, end and power of a schedule must be finite");
    }
  }
  if (schedule.power < 0) {
    return InvalidArgument(StrCat("power is ", schedule.power, ", wanted 0 or more"));
  }
  return OkStatus();
}

float RateAt(const PolynomialDecay& schedule, int64_t step) {
  auto at = static_cast<float>(std::max<int64_t>(step, 0));
  auto steps = static_cast<float>(schedule.decay_steps);
  if (schedule.cycle) {
    steps *= std::max(1.0F, std::ceil(at / steps));
  } else {
    at = std::min(at, steps);
  }
  const float left = 1.0F - at / steps;
  return (schedule.initial - schedule.end) * std::pow(left, schedule.power) + schedule.end;
}

float WarmedUp(float rate, int64_t warmup_steps, int64_t step) {
  if (warmup_steps <= 0) return rate;
  return RateAt({.initial = 0, .end = rate, .decay_steps = warmup_steps}, step);
}

}  // namespace megalith::embedding

// Ranks as popular things have them.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "common/foundation/base/rng.h"

namespace megalith {

// Ranks with probability proportional to 1 / rank^theta, by Gray et al., "Quickly generating
// billion-record synthetic databases" (1994).
class Zipf {
 public:
  Zipf(uint64_t n, double theta) : n_(n), theta_(theta) {
    for (uint64_t i = 1; i <= n; ++i) zeta_ += 1 / std::pow(static_cast<double>(i), theta);
    const double zeta2 = 1 + std::pow(0.5, theta);
    alpha_ = 1 / (1 - theta);
    eta_ = (1 - std::pow(2.0 / static_cast<double>(n), 1 - theta)) / (1 - zeta2 / zeta_);
  }
  // 0 to n - 1, the most popular first.
  uint64_t Next(Rng& rng) const {
    const double u = rng.Uniform();
    if (u * zeta_ < 1) return 0;
    if (u * zeta_ < 1 + std::pow(0.5, theta_)) return 1;
    const auto rank =
        static_cast<uint64_t>(static_cast<double>(n_) * std::pow(eta_ * u - eta_ + 1, alpha_));
    return std::min(rank, n_ - 1);
  }

 private:
  const uint64_t n_;
  const double theta_;
  double zeta_ = 0, alpha_ = 0, eta_ = 0;
};

}  // namespace megalith

// What rmsprop and rmspropv2 share (embedding-tables.md sections 4.9 and 4.10): in double, with the
// second moment n rounded to float32 before it is used.
//
//   dx = g + wd*w;  n = momentum*n + share*dx^2;  w -= rate/(sqrt(n) + 1) * dx
#pragma once

#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding::rmsprop {

enum { kLearningRate, kDecay, kMomentum };

[[gnu::always_inline]] inline bool Elements(const RowStep& row, double rate, double share) {
  float* const w = row.weights;
  const float* const g = row.gradient;
  float* const moment = row.floats();
  const double wd = row.params->f[kDecay];
  const double momentum = row.params->f[kMomentum];
  return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
    const double dx = g[i] + wd * w[i];
    const auto n = static_cast<float>(momentum * moment[i] + share * dx * dx);
    const auto next =
        static_cast<float>(w[i] - rate / (std::sqrt(static_cast<double>(n)) + 1) * dx);
    const bool ok = Finite(next, n);
    StoreIf(ok, next, &w[i]);
    StoreIf(ok, n, &moment[i]);
    return !ok;
  });
}

inline constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "weight_decay_factor", .number = 3},
    {.name = "momentum", .number = 4, .default_value = 0.9, .min = 0, .max = 1},
};

inline constexpr StateDef kState[] = {{.name = "n", .number = 1}};

inline constexpr Sample kSamples[] = {{{{{"weight_decay_factor", 0.1}, {"momentum", 0.5}}}}};

}  // namespace megalith::embedding::rmsprop

// What adam and amsgrad share (embedding-tables.md sections 4.5 and 4.6).
//
//   rate = lr*sqrt(1 - beta2_power)/(1 - beta1_power);  gd = g + wd*w
//   m += (gd - m)(1 - beta1);  v += (gd^2 - v)(1 - beta2);  vhat = max(vhat, v)
//   w -= (m, or with nesterov gd*(1 - beta1) + beta1*m) * rate / (sqrt(v or vhat) + eps)
//   beta1_power *= beta1;  beta2_power *= beta2
//
// The paper's reordered form: eps joins sqrt(v) before the bias correction. The powers are the
// row's own and advance when it is updated.
#pragma once

#include <algorithm>

#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding::adam {

enum { kLearningRate, kBeta1, kBeta2, kDecay, kNesterov, kEpsilon, kWarmup };

struct Rates {
  float rate, decay, beta1, beta2, epsilon;
};

template <bool kMaximum, bool kLookAhead>
[[gnu::always_inline]] inline bool Elements(const RowStep& row, const Rates& r) {
  float* const w = row.weights;
  const float* const g = row.gradient;
  float* const first = row.floats();
  float* const second = first + row.dim;
  float* const largest = second + (kMaximum ? row.dim : 0);
  return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
    const float gd = g[i] + r.decay * w[i];
    const float m = first[i] + (gd - first[i]) * (1.0F - r.beta1);
    const float v = second[i] + (gd * gd - second[i]) * (1.0F - r.beta2);
    const float most = kMaximum ? (largest[i] > v ? largest[i] : v) : v;
    const float direction = kLookAhead ? gd * (1.0F - r.beta1) + r.beta1 * m : m;
    const float below = std::sqrt(most) + r.epsilon;
    const float next = below == 0 ? w[i] : w[i] - direction * r.rate / below;
    const bool ok = Finite(next, m, v);
    StoreIf(ok, next, &w[i]);
    StoreIf(ok, m, &first[i]);
    StoreIf(ok, v, &second[i]);
    if constexpr (kMaximum) StoreIf(ok, most, &largest[i]);
    return !ok | (below == 0);
  });
}

template <bool kMaximum>
struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const powers = row.floats() + row.dim * (kMaximum ? 3 : 2);
    const auto& f = row.params->f;
    const Rates rates{
        .rate = row.learning_rate * std::sqrt(1.0F - powers[1]) / (1.0F - powers[0]),
        .decay = f[kDecay],
        .beta1 = f[kBeta1],
        .beta2 = f[kBeta2],
        .epsilon = f[kEpsilon],
    };
    // Powers of 1, which only a damaged file has.
    if (!Finite(rates.rate)) return true;
    const bool guarded = f[kNesterov] != 0 ? Elements<kMaximum, true>(row, rates)
                                           : Elements<kMaximum, false>(row, rates);
    powers[0] *= rates.beta1;
    powers[1] *= rates.beta2;
    return guarded;
  }
};

inline constexpr double kBelowOne = 0x1.fffffep-1;  // the largest float below 1

inline constexpr FieldDef kLearningRateField = {
    .name = "learning_rate", .number = 2, .default_value = 0.01};
inline constexpr FieldDef kBeta1Field = {
    .name = "beta1", .number = 3, .default_value = 0.9, .min = 0, .max = kBelowOne};
inline constexpr FieldDef kBeta2Field = {
    .name = "beta2", .number = 4, .default_value = 0.99, .min = 0, .max = kBelowOne};
inline constexpr FieldDef kDecayField = {.name = "weight_decay_factor", .number = 6};
inline constexpr FieldDef kNesterovField = {
    .name = "use_nesterov", .number = 7, .kind = FieldKind::kBool, .max = 1};
inline constexpr FieldDef kEpsilonField = {
    .name = "epsilon", .number = 8, .default_value = 0.01, .min = 0};
inline constexpr FieldDef kWarmupField = {
    .name = "warmup_steps", .number = 9, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger};

inline constexpr Sample kSamples[] = {
    {{{{"use_nesterov", 1}, {"weight_decay_factor", 0.01}, {"epsilon", 1e-4}}}},
    {{{{"beta1", 0}, {"beta2", 0}, {"epsilon", 0}}}},
};

}  // namespace megalith::embedding::adam

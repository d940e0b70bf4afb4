// Adadelta: steps in the units of the weights, from running means of squared gradients, `accum`,
// and squared steps, `accum_update`.
//
//   gd = g + wd*w;  accum = accum*r + gd^2*(1-r)
//   u = sqrt(accum_update + eps)/sqrt(accum + eps) * gd
//   w -= u*lr;  accum_update = accum_update*r + u^2*(1-r)
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kDecay, kRatio, kEpsilon, kWarmup };

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const w = row.weights;
    const float* const g = row.gradient;
    float* const accum = row.floats();
    float* const accum_update = accum + row.dim;
    const float lr = row.learning_rate;
    const float wd = row.params->f[kDecay];
    const float ratio = row.params->f[kRatio];
    const float rest = 1.0F - ratio;
    const float epsilon = row.params->f[kEpsilon];
    return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float gd = g[i] + wd * w[i];
      const float a = accum[i] * ratio + gd * gd * rest;
      const float below = std::sqrt(a + epsilon);
      const float u = below == 0 ? 0.0F : std::sqrt(accum_update[i] + epsilon) / below * gd;
      const float next = w[i] - u * lr;
      const float update = accum_update[i] * ratio + u * u * rest;
      const bool ok = Finite(next, a, update);
      StoreIf(ok, next, &w[i]);
      StoreIf(ok, a, &accum[i]);
      StoreIf(ok, update, &accum_update[i]);
      return !ok | (below == 0);
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "weight_decay_factor", .number = 3},
    {.name = "averaging_ratio", .number = 4, .default_value = 0.9, .min = 0, .max = 1},
    {.name = "epsilon", .number = 5, .default_value = 0.01, .min = 0},
    {.name = "warmup_steps", .number = 7, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "accum", .number = 1},
                               {.name = "accum_update", .number = 2}};

constexpr Sample kSamples[] = {
    {{{{"weight_decay_factor", 0.05}, {"averaging_ratio", 0.8}}}},
    {{{{"epsilon", 0}}}},
};

}  // namespace

extern const OptimizerDef kAdadelta;
constexpr OptimizerDef kAdadelta = {
    .name = "adadelta",
    .config_number = 6,
    .dump_number = 6,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula =
        "gd = g + wd*w; accum = accum*r + gd^2*(1-r); u = sqrt(accum_update + eps)/sqrt(accum + "
        "eps)*gd; w -= u*lr; accum_update = accum_update*r + u^2*(1-r)",
    .spec = "embedding-tables.md 4.4",
    .samples = kSamples,
};

}  // namespace megalith::embedding

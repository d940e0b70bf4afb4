// Follow the regularised leader, per coordinate: the weight is computed anew at every step from the
// sum of shifted gradients, `zero`, and of their squares, `norm`.
//
//   n' = norm + g^2;  zero += g - (sqrt(n') - sqrt(norm))/lr * w;  norm = n'
//   w = 0 if |zero| <= l1, else lr*(s*l1 - zero) / (sqrt(norm) + beta + l2*lr)
//
// s is the sign of zero. Quirk 6: the original takes 1 where zero is negative and 0 elsewhere.
// 1/lr weighs the pull towards the old weight, so lr = 0 defines no step (quirk 17).
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kBeta, kInitialAccumulator, kL1, kL2, kWarmup };

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    const float lr = row.learning_rate;
    if (lr == 0) return true;
    float* const w = row.weights;
    const float* const g = row.gradient;
    float* const norm = row.floats();
    float* const zero = norm + row.dim;
    const float l1 = row.params->f[kL1];
    const float rest = row.params->f[kBeta] + row.params->f[kL2] * lr;
    const float l1_if_negative = row.monolith ? l1 : -l1;
    const float l1_if_positive = row.monolith ? 0.0F : l1;
    return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float sum = norm[i] + g[i] * g[i];
      const float root = std::sqrt(sum);
      const float z = zero[i] + (g[i] - (root - std::sqrt(norm[i])) / lr * w[i]);
      const float below = root + rest;
      const float moved = lr * (Select(z < 0, l1_if_negative, l1_if_positive) - z) / below;
      const bool inside = std::fabs(z) <= l1;
      const bool undefined = !inside & (below == 0);
      const float next = Select(inside, 0, Select(undefined, w[i], moved));
      const bool ok = Finite(next, z, sum);
      StoreIf(ok, next, &w[i]);
      StoreIf(ok, sum, &norm[i]);
      StoreIf(ok, z, &zero[i]);
      return !ok | undefined;
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "beta", .number = 3, .min = 0},
    {.name = "initial_accumulator_value", .number = 4, .default_value = 0.1, .min = 0},
    {.name = "l1_regularization_strength", .number = 5, .min = 0},
    {.name = "l2_regularization_strength", .number = 6, .min = 0},
    {.name = "warmup_steps", .number = 7, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "norm", .number = 2, .initial_field = kInitialAccumulator},
                               {.name = "zero", .number = 1}};

constexpr Sample kSamples[] = {
    {{{{"beta", 1}, {"l1_regularization_strength", 0.3}, {"l2_regularization_strength", 0.5}}}},
    {{{{"initial_accumulator_value", 0}}}},
};

}  // namespace

extern const OptimizerDef kFtrl;
constexpr OptimizerDef kFtrl = {
    .name = "ftrl",
    .config_number = 3,
    .dump_number = 3,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula =
        "n = norm + g^2; zero += g - (sqrt(n) - sqrt(norm))/lr*w; norm = n; w = 0 if |zero| <= l1, "
        "else lr*(sign(zero)*l1 - zero)/(sqrt(norm) + beta + l2*lr)",
    .spec = "embedding-tables.md 4.3",
    .samples = kSamples,
};

}  // namespace megalith::embedding

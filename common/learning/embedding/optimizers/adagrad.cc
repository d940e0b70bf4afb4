// Adagrad: a step shrinks with the root of the sum of the squared gradients of its element.
//
//   gd = g + wd*w;  norm += gd^2;  w -= lr/sqrt(norm) * gd
//
// Quirk 4: in whole groups of eight elements the original steps along g instead of gd.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kInitialAccumulator, kHessianTimes, kDecay, kWarmup };

template <bool kStepAlongDecayed>
[[gnu::always_inline]] inline bool Range(const RowStep& row, int64_t begin, int64_t end) {
  float* const w = row.weights;
  const float* const g = row.gradient;
  float* const norm = row.floats();
  const float lr = row.learning_rate;
  const float wd = row.params->f[kDecay];
  return AnyElement(begin, end, [&](int64_t i) __attribute__((always_inline)) {
    const float gd = g[i] + wd * w[i];
    const float sum = norm[i] + gd * gd;
    const float rate = sum == 0 ? 0.0F : lr / std::sqrt(sum);
    const float next = w[i] - rate * (kStepAlongDecayed ? gd : g[i]);
    const bool ok = Finite(next, sum);
    StoreIf(ok, next, &w[i]);
    StoreIf(ok, sum, &norm[i]);
    return !ok | (sum == 0);
  });
}

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    if (!row.monolith || row.params->f[kDecay] == 0) return Range<true>(row, 0, row.dim);
    const int64_t whole = WholeLanes(row.dim);
    const bool in_groups = Range<false>(row, 0, whole);
    return Range<true>(row, whole, row.dim) || in_groups;
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.001},
    {.name = "initial_accumulator_value", .number = 3, .default_value = 0.1, .min = 0},
    // The original reads it nowhere either.
    {.name = "hessian_compression_times", .number = 4, .kind = FieldKind::kInt, .default_value = 1},
    {.name = "weight_decay_factor", .number = 5},
    {.name = "warmup_steps", .number = 6, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "norm", .number = 1, .initial_field = kInitialAccumulator}};

constexpr Sample kSamples[] = {
    {{{{"weight_decay_factor", 0.2}}}},
    {{{{"initial_accumulator_value", 0}}}},
};

}  // namespace

extern const OptimizerDef kAdagrad;
constexpr OptimizerDef kAdagrad = {
    .name = "adagrad",
    .config_number = 1,
    .dump_number = 1,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula = "gd = g + wd*w; norm += gd^2; w -= lr/sqrt(norm)*gd",
    .spec = "embedding-tables.md 4.2",
    .samples = kSamples,
};

}  // namespace megalith::embedding

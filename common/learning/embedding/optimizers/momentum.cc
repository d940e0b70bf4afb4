// Gradient descent that keeps its velocity.
//
//   dx = lr*(g + wd*w);  n' = momentum*n - dx
//   w += n', or with nesterov w += (1 + momentum)*n' - momentum*n;  n = n'
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kDecay, kNesterov, kMomentum, kWarmup };

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const w = row.weights;
    const float* const g = row.gradient;
    float* const velocity = row.floats();
    const float lr = row.learning_rate;
    const float wd = row.params->f[kDecay];
    const float momentum = row.params->f[kMomentum];
    // w += ahead*n' - behind*n
    const bool nesterov = row.params->f[kNesterov] != 0;
    const float ahead = nesterov ? 1.0F + momentum : 1.0F;
    const float behind = nesterov ? momentum : 0.0F;
    return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float n = momentum * velocity[i] - lr * (g[i] + wd * w[i]);
      const float next = w[i] + (ahead * n - behind * velocity[i]);
      const bool ok = Finite(next, n);
      StoreIf(ok, next, &w[i]);
      StoreIf(ok, n, &velocity[i]);
      return !ok;
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "weight_decay_factor", .number = 3},
    {.name = "use_nesterov", .number = 4, .kind = FieldKind::kBool, .max = 1},
    {.name = "momentum", .number = 5, .default_value = 0.9, .min = 0, .max = 1},
    {.name = "warmup_steps", .number = 6, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "n", .number = 1}};

constexpr Sample kSamples[] = {{{{{"use_nesterov", 1}, {"weight_decay_factor", 0.1}}}}};

}  // namespace

extern const OptimizerDef kMomentumOptimizer;
constexpr OptimizerDef kMomentumOptimizer = {
    .name = "momentum",
    .config_number = 9,
    .dump_number = 9,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula =
        "n' = momentum*n - lr*(g + wd*w); w += n' or, with nesterov, (1 + momentum)*n' - "
        "momentum*n; n = n'",
    .spec = "embedding-tables.md 4.7",
    .samples = kSamples,
};

}  // namespace megalith::embedding

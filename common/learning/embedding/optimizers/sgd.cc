// Plain gradient descent: w -= lr*g.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const w = row.weights;
    const float* const g = row.gradient;
    const float lr = row.learning_rate;
    return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float next = w[i] - lr * g[i];
      const bool ok = Finite(next);
      StoreIf(ok, next, &w[i]);
      return !ok;
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "warmup_steps", .number = 6, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

}  // namespace

extern const OptimizerDef kSgd;
constexpr OptimizerDef kSgd = {
    .name = "sgd",
    .config_number = 2,
    .dump_number = 2,
    .fields = kFields,
    .step = kLevels<Step>,
    .learning_rate_field = 0,
    .warmup_field = 1,
    .formula = "w -= lr*g",
    .spec = "embedding-tables.md 4.1",
};

}  // namespace megalith::embedding

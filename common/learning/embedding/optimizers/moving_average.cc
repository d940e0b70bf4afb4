// A running mean of what arrives as the gradient: w = momentum*w + (1 - momentum)*g. It writes no
// element into dumps, so a row's dump may have fewer elements than segments.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kMomentum };

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const w = row.weights;
    const float* const g = row.gradient;
    const float momentum = row.params->f[kMomentum];
    const float rest = 1.0F - momentum;
    return AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float next = momentum * w[i] + rest * g[i];
      const bool ok = Finite(next);
      StoreIf(ok, next, &w[i]);
      return !ok;
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "momentum", .number = 2, .default_value = 0.9, .min = 0, .max = 1}};

constexpr Sample kSamples[] = {{{{{"momentum", 0.5}}}}};

}  // namespace

extern const OptimizerDef kMovingAverage;
constexpr OptimizerDef kMovingAverage = {
    .name = "moving_average",
    .config_number = 10,
    .fields = kFields,
    .step = kLevels<Step>,
    .formula = "w = momentum*w + (1 - momentum)*g",
    .spec = "embedding-tables.md 4.8",
    .samples = kSamples,
};

}  // namespace megalith::embedding

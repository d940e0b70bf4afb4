// Rmsprop; see rmsprop_step.h. Quirk 5: the original takes its configured rate as the step size,
// whatever the learning-rate vector says.
#include "common/learning/embedding/optimizers/rmsprop_step.h"

namespace megalith::embedding {
namespace {

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    const auto& f = row.params->f;
    const float rate = row.monolith ? f[rmsprop::kLearningRate] : row.learning_rate;
    return rmsprop::Elements(row, rate, 1 - static_cast<double>(f[rmsprop::kMomentum]));
  }
};

}  // namespace

extern const OptimizerDef kRmsprop;
constexpr OptimizerDef kRmsprop = {
    .name = "rmsprop",
    .config_number = 11,
    .dump_number = 11,
    .fields = rmsprop::kFields,
    .state = rmsprop::kState,
    .step = kLevels<Step>,
    .learning_rate_field = rmsprop::kLearningRate,
    .formula = "dx = g + wd*w; n = momentum*n + (1 - momentum)*dx^2; w -= lr/(sqrt(n) + 1)*dx",
    .spec = "embedding-tables.md 4.9",
    .samples = rmsprop::kSamples,
};

}  // namespace megalith::embedding

// Rmsprop whose second moment is a decaying sum instead of a mean; see rmsprop_step.h.
#include "common/learning/embedding/optimizers/rmsprop_step.h"

namespace megalith::embedding {
namespace {

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    return rmsprop::Elements(row, row.learning_rate, 1);
  }
};

}  // namespace

extern const OptimizerDef kRmspropV2;
constexpr OptimizerDef kRmspropV2 = {
    .name = "rmspropv2",
    .config_number = 12,
    .dump_number = 12,
    .fields = rmsprop::kFields,
    .state = rmsprop::kState,
    .step = kLevels<Step>,
    .learning_rate_field = rmsprop::kLearningRate,
    .formula = "dx = g + wd*w; n = momentum*n + dx^2; w -= lr/(sqrt(n) + 1)*dx",
    .spec = "embedding-tables.md 4.10",
    .samples = rmsprop::kSamples,
};

}  // namespace megalith::embedding

// A running mean of the steps between an id's appearances, for the sampling correction of batch
// softmax: w = (1 - lr)*w + lr*(global_step - A);  A = global_step. The gradient is not used.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    int64_t last = 0;
    std::memcpy(&last, row.state, sizeof(last));
    int64_t gap = 0;
    // Only a damaged file has a last step from which no gap can be told.
    if (row.global_step < 0 || __builtin_sub_overflow(row.global_step, last, &gap)) return true;
    const float lr = row.learning_rate;
    const float next = (1.0F - lr) * row.weights[0] + lr * static_cast<float>(gap);
    if (!Finite(next)) return true;
    row.weights[0] = next;
    std::memcpy(row.state, &row.global_step, sizeof(row.global_step));
    return false;
  }
};

constexpr FieldDef kFields[] = {{.name = "learning_rate", .number = 2, .default_value = 0.1}};

constexpr StateDef kState[] = {{.name = "global_step", .number = 1, .kind = StateKind::kInt64}};

}  // namespace

extern const OptimizerDef kBatchSoftmax;
constexpr OptimizerDef kBatchSoftmax = {
    .name = "batch_softmax",
    .config_number = 15,
    .dump_number = 14,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .max_dim = 1,
    .learning_rate_field = 0,
    .formula = "w = (1 - lr)*w + lr*(step - A); A = step; the gradient is not used",
    .spec = "embedding-tables.md 4.11",
};

}  // namespace megalith::embedding

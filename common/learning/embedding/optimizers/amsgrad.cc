// Adam with the largest second moment so far in the denominator; see adam_step.h.
#include "common/learning/embedding/optimizers/adam_step.h"

namespace megalith::embedding {
namespace {

constexpr FieldDef kFields[] = {
    adam::kLearningRateField, adam::kBeta1Field,   adam::kBeta2Field,  adam::kDecayField,
    adam::kNesterovField,     adam::kEpsilonField, adam::kWarmupField,
};

constexpr StateDef kState[] = {
    {.name = "m", .number = 1},
    {.name = "v", .number = 2},
    {.name = "vhat", .number = 3},
    {.name = "beta1_power", .number = 4, .kind = StateKind::kFloat, .initial_field = adam::kBeta1},
    {.name = "beta2_power", .number = 5, .kind = StateKind::kFloat, .initial_field = adam::kBeta2},
};

}  // namespace

extern const OptimizerDef kAmsgrad;
constexpr OptimizerDef kAmsgrad = {
    .name = "amsgrad",
    .config_number = 8,
    .dump_number = 8,
    .fields = kFields,
    .state = kState,
    .step = kLevels<adam::Step<true>>,
    .learning_rate_field = adam::kLearningRate,
    .warmup_field = adam::kWarmup,
    .formula = "adam with vhat = max(vhat, v) in place of v in the step",
    .spec = "embedding-tables.md 4.6",
    .samples = adam::kSamples,
};

}  // namespace megalith::embedding

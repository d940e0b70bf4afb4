// Adam; see adam_step.h. Quirk 7: the original mixes the powers up when it restores a row; we put
// back what was dumped.
#include "common/learning/embedding/optimizers/adam_step.h"

namespace megalith::embedding {
namespace {

constexpr FieldDef kFields[] = {
    adam::kLearningRateField,
    adam::kBeta1Field,
    adam::kBeta2Field,
    adam::kDecayField,
    adam::kNesterovField,
    adam::kEpsilonField,
    adam::kWarmupField,
    // The original reads it nowhere either.
    {.name = "use_beta1_warmup", .number = 5, .kind = FieldKind::kBool, .max = 1},
};

constexpr StateDef kState[] = {
    {.name = "m", .number = 1},
    {.name = "v", .number = 2},
    {.name = "beta1_power", .number = 3, .kind = StateKind::kFloat, .initial_field = adam::kBeta1},
    {.name = "beta2_power", .number = 4, .kind = StateKind::kFloat, .initial_field = adam::kBeta2},
};

}  // namespace

extern const OptimizerDef kAdam;
constexpr OptimizerDef kAdam = {
    .name = "adam",
    .config_number = 7,
    .dump_number = 7,
    .fields = kFields,
    .state = kState,
    .step = kLevels<adam::Step<false>>,
    .learning_rate_field = adam::kLearningRate,
    .warmup_field = adam::kWarmup,
    .formula =
        "gd = g + wd*w; m += (gd - m)(1 - beta1); v += (gd^2 - v)(1 - beta2); w -= lr*sqrt(1 - "
        "beta2_power)/(1 - beta1_power)*d/(sqrt(v) + eps), d = m or, with nesterov, gd*(1 - beta1) "
        "+ beta1*m",
    .spec = "embedding-tables.md 4.5",
    .samples = adam::kSamples,
};

}  // namespace megalith::embedding

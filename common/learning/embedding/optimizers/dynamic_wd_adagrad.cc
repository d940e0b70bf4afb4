// Adagrad whose weight decay may stand beside the gradient step instead of inside it.
//
//   gd = g + (decouple ? 0 : wd*w);  norm += gd^2
//   w -= lr/sqrt(norm) * gd + (decouple ? lr*wd*w : 0)
//
// Not decoupled, monolith steps along g in whole groups of eight elements (quirk 4). What
// enable_dynamic_wd did is lost: such a configuration is refused.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kInitialAccumulator, kHessianTimes, kDecay, kWarmup, kDecouple, kDynamic };

template <bool kStepAlongDecayed>
[[gnu::always_inline]] inline bool Range(const RowStep& row, float inside, float beside,
                                         int64_t begin, int64_t end) {
  float* const w = row.weights;
  const float* const g = row.gradient;
  float* const norm = row.floats();
  const float lr = row.learning_rate;
  return AnyElement(begin, end, [&](int64_t i) __attribute__((always_inline)) {
    const float gd = g[i] + inside * w[i];
    const float sum = norm[i] + gd * gd;
    const float rate = sum == 0 ? 0.0F : lr / std::sqrt(sum);
    const float next = w[i] - (rate * (kStepAlongDecayed ? gd : g[i]) + lr * beside * w[i]);
    const bool ok = Finite(next, sum);
    StoreIf(ok, next, &w[i]);
    StoreIf(ok, sum, &norm[i]);
    return !ok | (sum == 0);
  });
}

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    const float decay = row.params->f[kDecay];
    const bool decouple = row.params->f[kDecouple] != 0;
    const float inside = decouple ? 0.0F : decay;
    const float beside = decouple ? decay : 0.0F;
    const int64_t whole = row.monolith && inside != 0 ? WholeLanes(row.dim) : 0;
    const bool in_groups = Range<false>(row, inside, beside, 0, whole);
    const bool guarded = Range<true>(row, inside, beside, whole, row.dim) || in_groups;
    std::memcpy(row.state + row.dim * static_cast<int64_t>(sizeof(float)), &row.global_step,
                sizeof(row.global_step));
    return guarded;
  }
};

Status Check(const Params& params) {
  if (params.d[kDynamic] == 0) return OkStatus();
  return Unimplemented(
      "enable_dynamic_wd has no published formula; set it to false (Monolith's Python class sets "
      "it to true unless told otherwise)");
}

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.001},
    {.name = "initial_accumulator_value", .number = 3, .default_value = 0.1, .min = 0},
    {.name = "hessian_compression_times", .number = 4, .kind = FieldKind::kInt, .default_value = 1},
    {.name = "weight_decay_factor", .number = 5},
    {.name = "warmup_steps", .number = 6, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
    {.name = "decouple_weight_decay", .number = 7, .kind = FieldKind::kBool, .max = 1},
    {.name = "enable_dynamic_wd", .number = 8, .kind = FieldKind::kBool, .max = 1},
    // Without effect while enable_dynamic_wd is false.
    {.name = "dynamic_wd_temperature", .number = 9, .default_value = 1},
    {.name = "flip_direction", .number = 10, .kind = FieldKind::kBool, .max = 1},
};

constexpr StateDef kState[] = {
    {.name = "norm", .number = 1, .initial_field = kInitialAccumulator},
    {.name = "last_update_step", .number = 2, .kind = StateKind::kInt64, .optional = true},
};

constexpr Sample kSamples[] = {
    {{{{"weight_decay_factor", 0.2}}}},
    {{{{"weight_decay_factor", 0.2}, {"decouple_weight_decay", 1}}}},
};

}  // namespace

extern const OptimizerDef kDynamicWdAdagrad;
constexpr OptimizerDef kDynamicWdAdagrad = {
    .name = "dynamic_wd_adagrad",
    .config_number = 5,
    .dump_number = 4,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .check = Check,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula = "adagrad; decoupled: gd = g and w -= lr*wd*w beside the step",
    .spec = "embedding-tables.md 4.13",
    .samples = kSamples,
};

}  // namespace megalith::embedding

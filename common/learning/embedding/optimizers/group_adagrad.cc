// Adagrad for whole rows, with a group lasso: one accumulator per row, and a penalty on the row's
// norm that sets rows of little use to zero.
//
//   gd = g + wd*w;  S += max_i gd_i^2;  eta = lr/(beta + sqrt(S))
//   v = w - eta*gd;  w = v * max(0, 1 - eta*l2/||v||), 0 where v = 0
//
// This is the original's z = gd - w/eta; w = -eta*(||z|| - l2)/||z|| * z or 0, without dividing by
// eta. Quirk 17: with lr = 0 monolith leaves the row as it is; the limit of the formula advances S.
#include "common/learning/embedding/optimizers/lane_sum.h"
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kBeta, kInitialAccumulator, kL2, kDecay, kWarmup };

struct Step {
  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    float* const w = row.weights;
    const float* const g = row.gradient;
    const int64_t dim = row.dim;
    const float lr = row.learning_rate;
    const float wd = row.params->f[kDecay];
    const float l2 = row.params->f[kL2];
    if (lr == 0 && row.monolith) return true;
    const float sum = *row.floats() + Largest(dim, [&](int64_t i) __attribute__((always_inline)) {
      const float gd = g[i] + wd * w[i];
      return gd * gd;
    });
    if (!Finite(sum)) return true;
    if (lr == 0) {
      *row.floats() = sum;
      return true;
    }
    const float below = row.params->f[kBeta] + std::sqrt(sum);
    if (below == 0) {
      // No step is defined. The original divides by zero and, if l2 > 0, comes out at zero.
      if (row.monolith && l2 > 0) {
        for (int64_t i = 0; i < dim; ++i) w[i] = 0;
      }
      return true;
    }
    const float eta = lr / below;
    const double length =
        std::sqrt(SumOfSquares(dim, [&](int64_t i) __attribute__((always_inline)) {
          return w[i] - eta * (g[i] + wd * w[i]);
        }));
    if (!(length <= FLT_MAX)) return true;
    const double threshold = std::fabs(static_cast<double>(eta)) * l2;
    const auto factor = static_cast<float>(length > threshold ? 1 - threshold / length : 0.0);
    *row.floats() = sum;
    return AnyElement(0, dim, [&](int64_t i) __attribute__((always_inline)) {
      const float next = (w[i] - eta * (g[i] + wd * w[i])) * factor;
      const bool ok = Finite(next);
      StoreIf(ok, next, &w[i]);
      return !ok;
    });
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "beta", .number = 3, .min = 0},
    {.name = "initial_accumulator_value", .number = 4, .default_value = 0.1, .min = 0},
    {.name = "l2_regularization_strength", .number = 5, .min = 0},
    {.name = "weight_decay_factor", .number = 6},
    {.name = "warmup_steps", .number = 7, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "grad_square_sum",
                                .number = 1,
                                .kind = StateKind::kFloat,
                                .initial_field = kInitialAccumulator}};

constexpr Sample kSamples[] = {
    {{{{"beta", 1}, {"l2_regularization_strength", 0.5}, {"weight_decay_factor", 0.1}}}},
    {{{{"initial_accumulator_value", 0}}}},
    {{{{"initial_accumulator_value", 0}, {"l2_regularization_strength", 0.5}}}},
};

}  // namespace

extern const OptimizerDef kGroupAdagrad;
constexpr OptimizerDef kGroupAdagrad = {
    .name = "group_adagrad",
    .config_number = 16,
    .dump_number = 15,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .whole_row = true,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula =
        "gd = g + wd*w; S += max gd^2; eta = lr/(beta + sqrt(S)); v = w - eta*gd; w = v*max(0, 1 - "
        "eta*l2/norm2(v))",
    .spec = "embedding-tables.md 4.12",
    .samples = kSamples,
};

}  // namespace megalith::embedding

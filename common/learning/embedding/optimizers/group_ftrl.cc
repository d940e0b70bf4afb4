// Ftrl whose l1 acts on the norm of the whole row, so that a row is zero or none of it is.
//
//   n', zero as ftrl;  Z = ||zero||;  w = 0 if Z < l1,
//   else w = lr*zero*((l1 - Z)/Z) / (beta + sqrt(norm) + t*l2*lr)
//
// t is 1. Quirk 19: in whole groups of eight elements the original's kernel, which nothing in its
// open tree calls, subtracts l2*lr. With lr = 0 no step is defined (quirk 17).
#include "common/learning/embedding/optimizers/lane_sum.h"
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLearningRate, kBeta, kInitialAccumulator, kL1, kL2, kWarmup };

struct Step {
  // One element's new sums.
  struct Sums {
    float norm, root, zero;
  };
  [[gnu::always_inline]] static Sums At(const RowStep& row, int64_t i) {
    const float* const norm = row.floats();
    const float g = row.gradient[i];
    const float sum = norm[i] + g * g;
    const float root = std::sqrt(sum);
    const float pull = (root - std::sqrt(norm[i])) / row.learning_rate * row.weights[i];
    return {.norm = sum, .root = root, .zero = norm[row.dim + i] + (g - pull)};
  }

  [[gnu::always_inline]] static bool Range(const RowStep& row, float scale, float rest,
                                           int64_t begin, int64_t end) {
    float* const w = row.weights;
    float* const norm = row.floats();
    float* const zero = norm + row.dim;
    return AnyElement(begin, end, [&](int64_t i) __attribute__((always_inline)) {
      const Sums sums = At(row, i);
      const float below = row.params->f[kBeta] + sums.root + rest;
      const bool undefined = (scale != 0) & (below == 0);
      const float moved = scale * sums.zero / below;
      const float next = Select(scale == 0, 0, Select(undefined, w[i], moved));
      const bool ok = Finite(next);
      StoreIf(ok, next, &w[i]);
      norm[i] = sums.norm;
      zero[i] = sums.zero;
      return !ok | undefined;
    });
  }

  [[gnu::always_inline]] static bool Run(const RowStep& row) {
    const float lr = row.learning_rate;
    if (lr == 0) return true;
    const bool overflows = AnyElement(0, row.dim, [&](int64_t i) __attribute__((always_inline)) {
      const Sums sums = At(row, i);
      return !Finite(sums.norm, sums.zero);
    });
    if (overflows) return true;
    const double length = std::sqrt(SumOfSquares(
        row.dim, [&](int64_t i) __attribute__((always_inline)) { return At(row, i).zero; }));
    const double l1 = row.params->f[kL1];
    // lr*(l1 - Z)/Z, or 0 where the row becomes zero.
    const auto scale =
        static_cast<float>(length < l1 || length == 0 ? 0.0 : lr * ((l1 - length) / length));
    const float shift = row.params->f[kL2] * lr;
    const int64_t whole = row.monolith ? WholeLanes(row.dim) : 0;
    const bool in_groups = Range(row, scale, -shift, 0, whole);
    return Range(row, scale, shift, whole, row.dim) || in_groups;
  }
};

constexpr FieldDef kFields[] = {
    {.name = "learning_rate", .number = 2, .default_value = 0.01},
    {.name = "beta", .number = 3, .default_value = 1, .min = 0},
    {.name = "initial_accumulator_value", .number = 4, .min = 0},
    {.name = "l1_regularization_strength", .number = 5, .min = 0},
    {.name = "l2_regularization_strength", .number = 6, .min = 0},
    {.name = "warmup_steps", .number = 7, .kind = FieldKind::kInt, .min = 0, .max = kMaxInteger},
};

constexpr StateDef kState[] = {{.name = "norm", .number = 2, .initial_field = kInitialAccumulator},
                               {.name = "zero", .number = 1}};

constexpr Sample kSamples[] = {
    {{{{"l1_regularization_strength", 0.1}, {"l2_regularization_strength", 2}}}},
    {{{{"beta", 0}}}},
};

}  // namespace

extern const OptimizerDef kGroupFtrl;
constexpr OptimizerDef kGroupFtrl = {
    .name = "group_ftrl",
    .config_number = 14,
    .dump_number = 13,
    .fields = kFields,
    .state = kState,
    .step = kLevels<Step>,
    .whole_row = true,
    .learning_rate_field = kLearningRate,
    .warmup_field = kWarmup,
    .formula =
        "norm, zero as ftrl; Z = norm2(zero); w = 0 if Z < l1, else lr*zero*((l1 - Z)/Z)/(beta + "
        "sqrt(norm) + l2*lr)",
    .spec = "embedding-tables.md 4.13",
    .samples = kSamples,
};

}  // namespace megalith::embedding

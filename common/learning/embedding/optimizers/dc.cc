// Delay compensation: a gradient that was computed from an older row is moved towards what it would
// be now, g' = g + lambda*g^2*(w - snapshot) (DC-ASGD), and given to another optimizer.
//
// Computed as (lambda*g)*(g*(w - snapshot)), so that an unmoved row leaves even a huge g as it is.
#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {
namespace {

enum { kLambda };

struct Compensate {
  [[gnu::always_inline]] static int Run(const Compensation& c) {
    const float lambda = c.params->f[kLambda];
    AnyElement(0, c.dim, [&](int64_t i) __attribute__((always_inline)) {
      const float g = c.gradient[i];
      c.out[i] = g + (lambda * g) * (g * (c.weights[i] - c.snapshot[i]));
      return false;
    });
    return 0;
  }
};

constexpr FieldDef kFields[] = {{.name = "lambda_", .number = 2}};

constexpr Sample kSamples[] = {{{{{"lambda_", 0.1}}}}};

}  // namespace

extern const OptimizerDef kDc;
constexpr OptimizerDef kDc = {
    .name = "dc",
    .config_number = 13,
    .fields = kFields,
    .compensate = kLevels<Compensate>,
    .formula = "g += lambda*g^2*(w - snapshot), then its base",
    .spec = "embedding-tables.md 4.14",
    .samples = kSamples,
};

}  // namespace megalith::embedding

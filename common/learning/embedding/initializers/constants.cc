// The same number in every element.
#include <algorithm>

#include "common/learning/embedding/initializers/initializer.h"

namespace megalith::embedding {
namespace {

constexpr FieldDef kFields[] = {{.name = "constant", .number = 2}};
constexpr Sample kSamples[] = {{{{{"constant", 0.5}}}}};

}  // namespace

extern const InitializerDef kConstants;
constexpr InitializerDef kConstants = {
    .name = "constants",
    .config_number = 15,
    .fields = kFields,
    .fill = [](const Params& params, uint64_t, int64_t dim,
               float* out) { std::fill_n(out, dim, params.f[0]); },
    .rule = "constant",
    .spec = "embedding-tables.md 5",
    .samples = kSamples,
};

}  // namespace megalith::embedding

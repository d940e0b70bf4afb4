// All ones.
#include <algorithm>

#include "common/learning/embedding/initializers/initializer.h"

namespace megalith::embedding {

extern const InitializerDef kOnes;
constexpr InitializerDef kOnes = {
    .name = "ones",
    .config_number = 3,
    .fill = [](const Params&, uint64_t, int64_t dim, float* out) { std::fill_n(out, dim, 1.0F); },
    .rule = "1",
    .spec = "embedding-tables.md 5",
};

}  // namespace megalith::embedding

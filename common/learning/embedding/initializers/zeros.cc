// All zeros.
#include <algorithm>

#include "common/learning/embedding/initializers/initializer.h"

namespace megalith::embedding {

extern const InitializerDef kZeros;
constexpr InitializerDef kZeros = {
    .name = "zeros",
    .config_number = 1,
    .fill = [](const Params&, uint64_t, int64_t dim, float* out) { std::fill_n(out, dim, 0.0F); },
    .rule = "0",
    .spec = "embedding-tables.md 5",
};

}  // namespace megalith::embedding

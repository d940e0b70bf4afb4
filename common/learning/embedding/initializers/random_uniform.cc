// Uniform in [minval, maxval), drawn from the key: a row gets the same values whenever and on
// whatever thread it is made. (The original's depend on what its thread made before.)
#include <cmath>

#include "common/learning/embedding/hashing.h"
#include "common/learning/embedding/initializers/initializer.h"

namespace megalith::embedding {
namespace {

enum { kMin, kMax };

void Fill(const Params& params, uint64_t key, int64_t dim, float* out) {
  const double low = params.f[kMin];
  const double span = static_cast<double>(params.f[kMax]) - low;
  const float last = std::nextafter(params.f[kMax], params.f[kMin]);
  for (int64_t i = 0; i < dim; ++i) {
    const uint64_t bits = Mix(key + static_cast<uint64_t>(i)) >> 11;
    const auto value = static_cast<float>(low + span * (static_cast<double>(bits) * 0x1.0p-53));
    // Rounding to float32 may reach the end, which is excluded.
    out[i] = value < params.f[kMax] ? value : last;
  }
}

Status Check(const Params& params) {
  if (params.f[kMin] <= params.f[kMax]) return OkStatus();
  return InvalidArgument(StrCat("minval is ", params.f[kMin], " and maxval ", params.f[kMax],
                                ", wanted minval not above maxval"));
}

constexpr FieldDef kFields[] = {
    {.name = "minval", .number = 2, .default_value = -0.05},
    {.name = "maxval", .number = 3, .default_value = 0.05},
};

constexpr Sample kSamples[] = {{{{{"minval", -2}, {"maxval", 3}}}},
                               {{{{"minval", 0.5}, {"maxval", 0.5}}}}};

}  // namespace

extern const InitializerDef kRandomUniform;
constexpr InitializerDef kRandomUniform = {
    .name = "random_uniform",
    .config_number = 2,
    .fields = kFields,
    .fill = Fill,
    .check = Check,
    .rule = "uniform in [minval, maxval), from the fid and the table's seed",
    .spec = "embedding-tables.md 5",
    .samples = kSamples,
};

}  // namespace megalith::embedding

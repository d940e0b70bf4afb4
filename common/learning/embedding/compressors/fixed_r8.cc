// Eight-bit fixed point in [-r, r): the nearest multiple of r/128, ties away from zero, NaN to 0.
// Training tables read the value that will be served; gradients pass unchanged (straight-through).
#include <cmath>

#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {
namespace {

enum { kRange };
constexpr float kSteps = 128;

size_t Bytes(int64_t dim) { return static_cast<size_t>(dim); }

[[gnu::always_inline]] inline float Quantized(float value, float step) {
  const float shifted = (value + Select(value >= 0, step / 2, -step / 2)) / step;
  // Clamped before truncation, which is defined for the range of int32 only; NaN becomes 0.
  const float least = Select(shifted > -kSteps, shifted, -kSteps);
  const float clamped = Select(least < kSteps - 1, least, kSteps - 1);
  return static_cast<float>(static_cast<int32_t>(Select(value == value, clamped, 0)));
}

struct Encode {
  [[gnu::always_inline]] static int Run(const Encoding& e) {
    const float* const values = e.values;
    auto* const stored = reinterpret_cast<int8_t*>(e.stored);
    const float step = e.params->f[kRange] / kSteps;
    return EachElement(e.dim, [&](int64_t i) __attribute__((always_inline)) {
      stored[i] = static_cast<int8_t>(static_cast<int32_t>(Quantized(values[i], step)));
    });
  }
};

struct Decode {
  [[gnu::always_inline]] static int Run(const Decoding& d) {
    const auto* const stored = reinterpret_cast<const int8_t*>(d.stored);
    float* const values = d.values;
    const float step = d.params->f[kRange] / kSteps;
    return EachElement(d.dim, [&](int64_t i) __attribute__((always_inline)) {
      values[i] = static_cast<float>(stored[i]) * step;
    });
  }
};

struct Read {
  [[gnu::always_inline]] static int Run(const TrainingRead& r) {
    const float* const weights = r.weights;
    float* const out = r.out;
    const float step = r.params->f[kRange] / kSteps;
    return EachElement(r.dim, [&](int64_t i) __attribute__((always_inline)) {
      out[i] = Quantized(weights[i], step) * step;
    });
  }
};

constexpr FieldDef kFields[] = {{.name = "r", .number = 2, .default_value = 1, .min = 1e-30}};

constexpr Sample kSamples[] = {{{{{"r", 0.25}}}}};

}  // namespace

extern const CompressorDef kFixedR8;
constexpr CompressorDef kFixedR8 = {
    .name = "fixed_r8",
    .config_number = 3,
    .fields = kFields,
    .bytes = Bytes,
    .encode = kLevels<Encode>,
    .decode = kLevels<Decode>,
    .training_read = kLevels<Read>,
    .rule = "the nearest multiple of r/128 in [-r, r); training reads the same",
    .spec = "embedding-tables.md 6",
    .samples = kSamples,
};

}  // namespace megalith::embedding

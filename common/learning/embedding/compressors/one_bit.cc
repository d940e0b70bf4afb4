// The sign of each value, served as +-amplitude (0 counts as negative). Training tables read
// amplitude*tanh(scale*w), with a scale that grows with the steps until the curve is almost the
// step function that will be served; gradients take the curve's slope (HashNet).
#include <algorithm>
#include <cmath>

#include "common/learning/embedding/compressors/compressor.h"

namespace megalith::embedding {
namespace {

enum { kStepSize, kInitialScale, kMaxScale, kAmplitude };
constexpr float kGrowth = 0.005F;

size_t Bytes(int64_t dim) { return static_cast<size_t>(dim + 7) / 8; }

struct Encode {
  [[gnu::always_inline]] static int Run(const Encoding& e) {
    // amplitude*tanh(scale*x) > 0, as neither of the two is negative.
    const bool positive = e.params->f[kAmplitude] * e.params->f[kInitialScale] > 0;
    for (int64_t i = 0; i < e.dim; i += 8) {
      uint8_t bits = 0;
      for (int64_t j = i; j < std::min(i + 8, e.dim); ++j) {
        bits =
            static_cast<uint8_t>(bits | static_cast<int>(positive & (e.values[j] > 0)) << (j - i));
      }
      e.stored[i / 8] = std::byte{bits};
    }
    return 0;
  }
};

struct Decode {
  [[gnu::always_inline]] static int Run(const Decoding& d) {
    const float amplitude = d.params->f[kAmplitude];
    for (int64_t i = 0; i < d.dim; ++i) {
      const int bit = std::to_integer<int>(d.stored[i / 8]) >> (i % 8) & 1;
      d.values[i] = bit != 0 ? amplitude : -amplitude;
    }
    return 0;
  }
};

struct Read {
  [[gnu::always_inline]] static int Run(const TrainingRead& r) {
    const float amplitude = r.params->f[kAmplitude];
    for (int64_t i = 0; i < r.dim; ++i) r.out[i] = amplitude * std::tanh(r.scale * r.weights[i]);
    return 0;
  }
};

struct RewriteGradient {
  [[gnu::always_inline]] static int Run(const TrainingRead& r) {
    const float factor = r.params->f[kAmplitude] * r.scale;
    for (int64_t i = 0; i < r.dim; ++i) {
      const float y = std::tanh(r.scale * r.weights[i]);
      r.out[i] = r.gradient[i] * (factor * (1 - y * y));
    }
    return 0;
  }
};

float NextScale(const Params& params, float scale, int64_t global_step) {
  if (global_step % static_cast<int64_t>(params.d[kStepSize]) != 0) return scale;
  const float grown =
      params.f[kInitialScale] * std::sqrt(1.0F + kGrowth * static_cast<float>(global_step));
  return std::min(params.f[kMaxScale], grown);
}

constexpr FieldDef kFields[] = {
    {.name = "step_size",
     .number = 2,
     .kind = FieldKind::kInt,
     .default_value = 200,
     .min = 1,
     .max = kMaxInteger},
    {.name = "init_scale", .number = 3, .default_value = 1, .min = 0},
    {.name = "max_scale", .number = 4, .default_value = 10000, .min = 0},
    {.name = "amplitude", .number = 5, .default_value = 0.1, .min = 0},
};

constexpr Sample kSamples[] = {{{{{"step_size", 1}, {"max_scale", 2}, {"amplitude", 0.05}}}}};

}  // namespace

extern const CompressorDef kOneBit;
constexpr CompressorDef kOneBit = {
    .name = "one_bit",
    .config_number = 4,
    .fields = kFields,
    .bytes = Bytes,
    .encode = kLevels<Encode>,
    .decode = kLevels<Decode>,
    .training_read = kLevels<Read>,
    .rewrite_gradient = kLevels<RewriteGradient>,
    .initial_scale = [](const Params& params) { return params.f[kInitialScale]; },
    .next_scale = NextScale,
    .rule =
        "the sign, read as +-amplitude; training reads amplitude*tanh(scale*w) and gradients take "
        "its slope",
    .spec = "embedding-tables.md 6",
    .samples = kSamples,
};

}  // namespace megalith::embedding

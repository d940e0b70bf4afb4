// The record of a compressor: how a serving table stores a segment, and how a training table that
// will be served with it reads the segment's float32 values meanwhile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/record.h"
#include "common/learning/embedding/vector_level.h"

namespace megalith::embedding {

struct Encoding {
  const Params* params = nullptr;
  const float* values = nullptr;  // dim
  std::byte* stored = nullptr;    // bytes(dim), not aligned
  int64_t dim = 0;
};

struct Decoding {
  const Params* params = nullptr;
  const std::byte* stored = nullptr;  // bytes(dim), not aligned
  float* values = nullptr;            // dim
  int64_t dim = 0;
};

// One segment of a training row on its way to a reader, or its gradient on the way back.
struct TrainingRead {
  const Params* params = nullptr;
  float scale = 0;                  // shared by all rows, of records that have one
  const float* weights = nullptr;   // dim, as stored
  const float* gradient = nullptr;  // dim; only for rewrite_gradient
  float* out = nullptr;             // dim; may be `gradient`
  int64_t dim = 0;
};

struct CompressorDef {
  std::string_view name;
  int config_number = 0;  // in FloatCompressorConfig's oneof (persistent: never change)
  std::span<const FieldDef> fields;
  size_t (*bytes)(int64_t dim) = nullptr;
  Leveled<int, Encoding> encode{};
  Leveled<int, Decoding> decode{};
  // None: training reads the weights as they are, and gradients pass unchanged.
  Leveled<int, TrainingRead> training_read{};
  Leveled<int, TrainingRead> rewrite_gradient{};
  // The shared scale at the start, and before a step at `global_step` when it was `scale`.
  float (*initial_scale)(const Params& params) = nullptr;
  float (*next_scale)(const Params& params, float scale, int64_t global_step) = nullptr;
  std::string_view rule;  // for the documentation
  std::string_view spec;
  std::span<const Sample> samples;
};

// All records, in the order of Monolith's numbers.
std::span<const CompressorDef* const> Compressors();

// Calls one(i) for i < dim, which touches nothing that another index touches.
template <typename One>
[[gnu::always_inline]] inline int EachElement(int64_t dim, One one) {
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < dim; ++i) one(i);
  return 0;
}

}  // namespace megalith::embedding

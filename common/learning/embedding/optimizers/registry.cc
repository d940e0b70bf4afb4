// Every optimizer, by name.
#include <array>

#include "common/learning/embedding/optimizers/optimizer.h"

namespace megalith::embedding {

extern const OptimizerDef kAdadelta;
extern const OptimizerDef kAdagrad;
extern const OptimizerDef kAdam;
extern const OptimizerDef kAmsgrad;
extern const OptimizerDef kBatchSoftmax;
extern const OptimizerDef kDc;
extern const OptimizerDef kDynamicWdAdagrad;
extern const OptimizerDef kFtrl;
extern const OptimizerDef kGroupAdagrad;
extern const OptimizerDef kGroupFtrl;
extern const OptimizerDef kMomentumOptimizer;
extern const OptimizerDef kMovingAverage;
extern const OptimizerDef kRmsprop;
extern const OptimizerDef kRmspropV2;
extern const OptimizerDef kSgd;

std::span<const OptimizerDef* const> Optimizers() {
  static constexpr std::array kAll = {
      &kAdagrad,       &kSgd,          &kFtrl,        &kDynamicWdAdagrad,
      &kAdadelta,      &kAdam,         &kAmsgrad,     &kMomentumOptimizer,
      &kMovingAverage, &kRmsprop,      &kRmspropV2,   &kDc,
      &kGroupFtrl,     &kBatchSoftmax, &kGroupAdagrad};
  return kAll;
}

size_t StateOffset(const OptimizerDef& optimizer, size_t index, int64_t dim) {
  size_t bytes = 0;
  for (const StateDef& state : optimizer.state.first(index)) {
    switch (state.kind) {
      case StateKind::kPerElement:
        bytes += static_cast<size_t>(dim) * sizeof(float);
        break;
      case StateKind::kFloat:
        bytes += sizeof(float);
        break;
      case StateKind::kInt64:
        bytes += sizeof(int64_t);
        break;
    }
  }
  return bytes;
}

size_t StateBytes(const OptimizerDef& optimizer, int64_t dim) {
  return StateOffset(optimizer, optimizer.state.size(), dim);
}

void InitState(const OptimizerDef& optimizer, const Params& params, int64_t dim, std::byte* state) {
  for (const StateDef& def : optimizer.state) {
    const float value =
        def.initial_field < 0 ? 0.0F : params.f[static_cast<size_t>(def.initial_field)];
    if (def.kind == StateKind::kInt64) {
      const auto integer = static_cast<int64_t>(value);
      std::memcpy(state, &integer, sizeof(integer));
      state += sizeof(integer);
      continue;
    }
    const int64_t count = def.kind == StateKind::kPerElement ? dim : 1;
    float* const floats = reinterpret_cast<float*>(state);
    for (int64_t i = 0; i < count; ++i) floats[i] = value;
    state += static_cast<size_t>(count) * sizeof(float);
  }
}

}  // namespace megalith::embedding

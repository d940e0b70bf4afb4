// The record of an optimizer: everything Megalith knows about one rule of updating a row's segment.
//
// A new optimizer is one file with one record and one line in registry.cc; configuration, memory
// layout, files, conversions and property tests work from the record.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstring>
#include <span>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/record.h"
#include "common/learning/embedding/vector_level.h"

namespace megalith::embedding {

enum class StateKind : uint8_t {
  kPerElement,  // dim float32
  kFloat,       // one float32
  kInt64,       // one int64, at any multiple of four bytes
};

// One array or number of optimizer state.
struct StateDef {
  std::string_view name;  // in the dump message, as `number` (persistent: never change)
  int number = 0;
  StateKind kind = StateKind::kPerElement;
  // Index of the field that a new row's state takes its value from; -1: zero.
  int initial_field = -1;
  // Whether a dump may lack it; it is zero then.
  bool optional = false;
};

// One segment of one row on its way through a step.
struct RowStep {
  float* weights = nullptr;         // dim
  const float* gradient = nullptr;  // dim; does not overlap the row
  std::byte* state = nullptr;       // the record's state in its order, aligned to four bytes
  int64_t dim = 0;
  float learning_rate = 0;
  int64_t global_step = 0;
  bool monolith = false;  // Compatibility::kMonolith
  const Params* params = nullptr;

  float* floats() const { return reinterpret_cast<float*>(state); }
};

// What delay compensation needs: the gradient, the row now and when the gradient was computed.
struct Compensation {
  const float* gradient = nullptr;  // each dim
  const float* weights = nullptr;
  const float* snapshot = nullptr;
  float* out = nullptr;  // the gradient to apply; may be `gradient`
  int64_t dim = 0;
  const Params* params = nullptr;
};

struct OptimizerDef {
  std::string_view name;
  // Members of the oneofs of OptimizerConfig and SingleOptimizerDump (persistent: never change).
  int config_number = 0;
  int dump_number = 0;  // 0: the optimizer writes no element
  std::span<const FieldDef> fields;
  // In the order of memory. Dumps are written in ascending order of numbers.
  std::span<const StateDef> state;
  // Makes one step; true if some element took none because a learning rate or denominator was zero
  // or the result was not finite. Every value it leaves in the row is finite if it was before.
  Leveled<bool, RowStep> step{};
  // A record with this one instead of `step` wraps another and changes its gradient.
  Leveled<int, Compensation> compensate{};
  // Further limits of a configuration.
  Status (*check)(const Params& params) = nullptr;
  int64_t max_dim = INT64_MAX;
  // Whether an element's step depends on the others'.
  bool whole_row = false;
  // Fields that learning-rate vectors are made of (embedding-tables.md section 3); -1: none.
  int learning_rate_field = -1;
  int warmup_field = -1;
  std::string_view formula;  // as corrected does it, for the documentation
  std::string_view spec;
  std::span<const Sample> samples;  // beside the defaults
};

// All records, in the order of Monolith's numbers.
std::span<const OptimizerDef* const> Optimizers();

// Bytes of the state of `dim` weights.
size_t StateBytes(const OptimizerDef& optimizer, int64_t dim);
// Where a state begins, in bytes from the first.
size_t StateOffset(const OptimizerDef& optimizer, size_t index, int64_t dim);
// The state of a new row.
void InitState(const OptimizerDef& optimizer, const Params& params, int64_t dim, std::byte* state);

// Parts of steps. ---------------------------------------------------------------------------------

// The original's vector kernels take whole groups of eight elements and leave the rest to scalar
// code with, at places, other arithmetic.
inline constexpr int64_t kLanes = 8;
inline int64_t WholeLanes(int64_t dim) { return dim - dim % kLanes; }

// Whether an element may take these values: no comparison with NaN or an infinity holds. All are
// looked at, so that the loop around stays without branches.
template <typename... Floats>
[[gnu::always_inline]] inline bool Finite(Floats... x) {
  return (static_cast<int>(std::fabs(x) <= FLT_MAX) & ...) != 0;
}

// Stores where `ok`, as a select: the loop around stays without branches.
[[gnu::always_inline]] inline void StoreIf(bool ok, float value, float* at) {
  *at = ok ? value : *at;
}

// Calls one(i) for begin <= i < end and returns whether some call returned true. `one` touches
// nothing that another index touches.
template <typename One>
[[gnu::always_inline]] inline bool AnyElement(int64_t begin, int64_t end, One one) {
  int any = 0;
#if defined(__clang__)
#pragma clang loop vectorize(assume_safety)
#else
#pragma GCC ivdep
#endif
  for (int64_t i = begin; i < end; ++i) any |= static_cast<int>(one(i));
  return any != 0;
}

}  // namespace megalith::embedding

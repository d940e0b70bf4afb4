// A batch of gradients, and what is done with it before rows change: rows that are not finite
// follow the caller's policy, equal fids are brought together where that is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// What is done with a gradient row that holds NaN or an infinity.
enum class NonFinite {
  kReject,  // the whole batch is refused before any row changes
  kSkip,    // the row is left out and counted
  kClip,    // NaN becomes 0, infinities the largest finite float; counted
};

// One batch of gradient steps.
struct Gradients {
  std::span<const Fid> fids;
  std::span<const float> values;          // fids.size() * dim()
  std::span<const float> learning_rates;  // slices(); empty: as configured, warm-up included
  std::span<const float> snapshots;       // fids.size() * dim() or empty (delay compensation)
  int64_t update_time = 0;                // unix seconds of the sample
  int64_t global_step = 0;                // >= 0
  // Sums the gradients of equal fids and takes one step for each fid, in order of first
  // occurrence; otherwise every occurrence is a step, in order.
  bool dedup = false;
  NonFinite non_finite = NonFinite::kReject;
};

// A batch that can be applied: the spans lie in the caller's batch or in the storage below. May be
// moved, not copied.
struct PreparedGradients {
  std::span<const Fid> fids;
  std::span<const float> values;
  std::span<const float> learning_rates;
  std::span<const float> snapshots;
  std::span<const uint32_t> counts;  // occurrences of each fid; empty: one each
  int64_t update_time = 0;
  int64_t global_step = 0;
  int64_t non_finite = 0;  // rows left out or clipped

  PreparedGradients() = default;
  PreparedGradients(PreparedGradients&&) = default;
  PreparedGradients& operator=(PreparedGradients&&) = default;

  struct Storage {
    std::vector<Fid> fids;
    std::vector<float> values;
    std::vector<float> snapshots;
    std::vector<uint32_t> counts;
  };
  std::vector<Storage> storage;  // of each step that had to make new arrays
  std::vector<float> configured_rates;
};

// Sizes and learning rates are the caller's to have checked: `dim` floats per fid.
// Errors: kInvalidArgument  a gradient is not finite under kReject, or the sum of equal fids' is
// not.
Result<PreparedGradients> PrepareGradients(const Gradients& gradients, size_t dim);

// No NaN and no infinity among `values`.
bool AllFinite(std::span<const float> values);
// Where the first value that is not finite lies; values.size() if there is none.
size_t FirstNonFinite(std::span<const float> values);

}  // namespace megalith::embedding

#include "common/learning/embedding/gradients.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "common/learning/embedding/dedup.h"

namespace megalith::embedding {
namespace {

void Adopt(PreparedGradients& batch, PreparedGradients::Storage storage) {
  PreparedGradients::Storage& kept = batch.storage.emplace_back(std::move(storage));
  batch.fids = kept.fids;
  batch.values = kept.values;
  batch.snapshots = kept.snapshots;
  batch.counts = kept.counts;
}

// Leaves out or clips the rows that are not finite.
void Clean(PreparedGradients& batch, size_t dim, bool skip) {
  PreparedGradients::Storage kept;
  for (size_t i = 0; i < batch.fids.size(); ++i) {
    const std::span<const float> row = batch.values.subspan(i * dim, dim);
    const bool finite = AllFinite(row);
    batch.non_finite += finite ? 0 : 1;
    if (!finite && skip) continue;
    kept.fids.push_back(batch.fids[i]);
    if (!batch.counts.empty()) kept.counts.push_back(batch.counts[i]);
    for (const float v : row) {
      kept.values.push_back(std::isnan(v) ? 0.0F
                                          : std::clamp(v, std::numeric_limits<float>::lowest(),
                                                       std::numeric_limits<float>::max()));
    }
    if (batch.snapshots.empty()) continue;
    const std::span<const float> snapshot = batch.snapshots.subspan(i * dim, dim);
    kept.snapshots.insert(kept.snapshots.end(), snapshot.begin(), snapshot.end());
  }
  Adopt(batch, std::move(kept));
}

Status ApplyPolicy(PreparedGradients& batch, size_t dim, NonFinite policy) {
  if (AllFinite(batch.values)) return OkStatus();
  if (policy != NonFinite::kReject) {
    Clean(batch, dim, policy == NonFinite::kSkip);
    return OkStatus();
  }
  const size_t at = FirstNonFinite(batch.values);
  return InvalidArgument("gradient " + std::to_string(at % dim) + " of " +
                         (batch.counts.empty()
                              ? "row " + std::to_string(at / dim)
                              : "the sum for fid " + std::to_string(batch.fids[at / dim])) +
                         " is not finite; the policy refuses the batch");
}

}  // namespace

bool AllFinite(std::span<const float> values) {
  // A float is NaN or infinite when its exponent is all ones; adding up the comparisons instead of
  // leaving early lets the loop run in vector registers.
  uint32_t bad = 0;
  for (const float v : values) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof(bits));
    bad |= static_cast<uint32_t>((bits & 0x7f800000U) == 0x7f800000U);
  }
  return bad == 0;
}

size_t FirstNonFinite(std::span<const float> values) {
  const auto found =
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); });
  return static_cast<size_t>(found - values.begin());
}

Result<PreparedGradients> PrepareGradients(const Gradients& gradients, size_t dim) {
  PreparedGradients batch;
  batch.fids = gradients.fids;
  batch.values = gradients.values;
  batch.learning_rates = gradients.learning_rates;
  batch.snapshots = gradients.snapshots;
  batch.update_time = gradients.update_time;
  batch.global_step = gradients.global_step;
  // At most cleaned, summed, and cleaned again: spans into a storage outlive those that follow.
  batch.storage.reserve(3);
  RETURN_IF_ERROR(ApplyPolicy(batch, dim, gradients.non_finite));
  if (!gradients.dedup) return batch;
  DedupedGradients unique;
  SumDuplicates(batch.fids, batch.values, batch.snapshots, dim, unique);
  Adopt(batch, {.fids = std::move(unique.fids),
                .values = std::move(unique.values),
                .snapshots = std::move(unique.snapshots),
                .counts = std::move(unique.counts)});
  // Finite gradients may have a sum that is not.
  RETURN_IF_ERROR(ApplyPolicy(batch, dim, gradients.non_finite));
  return batch;
}

}  // namespace megalith::embedding

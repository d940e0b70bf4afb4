#include "common/learning/embedding/dedup.h"

#include <algorithm>
#include <bit>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/hashing.h"

namespace megalith::embedding {
namespace {

constexpr uint32_t kFree = UINT32_MAX;

// At random: clients choose fids, and must not be able to choose ones that collide.
uint64_t HashSeed() {
  static const uint64_t seed = EntropySeed();
  return seed;
}

}  // namespace

DistinctFids Distinct(std::span<const Fid> fids) {
  DistinctFids out;
  out.fids.reserve(fids.size());
  out.inverse.resize(fids.size());
  out.counts.reserve(fids.size());
  // At least half of the places stay free, so that probes are short.
  const size_t places = std::bit_ceil(std::max<size_t>(2 * fids.size(), 8));
  const int shift = 64 - std::countr_zero(places);
  std::vector<uint32_t> table(places, kFree);
  const uint64_t seed = HashSeed();
  for (size_t i = 0; i < fids.size(); ++i) {
    size_t place = Mix(static_cast<uint64_t>(fids[i]) ^ seed) >> shift;
    while (table[place] != kFree && out.fids[table[place]] != fids[i]) {
      place = (place + 1) & (places - 1);
    }
    if (table[place] == kFree) {
      table[place] = static_cast<uint32_t>(out.fids.size());
      out.fids.push_back(fids[i]);
      out.counts.push_back(0);
    }
    out.inverse[i] = table[place];
    ++out.counts[table[place]];
  }
  return out;
}

void SumDuplicates(std::span<const Fid> fids, std::span<const float> values,
                   std::span<const float> snapshots, size_t dim, DedupedGradients& out) {
  DistinctFids distinct = Distinct(fids);
  out.fids = std::move(distinct.fids);
  out.counts = std::move(distinct.counts);
  out.values.assign(out.fids.size() * dim, 0.0F);
  if (!snapshots.empty()) out.snapshots.resize(out.fids.size() * dim);
  uint32_t seen = 0;
  for (size_t i = 0; i < fids.size(); ++i) {
    const uint32_t to = distinct.inverse[i];
    float* sum = out.values.data() + to * dim;
    const float* from = values.data() + i * dim;
    for (size_t k = 0; k < dim; ++k) sum[k] += from[k];
    if (to != seen) continue;  // not the first occurrence
    ++seen;
    if (!snapshots.empty()) {
      std::copy_n(snapshots.data() + i * dim, dim, out.snapshots.data() + to * dim);
    }
  }
}

}  // namespace megalith::embedding

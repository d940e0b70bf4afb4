#include "common/learning/embedding/dedup.h"

#include <algorithm>
#include <bit>

namespace megalith::embedding {
namespace {

constexpr uint32_t kFree = UINT32_MAX;

uint64_t Mix(Fid fid) {
  uint64_t h = static_cast<uint64_t>(fid) * 0x9e3779b97f4a7c15ULL;
  h ^= h >> 32;
  return h * 0xd6e8feb86659fd93ULL;
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
  for (size_t i = 0; i < fids.size(); ++i) {
    size_t place = Mix(fids[i]) >> shift;
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

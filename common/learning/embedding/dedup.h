// Equal fids of a batch brought together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/learning/embedding/fid.h"

namespace megalith::embedding {

// Each distinct fid in order of first occurrence, and where it went: inverse[i] is the position
// among the distinct ones of fids[i].
struct DistinctFids {
  std::vector<Fid> fids;
  std::vector<uint32_t> inverse;
  std::vector<uint32_t> counts;  // occurrences of each distinct fid
};

// At most 2^32 - 1 fids. Linear time, whatever the fids are, up to hash collisions.
DistinctFids Distinct(std::span<const Fid> fids);

struct DedupedGradients {
  std::vector<Fid> fids;
  std::vector<float> values;     // sums, in order of occurrence; fids.size() * dim
  std::vector<float> snapshots;  // of each fid's first occurrence, or empty
  std::vector<uint32_t> counts;
};

// Sums the rows (dim floats each) of equal fids. Sizes are the caller's to have checked.
void SumDuplicates(std::span<const Fid> fids, std::span<const float> values,
                   std::span<const float> snapshots, size_t dim, DedupedGradients& out);

}  // namespace megalith::embedding

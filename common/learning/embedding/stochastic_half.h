// Stochastic rounding to binary16 (embedding-tables.md section 4.15).
#pragma once

#include <cstdint>

namespace megalith::embedding {

// Replaces each value by one of its two neighbours among the halves, the upper one with probability
// (value - lower)/(upper - lower); halves stay. Values beyond the largest half become it. Which
// way a value goes depends on `key` and its index alone.
void RoundToHalfAtRandom(uint64_t key, int64_t count, float* values);

}  // namespace megalith::embedding

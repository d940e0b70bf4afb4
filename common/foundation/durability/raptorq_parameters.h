// What RFC 6330 fixes for every source block: tables, parameters, and which intermediate symbols an
// encoding symbol is the sum of.
#pragma once

#include <cstdint>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::durability {

// A row of table 2 (section 5.6).
struct SystematicIndex {
  uint32_t padded_symbols;  // K'
  uint32_t systematic;      // J(K')
  uint32_t ldpc_rows;       // S(K')
  uint32_t hdpc_rows;       // H(K')
  uint32_t lt_columns;      // W(K')
};

inline constexpr uint32_t kSystematicIndexCount = 477;
inline constexpr uint32_t kMaxSourceSymbols = 56403;  // of one block (K'_max)
inline constexpr uint32_t kMaxEncodingSymbolId = (1u << 24) - 1;
extern const SystematicIndex kSystematicIndices[kSystematicIndexCount];
extern const uint32_t kRandomTables[4][256];

// The parameters of a block in the RFC's letters (section 5.3.3.3).
struct BlockParameters {
  uint32_t k = 0;   // source symbols
  uint32_t kp = 0;  // K', after padding
  uint32_t j = 0;
  uint32_t s = 0;
  uint32_t h = 0;
  uint32_t w = 0;
  uint32_t l = 0;   // intermediate symbols, K' + S + H
  uint32_t p = 0;   // permanently inactivated ones, L - W
  uint32_t p1 = 0;  // smallest prime from P on
  uint32_t b = 0;   // W - S
};

// Errors: kInvalidArgument  0 source symbols, or more than kMaxSourceSymbols.
Result<BlockParameters> ParametersOf(uint32_t source_symbols);

// Rand[y, i, m] of section 5.3.5.1.
uint32_t RandomOf(uint32_t y, uint32_t i, uint32_t m);

// Appends the intermediate symbols whose sum is the encoding symbol `internal_id` (section 5.3.5.3;
// the internal id counts the padding). No symbol occurs twice.
void AppendLtColumns(const BlockParameters& block, uint32_t internal_id,
                     std::vector<uint32_t>* columns);

// Internal id of an encoding symbol: repair symbols come after the padding.
inline uint32_t InternalId(const BlockParameters& block, uint32_t encoding_symbol_id) {
  return encoding_symbol_id < block.k ? encoding_symbol_id
                                      : encoding_symbol_id + (block.kp - block.k);
}

// Partition[i, j] of section 4.4.1.2: i things in j groups of two sizes.
struct Partition {
  uint32_t large_size = 0;
  uint32_t small_size = 0;
  uint32_t large_count = 0;  // these come first
  uint32_t small_count = 0;
};
Partition PartitionOf(uint32_t things, uint32_t groups);

}  // namespace megalith::durability

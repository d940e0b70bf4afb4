// The symbolic half of solving a RaptorQ block: which rows determine which intermediate symbols.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/foundation/durability/raptorq_parameters.h"

namespace megalith::durability {

// Rows of a sparse binary matrix one after the other.
struct SparseRows {
  std::vector<uint32_t> begin = {0};  // of each row, and the end of the last
  std::vector<uint32_t> columns;
  uint32_t size() const { return static_cast<uint32_t>(begin.size() - 1); }
  std::span<const uint32_t> row(uint32_t r) const {
    return {columns.data() + begin[r], columns.data() + begin[r + 1]};
  }
  void EndRow() { begin.push_back(static_cast<uint32_t>(columns.size())); }
};

// A step on the rows that the dense elimination works on; rows are named by the column they end up
// giving.
struct DenseStep {
  uint32_t into = 0;
  uint32_t from = 0;   // equal to `into`: a scaling
  uint8_t factor = 1;  // into += factor * from, or into *= factor
};

// What to do with the bytes, in this order:
// 1. for each pivot: its column = the row's symbol + the row's solved columns;
// 2. for each dense sparse row: its column = the row's symbol + the row's solved columns;
//    for each dense HDPC row the same with the row of RFC 6330's G_HDPC;
// 3. the dense steps: the columns that were inactivated now have their values;
// 4. for each pivot: its column = the row's symbol + all other columns of the row.
struct Elimination {
  struct Pivot {
    uint32_t row = 0;
    uint32_t column = 0;
  };
  BlockParameters block;
  SparseRows rows;  // S LDPC rows, then one per internal id
  std::vector<Pivot> pivots;
  std::vector<bool> inactive;     // per column
  std::vector<Pivot> dense_rows;  // sparse rows that ended up without a pivot
  std::vector<Pivot> hdpc_rows;   // `row` counts from 0 to H-1
  std::vector<DenseStep> steps;
};

// The rows of LDPC constraints (section 5.3.3.3) and of the encoding symbols `internal_ids`.
SparseRows ConstraintRows(const BlockParameters& block, std::span<const uint32_t> internal_ids);

// The two HDPC rows that column `column` < K' + S - 1 adds its prefix to (MT of section 5.3.3.3).
struct HdpcPair {
  uint32_t first = 0;
  uint32_t second = 0;
};
HdpcPair HdpcRowsOf(const BlockParameters& block, uint32_t column);

// Errors: kDataLoss  the rows do not determine all columns.
Result<Elimination> Eliminate(const BlockParameters& block, SparseRows rows);

}  // namespace megalith::durability

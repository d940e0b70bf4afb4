// Messages of Monolith's checkpoint files other than rows, encoded byte for byte as the original
// writes them. Field tables: docs/formats/tables.md; source: checkpoint-format.md sections 5 and 7.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"

namespace megalith::embedding {

// MultiHashTableMetadata: one record of a `.meta` file of a native multi-table.
struct MultiTableMeta {
  std::string table_name;
  uint64_t num_entries = 0;  // records of this table in this shard
  friend bool operator==(const MultiTableMeta&, const MultiTableMeta&) = default;
};

// SlidingHashFilterMetaDump: what all splits of a sliding filter have in common.
struct SlidingFilterMeta {
  uint32_t split_num = 0;
  uint32_t max_forward_step = 0;
  uint32_t max_backward_step = 0;
  uint32_t max_step = 0;
  uint32_t head = 0;
  uint32_t head_increment = 0;
  uint64_t failure_count = 0;
  friend bool operator==(const SlidingFilterMeta&, const SlidingFilterMeta&) = default;
};

// HashFilterSplitMetaDump: the first record of a split's file.
struct FilterSplitMeta {
  uint64_t failure_count = 0;
  uint64_t total_size = 0;
  uint64_t num_elements = 0;
  double fill_rate = 0;
  std::optional<SlidingFilterMeta> sliding;
  friend bool operator==(const FilterSplitMeta&, const FilterSplitMeta&) = default;
};

// HashFilterSplitDataDump: some cells of a split, each below 2^16.
struct FilterSplitData {
  uint32_t offset = 0;  // of the first cell
  std::vector<uint16_t> cells;
  friend bool operator==(const FilterSplitData&, const FilterSplitData&) = default;
};

// Cells of one record (persistent: the original's readers take any number, its writer this).
inline constexpr size_t kCellsPerRecord = 10'000;

// The bytes of the message with every field written, zeros included, ascending, nothing packed.
std::string Encode(const MultiTableMeta& message);
std::string Encode(const FilterSplitMeta& message);
std::string Encode(const FilterSplitData& message);

// Fields may come in any order and number (the last counts), lists packed or not; unknown fields
// are skipped. Errors: kDataLoss  the bytes are no such message, or a cell has more than 16 bits.
Result<MultiTableMeta> DecodeMultiTableMeta(std::string_view bytes);
Result<FilterSplitMeta> DecodeFilterSplitMeta(std::string_view bytes);
Result<FilterSplitData> DecodeFilterSplitData(std::string_view bytes);

}  // namespace megalith::embedding

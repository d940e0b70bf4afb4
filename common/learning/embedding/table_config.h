// What a table is made of, as its owner wrote it: plain data, not yet checked against the records
// of optimizers, initializers and compressors (RowLayout::Make does that).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace megalith::embedding {

// Which arithmetic is meant where the original's executed code differs from the published formula
// (embedding-tables.md sections 4 and 13). Configurations that arrive in Monolith's own protos or
// files default to kMonolith, those written in ours to kCorrected.
enum class Compatibility { kMonolith, kCorrected };

std::string_view CompatibilityName(Compatibility compatibility);

// A record's name with the fields that were set; fields left out take the record's defaults.
struct RuleConfig {
  std::string name;  // "adagrad", "random_uniform", "fp16"
  std::vector<std::pair<std::string, double>> fields;
  std::vector<RuleConfig> base;  // one element for a record that wraps another ("dc")
  bool operator==(const RuleConfig&) const = default;
};

struct SegmentConfig {
  int64_t dim = 0;
  RuleConfig initializer{.name = "zeros"};
  RuleConfig optimizer{.name = "sgd"};
  RuleConfig compressor{.name = "fp32"};
  // After each step weights are rounded at random to one of the two neighbouring fp16 values.
  bool stochastic_rounding_float16 = false;
  bool operator==(const SegmentConfig&) const = default;
};

enum class EntryKind {
  kTraining,  // float32 values with optimizer state
  kServing,   // compressed values only
};

// Days until a row without an update is dropped, by v2 slot.
struct ExpireTimes {
  uint32_t default_days = 36500;
  std::map<uint32_t, uint32_t> days_of_slot;
  bool operator==(const ExpireTimes&) const = default;
};

// Rows that have not been used for the longest time lie on a local disk (cold/cold_tier.h).
struct ColdTierConfig {
  // Of the table, below the server's directory of cold rows: letters, digits, `_ - . : /`. Empty:
  // the table's name.
  std::string directory;
  // Rows and index in memory. Above 0 and below the table's max_bytes, if that is set.
  uint64_t memory_budget_bytes = 0;
  // Beside them: blocks of the disk kept in memory, and rows on their way to it.
  uint64_t cache_bytes = uint64_t{64} << 20;
  uint64_t max_disk_bytes = UINT64_MAX;  // when it is reached, no more rows leave memory
  bool operator==(const ColdTierConfig&) const = default;
};

struct TableConfig {
  std::vector<SegmentConfig> segments;
  EntryKind kind = EntryKind::kTraining;
  Compatibility compatibility = Compatibility::kCorrected;
  uint64_t initial_capacity = 1;  // rows to make room for at once
  // Serving: a row whose squared norm is about zero is erased instead of stored.
  bool skip_zero_embedding = false;
  ExpireTimes expire;
  // Bytes of rows and index together; a new row that would exceed them is refused and counted,
  // while rows that exist go on being read and updated. 0 is an error, the default has no effect.
  uint64_t max_bytes = UINT64_MAX;
  uint64_t seed = 0;  // of random initial values and of stochastic rounding
  std::optional<ColdTierConfig> cold_tier;  // none: all rows are in memory
  bool operator==(const TableConfig&) const = default;
};

}  // namespace megalith::embedding

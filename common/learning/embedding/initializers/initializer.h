// The record of an initializer: the values of a segment that did not exist before.
#pragma once

#include <span>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/record.h"

namespace megalith::embedding {

struct InitializerDef {
  std::string_view name;
  int config_number = 0;  // in InitializerConfig's oneof (persistent: never change)
  std::span<const FieldDef> fields;
  // Fills `dim` floats. The values depend on nothing but the arguments; `key` differs from row to
  // row, from segment to segment and with the table's seed.
  void (*fill)(const Params& params, uint64_t key, int64_t dim, float* out) = nullptr;
  Status (*check)(const Params& params) = nullptr;  // further limits of a configuration
  std::string_view rule;                            // for the documentation
  std::string_view spec;
  std::span<const Sample> samples;
};

// All records, in the order of Monolith's numbers.
std::span<const InitializerDef* const> Initializers();

}  // namespace megalith::embedding

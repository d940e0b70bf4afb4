// A configuration's segments with their records found and their fields resolved: what the layouts
// work from, computed once per table.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/compressors/compressor.h"
#include "common/learning/embedding/initializers/initializer.h"
#include "common/learning/embedding/optimizers/optimizer.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

struct Segment {
  int64_t dim = 0;
  int64_t offset = 0;        // of the first weight, in floats
  size_t state_offset = 0;   // in a training payload, in bytes
  size_t stored_offset = 0;  // in a serving payload, in bytes

  const InitializerDef* initializer = nullptr;
  Params initializer_params;

  const OptimizerDef* optimizer = nullptr;  // the one inside, if it is wrapped
  Params optimizer_params;
  Leveled<bool, RowStep>::Function step = nullptr;
  const OptimizerDef* wrapper = nullptr;
  Params wrapper_params;
  bool rounds_to_half = false;

  const CompressorDef* compressor = nullptr;
  Params compressor_params;
};

// The segments of `config`. Errors: those of RowLayout::Make, naming the segment.
Result<std::vector<Segment>> BindSegments(const TableConfig& config);

}  // namespace megalith::embedding

// A row of a checkpoint as people read it, without the table's configuration.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/row_layout.h"

namespace megalith::embedding {

struct EntryView {
  std::optional<Fid> fid;  // a lookup's answer has none
  std::vector<float> values;
  std::vector<NamedState> state;  // of each segment that has any
  int64_t timestamp = 0;
};

// Reads an EntryDump (checkpoint-format.md section 4). State of an optimizer that is not known is
// named by its number and has no arrays. Errors: kDataLoss  the bytes are no such message.
Result<EntryView> ViewEntry(std::string_view dump);

}  // namespace megalith::embedding

// state.h in protobuf's text format, as TensorFlow and Monolith write it.
#pragma once

#include <string>
#include <string_view>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/checkpoint/state.h"

namespace megalith::embedding {

std::string ToText(const CheckpointList& list);
std::string ToText(const MonolithState& state);
std::string ToText(const RowCounts& counts);
std::string ToText(const ExportList& exports);

// Fields that this version does not know are skipped.
// Errors: kDataLoss  the text is not of this kind; names line and column.
Result<CheckpointList> ParseCheckpointList(std::string_view text);
Result<MonolithState> ParseMonolithState(std::string_view text);
Result<RowCounts> ParseRowCounts(std::string_view text);
Result<ExportList> ParseExportList(std::string_view text);

}  // namespace megalith::embedding

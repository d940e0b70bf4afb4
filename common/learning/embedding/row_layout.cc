#include "common/learning/embedding/row_layout.h"

#include "common/learning/embedding/layouts.h"

namespace megalith::embedding {

Result<std::unique_ptr<RowLayout>> RowLayout::Make(const TableConfig& config) {
  ASSIGN_OR_RETURN(std::vector<Segment> segments, BindSegments(config));
  if (config.kind == EntryKind::kServing) return MakeServingLayout(std::move(segments));
  return MakeTrainingLayout(std::move(segments), config);
}

}  // namespace megalith::embedding

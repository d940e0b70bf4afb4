// The two kinds of row layout, for RowLayout::Make.
#pragma once

#include <memory>
#include <vector>

#include "common/learning/embedding/row_layout.h"
#include "common/learning/embedding/segment.h"

namespace megalith::embedding {

std::unique_ptr<RowLayout> MakeTrainingLayout(std::vector<Segment> segments,
                                              const TableConfig& config);
std::unique_ptr<RowLayout> MakeServingLayout(std::vector<Segment> segments);

}  // namespace megalith::embedding

// The records of all filters; registry.cc lists them.
#pragma once

#include "common/learning/embedding/filters/filter.h"

namespace megalith::embedding {

extern const FilterDef kNoFilter;
extern const FilterDef kProbabilisticFilter;
extern const FilterDef kSlidingHashFilter;

}  // namespace megalith::embedding

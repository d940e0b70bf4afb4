// The `precision` parameter of products.
#pragma once

#include <vector>

#include "common/programs/ops/rules.h"
#include "common/programs/stablehlo/attr.h"

namespace megalith::ops {

// One entry per side. Errors: kUnimplemented for algorithms other than precisions.
Result<std::vector<stablehlo::Precision>> PrecisionOf(const Params& params);

}  // namespace megalith::ops

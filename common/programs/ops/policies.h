// Rematerialisation policies by their names in jax.checkpoint_policies.
#pragma once

#include <string_view>

#include "common/programs/ir/op_def.h"

namespace megalith::ops {

// everything_saveable, nothing_saveable, dots_saveable, dots_with_no_batch_dims_saveable; others
// are kUnimplemented.
Result<ir::SavePolicy> PolicyByName(std::string_view name);

}  // namespace megalith::ops

// Which library kernel computes an operation that is not fused, and its parameters.
#pragma once

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

struct LibraryCall {
  std::string kernel;
  std::string params;
  std::vector<stablehlo::ValueId> in;  // its operands; results are those of the op
};

// nullopt if no library kernel is meant for this occurrence. That there is a call does not say that
// the kernel accepts it: its `prepare` decides.
Result<std::optional<LibraryCall>> LibraryCallFor(
    const stablehlo::Op& op, const stablehlo::Func& func,
    const std::unordered_map<stablehlo::ValueId, const stablehlo::Op*>& definitions);

}  // namespace megalith::codegen

// Which library kernel computes an operation that is not fused, and its parameters.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

struct LibraryCall {
  std::string kernel;
  std::string params;
  std::vector<stablehlo::ValueId> in;  // its operands; results are those of the op
  // Empty, or for each operand the order its dimensions are brought into first: dimension i of what
  // the kernel reads is dimension permutations[k][i] of in[k]; empty: as it is.
  std::vector<stablehlo::Dims> permutations = {};
};

using Definitions = std::unordered_map<stablehlo::ValueId, const stablehlo::Op*>;

// True if some occurrences of the operation have a kernel of their own.
bool HasLibraryKernel(std::string_view op);

// nullopt if no library kernel is meant for this occurrence. That there is a call does not say that
// the kernel accepts it: its `prepare` decides.
std::optional<LibraryCall> LibraryCallFor(const stablehlo::Op& op, const stablehlo::Func& func,
                                          const Definitions& definitions);

}  // namespace megalith::codegen

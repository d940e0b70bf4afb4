// Which library kernel computes an operation that is not fused, and its parameters.
#pragma once

#include <optional>
#include <span>
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

// Parameters of "strided_copy" that bring an array of `shape` into another order: dimension i of
// the result, whose shape goes to `to`, is dimension permutation[i].
std::string TransposeParams(const tensor::Shape& shape, std::span<const int64_t> permutation,
                            tensor::Shape* to);

}  // namespace megalith::codegen

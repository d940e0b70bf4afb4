// Single operations run by the reference evaluator: for what no other kernel does.
#pragma once

#include <string>

#include "common/machines/kernels/library.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

// The kernel "stablehlo": its parameters are a module in the canonical byte encoding, its operands
// and results those of the module's entry.
extern const kernels::LibraryKernel kReferenceKernel;

// Parameters for one op; values that its regions capture become operands after its own.
Result<std::string> ReferenceParams(const stablehlo::Op& op, const stablehlo::Func& func,
                                    std::span<const stablehlo::ValueId> captured);

}  // namespace megalith::codegen

// Which library kernel computes a custom call (docs/formats/custom-calls.md).
#pragma once

#include <optional>

#include "common/machines/codegen/library_ops.h"

namespace megalith::codegen {

// Requires a stablehlo.custom_call. nullopt for targets without a kernel, and for calls whose types
// or configuration are wrong: the evaluator says what is.
std::optional<LibraryCall> CustomLibraryCall(const stablehlo::Op& op, const stablehlo::Func& func);

}  // namespace megalith::codegen

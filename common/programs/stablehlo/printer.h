// Module to MLIR text.
#pragma once

#include <string>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// The text MLIR's printer gives for the module, as jax.jit(f).lower(...).as_text() shows it: same
// value names, same spelling of constants, a newline at the end. Requires a module that Verify
// accepts. Cost: linear.
std::string PrintModule(const Module& module);

}  // namespace megalith::stablehlo

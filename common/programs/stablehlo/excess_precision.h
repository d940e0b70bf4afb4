// Where bf16 arithmetic is not rounded.
//
// XLA on CPUs computes operations on bf16 in f32 and rounds each result, as this library does; but
// a `convert` to f32 of such a result takes it as it was before rounding (its float normalisation
// inserts a convert to bf16 after the operation and replaces converts back by their source). JAX's
// values are made that way, so this is part of what a program means here. What is not affected:
// results that other operations use, explicit round trips f32 -> bf16 -> f32, f16, converts to
// other types, reductions (kernels/region_body.h), values that cross the edge of a region.
#pragma once

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// True if the module converts bf16 to f32 anywhere.
bool ConvertsFromBf16(const Module& module);

// The program with such converts replaced by the operation in f32. Calls hide operations: inline
// them first (Canonicalize). Requires a module that Verify accepts, and gives one. Cost: linear.
Module WithoutBf16Rounding(Module module);

}  // namespace megalith::stablehlo

// Regions that mean something kernels know: comparators of sorts, and reductions of (element,
// position) pairs.
#pragma once

#include <cstdint>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/machines/kernels/sort_keys.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

struct SortKey {
  int64_t operand = 0;
  kernels::SortOrder order = kernels::SortOrder::kPlain;
  bool descending = false;
};

// The keys of a stablehlo.sort, the most significant first; nullopt if its comparator is not the
// lexicographic order of some of its operands.
std::optional<std::vector<SortKey>> KeysOf(
    const stablehlo::Op& op, const stablehlo::Func& func,
    const std::unordered_map<stablehlo::ValueId, const stablehlo::Op*>& definitions);

struct ArgReduce {
  int64_t dimension = 0;
  bool smallest = false;
};

// A stablehlo.reduce of (element, iota) as jax.lax.argmax and argmin write it.
std::optional<ArgReduce> ArgReduceOf(
    const stablehlo::Op& op, const stablehlo::Func& func,
    const std::unordered_map<stablehlo::ValueId, const stablehlo::Op*>& definitions);

}  // namespace megalith::codegen

// What a program costs, estimated from its types alone.
#pragma once

#include <cstdint>

#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// Cost of one execution of an op, or of a program. Loops with an unknown trip count are counted
// once.
struct OpCost {
  double flops = 0;  // additions, multiplications, comparisons, ...; one per result element unless
                     // known better
  double transcendentals = 0;  // exp, log, sin and the like
  double bytes = 0;            // operands read and results written

  OpCost& operator+=(const OpCost& other) {
    flops += other.flops;
    transcendentals += other.transcendentals;
    bytes += other.bytes;
    return *this;
  }
};

struct CostEstimate {
  OpCost total;
  uint64_t operations =
      0;  // ops in the program, nested ones and called functions included, loops once
  double peak_temporary_bytes =
      0;  // values alive at once, without arguments and constants, in program order
  double constant_bytes = 0;
  // Trip counts of loops that could not be determined were taken as 1.
  bool exact_loops = true;
};

// Of one op, without the regions and functions it runs.
OpCost EstimateOp(const Op& op, const Func& func);

// Of the entry function, with the functions it calls and the regions it runs: a branch costs as
// much as its dearest alternative, a reduction runs its body once per element, a counted loop
// (`while` with a constant bound) as often as it iterates. Requires a module that Verify accepts.
// Errors: kInvalidArgument (no entry function). Cost: linear in the number of ops and calls.
Result<CostEstimate> EstimateCost(const Module& module);

}  // namespace megalith::stablehlo

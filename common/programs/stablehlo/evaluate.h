// The reference evaluator: what a StableHLO program means, in numbers.
//
// Plain loops whose arithmetic is that of the element type: f32 in float, f64 in double, narrower
// floats in float with one rounding per op (see excess_precision.h for the one left out), integers
// wrapping. Every other backend is tested against it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/parser.h"

namespace megalith::stablehlo {

// Time spent per kind of op.
struct ProfileRow {
  std::string name;
  uint64_t calls = 0;
  double seconds = 0;  // including what the op's regions and callees took
};

struct EvalLimits {
  uint64_t max_bytes_per_value = UINT64_MAX;
  uint64_t max_live_bytes =
      UINT64_MAX;  // values alive at once, estimated from types when the plan is made
  uint64_t max_steps = UINT64_MAX;  // ops executed, loop iterations counted each time
  double max_flops_per_op = 1e18;   // by the cost estimate
};

struct EvalOptions {
  const Cancellation* cancellation = nullptr;  // asked at least every 50 ms
  std::vector<ProfileRow>* profile = nullptr;  // appended to, most expensive first
  uint64_t max_steps = UINT64_MAX;
};

// A program made ready to run: kernels chosen, constants built, the moment each value dies worked
// out so that buffers are freed or overwritten in place. Immutable and self-contained (the module
// may go away); Run may be called from any number of threads at once.
class Plan {
 public:
  // Plans the entry function. Requires a module that Verify accepts.
  // Errors: kUnimplemented (an op that is known but not executed; the message names it),
  // kResourceExhausted (a limit). Cost: linear in the number of ops, plus the constants.
  static Result<Plan> Create(const Module& module, const EvalLimits& limits = {});

  // Inputs must have the types of input_types(), in order; their storage is never written.
  // Errors: kInvalidArgument (count, dtype or shape of an input: says which, found and wanted),
  // kCancelled, kDeadlineExceeded, kResourceExhausted (memory, steps).
  Result<std::vector<Tensor>> Run(std::span<const Tensor> inputs,
                                  const EvalOptions& options = {}) const;

  const std::vector<TensorType>& input_types() const;
  const std::vector<TensorType>& output_types() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

// Plan::Create and Run once.
Result<std::vector<Tensor>> Evaluate(const Module& module, std::span<const Tensor> inputs,
                                     const EvalOptions& options = {},
                                     const EvalLimits& limits = {});

}  // namespace megalith::stablehlo

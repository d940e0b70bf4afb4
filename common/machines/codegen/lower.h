// From a StableHLO module to a plan: which values become arrays, which kernels compute them, in
// which order, and where in memory.
//
// 1. Grouping (grouping.h): every op of a region goes into a fused kernel or stands alone.
// 2. Steps: groups in an order that respects data flow, each lowered to a loop kernel, a library
//    kernel or, if there is none, the reference evaluator's kernel for that one op.
// 3. Memory (memory.h): arrays get places; results overwrite operands that nobody else needs.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/machines/kernels/library.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/donation.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

// What one lowering decided, for people.
struct LowerReport {
  struct Group {
    std::string name;    // of the kernel
    uint64_t ops = 0;    // of the program that it computes
    double cost = 0;     // additions of f32 in one run
    uint64_t bytes = 0;  // read and written in one run
  };
  std::vector<Group> groups;
  std::vector<std::string> evaluated;  // ops that the reference evaluator runs
};

struct LowerOptions {
  std::vector<stablehlo::DonatedInput> donated;  // inputs whose memory the plan may use
  std::function<const kernels::LibraryKernel*(std::string_view)> find_kernel;
  const Cancellation* cancellation = nullptr;
};

// Requires a module that Verify accepts with one function @main and no calls (Canonicalize gives
// such). Errors: kUnimplemented (an op nobody executes; the message names it), kResourceExhausted.
// `report` may be null. Cost: near linear in the number of ops.
Result<runtime::Plan> Lower(const stablehlo::Module& module, const LowerOptions& options,
                            LowerReport* report);

}  // namespace megalith::codegen

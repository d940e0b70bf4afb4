// From jaxpr to StableHLO: walks equations and calls each primitive's lowering rule.
#pragma once

#include <string>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/foundation/tensor/tensor.h"
#include "common/programs/ir/jaxpr.h"
#include "common/programs/ir/op_table.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::lowering {

struct LowerOptions {
  // JAX's 64-bit mode: loop counters are i64 instead of i32.
  bool x64 = false;
  uint64_t max_ops = 4'000'000;  // equations lowered; stablehlo::Limits takes no more ops either
  const Cancellation* cancel = nullptr;
};

// The module of a closed program: `main` takes the program's inputs in their physical form (see
// PhysicalType) and gives its outputs; constants are embedded. Errors: kUnimplemented "MLIR
// translation rule for primitive 'x' not found" naming the primitive; kResourceExhausted for
// limits.
Result<stablehlo::Module> Lower(const ir::Program& program, const ir::OpTable& ops,
                                const LowerOptions& options = {});

}  // namespace megalith::lowering

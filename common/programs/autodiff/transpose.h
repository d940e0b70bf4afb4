// Transposition: running a linear program backwards.
#pragma once

#include <vector>

#include "common/programs/ir/builder.h"

namespace megalith::autodiff {

// Emits the transpose of `jaxpr`, linear in the inputs marked so, into `b`. `cotangents` has one
// entry per output, an empty one is a symbolic zero. Gives one cotangent per input; empty for
// inputs that are not linear and for zeros. The value of a linear input, if any, is the cotangent
// it has collected so far, to which this pass adds.
//
// Equations that do not depend on linear inputs are emitted first, in program order.
std::vector<ir::Value> BackwardPass(ir::Builder& b, const ir::Jaxpr& jaxpr,
                                    std::span<const ir::Value> consts,
                                    std::span<const ir::LinearOperand> inputs,
                                    std::span<const ir::Value> cotangents);

// The transpose of one equation by the primitive's rule; zero cotangents are handled here.
std::vector<ir::Value> TransposeEqn(ir::Builder& b, const ir::TransposeArgs& args);

struct TransposedJaxpr {
  ir::JaxprPtr
      jaxpr;  // operands that are not linear, then the non-zero cotangents -> non-zero cotangents
  std::vector<bool>
      nonzero_out;  // one per input of the original: is its cotangent among the outputs
};

// The transpose of a nested program, for patterns of linear inputs and non-zero cotangents.
// Remembered in the session. Inputs whose `instantiate` entry is true get zeros in place of a
// symbolic zero.
Result<TransposedJaxpr> TransposeJaxpr(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                       const std::vector<bool>& linear,
                                       const std::vector<bool>& nonzero_cts,
                                       const std::vector<bool>& instantiate = {});

}  // namespace megalith::autodiff

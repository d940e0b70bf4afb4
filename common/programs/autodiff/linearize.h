// Linearisation: running a program forward while recording the linear map of its tangents.
//
// Source: spec/transforms.md section 3.
#pragma once

#include <vector>

#include "common/programs/ir/builder.h"
#include "common/programs/staging/partial_eval.h"

namespace megalith::autodiff {

// Evaluates `jaxpr`: primal equations go to `outer`, the linear ones to `linear`, which uses values
// of `outer` as residuals. `tangents` are values of `linear`; an empty one is a symbolic zero, as
// in the result.
ir::JvpResult EvalLinearize(ir::Builder& outer, ir::Builder& linear, const ir::Jaxpr& jaxpr,
                            std::span<const ir::Value> consts, std::span<const ir::Value> primals,
                            std::span<const ir::Value> tangents);

// Linearises one equation through the JVP rule of its primitive: what does not depend on tangents
// is emitted into `outer` at once.
ir::JvpResult LinearizeByJvp(ir::Builder& outer, ir::Builder& linear,
                             const ir::LinearizeArgs& args);

struct LinearizedJaxpr {
  ir::JaxprPtr primal;  // inputs -> outputs, then own residuals
  size_t num_residuals_out = 0;
  std::vector<bool> nonzero_out;
  std::vector<staging::Residual> residuals;
  ir::JaxprPtr tangent;  // residuals, then non-zero tangents -> non-zero tangents
};

// Linearises a nested program. Residuals that are inputs whose `allow_forward` entry is true
// (empty: all), or constants if `forward_constants`, are not repeated among the primal outputs.
// Remembered in the session.
Result<LinearizedJaxpr> LinearizeJaxpr(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                       const std::vector<bool>& nonzeros,
                                       const std::vector<bool>& instantiate = {},
                                       const std::vector<bool>& allow_forward = {},
                                       bool forward_constants = true);

// A linear map with its residuals, ready to be transposed.
struct LinearMap {
  ir::JaxprPtr jaxpr;  // constvars: residuals; inputs: tangents; outputs: the non-zero tangents
  std::vector<ir::Value> residuals;  // of the outer builder, one per constvar
  std::vector<bool> nonzero_out;
};

// The outputs of `jaxpr` for `primals` (emitted into `outer`) and its linear map in the inputs
// whose `wanted` entry is true.
Result<LinearMap> Linearize(ir::Builder& outer, const ir::Jaxpr& jaxpr,
                            std::span<const ir::Value> consts, std::span<const ir::Value> primals,
                            const std::vector<bool>& wanted, std::vector<ir::Value>* primal_outs);

}  // namespace megalith::autodiff

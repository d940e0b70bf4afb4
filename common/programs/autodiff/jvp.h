// Forward mode: pushing tangents through programs.
//
// Source: spec/transforms.md section 2. Tangents that are empty Values are symbolic zeros.
#pragma once

#include <vector>

#include "common/programs/ir/builder.h"

namespace megalith::autodiff {

// The JVP of one equation, by the primitive's rule. kUnimplemented (sticky in `b`) without one.
ir::JvpResult JvpEqn(ir::Builder& b, const ir::JvpArgs& args);

// Evaluates `jaxpr` with primals and tangents, emitting into `b`. Equations without any tangent are
// emitted plainly.
ir::JvpResult EvalJvp(ir::Builder& b, const ir::Jaxpr& jaxpr, std::span<const ir::Value> consts,
                      std::span<const ir::Value> primals, std::span<const ir::Value> tangents);

struct JvpJaxprResult {
  ir::JaxprPtr jaxpr;  // primals, then the non-zero tangents -> primals, then the non-zero tangents
  std::vector<bool> nonzero_out;  // one per output of the original
};

// The JVP of a nested program for a pattern of non-zero tangents. Outputs whose `instantiate` entry
// is true get zeros if their tangent is a symbolic zero (empty: none). Remembered in the session.
Result<JvpJaxprResult> JvpJaxpr(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                const std::vector<bool>& nonzeros,
                                const std::vector<bool>& instantiate = {});

// True if the value carries a tangent: not a symbolic zero and not float0.
inline bool IsNonzero(const ir::Value& tangent) {
  return bool(tangent) && tangent.dtype() != ir::DType::kFloat0;
}

std::vector<bool> Nonzeros(std::span<const ir::Value> tangents);

}  // namespace megalith::autodiff

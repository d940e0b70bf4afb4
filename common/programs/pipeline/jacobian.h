// Jacobians: one forward or backward pass per direction of the standard basis, all at once under
// vmap.
#pragma once

#include <span>
#include <vector>

#include "common/programs/ir/builder.h"
#include "common/programs/pipeline/transform.h"
#include "common/programs/pipeline/transforms.h"

namespace megalith::pipeline {

// Positions of the arguments to differentiate, negative argnums resolved. TypeError beyond the
// number of arguments.
Result<std::vector<size_t>> ResolveArgnums(const Transform& t, size_t num_args);

// Derivatives of every output (outer) in every chosen argument (inner): arrays of shape out.shape +
// arg.shape.
Result<std::vector<ir::Value>> EmitJacfwd(ir::Builder& b, const Transform& t, const Callee& f,
                                          std::span<const ir::Value> args);
Result<std::vector<ir::Value>> EmitJacrev(ir::Builder& b, const Transform& t, const Callee& f,
                                          std::span<const ir::Value> args);

}  // namespace megalith::pipeline

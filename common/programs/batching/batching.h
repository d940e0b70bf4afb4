// vmap: evaluating a program for a whole batch at once.
//
// Source: spec/transforms.md section 4. Every value is an array with a batch dimension or without
// one.
#pragma once

#include <vector>

#include "common/programs/ir/builder.h"

namespace megalith::batching {

// One equation, by the primitive's rule. Without any batched operand it is emitted plainly (unless
// the rule asks for all calls).
ir::BatchResult BatchEqn(ir::Builder& b, const ir::BatchArgs& args);

// Evaluates `jaxpr` on batched values, emitting into `b`; dims are kUnmapped for values without a
// batch dimension.
ir::BatchResult EvalBatched(ir::Builder& b, const ir::Jaxpr& jaxpr,
                            std::span<const ir::Value> consts, std::span<const ir::Value> values,
                            std::span<const int> dims, const ir::AxisData& axis);

struct BatchedJaxpr {
  ir::JaxprPtr jaxpr;
  std::vector<int> out_dims;
};

// A batched nested program for given input dims; output dims fall where the rules put them.
// Remembered in the session.
Result<BatchedJaxpr> BatchJaxpr(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                const std::vector<int>& in_dims, const ir::AxisData& axis);

// Where an output shall have its batch dimension.
struct OutDim {
  enum class Kind : uint8_t { kAt, kZeroIfMapped, kUnmapped } kind = Kind::kZeroIfMapped;
  int dim = 0;
};

// The same with output dimensions moved (or broadcast) to where `dests` asks. The result's out_dims
// say where they are.
Result<BatchedJaxpr> BatchJaxprTo(ir::Session& session, const ir::JaxprPtr& jaxpr,
                                  const std::vector<int>& in_dims, const ir::AxisData& axis,
                                  const std::vector<OutDim>& dests);

// x with its batch dimension moved from `from` to `to`; an unmapped x is broadcast.
ir::Value MatchAxis(ir::Builder& b, ir::Value x, int from, int to, int64_t size);

// The type of a value of type `aval` with a batch dimension of `size` at `dim` (unchanged for
// kUnmapped).
ir::Aval BatchedAval(const ir::Aval& aval, int dim, int64_t size);

}  // namespace megalith::batching

// A scan as the while loop that JAX lowers it to.
#pragma once

#include "common/programs/ops/control.h"

namespace megalith::ops {

// A scan's parameters, unpacked.
struct Scan {
  JaxprPtr body;
  int64_t length = 0;
  size_t num_consts = 0;
  size_t num_carry = 0;
  size_t num_xs = 0;
  size_t num_ys = 0;
  Bits linear;

  explicit Scan(const Params& p)
      : body(p.Sub("jaxpr")),
        length(p.Int("length")),
        num_consts(static_cast<size_t>(p.Int("num_consts"))),
        num_carry(static_cast<size_t>(p.Int("num_carry"))),
        linear(p["linear"].AsBools()) {
    num_xs = body->invars().size() - num_consts - num_carry;
    num_ys = body->outs().size() - num_carry;
  }
  size_t first_x() const { return num_consts + num_carry; }
  size_t num_in() const { return first_x() + num_xs; }
};

// Emits the loop, as equations; StableHLO follows from their own rules. `operands` are those of the
// scan, `index_type` is the integer that counts. Gives the final carry, then the stacked results.
std::vector<Value> EmitScanLoop(Builder& b, const Params& params, DType index_type,
                                std::span<const Value> operands);

}  // namespace megalith::ops

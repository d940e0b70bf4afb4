// Loops of a plan that become one function each: which they are, and what the code generator has
// to know of them besides the plan.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/machines/kernels/dot.h"
#include "common/machines/runtime/plan.h"

namespace megalith::codegen {

// A matrix product as part of a loop.
struct DotRequest {
  kernels::DotParams params;  // with n > 1 or m == 1: a column is turned into a row
  bool swapped = false;       // the second operand is the left one
  runtime::DType dtype = runtime::DType::kInvalid;  // of both operands and the result: f32 or f64
};

// A loop that becomes a function. Borrows the plan.
struct LoopRequest {
  const runtime::Plan* plan = nullptr;
  const runtime::PlanStep* step = nullptr;  // of kind kWhile
  std::map<uint32_t, DotRequest> dots;      // by number in Plan::library
  std::map<uint32_t, double> turn_cost;     // by number in Plan::whiles: additions of one turn
  double cost = 0;                          // of its instructions, once each, in additions
};

// The outermost loops of `plan` worth a function: all they do are small kernels, copies, matrix
// products, branches and such loops. The order is that of the steps.
std::vector<LoopRequest> FindLoops(const runtime::Plan& plan);

// Kernels of `plan` that some step outside of `loops` runs, as numbers in Plan::loops.
std::vector<uint32_t> KernelsOutside(const runtime::Plan& plan,
                                     const std::vector<LoopRequest>& loops);

}  // namespace megalith::codegen

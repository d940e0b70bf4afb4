// Fused kernels run one element at a time in plain C++: what the tiers are tested against. And
// random kernels to test them with.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "common/machines/runtime/loop.h"

namespace megalith::runtime::testing {

// Runs points [begin, end) of the outer dimensions. The transcendental functions are the C
// library's; reductions combine in row-major order, in the type of their values.
void RunScalar(const LoopKernel& kernel, void* const* buffers, int64_t begin, int64_t end);

// One operation on registers given as bits, zero-extended. `operand` is the type of the last
// operand.
uint64_t ApplyScalar(const LoopInstr& instr, DType operand, const uint64_t* in);

// A kernel that CheckLoopKernel accepts, and arguments for it.
struct RandomLoop {
  LoopKernel kernel;
  std::vector<std::string> buffers;  // contents to start from
  std::vector<DType> types;          // of the elements of each
  std::vector<LoopBufferSize> sizes;
};

// Uses operations that are exact, and sums of floats whose terms are small integers, which every
// order adds up to the same.
RandomLoop MakeRandomLoop(std::mt19937_64& random);

}  // namespace megalith::runtime::testing

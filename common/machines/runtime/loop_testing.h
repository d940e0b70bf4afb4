// For tests of whatever runs loop kernels: random kernels, arguments for them, and an interpreter
// that does one point after the other, obviously right.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/foundation/base/rng.h"
#include "common/machines/runtime/loop.h"

namespace megalith::runtime {

// Arguments of a kernel, in order.
struct LoopArguments {
  std::vector<std::string> bytes;
  std::vector<LoopBufferSize> Sizes() const;
  std::vector<void*> Pointers();
};

struct RandomLoop {
  LoopKernel kernel;
  LoopArguments arguments;  // results start as the byte 0x5A
};

// A kernel CheckLoopKernel accepts, of exact operations only (transcendental functions are left
// out, and floats that are added up are small integers), so that every way to run it gives the same
// bits but for those of NaN.
RandomLoop MakeRandomLoop(Rng& rng);

// The value of an operation on the bits of its operands, NaN made canonical. f32 and f64 functions
// are the C library's in double precision.
uint64_t ScalarValue(ScalarOp op, DType operand, DType result, const uint64_t (&in)[3],
                     uint64_t imm);

// Runs outer points [begin, end) of a checked kernel.
void RunByPoint(const LoopKernel& kernel, void* const* buffers, int64_t begin, int64_t end);

// Empty if the arguments hold the same, but for which NaN; else what differs first.
std::string Difference(const LoopKernel& kernel, const LoopArguments& got,
                       const LoopArguments& want);

}  // namespace megalith::runtime

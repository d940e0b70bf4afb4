// A region of elementwise ops on scalars, compiled to run on many elements at once: the bodies of
// reductions, scatters, sorts and windows.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/programs/stablehlo/kernels/kernel.h"

namespace megalith::stablehlo {

// Immutable; thread-safe. Executed by a SpanRunner.
class SpanProgram {
 public:
  // Where a register's value comes from.
  enum class Source : uint8_t { kArgument, kConstant, kCaptured, kComputed };
  struct Register {
    DType dtype;
    Source source;
    uint32_t index = 0;  // argument number, or frame slot of a captured value
    Tensor constant;     // kConstant
  };
  struct Step {
    SpanKernel kernel;
    uint32_t in[kMaxSpanOperands] = {};
    uint32_t num_in = 0;
    uint32_t out = 0;
  };

  std::vector<Register> registers;
  std::vector<Step> steps;
  std::vector<uint32_t> results;
  size_t num_arguments = 0;

  DType result_dtype(size_t i = 0) const { return registers[results[i]].dtype; }
  // The body is one op of two arguments, in this order: its loop. Null otherwise.
  const SpanKernel* OneBinaryStep() const;
  // The body returns one of its arguments unchanged: which one, or -1.
  int ReturnedArgument() const;
};

// The one-op body as an operation known by row, if it is one: for kernels with a loop of their own
// for sums and the like.
const Op* OneOpBody(const Region& region);

// Runs a SpanProgram on up to `lanes` elements at a time. Owns the registers; not thread-safe.
class SpanRunner {
 public:
  // Reads captured values from `frame` now.
  SpanRunner(const SpanProgram& program, const Frame& frame, int64_t lanes);

  int64_t lanes() const { return lanes_; }
  // arguments[i] holds n elements; results[i] receives n elements and must not overlap an argument,
  // except that a one-step program may write over its own argument.
  void Run(const void* const* arguments, void* const* results, int64_t n);

 private:
  const SpanProgram& program_;
  int64_t lanes_;
  std::vector<char> storage_;
  std::vector<void*>
      where_;  // of each register; arguments and direct results change from run to run
  std::vector<std::pair<uint32_t, uint32_t>> arguments_;  // register, argument
  std::vector<std::pair<uint32_t, uint32_t>> direct_;     // register, result it is computed into
  std::vector<std::pair<uint32_t, uint32_t>> copied_;     // register, result it is copied to
};

}  // namespace megalith::stablehlo

// How operations run: kernels, what they are given, and how regions run inside them.
//
// A kernel is made once per occurrence of an op, when a program is planned (its types, attributes
// and element loops are resolved then), and called any number of times, from any thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "common/foundation/base/cancellation.h"
#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::stablehlo {

// A loop over n elements: out[i] = f(in[0][i], in[1][i], ...). `out` may be one of the inputs if
// their elements have the same width. Element layouts are those of Tensor.
using SpanFn = void (*)(const void* const* in, void* out, int64_t n, const void* params);
struct SpanKernel {
  SpanFn fn = nullptr;
  std::shared_ptr<const void> params;
  void operator()(const void* const* in, void* out, int64_t n) const {
    fn(in, out, n, params.get());
  }
};
// Most operands a span kernel takes.
inline constexpr size_t kMaxSpanOperands = 3;

// Values of one function call, by slot (the planner assigns slots; several values share one in
// turn).
struct Frame {
  std::vector<Tensor> slots;
};

// One evaluation in progress. Not thread-safe; each evaluation has its own.
struct Run {
  const Cancellation* cancellation = nullptr;
  uint64_t max_bytes_per_value = UINT64_MAX;
  uint64_t steps_left = UINT64_MAX;  // ops and turns of loops that may still run
  uint64_t random_draws = 0;         // occurrences of stablehlo.rng so far
  struct Profiler* profiler = nullptr;

  // kCancelled or kDeadlineExceeded once the caller gave up. Long loops ask every few milliseconds.
  Status Poll() const { return cancellation == nullptr ? OkStatus() : cancellation->Check(); }
  // Counts one op or one turn of a loop. Errors: kResourceExhausted once none is left.
  Status TakeStep() {
    if (steps_left == 0) return ResourceExhausted("the program ran more operations than max_steps");
    --steps_left;
    return OkStatus();
  }
  Result<Tensor> Allocate(const TensorType& type) const {
    return Tensor::CreateUninitialized(type.dtype, type.shape, max_bytes_per_value);
  }
};

// One call of a kernel. Operands that die here are held by nobody else, so that in[i].unique() says
// whether a kernel may write into it.
struct KernelCall {
  std::span<Tensor> in;
  std::span<Tensor> out;
  Run& run;
  Frame& frame;
};

struct Kernel {
  std::function<Status(KernelCall&)> run;
};

// Uses the storage of `candidate` for a value of `type` if nobody else needs it and it has the
// right size, otherwise allocates.
Result<Tensor> ReuseOrAllocate(const Run& run, Tensor& candidate, const TensorType& type);

// A region planned for execution inside its op's frame.
struct RegionPlan;
// Runs it: moves `args` in, appends what it returns to `results`.
Status RunRegion(const RegionPlan& region, Run& run, Frame& frame, std::span<Tensor> args,
                 std::vector<Tensor>* results);

// A region of elementwise ops on scalars, compiled to run on many elements at once.
class SpanProgram;

// A function planned for execution.
struct FuncPlan;
Status RunFunc(const FuncPlan& func, Run& run, std::span<Tensor> args,
               std::vector<Tensor>* results);

// What a kernel may ask for while it is made.
class Planner {
 public:
  virtual ~Planner() = default;
  virtual const Func& func() const = 0;
  const TensorType& type(ValueId v) const { return func().type(v); }
  const TensorType& operand(const Op& op, size_t i) const { return type(op.operands[i]); }
  const TensorType& result(const Op& op, uint32_t i = 0) const { return type(op.result(i)); }
  // The region as a plan of its own, sharing the frame of the function.
  virtual Result<std::shared_ptr<const RegionPlan>> PlanRegion(const Region& region) = 0;
  // The region as an elementwise program; null (not an error) if it holds anything else.
  virtual Result<std::shared_ptr<const SpanProgram>> CompileSpan(const Region& region) = 0;
  virtual Result<std::shared_ptr<const FuncPlan>> PlanCallee(std::string_view name) = 0;
  // Where a value of an enclosing scope will be found: a slot of the frame, or a constant.
  virtual Result<Tensor> ConstantValue(ValueId v) = 0;  // invalid tensor if it is not a constant
  virtual int32_t SlotOf(ValueId v) const = 0;          // -1 for constants
};

}  // namespace megalith::stablehlo

// The body of a reduction, window, scatter or sort, ready to be applied to elements: as loops over
// many elements where the region is elementwise, by interpreting the region otherwise.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/programs/stablehlo/kernels/kernel.h"
#include "common/programs/stablehlo/kernels/span_program.h"

namespace megalith::stablehlo {

// Made once per op.
struct RegionBody {
  std::shared_ptr<const SpanProgram> program;  // null if the region must be interpreted
  std::shared_ptr<const RegionPlan> plan;      // then this is set
  std::vector<DType> arguments, results;
  const SpanKernel* one_step = nullptr;  // the loop, if the body is one op on its two arguments
  bool commutative = false;              // of that op
};
Result<RegionBody> MakeBody(Planner& planner, const Region& region);

// What a reduction or window folds some of its arrays with.
struct Fold {
  RegionBody body;
  size_t first = 0, count = 0;  // operands and results `first` to `first + count` of the op
  // The body is one op on narrow floats and computes in f32, because sums would lose too much if
  // every step were rounded.
  bool widened = false;
};
// One fold of everything, or one of each array where every result is one op on its own two
// arguments: how a sum is rounded does not depend on what else its op computes.
Result<std::vector<Fold>> MakeFolds(Planner& planner, const Region& region);

// Calls `run` with the operands, initial values and allocated results of a fold: those of the op,
// or copies in f32, whose results are rounded once at the end.
using RunArrays = std::function<Status(std::span<const Tensor> in, std::span<const Tensor> inits,
                                       std::span<Tensor> out)>;
Status RunFold(const Fold& fold, KernelCall& call, const RunArrays& run);

// Applies a body to up to `lanes` elements at a time. Not thread-safe; make one per kernel call.
class BodyRunner {
 public:
  BodyRunner(const RegionBody& body, Run& run, Frame& frame, int64_t lanes);

  int64_t lanes() const { return lanes_; }
  // results[i] may be one of the arguments.
  Status Apply(const void* const* arguments, void* const* results, int64_t n);

 private:
  Status Interpret(const void* const* arguments, void* const* results, int64_t n);

  const RegionBody& body_;
  Run& run_;
  Frame& frame_;
  int64_t lanes_;
  std::unique_ptr<SpanRunner> runner_;
  std::vector<char> scratch_;
  std::vector<void*> scratch_results_;
};

}  // namespace megalith::stablehlo

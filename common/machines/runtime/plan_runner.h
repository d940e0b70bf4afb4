// Runs plans: the inner loop of every executable made by machines/codegen.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "common/machines/kernels/library.h"
#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/cpu/code_image.h"
#include "common/machines/runtime/executable.h"
#include "common/machines/runtime/plan.h"

namespace megalith::runtime {

// A plan made ready: kernels prepared, addresses of constants known. Threads: Run may be called
// from any number of threads at once; UseCode at any time, also while others run.
class PlanRunner {
 public:
  using FindKernel = std::function<const kernels::LibraryKernel*(std::string_view name)>;

  // Requires a plan that CheckPlan accepts. `pool` must outlive the runner. A stranger's plan gets
  // memory that is cleared for each run: it may read what it has not written. Errors: kDataLoss (a
  // kernel refuses its parameters, or an operand lies where it may not), kFailedPrecondition (no
  // such kernel, or it does not do this here, or needs more scratch memory than the plan has: made
  // by another build or elsewhere).
  static Result<std::unique_ptr<PlanRunner>> Create(Plan plan, const FindKernel& find,
                                                    kernels::WorkPool& pool,
                                                    Origin origin = Origin::kOwn);
  ~PlanRunner();

  const Plan& plan() const;

  // Inputs have been checked against the signature. Errors: those of Executable::Run.
  Result<std::vector<Tensor>> Run(std::span<const Tensor> inputs, const RunOptions& options) const;
  // The same, and takes the memory that the plan has donations for, where nobody else holds it.
  Result<std::vector<Tensor>> RunTaking(std::vector<Tensor> inputs,
                                        const RunOptions& options) const;

  // Calls `ask` in every run that has taken thousands of turns of loops step by step, on the thread
  // of the run: machine code given to UseCode while it goes on takes over at the next turns. Once,
  // before the first run.
  void OnLongLoop(std::function<void()> ask);
  // From the next kernel, or turns of a loop, on, machine code runs where `code` has it.
  void UseCode(std::shared_ptr<const LoadedCode> code);
  // Kernels of the plan that run as machine code.
  size_t NativeKernels() const;

 private:
  struct Impl;
  explicit PlanRunner(std::unique_ptr<Impl> impl);
  // `may_take[i]`: donation i of the plan; empty: none.
  Result<std::vector<Tensor>> Run(std::span<const Tensor> inputs, const std::vector<bool>& may_take,
                                  const RunOptions& options) const;
  std::unique_ptr<Impl> impl_;
};

}  // namespace megalith::runtime

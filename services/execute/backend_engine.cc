// The execute service's engine: the backends of common/machines.
#include "services/execute/backend_engine.h"

#include <algorithm>
#include <atomic>
#include <span>

#include "common/foundation/base/clock.h"
#include "common/machines/kernels/library.h"
#include "common/machines/runtime/backend.h"
#include "common/machines/runtime/package.h"
#include "common/machines/runtime/plan.h"
#include "common/programs/stablehlo/codec.h"
#include "common/programs/stablehlo/module.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::services {
namespace {

using BackendsPtr = std::shared_ptr<const runtime::BackendRegistry>;

// A run of at most this much may happen on gRPC's thread.
constexpr int64_t kQuickNanos = 100'000;
// After a slow run a program has to be quick so many times before it counts as quick again: few
// times at first, since one slow run may only mean that the machine was busy, and four times as
// many whenever that ends with a slow run.
constexpr int32_t kFirstPatience = 8;
constexpr int32_t kMaxPatience = 1000;

// Loops may run for any time on other data, and so may what we cannot look into.
Result<bool> AlwaysEndsSoon(const runtime::Package& package) {
  if (const Result<std::string_view> bytes = package.Find("plan"); bytes.ok()) {
    ASSIGN_OR_RETURN(const runtime::Plan plan, runtime::DecodePlan(*bytes));
    return plan.whiles.empty() && std::ranges::all_of(plan.library, [](const auto& use) {
             return kernels::FindLibraryKernel(use.kernel) != nullptr;  // else it runs a program
           });
  }
  const Result<std::string_view> program = package.Find("program");
  if (!program.ok()) return false;
  ASSIGN_OR_RETURN(const stablehlo::Module module, stablehlo::DecodeModule(*program));
  bool ends = true;
  for (const stablehlo::Func& func : module.funcs()) {
    stablehlo::ForEachOp(func.body, [&ends](const stablehlo::Op& op) {
      if (op.name() == "stablehlo.while" || op.name() == "stablehlo.custom_call") ends = false;
    });
  }
  return ends;
}

class BackendExecutable final : public Executable {
 public:
  BackendExecutable(std::shared_ptr<const runtime::Executable> executable, bool may_be_quick)
      : executable_(std::move(executable)), patience_(may_be_quick ? 0 : INT32_MAX) {
    for (const runtime::TensorSpec& s : executable_->signature().inputs)
      inputs_.push_back({s.dtype, s.shape, false});
    for (const runtime::TensorSpec& s : executable_->signature().outputs)
      outputs_.push_back({s.dtype, s.shape, false});
  }
  const std::vector<tensor::ArrayType>& inputs() const override { return inputs_; }
  const std::vector<tensor::ArrayType>& outputs() const override { return outputs_; }
  bool quick() const override { return proven_.load(std::memory_order_relaxed); }

  Result<std::vector<tensor::Tensor>> Run(std::span<const tensor::Tensor> arguments,
                                          const Cancellation& cancellation,
                                          runtime::RunProfile* profile) const override {
    const std::chrono::nanoseconds start = RealClock().Monotonic();
    auto results = executable_->Run(arguments, {.cancellation = &cancellation, .details = profile});
    if (profile == nullptr) Learn((RealClock().Monotonic() - start).count());
    return results;
  }
  Result<std::vector<tensor::Tensor>> RunTaking(std::vector<tensor::Tensor> arguments,
                                                const Cancellation& cancellation,
                                                runtime::RunProfile* profile) const override {
    const std::chrono::nanoseconds start = RealClock().Monotonic();
    auto results = executable_->RunTaking(std::move(arguments),
                                          {.cancellation = &cancellation, .details = profile});
    if (profile == nullptr) Learn((RealClock().Monotonic() - start).count());
    return results;
  }

 private:
  // Quick is what a program without loops has just been; a slow run takes that back for a while.
  // Runs at the same time may overwrite each other's counts, which only makes the while a little
  // longer or shorter.
  void Learn(int64_t nanos) const {
    const int32_t patience = patience_.load(std::memory_order_relaxed);
    if (patience == INT32_MAX) return;
    const int32_t next = next_patience_.load(std::memory_order_relaxed);
    if (nanos > kQuickNanos) {
      patience_.store(next, std::memory_order_relaxed);
      next_patience_.store(std::min(4 * next, kMaxPatience), std::memory_order_relaxed);
      proven_.store(false, std::memory_order_relaxed);
    } else if (patience > 0) {
      patience_.store(patience - 1, std::memory_order_relaxed);
    } else {
      proven_.store(true, std::memory_order_relaxed);
      if (next > kFirstPatience) next_patience_.store(next - 1, std::memory_order_relaxed);
    }
  }

  const std::shared_ptr<const runtime::Executable> executable_;
  std::vector<tensor::ArrayType> inputs_;
  std::vector<tensor::ArrayType> outputs_;
  mutable std::atomic<int32_t>
      patience_;  // ordinary runs until quick() may be true again; INT32_MAX: never
  mutable std::atomic<int32_t> next_patience_{kFirstPatience};  // after the next slow run
  mutable std::atomic<bool> proven_{false};
};

class BackendExecuteEngine final : public ExecuteEngine {
 public:
  explicit BackendExecuteEngine(BackendsPtr backends) : backends_(std::move(backends)) {}
  Result<std::shared_ptr<const Executable>> Load(std::string_view bytes, runtime::Origin origin,
                                                 const Cancellation&) override {
    ASSIGN_OR_RETURN(const runtime::Package package, runtime::DecodePackage(bytes));
    ASSIGN_OR_RETURN(const auto backend, backends_->Find(package.backend));
    ASSIGN_OR_RETURN(auto executable, backend->Load(bytes, origin));
    ASSIGN_OR_RETURN(const bool may_be_quick, AlwaysEndsSoon(package));
    return std::shared_ptr<const Executable>(
        std::make_shared<BackendExecutable>(std::move(executable), may_be_quick));
  }

 private:
  const BackendsPtr backends_;
};

}  // namespace

std::shared_ptr<ExecuteEngine> MakeBackendExecuteEngine(BackendsPtr backends) {
  return std::make_shared<BackendExecuteEngine>(std::move(backends));
}

}  // namespace megalith::services

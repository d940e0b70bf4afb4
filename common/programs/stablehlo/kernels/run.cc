// Executes planned regions and functions.
#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/stablehlo/kernels/plan_types.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

Tensor Fetch(const SlotUse& use, const RegionPlan& region, Frame& frame) {
  if (use.slot < 0) return (*region.constants)[static_cast<size_t>(-use.slot - 1)];
  Tensor& value = frame.slots[static_cast<size_t>(use.slot)];
  return use.dies ? std::move(value) : value;
}

Status RunStep(const PlanStep& step, const RegionPlan& region, Run& run, Frame& frame) {
  constexpr size_t kInline = 4;
  Tensor in_inline[kInline];
  Tensor out_inline[kInline];
  std::vector<Tensor> in_heap, out_heap;
  const size_t num_in = step.in.size();
  const size_t num_out = step.out.size();
  std::span<Tensor> in(in_inline, std::min(num_in, kInline));
  std::span<Tensor> out(out_inline, std::min(num_out, kInline));
  if (num_in > kInline) {
    in_heap.resize(num_in);
    in = in_heap;
  }
  if (num_out > kInline) {
    out_heap.resize(num_out);
    out = out_heap;
  }
  for (size_t i = 0; i < num_in; ++i) in[i] = Fetch(step.in[i], region, frame);
  KernelCall call{in, out, run, frame};
  RETURN_IF_ERROR(step.kernel.run(call));
  for (const int32_t slot : step.release) frame.slots[static_cast<size_t>(slot)] = Tensor();
  for (size_t i = 0; i < num_out; ++i) {
    if (step.out[i] >= 0) frame.slots[static_cast<size_t>(step.out[i])] = std::move(out[i]);
  }
  return OkStatus();
}

Status RunProfiled(const PlanStep& step, const RegionPlan& region, Run& run, Frame& frame) {
  const auto start = std::chrono::steady_clock::now();
  RETURN_IF_ERROR(RunStep(step, region, run, frame));
  const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
  Profiler::Entry& entry = run.profiler->entries[step.def->name];
  ++entry.calls;
  entry.seconds += spent.count();
  return OkStatus();
}

}  // namespace

Status RunRegion(const RegionPlan& region, Run& run, Frame& frame, std::span<Tensor> args,
                 std::vector<Tensor>* results) {
  for (size_t i = 0; i < args.size(); ++i) {
    if (region.args[i] >= 0) {
      frame.slots[static_cast<size_t>(region.args[i])] = std::move(args[i]);
    } else {
      args[i] = Tensor();
    }
  }
  for (const PlanStep& step : region.steps) {
    RETURN_IF_ERROR(run.TakeStep());
    const Status s = run.profiler == nullptr ? RunStep(step, region, run, frame)
                                             : RunProfiled(step, region, run, frame);
    if (!s.ok()) return s;
    RETURN_IF_ERROR(run.Poll());
  }
  for (const SlotUse& use : region.returns) results->push_back(Fetch(use, region, frame));
  return OkStatus();
}

Status RunFunc(const FuncPlan& func, Run& run, std::span<Tensor> args,
               std::vector<Tensor>* results) {
  Frame frame;
  frame.slots.resize(static_cast<size_t>(func.num_slots));
  return RunRegion(func.body, run, frame, args, results);
}

Result<Tensor> ReuseOrAllocate(const Run& run, Tensor& candidate, const TensorType& type) {
  if (candidate.unique() && candidate.byte_size() > 0 &&
      tensor::ByteWidth(candidate.dtype()) == tensor::ByteWidth(type.dtype) &&
      candidate.shape() == type.shape) {
    return candidate.Reinterpreted(type.dtype);
  }
  return run.Allocate(type);
}

}  // namespace megalith::stablehlo

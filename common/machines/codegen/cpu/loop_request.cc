#include "common/machines/codegen/cpu/loop_request.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/machines/kernels/params.h"
#include "common/machines/kernels/scalar_ops.h"

namespace megalith::codegen {
namespace {

using kernels::DotParams;
using runtime::DType;
using runtime::LibraryUse;
using runtime::Plan;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::PlanWhile;
using runtime::StepKind;

// Of all instructions of a loop together, in additions: what LLVM compiles in half a second.
constexpr double kMostCost = 2500;
// Additions of one run of a kernel, from which on several threads share it: better a step.
constexpr double kSharedCost = 300000;
// Multiplications of one product. Larger ones gain more from packed operands than from being here.
constexpr double kMostProducts = 1 << 17;
// Larger copies are better left to memcpy.
constexpr uint64_t kMostCopyBytes = 1 << 16;

std::optional<DotRequest> DotOf(const LibraryUse& use) {
  if (use.kernel != kernels::kDotKernel.name || use.in.size() != 2 || use.out.size() != 1) {
    return std::nullopt;
  }
  const auto v = kernels::UnpackParams(use.params);
  if (!v.ok() || v->size() != 13) return std::nullopt;
  DotRequest dot;
  DotParams& p = dot.params;
  int64_t* const fields[] = {&p.batch,     &p.inner,     &p.m,       &p.n,       &p.k,
                             &p.lhs_batch, &p.lhs_inner, &p.lhs_row, &p.lhs_col, &p.rhs_batch,
                             &p.rhs_inner, &p.rhs_row,   &p.rhs_col};
  for (size_t i = 0; i < 13; ++i) *fields[i] = (*v)[i];
  dot.dtype = use.out[0].dtype;
  if ((dot.dtype != DType::kF32 && dot.dtype != DType::kF64) || use.in[0].dtype != dot.dtype ||
      use.in[1].dtype != dot.dtype) {
    return std::nullopt;
  }
  if (p.n == 1 && p.m > 1) {
    dot.swapped = true;
    std::swap(p.m, p.n);
    std::swap(p.lhs_batch, p.rhs_batch);
    std::swap(p.lhs_inner, p.rhs_inner);
    std::swap(p.lhs_row, p.rhs_col);
    std::swap(p.lhs_col, p.rhs_row);
  }
  const double products = static_cast<double>(p.batch) * static_cast<double>(p.inner) *
                          static_cast<double>(p.m) * static_cast<double>(p.n) *
                          static_cast<double>(p.k);
  if (products > kMostProducts || products < 1) return std::nullopt;
  // Vectors run along the columns of the right operand, or else along the sum.
  const bool columns = p.rhs_col == 1 || p.n == 1;
  const bool sums = p.rhs_row == 1 && p.lhs_col == 1;
  if (!columns && !sums) return std::nullopt;
  return dot;
}

double InstrCost(const runtime::LoopKernel& kernel) {
  double cost = 0;
  for (const runtime::LoopStage& stage : kernel.stages) {
    for (const runtime::LoopInstr& instr : stage.instrs) {
      cost += std::max(kernels::FindScalarOp(instr.op)->cost, 1.0);
    }
  }
  return cost;
}

double KernelCost(const runtime::LoopKernel& kernel) {
  return kernel.PointCost() * static_cast<double>(kernel.OuterPoints());
}

double RunCost(const Plan& plan, const PlanRegion& region);

double TurnCost(const Plan& plan, const PlanWhile& loop) {
  return RunCost(plan, loop.condition) + RunCost(plan, loop.body) + 1;
}

// Checks the steps of one loop.
class Picker {
 public:
  Picker(const Plan& plan, LoopRequest* out) : plan_(plan), out_(out) {}

  bool AcceptsLoop(uint32_t index) {
    const PlanWhile& loop = plan_.whiles[index];
    if (!Accepts(loop.condition) || !Accepts(loop.body) || out_->cost > kMostCost) return false;
    out_->turn_cost[index] = TurnCost(plan_, loop);
    return true;
  }

 private:
  bool Accepts(const PlanRegion& region) {
    return std::ranges::all_of(region.steps, [&](const PlanStep& s) { return Accepts(s); });
  }
  bool Accepts(const runtime::LoopKernel& kernel) {
    out_->cost += InstrCost(kernel);
    return KernelCost(kernel) <= kSharedCost;
  }
  bool Accepts(const PlanStep& step) {
    switch (step.kind) {
      case StepKind::kLoop:
        return Accepts(plan_.loops[step.index]);
      case StepKind::kLibrary: {
        const std::optional<DotRequest> dot = DotOf(plan_.library[step.index]);
        if (!dot) return false;
        out_->dots[step.index] = *dot;
        out_->cost += 100;
        return step.epilogue == UINT32_MAX || Accepts(plan_.loops[step.epilogue]);
      }
      case StepKind::kCopy:
        out_->cost += 4;
        return plan_.buffers[step.out[0]].bytes <= kMostCopyBytes;
      case StepKind::kWhile:
        return AcceptsLoop(step.index);
      case StepKind::kBranch:
        return std::ranges::all_of(plan_.branches[step.index].regions,
                                   [&](const PlanRegion& r) { return Accepts(r); });
    }
    return false;
  }

  const Plan& plan_;
  LoopRequest* const out_;
};

void Find(const Plan& plan, const PlanRegion& region, std::vector<LoopRequest>* out) {
  for (const PlanStep& step : region.steps) {
    if (step.kind == StepKind::kWhile) {
      const PlanWhile& loop = plan.whiles[step.index];
      LoopRequest request{&plan, &step, {}, {}, 0};
      if (Picker(plan, &request).AcceptsLoop(step.index)) {
        out->push_back(std::move(request));
        continue;
      }
      Find(plan, loop.condition, out);
      Find(plan, loop.body, out);
    }
    if (step.kind == StepKind::kBranch) {
      for (const PlanRegion& r : plan.branches[step.index].regions) Find(plan, r, out);
    }
  }
}

void Collect(const Plan& plan, const PlanRegion& region, const std::set<uint32_t>& without,
             std::set<uint32_t>* kernels) {
  for (const PlanStep& step : region.steps) {
    if (step.kind == StepKind::kLoop) kernels->insert(step.index);
    if (step.epilogue != UINT32_MAX) kernels->insert(step.epilogue);
    if (step.kind == StepKind::kWhile && !without.contains(step.index)) {
      Collect(plan, plan.whiles[step.index].condition, without, kernels);
      Collect(plan, plan.whiles[step.index].body, without, kernels);
    }
    if (step.kind == StepKind::kBranch) {
      for (const PlanRegion& r : plan.branches[step.index].regions) {
        Collect(plan, r, without, kernels);
      }
    }
  }
}

double StepCost(const Plan& plan, const PlanStep& step) {
  double cost = step.epilogue == UINT32_MAX ? 0 : KernelCost(plan.loops[step.epilogue]);
  switch (step.kind) {
    case StepKind::kLoop:
      return KernelCost(plan.loops[step.index]);
    case StepKind::kLibrary: {
      const std::optional<DotRequest> dot = DotOf(plan.library[step.index]);
      if (!dot) return cost;
      const DotParams& p = dot->params;
      return cost + static_cast<double>(p.batch * p.inner * p.m * p.n * p.k);
    }
    case StepKind::kCopy:
      return static_cast<double>(plan.buffers[step.out[0]].bytes) / 4;
    case StepKind::kWhile: {
      // Of unknown length: one turn.
      const PlanWhile& loop = plan.whiles[step.index];
      return TurnCost(plan, loop) * static_cast<double>(loop.trip_count < 0 ? 1 : loop.trip_count);
    }
    case StepKind::kBranch:
      for (const PlanRegion& r : plan.branches[step.index].regions) {
        cost = std::max(cost, RunCost(plan, r));
      }
      return cost;
  }
  return cost;
}

double RunCost(const Plan& plan, const PlanRegion& region) {
  double cost = 0;
  for (const PlanStep& step : region.steps) cost += StepCost(plan, step);
  return cost;
}

}  // namespace

std::vector<LoopRequest> FindLoops(const Plan& plan) {
  std::vector<LoopRequest> loops;
  Find(plan, plan.entry, &loops);
  return loops;
}

std::vector<uint32_t> KernelsOutside(const Plan& plan, const std::vector<LoopRequest>& loops) {
  std::set<uint32_t> without, kernels;
  for (const LoopRequest& loop : loops) without.insert(loop.step->index);
  Collect(plan, plan.entry, without, &kernels);
  return {kernels.begin(), kernels.end()};
}

}  // namespace megalith::codegen

#include "common/machines/codegen/cpu/simplify.h"

#include <algorithm>

#include "common/machines/codegen/cpu/nest.h"
#include "common/machines/kernels/scalar_ops.h"

namespace megalith::codegen {
namespace {

using kernels::ScalarOp;
using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopDim;
using runtime::LoopIndexTerm;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopReduction;
using runtime::LoopStage;

template <typename F>
void ForEachAccess(LoopStage& stage, F f) {
  for (LoopAccess& load : stage.loads) f(load);
  for (runtime::LoopStore& store : stage.stores) f(store.to);
}

bool UsesPosition(const LoopStage& stage, size_t dim) {
  for (const LoopInstr& instr : stage.instrs) {
    if (instr.op == ScalarOp::kIndex && instr.imm == dim) return true;
  }
  return std::any_of(stage.loads.begin(), stage.loads.end(), [&](const LoopAccess& load) {
    return std::any_of(load.guards.begin(), load.guards.end(),
                       [&](const runtime::LoopGuard& guard) { return guard.dim == dim; });
  });
}

// Walking dimensions (d, d+1) as one of extent e0*e1 visits the same elements in the same order.
bool StridesMerge(const std::vector<int64_t>& strides, size_t d, int64_t e0, int64_t e1) {
  return e0 == 1 || e1 == 1 || strides[d] == strides[d + 1] * e1;
}

bool CanMerge(const LoopStage& stage, size_t d, int64_t e0, int64_t e1) {
  if (UsesPosition(stage, d) || UsesPosition(stage, d + 1)) return false;
  LoopStage& mutable_stage = const_cast<LoopStage&>(stage);  // ForEachAccess only reads here
  bool merge = true;
  ForEachAccess(mutable_stage, [&](const LoopAccess& access) {
    merge = merge && StridesMerge(access.strides, d, e0, e1);
    for (const LoopIndexTerm& term : access.terms) {
      merge = merge && StridesMerge(term.strides, d, e0, e1);
    }
  });
  return merge;
}

// Leaves one stride for dimensions (d, d+1): of the one that is walked.
void MergeStrides(std::vector<int64_t>* strides, size_t d, int64_t e1) {
  strides->erase(strides->begin() + static_cast<int64_t>(e1 == 1 ? d + 1 : d));
}

void Merge(LoopStage* stage, size_t d, int64_t e1) {
  ForEachAccess(*stage, [&](LoopAccess& access) {
    MergeStrides(&access.strides, d, e1);
    for (LoopIndexTerm& term : access.terms) MergeStrides(&term.strides, d, e1);
    for (runtime::LoopGuard& guard : access.guards) guard.dim -= guard.dim > d ? 1 : 0;
  });
  for (LoopInstr& instr : stage->instrs) {
    if (instr.op == ScalarOp::kIndex && instr.imm > d) --instr.imm;
  }
}

void InsertOuterDim(LoopKernel* kernel) {
  kernel->outer.push_back(1);
  for (LoopStage& stage : kernel->stages) {
    ForEachAccess(stage, [](LoopAccess& access) {
      access.strides.insert(access.strides.begin(), 0);
      for (LoopIndexTerm& term : access.terms) term.strides.insert(term.strides.begin(), 0);
      for (runtime::LoopGuard& guard : access.guards) ++guard.dim;
    });
    for (LoopInstr& instr : stage.instrs) {
      if (instr.op == ScalarOp::kIndex) ++instr.imm;
    }
  }
}

void MergeOuter(LoopKernel* kernel) {
  for (size_t d = kernel->outer.size() - 1; d-- > 0;) {
    const int64_t e0 = kernel->outer[d], e1 = kernel->outer[d + 1];
    const bool all = std::all_of(kernel->stages.begin(), kernel->stages.end(),
                                 [&](const LoopStage& s) { return CanMerge(s, d, e0, e1); });
    if (!all) continue;
    for (LoopStage& stage : kernel->stages) Merge(&stage, d, e1);
    kernel->outer[d] = e0 * e1;
    kernel->outer.erase(kernel->outer.begin() + static_cast<int64_t>(d) + 1);
  }
}

void MergeInner(LoopStage* stage, size_t outer) {
  if (stage->dims.empty()) return;
  for (size_t d = stage->dims.size() - 1; d-- > 0;) {
    const LoopDim a = stage->dims[d], b = stage->dims[d + 1];
    // A dimension of one element may join either kind.
    if (a.reduced != b.reduced && a.extent != 1 && b.extent != 1) continue;
    if (!CanMerge(*stage, outer + d, a.extent, b.extent)) continue;
    Merge(stage, outer + d, b.extent);
    stage->dims[d] = {a.extent * b.extent, b.extent == 1 ? a.reduced : b.reduced};
    stage->dims.erase(stage->dims.begin() + static_cast<int64_t>(d) + 1);
  }
}

bool ReadsNowhere(const LoopKernel& kernel, const LoopStage& stage, const LoopAccess& load) {
  return std::any_of(load.guards.begin(), load.guards.end(), [&](const runtime::LoopGuard& guard) {
    return std::max<int64_t>(guard.begin, 0) >=
           std::min(guard.end, Extent(kernel, stage, guard.dim));
  });
}

// Loads whose guards let nothing through may have any address, so they must go.
void DropClosedLoads(const LoopKernel& kernel, LoopStage* stage) {
  for (LoopInstr& instr : stage->instrs) {
    if (instr.op != ScalarOp::kLoad) continue;
    const LoopAccess& load = stage->loads[instr.imm];
    if (!ReadsNowhere(kernel, *stage, load)) continue;
    instr = {.op = ScalarOp::kConstant, .type = instr.type, .imm = load.fill};
  }
}

// A stage without points may have loads of any address: it becomes one that stores what its
// reductions begin with, or nothing.
void ReplaceEmptyStage(const LoopKernel& kernel, LoopStage* stage) {
  const auto empty = [](const LoopDim& dim) { return dim.extent == 0; };
  if (std::none_of(stage->dims.begin(), stage->dims.end(), empty)) return;
  LoopStage out;
  for (const LoopReduction& reduction : stage->reductions) {
    const DType type = stage->instrs[reduction.value].type;
    out.instrs.push_back({.op = ScalarOp::kConstant, .type = type, .imm = reduction.init});
  }
  if (!stage->reductions.empty()) out.stores = stage->stores;
  for (size_t d = stage->dims.size(); d-- > 0;) {
    const bool last = out.dims.empty() && d == 0 && !kernel.vector_outer;
    if (!stage->dims[d].reduced) {
      out.dims.insert(out.dims.begin(), stage->dims[d]);
    } else if (last) {
      out.dims.push_back({.extent = 1});
    } else {
      const auto at = static_cast<int64_t>(kernel.outer.size() + d);
      ForEachAccess(out, [&](LoopAccess& access) {
        access.strides.erase(access.strides.begin() + at);
        for (LoopIndexTerm& term : access.terms) term.strides.erase(term.strides.begin() + at);
      });
    }
  }
  if (std::any_of(out.dims.begin(), out.dims.end(), empty)) out.stores.clear();
  *stage = std::move(out);
}

void DropUnused(LoopStage* stage) {
  std::vector<bool> used(stage->instrs.size(), false);
  for (const LoopReduction& reduction : stage->reductions) used[reduction.value] = true;
  if (stage->reductions.empty()) {
    for (const runtime::LoopStore& store : stage->stores) used[store.value] = true;
  }
  std::vector<uint32_t> number(stage->instrs.size(), 0);
  for (size_t i = stage->instrs.size(); i-- > 0;) {
    if (!used[i]) continue;
    const LoopInstr& instr = stage->instrs[i];
    const int operands = OperandsOf(instr.op);
    for (int k = 0; k < operands; ++k) used[instr.in[k]] = true;
  }
  std::vector<LoopInstr> kept;
  for (size_t i = 0; i < stage->instrs.size(); ++i) {
    if (!used[i]) continue;
    LoopInstr instr = stage->instrs[i];
    for (uint32_t& in : instr.in) in = in < number.size() ? number[in] : 0;
    number[i] = static_cast<uint32_t>(kept.size());
    kept.push_back(instr);
  }
  for (LoopReduction& reduction : stage->reductions) {
    reduction.value = number[reduction.value];
  }
  if (stage->reductions.empty()) {
    for (runtime::LoopStore& store : stage->stores) store.value = number[store.value];
  }
  stage->instrs = std::move(kept);
}

}  // namespace

LoopKernel Simplify(const LoopKernel& kernel) {
  LoopKernel out = kernel;
  if (out.outer.empty()) InsertOuterDim(&out);
  MergeOuter(&out);
  for (LoopStage& stage : out.stages) {
    DropClosedLoads(out, &stage);
    ReplaceEmptyStage(out, &stage);
    MergeInner(&stage, out.outer.size());
    DropUnused(&stage);
  }
  return out;
}

}  // namespace megalith::codegen

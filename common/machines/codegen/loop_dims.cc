#include "common/machines/codegen/loop_dims.h"

#include <algorithm>

namespace megalith::codegen {
namespace {

using kernels::ScalarOp;
using runtime::LoopAccess;
using runtime::LoopGuard;
using runtime::LoopIndexTerm;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopStage;

bool UsesPosition(const LoopStage& stage, size_t dim) {
  for (const LoopInstr& instr : stage.instrs) {
    if (instr.op == ScalarOp::kIndex && instr.imm == dim) return true;
  }
  for (const LoopAccess& load : stage.loads) {
    for (const LoopGuard& guard : load.guards) {
      if (guard.dim == dim) return true;
    }
  }
  return false;
}

template <typename F>
void ForEachStrides(LoopStage* stage, const F& change) {
  ForEachAccess(*stage, [&](LoopAccess& access) {
    change(&access.strides);
    for (LoopIndexTerm& term : access.terms) change(&term.strides);
  });
}

// Positions from dimension `first` on move by `by` places.
void Renumber(size_t first, int by, LoopStage* stage) {
  for (LoopInstr& instr : stage->instrs) {
    if (instr.op == ScalarOp::kIndex && instr.imm >= first) instr.imm += static_cast<uint64_t>(by);
  }
  for (LoopAccess& load : stage->loads) {
    for (LoopGuard& guard : load.guards) {
      if (guard.dim >= first) guard.dim += static_cast<uint32_t>(by);
    }
  }
}

// Removes dimension `dim`, of one element. False if a guard closes it.
bool RemoveUnit(size_t dim, LoopStage* stage) {
  for (LoopAccess& load : stage->loads) {
    const auto closed = [&](const LoopGuard& g) {
      return g.dim == dim && (g.begin > 0 || g.end < 1);
    };
    if (std::ranges::any_of(load.guards, closed)) return false;
    std::erase_if(load.guards, [&](const LoopGuard& g) { return g.dim == dim; });
  }
  for (LoopInstr& instr : stage->instrs) {
    if (instr.op == ScalarOp::kIndex && instr.imm == dim) {
      instr = {ScalarOp::kConstant, instr.type, {0, 0, 0}, 0};
    }
  }
  ForEachStrides(stage, [&](std::vector<int64_t>* strides) {
    strides->erase(strides->begin() + static_cast<std::ptrdiff_t>(dim));
  });
  Renumber(dim + 1, -1, stage);
  return true;
}

}  // namespace

bool DropUnitDims(LoopKernel* kernel) {
  for (size_t d = kernel->outer.size(); d-- > 0;) {
    if (kernel->outer[d] != 1) continue;
    for (LoopStage& stage : kernel->stages) {
      if (!RemoveUnit(d, &stage)) return false;
    }
    kernel->outer.erase(kernel->outer.begin() + static_cast<std::ptrdiff_t>(d));
  }
  for (LoopStage& stage : kernel->stages) {
    for (size_t d = stage.dims.size(); d-- > 0;) {
      const auto alike = [&](const runtime::LoopDim& other) {
        return other.reduced == stage.dims[d].reduced;
      };
      const bool last_reduced =
          stage.dims[d].reduced && std::ranges::count_if(stage.dims, alike) == 1;
      const bool last = !kernel->vector_outer && stage.dims.size() == 1;
      if (stage.dims[d].extent != 1 || last_reduced || last) continue;
      if (!RemoveUnit(kernel->outer.size() + d, &stage)) return false;
      stage.dims.erase(stage.dims.begin() + static_cast<std::ptrdiff_t>(d));
    }
  }
  return true;
}

bool SplitOuter(const std::vector<int64_t>& extents, LoopKernel* kernel) {
  for (size_t d = 0; d < extents.size(); ++d) {
    if (d >= kernel->outer.size()) return false;
    const int64_t rest = kernel->outer[d] / extents[d];
    if (kernel->outer[d] == extents[d]) continue;
    if (rest * extents[d] != kernel->outer[d]) return false;
    for (LoopStage& stage : kernel->stages) {
      if (UsesPosition(stage, d)) return false;
      ForEachStrides(&stage, [&](std::vector<int64_t>* strides) {
        const int64_t stride = (*strides)[d];
        strides->insert(strides->begin() + static_cast<std::ptrdiff_t>(d), stride * rest);
      });
      Renumber(d + 1, 1, &stage);
    }
    kernel->outer[d] = rest;
    kernel->outer.insert(kernel->outer.begin() + static_cast<std::ptrdiff_t>(d), extents[d]);
  }
  return true;
}

void MoveInside(size_t count, LoopKernel* kernel) {
  LoopStage& stage = kernel->stages[0];
  for (size_t d = count; d < kernel->outer.size(); ++d) {
    stage.dims.push_back({kernel->outer[d], false});
  }
  if (stage.dims.empty()) {
    stage.dims.push_back({1, false});
    ForEachStrides(&stage, [](std::vector<int64_t>* strides) { strides->push_back(0); });
  }
  kernel->outer.resize(count);
  kernel->vector_outer = false;
}

std::optional<std::vector<int64_t>> CommonExtents(const std::vector<int64_t>& a,
                                                  const std::vector<int64_t>& b) {
  std::vector<int64_t> extents;
  size_t i = 0, j = 0;
  int64_t x = 1, y = 1;  // what is left of the current dimensions
  while (true) {
    if (x == 1) {
      if (i == a.size()) return extents;
      x = a[i++];
    }
    if (y == 1) {
      if (j == b.size()) return std::nullopt;
      y = b[j++];
    }
    const int64_t step = std::min(x, y);
    if (step < 2 || x % step != 0 || y % step != 0) return std::nullopt;
    extents.push_back(step);
    x /= step;
    y /= step;
  }
}

}  // namespace megalith::codegen

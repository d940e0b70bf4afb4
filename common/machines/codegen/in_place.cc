#include "common/machines/codegen/in_place.h"

#include <vector>

namespace megalith::codegen {

bool FitsInPlace(const runtime::LoopKernel& kernel, uint32_t loaded, uint32_t stored) {
  if (kernel.stages.size() != 1 || !kernel.stages[0].reductions.empty()) return false;
  const runtime::LoopStage& stage = kernel.stages[0];
  const runtime::LoopAccess* to = nullptr;
  for (const runtime::LoopStore& s : stage.stores) {
    if (s.to.buffer != stored) continue;
    if (to != nullptr || !s.to.terms.empty()) return false;
    to = &s.to;
  }
  if (to == nullptr) return false;
  // What another store copies as it was loaded may be read when that store is made.
  for (const runtime::LoopStore& s : stage.stores) {
    const runtime::LoopInstr& value = stage.instrs[s.value];
    if (&s.to != to && value.op == runtime::ScalarOp::kLoad &&
        stage.loads[value.imm].buffer == loaded) {
      return false;
    }
  }
  for (const runtime::LoopAccess& a : stage.loads) {
    for (const runtime::LoopIndexTerm& t : a.terms) {
      if (t.buffer == loaded) return false;
    }
    if (a.buffer != loaded) continue;
    if (a.offset != to->offset || a.strides != to->strides || !a.terms.empty() ||
        !a.guards.empty() || tensor::ByteWidth(a.dtype) != tensor::ByteWidth(to->dtype)) {
      return false;
    }
  }
  return true;
}

bool FollowsRows(const runtime::LoopKernel& kernel, uint32_t number) {
  if (!kernel.vector_outer || kernel.stages.size() != 1 || !kernel.stages[0].reductions.empty() ||
      !kernel.stages[0].dims.empty()) {
    return false;
  }
  std::vector<int64_t> dense(kernel.outer.size());
  int64_t stride = 1;
  for (size_t d = dense.size(); d-- > 0; stride *= kernel.outer[d]) {
    dense[d] = kernel.outer[d] == 1 ? 0 : stride;
  }
  for (const runtime::LoopAccess& a : kernel.stages[0].loads) {
    for (const runtime::LoopIndexTerm& t : a.terms) {
      if (t.buffer == number) return false;
    }
    if (a.buffer != number) continue;
    std::vector<int64_t> strides = a.strides;
    for (size_t d = 0; d < strides.size(); ++d) {
      if (kernel.outer[d] == 1) strides[d] = 0;
    }
    if (a.offset != 0 || strides != dense || !a.terms.empty() || !a.guards.empty()) return false;
  }
  return true;
}

}  // namespace megalith::codegen

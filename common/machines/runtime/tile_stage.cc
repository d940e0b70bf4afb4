#include "common/machines/runtime/tile_stage.h"

#include <algorithm>
#include <cstring>
#include <map>

#include "common/foundation/base/status.h"

namespace megalith::runtime {
namespace {

using kernels::ScalarOpInfo;
using kernels::ScalarShape;

ScalarOp CombineOp(ReduceKind kind) {
  switch (kind) {
    case ReduceKind::kSum:
      return ScalarOp::kAdd;
    case ReduceKind::kProduct:
      return ScalarOp::kMultiply;
    case ReduceKind::kMaximum:
      return ScalarOp::kMaximum;
    case ReduceKind::kMinimum:
      return ScalarOp::kMinimum;
    case ReduceKind::kAnd:
      return ScalarOp::kAnd;
    case ReduceKind::kOr:
      return ScalarOp::kOr;
    case ReduceKind::kXor:
      return ScalarOp::kXor;
  }
  return ScalarOp::kAdd;
}

class StageBuilder {
 public:
  StageBuilder(const LoopKernel& kernel, const LoopStage& stage, TileLayout* layout)
      : kernel_(kernel), stage_(stage), layout_(*layout) {}

  TileStage Build() {
    SplitDims();
    for (const LoopAccess& load : stage_.loads) out_.loads.push_back(Access(load));
    CountUses();
    info_.resize(stage_.instrs.size());
    for (size_t i = 0; i < stage_.instrs.size(); ++i) AddInstr(i);
    for (const LoopReduction& r : stage_.reductions) AddReduction(r);
    for (const LoopStore& s : stage_.stores) AddStore(s);
    StoreDirectly();
    FindRows();
    return std::move(out_);
  }

 private:
  struct Info {
    uint32_t reg = 0;
    bool splat = false;
    bool in_slot = false;  // an array of lanes in scratch that may be reused
    bool memory = false;   // may point into an argument
    int width = 1;
    size_t root = 0;  // the instruction whose register this is: bitcasts share it
  };

  // --- dimensions ---

  void SplitDims() {
    TileDims& dims = out_.dims;
    const auto outer = static_cast<uint32_t>(kernel_.outer.size());
    const auto inner = static_cast<uint32_t>(stage_.dims.size());
    dims.extents = kernel_.outer;
    for (const LoopDim& d : stage_.dims) dims.extents.push_back(d.extent);
    std::vector<uint32_t> free, reduced;
    uint32_t rest = inner;
    if (layout_.outer_lanes) {
      dims.per_lane_from = layout_.buffers;
      dims.spread = layout_.tile;
      for (uint32_t d = 0; d < outer; ++d) dims.lanes.push_back(d);
    } else {
      for (uint32_t d = 0; d < outer; ++d) dims.seq.push_back(d);
      // The lanes run over the last dimensions of one kind.
      out_.horizontal = stage_.dims.back().reduced;
      while (rest > 0 && stage_.dims[rest - 1].reduced == out_.horizontal) --rest;
      for (uint32_t d = rest; d < inner; ++d) dims.lanes.push_back(outer + d);
      out_.lanes = 1;
      for (const uint32_t d : dims.lanes) out_.lanes *= dims.extents[d];
    }
    for (uint32_t d = 0; d < rest; ++d) {
      (stage_.dims[d].reduced ? reduced : free).push_back(outer + d);
    }
    out_.first = static_cast<uint32_t>(dims.seq.size());
    dims.seq.insert(dims.seq.end(), free.begin(), free.end());
    out_.reduced = static_cast<uint32_t>(dims.seq.size());
    dims.seq.insert(dims.seq.end(), reduced.begin(), reduced.end());
    for (const uint32_t d : dims.seq) out_.seq_extents.push_back(dims.extents[d]);
  }

  TileAccess Access(const LoopAccess& access) const { return MakeTileAccess(access, out_.dims); }

  // --- scratch ---

  uint64_t Take(uint64_t bytes) {
    const uint64_t at = layout_.scratch_bytes;
    layout_.scratch_bytes += (bytes + 63) / 64 * 64;
    return at;
  }
  uint64_t TakeLanes(int width) { return Take(static_cast<uint64_t>(layout_.tile * width)); }

  uint32_t NewRegister(uint64_t place, bool constant = false) {
    layout_.registers.push_back({place, constant});
    return static_cast<uint32_t>(layout_.registers.size() - 1);
  }
  uint32_t ConstantRegister(uint64_t bits, int width) {
    TileLayout::Block block;
    for (int at = 0; at < kernels::kSplatBytes; at += width) {
      std::memcpy(block.bytes + at, &bits, static_cast<size_t>(width));  // little-endian
    }
    layout_.constants.push_back(block);
    return NewRegister(layout_.constants.size() - 1, true);
  }

  // --- registers ---

  size_t Operands(const LoopInstr& instr) const {
    return static_cast<size_t>(kernels::OperandCount(kernels::FindScalarOp(instr.op)->shape));
  }

  void CountUses() {
    const size_t n = stage_.instrs.size();
    root_.resize(n);
    last_use_.assign(n, -1);
    for (size_t i = 0; i < n; ++i) {
      const LoopInstr& instr = stage_.instrs[i];
      root_[i] = instr.op == ScalarOp::kBitcast ? root_[instr.in[0]] : i;
    }
    const auto keep = [&](uint32_t value) { last_use_[root_[value]] = static_cast<int64_t>(n); };
    for (const LoopReduction& r : stage_.reductions) keep(r.value);
    if (stage_.reductions.empty()) {
      for (const LoopStore& s : stage_.stores) keep(s.value);
    }
    for (size_t i = n; i-- > 0;) {
      const LoopInstr& instr = stage_.instrs[i];
      if (instr.op == ScalarOp::kBitcast || last_use_[i] < 0) continue;
      for (size_t k = 0; k < Operands(instr); ++k) {
        int64_t& last = last_use_[root_[instr.in[k]]];
        last = std::max(last, static_cast<int64_t>(i));
      }
    }
  }

  // Lanes for the result of `i`, in place of operands that are not needed any more.
  void PlaceLanes(size_t i) {
    Info& info = info_[i];
    info.in_slot = true;
    std::vector<uint64_t>& free = free_[info.width];
    if (free.empty()) free.push_back(TakeLanes(info.width));
    info.reg = NewRegister(free.back());
    free.pop_back();
  }
  void FreeOperands(size_t i) {
    const LoopInstr& instr = stage_.instrs[i];
    for (size_t k = 0; k < Operands(instr); ++k) {
      const size_t root = root_[instr.in[k]];
      Info& operand = info_[root];
      if (!operand.in_slot || last_use_[root] != static_cast<int64_t>(i)) continue;
      operand.in_slot = false;
      free_[operand.width].push_back(layout_.registers[operand.reg].place);
    }
  }

  void AddInstr(size_t i) {
    const LoopInstr& instr = stage_.instrs[i];
    if (instr.op == ScalarOp::kBitcast) {
      info_[i] = info_[instr.in[0]];
      return;
    }
    if (last_use_[i] < 0) return;
    info_[i].width = tensor::ByteWidth(instr.type);
    switch (instr.op) {
      case ScalarOp::kConstant:
        info_[i].splat = true;
        info_[i].reg = ConstantRegister(instr.imm, info_[i].width);
        return;
      case ScalarOp::kLoad:
        return AddLoad(i);
      case ScalarOp::kIndex:
        return AddIndex(i);
      default:
        return AddCompute(i);
    }
  }

  void AddCompute(size_t i) {
    const LoopInstr& instr = stage_.instrs[i];
    const ScalarOpInfo* op = kernels::FindScalarOp(instr.op);
    TileStep step;
    step.imm = instr.imm;
    step.width = static_cast<uint8_t>(info_[i].width);
    step.type = instr.type;
    const size_t operands = Operands(instr);
    for (size_t k = 0; k < operands; ++k) {
      const Info& operand = info_[root_[instr.in[k]]];
      step.in[k] = operand.reg;
      if (operand.splat) step.splats |= 1u << k;
    }
    const DType type = stage_.instrs[instr.in[op->shape == ScalarShape::kSelect ? 1 : 0]].type;
    step.fn = kernels::FindTileFn(instr.op, type, instr.type);
    CHECK(step.fn != nullptr);
    step.splat = step.splats == (1u << operands) - 1;
    info_[i].splat = step.splat;
    FreeOperands(i);
    if (step.splat) {
      info_[i].reg = NewRegister(Take(kernels::kSplatBytes));
    } else {
      PlaceLanes(i);
    }
    step.reg = info_[i].reg;
    out_.steps.push_back(step);
  }

  void AddLoad(size_t i) {
    const LoopInstr& instr = stage_.instrs[i];
    const TileAccess& access = out_.loads[instr.imm];
    TileStep step;
    step.kind = TileStepKind::kLoad;
    step.type = instr.type;
    step.width = static_cast<uint8_t>(info_[i].width);
    step.imm = stage_.loads[instr.imm].fill;
    step.access = static_cast<uint32_t>(instr.imm);
    step.fn = kernels::FindDecodeFn(access.dtype);
    step.splat = access.form == TileForm::kUniform && !access.per_lane;
    info_[i].splat = step.splat;
    if (step.splat) {
      info_[i].reg = NewRegister(Take(kernels::kSplatBytes));
    } else {
      PlaceLanes(i);
      info_[i].memory = step.fn == nullptr;
      if (step.fn != nullptr) step.raw = TakeLanes(access.width);
    }
    step.reg = info_[i].reg;
    out_.steps.push_back(step);
  }

  void AddIndex(size_t i) {
    const LoopInstr& instr = stage_.instrs[i];
    const auto dim = static_cast<uint32_t>(instr.imm);
    TileStep step;
    step.kind = TileStepKind::kIndex;
    step.type = instr.type;
    step.width = static_cast<uint8_t>(info_[i].width);
    const std::vector<uint32_t>& lanes = out_.dims.lanes;
    const auto found = std::find(lanes.begin(), lanes.end(), dim);
    step.of_lanes = found != lanes.end();
    step.splat = !step.of_lanes;
    step.extent = out_.dims.extents[dim];
    if (step.of_lanes) {
      for (auto d = found + 1; d != lanes.end(); ++d) step.inner *= out_.dims.extents[*d];
      PlaceLanes(i);
    } else {
      const std::vector<uint32_t>& seq = out_.dims.seq;
      step.seq = static_cast<uint32_t>(std::find(seq.begin(), seq.end(), dim) - seq.begin());
      step.inner = kernels::kSplatBytes;  // position p repeats at lanes p * inner and on
      info_[i].reg = NewRegister(Take(kernels::kSplatBytes));
    }
    info_[i].splat = step.splat;
    step.reg = info_[i].reg;
    out_.steps.push_back(step);
  }

  // --- results ---

  void AddReduction(const LoopReduction& r) {
    const DType type = stage_.instrs[r.value].type;
    const Info& value = info_[root_[r.value]];
    TileReduction reduction;
    reduction.value = value.reg;
    reduction.splat = value.splat;
    reduction.width = static_cast<uint8_t>(tensor::ByteWidth(type));
    reduction.acc = TakeLanes(reduction.width);
    reduction.init = ConstantRegister(r.init, reduction.width);
    reduction.fn = kernels::FindTileFn(CombineOp(r.kind), type, type);
    reduction.all = kernels::FindReduceFn(CombineOp(r.kind), type);
    reduction.copy = kernels::FindTileFn(ScalarOp::kBitcast, type, type);
    CHECK(reduction.fn != nullptr);
    out_.reductions.push_back(reduction);
  }

  void AddStore(const LoopStore& s) {
    TileStoreStep store;
    store.to = Access(s.to);
    uint32_t value = s.value;
    store.value = value;
    if (stage_.reductions.empty()) {
      const Info& info = info_[root_[value]];
      store.value = info.reg;
      store.splat = info.splat;
    } else {
      value = stage_.reductions[value].value;
    }
    const DType type = stage_.instrs[value].type;
    store.copy = kernels::FindEncodeFn(s.to.dtype);
    if (store.copy == nullptr) {
      store.copy = kernels::FindTileFn(ScalarOp::kBitcast, type, type);
    }
    store.raw = TakeLanes(store.to.width);
    out_.stores.push_back(std::move(store));
  }

  // The last step may write a result where it belongs, if nothing is read from memory after it.
  void StoreDirectly() {
    if (!stage_.reductions.empty() || out_.steps.empty()) return;
    TileStep& last = out_.steps.back();
    if (last.kind != TileStepKind::kCompute || last.splat) return;
    for (const LoopStore& s : stage_.stores) {
      if (info_[root_[s.value]].memory) return;
    }
    int found = -1, uses = 0;
    for (size_t i = 0; i < out_.stores.size(); ++i) {
      if (out_.stores[i].splat || out_.stores[i].value != last.reg) continue;
      found = static_cast<int>(i);
      ++uses;
    }
    if (uses != 1) return;
    TileStoreStep& store = out_.stores[static_cast<size_t>(found)];
    const bool narrow = kernels::FindEncodeFn(store.to.dtype) != nullptr;
    if (narrow || store.to.per_lane || store.to.form != TileForm::kLinear || store.to.stride != 1) {
      return;
    }
    store.direct = true;
    last.direct_store = found;
  }

  void FindRows() {
    int64_t row = 0;
    const auto look = [&](int64_t extent) { row = row == 0 ? extent : std::min(row, extent); };
    const auto access = [&](const TileAccess& a) {
      if (a.form == TileForm::kRows && !a.per_lane) look(a.lanes.back().extent);
    };
    for (const TileAccess& a : out_.loads) access(a);
    for (const TileStoreStep& s : out_.stores) access(s.to);
    out_.row = row;
  }

  const LoopKernel& kernel_;
  const LoopStage& stage_;
  TileLayout& layout_;
  TileStage out_;
  std::vector<Info> info_;
  std::vector<size_t> root_;
  std::vector<int64_t> last_use_;
  std::map<int, std::vector<uint64_t>> free_;
};

}  // namespace

TileStage PrepareStage(const LoopKernel& kernel, const LoopStage& stage, TileLayout* layout) {
  return StageBuilder(kernel, stage, layout).Build();
}

}  // namespace megalith::runtime

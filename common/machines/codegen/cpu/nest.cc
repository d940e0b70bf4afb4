#include "common/machines/codegen/cpu/nest.h"

#include <algorithm>
#include <bit>

#include "common/machines/kernels/scalar_ops.h"

namespace megalith::codegen {

using kernels::ScalarOp;
using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopIndexTerm;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopStage;

uint32_t VectorDim(const LoopKernel& kernel, const LoopStage& stage) {
  const size_t outer = kernel.outer.size();
  return static_cast<uint32_t>(kernel.vector_outer ? outer - 1 : outer + stage.dims.size() - 1);
}

int64_t Extent(const LoopKernel& kernel, const LoopStage& stage, uint32_t dim) {
  const size_t outer = kernel.outer.size();
  return dim < outer ? kernel.outer[dim] : stage.dims[dim - outer].extent;
}

namespace {

bool Stored(const LoopKernel& kernel, runtime::LoopBuffer buffer) {
  for (const LoopStage& stage : kernel.stages) {
    for (const runtime::LoopStore& store : stage.stores) {
      if (store.to.buffer == buffer) return true;
    }
  }
  return false;
}

class StagePlanner {
 public:
  StagePlanner(const LoopKernel& kernel, const LoopStage& stage)
      : kernel_(kernel), stage_(stage), vector_dim_(VectorDim(kernel, stage)) {}

  StageNest Plan() {
    const auto outer = static_cast<uint32_t>(kernel_.outer.size());
    for (const bool reduced : {false, true}) {
      for (uint32_t d = 0; d < stage_.dims.size(); ++d) {
        if (stage_.dims[d].reduced == reduced) nest_.order.push_back(outer + d);
      }
      if (!reduced) nest_.free = nest_.order.size();
    }
    nest_.dim_level.assign(outer + stage_.dims.size(), kRowLevel);
    if (kernel_.vector_outer) nest_.dim_level[outer - 1] = kPointLevel;
    const int first = kernel_.vector_outer ? kPointLevel + 1 : kRowLevel + 1;
    for (size_t i = 0; i < nest_.order.size(); ++i) {
      nest_.dim_level[nest_.order[i]] = first + static_cast<int>(i);
    }
    for (const LoopInstr& instr : stage_.instrs) Place(instr);
    return std::move(nest_);
  }

 private:
  void Place(const LoopInstr& instr) {
    int level = kRowLevel;
    bool lanes = false;
    switch (instr.op) {
      case ScalarOp::kConstant:
        break;
      case ScalarOp::kIndex:
        level = nest_.dim_level[instr.imm];
        lanes = instr.imm == vector_dim_;
        break;
      case ScalarOp::kLoad:
        PlaceLoad(stage_.loads[instr.imm], &level, &lanes);
        break;
      default:
        for (int k = 0; k < OperandsOf(instr.op); ++k) {
          level = std::max(level, nest_.level[instr.in[k]]);
          lanes = lanes || nest_.lanes[instr.in[k]];
        }
    }
    nest_.level.push_back(level);
    nest_.lanes.push_back(lanes);
  }

  void PlaceLoad(const LoopAccess& load, int* level, bool* lanes) {
    Walk(load.strides, level, lanes);
    for (const LoopIndexTerm& term : load.terms) Walk(term.strides, level, lanes);
    for (const runtime::LoopGuard& guard : load.guards) {
      *level = std::max(*level, nest_.dim_level[guard.dim]);
    }
    const bool local = load.buffer >= kernel_.buffers;
    if (!kernel_.vector_outer) return;
    // What an earlier stage wrote is not there yet when a row begins.
    if (local || Stored(kernel_, load.buffer)) *level = std::max(*level, kPointLevel);
    for (const LoopIndexTerm& term : load.terms) {
      if (term.buffer >= kernel_.buffers) {
        *level = std::max(*level, kPointLevel);
        *lanes = true;
      }
    }
    *lanes = *lanes || local;
  }

  void Walk(const std::vector<int64_t>& strides, int* level, bool* lanes) {
    for (uint32_t d = 0; d < strides.size(); ++d) {
      if (strides[d] == 0 || Extent(kernel_, stage_, d) == 1) continue;
      *level = std::max(*level, nest_.dim_level[d]);
      *lanes = *lanes || d == vector_dim_;
    }
  }

  const LoopKernel& kernel_;
  const LoopStage& stage_;
  const uint32_t vector_dim_;
  StageNest nest_;
};

constexpr uint64_t kLocalAlignment = 64;
// Below this the code runs for microseconds and compiling it twice, with and without masks, is what
// costs.
constexpr double kFewElements = 1 << 14;

// In additions.
double RoughCost(ScalarOp op) {
  if (op == ScalarOp::kConstant) return 0;
  const bool costly = op >= ScalarOp::kCbrt && op <= ScalarOp::kAtanh;
  return costly || op == ScalarOp::kPower || op == ScalarOp::kAtan2 ? 8 : 1;
}

// Bits of an element that fills its lane: all vectors of a kernel have as many lanes. Those of the
// widest type, unless little beside the rest is computed in 64 bits: then those few values take two
// registers each.
int LaneBits(const LoopKernel& kernel) {
  constexpr double kLittle = 0.2;
  double all = 0, in_64 = 0;
  int widest = 8, widest_below_64 = 8;
  for (const LoopStage& stage : kernel.stages) {
    for (const LoopInstr& instr : stage.instrs) {
      const double cost = RoughCost(instr.op);
      const int bits = RegisterBits(instr.type);
      all += cost;
      in_64 += bits == 64 ? cost : 0;
      widest = std::max(widest, bits);
      if (bits < 64) widest_below_64 = std::max(widest_below_64, bits);
    }
  }
  return widest_below_64 == 32 && in_64 <= kLittle * all ? 32 : widest;
}

bool ContiguousAlong(const LoopAccess& access, uint32_t dim) {
  if (access.strides[dim] != 1 && access.strides[dim] != 0) return false;
  return std::all_of(access.terms.begin(), access.terms.end(),
                     [&](const LoopIndexTerm& term) { return term.strides[dim] == 0; });
}

// Masked vectors of 8 and 16 bits exist for neighbouring elements only.
bool MasksSuffice(const LoopKernel& kernel) {
  for (const LoopStage& stage : kernel.stages) {
    const uint32_t dim = VectorDim(kernel, stage);
    const auto scattered = [&](const LoopAccess& access) {
      return tensor::ByteWidth(access.dtype) < 4 && !ContiguousAlong(access, dim);
    };
    if (std::any_of(stage.loads.begin(), stage.loads.end(), scattered)) return false;
    for (const runtime::LoopStore& store : stage.stores) {
      if (scattered(store.to)) return false;
    }
  }
  return true;
}

// Elements the longest stage handles.
double Elements(const LoopKernel& kernel) {
  double most = 0;
  for (const LoopStage& stage : kernel.stages) {
    double elements = 1;
    for (const int64_t extent : kernel.outer) elements *= static_cast<double>(extent);
    for (const runtime::LoopDim& dim : stage.dims) elements *= static_cast<double>(dim.extent);
    most = std::max(most, elements);
  }
  return most;
}

unsigned ChooseUnroll(const LoopKernel& kernel, int64_t vectors) {
  double cost = 0;
  bool reduces = false;
  for (const LoopStage& stage : kernel.stages) {
    reduces = reduces || !stage.reductions.empty();
    for (const LoopInstr& instr : stage.instrs) {
      cost += std::max(RoughCost(instr.op), 1.0);
    }
  }
  // Iterations overlap by themselves but where each waits for the sum of the last.
  unsigned unroll = cost <= 4 ? 4 : cost <= 6 ? 2 : 1;
  if (reduces) unroll = cost <= 8 ? 4 : cost <= 20 ? 2 : 1;
  while (unroll > 1 && unroll > vectors) unroll /= 2;
  return unroll;
}

}  // namespace

int TermLevel(const LoopKernel& kernel, const LoopStage& stage, const StageNest& nest,
              const LoopIndexTerm& term) {
  int level = kernel.vector_outer && Stored(kernel, term.buffer) ? kPointLevel : kRowLevel;
  for (uint32_t d = 0; d < term.strides.size(); ++d) {
    if (term.strides[d] != 0 && Extent(kernel, stage, d) != 1) {
      level = std::max(level, nest.dim_level[d]);
    }
  }
  return level;
}

int OperandsOf(ScalarOp op) {
  if (op < ScalarOp::kNegate) return 0;
  if (op < ScalarOp::kAdd) return 1;
  return op < ScalarOp::kSelect ? 2 : 3;
}

KernelNest PlanNest(const LoopKernel& kernel, const TargetTraits& traits) {
  KernelNest nest;
  int64_t longest = kernel.vector_outer ? kernel.outer.back() : 1;
  for (const LoopStage& stage : kernel.stages) {
    longest = std::max(longest, Extent(kernel, stage, VectorDim(kernel, stage)));
    nest.stages.push_back(StagePlanner(kernel, stage).Plan());
  }
  nest.width = traits.vector_bits / static_cast<unsigned>(LaneBits(kernel));
  while (nest.width > 1 && nest.width / 2 >= static_cast<uint64_t>(longest)) nest.width /= 2;
  nest.unroll = ChooseUnroll(kernel, longest / nest.width);
  nest.masks = nest.width > 1 && traits.avx512 && MasksSuffice(kernel);
  nest.always_masked = nest.masks && nest.unroll == 1 && Elements(kernel) < kFewElements;
  uint64_t offset = 0;
  for (const uint64_t bytes : kernel.locals) {
    nest.local_offsets.push_back(offset);
    const uint64_t copies = kernel.vector_outer ? nest.width * nest.unroll : 1;
    offset += (bytes * copies + kLocalAlignment - 1) / kLocalAlignment * kLocalAlignment;
  }
  nest.scratch_bytes = offset;
  return nest;
}

}  // namespace megalith::codegen

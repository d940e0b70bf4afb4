#include "common/machines/runtime/loop.h"

#include "common/foundation/base/strings.h"

namespace megalith::runtime {
namespace {

using kernels::FindScalarOp;
using kernels::ScalarOpInfo;

// A load or store of an element, in additions of f32.
constexpr double kAccessCost = 1;
constexpr double kTermCost = 4;

double AccessCost(const LoopAccess& access) {
  return kAccessCost + kTermCost * static_cast<double>(access.terms.size()) +
         static_cast<double>(access.guards.size());
}

double StageCost(const LoopStage& stage) {
  double points = 1;
  for (const LoopDim& dim : stage.dims) points *= static_cast<double>(dim.extent);
  double cost = static_cast<double>(stage.reductions.size());
  for (const LoopAccess& load : stage.loads) cost += AccessCost(load);
  for (const LoopInstr& instr : stage.instrs) {
    const ScalarOpInfo* info = FindScalarOp(instr.op);
    if (info == nullptr || instr.op == ScalarOp::kLoad) continue;
    cost += info->cost * (tensor::ByteWidth(instr.type) == 8 ? 2 : 1);
  }
  for (const LoopStore& store : stage.stores) cost += AccessCost(store.to);
  return cost * points;
}

// --- text ---

template <typename T>
std::string List(const std::vector<T>& values) {
  std::string text = "[";
  for (const T& value : values) {
    if (text.size() > 1) text += ", ";
    text += StrCat(value);
  }
  return text + "]";
}

std::string AccessText(const LoopKernel& kernel, const LoopAccess& access) {
  const bool local = access.buffer >= kernel.buffers;
  std::string text = StrCat(tensor::Name(access.dtype), " ", local ? "local" : "arg",
                            local ? access.buffer - kernel.buffers : access.buffer, " + ",
                            access.offset, " ", List(access.strides));
  for (const LoopIndexTerm& term : access.terms) {
    text += StrCat(" + ", term.stride, " * clamp(", tensor::Name(term.dtype), " arg", term.buffer,
                   " + ", term.offset, " ", List(term.strides), ", ", term.max, ")");
  }
  for (const LoopGuard& guard : access.guards) {
    text += StrCat(" where d", guard.dim, " in [", guard.begin, ", ", guard.end, ")");
  }
  if (!access.guards.empty()) text += StrCat(" else bits ", access.fill);
  return text;
}

std::string InstrText(const LoopKernel& kernel, const LoopStage& stage, size_t at) {
  const LoopInstr& instr = stage.instrs[at];
  const ScalarOpInfo* info = FindScalarOp(instr.op);
  if (info == nullptr) return StrCat("%", at, " = ?\n");
  std::string text = StrCat("%", at, ":", tensor::Name(instr.type), " = ", info->name);
  for (int k = 0; k < kernels::OperandCount(info->shape); ++k) {
    text += StrCat(k == 0 ? " %" : ", %", instr.in[k]);
  }
  if (instr.op == ScalarOp::kLoad && instr.imm < stage.loads.size()) {
    text += StrCat(" ", AccessText(kernel, stage.loads[instr.imm]));
  } else if (instr.op == ScalarOp::kIndex) {
    text += StrCat(" d", instr.imm);
  } else if (instr.op == ScalarOp::kConstant) {
    text += StrCat(" bits ", instr.imm);
  } else if (instr.imm != 0) {
    text += StrCat(" imm ", instr.imm);
  }
  return text + "\n";
}

constexpr std::string_view kReduceNames[] = {"sum", "product", "maximum", "minimum",
                                             "and", "or",      "xor"};

}  // namespace

int64_t LoopKernel::OuterPoints() const {
  int64_t points = 1;
  for (const int64_t extent : outer) points *= extent;
  return points;
}

double LoopKernel::PointCost() const {
  double cost = 0;
  for (const LoopStage& stage : stages) cost += StageCost(stage);
  return cost;
}

std::string LoopText(const LoopKernel& kernel) {
  std::string text = StrCat("kernel \"", kernel.name, "\" args ", kernel.buffers, " locals ",
                            List(kernel.locals), " outer ", List(kernel.outer),
                            kernel.vector_outer ? " vector outer\n" : " vector inner\n");
  for (const LoopStage& stage : kernel.stages) {
    text += "stage";
    for (const LoopDim& dim : stage.dims) {
      text += StrCat(" ", dim.extent, dim.reduced ? " reduced" : "");
    }
    text += "\n";
    for (size_t i = 0; i < stage.instrs.size(); ++i) {
      text += StrCat("  ", InstrText(kernel, stage, i));
    }
    for (size_t i = 0; i < stage.reductions.size(); ++i) {
      const LoopReduction& r = stage.reductions[i];
      const auto kind = static_cast<size_t>(r.kind);
      text +=
          StrCat("  reduce ", i, " = ", kind < std::size(kReduceNames) ? kReduceNames[kind] : "?",
                 " %", r.value, " from bits ", r.init, "\n");
    }
    for (const LoopStore& store : stage.stores) {
      text += StrCat("  store ", stage.reductions.empty() ? "%" : "reduce ", store.value, " to ",
                     AccessText(kernel, store.to), "\n");
    }
  }
  return text;
}

}  // namespace megalith::runtime

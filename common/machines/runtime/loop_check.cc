// CheckLoopKernel: everything an interpreter or generated code relies on.
#include <algorithm>
#include <utility>

#include "common/foundation/base/strings.h"
#include "common/machines/runtime/loop.h"

namespace megalith::runtime {
namespace {

using kernels::ScalarOpInfo;
using kernels::ScalarShape;
using Wide = __int128;  // sums of products of int64: never overflows for kMaxLoopDims terms

// Private arrays beyond this are not what fusion makes.
constexpr uint64_t kMaxLocalBytes = uint64_t{1} << 28;
constexpr Wide kMaxPoints = Wide{1} << 62;

bool IsWord(uint64_t bits, DType type) {
  if (type == DType::kBool) return bits <= 1;
  return tensor::ByteWidth(type) == 8 || bits >> (tensor::BitWidth(type)) == 0;
}

class Checker {
 public:
  Checker(const LoopKernel& kernel, const std::vector<LoopBufferSize>& sizes)
      : kernel_(kernel), sizes_(sizes) {}

  Status Run() {
    if (sizes_.size() != kernel_.buffers) {
      return InvalidArgument(
          StrCat("kernel has ", kernel_.buffers, " buffers, ", sizes_.size(), " sizes were given"));
    }
    uint64_t local_bytes = 0;
    for (const uint64_t bytes : kernel_.locals) {
      if (bytes > kMaxLocalBytes) return InvalidArgument(StrCat("a local has ", bytes, " bytes"));
      local_bytes += bytes;
    }
    if (local_bytes > kMaxLocalBytes) {
      return InvalidArgument(StrCat("locals have ", local_bytes, " bytes together"));
    }
    RETURN_IF_ERROR(CheckExtents({}));
    size_t instrs = 0;
    for (size_t i = 0; i < kernel_.stages.size(); ++i) {
      const LoopStage& stage = kernel_.stages[i];
      instrs += stage.instrs.size();
      if (instrs > kMaxLoopInstrs) return InvalidArgument("kernel has too many instructions");
      RETURN_IF_ERROR(CheckStage(stage).Annotate(StrCat("stage ", i)));
    }
    return OkStatus();
  }

 private:
  Status CheckExtents(const std::vector<LoopDim>& dims) {
    extents_ = kernel_.outer;
    for (const LoopDim& dim : dims) extents_.push_back(dim.extent);
    if (extents_.size() > kMaxLoopDims) {
      return InvalidArgument(StrCat(extents_.size(), " dimensions, at most ", kMaxLoopDims));
    }
    Wide points = 1;
    empty_ = false;
    for (const int64_t extent : extents_) {
      if (extent < 0) return InvalidArgument(StrCat("extent ", extent));
      if (extent == 0) empty_ = true;
      points *= std::max<int64_t>(extent, 1);
      if (points > kMaxPoints) return InvalidArgument("too many points");
    }
    return OkStatus();
  }

  Status CheckStage(const LoopStage& stage) {
    RETURN_IF_ERROR(CheckExtents(stage.dims));
    if (stage.dims.empty() && !kernel_.vector_outer) {
      return InvalidArgument("no dimension to run in vectors");
    }
    const bool reduced = std::any_of(stage.dims.begin(), stage.dims.end(),
                                     [](const LoopDim& d) { return d.reduced; });
    if (reduced == stage.reductions.empty()) {
      return InvalidArgument("reduced dimensions and reductions go together");
    }
    for (const LoopAccess& load : stage.loads) RETURN_IF_ERROR(CheckAccess(load));
    for (size_t i = 0; i < stage.instrs.size(); ++i) {
      RETURN_IF_ERROR(CheckInstr(stage, i).Annotate(StrCat("instruction ", i)));
    }
    for (const LoopReduction& reduction : stage.reductions) {
      RETURN_IF_ERROR(CheckReduction(stage, reduction));
    }
    for (const LoopStore& store : stage.stores) RETURN_IF_ERROR(CheckStore(stage, store));
    return OkStatus();
  }

  // The elements an expression of positions can reach where the guards let it.
  struct Range {
    Wide low, high;
  };
  Range Reach(int64_t offset, const std::vector<int64_t>& strides,
              const std::vector<std::pair<int64_t, int64_t>>& positions) const {
    Range range = {offset, offset};
    for (size_t d = 0; d < strides.size(); ++d) {
      const Wide first = Wide{strides[d]} * positions[d].first;
      const Wide last = Wide{strides[d]} * (positions[d].second - 1);
      range.low += std::min(first, last);
      range.high += std::max(first, last);
    }
    return range;
  }

  Status CheckRange(const Range& range, LoopBuffer buffer, DType dtype) const {
    const size_t local = buffer - kernel_.buffers;
    const uint64_t bytes = buffer < kernel_.buffers ? sizes_[buffer].bytes : kernel_.locals[local];
    if (range.low < 0 || (range.high + 1) * tensor::ByteWidth(dtype) > Wide{bytes}) {
      return InvalidArgument(StrCat("an access leaves buffer ", buffer, " of ", bytes, " bytes"));
    }
    return OkStatus();
  }

  Status CheckPlace(LoopBuffer buffer, const std::vector<int64_t>& strides) const {
    if (buffer >= kernel_.buffers + kernel_.locals.size()) {
      return InvalidArgument(StrCat("there is no buffer ", buffer));
    }
    if (strides.size() != extents_.size()) {
      return InvalidArgument(
          StrCat(strides.size(), " strides for ", extents_.size(), " dimensions"));
    }
    if (buffer < kernel_.buffers) return OkStatus();
    for (size_t d = 0; d < kernel_.outer.size(); ++d) {
      if (strides[d] != 0) return InvalidArgument("a local moves with an outer dimension");
    }
    return OkStatus();
  }

  Status CheckAccess(const LoopAccess& access) const {
    const DType type = kernels::RegisterType(access.dtype);
    if (type == DType::kInvalid) return InvalidArgument("an access of a type kernels do not know");
    RETURN_IF_ERROR(CheckPlace(access.buffer, access.strides));
    if (!IsWord(access.fill, type)) return InvalidArgument("a fill wider than its type");
    std::vector<std::pair<int64_t, int64_t>> positions;
    for (const int64_t extent : extents_) positions.emplace_back(0, extent);
    bool reads = !empty_;
    for (const LoopGuard& guard : access.guards) {
      if (guard.dim >= extents_.size()) return InvalidArgument("a guard of no dimension");
      auto& [begin, end] = positions[guard.dim];
      begin = std::max(begin, guard.begin);
      end = std::min(end, guard.end);
      if (begin >= end) reads = false;
    }
    for (const LoopIndexTerm& term : access.terms) {
      if (!tensor::IsInteger(term.dtype) || !kernels::IsRegisterType(term.dtype)) {
        return InvalidArgument("an index that is not an integer");
      }
      RETURN_IF_ERROR(CheckPlace(term.buffer, term.strides));
      if (term.max < 0) return InvalidArgument("an index with nowhere to point");
    }
    if (!reads) return OkStatus();
    Range range = Reach(access.offset, access.strides, positions);
    for (const LoopIndexTerm& term : access.terms) {
      RETURN_IF_ERROR(
          CheckRange(Reach(term.offset, term.strides, positions), term.buffer, term.dtype));
      const Wide moved = Wide{term.max} * term.stride;
      (moved < 0 ? range.low : range.high) += moved;
    }
    return CheckRange(range, access.buffer, access.dtype);
  }

  Status CheckInstr(const LoopStage& stage, size_t at) const {
    const LoopInstr& instr = stage.instrs[at];
    const ScalarOpInfo* info = kernels::FindScalarOp(instr.op);
    if (info == nullptr) {
      return InvalidArgument(StrCat("there is no operation ", static_cast<int>(instr.op)));
    }
    if (!kernels::IsRegisterType(instr.type)) return InvalidArgument("not the type of a register");
    DType types[3] = {};
    const int operands = kernels::OperandCount(info->shape);
    for (int k = 0; k < operands; ++k) {
      if (instr.in[k] >= at) return InvalidArgument("an operand that is not defined before");
      types[k] = stage.instrs[instr.in[k]].type;
    }
    const auto refuse = [&] { return InvalidArgument(StrCat("types do not fit ", info->name)); };
    const DType operand = info->shape == ScalarShape::kSource   ? instr.type
                          : info->shape == ScalarShape::kSelect ? types[1]
                                                                : types[0];
    if (!kernels::Accepts(*info, operand)) return refuse();
    switch (info->shape) {
      case ScalarShape::kSource:
        return CheckSource(stage, instr);
      case ScalarShape::kUnary:
        if (instr.type != types[0]) return refuse();
        return CheckUnary(instr);
      case ScalarShape::kPredicate:
        return instr.type == DType::kBool ? OkStatus() : refuse();
      case ScalarShape::kCast:
        if (instr.op != ScalarOp::kBitcast) return OkStatus();
        return tensor::BitWidth(instr.type) == tensor::BitWidth(types[0]) ? OkStatus() : refuse();
      case ScalarShape::kBinary:
        return instr.type == types[0] && types[1] == types[0] ? OkStatus() : refuse();
      case ScalarShape::kCompare:
        return instr.type == DType::kBool && types[1] == types[0] ? OkStatus() : refuse();
      case ScalarShape::kSelect:
        return types[0] == DType::kBool && types[1] == instr.type && types[2] == instr.type
                   ? OkStatus()
                   : refuse();
    }
    return OkStatus();
  }

  Status CheckSource(const LoopStage& stage, const LoopInstr& instr) const {
    switch (instr.op) {
      case ScalarOp::kLoad:
        if (instr.imm >= stage.loads.size()) return InvalidArgument("there is no such load");
        if (kernels::RegisterType(stage.loads[instr.imm].dtype) != instr.type) {
          return InvalidArgument("a load of another type");
        }
        return OkStatus();
      case ScalarOp::kIndex:
        return instr.imm < extents_.size() ? OkStatus()
                                           : InvalidArgument("an index of no dimension");
      default:
        return IsWord(instr.imm, instr.type) ? OkStatus()
                                             : InvalidArgument("a constant wider than its type");
    }
  }

  Status CheckUnary(const LoopInstr& instr) const {
    if (instr.op == ScalarOp::kReducePrecision) {
      const uint64_t exponent = instr.imm >> 8, mantissa = instr.imm & 255;
      if (exponent < 1 || exponent > 64 || mantissa > 64) {
        return InvalidArgument("a precision out of range");
      }
    }
    if (instr.op == ScalarOp::kRoundTo) {
      const auto to = static_cast<uint64_t>(DType::kBF16);
      const auto other = static_cast<uint64_t>(DType::kF16);
      if (instr.type != DType::kF32 || (instr.imm != to && instr.imm != other)) {
        return InvalidArgument("rounding to a type that is none of bf16 and f16");
      }
    }
    return OkStatus();
  }

  Status CheckReduction(const LoopStage& stage, const LoopReduction& reduction) const {
    if (reduction.value >= stage.instrs.size()) return InvalidArgument("a reduction of nothing");
    const DType type = stage.instrs[reduction.value].type;
    if (!IsWord(reduction.init, type)) return InvalidArgument("a start wider than its type");
    if (reduction.kind > ReduceKind::kXor) return InvalidArgument("there is no such reduction");
    if (reduction.kind >= ReduceKind::kAnd && tensor::IsFloat(type)) {
      return InvalidArgument("a bitwise reduction of floats");
    }
    return OkStatus();
  }

  // True if nothing is stored at any point.
  bool IsEmpty(const LoopStage& stage) const {
    const auto none = [](int64_t extent) { return extent == 0; };
    return std::any_of(kernel_.outer.begin(), kernel_.outer.end(), none) ||
           std::any_of(stage.dims.begin(), stage.dims.end(),
                       [](const LoopDim& d) { return !d.reduced && d.extent == 0; });
  }

  Status CheckStore(const LoopStage& stage, const LoopStore& store) {
    if (!store.to.guards.empty()) return InvalidArgument("a guarded store");
    // A reduction stores its start even if it goes over nothing: dimensions that are reduced, which
    // move no store (below), do not keep it from happening.
    const bool empty = std::exchange(empty_, IsEmpty(stage));
    const Status access = CheckAccess(store.to);
    empty_ = empty;
    RETURN_IF_ERROR(access);
    uint32_t value = store.value;
    if (!stage.reductions.empty()) {
      if (value >= stage.reductions.size()) return InvalidArgument("a store of no reduction");
      value = stage.reductions[value].value;
      for (size_t d = 0; d < stage.dims.size(); ++d) {
        if (!stage.dims[d].reduced) continue;
        const size_t at = kernel_.outer.size() + d;
        bool moves = store.to.strides[at] != 0;
        for (const LoopIndexTerm& term : store.to.terms) moves |= term.strides[at] != 0;
        if (moves) return InvalidArgument("a reduced dimension moves a store");
      }
    }
    if (value >= stage.instrs.size()) return InvalidArgument("a store of nothing");
    if (kernels::RegisterType(store.to.dtype) != stage.instrs[value].type) {
      return InvalidArgument("a store of another type");
    }
    return OkStatus();
  }

  const LoopKernel& kernel_;
  const std::vector<LoopBufferSize>& sizes_;
  std::vector<int64_t> extents_;  // of the stage: outer, then its own
  bool empty_ = false;            // no points at all
};

}  // namespace

Status CheckLoopKernel(const LoopKernel& kernel, const std::vector<LoopBufferSize>& sizes) {
  return Checker(kernel, sizes).Run();
}

}  // namespace megalith::runtime

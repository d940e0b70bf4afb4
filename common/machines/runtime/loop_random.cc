// Random kernels for tests (loop_testing.h).
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>

#include "common/machines/runtime/loop_testing.h"

namespace megalith::runtime {
namespace {

using kernels::ScalarOpInfo;
using kernels::ScalarShape;

constexpr DType kStored[] = {DType::kBool, DType::kI8,  DType::kI16,  DType::kI32, DType::kI64,
                             DType::kU8,   DType::kU16, DType::kU32,  DType::kU64, DType::kF32,
                             DType::kF32,  DType::kF64, DType::kBF16, DType::kF16};
constexpr int64_t kExtents[] = {1, 1, 2, 3, 4, 5, 7, 8, 10, 16, 17, 33, 64, 130, 300, 700};
constexpr int64_t kMostPoints = 6000;

class Generator {
 public:
  explicit Generator(Rng& rng) : rng_(rng) {}

  RandomLoop Make() {
    LoopKernel& k = out_.kernel;
    k.name = "random";
    k.outer = Extents(Below(4), kMostPoints);
    k.vector_outer = Below(2) == 0;
    const size_t stages = 1 + Below(3);
    // Results are new buffers; what a stage keeps for the next one is a local.
    for (size_t s = 0; s < stages; ++s) AddStage(s + 1 < stages);
    k.buffers = static_cast<uint32_t>(out_.arguments.bytes.size());
    NumberLocals();
    return std::move(out_);
  }

 private:
  static constexpr LoopBuffer kLocalMark = 1u << 30;

  struct Kept {
    LoopBuffer buffer;
    DType dtype;
    std::vector<int64_t> extents;  // of the inner dimensions it spans
  };

  uint64_t Below(uint64_t n) { return rng_.Below(n); }

  std::vector<int64_t> Extents(size_t rank, int64_t most) {
    std::vector<int64_t> extents;
    for (size_t d = 0; d < rank; ++d) {
      const int64_t extent = kExtents[Below(std::size(kExtents))];
      extents.push_back(extent <= most ? extent : 1);
      most /= extents.back();
    }
    return extents;
  }

  void AddStage(bool keeps) {
    LoopKernel& k = out_.kernel;
    LoopStage stage;
    const int64_t outer = k.OuterPoints();
    const size_t rank = k.vector_outer ? Below(3) : 1 + Below(2);
    for (const int64_t e : Extents(rank, std::max<int64_t>(kMostPoints / outer, 1))) {
      stage.dims.push_back({e, false});
    }
    const bool reduces = rank > 0 && Below(2) == 0;
    if (reduces) {
      stage.dims[Below(rank)].reduced = true;
      for (LoopDim& d : stage.dims) d.reduced |= Below(3) == 0;
    }
    extents_ = k.outer;
    for (const LoopDim& d : stage.dims) extents_.push_back(d.extent);
    for (size_t i = 0, n = 1 + Below(3); i < n; ++i) AddLoad(stage, reduces);
    for (const Kept& kept : kept_) AddLocalLoad(stage, kept);
    if (!reduces) {
      for (size_t i = 0, n = Below(12); i < n; ++i) AddInstr(stage);
    }
    if (reduces) AddReductions(stage);
    const size_t results = 1 + Below(2);
    for (size_t i = 0; i < results; ++i) AddStore(stage, keeps && i == 0);
    k.stages.push_back(std::move(stage));
  }

  // --- memory ---

  // Strides of an array over some of the dimensions in any order; those of `fixed` are zero.
  std::vector<int64_t> Strides(bool injective, const std::vector<bool>& fixed, int64_t* elements) {
    const size_t n = extents_.size();
    std::vector<size_t> order(n);
    std::iota(order.begin(), order.end(), size_t{0});
    if (Below(3) == 0) {
      for (size_t i = n; i > 1; --i) std::swap(order[i - 1], order[Below(i)]);
    }
    std::vector<int64_t> strides(n, 0);
    int64_t next = Below(6) == 0 ? 2 : 1;
    for (size_t i = n; i-- > 0;) {
      const size_t d = order[i];
      if (fixed[d] || (!injective && Below(5) == 0)) continue;
      strides[d] = next;
      next *= extents_[d];
      if (!injective && Below(12) == 0) strides[d] = -strides[d];
    }
    *elements = next;
    return strides;
  }

  // How far below its offset an access reaches.
  int64_t Below0(const std::vector<int64_t>& strides) const {
    int64_t low = 0;
    for (size_t d = 0; d < strides.size(); ++d) {
      low += std::min<int64_t>(0, strides[d] * (extents_[d] - 1));
    }
    return -low;
  }

  LoopBuffer NewArgument(DType dtype, int64_t elements, bool small) {
    const auto width = static_cast<size_t>(tensor::ByteWidth(dtype));
    std::string bytes(static_cast<size_t>(elements) * width, '\0');
    for (size_t at = 0; at < bytes.size(); at += width) {
      const uint64_t bits = RandomBits(dtype, small);
      std::memcpy(bytes.data() + at, &bits, width);
    }
    out_.arguments.bytes.push_back(std::move(bytes));
    return static_cast<LoopBuffer>(out_.arguments.bytes.size() - 1);
  }

  // `small`: floats are small integers, so that sums are exact in any order.
  uint64_t RandomBits(DType d, bool small) {
    uint64_t bits = 0;
    if (d == DType::kBool) return Below(2);
    if (d == DType::kF32 || d == DType::kF64) {
      constexpr double kSpecial[] = {0.0, -0.0, 1.0, -1.0, 0.5, 1e30, -1e30};
      double v = static_cast<double>(Below(17)) - 8;
      if (!small && Below(8) == 0) v = kSpecial[Below(std::size(kSpecial))];
      if (!small && Below(40) == 0) v = std::numeric_limits<double>::infinity();
      if (!small && Below(40) == 0) v = std::numeric_limits<double>::quiet_NaN();
      if (d == DType::kF64) {
        std::memcpy(&bits, &v, 8);
      } else {
        const auto f = static_cast<float>(v);
        std::memcpy(&bits, &f, 4);
      }
      return bits;
    }
    if (d == DType::kBF16) return Below(2) << 15 | (0x3F80 + Below(4) * 0x40);
    if (d == DType::kF16) return Below(2) << 15 | (0x3C00 + Below(4) * 0x200);
    bits = Below(4) == 0 ? rng_.Next() : Below(12) - 3;
    return tensor::BitWidth(d) == 64 ? bits : bits & ((uint64_t{1} << tensor::BitWidth(d)) - 1);
  }

  void AddLoad(LoopStage& stage, bool small) {
    LoopAccess a;
    a.dtype = kStored[Below(std::size(kStored))];
    const std::vector<bool> none(extents_.size(), false);
    int64_t elements = 0;
    a.strides = Strides(false, none, &elements);
    a.offset = Below0(a.strides) + static_cast<int64_t>(Below(3));
    elements += a.offset;
    if (Below(4) == 0) AddTerm(&a, &elements);
    if (Below(4) == 0 && !extents_.empty()) AddGuard(&a, &elements);
    a.buffer = NewArgument(a.dtype, elements, small);
    stage.loads.push_back(a);
    const DType type = kernels::RegisterType(a.dtype);
    stage.instrs.push_back({ScalarOp::kLoad, type, {}, stage.loads.size() - 1});
  }

  void AddTerm(LoopAccess* a, int64_t* elements) {
    constexpr DType kIndexTypes[] = {DType::kI32, DType::kI64, DType::kU8, DType::kU64};
    LoopIndexTerm t;
    t.dtype = kIndexTypes[Below(std::size(kIndexTypes))];
    std::vector<bool> fixed(extents_.size());
    const bool uniform = Below(2) == 0;
    for (size_t d = 0; d < fixed.size(); ++d) fixed[d] = uniform || Below(2) == 0;
    int64_t size = 0;
    t.strides = Strides(false, fixed, &size);
    t.offset = Below0(t.strides);
    t.buffer = NewArgument(t.dtype, size + t.offset, true);
    t.max = static_cast<int64_t>(Below(9));
    t.stride = static_cast<int64_t>(Below(5)) - 1;
    if (t.stride < 0) a->offset += t.max;
    *elements += t.max * std::max<int64_t>(t.stride, 1);
    a->terms.push_back(std::move(t));
  }

  // Padding: the first positions of a dimension lie before the array.
  void AddGuard(LoopAccess* a, int64_t* elements) {
    LoopGuard g;
    g.dim = static_cast<uint32_t>(Below(extents_.size()));
    const int64_t extent = extents_[g.dim];
    g.begin = static_cast<int64_t>(Below(static_cast<uint64_t>(extent) + 1)) - 1;
    g.end = g.begin + static_cast<int64_t>(Below(static_cast<uint64_t>(extent) + 1));
    const int64_t first = std::max<int64_t>(g.begin, 0);
    // The array begins where the guard does, if positions count upwards.
    const int64_t cut = a->strides[g.dim] * std::min(first, extent - 1);
    if (cut > 0) {
      a->offset -= cut;
      *elements -= cut;
    }
    a->guards.push_back(g);
    a->fill = RandomBits(kernels::RegisterType(a->dtype), true);
  }

  void AddLocalLoad(LoopStage& stage, const Kept& kept) {
    // Read back where the array of an earlier stage is no larger than the stage.
    LoopAccess a;
    a.dtype = kept.dtype;
    a.buffer = kept.buffer;
    a.strides.assign(extents_.size(), 0);
    const size_t outer = out_.kernel.outer.size();
    int64_t stride = 1;
    for (size_t i = kept.extents.size(); i-- > 0;) {
      const size_t d = outer + i;
      if (d < extents_.size() && extents_[d] <= kept.extents[i]) a.strides[d] = stride;
      stride *= kept.extents[i];
    }
    stage.loads.push_back(a);
    stage.instrs.push_back(
        {ScalarOp::kLoad, kernels::RegisterType(kept.dtype), {}, stage.loads.size() - 1});
  }

  // --- instructions ---

  static bool Exact(const ScalarOpInfo& op, DType d) {
    switch (op.op) {
      case ScalarOp::kNegate:
      case ScalarOp::kAbs:
      case ScalarOp::kSign:
      case ScalarOp::kFloor:
      case ScalarOp::kCeil:
      case ScalarOp::kRoundAway:
      case ScalarOp::kRoundEven:
      case ScalarOp::kSqrt:
      case ScalarOp::kNot:
      case ScalarOp::kPopcount:
      case ScalarOp::kCountLeadingZeros:
      case ScalarOp::kReducePrecision:
      case ScalarOp::kRoundTo:
      case ScalarOp::kNextAfter:
        return true;
      case ScalarOp::kPower:
        return !tensor::IsFloat(d);
      default:
        return op.shape != ScalarShape::kSource && op.shape != ScalarShape::kUnary &&
               op.op != ScalarOp::kAtan2;
    }
  }

  // A register of the type, made if there is none.
  uint32_t Operand(LoopStage& stage, DType type) {
    const size_t n = stage.instrs.size();
    for (size_t tries = 0; tries < 2 * n; ++tries) {
      const auto i = static_cast<uint32_t>(Below(n));
      if (stage.instrs[i].type == type) return i;
    }
    LoopInstr made{ScalarOp::kConstant, type, {}, RandomBits(type, true)};
    if (type != DType::kBool && !extents_.empty() && Below(2) == 0) {
      made.op = ScalarOp::kIndex;
      made.imm = Below(extents_.size());
    }
    stage.instrs.push_back(made);
    return static_cast<uint32_t>(n);
  }

  void AddInstr(LoopStage& stage) {
    const auto ops = kernels::AllScalarOps();
    const ScalarOpInfo& op = ops[Below(ops.size())];
    const auto first = static_cast<uint32_t>(Below(stage.instrs.size()));
    const DType type = stage.instrs[first].type;
    if (!Exact(op, type) || !kernels::Accepts(op, type)) return;
    LoopInstr instr{op.op, type, {first, 0, 0}, 0};
    switch (op.shape) {
      case ScalarShape::kPredicate:
        instr.type = DType::kBool;
        break;
      case ScalarShape::kCast:
        instr.type = kernels::RegisterType(kStored[Below(std::size(kStored))]);
        if (op.op == ScalarOp::kBitcast && tensor::BitWidth(instr.type) != tensor::BitWidth(type)) {
          return;
        }
        break;
      case ScalarShape::kCompare:
        instr.type = DType::kBool;
        [[fallthrough]];
      case ScalarShape::kBinary:
        instr.in[1] = Operand(stage, type);
        break;
      case ScalarShape::kSelect:
        instr.in[1] = first;
        instr.in[0] = Operand(stage, DType::kBool);
        instr.in[2] = Operand(stage, type);
        break;
      default:
        break;
    }
    if (op.op == ScalarOp::kReducePrecision) instr.imm = (2 + Below(7)) * 256 + 1 + Below(22);
    if (op.op == ScalarOp::kRoundTo) {
      if (type != DType::kF32) return;
      instr.imm = static_cast<uint64_t>(Below(2) == 0 ? DType::kBF16 : DType::kF16);
    }
    stage.instrs.push_back(instr);
  }

  void AddReductions(LoopStage& stage) {
    for (size_t i = 0, n = 1 + Below(2); i < n; ++i) {
      LoopReduction r;
      r.value = static_cast<uint32_t>(Below(stage.instrs.size()));
      const DType type = stage.instrs[r.value].type;
      const bool is_float = tensor::IsFloat(type);
      r.kind = static_cast<ReduceKind>(Below(is_float ? 4 : 7));
      if (is_float && r.kind == ReduceKind::kProduct) r.kind = ReduceKind::kSum;
      r.init = RandomBits(type, true);
      stage.reductions.push_back(r);
    }
  }

  // --- results ---

  static DType Storage(DType type, uint64_t pick) {
    if (type != DType::kF32 || pick > 1) return type;
    return pick == 0 ? DType::kBF16 : DType::kF16;
  }

  void AddStore(LoopStage& stage, bool keep) {
    LoopStore s;
    const bool reduces = !stage.reductions.empty();
    s.value = static_cast<uint32_t>(reduces ? Below(stage.reductions.size())
                                            : stage.instrs.size() - 1 -
                                                  Below(std::min<size_t>(stage.instrs.size(), 3)));
    const DType type = stage.instrs[reduces ? stage.reductions[s.value].value : s.value].type;
    // Floats kept for a later sum stay small: only loaded ones are reduced.
    s.to.dtype = keep ? type : Storage(type, Below(8));
    const size_t outer = out_.kernel.outer.size();
    std::vector<bool> fixed(extents_.size(), false);
    for (size_t d = 0; d < stage.dims.size(); ++d) fixed[outer + d] = stage.dims[d].reduced;
    if (!keep) {
      int64_t elements = 0;
      s.to.strides = Strides(true, fixed, &elements);
      s.to.buffer = NewArgument(s.to.dtype, elements, true);
      std::string& bytes = out_.arguments.bytes[s.to.buffer];
      std::fill(bytes.begin(), bytes.end(), s.to.dtype == DType::kBool ? '\1' : '\x5A');
      stage.stores.push_back(std::move(s));
      return;
    }
    Kept kept{kLocalMark + static_cast<LoopBuffer>(out_.kernel.locals.size()), s.to.dtype, {}};
    s.to.strides.assign(extents_.size(), 0);
    int64_t elements = 1;
    for (size_t d = stage.dims.size(); d-- > 0;) {
      const bool spans = !stage.dims[d].reduced;
      kept.extents.insert(kept.extents.begin(), spans ? stage.dims[d].extent : 1);
      if (spans) s.to.strides[outer + d] = elements;
      elements *= kept.extents.front();
    }
    out_.kernel.locals.push_back(static_cast<uint64_t>(elements * tensor::ByteWidth(type)));
    s.to.buffer = kept.buffer;
    // Sums in any order need small integers: only what was reduced to something else is kept.
    if (!tensor::IsFloat(type)) kept_.push_back(kept);
    stage.stores.push_back(std::move(s));
  }

  void NumberLocals() {
    LoopKernel& k = out_.kernel;
    const auto number = [&](LoopBuffer& b) {
      if (b >= kLocalMark) b = b - kLocalMark + k.buffers;
    };
    for (LoopStage& stage : k.stages) {
      for (LoopAccess& a : stage.loads) number(a.buffer);
      for (LoopStore& s : stage.stores) number(s.to.buffer);
    }
  }

  Rng& rng_;
  RandomLoop out_;
  std::vector<int64_t> extents_;
  std::vector<Kept> kept_;
};

}  // namespace

RandomLoop MakeRandomLoop(Rng& rng) { return Generator(rng).Make(); }

}  // namespace megalith::runtime

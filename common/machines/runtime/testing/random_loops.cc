#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/small_float.h"
#include "common/machines/runtime/testing/scalar_loops.h"

namespace megalith::runtime::testing {
namespace {

using kernels::ScalarShape;

constexpr DType kRegisterTypes[] = {
    DType::kBool, DType::kI8,  DType::kI16, DType::kI32, DType::kI64, DType::kU8,  DType::kU16,
    DType::kU32,  DType::kU64, DType::kF32, DType::kF64, DType::kF32, DType::kF32, DType::kI32};
constexpr DType kIndexTypes[] = {DType::kI32, DType::kI64, DType::kU32,
                                 DType::kI8,  DType::kU64, DType::kI16};

int RegisterBitsOf(DType type) { return type == DType::kBool ? 1 : tensor::BitWidth(type); }

class Maker {
 public:
  explicit Maker(std::mt19937_64& random) : random_(random) {}

  RandomLoop Make();

 private:
  int64_t Pick(int64_t n) { return static_cast<int64_t>(random_() % static_cast<uint64_t>(n)); }
  bool Chance(int percent) { return Pick(100) < percent; }
  template <typename T, size_t n>
  T OneOf(const T (&values)[n]) {
    return values[Pick(n)];
  }

  int64_t Extent() {
    static constexpr int64_t kExtents[] = {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 65, 129};
    return OneOf(kExtents);
  }
  std::string Values(DType type, int64_t count);
  uint64_t Value(DType type);
  DType StorageOf(DType type) {
    if (type != DType::kF32 || !Chance(25)) return type;
    return Chance(50) ? DType::kBF16 : DType::kF16;
  }
  LoopBuffer AddBuffer(DType type, int64_t count);

  void MakeStage(bool last);
  std::vector<int64_t> Strides(bool injective, int64_t* low, int64_t* high,
                               const std::vector<LoopGuard>& guards);
  LoopAccess MakeLoad(DType type);
  LoopIndexTerm MakeTerm(const std::vector<LoopGuard>& guards);
  void MakeInstrs(LoopStage* stage);
  bool AddOperation(LoopStage* stage);
  int Find(const LoopStage& stage, DType type);
  void MakeReductions(LoopStage* stage);
  void MakeStores(LoopStage* stage, bool last);

  std::mt19937_64& random_;
  RandomLoop out_;
  bool tame_ = false;             // only values whose sums are exact in any order
  std::vector<int64_t> extents_;  // of the current stage
  std::vector<bool> reduced_;
  struct Local {
    DType type;
    std::vector<int64_t> dims;     // of the stage that wrote it
    std::vector<int64_t> strides;  // along these
  };
  std::vector<Local> locals_;
};

uint64_t Maker::Value(DType type) {
  const int width = tensor::ByteWidth(type);
  if (type == DType::kBool) return static_cast<uint64_t>(Pick(2));
  if (tensor::IsFloat(type)) {
    static constexpr double kSpecial[] = {0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, -3e38, 2.5, -7.75};
    double v = tame_ ? static_cast<double>(Pick(7) - 3)
                     : static_cast<double>(Pick(2000001) - 1000000) / 65536.0;
    if (!tame_ && Chance(20)) v = OneOf(kSpecial);
    if (!tame_ && Chance(4)) v = Chance(50) ? INFINITY : -INFINITY;
    if (!tame_ && Chance(3)) v = NAN;
    if (type == DType::kF64) return std::bit_cast<uint64_t>(v);
    if (type == DType::kF32) return std::bit_cast<uint32_t>(static_cast<float>(v));
    return tensor::EncodeSmallFloat(type, v);
  }
  const uint64_t mask = width == 8 ? ~uint64_t{0} : (uint64_t{1} << (width * 8)) - 1;
  uint64_t v = Chance(50) ? static_cast<uint64_t>(Pick(40) - 10) : random_();
  if (Chance(10)) v = uint64_t{1} << (width * 8 - 1);
  return v & mask;
}

std::string Maker::Values(DType type, int64_t count) {
  const auto width = static_cast<size_t>(tensor::ByteWidth(type));
  std::string bytes(static_cast<size_t>(count) * width, '\0');
  for (size_t i = 0; i < static_cast<size_t>(count); ++i) {
    const uint64_t v = Value(type);
    std::memcpy(bytes.data() + i * width, &v, width);
  }
  return bytes;
}

LoopBuffer Maker::AddBuffer(DType type, int64_t count) {
  out_.buffers.push_back(Values(type, count));
  out_.types.push_back(type);
  out_.sizes.push_back({out_.buffers.back().size()});
  return out_.kernel.buffers++;
}

// Random strides and the range of their sums. Injective ones give distinct elements to distinct
// points of the dimensions that are not reduced, and nothing to reduced ones.
std::vector<int64_t> Maker::Strides(bool injective, int64_t* low, int64_t* high,
                                    const std::vector<LoopGuard>& guards) {
  const size_t n = extents_.size();
  std::vector<size_t> order(n);
  for (size_t i = 0; i < n; ++i) order[i] = n - 1 - i;  // innermost first: row-major
  if (Chance(25)) std::shuffle(order.begin(), order.end(), random_);
  std::vector<int64_t> strides(n, 0);
  int64_t step = Chance(15) ? 2 : 1;
  for (const size_t d : order) {
    if (injective ? reduced_[d] : Chance(20)) continue;
    strides[d] = Chance(10) ? -step : step;
    step *= std::max<int64_t>(extents_[d], 1);
  }
  *low = *high = 0;
  for (size_t d = 0; d < n; ++d) {
    int64_t begin = 0, end = extents_[d];
    for (const LoopGuard& guard : guards) {
      if (guard.dim != d) continue;
      begin = std::max(begin, guard.begin);
      end = std::min(end, guard.end);
    }
    if (begin >= end) continue;
    const int64_t a = strides[d] * begin, b = strides[d] * (end - 1);
    *low += std::min(a, b);
    *high += std::max(a, b);
  }
  return strides;
}

LoopIndexTerm Maker::MakeTerm(const std::vector<LoopGuard>& guards) {
  LoopIndexTerm term;
  int64_t low = 0, high = 0;
  term.strides = Strides(false, &low, &high, guards);
  if (Chance(40)) std::fill(term.strides.begin(), term.strides.end(), low = high = 0);
  term.dtype = OneOf(kIndexTypes);
  term.offset = -low;
  term.max = Pick(30);
  term.stride = Pick(7) - 2;
  term.buffer = AddBuffer(term.dtype, high - low + 1);
  return term;
}

LoopAccess Maker::MakeLoad(DType type) {
  LoopAccess load;
  load.dtype = StorageOf(type);
  if (Chance(30)) {
    for (int64_t n = 1 + Pick(2); n > 0 && !extents_.empty(); --n) {
      const auto dim = static_cast<uint32_t>(Pick(static_cast<int64_t>(extents_.size())));
      const int64_t begin = Pick(extents_[dim] + 2) - 1;
      load.guards.push_back({dim, begin, begin + Pick(extents_[dim] + 3)});
    }
    load.fill = Value(type);
    if (load.dtype != type) load.fill = Chance(50) ? 0 : std::bit_cast<uint32_t>(1.5f);
  }
  int64_t low = 0, high = 0;
  load.strides = Strides(false, &low, &high, load.guards);
  if (Chance(25)) {
    for (int64_t n = 1 + Pick(2); n > 0; --n) {
      load.terms.push_back(MakeTerm(load.guards));
      const int64_t moved = load.terms.back().max * load.terms.back().stride;
      (moved < 0 ? low : high) += moved;
    }
  }
  load.offset = -low;
  load.buffer = AddBuffer(load.dtype, high - low + 1);
  return load;
}

int Maker::Find(const LoopStage& stage, DType type) {
  std::vector<int> found;
  for (size_t i = 0; i < stage.instrs.size(); ++i) {
    if (stage.instrs[i].type == type) found.push_back(static_cast<int>(i));
  }
  return found.empty() ? -1 : found[static_cast<size_t>(Pick(static_cast<int64_t>(found.size())))];
}

constexpr ScalarOp kExact[] = {ScalarOp::kNegate,
                               ScalarOp::kAbs,
                               ScalarOp::kSign,
                               ScalarOp::kSqrt,
                               ScalarOp::kRsqrt,
                               ScalarOp::kFloor,
                               ScalarOp::kCeil,
                               ScalarOp::kRoundEven,
                               ScalarOp::kNot,
                               ScalarOp::kPopcount,
                               ScalarOp::kCountLeadingZeros,
                               ScalarOp::kReducePrecision,
                               ScalarOp::kRoundTo,
                               ScalarOp::kIsFinite,
                               ScalarOp::kConvert,
                               ScalarOp::kBitcast,
                               ScalarOp::kAdd,
                               ScalarOp::kSubtract,
                               ScalarOp::kMultiply,
                               ScalarOp::kDivide,
                               ScalarOp::kRemainder,
                               ScalarOp::kMaximum,
                               ScalarOp::kMinimum,
                               ScalarOp::kPower,
                               ScalarOp::kAnd,
                               ScalarOp::kOr,
                               ScalarOp::kXor,
                               ScalarOp::kShiftLeft,
                               ScalarOp::kShiftRightArithmetic,
                               ScalarOp::kShiftRightLogical,
                               ScalarOp::kEqual,
                               ScalarOp::kNotEqual,
                               ScalarOp::kLess,
                               ScalarOp::kLessEqual,
                               ScalarOp::kGreater,
                               ScalarOp::kGreaterEqual,
                               ScalarOp::kSelect,
                               ScalarOp::kAdd,
                               ScalarOp::kMultiply};
// Keep small integers of floats small integers.
constexpr ScalarOp kTame[] = {ScalarOp::kNegate,   ScalarOp::kAbs,     ScalarOp::kAdd,
                              ScalarOp::kSubtract, ScalarOp::kMaximum, ScalarOp::kMinimum,
                              ScalarOp::kLess,     ScalarOp::kSelect};

bool Maker::AddOperation(LoopStage* stage) {
  const ScalarOp op = tame_ ? OneOf(kTame) : OneOf(kExact);
  const kernels::ScalarOpInfo& info = *kernels::FindScalarOp(op);
  LoopInstr instr = {.op = op};
  const DType operand =
      stage->instrs[static_cast<size_t>(Pick(static_cast<int64_t>(stage->instrs.size())))].type;
  if (!kernels::Accepts(info, operand)) return false;
  const bool is_float = tensor::IsFloat(operand);
  if (is_float && (op == ScalarOp::kRemainder || op == ScalarOp::kPower)) return false;
  instr.type = operand;
  for (uint32_t& in : instr.in) in = static_cast<uint32_t>(Find(*stage, operand));
  if (info.shape == ScalarShape::kSelect) {
    const int predicate = Find(*stage, DType::kBool);
    if (predicate < 0) return false;
    instr.in[0] = static_cast<uint32_t>(predicate);
  }
  if (info.shape == ScalarShape::kPredicate || info.shape == ScalarShape::kCompare) {
    instr.type = DType::kBool;
  }
  if (info.shape == ScalarShape::kCast) {
    instr.type = OneOf(kRegisterTypes);
    if (op == ScalarOp::kBitcast && RegisterBitsOf(instr.type) != RegisterBitsOf(operand)) {
      return false;
    }
  }
  if (op == ScalarOp::kReducePrecision) {
    instr.imm = static_cast<uint64_t>((1 + Pick(11)) * 256 + Pick(53));
  }
  if (op == ScalarOp::kRoundTo) {
    if (operand != DType::kF32) return false;
    instr.imm = static_cast<uint64_t>(Chance(50) ? DType::kBF16 : DType::kF16);
  }
  stage->instrs.push_back(instr);
  return true;
}

void Maker::MakeInstrs(LoopStage* stage) {
  const DType main = OneOf(kRegisterTypes);
  for (int64_t n = 1 + Pick(3); n > 0; --n) {
    const DType type = Chance(70) ? main : OneOf(kRegisterTypes);
    stage->loads.push_back(MakeLoad(type));
    stage->instrs.push_back({.op = ScalarOp::kLoad, .type = type, .imm = stage->loads.size() - 1});
  }
  for (size_t i = 0; i < locals_.size(); ++i) {
    if (!Chance(70)) continue;
    // Readable if its dimensions are those of this stage, or if it is one element.
    const size_t outer = out_.kernel.outer.size();
    const std::vector<int64_t> dims(extents_.begin() + static_cast<int64_t>(outer), extents_.end());
    std::vector<int64_t> strides(extents_.size(), 0);
    if (dims == locals_[i].dims) {
      std::copy(locals_[i].strides.begin(), locals_[i].strides.end(),
                strides.begin() + static_cast<int64_t>(outer));
    } else if (out_.kernel.locals[i] != static_cast<uint64_t>(tensor::ByteWidth(locals_[i].type))) {
      continue;
    }
    // The buffer number is set when the number of arguments is known.
    stage->loads.push_back({.buffer = static_cast<LoopBuffer>(1000 + i),
                            .dtype = locals_[i].type,
                            .strides = strides});
    stage->instrs.push_back({.op = ScalarOp::kLoad,
                             .type = kernels::RegisterType(locals_[i].type),
                             .imm = stage->loads.size() - 1});
  }
  if (Chance(30)) {
    const DType type = tensor::IsFloat(main) || main == DType::kBool ? DType::kI32 : main;
    stage->instrs.push_back(
        {.op = ScalarOp::kIndex,
         .type = tame_ || Chance(80) ? type : DType::kF32,
         .imm = static_cast<uint64_t>(Pick(static_cast<int64_t>(extents_.size())))});
  }
  if (Chance(40)) {
    stage->instrs.push_back({.op = ScalarOp::kConstant, .type = main, .imm = Value(main)});
  }
  int made = 0;
  const auto wanted = static_cast<int>(tame_ ? Pick(4) : Pick(9));
  for (int tries = 0; made < wanted && tries < 100; ++tries) made += AddOperation(stage) ? 1 : 0;
}

void Maker::MakeReductions(LoopStage* stage) {
  for (int64_t n = 1 + Pick(2); n > 0; --n) {
    LoopReduction reduction;
    reduction.value =
        static_cast<uint32_t>(Chance(70) ? static_cast<int64_t>(stage->instrs.size()) - 1
                                         : Pick(static_cast<int64_t>(stage->instrs.size())));
    const DType type = stage->instrs[reduction.value].type;
    const bool is_float = tensor::IsFloat(type);
    reduction.kind = static_cast<ReduceKind>(Pick(is_float ? 4 : 7));
    if (is_float && (reduction.kind == ReduceKind::kProduct ||
                     (reduction.kind == ReduceKind::kSum && !tame_))) {
      reduction.kind = ReduceKind::kMaximum;
    }
    reduction.init = Value(type);
    stage->reductions.push_back(reduction);
  }
}

void Maker::MakeStores(LoopStage* stage, bool last) {
  const size_t outer = out_.kernel.outer.size();
  const size_t values = stage->reductions.empty() ? stage->instrs.size() : stage->reductions.size();
  for (int64_t n = 1 + Pick(2); n > 0; --n) {
    LoopStore store;
    store.value = static_cast<uint32_t>(Chance(70) ? static_cast<int64_t>(values) - 1
                                                   : Pick(static_cast<int64_t>(values)));
    const uint32_t reg =
        stage->reductions.empty() ? store.value : stage->reductions[store.value].value;
    store.to.dtype = StorageOf(stage->instrs[reg].type);
    int64_t low = 0, high = 0;
    const bool empty = std::count(extents_.begin(), extents_.end(), 0) != 0;
    if (!last && !empty && Chance(80)) {
      Local local = {.type = store.to.dtype};
      int64_t count = 1;
      local.strides.assign(extents_.size() - outer, 0);
      for (size_t d = extents_.size(); d-- > outer;) {
        if (reduced_[d]) continue;
        local.strides[d - outer] = count;
        count *= std::max<int64_t>(extents_[d], 1);
      }
      local.dims.assign(extents_.begin() + static_cast<int64_t>(outer), extents_.end());
      store.to.strides.assign(extents_.size(), 0);
      std::copy(local.strides.begin(), local.strides.end(),
                store.to.strides.begin() + static_cast<int64_t>(outer));
      store.to.buffer = static_cast<LoopBuffer>(1000 + out_.kernel.locals.size());
      out_.kernel.locals.push_back(static_cast<uint64_t>(count * tensor::ByteWidth(local.type)));
      locals_.push_back(local);
    } else {
      store.to.strides = Strides(true, &low, &high, {});
      store.to.offset = -low;
      store.to.buffer = AddBuffer(store.to.dtype, high - low + 1);
    }
    stage->stores.push_back(store);
  }
}

void Maker::MakeStage(bool last) {
  LoopKernel& kernel = out_.kernel;
  LoopStage stage;
  const int64_t fewest = kernel.vector_outer ? 0 : 1;
  const bool reduces = Chance(45);
  for (int64_t n = fewest + Pick(2) + (reduces ? 1 : 0); n > 0; --n) {
    int64_t extent = Extent();
    if (stage.dims.size() > 1 || kernel.outer.size() > 2) extent = std::min<int64_t>(extent, 9);
    stage.dims.push_back({.extent = Chance(1) ? 0 : extent});
  }
  if (reduces) {
    for (LoopDim& dim : stage.dims) dim.reduced = Chance(60);
    stage.dims[static_cast<size_t>(Pick(static_cast<int64_t>(stage.dims.size())))].reduced = true;
  }
  extents_ = kernel.outer;
  reduced_.assign(kernel.outer.size(), false);
  for (const LoopDim& dim : stage.dims) {
    extents_.push_back(dim.extent);
    reduced_.push_back(dim.reduced);
  }
  if (extents_.empty()) {
    stage.dims.push_back({.extent = 3, .reduced = reduces});
    extents_.push_back(3);
    reduced_.push_back(reduces);
  }
  MakeInstrs(&stage);
  if (reduces) MakeReductions(&stage);
  MakeStores(&stage, last);
  kernel.stages.push_back(std::move(stage));
}

RandomLoop Maker::Make() {
  LoopKernel& kernel = out_.kernel;
  kernel.name = "random";
  kernel.vector_outer = Chance(50);
  tame_ = Chance(40);
  int64_t points = 1;
  for (int64_t n = Pick(4); n > 0; --n) {
    int64_t extent = Extent();
    if (points * extent > 600) extent = 2;
    points *= extent;
    kernel.outer.push_back(extent);
  }
  const int64_t stages = Chance(50) ? 1 : 2 + Pick(2);
  for (int64_t i = 0; i < stages; ++i) MakeStage(i + 1 == stages);
  for (LoopStage& stage : kernel.stages) {
    for (LoopAccess& load : stage.loads) {
      if (load.buffer >= 1000) load.buffer += kernel.buffers - 1000;
    }
    for (LoopStore& store : stage.stores) {
      if (store.to.buffer >= 1000) store.to.buffer += kernel.buffers - 1000;
    }
  }
  return std::move(out_);
}

}  // namespace

RandomLoop MakeRandomLoop(std::mt19937_64& random) { return Maker(random).Make(); }

}  // namespace megalith::runtime::testing

#include "common/machines/codegen/cpu/ir_kernel.h"

#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>
#include <llvm/Transforms/Utils/PromoteMemToReg.h>

#include <algorithm>
#include <set>

#include "common/machines/codegen/cpu/ir_access.h"
#include "common/machines/codegen/cpu/nest.h"

namespace megalith::codegen {
namespace {

using llvm::AllocaInst;
using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;
using runtime::DType;
using runtime::LoopInstr;
using runtime::LoopKernel;
using runtime::LoopReduction;
using runtime::LoopStage;
using runtime::ScalarOp;

// A stage as far as it has been emitted.
struct StageState {
  std::vector<AccessState> loads, stores;
  std::vector<Register> registers;
  std::vector<Value*> positions;  // of open dimensions
};

// One reduction's accumulators: a vector for each part, and one value for what runs element by
// element.
struct Accumulator {
  std::vector<AllocaInst*> parts;
  AllocaInst* single = nullptr;
};

class KernelEmitter {
 public:
  KernelEmitter(const LoopKernel& kernel, const TargetTraits& traits, llvm::Function* function)
      : kernel_(kernel),
        nest_(PlanNest(kernel, traits)),
        function_(function),
        b_(function->getContext()),
        ops_(b_, traits),
        accesses_(b_, ops_, kernel, nest_, function->getParent()) {}

  Result<KernelFunction> Emit();
  // All points, where `builder` stands.
  Result<uint64_t> EmitWhole(std::vector<Value*> buffers, Value* scratch,
                             llvm::IRBuilderBase* builder, std::vector<AllocaInst*>* variables);

 private:
  AllocaInst* Variable(Type* type, const char* name);
  Value* Get(AllocaInst* variable) { return b_.CreateLoad(variable->getAllocatedType(), variable); }
  Value* I64(int64_t v) { return b_.getInt64(static_cast<uint64_t>(v)); }
  // Both run their arguments while emitting: `condition` twice, `body` once.
  template <typename Condition, typename F>
  void While(const Condition& condition, const F& body);
  template <typename F>
  void Count(int64_t extent, const F& body);

  void DecomposeBegin(Value* begin);
  void AdvanceOuter(size_t dims);
  void EmitRows(Value* begin, Value* end);
  void EmitPoints(Value* begin, Value* end);
  void EmitRow(const std::vector<Value*>& at, Value* begin, Value* end, int64_t extent);
  void EmitPoint(const std::vector<Value*>& at);
  template <typename F>
  void CountOuter(size_t dims, std::vector<Value*>* at, const F& body);
  template <typename F>
  void VectorLoop(Value* begin, Value* end, int64_t extent, const std::set<int64_t>& cuts,
                  const F& body);
  template <typename F>
  void VectorSegment(AllocaInst* at, Value* end, int64_t extent, const F& body);
  Value* LiveLanes(Value* left);

  void BeginStage(size_t s);
  void Open(size_t s, uint32_t dim, Value* position);
  void Reached(size_t s, int level);
  Register IndexLanes(size_t s, const LoopInstr& instr);
  Register Compute(size_t s, const LoopInstr& instr, bool lanes);
  void Nest(size_t s, size_t at);
  void Innermost(size_t s);
  void BeginReductions(size_t s);
  void Accumulate(size_t s);
  void FinishReductions(size_t s);
  Value* FoldLanes(const LoopReduction& reduction, DType type, Value* lanes);
  Value* Combine(const LoopReduction& reduction, DType type, Value* a, Value* b);
  Value* Checked(Result<Value*> value, Type* type);
  std::set<int64_t> Cuts(const LoopStage& stage) const;

  const LoopKernel& kernel_;
  const KernelNest nest_;
  llvm::Function* const function_;
  llvm::IRBuilder<> b_;
  IrOps ops_;
  AccessEmitter accesses_;
  Status status_;

  std::vector<AllocaInst*> variables_, outer_;
  std::vector<StageState> stages_;
  Body body_;
  unsigned unroll_ = 1;     // of the stages being emitted
  bool in_vector_ = false;  // the vectorised loop is open
  std::vector<Accumulator> accumulators_;
  bool reducing_ = false, reduces_lanes_ = false;
};

AllocaInst* KernelEmitter::Variable(Type* type, const char* name) {
  BasicBlock& entry = function_->getEntryBlock();
  llvm::IRBuilder<> at_entry(&entry, entry.begin());
  AllocaInst* variable = at_entry.CreateAlloca(type, nullptr, name);
  variables_.push_back(variable);
  return variable;
}

template <typename Condition, typename F>
void KernelEmitter::While(const Condition& condition, const F& body) {
  BasicBlock* loop = BasicBlock::Create(b_.getContext(), "loop", function_);
  BasicBlock* done = BasicBlock::Create(b_.getContext(), "done");
  b_.CreateCondBr(condition(), loop, done);
  b_.SetInsertPoint(loop);
  body();
  b_.CreateCondBr(condition(), loop, done);
  function_->insert(function_->end(), done);
  b_.SetInsertPoint(done);
}

template <typename F>
void KernelEmitter::Count(int64_t extent, const F& body) {
  if (extent == 1) {
    body(I64(0));
    return;
  }
  AllocaInst* position = Variable(b_.getInt64Ty(), "i");
  b_.CreateStore(I64(0), position);
  bool entering = true;
  While(
      [&]() -> Value* {
        if (!std::exchange(entering, false)) return b_.CreateICmpSLT(Get(position), I64(extent));
        return b_.getInt1(extent > 0);
      },
      [&] {
        body(Get(position));
        b_.CreateStore(b_.CreateAdd(Get(position), I64(1)), position);
      });
}

// --- outer dimensions ---

void KernelEmitter::DecomposeBegin(Value* begin) {
  Value* rest = begin;
  for (size_t d = kernel_.outer.size(); d-- > 0;) {
    outer_[d] = Variable(b_.getInt64Ty(), "outer");
    Value* extent = I64(std::max<int64_t>(kernel_.outer[d], 1));
    b_.CreateStore(d == 0 ? rest : b_.CreateURem(rest, extent), outer_[d]);
    if (d > 0) rest = b_.CreateUDiv(rest, extent);
  }
}

// Adds one to the position that dimensions [0, dims) form together.
void KernelEmitter::AdvanceOuter(size_t dims) {
  Value* carry = b_.getTrue();
  for (size_t d = dims; d-- > 0;) {
    Value* next = b_.CreateAdd(Get(outer_[d]), b_.CreateZExt(carry, b_.getInt64Ty()));
    if (d == 0) {
      b_.CreateStore(next, outer_[d]);
      break;
    }
    carry = b_.CreateICmpEQ(next, I64(kernel_.outer[d]));
    b_.CreateStore(b_.CreateSelect(carry, I64(0), next), outer_[d]);
  }
}

// The last outer dimension is the vectorised one: every lane runs all stages.
void KernelEmitter::EmitRows(Value* begin, Value* end) {
  const size_t last = kernel_.outer.size() - 1;
  AllocaInst* point = Variable(b_.getInt64Ty(), "point");
  b_.CreateStore(begin, point);
  DecomposeBegin(begin);
  While([&] { return b_.CreateICmpSLT(Get(point), end); },
        [&] {
          Value* from = Get(outer_[last]);
          Value* left = b_.CreateSub(I64(kernel_.outer[last]), from);
          Value* wanted = b_.CreateSub(end, Get(point));
          Value* count = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, left, wanted);
          std::vector<Value*> at;
          for (size_t d = 0; d < last; ++d) at.push_back(Get(outer_[d]));
          EmitRow(at, from, b_.CreateAdd(from, count), -1);
          b_.CreateStore(b_.CreateAdd(Get(point), count), point);
          b_.CreateStore(I64(0), outer_[last]);
          AdvanceOuter(last);
        });
}

// Points one by one, with vectors inside each stage.
void KernelEmitter::EmitPoints(Value* begin, Value* end) {
  AllocaInst* point = Variable(b_.getInt64Ty(), "point");
  b_.CreateStore(begin, point);
  DecomposeBegin(begin);
  While([&] { return b_.CreateICmpSLT(Get(point), end); },
        [&] {
          std::vector<Value*> at;
          for (AllocaInst* position : outer_) at.push_back(Get(position));
          EmitPoint(at);
          b_.CreateStore(b_.CreateAdd(Get(point), I64(1)), point);
          AdvanceOuter(outer_.size());
        });
}

// Elements [begin, end) of the last outer dimension, the others being at `at`. `extent` is
// end - begin if that is known, else negative.
void KernelEmitter::EmitRow(const std::vector<Value*>& at, Value* begin, Value* end,
                            int64_t extent) {
  const auto last = static_cast<uint32_t>(kernel_.outer.size() - 1);
  unroll_ = nest_.unroll;
  std::set<int64_t> cuts;
  for (const LoopStage& stage : kernel_.stages) cuts.merge(Cuts(stage));
  for (size_t s = 0; s < stages_.size(); ++s) {
    BeginStage(s);
    for (uint32_t d = 0; d < last; ++d) Open(s, d, at[d]);
    Reached(s, kRowLevel);
  }
  VectorLoop(begin, end, extent, cuts, [&](Value* position) {
    for (size_t s = 0; s < stages_.size(); ++s) {
      const StageState before = stages_[s];
      Open(s, last, position);
      Reached(s, kPointLevel);
      Nest(s, 0);
      stages_[s] = before;
    }
  });
}

void KernelEmitter::EmitPoint(const std::vector<Value*>& at) {
  for (size_t s = 0; s < stages_.size(); ++s) {
    unroll_ = nest_.stages[s].unroll;
    BeginStage(s);
    for (uint32_t d = 0; d < at.size(); ++d) Open(s, d, at[d]);
    Reached(s, kRowLevel);
    Nest(s, 0);
  }
}

// Loops over the first `dims` outer dimensions; `at` gets their positions.
template <typename F>
void KernelEmitter::CountOuter(size_t dims, std::vector<Value*>* at, const F& body) {
  if (at->size() == dims) {
    body();
    return;
  }
  Count(kernel_.outer[at->size()], [&](Value* position) {
    at->push_back(position);
    CountOuter(dims, at, body);
    at->pop_back();
  });
}

// --- the vectorised loop ---

// Positions of the vectorised dimension where a guard changes: no vector crosses them.
std::set<int64_t> KernelEmitter::Cuts(const LoopStage& stage) const {
  std::set<int64_t> cuts;
  const uint32_t dim = VectorDim(kernel_, stage);
  for (const runtime::LoopAccess& load : stage.loads) {
    for (const runtime::LoopGuard& guard : load.guards) {
      if (guard.dim != dim) continue;
      for (const int64_t cut : {guard.begin, guard.end}) {
        if (cut > 0 && cut < Extent(kernel_, stage, dim)) cuts.insert(cut);
      }
    }
  }
  return cuts;
}

// `extent` is end - begin if that is known, else negative.
template <typename F>
void KernelEmitter::VectorLoop(Value* begin, Value* end, int64_t extent,
                               const std::set<int64_t>& cuts, const F& body) {
  AllocaInst* at = Variable(b_.getInt64Ty(), "v");
  b_.CreateStore(begin, at);
  in_vector_ = true;
  if (cuts.empty()) {
    VectorSegment(at, end, extent, body);
  } else {
    While([&] { return b_.CreateICmpSLT(Get(at), end); },
          [&] {
            Value* from = Get(at);
            Value* until = end;
            for (const int64_t cut : cuts) {
              Value* nearer =
                  b_.CreateAnd(b_.CreateICmpSLT(from, I64(cut)), b_.CreateICmpSLT(I64(cut), until));
              until = b_.CreateSelect(nearer, I64(cut), until);
            }
            VectorSegment(at, until, -1, body);
          });
  }
  in_vector_ = false;
  body_ = Body();
}

// Whole groups of vectors, then what is left. What is known to run once is no loop.
template <typename F>
void KernelEmitter::VectorSegment(AllocaInst* at, Value* end, int64_t extent, const F& body) {
  const auto once = [&](unsigned width, unsigned unroll, int64_t left) {
    Value* position = Get(at);
    body_ = {.width = width, .unroll = unroll};
    if (left < static_cast<int64_t>(width)) body_.mask = LiveLanes(I64(left));
    body(position);
    b_.CreateStore(end, at);
  };
  const auto run = [&](unsigned width, unsigned unroll, bool masked) {
    const int64_t step = static_cast<int64_t>(width) * unroll;
    const int64_t whole = masked ? 1 : step;  // what must be left for another turn
    While([&] { return b_.CreateICmpSLE(b_.CreateAdd(Get(at), I64(whole)), end); },
          [&] {
            Value* position = Get(at);
            body_ = {.width = width, .unroll = unroll};
            if (masked) body_.mask = LiveLanes(b_.CreateSub(end, position));
            body(position);
            Value* next = b_.CreateAdd(position, I64(step));
            // The next segment begins where this one ends.
            if (masked) next = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smin, next, end);
            b_.CreateStore(next, at);
          });
  };
  const int64_t step = static_cast<int64_t>(nest_.width) * unroll_;
  if (extent == step) {
    once(nest_.width, unroll_, step);
    return;
  }
  const bool main = extent >= 0 ? extent >= step : !nest_.always_masked;
  if (main) run(nest_.width, unroll_, false);
  if (step == 1 || (main && extent >= 0 && extent % step == 0)) return;
  const int64_t left = main ? extent % step : extent;
  if (extent > 0 && nest_.masks && left <= static_cast<int64_t>(nest_.width)) {
    once(nest_.width, 1, left);
    return;
  }
  run(nest_.masks ? nest_.width : 1, 1, nest_.masks);
}

// The first `left` lanes (all, if there are more), left >= 1.
Value* KernelEmitter::LiveLanes(Value* left) {
  const unsigned width = nest_.width;
  Value* live = b_.CreateBinaryIntrinsic(llvm::Intrinsic::umin, left, b_.getInt64(width));
  Value* dead = b_.CreateSub(b_.getInt64(width), live);
  Type* bits = b_.getIntNTy(width);
  Value* ones = llvm::Constant::getAllOnesValue(bits);
  Value* mask = b_.CreateLShr(ones, b_.CreateZExtOrTrunc(dead, bits));
  return b_.CreateBitCast(mask, llvm::FixedVectorType::get(b_.getInt1Ty(), width));
}

// --- stages ---

void KernelEmitter::BeginStage(size_t s) {
  const LoopStage& stage = kernel_.stages[s];
  StageState& state = stages_[s];
  state = StageState();
  for (const runtime::LoopAccess& load : stage.loads) state.loads.push_back(accesses_.Begin(load));
  for (const runtime::LoopStore& store : stage.stores) {
    state.stores.push_back(accesses_.Begin(store.to));
  }
  state.registers.resize(stage.instrs.size());
  state.positions.resize(kernel_.outer.size() + stage.dims.size());
}

void KernelEmitter::Open(size_t s, uint32_t dim, Value* position) {
  const LoopStage& stage = kernel_.stages[s];
  StageState& state = stages_[s];
  state.positions[dim] = position;
  for (size_t i = 0; i < stage.loads.size(); ++i) {
    accesses_.Open(stage.loads[i], dim, position, &state.loads[i]);
  }
  for (size_t i = 0; i < stage.stores.size(); ++i) {
    accesses_.Open(stage.stores[i].to, dim, position, &state.stores[i]);
  }
}

// All dimensions of `level` are open: what is known now is computed now.
void KernelEmitter::Reached(size_t s, int level) {
  const LoopStage& stage = kernel_.stages[s];
  const StageNest& nest = nest_.stages[s];
  StageState& state = stages_[s];
  for (size_t i = 0; i < stage.loads.size(); ++i) {
    accesses_.Settle(stage, nest, stage.loads[i], level, &state.loads[i]);
  }
  for (size_t i = 0; i < stage.stores.size(); ++i) {
    accesses_.Settle(stage, nest, stage.stores[i].to, level, &state.stores[i]);
  }
  for (size_t i = 0; i < stage.instrs.size(); ++i) {
    if (nest.level[i] == level) {
      state.registers[i] = Compute(s, stage.instrs[i], nest.lanes[i]);
    }
  }
}

Value* KernelEmitter::Checked(Result<Value*> value, Type* type) {
  if (value.ok()) return *value;
  if (status_.ok()) status_ = value.status();
  return llvm::Constant::getNullValue(type);
}

Register KernelEmitter::IndexLanes(size_t s, const LoopInstr& instr) {
  const LoopStage& stage = kernel_.stages[s];
  const auto dim = static_cast<uint32_t>(instr.imm);
  Value* first = stages_[s].positions[dim];
  Register out;
  if (dim != VectorDim(kernel_, stage)) {
    out.uniform = ops_.FromPosition(instr.type, first);
    return out;
  }
  const bool is_float = tensor::IsFloat(instr.type);
  const bool small = Extent(kernel_, stage, dim) <= INT32_MAX - 64;
  Type* element = !is_float ? ops_.RegisterType(instr.type, 1)
                  : small   ? b_.getInt32Ty()
                            : b_.getInt64Ty();
  Value* lane0 = b_.CreateSExtOrTrunc(first, element);
  for (unsigned part = 0; part < body_.unroll; ++part) {
    const uint64_t start = uint64_t{part} * body_.width;
    Value* lanes = b_.CreateAdd(lane0, llvm::ConstantInt::get(element, start));
    if (body_.width > 1) {
      Type* vector = llvm::FixedVectorType::get(element, body_.width);
      lanes = b_.CreateAdd(ops_.Splat(lanes, body_.width), b_.CreateStepVector(vector));
    }
    if (is_float) lanes = b_.CreateSIToFP(lanes, ops_.RegisterType(instr.type, body_.width));
    out.parts.push_back(lanes);
  }
  return out;
}

Register KernelEmitter::Compute(size_t s, const LoopInstr& instr, bool lanes) {
  const LoopStage& stage = kernel_.stages[s];
  StageState& state = stages_[s];
  Register out;
  switch (instr.op) {
    case ScalarOp::kConstant:
      out.uniform = ops_.Constant(instr.type, instr.imm, 1);
      return out;
    case ScalarOp::kIndex:
      return IndexLanes(s, instr);
    case ScalarOp::kLoad:
      return accesses_.Load(stage.loads[instr.imm], state.loads[instr.imm],
                            VectorDim(kernel_, stage), lanes, body_);
    default:
      break;
  }
  const int operands = OperandsOf(instr.op);
  const DType operand = stage.instrs[instr.in[operands - 1]].type;
  const unsigned width = lanes ? body_.width : 1;
  const unsigned parts = lanes ? body_.unroll : 1;
  for (unsigned part = 0; part < parts; ++part) {
    Value* in[3];
    for (int k = 0; k < operands; ++k) {
      const Register& from = state.registers[instr.in[k]];
      in[k] = from.uniform != nullptr ? ops_.Splat(from.uniform, width) : from.parts[part];
    }
    Value* value = Checked(ops_.Apply(instr, operand, {in, static_cast<size_t>(operands)}),
                           ops_.RegisterType(instr.type, width));
    if (lanes) {
      out.parts.push_back(value);
    } else {
      out.uniform = value;
    }
  }
  return out;
}

// Opens the dimensions of a stage from `at` on.
void KernelEmitter::Nest(size_t s, size_t at) {
  const LoopStage& stage = kernel_.stages[s];
  const StageNest& nest = nest_.stages[s];
  if (at == nest.free && !stage.reductions.empty() && !reducing_) {
    BeginReductions(s);
    Nest(s, at);
    FinishReductions(s);
    return;
  }
  if (at == nest.order.size()) {
    Innermost(s);
    return;
  }
  const uint32_t dim = nest.order[at];
  const int64_t extent = Extent(kernel_, stage, dim);
  const StageState before = stages_[s];
  const auto inside = [&](Value* position) {
    stages_[s] = before;
    Open(s, dim, position);
    Reached(s, nest.dim_level[dim]);
    Nest(s, at + 1);
  };
  if (!kernel_.vector_outer && dim == VectorDim(kernel_, stage)) {
    VectorLoop(I64(0), I64(extent), extent, Cuts(stage), inside);
  } else {
    Count(extent, inside);
  }
  stages_[s] = before;
}

void KernelEmitter::Innermost(size_t s) {
  const LoopStage& stage = kernel_.stages[s];
  if (!stage.reductions.empty()) {
    Accumulate(s);
    return;
  }
  const StageState& state = stages_[s];
  for (size_t i = 0; i < stage.stores.size(); ++i) {
    accesses_.Store(stage.stores[i].to, state.stores[i], VectorDim(kernel_, stage),
                    state.registers[stage.stores[i].value], body_);
  }
}

// --- reductions ---

Value* KernelEmitter::Combine(const LoopReduction& reduction, DType type, Value* a, Value* b) {
  return Checked(ops_.Combine(reduction.kind, type, a, b), a->getType());
}

void KernelEmitter::BeginReductions(size_t s) {
  const LoopStage& stage = kernel_.stages[s];
  reducing_ = true;
  reduces_lanes_ = !in_vector_;
  accumulators_.clear();
  const unsigned width = reduces_lanes_ ? nest_.width : body_.width;
  const unsigned unroll = reduces_lanes_ ? unroll_ : body_.unroll;
  for (const LoopReduction& reduction : stage.reductions) {
    const DType type = stage.instrs[reduction.value].type;
    const uint64_t identity = IrOps::Identity(reduction.kind, type);
    Accumulator accumulator;
    for (unsigned part = 0; part < unroll; ++part) {
      accumulator.parts.push_back(Variable(ops_.RegisterType(type, width), "sum"));
      b_.CreateStore(ops_.Constant(type, identity, width), accumulator.parts.back());
    }
    if (reduces_lanes_ && width > 1 && !nest_.masks) {
      accumulator.single = Variable(ops_.RegisterType(type, 1), "sum");
      b_.CreateStore(ops_.Constant(type, identity, 1), accumulator.single);
    }
    accumulators_.push_back(accumulator);
  }
}

void KernelEmitter::Accumulate(size_t s) {
  const LoopStage& stage = kernel_.stages[s];
  for (size_t r = 0; r < stage.reductions.size(); ++r) {
    const LoopReduction& reduction = stage.reductions[r];
    const DType type = stage.instrs[reduction.value].type;
    const Register& value = stages_[s].registers[reduction.value];
    const Accumulator& accumulator = accumulators_[r];
    const bool single = accumulator.single != nullptr && body_.width == 1;
    for (unsigned part = 0; part < body_.unroll; ++part) {
      AllocaInst* place = single ? accumulator.single : accumulator.parts[part];
      Value* lanes =
          value.uniform != nullptr ? ops_.Splat(value.uniform, body_.width) : value.parts[part];
      Value* old = Get(place);
      Value* sum = Combine(reduction, type, old, lanes);
      if (reduces_lanes_ && body_.mask != nullptr) sum = b_.CreateSelect(body_.mask, sum, old);
      b_.CreateStore(sum, place);
    }
  }
}

Value* KernelEmitter::FoldLanes(const LoopReduction& reduction, DType type, Value* lanes) {
  for (unsigned width = nest_.width; width > 1; width /= 2) {
    const auto [a, b] = HalvesOf(b_, lanes, width);
    lanes = Combine(reduction, type, a, b);
  }
  return lanes;
}

void KernelEmitter::FinishReductions(size_t s) {
  const LoopStage& stage = kernel_.stages[s];
  std::vector<Register> results;
  for (size_t r = 0; r < stage.reductions.size(); ++r) {
    const LoopReduction& reduction = stage.reductions[r];
    const DType type = stage.instrs[reduction.value].type;
    const Accumulator& accumulator = accumulators_[r];
    Register result;
    if (reduces_lanes_) {
      Value* sum = Get(accumulator.parts[0]);
      for (size_t part = 1; part < accumulator.parts.size(); ++part) {
        sum = Combine(reduction, type, sum, Get(accumulator.parts[part]));
      }
      sum = FoldLanes(reduction, type, sum);
      if (accumulator.single != nullptr) {
        sum = Combine(reduction, type, sum, Get(accumulator.single));
      }
      result.uniform = Combine(reduction, type, ops_.Constant(type, reduction.init, 1), sum);
    } else {
      Value* init = ops_.Constant(type, reduction.init, body_.width);
      for (AllocaInst* part : accumulator.parts) {
        result.parts.push_back(Combine(reduction, type, init, Get(part)));
      }
    }
    results.push_back(result);
  }
  for (size_t i = 0; i < stage.stores.size(); ++i) {
    accesses_.Store(stage.stores[i].to, stages_[s].stores[i], VectorDim(kernel_, stage),
                    results[stage.stores[i].value], body_);
  }
  reducing_ = reduces_lanes_ = false;
}

Result<KernelFunction> KernelEmitter::Emit() {
  BasicBlock* entry = BasicBlock::Create(b_.getContext(), "entry", function_);
  BasicBlock* start = BasicBlock::Create(b_.getContext(), "start", function_);
  b_.SetInsertPoint(start);
  std::vector<Value*> buffers;
  for (uint32_t i = 0; i < kernel_.buffers; ++i) {
    Value* slot = b_.CreateConstGEP1_64(b_.getPtrTy(), function_->getArg(0), i);
    buffers.push_back(b_.CreateLoad(b_.getPtrTy(), slot));
  }
  accesses_.SetMemory(std::move(buffers), function_->getArg(3));
  stages_.resize(kernel_.stages.size());
  outer_.resize(kernel_.outer.size());
  if (kernel_.vector_outer) {
    EmitRows(function_->getArg(1), function_->getArg(2));
  } else {
    EmitPoints(function_->getArg(1), function_->getArg(2));
  }
  b_.CreateRetVoid();
  b_.SetInsertPoint(entry);
  b_.CreateBr(start);
  RETURN_IF_ERROR(status_);
  llvm::DominatorTree dominators(*function_);
  llvm::PromoteMemToReg(variables_, dominators);
  return KernelFunction{function_, nest_.scratch_bytes};
}

Result<uint64_t> KernelEmitter::EmitWhole(std::vector<Value*> buffers, Value* scratch,
                                          llvm::IRBuilderBase* builder,
                                          std::vector<AllocaInst*>* variables) {
  b_.SetInsertPoint(builder->GetInsertBlock());
  accesses_.SetMemory(std::move(buffers), scratch);
  stages_.resize(kernel_.stages.size());
  std::vector<Value*> at;
  if (kernel_.vector_outer) {
    const int64_t extent = kernel_.outer.back();
    CountOuter(kernel_.outer.size() - 1, &at, [&] { EmitRow(at, I64(0), I64(extent), extent); });
  } else {
    CountOuter(kernel_.outer.size(), &at, [&] { EmitPoint(at); });
  }
  builder->SetInsertPoint(b_.GetInsertBlock());
  variables->insert(variables->end(), variables_.begin(), variables_.end());
  RETURN_IF_ERROR(status_);
  return nest_.scratch_bytes;
}

}  // namespace

Result<uint64_t> EmitWholeKernel(const LoopKernel& kernel, const TargetTraits& traits,
                                 std::vector<Value*> buffers, Value* scratch,
                                 llvm::IRBuilderBase* builder,
                                 std::vector<AllocaInst*>* variables) {
  llvm::Function* function = builder->GetInsertBlock()->getParent();
  return KernelEmitter(kernel, traits, function)
      .EmitWhole(std::move(buffers), scratch, builder, variables);
}

Result<KernelFunction> EmitKernel(const LoopKernel& kernel, const TargetTraits& traits,
                                  const std::string& name, llvm::Module* module) {
  llvm::LLVMContext& context = module->getContext();
  Type* pointer = llvm::PointerType::getUnqual(context);
  Type* i64 = Type::getInt64Ty(context);
  auto* type =
      llvm::FunctionType::get(Type::getVoidTy(context), {pointer, i64, i64, pointer}, false);
  auto* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, module);
  return KernelEmitter(kernel, traits, function).Emit();
}

}  // namespace megalith::codegen

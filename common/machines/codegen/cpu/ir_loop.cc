#include "common/machines/codegen/cpu/ir_loop.h"

#include <llvm/IR/Dominators.h>
#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar.h>
#include <llvm/Transforms/Scalar/GVN.h>
#include <llvm/Transforms/Utils/PromoteMemToReg.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "common/machines/codegen/cpu/ir_dot.h"
#include "common/machines/codegen/cpu/nest.h"
#include "common/machines/codegen/cpu/simplify.h"

namespace megalith::codegen {
namespace {

using llvm::AllocaInst;
using llvm::BasicBlock;
using llvm::Type;
using llvm::Value;
using runtime::BufferKind;
using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopKernel;
using runtime::LoopStage;
using runtime::PlanBuffer;
using runtime::PlanRegion;
using runtime::PlanStep;
using runtime::PlanWhile;
using runtime::StepKind;

// Additions between two questions whether to stop: about a millisecond.
constexpr int64_t kPollCost = 1 << 21;

template <typename F>
void ForEachStep(const runtime::Plan& plan, const PlanRegion& region, const F& f) {
  for (const PlanStep& step : region.steps) {
    f(step);
    if (step.kind == StepKind::kWhile) {
      ForEachStep(plan, plan.whiles[step.index].condition, f);
      ForEachStep(plan, plan.whiles[step.index].body, f);
    }
    if (step.kind == StepKind::kBranch) {
      for (const PlanRegion& r : plan.branches[step.index].regions) ForEachStep(plan, r, f);
    }
  }
}

// Dimensions of one element are not walked.
void DropStridesOfOne(LoopKernel* kernel) {
  for (LoopStage& stage : kernel->stages) {
    const auto drop = [&](std::vector<int64_t>* strides) {
      for (uint32_t d = 0; d < strides->size(); ++d) {
        if (Extent(*kernel, stage, d) == 1) (*strides)[d] = 0;
      }
    };
    const auto access = [&](LoopAccess& a) {
      drop(&a.strides);
      for (runtime::LoopIndexTerm& t : a.terms) drop(&t.strides);
    };
    for (LoopAccess& load : stage.loads) access(load);
    for (runtime::LoopStore& store : stage.stores) access(store.to);
  }
}

bool IsStill(const std::vector<int64_t>& strides) {
  return std::ranges::all_of(strides, [](int64_t s) { return s == 0; });
}

// Which buffers are scalars that can live in registers, and as what.
class Scalars {
 public:
  explicit Scalars(const runtime::Plan& plan) : plan_(plan) {}

  void Read(uint32_t buffer, DType dtype, bool as_scalar) {
    const uint64_t bytes = plan_.buffers[buffer].bytes;
    const auto [it, fresh] = types_.try_emplace(buffer, dtype);
    if (!fresh && it->second == DType::kInvalid) return;
    if (!as_scalar || bytes > 8 || bytes != static_cast<uint64_t>(tensor::ByteWidth(dtype)) ||
        it->second != dtype) {
      it->second = DType::kInvalid;
    }
  }
  void Array(uint32_t buffer) { types_[buffer] = DType::kInvalid; }

  void Read(const LoopKernel& kernel, const std::vector<uint32_t>& buffers) {
    for (const LoopStage& stage : kernel.stages) {
      for (const LoopAccess& load : stage.loads) Read(load, buffers);
      for (const runtime::LoopStore& store : stage.stores) Read(store.to, buffers);
    }
  }

  // Buffer -> element type.
  std::map<uint32_t, DType> Take() const {
    std::map<uint32_t, DType> out;
    for (const auto& [buffer, dtype] : types_) {
      if (dtype != DType::kInvalid) out[buffer] = dtype;
    }
    return out;
  }

 private:
  void Read(const LoopAccess& a, const std::vector<uint32_t>& buffers) {
    if (a.buffer < buffers.size()) {
      Read(buffers[a.buffer], a.dtype,
           a.offset == 0 && IsStill(a.strides) && a.terms.empty() && a.guards.empty());
    }
    for (const runtime::LoopIndexTerm& t : a.terms) {
      if (t.buffer >= buffers.size()) continue;
      Read(buffers[t.buffer], t.dtype, t.offset == 0 && IsStill(t.strides) && a.guards.empty());
    }
  }

  const runtime::Plan& plan_;
  std::map<uint32_t, DType> types_;
};

class LoopEmitter {
 public:
  LoopEmitter(const LoopRequest& request, const TargetTraits& traits, llvm::Function* function)
      : request_(request),
        plan_(*request.plan),
        traits_(traits),
        function_(function),
        b_(function->getContext()),
        ops_(b_, traits) {}

  Result<KernelFunction> Emit();

 private:
  Value* I64(int64_t v) { return b_.getInt64(static_cast<uint64_t>(v)); }
  AllocaInst* Variable(Type* type, const char* name);
  Value* Get(AllocaInst* variable) { return b_.CreateLoad(variable->getAllocatedType(), variable); }
  BasicBlock* Block(const char* name) {
    return BasicBlock::Create(b_.getContext(), name, function_);
  }

  void FindScalars();
  void LoadScalars();
  void StoreScalars();
  Value* Address(uint32_t buffer);
  Value* Place(uint32_t buffer);
  Value* Integer(uint32_t buffer, unsigned bits);

  Status EmitRegion(const PlanRegion& region);
  Status EmitStep(const PlanStep& step);
  Status EmitKernelStep(uint32_t index, const std::vector<uint32_t>& buffers);
  Status EmitWhile(uint32_t index);
  Status EmitBranch(const runtime::PlanBranch& branch);
  void EmitCopy(uint32_t from, uint32_t to);
  void EmitPoll(int64_t cost);

  const LoopRequest& request_;
  const runtime::Plan& plan_;
  const TargetTraits traits_;
  llvm::Function* const function_;
  llvm::IRBuilder<> b_;
  IrOps ops_;
  BasicBlock* entry_ = nullptr;             // of variables
  BasicBlock* start_ = nullptr;             // of addresses
  BasicBlock* stopped_ = nullptr;           // where it ends if it is to stop
  std::map<uint32_t, LoopKernel> kernels_;  // of Plan::loops, simplified
  std::map<uint32_t, Value*> addresses_;    // of buffers in memory
  std::map<uint32_t, AllocaInst*> scalars_;
  std::vector<AllocaInst*> variables_;
  AllocaInst* budget_ = nullptr;  // additions until the next question
  uint64_t scratch_bytes_ = 0;
};

AllocaInst* LoopEmitter::Variable(Type* type, const char* name) {
  llvm::IRBuilder<> at_entry(entry_, entry_->begin());
  AllocaInst* variable = at_entry.CreateAlloca(type, nullptr, name);
  variables_.push_back(variable);
  return variable;
}

// --- scalars ---

void LoopEmitter::FindScalars() {
  Scalars scalars(plan_);
  const auto kernel = [&](uint32_t index, const std::vector<uint32_t>& buffers) {
    const auto [it, fresh] = kernels_.try_emplace(index);
    if (fresh) {
      it->second = Simplify(plan_.loops[index]);
      DropStridesOfOne(&it->second);
    }
    scalars.Read(it->second, buffers);
  };
  const auto step = [&](const PlanStep& s) {
    std::vector<uint32_t> buffers = s.in;
    buffers.insert(buffers.end(), s.out.begin(), s.out.end());
    if (s.kind == StepKind::kLoop) kernel(s.index, buffers);
    if (s.kind == StepKind::kLibrary) {
      for (const uint32_t b : buffers) scalars.Array(b);
      if (s.epilogue != UINT32_MAX) kernel(s.epilogue, s.epilogue_buffers);
    }
    if (s.kind == StepKind::kWhile && plan_.whiles[s.index].trip_count < 0) {
      scalars.Read(plan_.whiles[s.index].predicate, DType::kBool, true);
    }
    if (s.kind == StepKind::kBranch) {
      const runtime::PlanBranch& branch = plan_.branches[s.index];
      scalars.Read(branch.selector, branch.is_bool ? DType::kBool : DType::kI32, true);
    }
  };
  step(*request_.step);
  ForEachStep(plan_, plan_.whiles[request_.step->index].condition, step);
  ForEachStep(plan_, plan_.whiles[request_.step->index].body, step);
  for (const auto& [buffer, dtype] : scalars.Take()) {
    scalars_[buffer] = Variable(ops_.StorageType(dtype, 1), "scalar");
  }
}

// The address of a buffer in memory, asked for once.
Value* LoopEmitter::Address(uint32_t buffer) {
  Value*& address = addresses_[buffer];
  if (address == nullptr) {
    llvm::IRBuilder<> at_start(start_->getTerminator());
    Value* slot = at_start.CreateConstGEP1_64(b_.getPtrTy(), function_->getArg(0), buffer);
    address = at_start.CreateLoad(b_.getPtrTy(), slot);
  }
  return address;
}

// Where steps find a buffer: its variable, if it is a scalar.
Value* LoopEmitter::Place(uint32_t buffer) {
  const auto it = scalars_.find(buffer);
  return it != scalars_.end() ? it->second : Address(buffer);
}

void LoopEmitter::LoadScalars() {
  for (const auto& [buffer, variable] : scalars_) {
    Type* type = variable->getAllocatedType();
    const PlanBuffer& place = plan_.buffers[buffer];
    Value* value = nullptr;
    if (place.kind == BufferKind::kConstant) {
      uint64_t bits = 0;
      std::memcpy(&bits, plan_.constants[place.index].bytes.data(), place.bytes);
      value = llvm::ConstantExpr::getBitCast(
          llvm::ConstantInt::get(b_.getIntNTy(type->getScalarSizeInBits()), bits), type);
    } else {
      value = b_.CreateAlignedLoad(type, Address(buffer), llvm::Align(place.bytes));
    }
    b_.CreateStore(value, variable);
  }
}

void LoopEmitter::StoreScalars() {
  for (const uint32_t buffer : request_.step->out) {
    const auto it = scalars_.find(buffer);
    if (it == scalars_.end()) continue;
    b_.CreateAlignedStore(Get(it->second), Address(buffer),
                          llvm::Align(plan_.buffers[buffer].bytes));
  }
}

// The element of a small buffer as an integer.
Value* LoopEmitter::Integer(uint32_t buffer, unsigned bits) {
  Type* type = b_.getIntNTy(bits);
  const auto it = scalars_.find(buffer);
  if (it == scalars_.end()) {
    return b_.CreateAlignedLoad(type, Address(buffer), llvm::Align(1));
  }
  Value* value = Get(it->second);
  return value->getType() == type ? value : b_.CreateBitCast(value, type);
}

// --- steps ---

Status LoopEmitter::EmitRegion(const PlanRegion& region) {
  for (const PlanStep& step : region.steps) RETURN_IF_ERROR(EmitStep(step));
  return OkStatus();
}

Status LoopEmitter::EmitStep(const PlanStep& step) {
  switch (step.kind) {
    case StepKind::kLoop: {
      std::vector<uint32_t> buffers = step.in;
      buffers.insert(buffers.end(), step.out.begin(), step.out.end());
      return EmitKernelStep(step.index, buffers);
    }
    case StepKind::kLibrary:
      EmitDot(request_.dots.at(step.index), traits_, Address(step.in[0]), Address(step.in[1]),
              Address(step.out[0]), &b_, &variables_);
      if (step.epilogue == UINT32_MAX) return OkStatus();
      return EmitKernelStep(step.epilogue, step.epilogue_buffers);
    case StepKind::kCopy:
      EmitCopy(step.in[0], step.out[0]);
      return OkStatus();
    case StepKind::kWhile:
      return EmitWhile(step.index);
    case StepKind::kBranch:
      return EmitBranch(plan_.branches[step.index]);
  }
  return Internal("unknown step");
}

Status LoopEmitter::EmitKernelStep(uint32_t index, const std::vector<uint32_t>& buffers) {
  std::vector<Value*> places;
  for (const uint32_t b : buffers) places.push_back(Place(b));
  ASSIGN_OR_RETURN(const uint64_t scratch,
                   EmitWholeKernel(kernels_.at(index), traits_, std::move(places),
                                   function_->getArg(3), &b_, &variables_));
  scratch_bytes_ = std::max(scratch_bytes_, scratch);
  return OkStatus();
}

void LoopEmitter::EmitCopy(uint32_t from, uint32_t to) {
  const uint64_t bytes = plan_.buffers[to].bytes;
  const auto scalar = scalars_.find(to);
  if (scalar != scalars_.end() || (scalars_.contains(from) && bytes <= 8)) {
    Value* value = Integer(from, static_cast<unsigned>(bytes * 8));
    if (scalar == scalars_.end()) {
      b_.CreateAlignedStore(value, Address(to), llvm::Align(1));
      return;
    }
    Type* type = scalar->second->getAllocatedType();
    b_.CreateStore(value->getType() == type ? value : b_.CreateBitCast(value, type),
                   scalar->second);
    return;
  }
  // Vectors, then what is left in halves.
  Value* source = Address(from);
  Value* target = Address(to);
  const auto move = [&](Value* at, uint64_t size) {
    Type* type = llvm::FixedVectorType::get(b_.getInt8Ty(), static_cast<unsigned>(size));
    Value* value =
        b_.CreateAlignedLoad(type, b_.CreateGEP(b_.getInt8Ty(), source, at), llvm::Align(1));
    b_.CreateAlignedStore(value, b_.CreateGEP(b_.getInt8Ty(), target, at), llvm::Align(1));
  };
  const uint64_t vector = traits_.vector_bits / 8;
  const uint64_t whole = bytes / vector * vector;
  if (whole > 0) {
    AllocaInst* at = Variable(b_.getInt64Ty(), "at");
    b_.CreateStore(b_.getInt64(0), at);
    BasicBlock* loop = Block("copy");
    BasicBlock* done = Block("copied");
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    move(Get(at), vector);
    Value* next = b_.CreateAdd(Get(at), b_.getInt64(vector));
    b_.CreateStore(next, at);
    b_.CreateCondBr(b_.CreateICmpULT(next, b_.getInt64(whole)), loop, done);
    b_.SetInsertPoint(done);
  }
  uint64_t offset = whole;
  for (uint64_t size = vector / 2; size >= 1; size /= 2) {
    if (bytes - offset < size) continue;
    move(b_.getInt64(offset), size);
    offset += size;
  }
}

Status LoopEmitter::EmitBranch(const runtime::PlanBranch& branch) {
  BasicBlock* done = Block("joined");
  std::vector<BasicBlock*> cases;
  for (size_t i = 0; i < branch.regions.size(); ++i) cases.push_back(Block("case"));
  if (branch.is_bool) {
    Value* selector = Integer(branch.selector, 8);
    b_.CreateCondBr(b_.CreateICmpNE(selector, b_.getInt8(0)), cases[0], cases[1]);
  } else {
    Value* selector = Integer(branch.selector, 32);
    llvm::SwitchInst* choice = b_.CreateSwitch(selector, cases.back());
    for (size_t i = 0; i + 1 < cases.size(); ++i) {
      choice->addCase(b_.getInt32(static_cast<uint32_t>(i)), cases[i]);
    }
  }
  for (size_t i = 0; i < cases.size(); ++i) {
    b_.SetInsertPoint(cases[i]);
    RETURN_IF_ERROR(EmitRegion(branch.regions[i]));
    b_.CreateBr(done);
  }
  b_.SetInsertPoint(done);
  return OkStatus();
}

// Takes `cost` from what may be done until the next question, and asks if nothing is left.
void LoopEmitter::EmitPoll(int64_t cost) {
  BasicBlock* ask = Block("ask");
  BasicBlock* go_on = Block("turn");
  Value* left = b_.CreateSub(Get(budget_), I64(cost));
  b_.CreateStore(left, budget_);
  b_.CreateCondBr(b_.CreateICmpSLT(left, I64(0)), ask, go_on);
  b_.SetInsertPoint(ask);
  auto* type = llvm::FunctionType::get(b_.getInt8Ty(), {b_.getPtrTy()}, false);
  Value* stop = b_.CreateCall(type, function_->getArg(1), {function_->getArg(2)});
  b_.CreateStore(I64(kPollCost), budget_);
  b_.CreateCondBr(b_.CreateTrunc(stop, b_.getInt1Ty()), stopped_, go_on);
  b_.SetInsertPoint(go_on);
}

Status LoopEmitter::EmitWhile(uint32_t index) {
  const PlanWhile& loop = plan_.whiles[index];
  const double turn = std::max(request_.turn_cost.at(index), 1.0);
  const auto cost = static_cast<int64_t>(std::min<double>(turn, kPollCost));
  BasicBlock* head = Block("head");
  BasicBlock* body = Block("body");
  BasicBlock* done = Block("ended");
  if (loop.trip_count >= 0) {
    if (loop.trip_count == 0) {
      b_.CreateBr(done);
      head->eraseFromParent();
      body->eraseFromParent();
      b_.SetInsertPoint(done);
      return OkStatus();
    }
    AllocaInst* turns = Variable(b_.getInt64Ty(), "turns");
    b_.CreateStore(I64(loop.trip_count), turns);
    b_.CreateBr(head);
    b_.SetInsertPoint(head);
    b_.CreateBr(body);
    b_.SetInsertPoint(body);
    RETURN_IF_ERROR(EmitRegion(loop.body));
    if (turn * static_cast<double>(loop.trip_count) > kPollCost / 4) EmitPoll(cost);
    Value* left = b_.CreateSub(Get(turns), I64(1));
    b_.CreateStore(left, turns);
    b_.CreateCondBr(b_.CreateICmpNE(left, I64(0)), head, done);
    b_.SetInsertPoint(done);
    return OkStatus();
  }
  b_.CreateBr(head);
  b_.SetInsertPoint(head);
  RETURN_IF_ERROR(EmitRegion(loop.condition));
  Value* predicate = Integer(loop.predicate, 8);
  b_.CreateCondBr(b_.CreateICmpNE(predicate, b_.getInt8(0)), body, done);
  b_.SetInsertPoint(body);
  RETURN_IF_ERROR(EmitRegion(loop.body));
  EmitPoll(cost);
  b_.CreateBr(head);
  b_.SetInsertPoint(done);
  return OkStatus();
}

// What the code generator proper leaves undone: values computed twice or in every turn anew.
void Optimise(llvm::Function* function) {
  llvm::legacy::FunctionPassManager passes(function->getParent());
  passes.add(llvm::createInstructionCombiningPass());
  passes.add(llvm::createCFGSimplificationPass());
  passes.add(llvm::createGVNPass());
  passes.add(llvm::createLICMPass());
  passes.add(llvm::createInstructionCombiningPass());
  passes.add(llvm::createCFGSimplificationPass());
  passes.doInitialization();
  passes.run(*function);
  passes.doFinalization();
}

Result<KernelFunction> LoopEmitter::Emit() {
  entry_ = Block("entry");
  start_ = Block("start");
  BasicBlock* work = Block("work");
  stopped_ = Block("stopped");
  b_.SetInsertPoint(start_);
  b_.CreateBr(work);
  FindScalars();
  budget_ = Variable(b_.getInt64Ty(), "budget");
  b_.SetInsertPoint(work);
  b_.CreateStore(I64(kPollCost), budget_);
  LoadScalars();
  RETURN_IF_ERROR(EmitWhile(request_.step->index));
  StoreScalars();
  b_.CreateRet(b_.getInt8(1));
  b_.SetInsertPoint(stopped_);
  b_.CreateRet(b_.getInt8(0));
  b_.SetInsertPoint(entry_);
  b_.CreateBr(start_);
  std::erase_if(variables_, [](AllocaInst* v) { return !llvm::isAllocaPromotable(v); });
  llvm::DominatorTree dominators(*function_);
  llvm::PromoteMemToReg(variables_, dominators);
  Optimise(function_);
  return KernelFunction{function_, scratch_bytes_};
}

}  // namespace

Result<KernelFunction> EmitLoop(const LoopRequest& request, const TargetTraits& traits,
                                const std::string& name, llvm::Module* module) {
  llvm::LLVMContext& context = module->getContext();
  Type* pointer = llvm::PointerType::getUnqual(context);
  auto* type = llvm::FunctionType::get(Type::getInt8Ty(context),
                                       {pointer, pointer, pointer, pointer}, false);
  auto* function = llvm::Function::Create(type, llvm::GlobalValue::ExternalLinkage, name, module);
  return LoopEmitter(request, traits, function).Emit();
}

}  // namespace megalith::codegen

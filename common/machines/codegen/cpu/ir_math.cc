#include "common/machines/codegen/cpu/ir_math.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/MDBuilder.h>
#include <llvm/IR/Module.h>

#include "common/machines/kernels/vector_math.h"

namespace megalith::codegen {
namespace {

using kernels::ScalarOp;
using llvm::Constant;
using llvm::ConstantFP;
using llvm::ConstantInt;
using llvm::Type;
using llvm::Value;

// Values with the operators vector_math.h writes its formulas in.
struct Truths {
  llvm::IRBuilderBase* b = nullptr;
  Value* v = nullptr;
  friend Truths operator&(Truths x, Truths y) { return {x.b, x.b->CreateAnd(x.v, y.v)}; }
  friend Truths operator|(Truths x, Truths y) { return {x.b, x.b->CreateOr(x.v, y.v)}; }
  Truths operator~() const { return {b, b->CreateNot(v)}; }
};

// One instruction per operator; `wide` only makes types of different widths distinct.
template <int bits>
struct Floats {
  llvm::IRBuilderBase* b = nullptr;
  Value* v = nullptr;
  friend Floats operator+(Floats x, Floats y) { return {x.b, x.b->CreateFAdd(x.v, y.v)}; }
  friend Floats operator-(Floats x, Floats y) { return {x.b, x.b->CreateFSub(x.v, y.v)}; }
  friend Floats operator*(Floats x, Floats y) { return {x.b, x.b->CreateFMul(x.v, y.v)}; }
  friend Floats operator/(Floats x, Floats y) { return {x.b, x.b->CreateFDiv(x.v, y.v)}; }
  Floats operator-() const { return {b, b->CreateFNeg(v)}; }
  friend Truths operator<(Floats x, Floats y) { return {x.b, x.b->CreateFCmpOLT(x.v, y.v)}; }
  friend Truths operator<=(Floats x, Floats y) { return {x.b, x.b->CreateFCmpOLE(x.v, y.v)}; }
  friend Truths operator>(Floats x, Floats y) { return {x.b, x.b->CreateFCmpOGT(x.v, y.v)}; }
  friend Truths operator>=(Floats x, Floats y) { return {x.b, x.b->CreateFCmpOGE(x.v, y.v)}; }
  friend Truths operator==(Floats x, Floats y) { return {x.b, x.b->CreateFCmpOEQ(x.v, y.v)}; }
  friend Truths operator!=(Floats x, Floats y) { return {x.b, x.b->CreateFCmpUNE(x.v, y.v)}; }
};

template <int bits>
struct Ints {
  llvm::IRBuilderBase* b = nullptr;
  Value* v = nullptr;
  Value* Amount(int n) const { return ConstantInt::get(v->getType(), static_cast<uint64_t>(n)); }
  friend Ints operator+(Ints x, Ints y) { return {x.b, x.b->CreateAdd(x.v, y.v)}; }
  friend Ints operator-(Ints x, Ints y) { return {x.b, x.b->CreateSub(x.v, y.v)}; }
  friend Ints operator&(Ints x, Ints y) { return {x.b, x.b->CreateAnd(x.v, y.v)}; }
  friend Ints operator|(Ints x, Ints y) { return {x.b, x.b->CreateOr(x.v, y.v)}; }
  friend Ints operator^(Ints x, Ints y) { return {x.b, x.b->CreateXor(x.v, y.v)}; }
  Ints operator~() const { return {b, b->CreateNot(v)}; }
  Ints operator<<(int n) const { return {b, b->CreateShl(v, Amount(n))}; }
  Ints operator>>(int n) const { return {b, b->CreateAShr(v, Amount(n))}; }
  friend Truths operator<(Ints x, Ints y) { return {x.b, x.b->CreateICmpSLT(x.v, y.v)}; }
  friend Truths operator>(Ints x, Ints y) { return {x.b, x.b->CreateICmpSGT(x.v, y.v)}; }
  friend Truths operator==(Ints x, Ints y) { return {x.b, x.b->CreateICmpEQ(x.v, y.v)}; }
};

// The machine that vector_math.h asks for.
template <int bits>
class Machine {
 public:
  static constexpr int kBits = bits;
  using F = Floats<bits>;
  using I = Ints<bits>;
  using M = Truths;
  using W = Machine<64>;

  Machine(llvm::IRBuilderBase& b, const TargetTraits& traits, unsigned lanes)
      : b_(b), traits_(traits), lanes_(lanes) {}

  F Make(Value* v) { return {&b_, v}; }
  F Float(double value) { return {&b_, ConstantFP::get(FloatType(), Rounded(value))}; }
  I Int(int64_t value) {
    return {&b_,
            ConstantInt::get(IntType(), llvm::APInt(64, static_cast<uint64_t>(value)).trunc(bits))};
  }
  I Shr(I x, int n) { return {&b_, b_.CreateLShr(x.v, x.Amount(n))}; }
  I Bits(F x) { return {&b_, b_.CreateBitCast(x.v, IntType())}; }
  F FromBits(I x) { return {&b_, b_.CreateBitCast(x.v, FloatType())}; }
  F Select(M m, F x, F y) { return {&b_, b_.CreateSelect(m.v, x.v, y.v)}; }
  I Select(M m, I x, I y) { return {&b_, b_.CreateSelect(m.v, x.v, y.v)}; }
  bool HasFma() const { return traits_.fma; }
  F Fma(F x, F y, F z) {
    if (!traits_.fma) return x * y + z;
    return {&b_, b_.CreateIntrinsic(llvm::Intrinsic::fma, {FloatType()}, {x.v, y.v, z.v})};
  }
  F Sqrt(F x) { return Unary(llvm::Intrinsic::sqrt, x); }
  F Abs(F x) { return Unary(llvm::Intrinsic::fabs, x); }
  F Floor(F x) {
    return traits_.sse41 ? Unary(llvm::Intrinsic::floor, x)
                         : kernels::vector_math::SoftFloor(*this, x);
  }
  F Ceil(F x) {
    return traits_.sse41 ? Unary(llvm::Intrinsic::ceil, x)
                         : kernels::vector_math::SoftCeil(*this, x);
  }
  F Trunc(F x) {
    return traits_.sse41 ? Unary(llvm::Intrinsic::trunc, x)
                         : kernels::vector_math::SoftTrunc(*this, x);
  }
  F RoundEven(F x) {
    return traits_.sse41 ? Unary(llvm::Intrinsic::roundeven, x)
                         : kernels::vector_math::SoftRoundEven(*this, x);
  }

  template <size_t n>
  F Lookup(const double (&table)[n], I index)
    requires(bits == 64)
  {
    llvm::Module* module = b_.GetInsertBlock()->getModule();
    Constant* data =
        llvm::ConstantDataArray::get(b_.getContext(), llvm::ArrayRef<double>(table, n));
    auto* global = new llvm::GlobalVariable(*module, data->getType(), true,
                                            llvm::GlobalValue::PrivateLinkage, data, "table");
    global->setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::Global);
    Value* pointer = b_.CreateGEP(b_.getDoubleTy(), global, index.v);
    const llvm::Align align(8);
    if (lanes_ == 1) return {&b_, b_.CreateAlignedLoad(FloatType(), pointer, align)};
    return {&b_, b_.CreateMaskedGather(FloatType(), pointer, align)};
  }

  template <typename Slow>
  F Rarely(M m, F usual, const Slow& slow) {
    llvm::BasicBlock* before = b_.GetInsertBlock();
    llvm::BasicBlock* rare = Block("rare");
    llvm::BasicBlock* after = Block("after");
    b_.CreateCondBr(Any(m), rare, after, UnlikelyWeights());
    b_.SetInsertPoint(rare);
    const F chosen = Select(m, slow(), usual);
    llvm::BasicBlock* end = b_.GetInsertBlock();
    b_.CreateBr(after);
    b_.SetInsertPoint(after);
    llvm::PHINode* phi = b_.CreatePHI(FloatType(), 2);
    phi->addIncoming(usual.v, before);
    phi->addIncoming(chosen.v, end);
    return {&b_, phi};
  }

  template <typename Condition, typename Step>
  F Repeat(F state, const Condition& condition, const Step& step) {
    llvm::BasicBlock* before = b_.GetInsertBlock();
    llvm::BasicBlock* test = Block("repeat");
    llvm::BasicBlock* loop = Block("step");
    llvm::BasicBlock* done = Block("repeated");
    b_.CreateBr(test);
    b_.SetInsertPoint(test);
    llvm::PHINode* phi = b_.CreatePHI(FloatType(), 2);
    phi->addIncoming(state.v, before);
    const F now = {&b_, phi};
    const M more = condition(now);
    b_.CreateCondBr(Any(more), loop, done);
    b_.SetInsertPoint(loop);
    const F next = Select(more, step(now), now);
    phi->addIncoming(next.v, b_.GetInsertBlock());
    b_.CreateBr(test);
    b_.SetInsertPoint(done);
    return now;
  }

  W Wide()
    requires(bits == 32)
  {
    return W(b_, traits_, lanes_);
  }
  Floats<64> Widen(F x)
    requires(bits == 32)
  {
    return {&b_, b_.CreateFPExt(x.v, Vector(b_.getDoubleTy()))};
  }
  F Narrow(Floats<64> x)
    requires(bits == 32)
  {
    return {&b_, b_.CreateFPTrunc(x.v, FloatType())};
  }

 private:
  static double Rounded(double value) {
    return bits == 32 ? static_cast<double>(static_cast<float>(value)) : value;
  }
  Type* Vector(Type* element) const {
    return lanes_ == 1 ? element : llvm::FixedVectorType::get(element, lanes_);
  }
  Type* FloatType() const { return Vector(bits == 32 ? b_.getFloatTy() : b_.getDoubleTy()); }
  Type* IntType() const { return Vector(b_.getIntNTy(bits)); }
  F Unary(llvm::Intrinsic::ID id, F x) { return {&b_, b_.CreateUnaryIntrinsic(id, x.v)}; }
  llvm::BasicBlock* Block(const char* name) {
    return llvm::BasicBlock::Create(b_.getContext(), name, b_.GetInsertBlock()->getParent());
  }
  Value* Any(M m) { return lanes_ == 1 ? m.v : b_.CreateOrReduce(m.v); }
  llvm::MDNode* UnlikelyWeights() {
    return llvm::MDBuilder(b_.getContext()).createBranchWeights(1, 1000);
  }

  llvm::IRBuilderBase& b_;
  const TargetTraits& traits_;
  const unsigned lanes_;
};

template <int bits>
Value* Emit(Machine<bits> machine, ScalarOp op, Value* x, Value* y, uint64_t imm) {
  const auto fx = machine.Make(x);
  switch (op) {
    case ScalarOp::kFloor:
      return machine.Floor(fx).v;
    case ScalarOp::kCeil:
      return machine.Ceil(fx).v;
    case ScalarOp::kRoundEven:
      return machine.RoundEven(fx).v;
    default:
      return kernels::vector_math::Apply(machine, op, fx, machine.Make(y), imm).v;
  }
}

}  // namespace

bool HasVectorMath(ScalarOp op) {
  return op == ScalarOp::kFloor || op == ScalarOp::kCeil || op == ScalarOp::kRoundEven ||
         kernels::vector_math::IsVectorMath(op);
}

Value* EmitVectorMath(llvm::IRBuilderBase& builder, const TargetTraits& traits, ScalarOp op,
                      Value* x, Value* y, uint64_t imm) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(x->getType());
  const unsigned lanes = vector != nullptr ? vector->getNumElements() : 1;
  if (x->getType()->getScalarType()->isFloatTy()) {
    return Emit(Machine<32>(builder, traits, lanes), op, x, y, imm);
  }
  return Emit(Machine<64>(builder, traits, lanes), op, x, y, imm);
}

}  // namespace megalith::codegen

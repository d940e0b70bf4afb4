#include "common/machines/codegen/cpu/ir_ops.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/IntrinsicInst.h>

#include <bit>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/cpu/ir_math.h"

namespace megalith::codegen {
namespace {

using llvm::CmpInst;
using llvm::Type;
using llvm::Value;
using llvm::Intrinsic::ID;
using runtime::DType;
using runtime::ReduceKind;
using runtime::ScalarOp;

unsigned LanesOf(const Value* v) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(v->getType());
  return vector != nullptr ? vector->getNumElements() : 1;
}

Type* Vector(Type* element, unsigned lanes) {
  return lanes == 1 ? element : llvm::FixedVectorType::get(element, lanes);
}

// The type of integers as wide as the elements of `v`.
Type* BitsType(llvm::IRBuilderBase& b, const Value* v) {
  return Vector(b.getIntNTy(v->getType()->getScalarSizeInBits()), LanesOf(v));
}

bool IsSignedType(DType type) { return tensor::IsSigned(type); }
bool IsFloatType(DType type) { return type == DType::kF32 || type == DType::kF64; }

// Operations of one type of register, made by the builder they are given.
class Emitter {
 public:
  Emitter(llvm::IRBuilderBase& b, DType type) : b_(b), type_(type) {}

  Value* Int(Value* like, int64_t value) const {
    return llvm::ConstantInt::getSigned(like->getType(), value);
  }

  // Division and remainder as scalar_ops.h has them. A divisor that would trap is replaced first.
  Value* Divide(Value* x, Value* y, bool remainder) const {
    const bool is_signed = IsSignedType(type_);
    Value* zero = b_.CreateICmpEQ(y, Int(y, 0));
    Value* trap = zero;
    Value* minus_one = nullptr;
    if (is_signed) {
      minus_one = b_.CreateICmpEQ(y, Int(y, -1));
      trap = b_.CreateOr(zero, minus_one);
    }
    Value* divisor = b_.CreateSelect(trap, Int(y, 1), y);
    Value* quotient = Quotient(x, divisor, is_signed);
    if (remainder) {
      Value* rest = b_.CreateSub(x, b_.CreateMul(quotient, divisor));
      // With a divisor of 1 the rest is 0, right for -1; by zero it is the dividend.
      return b_.CreateSelect(zero, x, rest);
    }
    Value* out = b_.CreateSelect(zero, Int(x, -1), quotient);
    return is_signed ? b_.CreateSelect(minus_one, b_.CreateNeg(x), out) : out;
  }

  Value* Shift(ScalarOp op, Value* x, Value* y) const {
    const auto bits = static_cast<int64_t>(x->getType()->getScalarSizeInBits());
    Value* in_range = b_.CreateICmpULT(y, Int(y, bits));
    if (const auto* known = llvm::dyn_cast<llvm::Constant>(in_range);
        known != nullptr && known->isAllOnesValue()) {
      return op == ScalarOp::kShiftLeft              ? b_.CreateShl(x, y)
             : op == ScalarOp::kShiftRightArithmetic ? b_.CreateAShr(x, y)
                                                     : b_.CreateLShr(x, y);
    }
    if (op == ScalarOp::kShiftRightArithmetic) {
      return b_.CreateAShr(x, b_.CreateSelect(in_range, y, Int(y, bits - 1)));
    }
    Value* amount = b_.CreateSelect(in_range, y, Int(y, 0));
    Value* out = op == ScalarOp::kShiftLeft ? b_.CreateShl(x, amount) : b_.CreateLShr(x, amount);
    return b_.CreateSelect(in_range, out, Int(x, 0));
  }

  Value* Sign(Value* x) const {
    Value* positive = b_.CreateZExt(b_.CreateICmpNE(x, Int(x, 0)), x->getType());
    if (!IsSignedType(type_)) return positive;
    const auto bits = static_cast<int64_t>(x->getType()->getScalarSizeInBits());
    return b_.CreateOr(positive, b_.CreateAShr(x, Int(x, bits - 1)));
  }

  // By repeated squaring; the loop ends when every lane's exponent is used up.
  Value* IntegerPower(Value* x, Value* y) const {
    llvm::BasicBlock* before = b_.GetInsertBlock();
    llvm::Function* function = before->getParent();
    auto* loop = llvm::BasicBlock::Create(b_.getContext(), "power", function);
    auto* done = llvm::BasicBlock::Create(b_.getContext(), "power.done", function);
    b_.CreateBr(loop);
    b_.SetInsertPoint(loop);
    llvm::PHINode* base = b_.CreatePHI(x->getType(), 2);
    llvm::PHINode* exponent = b_.CreatePHI(x->getType(), 2);
    llvm::PHINode* product = b_.CreatePHI(x->getType(), 2);
    Value* odd = b_.CreateICmpNE(b_.CreateAnd(exponent, Int(x, 1)), Int(x, 0));
    Value* next_product = b_.CreateSelect(odd, b_.CreateMul(product, base), product);
    Value* next_base = b_.CreateMul(base, base);
    Value* next_exponent = b_.CreateLShr(exponent, Int(x, 1));
    Value* more = b_.CreateICmpNE(next_exponent, Int(x, 0));
    if (LanesOf(x) > 1) more = b_.CreateOrReduce(more);
    b_.CreateCondBr(more, loop, done);
    base->addIncoming(x, before);
    base->addIncoming(next_base, loop);
    exponent->addIncoming(y, before);
    exponent->addIncoming(next_exponent, loop);
    product->addIncoming(Int(x, 1), before);
    product->addIncoming(next_product, loop);
    b_.SetInsertPoint(done);
    if (!IsSignedType(type_)) return next_product;
    // A negative exponent leaves only powers of 1 and -1; those the loop has right.
    Value* unit = b_.CreateOr(b_.CreateICmpEQ(x, Int(x, 1)), b_.CreateICmpEQ(x, Int(x, -1)));
    Value* vanishes = b_.CreateAnd(b_.CreateICmpSLT(y, Int(y, 0)), b_.CreateNot(unit));
    return b_.CreateSelect(vanishes, Int(x, 0), next_product);
  }

  Value* Compare(ScalarOp op, Value* x, Value* y) const {
    const bool f = IsFloatType(type_), s = IsSignedType(type_);
    switch (op) {
      case ScalarOp::kEqual:
        return f ? b_.CreateFCmpOEQ(x, y) : b_.CreateICmpEQ(x, y);
      case ScalarOp::kNotEqual:
        return f ? b_.CreateFCmpUNE(x, y) : b_.CreateICmpNE(x, y);
      case ScalarOp::kLess:
        return f ? b_.CreateFCmpOLT(x, y)
                 : b_.CreateICmp(s ? CmpInst::ICMP_SLT : CmpInst::ICMP_ULT, x, y);
      case ScalarOp::kLessEqual:
        return f ? b_.CreateFCmpOLE(x, y)
                 : b_.CreateICmp(s ? CmpInst::ICMP_SLE : CmpInst::ICMP_ULE, x, y);
      case ScalarOp::kGreater:
        return f ? b_.CreateFCmpOGT(x, y)
                 : b_.CreateICmp(s ? CmpInst::ICMP_SGT : CmpInst::ICMP_UGT, x, y);
      default:
        return f ? b_.CreateFCmpOGE(x, y)
                 : b_.CreateICmp(s ? CmpInst::ICMP_SGE : CmpInst::ICMP_UGE, x, y);
    }
  }

 private:
  // The divisor is neither zero nor -1. Vectors of up to 32 bits divide as doubles: a quotient of
  // 32-bit integers is at least 2^-32 (relatively) away from the next integer or is one, so
  // rounding to 53 bits does not change what truncation gives.
  Value* Quotient(Value* x, Value* y, bool is_signed) const {
    const unsigned bits = x->getType()->getScalarSizeInBits();
    const unsigned lanes = LanesOf(x);
    if (lanes == 1 || bits > 32 || llvm::isa<llvm::Constant>(y)) {
      return is_signed ? b_.CreateSDiv(x, y) : b_.CreateUDiv(x, y);
    }
    Type* wide = Vector(bits <= 16 ? b_.getFloatTy() : b_.getDoubleTy(), lanes);
    Value* xf = is_signed ? b_.CreateSIToFP(x, wide) : b_.CreateUIToFP(x, wide);
    Value* yf = is_signed ? b_.CreateSIToFP(y, wide) : b_.CreateUIToFP(y, wide);
    Value* q = b_.CreateFDiv(xf, yf);
    return is_signed ? b_.CreateFPToSI(q, x->getType()) : b_.CreateFPToUI(q, x->getType());
  }

  llvm::IRBuilderBase& b_;
  const DType type_;
};

// f16 by integer arithmetic, for processors without the instructions.
Value* SoftFromF16(llvm::IRBuilderBase& b, Value* half_bits) {
  const unsigned lanes = LanesOf(half_bits);
  Type* i32 = Vector(b.getInt32Ty(), lanes);
  Type* f32 = Vector(b.getFloatTy(), lanes);
  const auto constant = [&](uint32_t v) { return llvm::ConstantInt::get(i32, v); };
  Value* h = b.CreateZExt(half_bits, i32);
  Value* sign = b.CreateShl(b.CreateAnd(h, constant(0x8000)), constant(16));
  Value* magnitude = b.CreateAnd(h, constant(0x7FFF));
  // Exponents are moved by multiplication, which makes denormals right too.
  Value* shifted = b.CreateBitCast(b.CreateShl(magnitude, constant(13)), f32);
  Value* scaled = b.CreateFMul(shifted, llvm::ConstantFP::get(f32, 0x1p112));
  Value* special = b.CreateICmpUGE(magnitude, constant(0x7C00));
  Value* bits = b.CreateBitCast(scaled, i32);
  bits = b.CreateSelect(special, b.CreateOr(b.CreateBitCast(shifted, i32), constant(0x7F800000)),
                        bits);
  return b.CreateBitCast(b.CreateOr(bits, sign), f32);
}

Value* SoftToF16(llvm::IRBuilderBase& b, Value* x) {
  const unsigned lanes = LanesOf(x);
  Type* i32 = Vector(b.getInt32Ty(), lanes);
  const auto constant = [&](uint32_t v) { return llvm::ConstantInt::get(i32, v); };
  Value* bits = b.CreateBitCast(x, i32);
  Value* sign = b.CreateAnd(b.CreateLShr(bits, constant(16)), constant(0x8000));
  Value* magnitude = b.CreateAnd(bits, constant(0x7FFFFFFF));
  // Normal results: rebias, round to nearest even on the 13 bits that go.
  Value* odd = b.CreateAnd(b.CreateLShr(magnitude, constant(13)), constant(1));
  Value* normal = b.CreateAdd(b.CreateAdd(magnitude, constant(0xC8000FFF)), odd);
  normal = b.CreateLShr(normal, constant(13));
  // Denormal results: adding 0.5 aligns and rounds the mantissa.
  Value* half = llvm::ConstantFP::get(x->getType(), 0.5);
  Value* denormal = b.CreateFAdd(b.CreateBitCast(magnitude, x->getType()), half);
  denormal = b.CreateSub(b.CreateBitCast(denormal, i32), constant(0x3F000000));
  Value* small = b.CreateICmpULT(magnitude, constant(0x38800000));
  Value* out = b.CreateSelect(small, denormal, normal);
  out = b.CreateSelect(b.CreateICmpUGE(magnitude, constant(0x477FF000)), constant(0x7C00), out);
  Value* payload = b.CreateAnd(b.CreateLShr(magnitude, constant(13)), constant(0x3FF));
  Value* nan = b.CreateOr(payload, constant(0x7E00));
  out = b.CreateSelect(b.CreateICmpUGT(magnitude, constant(0x7F800000)), nan, out);
  return b.CreateTrunc(b.CreateOr(out, sign), Vector(b.getInt16Ty(), lanes));
}

Value* FromBF16(llvm::IRBuilderBase& b, Value* bits) {
  const unsigned lanes = LanesOf(bits);
  Type* i32 = Vector(b.getInt32Ty(), lanes);
  Value* wide = b.CreateShl(b.CreateZExt(bits, i32), llvm::ConstantInt::get(i32, 16));
  return b.CreateBitCast(wide, Vector(b.getFloatTy(), lanes));
}

Value* ToBF16(llvm::IRBuilderBase& b, Value* x) {
  const unsigned lanes = LanesOf(x);
  Type* i32 = Vector(b.getInt32Ty(), lanes);
  const auto constant = [&](uint32_t v) { return llvm::ConstantInt::get(i32, v); };
  Value* bits = b.CreateBitCast(x, i32);
  Value* high = b.CreateLShr(bits, constant(16));
  Value* odd = b.CreateAnd(high, constant(1));
  Value* rounded =
      b.CreateLShr(b.CreateAdd(bits, b.CreateAdd(odd, constant(0x7FFF))), constant(16));
  Value* nan = b.CreateFCmpUNO(x, x);
  Value* out = b.CreateSelect(nan, b.CreateOr(high, constant(0x40)), rounded);
  return b.CreateTrunc(out, Vector(b.getInt16Ty(), lanes));
}

Value* FromF16(llvm::IRBuilderBase& b, const TargetTraits& traits, Value* bits) {
  if (!traits.f16c) return SoftFromF16(b, bits);
  const unsigned lanes = LanesOf(bits);
  Value* half = b.CreateBitCast(bits, Vector(b.getHalfTy(), lanes));
  return b.CreateFPExt(half, Vector(b.getFloatTy(), lanes));
}

Value* ToF16(llvm::IRBuilderBase& b, const TargetTraits& traits, Value* x) {
  if (!traits.f16c) return SoftToF16(b, x);
  const unsigned lanes = LanesOf(x);
  Value* half = b.CreateFPTrunc(x, Vector(b.getHalfTy(), lanes));
  return b.CreateBitCast(half, Vector(b.getInt16Ty(), lanes));
}

}  // namespace

int RegisterBits(DType type) { return type == DType::kBool ? 8 : tensor::BitWidth(type); }

Type* IrOps::RegisterType(DType type, unsigned lanes) const {
  if (type == DType::kBool) return Vector(b_.getInt1Ty(), lanes);
  if (type == DType::kF32) return Vector(b_.getFloatTy(), lanes);
  if (type == DType::kF64) return Vector(b_.getDoubleTy(), lanes);
  return Vector(b_.getIntNTy(tensor::BitWidth(type)), lanes);
}

Type* IrOps::StorageType(DType type, unsigned lanes) const {
  if (type == DType::kBool) return Vector(b_.getInt8Ty(), lanes);
  if (type == DType::kBF16 || type == DType::kF16) return Vector(b_.getInt16Ty(), lanes);
  return RegisterType(type, lanes);
}

Value* IrOps::Constant(DType type, uint64_t bits, unsigned lanes) const {
  Type* element = RegisterType(type, 1);
  if (!IsFloatType(type)) {
    const unsigned width = element->getIntegerBitWidth();
    const llvm::APInt value(64, bits);
    return llvm::ConstantInt::get(Vector(element, lanes), value.zextOrTrunc(width));
  }
  const bool single = type == DType::kF32;
  const llvm::APFloat value(single ? llvm::APFloat::IEEEsingle() : llvm::APFloat::IEEEdouble(),
                            llvm::APInt(64, bits).zextOrTrunc(single ? 32 : 64));
  return llvm::ConstantFP::get(Vector(element, lanes), value);
}

std::pair<Value*, Value*> HalvesOf(llvm::IRBuilderBase& builder, Value* vector, unsigned lanes) {
  if (lanes == 2) {
    return {builder.CreateExtractElement(vector, uint64_t{0}),
            builder.CreateExtractElement(vector, uint64_t{1})};
  }
  std::vector<int> low, high;
  for (unsigned i = 0; i < lanes / 2; ++i) {
    low.push_back(static_cast<int>(i));
    high.push_back(static_cast<int>(i + lanes / 2));
  }
  return {builder.CreateShuffleVector(vector, low), builder.CreateShuffleVector(vector, high)};
}

Value* IrOps::Splat(Value* scalar, unsigned lanes) const {
  return lanes == 1 ? scalar : b_.CreateVectorSplat(lanes, scalar);
}

Value* IrOps::FromStorage(DType storage, Value* value) const {
  switch (storage) {
    case DType::kBool:
      return b_.CreateICmpNE(value, llvm::Constant::getNullValue(value->getType()));
    case DType::kBF16:
      return FromBF16(b_, value);
    case DType::kF16:
      return FromF16(b_, traits_, value);
    default:
      return value;
  }
}

Value* IrOps::ToStorage(DType storage, Value* value) const {
  switch (storage) {
    case DType::kBool:
      return b_.CreateZExt(value, StorageType(storage, LanesOf(value)));
    case DType::kBF16:
      return ToBF16(b_, value);
    case DType::kF16:
      return ToF16(b_, traits_, value);
    default:
      return value;
  }
}

Value* IrOps::FromPosition(DType type, Value* position) const {
  Type* to = RegisterType(type, LanesOf(position));
  if (IsFloatType(type)) return b_.CreateSIToFP(position, to);
  return b_.CreateTrunc(position, to);
}

namespace {

// Float to integer saturates and NaN gives zero; anything but zero is true.
Value* Convert(llvm::IRBuilderBase& b, Value* x, DType from, DType to, Type* type) {
  if (from == to) return x;
  if (to == DType::kBool) {
    Value* zero = llvm::Constant::getNullValue(x->getType());
    return IsFloatType(from) ? b.CreateFCmpUNE(x, zero) : b.CreateICmpNE(x, zero);
  }
  const bool is_signed = IsSignedType(from);
  if (IsFloatType(to)) {
    if (IsFloatType(from)) return b.CreateFPCast(x, type);
    return is_signed ? b.CreateSIToFP(x, type) : b.CreateUIToFP(x, type);
  }
  if (!IsFloatType(from)) {
    return is_signed ? b.CreateSExtOrTrunc(x, type) : b.CreateZExtOrTrunc(x, type);
  }
  const auto id = IsSignedType(to) ? llvm::Intrinsic::fptosi_sat : llvm::Intrinsic::fptoui_sat;
  return b.CreateIntrinsic(id, {type, x->getType()}, {x});
}

Value* IsFinite(llvm::IRBuilderBase& b, Value* x) {
  const bool single = x->getType()->getScalarSizeInBits() == 32;
  Value* bits = b.CreateBitCast(x, BitsType(b, x));
  Value* infinity = llvm::ConstantInt::get(
      bits->getType(), single ? uint64_t{0x7F800000} : uint64_t{0x7FF0000000000000});
  return b.CreateICmpNE(b.CreateAnd(bits, infinity), infinity);
}

}  // namespace

Result<Value*> IrOps::Apply(const runtime::LoopInstr& instr, DType operand,
                            std::span<Value* const> in) const {
  const Emitter e(b_, operand);
  const bool is_float = IsFloatType(operand);
  Value* x = in.empty() ? nullptr : in[0];
  Value* y = in.size() > 1 ? in[1] : nullptr;
  if (is_float && HasVectorMath(instr.op)) {
    return EmitVectorMath(b_, traits_, instr.op, x, y, instr.imm);
  }
  switch (instr.op) {
    case ScalarOp::kNegate:
      return is_float ? b_.CreateFNeg(x) : b_.CreateNeg(x);
    case ScalarOp::kAbs:
      if (is_float) return b_.CreateUnaryIntrinsic(llvm::Intrinsic::fabs, x);
      if (!IsSignedType(operand)) return x;
      return b_.CreateBinaryIntrinsic(llvm::Intrinsic::abs, x, b_.getFalse());
    case ScalarOp::kSign:
      return e.Sign(x);
    case ScalarOp::kSqrt:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::sqrt, x);
    case ScalarOp::kNot:
      return b_.CreateNot(x);
    case ScalarOp::kPopcount:
      return b_.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, x);
    case ScalarOp::kCountLeadingZeros:
      return b_.CreateBinaryIntrinsic(llvm::Intrinsic::ctlz, x, b_.getFalse());
    case ScalarOp::kRoundTo: {
      const auto narrow = static_cast<DType>(instr.imm);
      return FromStorage(narrow, ToStorage(narrow, x));
    }
    case ScalarOp::kIsFinite:
      return IsFinite(b_, x);
    case ScalarOp::kConvert:
      return Convert(b_, x, operand, instr.type, RegisterType(instr.type, LanesOf(x)));
    case ScalarOp::kBitcast:
      return b_.CreateBitCast(x, RegisterType(instr.type, LanesOf(x)));
    case ScalarOp::kAdd:
      if (operand == DType::kBool) return b_.CreateOr(x, y);
      return is_float ? b_.CreateFAdd(x, y) : b_.CreateAdd(x, y);
    case ScalarOp::kSubtract:
      return is_float ? b_.CreateFSub(x, y) : b_.CreateSub(x, y);
    case ScalarOp::kMultiply:
      if (operand == DType::kBool) return b_.CreateAnd(x, y);
      return is_float ? b_.CreateFMul(x, y) : b_.CreateMul(x, y);
    case ScalarOp::kDivide:
      return is_float ? b_.CreateFDiv(x, y) : e.Divide(x, y, false);
    case ScalarOp::kRemainder:
      return e.Divide(x, y, true);
    case ScalarOp::kMaximum:
    case ScalarOp::kMinimum: {
      const bool maximum = instr.op == ScalarOp::kMaximum;
      if (operand == DType::kBool) return maximum ? b_.CreateOr(x, y) : b_.CreateAnd(x, y);
      if (IsSignedType(operand)) {
        return b_.CreateBinaryIntrinsic(maximum ? llvm::Intrinsic::smax : llvm::Intrinsic::smin, x,
                                        y);
      }
      return b_.CreateBinaryIntrinsic(maximum ? llvm::Intrinsic::umax : llvm::Intrinsic::umin, x,
                                      y);
    }
    case ScalarOp::kAnd:
      return b_.CreateAnd(x, y);
    case ScalarOp::kOr:
      return b_.CreateOr(x, y);
    case ScalarOp::kXor:
      return b_.CreateXor(x, y);
    case ScalarOp::kShiftLeft:
    case ScalarOp::kShiftRightArithmetic:
    case ScalarOp::kShiftRightLogical:
      return e.Shift(instr.op, x, y);
    case ScalarOp::kRotateLeft:
      return b_.CreateIntrinsic(llvm::Intrinsic::fshl, {x->getType()}, {x, x, y});
    case ScalarOp::kEqual:
    case ScalarOp::kNotEqual:
    case ScalarOp::kLess:
    case ScalarOp::kLessEqual:
    case ScalarOp::kGreater:
    case ScalarOp::kGreaterEqual:
      return e.Compare(instr.op, x, y);
    case ScalarOp::kSelect:
      return b_.CreateSelect(x, in[1], in[2]);
    case ScalarOp::kPower:
      return e.IntegerPower(x, y);
    default:
      break;
  }
  return Unimplemented(StrCat("no machine code for scalar operation ", static_cast<int>(instr.op)));
}

Result<Value*> IrOps::Combine(ReduceKind kind, DType type, Value* a, Value* b) const {
  static constexpr ScalarOp kOps[] = {ScalarOp::kAdd,     ScalarOp::kMultiply, ScalarOp::kMaximum,
                                      ScalarOp::kMinimum, ScalarOp::kAnd,      ScalarOp::kOr,
                                      ScalarOp::kXor};
  const runtime::LoopInstr instr = {.op = kOps[static_cast<int>(kind)], .type = type};
  Value* const in[] = {a, b};
  return Apply(instr, type, in);
}

uint64_t IrOps::Identity(ReduceKind kind, DType type) {
  const int bits = type == DType::kBool ? 1 : tensor::BitWidth(type);
  const uint64_t ones = bits == 64 ? ~uint64_t{0} : (uint64_t{1} << bits) - 1;
  const uint64_t top = uint64_t{1} << (bits - 1);
  const bool single = type == DType::kF32;
  switch (kind) {
    case ReduceKind::kSum:  // -0 + x is x for every x
      return IsFloatType(type) ? top : 0;
    case ReduceKind::kProduct:
      if (!IsFloatType(type)) return 1;
      return single ? std::bit_cast<uint32_t>(1.0f) : std::bit_cast<uint64_t>(1.0);
    case ReduceKind::kMaximum:
      if (IsFloatType(type)) return single ? 0xFF800000 : 0xFFF0000000000000;
      return IsSignedType(type) ? top : 0;
    case ReduceKind::kMinimum:
      if (IsFloatType(type)) return single ? 0x7F800000 : 0x7FF0000000000000;
      return IsSignedType(type) ? ones ^ top : ones;
    case ReduceKind::kAnd:
      return ones;
    case ReduceKind::kOr:
    case ReduceKind::kXor:
      return 0;
  }
  return 0;
}

}  // namespace megalith::codegen

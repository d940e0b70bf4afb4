#include "common/machines/codegen/cpu/ir_access.h"

#include <llvm/IR/IRBuilder.h>
#include <llvm/IR/Module.h>

#include <algorithm>
#include <cstdlib>

namespace megalith::codegen {

using llvm::Type;
using llvm::Value;
using runtime::DType;
using runtime::LoopAccess;
using runtime::LoopBuffer;
using runtime::LoopIndexTerm;

namespace {

llvm::Align AlignOf(DType storage) {
  return llvm::Align(static_cast<uint64_t>(tensor::ByteWidth(storage)));
}

}  // namespace

// Where one vector of an access lies.
struct AccessEmitter::Lanes {
  Value* pointer = nullptr;  // of lane 0, or what `index` counts from
  Value* index = nullptr;    // elements, one per lane; null: lanes are neighbours
};

void AccessEmitter::SetMemory(std::vector<Value*> buffers, Value* scratch) {
  buffers_ = std::move(buffers);
  scratch_ = scratch;
}

// Locals of kernels whose points are lanes keep one element per lane.
int64_t AccessEmitter::Copies(LoopBuffer buffer) const {
  if (buffer < kernel_.buffers || !kernel_.vector_outer) return 1;
  return static_cast<int64_t>(nest_.width) * nest_.unroll;
}

Value* AccessEmitter::Base(LoopBuffer buffer, DType dtype, int64_t offset) const {
  Value* base = nullptr;
  if (buffer < kernel_.buffers) {
    base = buffers_[buffer];
  } else {
    base = b_.CreateConstGEP1_64(b_.getInt8Ty(), scratch_,
                                 nest_.local_offsets[buffer - kernel_.buffers]);
  }
  if (offset == 0) return base;
  return b_.CreateGEP(ops_.StorageType(dtype, 1), base, b_.getInt64(offset * Copies(buffer)));
}

Value* AccessEmitter::Advance(Value* pointer, LoopBuffer buffer, DType dtype, int64_t stride,
                              Value* position) const {
  if (stride == 0) return pointer;
  const int64_t step = stride * Copies(buffer);
  Value* distance = step == 1 ? position : b_.CreateMul(position, b_.getInt64(step));
  return b_.CreateGEP(ops_.StorageType(dtype, 1), pointer, distance);
}

AccessState AccessEmitter::Begin(const LoopAccess& access) const {
  AccessState state;
  state.pointer = Base(access.buffer, access.dtype, access.offset);
  for (const LoopIndexTerm& term : access.terms) {
    state.terms.push_back(Base(term.buffer, term.dtype, term.offset));
  }
  return state;
}

void AccessEmitter::Open(const LoopAccess& access, uint32_t dim, Value* position,
                         AccessState* state) const {
  state->pointer =
      Advance(state->pointer, access.buffer, access.dtype, access.strides[dim], position);
  for (size_t t = 0; t < access.terms.size(); ++t) {
    const LoopIndexTerm& term = access.terms[t];
    if (state->terms[t] == nullptr) continue;
    state->terms[t] =
        Advance(state->terms[t], term.buffer, term.dtype, term.strides[dim], position);
  }
  for (const runtime::LoopGuard& guard : access.guards) {
    if (guard.dim != dim) continue;
    Value* distance = b_.CreateSub(position, b_.getInt64(guard.begin));
    Value* inside =
        b_.CreateICmpULT(distance, b_.getInt64(std::max<int64_t>(guard.end - guard.begin, 0)));
    state->inside = state->inside == nullptr ? inside : b_.CreateAnd(state->inside, inside);
  }
}

// A vector's worth of the same element, readable where a guard forbids the access itself.
Value* AccessEmitter::Constants(DType dtype, uint64_t fill) const {
  const bool narrow = dtype == DType::kBF16 || dtype == DType::kF16;
  const DType in_register = narrow ? DType::kF32 : dtype;
  Value* value = ops_.ToStorage(dtype, ops_.Constant(in_register, fill, nest_.width));
  auto* constant = llvm::cast<llvm::Constant>(value);
  for (llvm::GlobalVariable& known : module_->globals()) {
    if (known.getInitializer() == constant) return &known;
  }
  auto* global = new llvm::GlobalVariable(*module_, constant->getType(), true,
                                          llvm::GlobalValue::PrivateLinkage, constant, "fill");
  global->setAlignment(llvm::Align(64));
  return global;
}

int64_t AccessEmitter::LaneStride(LoopBuffer buffer, const std::vector<int64_t>& strides,
                                  uint32_t vector_dim) const {
  const int64_t copies = Copies(buffer);
  const bool lane_copies = buffer >= kernel_.buffers && kernel_.vector_outer;
  return strides[vector_dim] * copies + (lane_copies ? 1 : 0);
}

bool AccessEmitter::TermVaries(const LoopIndexTerm& term, uint32_t vector_dim) const {
  return LaneStride(term.buffer, term.strides, vector_dim) != 0;
}

// clamp(element, 0, max) * stride as integers of `type`.
Value* AccessEmitter::TermValue(const LoopIndexTerm& term, Value* element, Type* type) const {
  Type* from = element->getType();
  const unsigned bits = from->getScalarSizeInBits();
  const bool is_signed = tensor::IsSigned(term.dtype);
  const auto cut = [&](int64_t most) {
    const int64_t largest = is_signed    ? (int64_t{1} << (bits - 1)) - 1
                            : bits == 64 ? INT64_MAX
                                         : (int64_t{1} << bits) - 1;
    return llvm::ConstantInt::get(from, static_cast<uint64_t>(std::min(most, largest)));
  };
  if (is_signed) {
    element = b_.CreateBinaryIntrinsic(llvm::Intrinsic::smax, element,
                                       llvm::Constant::getNullValue(from));
  }
  element = b_.CreateBinaryIntrinsic(is_signed ? llvm::Intrinsic::smin : llvm::Intrinsic::umin,
                                     element, cut(term.max));
  Value* wide = b_.CreateZExtOrTrunc(element, type);
  return b_.CreateMul(wide, llvm::ConstantInt::getSigned(type, term.stride * 1));
}

void AccessEmitter::Settle(const runtime::LoopStage& stage, const StageNest& nest,
                           const LoopAccess& access, int level, AccessState* state) const {
  const uint32_t vector_dim = VectorDim(kernel_, stage);
  for (size_t t = 0; t < access.terms.size(); ++t) {
    const LoopIndexTerm& term = access.terms[t];
    if (state->terms[t] == nullptr || TermVaries(term, vector_dim)) continue;
    if (TermLevel(kernel_, stage, nest, term) != level) continue;
    Value* pointer = state->terms[t];
    if (state->inside != nullptr) {
      pointer = b_.CreateSelect(state->inside, pointer, Constants(term.dtype, 0));
    }
    Value* element =
        b_.CreateAlignedLoad(ops_.StorageType(term.dtype, 1), pointer, AlignOf(term.dtype));
    Value* distance = TermValue(term, element, b_.getInt64Ty());
    state->pointer = Advance(state->pointer, access.buffer, access.dtype, 1, distance);
    state->terms[t] = nullptr;
  }
}

AccessEmitter::Lanes AccessEmitter::Locate(const LoopAccess& access, const AccessState& state,
                                           uint32_t vector_dim, const Body& body,
                                           unsigned part) const {
  const int64_t lane_stride = LaneStride(access.buffer, access.strides, vector_dim);
  const int64_t first = lane_stride * static_cast<int64_t>(part * body.width);
  Lanes out;
  out.pointer = state.pointer;
  if (first != 0) {
    out.pointer = b_.CreateGEP(ops_.StorageType(access.dtype, 1), out.pointer, b_.getInt64(first));
  }
  if (state.inside != nullptr) {
    out.pointer = b_.CreateSelect(state.inside, out.pointer, Constants(access.dtype, access.fill));
  }
  double reach = std::abs(static_cast<double>(lane_stride)) * body.width;
  bool varies = false;
  for (size_t t = 0; t < access.terms.size(); ++t) {
    if (state.terms[t] == nullptr) continue;
    reach += std::abs(static_cast<double>(access.terms[t].stride)) *
             static_cast<double>(access.terms[t].max);
    varies = true;
  }
  const int64_t copies = Copies(access.buffer);
  if (!varies && (lane_stride == 1 || body.width == 1)) return out;
  Type* element = reach * static_cast<double>(copies) < 2e9 ? b_.getInt32Ty() : b_.getInt64Ty();
  Type* type = body.width == 1
                   ? b_.getInt64Ty()
                   : static_cast<Type*>(llvm::FixedVectorType::get(element, body.width));
  Value* index = llvm::Constant::getNullValue(type);
  if (body.width > 1 && lane_stride != 0) {
    index =
        b_.CreateMul(b_.CreateStepVector(type), llvm::ConstantInt::getSigned(type, lane_stride));
  }
  for (size_t t = 0; t < access.terms.size(); ++t) {
    if (state.terms[t] == nullptr) continue;
    const LoopIndexTerm& term = access.terms[t];
    // The element of the term is itself an access without terms.
    const LoopAccess of_term = {
        .buffer = term.buffer, .dtype = term.dtype, .strides = term.strides};
    const AccessState at = {.pointer = state.terms[t], .inside = state.inside};
    const Lanes where = Locate(of_term, at, vector_dim, body, part);
    Value* value = TermValue(term, LoadLanes(term.dtype, where, body), type);
    value = b_.CreateMul(value, llvm::ConstantInt::getSigned(type, copies));
    index = b_.CreateAdd(index, value);
  }
  if (state.inside != nullptr) {
    Value* keep = b_.CreateSExt(state.inside, type->getScalarType());
    index = b_.CreateAnd(index, ops_.Splat(keep, body.width));
  }
  out.index = index;
  return out;
}

// Of parts of complex numbers: all elements from the first lane's to the last one's, not one
// beyond, of which every other is kept. Much faster than a gather; null where that does not do.
Value* AccessEmitter::LoadEveryOther(const LoopAccess& access, const AccessState& state,
                                     uint32_t vector_dim, const Body& body, unsigned part) const {
  const int64_t stride = LaneStride(access.buffer, access.strides, vector_dim);
  const bool varies = std::ranges::any_of(state.terms, [](Value* v) { return v != nullptr; });
  if (stride != 2 || varies || body.width == 1 || body.mask != nullptr || state.inside != nullptr) {
    return nullptr;
  }
  const unsigned width = body.width;
  Type* element = ops_.StorageType(access.dtype, 1);
  Type* type = ops_.StorageType(access.dtype, width);
  const llvm::Align align = AlignOf(access.dtype);
  Value* first = b_.CreateGEP(element, state.pointer, b_.getInt64(uint64_t{2} * part * width));
  Value* middle = b_.CreateGEP(element, first, b_.getInt64(width - 1));
  Value* low = b_.CreateAlignedLoad(type, first, align);
  Value* high = b_.CreateAlignedLoad(type, middle, align);
  std::vector<int> lanes;
  for (unsigned i = 0; i < width; ++i) {
    // In `low`, or behind it in `high`, which begins with the last element of `low`.
    lanes.push_back(static_cast<int>(2 * i < width ? 2 * i : 2 * i + 1));
  }
  return b_.CreateShuffleVector(low, high, lanes);
}

Value* AccessEmitter::LoadLanes(DType storage, const Lanes& lanes, const Body& body) const {
  Type* type = ops_.StorageType(storage, body.width);
  Type* element = ops_.StorageType(storage, 1);
  Value* pointer = lanes.pointer;
  if (lanes.index != nullptr) pointer = b_.CreateGEP(element, pointer, lanes.index);
  const llvm::Align align = AlignOf(storage);
  if (body.width == 1 || (lanes.index == nullptr && body.mask == nullptr)) {
    return b_.CreateAlignedLoad(type, pointer, align);
  }
  Value* zero = llvm::Constant::getNullValue(type);
  if (lanes.index == nullptr) {
    return b_.CreateMaskedLoad(type, pointer, align, body.mask, zero);
  }
  return b_.CreateMaskedGather(type, pointer, align, body.mask,
                               body.mask == nullptr ? nullptr : zero);
}

Register AccessEmitter::Load(const LoopAccess& access, const AccessState& state,
                             uint32_t vector_dim, bool lanes, const Body& body) const {
  Register out;
  if (!lanes) {
    const Body one;
    const Lanes where = Locate(access, state, vector_dim, one, 0);
    out.uniform = ops_.FromStorage(access.dtype, LoadLanes(access.dtype, where, one));
    return out;
  }
  for (unsigned part = 0; part < body.unroll; ++part) {
    if (Value* loaded = LoadEveryOther(access, state, vector_dim, body, part)) {
      out.parts.push_back(ops_.FromStorage(access.dtype, loaded));
      continue;
    }
    const Lanes where = Locate(access, state, vector_dim, body, part);
    out.parts.push_back(ops_.FromStorage(access.dtype, LoadLanes(access.dtype, where, body)));
  }
  return out;
}

void AccessEmitter::Store(const LoopAccess& access, const AccessState& state, uint32_t vector_dim,
                          const Register& value, const Body& body) const {
  const llvm::Align align = AlignOf(access.dtype);
  for (unsigned part = 0; part < body.unroll; ++part) {
    const Lanes where = Locate(access, state, vector_dim, body, part);
    Value* lanes =
        value.uniform != nullptr ? ops_.Splat(value.uniform, body.width) : value.parts[part];
    lanes = ops_.ToStorage(access.dtype, lanes);
    Value* pointer = where.pointer;
    if (where.index != nullptr) {
      pointer = b_.CreateGEP(ops_.StorageType(access.dtype, 1), pointer, where.index);
    }
    if (body.width == 1 || (where.index == nullptr && body.mask == nullptr)) {
      b_.CreateAlignedStore(lanes, pointer, align);
    } else if (where.index == nullptr) {
      b_.CreateMaskedStore(lanes, pointer, align, body.mask);
    } else {
      b_.CreateMaskedScatter(lanes, pointer, align, body.mask);
    }
  }
}

}  // namespace megalith::codegen

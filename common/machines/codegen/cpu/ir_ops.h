// Scalar operations as LLVM instructions, on single values or vectors of any length.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

#include "common/foundation/base/status.h"
#include "common/machines/runtime/loop.h"

namespace llvm {
class IRBuilderBase;
class Type;
class Value;
}  // namespace llvm

namespace megalith::codegen {

// What the instructions may be made of.
struct TargetTraits {
  bool sse41 = false, fma = false, f16c = false, avx2 = false, avx512 = false;
  unsigned vector_bits = 128;
};

// Makes instructions where `builder` stands; some operations make further blocks and leave the
// builder in the last of them.
class IrOps {
 public:
  IrOps(llvm::IRBuilderBase& builder, const TargetTraits& traits) : b_(builder), traits_(traits) {}

  // The LLVM type of registers (`lanes` of them; 1: no vector), and of elements in memory.
  llvm::Type* RegisterType(runtime::DType type, unsigned lanes) const;
  llvm::Type* StorageType(runtime::DType type, unsigned lanes) const;
  // All lanes hold `bits`, read as a register of `type`.
  llvm::Value* Constant(runtime::DType type, uint64_t bits, unsigned lanes) const;
  llvm::Value* Splat(llvm::Value* scalar, unsigned lanes) const;

  llvm::Value* FromStorage(runtime::DType storage, llvm::Value* value) const;
  llvm::Value* ToStorage(runtime::DType storage, llvm::Value* value) const;
  // Positions (i64 lanes) as a register.
  llvm::Value* FromPosition(runtime::DType type, llvm::Value* position) const;

  // An operation other than the sources. `operand` is the type of the (last) operand.
  // Errors: kUnimplemented names the operation.
  Result<llvm::Value*> Apply(const runtime::LoopInstr& instr, runtime::DType operand,
                             std::span<llvm::Value* const> in) const;

  // a combined with b, and the value that changes nothing.
  Result<llvm::Value*> Combine(runtime::ReduceKind kind, runtime::DType type, llvm::Value* a,
                               llvm::Value* b) const;
  static uint64_t Identity(runtime::ReduceKind kind, runtime::DType type);

 private:
  llvm::IRBuilderBase& b_;
  const TargetTraits& traits_;
};

// The lower and the upper half of a vector of `lanes`, an even number; single values for 2.
std::pair<llvm::Value*, llvm::Value*> HalvesOf(llvm::IRBuilderBase& builder, llvm::Value* vector,
                                               unsigned lanes);

// The bits of one element of a register type.
int RegisterBits(runtime::DType type);

}  // namespace megalith::codegen

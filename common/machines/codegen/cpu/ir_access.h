// Loads and stores of a fused kernel: addresses, guards, index terms, lanes.
#pragma once

#include <cstdint>
#include <vector>

#include "common/machines/codegen/cpu/ir_ops.h"
#include "common/machines/codegen/cpu/nest.h"
#include "common/machines/runtime/loop.h"

namespace llvm {
class Module;
}  // namespace llvm

namespace megalith::codegen {

// A register: one value for all lanes, or `parts` vectors (of one lane: plain values).
struct Register {
  llvm::Value* uniform = nullptr;
  std::vector<llvm::Value*> parts;
};

// How many elements the body being emitted works on: `unroll` vectors of `width` lanes.
struct Body {
  unsigned width = 1, unroll = 1;
  llvm::Value* mask = nullptr;  // the live lanes; null: all are
};

// An access as far as the open loops determine it.
struct AccessState {
  llvm::Value* pointer = nullptr;   // to the element for the open dimensions
  llvm::Value* inside = nullptr;    // truth of the guards met so far; null if there were none
  std::vector<llvm::Value*> terms;  // pointers to the elements of index terms; null: added already
};

// Emits where the builder stands. Borrows everything.
class AccessEmitter {
 public:
  AccessEmitter(llvm::IRBuilderBase& builder, const IrOps& ops, const runtime::LoopKernel& kernel,
                const KernelNest& nest, llvm::Module* module)
      : b_(builder), ops_(ops), kernel_(kernel), nest_(nest), module_(module) {}

  // Where the arguments and the scratch memory are; once, before anything else.
  void SetMemory(std::vector<llvm::Value*> buffers, llvm::Value* scratch);

  AccessState Begin(const runtime::LoopAccess& access) const;
  // Dimension `dim` is at `position` from here on; lane 0 of vectors, if it is the vectorised one.
  void Open(const runtime::LoopAccess& access, uint32_t dim, llvm::Value* position,
            AccessState* state) const;
  // Called when all dimensions of `level` are open: adds the index terms that are known now.
  void Settle(const runtime::LoopStage& stage, const StageNest& nest,
              const runtime::LoopAccess& access, int level, AccessState* state) const;

  Register Load(const runtime::LoopAccess& access, const AccessState& state, uint32_t vector_dim,
                bool lanes, const Body& body) const;
  void Store(const runtime::LoopAccess& access, const AccessState& state, uint32_t vector_dim,
             const Register& value, const Body& body) const;

 private:
  struct Lanes;
  llvm::Value* Base(runtime::LoopBuffer buffer, runtime::DType dtype, int64_t offset) const;
  int64_t Copies(runtime::LoopBuffer buffer) const;
  llvm::Value* Advance(llvm::Value* pointer, runtime::LoopBuffer buffer, runtime::DType dtype,
                       int64_t stride, llvm::Value* position) const;
  llvm::Value* Constants(runtime::DType dtype, uint64_t fill) const;
  int64_t LaneStride(runtime::LoopBuffer buffer, const std::vector<int64_t>& strides,
                     uint32_t vector_dim) const;
  llvm::Value* TermValue(const runtime::LoopIndexTerm& term, llvm::Value* element,
                         llvm::Type* type) const;
  bool TermVaries(const runtime::LoopIndexTerm& term, uint32_t vector_dim) const;
  Lanes Locate(const runtime::LoopAccess& access, const AccessState& state, uint32_t vector_dim,
               const Body& body, unsigned part) const;
  llvm::Value* LoadEveryOther(const runtime::LoopAccess& access, const AccessState& state,
                              uint32_t vector_dim, const Body& body, unsigned part) const;
  llvm::Value* LoadLanes(runtime::DType storage, const Lanes& lanes, const Body& body) const;

  llvm::IRBuilderBase& b_;
  const IrOps& ops_;
  const runtime::LoopKernel& kernel_;
  const KernelNest& nest_;
  llvm::Module* const module_;
  std::vector<llvm::Value*> buffers_;
  llvm::Value* scratch_ = nullptr;
};

}  // namespace megalith::codegen

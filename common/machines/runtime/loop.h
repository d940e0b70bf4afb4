// Fused kernels as loop nests: what fusion makes, what the tile interpreter runs (tier 0) and what
// code generators emit machine code from (tier 1).
//
// A kernel runs its stages, one after the other, at every point of its outer dimensions; points are
// independent and are split over threads. A stage runs its instructions at every point of its own
// inner dimensions, in row-major order, and either stores values or reduces them:
//
//   for each point of outer (parallel)
//     for each stage
//       for each point of stage.dims
//         registers = instructions          (at positions (outer..., dims...))
//         stores, or accumulators
//       store the accumulators
//
// So an elementwise kernel has all its dimensions outside and one stage without dims; a row
// reduction has rows outside and one stage with the row inside; softmax has rows outside and three
// stages, whose intermediate rows and scalars live in `locals`.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/foundation/base/bytes.h"
#include "common/foundation/base/status.h"
#include "common/machines/kernels/scalar_ops.h"

namespace megalith::runtime {

using kernels::ScalarOp;
using tensor::DType;

// An array a kernel reads or writes. Numbers below `LoopKernel::buffers` are arguments of the
// kernel; the ones from there on are its locals.
using LoopBuffer = uint32_t;

// A term of an address that is read from memory: clamp(element, 0, max) * stride. The element is at
// `offset + sum over dims of strides[d] * position[d]` of `buffer`. Dynamic slices have one per
// dimension with all strides zero; gathers have strides along the dimensions of their indices.
struct LoopIndexTerm {
  LoopBuffer buffer = 0;
  DType dtype = DType::kI32;  // any integer type; u64 above INT64_MAX counts as large
  int64_t offset = 0;
  std::vector<int64_t> strides;
  int64_t max = 0;
  int64_t stride = 0;
  friend bool operator==(const LoopIndexTerm&, const LoopIndexTerm&) = default;
};

// Positions of a dimension at which a guarded access reads memory; elsewhere it reads `fill`.
struct LoopGuard {
  uint32_t dim = 0;
  int64_t begin = 0, end = 0;
  friend bool operator==(const LoopGuard&, const LoopGuard&) = default;
};

// Where the element of a point lies: offset + sum of strides[d] * position[d] + index terms, in
// elements. `strides` has one entry per outer dimension, then one per dimension of the stage;
// negative and zero are fine.
struct LoopAccess {
  LoopBuffer buffer = 0;
  DType dtype = DType::kInvalid;  // as stored: a register type, or bf16 or f16
  int64_t offset = 0;
  std::vector<int64_t> strides;
  std::vector<LoopIndexTerm> terms;
  std::vector<LoopGuard> guards;  // loads only
  uint64_t fill = 0;              // bits of the register type; for guarded loads
  friend bool operator==(const LoopAccess&, const LoopAccess&) = default;
};

// Registers are numbered by the instruction that defines them; operands are earlier ones.
struct LoopInstr {
  ScalarOp op = ScalarOp::kConstant;
  DType type = DType::kInvalid;  // of the result: a register type
  uint32_t in[3] = {0, 0, 0};
  uint64_t imm = 0;
  friend bool operator==(const LoopInstr&, const LoopInstr&) = default;
};

struct LoopDim {
  int64_t extent = 0;
  bool reduced = false;
  friend bool operator==(const LoopDim&, const LoopDim&) = default;
};

// Writes a register at every point. In a stage with reductions: the accumulated value, once per
// point of the dimensions that are not reduced (strides along the others are zero).
struct LoopStore {
  LoopAccess to;
  uint32_t value = 0;  // a register; in a stage with reductions, the number of a reduction
  friend bool operator==(const LoopStore&, const LoopStore&) = default;
};

// Persistent: never change, append only.
enum class ReduceKind : uint8_t {
  kSum = 0,
  kProduct = 1,
  kMaximum = 2,  // NaN if any is
  kMinimum = 3,
  kAnd = 4,
  kOr = 5,
  kXor = 6,
};
// The order of combination is not specified, and may differ between tiers and with the number of
// lanes; integers are exact in any order.
struct LoopReduction {
  ReduceKind kind = ReduceKind::kSum;
  uint32_t value = 0;  // register
  uint64_t init = 0;   // bits of its type; combined once
  friend bool operator==(const LoopReduction&, const LoopReduction&) = default;
};

struct LoopStage {
  std::vector<LoopDim> dims;  // outermost first; some reduced if and only if there are reductions
  std::vector<LoopAccess> loads;  // named by the imm of kLoad
  std::vector<LoopInstr> instrs;
  std::vector<LoopReduction> reductions;
  std::vector<LoopStore> stores;
  friend bool operator==(const LoopStage&, const LoopStage&) = default;
};

struct LoopKernel {
  std::string name;  // for people: "fusion.3 subtract exponential"
  uint32_t buffers = 0;
  // Sizes in bytes of private arrays, whose content lives for one outer point. With `vector_outer`
  // sizes and addresses are those of one lane: an interpreter that runs L lanes together keeps L
  // elements in place of each.
  std::vector<uint64_t> locals;
  std::vector<int64_t> outer;
  // Which dimension is run in vectors: the last outer one (every lane runs all stages), or else the
  // last one of each stage. Stages without dims require true.
  bool vector_outer = true;
  std::vector<LoopStage> stages;
  friend bool operator==(const LoopKernel&, const LoopKernel&) = default;

  int64_t OuterPoints() const;
  // Cost of one outer point in additions of f32, loads and stores included; for splitting work.
  double PointCost() const;
};

// Sizes of the arguments in bytes, for CheckLoopKernel.
struct LoopBufferSize {
  uint64_t bytes = 0;
};

// kInvalidArgument unless everything is in range: types and operand counts by the table, operands
// defined before use, no address outside its buffer at any point (index terms by their `max`), at
// most kMaxLoopInstrs instructions. After this, running the kernel is safe.
inline constexpr size_t kMaxLoopInstrs = 4096;
inline constexpr size_t kMaxLoopDims = 16;
Status CheckLoopKernel(const LoopKernel& kernel, const std::vector<LoopBufferSize>& sizes);

// The kernel as text, for `--explain` and tests.
std::string LoopText(const LoopKernel& kernel);

// Bytes of a kernel in a package: docs/formats/executable-package.md.
void EncodeLoopKernel(const LoopKernel& kernel, ByteWriter* out);
Result<LoopKernel> DecodeLoopKernel(ByteReader* in);

}  // namespace megalith::runtime

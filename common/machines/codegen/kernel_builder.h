// Builds one fused kernel: evaluates StableHLO values at points of a loop nest.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/machines/codegen/elementwise.h"
#include "common/machines/runtime/loop.h"
#include "common/programs/stablehlo/module.h"

namespace megalith::codegen {

using stablehlo::Dims;
using stablehlo::Func;
using stablehlo::Op;
using stablehlo::ValueId;

// Where an op's operand stands in a fused kernel.
enum class FusedUse : uint8_t {
  kInline,  // its expression is evaluated at the mapped position, or it is loaded
  kMemory,  // it is loaded at a position of its own: it must be an array
};

// True if the result of `op` is an expression of elements of its operands: elementwise, broadcast,
// slice, transpose, iota and the like. The verdict depends on the op alone.
bool IsFusible(const Op& op, const Func& func);
// True if the operands of `op` from `first` on have integer types that kernels read addresses from.
bool HasPlainIndices(const Op& op, const Func& func, size_t first);
// True if a gather could be computed from `v` at the gathered positions, without an array of it.
bool CanBeGathered(ValueId v, const Func& func,
                   const std::function<const Op*(ValueId)>& definition);
// True if every position that the gather reads from memory is that of a single element.
bool GathersElements(const Op& op, const Func& func);
// How a fusible op uses its operand; the array that a gather reads may be inline too, as above.
FusedUse UseOf(const Op& op, size_t operand);
// True if `op` is a splat constant, which any kernel can hold.
bool IsSplat(const Op& op);
// A reshape that only adds or removes dimensions of size one.
bool IsUnitReshape(const Op& op, const Func& func);

// Position along one dimension of a value: scale * position(dim) + offset; dim -1: offset. Instead
// of along a dimension it may be one read from memory: scale * gathered position + offset.
struct IndexTerm {
  int32_t dim = -1;
  int64_t scale = 0, offset = 0;
  int32_t gathered = -1;  // number of the position in the builder; -1: none
  auto operator<=>(const IndexTerm&) const = default;
};
using IndexMap = std::vector<IndexTerm>;

// Integers of less than a byte and most floats of a byte or less: registers hold their byte.
bool IsNarrow(DType type);
// The register type that elements of `type` are computed in: the kernels', or for narrow ones that
// of the number; kInvalid if there is none.
DType ComputedAs(DType type);
// f32 or f64, for a complex type.
DType PartOf(DType type);
// True if complex numbers have a formula for the operation.
bool IsComplexName(std::string_view op);
// True if that formula is long.
bool IsLongComplexName(std::string_view op);
// True if fused kernels can compute this occurrence of an elementwise op with complex operands or
// result.
bool IsFusibleComplex(const Op& op, const Func& func);
runtime::LoopAccess AccessPart(runtime::LoopAccess access, DType type, int part);

class KernelBuilder {
 public:
  struct Source {
    const Op* op = nullptr;  // that defines the value; null for arguments of regions
    bool in_memory = false;  // loaded rather than evaluated
  };
  using FindSource = std::function<Source(ValueId)>;

  // Loop dimensions are numbered outer first. `inner` are those of the one stage.
  KernelBuilder(const Func& func, FindSource find, const Dims& outer,
                std::vector<runtime::LoopDim> inner);

  // The register that holds `v` at the position `map` gives. kOutOfRange if the kernel gets too
  // large.
  Result<uint32_t> Eval(ValueId v, const IndexMap& map);
  // The same in as many registers as it takes: one, or for complex numbers that are not only moved
  // the real and the imaginary part. StoreParts stores them.
  Result<std::vector<uint32_t>> EvalParts(ValueId v, const IndexMap& map);
  void StoreParts(ValueId v, const IndexMap& map, std::span<const uint32_t> values);
  // Stores register `value` into argument `v` at `map` (row-major in the type of `v`), in elements
  // of `dtype`; `terms` add to the address.
  void Store(ValueId v, const IndexMap& map, uint32_t value);
  runtime::LoopStage& stage() { return kernel_.stages[0]; }
  // The access to `v` at `map`.
  runtime::LoopAccess Access(ValueId v, const IndexMap& map);
  // Index terms of a dynamic slice: one per operand of `op` from `first` on.
  void AddSliceTerms(const Op& op, size_t first, ValueId sliced, const Dims& sizes,
                     runtime::LoopAccess* access);
  uint32_t Emit(ScalarOp op, DType type, std::initializer_list<uint32_t> in, uint64_t imm = 0);

  // One position per outer dimension, in order.
  IndexMap Identity(size_t rank) const;

  // The values behind the kernel's arguments, in order; those stored to may also be loaded.
  const std::vector<ValueId>& arguments() const { return arguments_; }
  runtime::LoopKernel Finish(std::string name, bool vector_outer);

 private:
  struct Complex {
    uint32_t re = 0, im = 0;
  };
  // Of a value at a position; of complex ones the whole (-1), the real (0) or the imaginary part.
  struct Key {
    ValueId value;
    IndexMap map;
    int part;
    auto operator<=>(const Key&) const = default;
  };

  bool OnlyMoves(ValueId v) const;
  Result<Complex> Both(ValueId v, const IndexMap& map);
  Result<uint32_t> EvalComplex(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalRealOf(const Op& op, const IndexMap& map);
  Result<Complex> EvalComplexOp(const Op& op, const IndexMap& map);
  Complex MultiplyComplex(Complex x, Complex y);
  uint32_t Number(DType type, double value);
  uint32_t Word(DType type, uint64_t bits);
  uint32_t Decoded(uint32_t value, DType storage);
  uint32_t DecodedInt(uint32_t value, DType storage);
  uint32_t DecodedFloat(uint32_t value, DType storage);
  uint32_t Encoded(uint32_t value, DType storage);
  uint32_t EncodedInt(uint32_t value, DType storage);
  uint32_t EncodedFloat(uint32_t value, DType storage);
  uint32_t ConvertedToNarrow(uint32_t value, DType storage);
  uint32_t Cast(uint32_t value, DType to);
  uint32_t LoadOf(ValueId v, runtime::LoopAccess access);
  Result<uint32_t> EvalOp(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalScalar(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalConvert(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalClamp(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalOperand(const Op& op, size_t operand, const IndexMap& map);
  Result<uint32_t> EvalNumber(const Op& op, size_t operand, const IndexMap& map);
  uint32_t Compare(const Op& op, uint32_t x, uint32_t y);
  Result<uint32_t> EvalPad(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalDynamicSlice(const Op& op, const IndexMap& map);
  Result<uint32_t> EvalGather(const Op& op, const IndexMap& map);
  uint32_t EvalIota(const Op& op, const IndexMap& map);
  uint32_t Constant(const Op& op);
  uint32_t Load(runtime::LoopAccess access);
  uint32_t Rounded(uint32_t value, DType storage, bool exact);
  uint32_t ArgumentOf(ValueId v);
  int64_t ExtentOf(int32_t dim) const;

  const Func& func_;
  FindSource find_;
  runtime::LoopKernel kernel_;
  std::vector<int64_t> extents_;  // of the outer dimensions, then of the stage's
  std::vector<ValueId> arguments_;
  int part_ = -1;  // of complex values, what Eval gives: as Key::part
  std::map<Key, uint32_t> known_;
  std::map<uint32_t, uint32_t> decoded_;  // register with a narrow element -> with its number
  std::vector<runtime::LoopIndexTerm> gathered_;  // positions read from memory; stride 1
};

// The constant of a splat as the bits of a register.
uint64_t SplatBits(const Op& op);

}  // namespace megalith::codegen

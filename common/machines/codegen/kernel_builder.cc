#include "common/machines/codegen/kernel_builder.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "common/foundation/base/strings.h"
#include "common/machines/codegen/peephole.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::codegen {
namespace {

using runtime::LoopAccess;
using runtime::LoopIndexTerm;
using stablehlo::Attr;
using stablehlo::TensorType;

constexpr size_t kMaxInstrs = 1000;

// The bits of an element of `t` as a register of its type (bf16 and f16: f32).
uint64_t RegisterBits(const tensor::Tensor& t) {
  if (t.dtype() == DType::kBF16 || t.dtype() == DType::kF16) {
    return std::bit_cast<uint32_t>(static_cast<float>(t.DoubleAt(0)));
  }
  uint64_t bits = 0;
  std::memcpy(&bits, t.data(), std::min<size_t>(sizeof bits, t.byte_size()));
  return bits;
}

// NaN if it is not the same known number everywhere.
double SplatNumber(const Op* op) {
  if (op == nullptr || !IsSplat(*op)) return std::numeric_limits<double>::quiet_NaN();
  return op->attr("value").AsDense().data.DoubleAt(0);
}

int64_t CeilDiv(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

bool AllZero(std::span<const int64_t> values) {
  return std::ranges::all_of(values, [](int64_t v) { return v == 0; });
}

}  // namespace

bool IsSplat(const Op& op) {
  if (!op.def->has(stablehlo::kConstantLike)) return false;
  const stablehlo::Dense& d = op.attr("value").AsDense();
  return d.data.size() == 1 && tensor::ByteWidth(d.type.dtype) <= 8;
}

uint64_t SplatBits(const Op& op) { return RegisterBits(op.attr("value").AsDense().data); }

bool IsUnitReshape(const Op& op, const Func& func) {
  const auto strip = [](const tensor::Shape& shape) {
    Dims out;
    for (const int64_t d : shape) {
      if (d != 1) out.push_back(d);
    }
    return out;
  };
  return strip(func.type(op.operands[0]).shape) == strip(func.type(op.result()).shape);
}

bool HasPlainIndices(const Op& op, const Func& func, size_t first) {
  for (size_t k = first; k < op.operands.size(); ++k) {
    const DType type = func.type(op.operands[k]).dtype;
    if (!tensor::IsInteger(type) || !IsComputable(type)) return false;
  }
  return true;
}

bool IsFusible(const Op& op, const Func& func) {
  if (op.num_results != 1 || func.type(op.result()).is_token) return false;
  const std::string_view name = op.def->name;
  const DType moved = MovableAs(func.type(op.result()).dtype);
  if (name == "stablehlo.iota") {
    return IsComputable(func.type(op.result()).dtype);
  }
  const bool parts = tensor::IsComplex(func.type(op.result()).dtype);
  if (moved == DType::kInvalid && !parts) return false;
  if (name == "stablehlo.broadcast_in_dim" || name == "stablehlo.transpose" ||
      name == "stablehlo.slice" || name == "stablehlo.reverse") {
    return true;
  }
  if (name == "stablehlo.dynamic_slice" || name == "stablehlo.gather") {
    return HasPlainIndices(op, func, 1);
  }
  if (name == "stablehlo.reshape") return IsUnitReshape(op, func);
  if (name == "stablehlo.pad") return AllZero(op.attr("interior_padding").AsInts());
  return IsFusibleElementwise(op, func);
}

bool CanBeGathered(ValueId v, const Func& func,
                   const std::function<const Op*(ValueId)>& definition) {
  constexpr std::string_view kMoves[] = {"stablehlo.broadcast_in_dim", "stablehlo.transpose",
                                         "stablehlo.slice", "stablehlo.reverse",
                                         "stablehlo.reshape"};
  constexpr int kMostOps = 32;
  int budget = kMostOps;
  const auto visit = [&](auto&& self, ValueId value) -> bool {
    const Op* op = definition(value);
    // Anything else is an array.
    if (op == nullptr || IsSplat(*op) || !IsFusible(*op, func)) return true;
    if (--budget < 0) return false;
    const bool moves = std::ranges::find(kMoves, op->def->name) != std::end(kMoves);
    if (!moves && !IsFusibleElementwise(*op, func)) return false;
    return std::ranges::all_of(op->operands, [&](ValueId o) { return self(self, o); });
  };
  return visit(visit, v);
}

bool GathersElements(const Op& op, const Func& func) {
  const auto sizes = op.attr("slice_sizes").AsInts();
  const tensor::Shape& from = func.type(op.operands[0]).shape;
  for (const int64_t d : op.attr("dimension_numbers").AsGather().start_index_map) {
    const auto j = static_cast<size_t>(d);
    if (from[j] != sizes[j] && sizes[j] != 1) return false;
  }
  return true;
}

FusedUse UseOf(const Op& op, size_t operand) {
  const std::string_view name = op.def->name;
  if (name == "stablehlo.dynamic_slice" || name == "stablehlo.gather") return FusedUse::kMemory;
  if (name == "stablehlo.pad") return operand == 0 ? FusedUse::kMemory : FusedUse::kInline;
  return FusedUse::kInline;
}

KernelBuilder::KernelBuilder(const Func& func, FindSource find, const Dims& outer,
                             std::vector<runtime::LoopDim> inner)
    : func_(func), find_(std::move(find)) {
  kernel_.outer.assign(outer.begin(), outer.end());
  kernel_.stages.resize(1);
  extents_ = kernel_.outer;
  for (const runtime::LoopDim& d : inner) extents_.push_back(d.extent);
  kernel_.stages[0].dims = std::move(inner);
}

IndexMap KernelBuilder::Identity(size_t rank) const {
  IndexMap map;
  for (size_t i = 0; i < rank; ++i) map.push_back({static_cast<int32_t>(i), 1, 0});
  return map;
}

int64_t KernelBuilder::ExtentOf(int32_t dim) const {
  const auto d = static_cast<size_t>(dim);
  return d < kernel_.outer.size() ? kernel_.outer[d]
                                  : kernel_.stages[0].dims[d - kernel_.outer.size()].extent;
}

uint32_t KernelBuilder::ArgumentOf(ValueId v) {
  const auto it = std::ranges::find(arguments_, v);
  if (it != arguments_.end()) return static_cast<uint32_t>(it - arguments_.begin());
  arguments_.push_back(v);
  return static_cast<uint32_t>(arguments_.size() - 1);
}

uint32_t KernelBuilder::Emit(ScalarOp op, DType type, std::initializer_list<uint32_t> in,
                             uint64_t imm) {
  runtime::LoopInstr instr{op, type, {0, 0, 0}, imm};
  std::copy(in.begin(), in.end(), instr.in);
  Cheapen(stage(), extents_, &instr);
  stage().instrs.push_back(instr);
  return static_cast<uint32_t>(stage().instrs.size() - 1);
}

uint32_t KernelBuilder::Load(LoopAccess access) {
  auto& loads = stage().loads;
  const auto it = std::ranges::find(loads, access);
  const auto number = static_cast<uint64_t>(it - loads.begin());
  const DType type = kernels::RegisterType(access.dtype);
  if (it == loads.end()) loads.push_back(std::move(access));
  return Emit(ScalarOp::kLoad, type, {}, number);
}

// The element of `v`, or the part of it that is wanted.
uint32_t KernelBuilder::LoadOf(ValueId v, LoopAccess access) {
  const DType type = func_.type(v).dtype;
  if (tensor::IsComplex(type) && part_ >= 0) access = AccessPart(std::move(access), type, part_);
  return Load(std::move(access));
}

LoopAccess KernelBuilder::Access(ValueId v, const IndexMap& map) {
  const TensorType& type = func_.type(v);
  LoopAccess a;
  a.buffer = ArgumentOf(v);
  a.dtype = MovableAs(type.dtype);
  a.strides.assign(kernel_.outer.size() + stage().dims.size(), 0);
  const Dims strides = tensor::RowMajorStrides(type.shape);
  for (size_t j = 0; j < map.size(); ++j) {
    a.offset += strides[j] * map[j].offset;
    if (map[j].dim >= 0) a.strides[static_cast<size_t>(map[j].dim)] += strides[j] * map[j].scale;
    if (map[j].gathered >= 0) {
      a.terms.push_back(gathered_[static_cast<size_t>(map[j].gathered)]);
      a.terms.back().stride = strides[j] * map[j].scale;
    }
  }
  return a;
}

void KernelBuilder::AddSliceTerms(const Op& op, size_t first, ValueId sliced, const Dims& sizes,
                                  LoopAccess* access) {
  const TensorType& type = func_.type(sliced);
  const Dims strides = tensor::RowMajorStrides(type.shape);
  for (size_t j = 0; j < type.rank(); ++j) {
    const int64_t max = type.shape[j] - sizes[j];
    if (max == 0) continue;
    const ValueId start = op.operands[first + j];
    LoopIndexTerm term;
    term.buffer = ArgumentOf(start);
    term.dtype = func_.type(start).dtype;
    term.strides.assign(access->strides.size(), 0);
    term.max = max;
    term.stride = strides[j];
    access->terms.push_back(std::move(term));
  }
}

void KernelBuilder::Store(ValueId v, const IndexMap& map, uint32_t value) {
  stage().stores.push_back({Access(v, map), value});
}

uint32_t KernelBuilder::Constant(const Op& op) {
  const DType type = op.attr("value").AsDense().type.dtype;
  if (type == DType::kC64 && part_ >= 0) {
    const uint64_t bits = SplatBits(op);
    return Emit(ScalarOp::kConstant, DType::kF32, {}, part_ == 0 ? bits & UINT32_MAX : bits >> 32);
  }
  const DType dtype = MovableAs(op.attr("value").AsDense().type.dtype);
  return Emit(ScalarOp::kConstant, kernels::RegisterType(dtype), {}, SplatBits(op));
}

Result<uint32_t> KernelBuilder::Eval(ValueId v, const IndexMap& map) {
  if (stage().instrs.size() > kMaxInstrs) {
    return Status(Code::kOutOfRange, "the kernel gets too large");
  }
  const Source source = find_(v);
  const bool splat = source.op != nullptr && IsSplat(*source.op);
  const bool complex = tensor::IsComplex(func_.type(v).dtype);
  const Key key{v, splat ? IndexMap() : map, complex ? part_ : -1};
  if (const auto it = known_.find(key); it != known_.end()) return it->second;
  uint32_t value = 0;
  if (splat) {
    value = Constant(*source.op);
  } else if (source.in_memory || source.op == nullptr) {
    value = LoadOf(v, Access(v, map));
  } else {
    ASSIGN_OR_RETURN(value, EvalOp(*source.op, map));
  }
  known_[key] = value;
  return value;
}

Result<uint32_t> KernelBuilder::EvalOp(const Op& op, const IndexMap& map) {
  const std::string_view name = op.def->name;
  const TensorType& from =
      op.operands.empty() ? func_.type(op.result()) : func_.type(op.operands[0]);
  IndexMap inner(from.rank());
  if (name == "stablehlo.broadcast_in_dim") {
    const auto dims = op.attr("broadcast_dimensions").AsInts();
    for (size_t j = 0; j < inner.size(); ++j) {
      if (from.shape[j] != 1) inner[j] = map[static_cast<size_t>(dims[j])];
    }
  } else if (name == "stablehlo.reshape") {
    size_t next = 0;
    const tensor::Shape& to = func_.type(op.result()).shape;
    for (size_t j = 0; j < inner.size(); ++j) {
      if (from.shape[j] == 1) continue;
      while (to[next] == 1) ++next;
      inner[j] = map[next++];
    }
  } else if (name == "stablehlo.transpose") {
    const auto permutation = op.attr("permutation").AsInts();
    for (size_t i = 0; i < map.size(); ++i) inner[static_cast<size_t>(permutation[i])] = map[i];
  } else if (name == "stablehlo.slice") {
    const auto starts = op.attr("start_indices").AsInts();
    const auto strides = op.attr("strides").AsInts();
    for (size_t j = 0; j < map.size(); ++j) {
      inner[j] = {map[j].dim, map[j].scale * strides[j], map[j].offset * strides[j] + starts[j],
                  map[j].gathered};
    }
  } else if (name == "stablehlo.reverse") {
    inner = map;
    for (const int64_t d : op.attr("dimensions").AsInts()) {
      IndexTerm& t = inner[static_cast<size_t>(d)];
      t = {t.dim, -t.scale, from.shape[static_cast<size_t>(d)] - 1 - t.offset, t.gathered};
    }
  } else if (name == "stablehlo.iota") {
    return EvalIota(op, map);
  } else if (name == "stablehlo.pad") {
    return EvalPad(op, map);
  } else if (name == "stablehlo.dynamic_slice") {
    return EvalDynamicSlice(op, map);
  } else if (name == "stablehlo.gather") {
    return EvalGather(op, map);
  } else {
    return EvalScalar(op, map);
  }
  return Eval(op.operands[0], inner);
}

uint32_t KernelBuilder::EvalIota(const Op& op, const IndexMap& map) {
  const IndexTerm& t = map[static_cast<size_t>(op.attr("iota_dimension").AsInt())];
  const DType storage = func_.type(op.result()).dtype;
  const DType type = DType::kI64;
  uint32_t value = 0;
  if (t.dim < 0) {
    value = Emit(ScalarOp::kConstant, type, {}, static_cast<uint64_t>(t.offset));
  } else {
    value = Emit(ScalarOp::kIndex, type, {}, static_cast<uint64_t>(t.dim));
    if (t.scale != 1) {
      const uint32_t scale = Emit(ScalarOp::kConstant, type, {}, static_cast<uint64_t>(t.scale));
      value = Emit(ScalarOp::kMultiply, type, {value, scale});
    }
    if (t.offset != 0) {
      const uint32_t offset = Emit(ScalarOp::kConstant, type, {}, static_cast<uint64_t>(t.offset));
      value = Emit(ScalarOp::kAdd, type, {value, offset});
    }
  }
  const DType wanted = kernels::RegisterType(storage);
  if (wanted != type) value = Emit(ScalarOp::kConvert, wanted, {value});
  return Rounded(value, storage, false);
}

Result<uint32_t> KernelBuilder::EvalPad(const Op& op, const IndexMap& map) {
  const auto low = op.attr("edge_padding_low").AsInts();
  const TensorType& from = func_.type(op.operands[0]);
  const Source fill = find_(op.operands[1]);
  IndexMap inner = map;
  std::vector<runtime::LoopGuard> guards;
  bool outside = false;
  for (size_t j = 0; j < inner.size(); ++j) {
    IndexTerm& t = inner[j];
    t.offset -= low[j];
    if (t.dim < 0) {
      outside = outside || t.offset < 0 || t.offset >= from.shape[j];
      continue;
    }
    const int64_t extent = ExtentOf(t.dim), n = from.shape[j];
    // The positions i with 0 <= scale * i + offset < n.
    int64_t begin = 0, end = extent;
    if (t.scale > 0) {
      begin = CeilDiv(-t.offset, t.scale);
      end = CeilDiv(n - t.offset, t.scale);
    } else {
      begin = CeilDiv(t.offset - n + 1, -t.scale);
      end = CeilDiv(t.offset + 1, -t.scale);
    }
    begin = std::clamp<int64_t>(begin, 0, extent);
    end = std::clamp<int64_t>(end, begin, extent);
    if (begin > 0 || end < extent) {
      guards.push_back({static_cast<uint32_t>(t.dim), begin, end});
    }
  }
  if (outside || from.shape.size() != inner.size() || tensor::NumElements(from.shape) == 0) {
    return Eval(op.operands[1], {});
  }
  LoopAccess access = Access(op.operands[0], inner);
  access.guards = std::move(guards);
  if (access.guards.empty()) return LoadOf(op.operands[0], std::move(access));
  if (fill.op == nullptr || !IsSplat(*fill.op))
    return Unimplemented("padding with a computed value");
  access.fill = SplatBits(*fill.op);
  return LoadOf(op.operands[0], std::move(access));
}

Result<uint32_t> KernelBuilder::EvalDynamicSlice(const Op& op, const IndexMap& map) {
  LoopAccess access = Access(op.operands[0], map);
  AddSliceTerms(op, 1, op.operands[0], func_.type(op.result()).shape, &access);
  return LoadOf(op.operands[0], std::move(access));
}

Result<uint32_t> KernelBuilder::EvalGather(const Op& op, const IndexMap& map) {
  const stablehlo::GatherDims& g = op.attr("dimension_numbers").AsGather();
  const auto sizes = op.attr("slice_sizes").AsInts();
  const TensorType& from = func_.type(op.operands[0]);
  const TensorType& index = func_.type(op.operands[1]);
  const auto has = [](const Dims& dims, size_t d) {
    return std::ranges::find(dims, static_cast<int64_t>(d)) != dims.end();
  };
  std::vector<IndexTerm> batch;  // positions of the result dimensions that come from the indices
  for (size_t i = 0; i < map.size(); ++i) {
    if (!has(g.offset_dims, i)) batch.push_back(map[i]);
  }
  IndexMap at_index(index.rank());  // without the index vector dimension
  size_t next = 0;
  for (size_t d = 0; d < index.rank(); ++d) {
    if (static_cast<int64_t>(d) != g.index_vector_dim) at_index[d] = batch[next++];
  }
  IndexMap inner(from.rank());
  next = 0;
  for (size_t j = 0; j < from.rank(); ++j) {
    if (has(g.collapsed_slice_dims, j) || has(g.operand_batching_dims, j)) continue;
    inner[j] = map[static_cast<size_t>(g.offset_dims[next++])];
  }
  for (size_t b = 0; b < g.operand_batching_dims.size(); ++b) {
    inner[static_cast<size_t>(g.operand_batching_dims[b])] =
        at_index[static_cast<size_t>(g.start_indices_batching_dims[b])];
  }
  const Source source = find_(op.operands[0]);
  const bool in_memory = source.op == nullptr || source.in_memory;
  LoopAccess access;
  if (in_memory) access = Access(op.operands[0], inner);
  const Dims strides = tensor::RowMajorStrides(from.shape);
  for (size_t k = 0; k < g.start_index_map.size(); ++k) {
    const auto j = static_cast<size_t>(g.start_index_map[k]);
    if (from.shape[j] == sizes[j]) continue;
    IndexMap position = at_index;
    if (static_cast<size_t>(g.index_vector_dim) < index.rank()) {
      position[static_cast<size_t>(g.index_vector_dim)] = {-1, 0, static_cast<int64_t>(k)};
    }
    const LoopAccess where = Access(op.operands[1], position);
    LoopIndexTerm term{
        where.buffer, index.dtype, where.offset, where.strides, from.shape[j] - sizes[j],
        strides[j]};
    if (in_memory) {
      access.terms.push_back(std::move(term));
      continue;
    }
    // The element at that position is computed.
    term.stride = 1;
    const auto it = std::ranges::find(gathered_, term);
    inner[j] = {-1, 1, 0, static_cast<int32_t>(it - gathered_.begin())};
    if (it == gathered_.end()) gathered_.push_back(std::move(term));
  }
  return in_memory ? LoadOf(op.operands[0], std::move(access)) : Eval(op.operands[0], inner);
}

Result<uint32_t> KernelBuilder::EvalOperand(const Op& op, size_t operand, const IndexMap& map) {
  const ValueId v = op.operands[operand];
  return Eval(v, func_.type(v).rank() == 0 ? IndexMap() : map);
}

// The same, a number even if its type is narrow.
Result<uint32_t> KernelBuilder::EvalNumber(const Op& op, size_t operand, const IndexMap& map) {
  ASSIGN_OR_RETURN(const uint32_t value, EvalOperand(op, operand, map));
  return Decoded(value, func_.type(op.operands[operand]).dtype);
}

uint32_t KernelBuilder::Rounded(uint32_t value, DType storage, bool exact) {
  if (IsNarrow(storage)) return Encoded(value, storage);
  if (exact || (storage != DType::kBF16 && storage != DType::kF16)) return value;
  return Emit(ScalarOp::kRoundTo, DType::kF32, {value}, static_cast<uint64_t>(storage));
}

Result<uint32_t> KernelBuilder::EvalConvert(const Op& op, const IndexMap& map) {
  const DType storage = func_.type(op.result()).dtype;
  const bool same = storage == func_.type(op.operands[0]).dtype;
  if (same) return EvalOperand(op, 0, map);
  ASSIGN_OR_RETURN(const uint32_t value, EvalNumber(op, 0, map));
  if (IsNarrow(storage)) return ConvertedToNarrow(value, storage);
  return Rounded(Cast(value, kernels::RegisterType(storage)), storage, false);
}

Result<uint32_t> KernelBuilder::EvalClamp(const Op& op, const IndexMap& map) {
  ASSIGN_OR_RETURN(const uint32_t low, EvalNumber(op, 0, map));
  ASSIGN_OR_RETURN(const uint32_t x, EvalNumber(op, 1, map));
  ASSIGN_OR_RETURN(const uint32_t high, EvalNumber(op, 2, map));
  const DType storage = func_.type(op.result()).dtype;
  const DType type = ComputedAs(storage);
  const bool real = tensor::IsFloat(type);
  const double least = real ? SplatNumber(find_(op.operands[0]).op) : 1;
  const double most = real ? SplatNumber(find_(op.operands[2]).op) : 1;
  if (std::isnan(least) || std::isnan(most) || type == DType::kBool) {
    const uint32_t raised = Emit(ScalarOp::kMaximum, type, {x, low});
    return Rounded(Emit(ScalarOp::kMinimum, type, {raised, high}), storage, true);
  }
  // -0 is less than 0 here, though they compare equal: a bound of 0 replaces the other zero, too.
  const bool from_zero = least == 0 && !std::signbit(least);
  const bool to_zero = most == 0 && std::signbit(most);
  const ScalarOp less = from_zero ? ScalarOp::kLessEqual : ScalarOp::kLess;
  const ScalarOp greater = to_zero ? ScalarOp::kGreaterEqual : ScalarOp::kGreater;
  const uint32_t below = Emit(less, DType::kBool, {x, low});
  const uint32_t raised = Emit(ScalarOp::kSelect, type, {below, low, x});
  const uint32_t above = Emit(greater, DType::kBool, {raised, high});
  return Rounded(Emit(ScalarOp::kSelect, type, {above, high, raised}), storage, true);
}

// In the total order of floats these are ordered as the integers of their bits, negative ones with
// all bits but the sign flipped.
uint32_t KernelBuilder::Compare(const Op& op, uint32_t x, uint32_t y) {
  const stablehlo::Attr& order = op.attr("compare_type");
  const DType type = stage().instrs[x].type;
  const bool total = order.present() && static_cast<stablehlo::CompareType>(order.AsEnum()) ==
                                            stablehlo::CompareType::kTotalOrder;
  if (total && tensor::IsFloat(type)) {
    const DType word = type == DType::kF64 ? DType::kI64 : DType::kI32;
    const auto places = static_cast<uint64_t>(tensor::BitWidth(type) - 1);
    const uint32_t top = Word(word, places), rest = Word(word, (uint64_t{1} << places) - 1);
    for (uint32_t* side : {&x, &y}) {
      const uint32_t bits = Emit(ScalarOp::kBitcast, word, {*side});
      const uint32_t sign = Emit(ScalarOp::kShiftRightArithmetic, word, {bits, top});
      *side = Emit(ScalarOp::kXor, word, {bits, Emit(ScalarOp::kAnd, word, {sign, rest})});
    }
  }
  return Emit(ComparisonOf(op), DType::kBool, {x, y});
}

Result<uint32_t> KernelBuilder::EvalScalar(const Op& op, const IndexMap& map) {
  const std::string_view name = op.def->name;
  if (tensor::IsComplex(func_.type(op.result()).dtype) ||
      tensor::IsComplex(func_.type(op.operands[0]).dtype)) {
    return EvalComplex(op, map);
  }
  if (name == "stablehlo.convert") return EvalConvert(op, map);
  if (name == "stablehlo.clamp") return EvalClamp(op, map);
  const DType storage = func_.type(op.result()).dtype;
  const DType type = ComputedAs(storage);
  uint32_t in[3] = {0, 0, 0};
  const bool chooses = name == "stablehlo.select";
  for (size_t i = 0; i < op.operands.size(); ++i) {
    ASSIGN_OR_RETURN(in[i], chooses ? EvalOperand(op, i, map) : EvalNumber(op, i, map));
  }
  if (chooses) return Emit(ScalarOp::kSelect, stage().instrs[in[1]].type, {in[0], in[1], in[2]});
  if (name == "stablehlo.compare") return Compare(op, in[0], in[1]);
  if (name.starts_with("chlo.is_")) {
    const DType real = stage().instrs[in[0]].type;
    const double infinity = std::numeric_limits<double>::infinity();
    const uint32_t x = name == "chlo.is_inf" ? Emit(ScalarOp::kAbs, real, {in[0]}) : in[0];
    const uint32_t end = Number(real, name == "chlo.is_neg_inf" ? -infinity : infinity);
    return Emit(ScalarOp::kEqual, DType::kBool, {x, end});
  }
  if (name == "chlo.square") {
    return Rounded(Emit(ScalarOp::kMultiply, type, {in[0], in[0]}), storage, false);
  }
  if (name == "stablehlo.reduce_precision") {
    const uint64_t bits = static_cast<uint64_t>(op.attr("exponent_bits").AsInt()) * 256 +
                          static_cast<uint64_t>(op.attr("mantissa_bits").AsInt());
    return Rounded(Emit(ScalarOp::kReducePrecision, type, {in[0]}, bits), storage, false);
  }
  const ElementwiseRow* row = FindElementwise(name);
  if (row == nullptr) return Internal(StrCat(name, " has no scalar operation"));
  uint32_t value = 0;
  switch (op.operands.size()) {
    case 1:
      value = Emit(row->scalar, type, {in[0]});
      break;
    case 2:
      value = Emit(row->scalar, type, {in[0], in[1]});
      break;
    default:
      value = Emit(row->scalar, type, {in[0], in[1], in[2]});
      break;
  }
  return Rounded(value, storage, row->exact);
}

runtime::LoopKernel KernelBuilder::Finish(std::string name, bool vector_outer) {
  kernel_.name = std::move(name);
  kernel_.buffers = static_cast<uint32_t>(arguments_.size());
  kernel_.vector_outer = vector_outer;
  return std::move(kernel_);
}

}  // namespace megalith::codegen

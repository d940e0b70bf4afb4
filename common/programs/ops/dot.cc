// dot_general: products of arrays over any pairing of their dimensions.
#include <algorithm>
#include <optional>
#include <tuple>

#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/precision.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::DotDims;
using tensor::TupleText;

std::optional<Dims> IntsOf(const ParamValue& v) {
  if (!v.is_sequence()) return std::nullopt;
  for (const ParamValue& e : v.elements()) {
    if (e.kind() != ParamValue::Kind::kInt) return std::nullopt;
  }
  return v.AsInts();
}

// The dimension numbers (([lhs_contract], [rhs_contract]), ([lhs_batch], [rhs_batch])).
Result<DotDims> ParseDims(const ParamValue& v) {
  const Status bad = InvalidArgument(StrCat(
      "dimension_numbers must read (([..], [..]), ([..], [..])), got ", Printable(v.PythonText())));
  if (v.elements().size() != 2) return bad;
  Dims parts[4];
  for (size_t i = 0; i < 4; ++i) {
    const ParamValue& pair = v.elements()[i / 2];
    if (pair.elements().size() != 2) return bad;
    const std::optional<Dims> dims = IntsOf(pair.elements()[i % 2]);
    if (!dims) return bad;
    parts[i] = *dims;
  }
  return DotDims{parts[0], parts[1], parts[2], parts[3]};
}

// Of an equation whose types have been checked.
DotDims DimsOf(const Params& params) { return *ParseDims(params["dimension_numbers"]); }

Shape Pick(const Shape& shape, const Dims& dims) {
  Shape out;
  for (const int64_t d : dims) out.push_back(shape[static_cast<size_t>(d)]);
  return out;
}

// Dimensions in neither list, in order.
Dims Remaining(size_t rank, const Dims& a, const Dims& b) {
  return ir::Without(ir::Range(static_cast<int64_t>(rank)), ir::Concat(a, b));
}

bool HasDuplicates(Dims dims) {
  std::sort(dims.begin(), dims.end());
  return std::adjacent_find(dims.begin(), dims.end()) != dims.end();
}

// ---- types ----

Status CheckSide(std::string_view side, const Aval& x, const Dims& contract, const Dims& batch) {
  for (const int64_t d : ir::Concat(contract, batch)) {
    if (d >= 0 && d < static_cast<int64_t>(x.rank())) continue;
    return TypeError(StrCat("dot_general requires ", side,
                            " dimension numbers to be nonnegative and less than the "
                            "number of axes of the ",
                            side, " value, got ", side, "_batch of ", TupleText(batch), " and ",
                            side, "_contracting of ", TupleText(contract), " for ", side,
                            " of rank ", x.rank()));
  }
  if (HasDuplicates(batch)) {
    return TypeError(StrCat("dot_general requires ", side, " batch dimensions to be distinct, got ",
                            side, "_batch ", TupleText(batch), "."));
  }
  if (HasDuplicates(contract)) {
    return TypeError(StrCat("dot_general requires ", side,
                            " contracting dimensions to be distinct, got ", side, "_contracting ",
                            TupleText(contract), "."));
  }
  for (const int64_t d : contract) {
    if (!ir::Contains(batch, d)) continue;
    return TypeError(StrCat("dot_general requires ", side,
                            " batch dimensions to be disjoint from contracting "
                            "dimensions, got ",
                            side, "_batch ", TupleText(batch), " and ", side, "_contracting ",
                            TupleText(contract), "."));
  }
  return OkStatus();
}

Result<Shape> DotShape(const Aval& x, const Aval& y, const DotDims& d) {
  if (d.lhs_batch.size() != d.rhs_batch.size()) {
    return TypeError(StrCat(
        "dot_general requires equal numbers of lhs_batch and rhs_batch dimensions, got lhs_batch ",
        TupleText(d.lhs_batch), " and rhs_batch ", TupleText(d.rhs_batch), "."));
  }
  RETURN_IF_ERROR(CheckSide("lhs", x, d.lhs_contract, d.lhs_batch));
  RETURN_IF_ERROR(CheckSide("rhs", y, d.rhs_contract, d.rhs_batch));
  const Shape batch = Pick(x.shape, d.lhs_batch);
  if (!(batch == Pick(y.shape, d.rhs_batch))) {
    return TypeError(StrCat(
        "dot_general requires lhs batch dimensions and rhs batch dimensions to have the same "
        "shape, got ",
        TupleText(batch), " and ", TupleText(Pick(y.shape, d.rhs_batch)), "."));
  }
  const Shape contract = Pick(x.shape, d.lhs_contract);
  if (!(contract == Pick(y.shape, d.rhs_contract))) {
    return TypeError(
        StrCat("dot_general requires contracting dimensions to have the same shape, got ",
               TupleText(contract), " and ", TupleText(Pick(y.shape, d.rhs_contract)), "."));
  }
  const Shape left = Pick(x.shape, Remaining(x.rank(), d.lhs_contract, d.lhs_batch));
  const Shape right = Pick(y.shape, Remaining(y.rank(), d.rhs_contract, d.rhs_batch));
  return ir::Concat(batch, ir::Concat(left, right));
}

// Largest exponent and mantissa bits of a float type, as NumPy's finfo counts them; what decides
// which of two float types a mixed product has.
struct FloatExtent {
  DType dtype;
  int max_exponent;
  int mantissa_bits;
};
constexpr FloatExtent kFloatExtents[] = {
    {DType::kF4E2M1FN, 3, 1},      {DType::kF8E3M4, 4, 4},      {DType::kF8E4M3, 8, 3},
    {DType::kF8E4M3B11FNUZ, 5, 3}, {DType::kF8E4M3FN, 9, 3},    {DType::kF8E4M3FNUZ, 8, 3},
    {DType::kF8E5M2, 16, 2},       {DType::kF8E5M2FNUZ, 16, 2}, {DType::kF8E8M0FNU, 128, 0},
    {DType::kF16, 16, 10},         {DType::kBF16, 128, 7},      {DType::kF32, 128, 23},
    {DType::kF64, 1024, 52},
};

// JAX orders operand types by (complex, exponent, mantissa, width, not unsigned); the larger one is
// the result's.
std::tuple<bool, int, int, int, bool> TypeRank(DType dtype) {
  const DType real = tensor::RealPart(dtype);
  FloatExtent extent{real, -1, -1};
  for (const FloatExtent& e : kFloatExtents) {
    if (e.dtype == real) extent = e;
  }
  const int bits = tensor::IsBool(real) ? 1 : tensor::BitWidth(real);
  return {tensor::IsComplex(dtype), extent.max_exponent, extent.mantissa_bits, bits,
          !tensor::IsUnsigned(real)};
}

int NumericBits(DType d) { return tensor::IsBool(d) ? 1 : tensor::BitWidth(tensor::RealPart(d)); }

Result<DType> DotDType(DType x, DType y, const ParamValue& preferred) {
  const auto rank_x = TypeRank(x);
  const auto rank_y = TypeRank(y);
  if (rank_x == rank_y && x != y) {
    return TypeError(
        StrCat("lax.dot_general argument type error: ", DTypeText(x), ", ", DTypeText(y)));
  }
  const DType result = rank_x < rank_y ? y : x;
  if (preferred.is_none() || preferred.AsDType() == result) return result;
  const DType wanted = preferred.AsDType();
  if (tensor::IsKey(wanted) || tensor::IsFloat0(wanted)) {
    return TypeError(StrCat("dot_general cannot give elements of type ", DTypeText(wanted)));
  }
  if (!tensor::IsFloat(result) && NumericBits(wanted) < NumericBits(result)) {
    return TypeError(
        StrCat("`preferred_element_type` must not be narrower than the original type, got "
               "preferred_element_type of ",
               DTypeText(wanted), " for result type of ", DTypeText(result), "."));
  }
  return wanted;
}

Types DotType(const TypeArgs& a) {
  RETURN_IF_ERROR(CheckUnsharded(a, "out_sharding"));
  for (size_t i = 0; i < 2; ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  ASSIGN_OR_RETURN(const DotDims dims, ParseDims(a.params["dimension_numbers"]));
  ASSIGN_OR_RETURN(Shape shape, DotShape(a.operands[0], a.operands[1], dims));
  ASSIGN_OR_RETURN(const DType dtype, DotDType(a.operands[0].dtype, a.operands[1].dtype,
                                               a.params["preferred_element_type"]));
  return std::vector<Aval>{Aval{dtype, AllWeak(a.operands), std::move(shape)}};
}

// ---- derivatives ----

Value JvpLeft(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  const Value operands[] = {t, x[1]};
  return b.Emit(*params.op(), params, operands)[0];
}
Value JvpRight(Builder& b, Value t, Value, std::span<const Value> x, const Params& params) {
  const Value operands[] = {x[0], t};
  return b.Emit(*params.op(), params, operands)[0];
}

// The cotangent of operand x of a product with y: ct contracted with y over y's kept dimensions,
// then put into x's order. `swapped` says that x was the right operand, whose kept dimensions are
// last in ct.
Value TransposeSide(Builder& b, const TransposeArgs& a, const Aval& x, Value y, const DotDims& d,
                    bool swapped) {
  const Dims x_kept = Remaining(x.rank(), d.lhs_contract, d.lhs_batch);
  const Dims y_kept = Remaining(y.rank(), d.rhs_contract, d.rhs_batch);
  const auto batch = static_cast<int64_t>(d.lhs_batch.size());
  const auto kept = static_cast<int64_t>(y_kept.size());
  const int64_t first = swapped ? batch : batch + static_cast<int64_t>(x_kept.size());
  const DotDims dims{ir::Range(first, first + kept), y_kept, ir::Range(batch), d.rhs_batch};
  const Value product = ir::DotGeneral(b, a.cotangents[0], y, dims, a.params["precision"],
                                       a.params["preferred_element_type"]);
  // The product has x's batch, kept, and then contracted dimensions in y's order.
  Dims order = ir::Concat(d.lhs_batch, x_kept);
  Dims by_y = ir::Range(static_cast<int64_t>(d.rhs_contract.size()));
  std::sort(by_y.begin(), by_y.end(), [&](int64_t i, int64_t j) {
    return d.rhs_contract[static_cast<size_t>(i)] < d.rhs_contract[static_cast<size_t>(j)];
  });
  for (const int64_t i : by_y) order.push_back(d.lhs_contract[static_cast<size_t>(i)]);
  const Value ct = ir::Transpose(b, product, ir::InversePermutation(order));
  return ct.dtype() == x.dtype ? ct : ir::ConvertElementType(b, ct, x.dtype, x.weak_type);
}

std::vector<Value> TransposeDot(Builder& b, const TransposeArgs& a) {
  if (!CheckKnown(b, a, a.operands[0].linear ? 1 : 0)) return {};
  const DotDims d = DimsOf(a.params);
  if (a.operands[0].linear) {
    return {TransposeSide(b, a, a.operands[0].aval, a.operands[1].value, d, false), Value()};
  }
  const DotDims swapped{d.rhs_contract, d.lhs_contract, d.rhs_batch, d.lhs_batch};
  return {Value(), TransposeSide(b, a, a.operands[1].aval, a.operands[0].value, swapped, true)};
}

// ---- batching ----

int64_t CountBelow(const Dims& dims, int64_t limit) {
  return std::count_if(dims.begin(), dims.end(), [&](int64_t d) { return d < limit; });
}

// A batch dimension on both sides becomes a leading batch pair; on one side, one more kept
// dimension of that side.
BatchResult BatchDot(Builder& b, const BatchArgs& a) {
  DotDims d = DimsOf(a.params);
  const int x = a.dims[0];
  const int y = a.dims[1];
  int64_t out = 0;
  if (x != kUnmapped && y == kUnmapped) {
    const Dims kept = Remaining(a.values[0].rank() - 1, d.lhs_contract, d.lhs_batch);
    out = static_cast<int64_t>(d.lhs_batch.size()) + CountBelow(kept, x);
  } else if (x == kUnmapped) {
    const Dims kept = Remaining(a.values[1].rank() - 1, d.rhs_contract, d.rhs_batch);
    out = static_cast<int64_t>(a.values[0].rank() - d.lhs_contract.size()) + CountBelow(kept, y);
  }
  if (x != kUnmapped) {
    d.lhs_contract = ir::PastBatchDim(d.lhs_contract, x);
    d.lhs_batch = ir::PastBatchDim(d.lhs_batch, x);
  }
  if (y != kUnmapped) {
    d.rhs_contract = ir::PastBatchDim(d.rhs_contract, y);
    d.rhs_batch = ir::PastBatchDim(d.rhs_batch, y);
  }
  if (x != kUnmapped && y != kUnmapped) {
    d.lhs_batch.insert(0, x);
    d.rhs_batch.insert(0, y);
  }
  const Value product = ir::DotGeneral(b, a.values[0], a.values[1], d, a.params["precision"],
                                       a.params["preferred_element_type"]);
  return {{product}, {static_cast<int>(out)}};
}

// ---- lowering ----

bool IsFloat8(DType d) {
  return tensor::IsFloat(d) && tensor::BitWidth(d) == 8 && d != DType::kF8E4M3B11FNUZ;
}

// Operands of different types are converted to the result's, unless both are 8-bit floats.
Status LowerDot(LowerContext& c) {
  ASSIGN_OR_RETURN(const std::vector<stablehlo::Precision> precision, PrecisionOf(c.params()));
  const DotDims d = DimsOf(c.params());
  const DType out = c.out_aval().dtype;
  ValueId x = c.in(0);
  ValueId y = c.in(1);
  const DType x_type = c.in_aval(0).dtype;
  const DType y_type = c.in_aval(1).dtype;
  if (x_type != y_type && !(IsFloat8(x_type) && IsFloat8(y_type))) {
    x = c.b().Convert(x, out);
    y = c.b().Convert(y, out);
  }
  c.Out(c.b().DotGeneral(x, y, {d.lhs_batch, d.rhs_batch, d.lhs_contract, d.rhs_contract}, out,
                         {precision[0], precision[1]}));
  return OkStatus();
}

// ---- records ----

using Type = ParamSpec::Type;
using Show = ParamSpec::Show;

constexpr ParamSpec kDotParams[] = {
    {"dimension_numbers", Type::kTuple},
    {"out_sharding", Type::kAny, Show::kUnlessDefault, "None"},
    {"precision", Type::kAny, Show::kUnlessDefault, "None"},
    {"preferred_element_type", Type::kDType, Show::kUnlessDefault, "None"},
};

constexpr Sample kDotSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[5,2]. let c:f32[3,2] = OP[dimension_numbers=(([1], [0]), ([], "
     "[]))] a b in (c,) }"},
    {"{ lambda ; a:f32[5] b:f32[5]. let c:f32[] = OP[dimension_numbers=(([0], [0]), ([], []))] a b "
     "in (c,) }"},
    {"{ lambda ; a:f32[2,3,4] b:f32[5,4,2]. let c:f32[2,3,5] = OP[dimension_numbers=(([2], [1]), "
     "([0], [2]))] a b "
     "in (c,) }"},
    {"{ lambda ; a:f32[2,3,4] b:f32[4,7,3]. let c:f32[2,7] = OP[dimension_numbers=(([1, 2], [2, "
     "0]), ([], []))] a b "
     "in (c,) }"},
    {"{ lambda ; a:f32[2] b:f32[3]. let c:f32[2,3] = OP[dimension_numbers=(([], []), ([], []))] a "
     "b in (c,) }"},
    {"{ lambda ; a:f32[2,0] b:f32[0,3]. let c:f32[2,3] = OP[dimension_numbers=(([1], [0]), ([], "
     "[]))] a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[]. let c:f32[] = OP[dimension_numbers=(([], []), ([], []))] a b in "
     "(c,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "dot_general",
     .arity = 2,
     .params = kDotParams,
     .accepts = ir::kAcceptsNumber | ir::kAcceptsBool,
     .type_rule = DotType,
     .jvp = ir::JvpTerms<JvpLeft, JvpRight>(),
     .transpose = TransposeDot,
     .batch = ir::BatchFull(BatchDot),
     .lower = LowerDot,
     .product = OpDef::Product::kDot,
     .spec = "primitives.md#dot_general",
     .samples = kDotSamples},
};

}  // namespace

std::span<const OpDef> DotOps() { return kOps; }

}  // namespace megalith::ops

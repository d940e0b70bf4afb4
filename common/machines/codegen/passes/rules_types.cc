// Element types that no kernel takes, as others that kernels take: complex sums by their parts,
// narrow integers and floats in wider ones, truths as bits.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

ValueId ConvertTo(Graph& g, Node& at, ValueId x, DType dtype) {
  const TensorType& type = g.type(x);
  if (type.dtype == dtype) return x;
  return g.Emit(at, OpKind::kConvert, {x}, {}, {dtype, type.shape});
}

// Replaces `n`, which combines elements of one array by one operation, by the same with operands
// `x` and `init` of another element type and with operation `kind`; gives its result.
ValueId CombineAs(Graph& g, Node& n, OpKind kind, ValueId x, ValueId init) {
  const TensorType scalar = g.type(init);
  const ValueId operands[] = {x, init};
  const TensorType result{scalar.dtype, g.result_type(n).shape};
  return g
      .EmitNode(n, *n.def, operands, n.attrs, std::span(&result, 1),
                {g.AddBlock({scalar, scalar}, kind)})
      .first_result;
}

// The operation that a reduction or window of one array combines its elements by.
OpKind CombinationOf(const Graph& g, const Node& n) {
  const bool plain = n.num_operands == 2 && g.result_type(n).dtype == g.operand_type(n, 0).dtype;
  return plain ? BodyKind(g, *n.regions[0]) : OpKind::kOther;
}

// A sum of complex numbers is that of their parts.
bool ComplexSum(Graph& g, Node& n) {
  const DType dtype = g.operand_type(n, 0).dtype;
  if (!tensor::IsComplex(dtype) || CombinationOf(g, n) != OpKind::kAdd) return false;
  ValueId sums[2];
  for (const int part : {0, 1}) {
    const OpKind kind = part == 0 ? OpKind::kReal : OpKind::kImag;
    const auto part_of = [&](ValueId v) {
      return g.Emit(n, kind, {v}, {}, {tensor::RealPart(dtype), g.shape(v)});
    };
    const ValueId x = part_of(g.operand(n, 0));
    sums[part] = CombineAs(g, n, OpKind::kAdd, x, part_of(g.operand(n, 1)));
  }
  g.Replace(n, g.Emit(n, OpKind::kComplex, {sums[0], sums[1]}, {}, g.result_type(n)));
  return true;
}

// Of two truths the larger is their disjunction, the smaller their conjunction.
bool BoolExtremes(Graph& g, Node& n) {
  if (!tensor::IsBool(g.operand_type(n, 0).dtype)) return false;
  const OpKind kind = CombinationOf(g, n);
  const bool most = kind == OpKind::kMaximum || kind == OpKind::kAdd;
  if (!most && kind != OpKind::kMinimum && kind != OpKind::kMultiply) return false;
  g.Replace(n,
            CombineAs(g, n, most ? OpKind::kOr : OpKind::kAnd, g.operand(n, 0), g.operand(n, 1)));
  return true;
}

// A type with room for numbers of a narrow one; the type itself if kernels have it.
DType RoomFor(DType dtype) {
  if (tensor::IsInteger(dtype) && tensor::BitWidth(dtype) < 8) {
    return tensor::IsSigned(dtype) ? DType::kI8 : DType::kU8;
  }
  return tensor::IsFloat(dtype) && tensor::BitWidth(dtype) <= 8 ? DType::kF32 : dtype;
}

// Integers wrap as late as one likes; the evaluator adds up narrow floats in f32, too.
bool NarrowCombination(Graph& g, Node& n) {
  const DType narrow = g.operand_type(n, 0).dtype;
  const DType wide = RoomFor(narrow);
  if (wide == narrow) return false;
  const OpKind kind = CombinationOf(g, n);
  switch (kind) {
    case OpKind::kAdd:
    case OpKind::kMultiply:
    case OpKind::kMaximum:
    case OpKind::kMinimum:
    case OpKind::kAnd:
    case OpKind::kOr:
    case OpKind::kXor:
      break;
    default:
      return false;
  }
  const ValueId x = ConvertTo(g, n, g.operand(n, 0), wide);
  const ValueId init = ConvertTo(g, n, g.operand(n, 1), wide);
  g.Replace(n, ConvertTo(g, n, CombineAs(g, n, kind, x, init), narrow));
  return true;
}

// What a product algorithm rounds an operand to before it multiplies; kInvalid: nothing.
DType RoundsTo(DType operand, const stablehlo::PrecisionType& precision, int64_t components) {
  const bool narrower = tensor::IsFloat(precision.dtype) &&
                        tensor::BitWidth(precision.dtype) < tensor::BitWidth(operand);
  return narrower && !precision.tf32 && components == 1 ? precision.dtype : DType::kInvalid;
}

// Algorithms that split operands amount to full f32; the others round operands first.
bool DotAlgorithmToTypes(Graph& g, Node& n) {
  const Attr& attr = n.attr("algorithm");
  if (!attr.present()) return false;
  const stablehlo::DotAlgorithm algorithm = attr.AsDotAlgorithm();
  // Products of doubles stay such even if both operands are rounded to less.
  const auto is_double = [](DType d) { return tensor::RealPart(d) == DType::kF64; };
  const bool wide = is_double(g.operand_type(n, 0).dtype) || is_double(g.operand_type(n, 1).dtype);
  for (const uint32_t i : {0u, 1u}) {
    const DType dtype = g.operand_type(n, i).dtype;
    const DType to = i == 0 ? RoundsTo(dtype, algorithm.lhs, algorithm.lhs_components)
                            : RoundsTo(dtype, algorithm.rhs, algorithm.rhs_components);
    if (to == DType::kInvalid) continue;
    ValueId rounded = ConvertTo(g, n, g.operand(n, i), to);
    if (wide && !is_double(g.result_type(n).dtype)) rounded = ConvertTo(g, n, rounded, dtype);
    g.SetOperand(n, i, rounded);
  }
  SetAttr(&n.attrs, "algorithm", Attr());
  std::erase_if(n.attrs, [](const auto& named) { return named.name == "algorithm"; });
  return true;
}

// Products are made in f32, or of integers in 32 bits; narrow types are exact in it.
bool NarrowProduct(Graph& g, Node& n) {
  bool changed = false;
  for (uint32_t i = 0; i < 2; ++i) {
    const DType wide = RoomFor(g.operand_type(n, i).dtype);
    if (wide == g.operand_type(n, i).dtype) continue;
    g.SetOperand(n, i, ConvertTo(g, n, g.operand(n, i), wide));
    changed = true;
  }
  const TensorType result = g.result_type(n);
  const DType wide = RoomFor(result.dtype);
  if (wide == result.dtype) return changed;
  const ValueId operands[] = {g.operand(n, 0), g.operand(n, 1)};
  const ValueId product = g.Emit(n, n.kind, operands, n.attrs, {wide, result.shape});
  g.Replace(n, ConvertTo(g, n, product, result.dtype));
  return true;
}

// What a scatter takes away it might as well add, negated.
bool ScatterSubtract(Graph& g, Node& n) {
  if (n.num_operands != 3 || BodyKind(g, *n.regions[0]) != OpKind::kSubtract) return false;
  const TensorType update = g.operand_type(n, 2);
  const bool whole = tensor::IsInteger(update.dtype);
  const ValueId negated =
      whole ? g.Emit(n, OpKind::kSubtract, {g.SplatInt(update, 0), g.operand(n, 2)}, {}, update)
            : g.Emit(n, OpKind::kNegate, {g.operand(n, 2)}, {}, update);
  const ValueId operands[] = {g.operand(n, 0), g.operand(n, 1), negated};
  const TensorType scalar{update.dtype, Shape{}};
  const TensorType result = g.result_type(n);
  g.Replace(n, g.EmitNode(n, *n.def, operands, n.attrs, std::span(&result, 1),
                          {g.AddBlock({scalar, scalar}, OpKind::kAdd)})
                   .first_result);
  return true;
}

constexpr Rule kRules[] = {
    {"reduce_complex_sum", OpKind::kReduce, ComplexSum, Keeps::kTerms},
    {"window_complex_sum", OpKind::kReduceWindow, ComplexSum, Keeps::kTerms},
    {"reduce_truths", OpKind::kReduce, BoolExtremes},
    {"window_truths", OpKind::kReduceWindow, BoolExtremes},
    {"reduce_narrow", OpKind::kReduce, NarrowCombination},
    {"window_narrow", OpKind::kReduceWindow, NarrowCombination},
    {"dot_algorithm", OpKind::kDotGeneral, DotAlgorithmToTypes},
    {"dot_narrow", OpKind::kDotGeneral, NarrowProduct},
    {"convolution_narrow", OpKind::kConvolution, NarrowProduct},
    {"scatter_subtract", OpKind::kScatter, ScatterSubtract},
};

}  // namespace

std::span<const Rule> TypeRules() { return kRules; }

}  // namespace megalith::codegen

#include "common/machines/codegen/passes/match.h"

#include <cmath>
#include <limits>

namespace megalith::codegen {

const Tensor* SplatOf(const Graph& g, ValueId v) {
  const Dense* d = g.ConstantOf(v);
  if (d == nullptr || d->data.size() != 1) return nullptr;
  return &d->data;
}

std::optional<int64_t> IntSplat(const Graph& g, ValueId v) {
  const DType d = g.dtype(v);
  if (!tensor::IsInteger(d) && d != DType::kBool) return std::nullopt;
  const Tensor* t = SplatOf(g, v);
  return t != nullptr ? std::optional(t->IntAt(0)) : std::nullopt;
}

std::optional<double> FloatSplat(const Graph& g, ValueId v) {
  if (!tensor::IsFloat(g.dtype(v))) return std::nullopt;
  const Tensor* t = SplatOf(g, v);
  return t != nullptr ? std::optional(t->DoubleAt(0)) : std::nullopt;
}

bool IsIntSplat(const Graph& g, ValueId v, int64_t value) {
  const auto x = IntSplat(g, v);
  return x.has_value() && *x == value;
}

bool IsFloatSplat(const Graph& g, ValueId v, double value) {
  const auto x = FloatSplat(g, v);
  return x.has_value() && *x == value && std::signbit(*x) == std::signbit(value);
}

bool IsNumberSplat(const Graph& g, ValueId v, double value) {
  if (const auto x = FloatSplat(g, v)) return *x == value;
  const auto x = IntSplat(g, v);
  return x.has_value() && static_cast<double>(*x) == value;
}

int64_t LowestOf(DType d) {
  if (!tensor::IsSigned(d)) return 0;
  return std::numeric_limits<int64_t>::min() >> (64 - tensor::BitWidth(d));
}

int64_t HighestOf(DType d) {
  const int bits = tensor::BitWidth(d);
  if (tensor::IsSigned(d)) return std::numeric_limits<int64_t>::max() >> (64 - bits);
  return static_cast<int64_t>(std::numeric_limits<uint64_t>::max() >> (64 - bits));
}

bool IsAllOnes(const Graph& g, ValueId v) {
  const DType d = g.dtype(v);
  if (d == DType::kBool) return IsIntSplat(g, v, 1);
  if (!IsWholeInt(d)) return false;
  return IsIntSplat(g, v, tensor::IsSigned(d) ? -1 : HighestOf(d));
}

Shape Squeezed(const Shape& shape) {
  Shape out;
  for (const int64_t d : shape) {
    if (d != 1) out.push_back(d);
  }
  return out;
}

bool IsCommutative(const Graph& g, const Node& n) {
  const bool ordered = n.kind == OpKind::kMaximum || n.kind == OpKind::kMinimum;
  return n.def->has(stablehlo::kCommutative) &&
         !(ordered && tensor::IsComplex(g.dtype(g.operand(n, 0))));
}

OpKind BodyKind(const Graph& g, const Block& b) {
  if (b.args.size() != 2 || b.first == nullptr || b.first->next != b.last) return OpKind::kOther;
  const Node& n = *b.first;
  if (n.num_operands != 2 || n.num_results != 1 || b.last->num_operands != 1 ||
      g.operand(*b.last, 0) != n.first_result) {
    return OpKind::kOther;
  }
  const ValueId x = g.operand(n, 0);
  const ValueId y = g.operand(n, 1);
  const bool swapped = IsCommutative(g, n) && x == b.args[1] && y == b.args[0];
  return swapped || (x == b.args[0] && y == b.args[1]) ? n.kind : OpKind::kOther;
}

}  // namespace megalith::codegen

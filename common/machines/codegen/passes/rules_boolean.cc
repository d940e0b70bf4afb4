// Identities of bits, comparisons and selections.
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

using stablehlo::CompareDirection;
using stablehlo::CompareType;

bool IsBits(DType d) { return d == DType::kBool || IsWholeInt(d); }

ValueId Zeros(Graph& g, const TensorType& type) { return g.SplatInt(type, 0); }
ValueId Ones(Graph& g, const TensorType& type) {
  return g.SplatInt(type, type.dtype == DType::kBool ? 1 : -1);
}

bool ConstantToTheRight(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  const ValueId y = g.operand(n, 1);
  if (g.ConstantOf(x) == nullptr || g.ConstantOf(y) != nullptr) return false;
  g.SetOperands(n, {y, x});
  return true;
}

bool GatherConstants(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), n.kind);
  if (!IsBits(g.result_type(n).dtype) || inner == nullptr ||
      g.ConstantOf(g.operand(n, 1)) == nullptr || g.ConstantOf(g.operand(*inner, 1)) == nullptr ||
      g.ConstantOf(g.operand(*inner, 0)) != nullptr) {
    return false;
  }
  const ValueId constants =
      g.Emit(n, n.kind, {g.operand(*inner, 1), g.operand(n, 1)}, {}, g.result_type(n));
  g.SetOperands(n, {g.operand(*inner, 0), constants});
  return true;
}

// --- and, or, xor, not ---

bool BitsWithSelf(Graph& g, Node& n) {
  if (g.operand(n, 0) != g.operand(n, 1)) return false;
  g.Replace(n, n.kind == OpKind::kXor ? Zeros(g, g.result_type(n)) : g.operand(n, 0));
  return true;
}

bool BitsWithZeros(Graph& g, Node& n) {
  if (!IsIntSplat(g, g.operand(n, 1), 0)) return false;
  g.Replace(n, g.operand(n, n.kind == OpKind::kAnd ? 1 : 0));
  return true;
}

bool BitsWithOnes(Graph& g, Node& n) {
  if (!IsAllOnes(g, g.operand(n, 1))) return false;
  if (n.kind == OpKind::kXor) {
    g.Become(n, OpKind::kNot, {g.operand(n, 0)});
    return true;
  }
  g.Replace(n, g.operand(n, n.kind == OpKind::kAnd ? 0 : 1));
  return true;
}

// x and not x; also a comparison and its opposite.
bool BitsWithComplement(Graph& g, Node& n) {
  if (!IsBits(g.result_type(n).dtype)) return false;
  for (uint32_t i = 0; i < 2; ++i) {
    const Node* inverted = g.DefOfKind(g.operand(n, i), OpKind::kNot);
    if (inverted == nullptr || g.operand(*inverted, 0) != g.operand(n, 1 - i)) continue;
    g.Replace(n, n.kind == OpKind::kAnd ? Zeros(g, g.result_type(n)) : Ones(g, g.result_type(n)));
    return true;
  }
  return false;
}

// x and (x or y), (x and y) and y, and the same with the operations exchanged.
bool BitsAbsorb(Graph& g, Node& n) {
  for (uint32_t i = 0; i < 2; ++i) {
    const Node* inner = g.def(g.operand(n, i));
    if (inner == nullptr || (inner->kind != OpKind::kAnd && inner->kind != OpKind::kOr)) continue;
    const ValueId other = g.operand(n, 1 - i);
    if (g.operand(*inner, 0) != other && g.operand(*inner, 1) != other) continue;
    g.Replace(n, inner->kind == n.kind ? inner->first_result : other);
    return true;
  }
  return false;
}

bool NotTwice(Graph& g, Node& n) {
  const Node* inner = g.DefOfKind(g.operand(n, 0), OpKind::kNot);
  if (inner == nullptr) return false;
  g.Replace(n, g.operand(*inner, 0));
  return true;
}

CompareDirection DirectionOf(const Node& n) {
  return static_cast<CompareDirection>(n.attr("comparison_direction").AsEnum());
}
CompareType TypeOf(const Node& n) {
  const Attr& type = n.attr("compare_type");
  return type.present() ? static_cast<CompareType>(type.AsEnum()) : CompareType::kNoType;
}

CompareDirection Opposite(CompareDirection d) {
  switch (d) {
    case CompareDirection::kEq:
      return CompareDirection::kNe;
    case CompareDirection::kNe:
      return CompareDirection::kEq;
    case CompareDirection::kGe:
      return CompareDirection::kLt;
    case CompareDirection::kGt:
      return CompareDirection::kLe;
    case CompareDirection::kLe:
      return CompareDirection::kGt;
    case CompareDirection::kLt:
      return CompareDirection::kGe;
  }
  return d;
}
CompareDirection Mirrored(CompareDirection d) {
  switch (d) {
    case CompareDirection::kGe:
      return CompareDirection::kLe;
    case CompareDirection::kGt:
      return CompareDirection::kLt;
    case CompareDirection::kLe:
      return CompareDirection::kGe;
    case CompareDirection::kLt:
      return CompareDirection::kGt;
    default:
      return d;
  }
}

AttrDict WithDirection(const Node& n, CompareDirection d) {
  AttrDict attrs = n.attrs;
  SetAttr(&attrs, "comparison_direction", Attr::Of(d));
  return attrs;
}

// Orders of floats have no opposites because of NaN; EQ and NE do.
bool NotOfCompare(Graph& g, Node& n) {
  const Node* compare = g.DefOfKind(g.operand(n, 0), OpKind::kCompare);
  if (compare == nullptr || g.use_count(compare->first_result) != 1) return false;
  const CompareDirection d = DirectionOf(*compare);
  const bool equality = d == CompareDirection::kEq || d == CompareDirection::kNe;
  if (!equality && tensor::IsInexact(g.operand_type(*compare, 0).dtype) &&
      TypeOf(*compare) != CompareType::kTotalOrder) {
    return false;
  }
  AttrDict attrs = WithDirection(*compare, Opposite(d));
  g.Become(n, OpKind::kCompare, g.operands(*compare), std::move(attrs));
  return true;
}

// --- compare ---

bool CompareConstantToTheRight(Graph& g, Node& n) {
  const ValueId x = g.operand(n, 0);
  const ValueId y = g.operand(n, 1);
  if (g.ConstantOf(x) == nullptr || g.ConstantOf(y) != nullptr) return false;
  n.attrs = WithDirection(n, Mirrored(DirectionOf(n)));
  g.SetOperands(n, {y, x});
  return true;
}

bool CompareWithSelf(Graph& g, Node& n) {
  if (g.operand(n, 0) != g.operand(n, 1)) return false;
  if (tensor::IsInexact(g.operand_type(n, 0).dtype) && TypeOf(n) != CompareType::kTotalOrder)
    return false;
  const CompareDirection d = DirectionOf(n);
  const bool holds =
      d == CompareDirection::kEq || d == CompareDirection::kGe || d == CompareDirection::kLe;
  g.Replace(n, g.SplatInt(g.result_type(n), holds ? 1 : 0));
  return true;
}

// No number lies beyond the bounds of its type.
bool CompareWithBound(Graph& g, Node& n) {
  const DType d = g.operand_type(n, 0).dtype;
  if (!IsWholeInt(d)) return false;
  const CompareDirection direction = DirectionOf(n);
  const bool low = IsIntSplat(g, g.operand(n, 1), LowestOf(d));
  const bool high = IsIntSplat(g, g.operand(n, 1), HighestOf(d));
  const bool never =
      (low && direction == CompareDirection::kLt) || (high && direction == CompareDirection::kGt);
  const bool always =
      (low && direction == CompareDirection::kGe) || (high && direction == CompareDirection::kLe);
  if (!never && !always) return false;
  g.Replace(n, g.SplatInt(g.result_type(n), always ? 1 : 0));
  return true;
}

// A boolean against a constant is itself or its opposite; the same for one converted to a number.
bool CompareOfBoolean(Graph& g, Node& n) {
  ValueId x = g.operand(n, 0);
  const bool zero = IsNumberSplat(g, g.operand(n, 1), 0);
  if (!zero && !IsNumberSplat(g, g.operand(n, 1), 1)) return false;
  if (const Node* convert = g.DefOfKind(x, OpKind::kConvert)) x = g.operand(*convert, 0);
  if (g.dtype(x) != DType::kBool || TypeOf(n) == CompareType::kTotalOrder) return false;
  const CompareDirection d = DirectionOf(n);
  if (d != CompareDirection::kEq && d != CompareDirection::kNe) return false;
  if ((d == CompareDirection::kEq) == zero) {
    g.Become(n, OpKind::kNot, {x});
  } else {
    g.Replace(n, x);
  }
  return true;
}

// (x + c) == d with constants: x == d - c. Wrapping keeps equality, not order.
bool CompareOfSum(Graph& g, Node& n) {
  const Node* sum = g.DefOfKind(g.operand(n, 0), OpKind::kAdd);
  const CompareDirection d = DirectionOf(n);
  if (sum == nullptr || (d != CompareDirection::kEq && d != CompareDirection::kNe)) return false;
  const auto c = IntSplat(g, g.operand(*sum, 1));
  const auto right = IntSplat(g, g.operand(n, 1));
  if (!c || !right || !IsWholeInt(g.operand_type(n, 0).dtype)) return false;
  const auto difference =
      static_cast<int64_t>(static_cast<uint64_t>(*right) - static_cast<uint64_t>(*c));
  g.SetOperands(n, {g.operand(*sum, 0), g.SplatInt(g.operand_type(n, 0), difference)});
  return true;
}

// --- select ---

bool SelectConstant(Graph& g, Node& n) {
  const auto p = IntSplat(g, g.operand(n, 0));
  if (!p) return false;
  g.Replace(n, g.operand(n, *p != 0 ? 1 : 2));
  return true;
}

bool SelectSame(Graph& g, Node& n) {
  if (g.operand(n, 1) != g.operand(n, 2)) return false;
  g.Replace(n, g.operand(n, 1));
  return true;
}

bool SelectNot(Graph& g, Node& n) {
  const Node* inverted = g.DefOfKind(g.operand(n, 0), OpKind::kNot);
  if (inverted == nullptr) return false;
  g.SetOperands(n, {g.operand(*inverted, 0), g.operand(n, 2), g.operand(n, 1)});
  return true;
}

// Of booleans: p ? true : x is p or x, p ? x : false is p and x.
bool SelectBoolean(Graph& g, Node& n) {
  const ValueId p = g.operand(n, 0);
  if (g.result_type(n).dtype != DType::kBool || !(g.type(p) == g.result_type(n))) return false;
  const ValueId x = g.operand(n, 1);
  const ValueId y = g.operand(n, 2);
  if (IsIntSplat(g, x, 1) && IsIntSplat(g, y, 0)) {
    g.Replace(n, p);
  } else if (IsIntSplat(g, x, 0) && IsIntSplat(g, y, 1)) {
    g.Become(n, OpKind::kNot, {p});
  } else if (IsIntSplat(g, x, 1)) {
    g.Become(n, OpKind::kOr, {p, y});
  } else if (IsIntSplat(g, y, 0)) {
    g.Become(n, OpKind::kAnd, {p, x});
  } else {
    return false;
  }
  return true;
}

// p ? (p ? a : b) : c.
bool SelectNested(Graph& g, Node& n) {
  bool changed = false;
  for (uint32_t i = 1; i < 3; ++i) {
    const Node* inner = g.DefOfKind(g.operand(n, i), OpKind::kSelect);
    if (inner == nullptr || g.operand(*inner, 0) != g.operand(n, 0)) continue;
    g.SetOperand(n, i, g.operand(*inner, i));
    changed = true;
  }
  return changed;
}

// A predicate that is one scalar everywhere.
bool SelectUniform(Graph& g, Node& n) {
  const Node* spread = g.DefOfKind(g.operand(n, 0), OpKind::kBroadcastInDim);
  if (spread == nullptr || g.operand_type(*spread, 0).rank() != 0) return false;
  g.SetOperand(n, 0, g.operand(*spread, 0));
  return true;
}

constexpr Rule kRules[] = {
    {"and_constant_right", OpKind::kAnd, ConstantToTheRight},
    {"and_self", OpKind::kAnd, BitsWithSelf},
    {"and_zeros", OpKind::kAnd, BitsWithZeros},
    {"and_ones", OpKind::kAnd, BitsWithOnes},
    {"and_complement", OpKind::kAnd, BitsWithComplement},
    {"and_absorb", OpKind::kAnd, BitsAbsorb},
    {"and_gather_constants", OpKind::kAnd, GatherConstants},
    {"or_constant_right", OpKind::kOr, ConstantToTheRight},
    {"or_self", OpKind::kOr, BitsWithSelf},
    {"or_zeros", OpKind::kOr, BitsWithZeros},
    {"or_ones", OpKind::kOr, BitsWithOnes},
    {"or_complement", OpKind::kOr, BitsWithComplement},
    {"or_absorb", OpKind::kOr, BitsAbsorb},
    {"or_gather_constants", OpKind::kOr, GatherConstants},
    {"xor_constant_right", OpKind::kXor, ConstantToTheRight},
    {"xor_self", OpKind::kXor, BitsWithSelf},
    {"xor_zeros", OpKind::kXor, BitsWithZeros},
    {"xor_ones", OpKind::kXor, BitsWithOnes},
    {"xor_complement", OpKind::kXor, BitsWithComplement},
    {"xor_gather_constants", OpKind::kXor, GatherConstants},
    {"not_twice", OpKind::kNot, NotTwice},
    {"not_compare", OpKind::kNot, NotOfCompare},
    {"compare_constant_right", OpKind::kCompare, CompareConstantToTheRight},
    {"compare_self", OpKind::kCompare, CompareWithSelf},
    {"compare_bound", OpKind::kCompare, CompareWithBound},
    {"compare_boolean", OpKind::kCompare, CompareOfBoolean},
    {"compare_sum", OpKind::kCompare, CompareOfSum},
    {"select_constant", OpKind::kSelect, SelectConstant},
    {"select_same", OpKind::kSelect, SelectSame},
    {"select_not", OpKind::kSelect, SelectNot},
    {"select_boolean", OpKind::kSelect, SelectBoolean},
    {"select_nested", OpKind::kSelect, SelectNested},
    {"select_uniform", OpKind::kSelect, SelectUniform},
};

}  // namespace

std::span<const Rule> BooleanRules() { return kRules; }

}  // namespace megalith::codegen

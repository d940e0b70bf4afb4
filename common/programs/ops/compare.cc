// Comparisons, and the choices that are made with them: select_n and clamp.
#include "common/foundation/base/strings.h"
#include "common/programs/ops/families.h"
#include "common/programs/ops/lower.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {
namespace {

using ir::Binary;
using ir::Select;

using Operands = std::span<const Value>;

// ---- select_n ----

std::string ShapesText(std::span<const Aval> avals) {
  std::vector<std::string> texts;
  for (const Aval& a : avals) texts.push_back(tensor::TupleText(a.shape));
  return Join(texts, ", ");
}

Types SelectType(const TypeArgs& a) {
  if (a.operands.size() < 2) return TypeError("select must have at least one case");
  const Aval& which = a.operands[0];
  const std::span<const Aval> cases = a.operands.subspan(1);
  for (const Aval& c : cases) {
    if (c.shape == cases[0].shape) continue;
    return TypeError(
        StrCat("select cases must have the same shapes, got [", ShapesText(cases), "]."));
  }
  if (which.rank() > 0 && which.shape != cases[0].shape) {
    return TypeError(
        StrCat("select `which` must be scalar or have the same shape as cases, got `which` shape ",
               tensor::TupleText(which.shape), " but case shape ",
               tensor::TupleText(cases[0].shape), "."));
  }
  RETURN_IF_ERROR(CheckSameDTypes("select", cases));
  if (!tensor::IsBool(which.dtype) && !tensor::IsInteger(which.dtype)) {
    return TypeError(StrCat("select `which` must be boolean or integer type, got ",
                            DTypeText(which.dtype), "."));
  }
  if (tensor::IsBool(which.dtype) && cases.size() > 2) {
    return TypeError("select with boolean `which` cannot have > 2 cases.");
  }
  return std::vector<Aval>{Aval{cases[0].dtype, AllWeak(cases), cases[0].shape}};
}

JvpResult JvpSelect(Builder& b, const JvpArgs& a) {
  JvpResult out{.primals = b.Emit(a.op, a.params, a.primals), .tangents = {}};
  Value some;
  for (const Value& t : a.tangents.subspan(1)) {
    if (t && !some) some = t;
  }
  if (!some) {
    out.tangents = {Value()};
    return out;
  }
  const Value zeros = ir::FullLike(b, some, 0);
  std::vector<Value> operands{a.primals[0]};
  for (const Value& t : a.tangents.subspan(1)) operands.push_back(t ? t : zeros);
  out.tangents = b.Emit(a.op, a.params, operands);
  return out;
}

std::vector<Value> TransposeSelect(Builder& b, const TransposeArgs& a) {
  if (!CheckKnown(b, a, 0)) return {};
  const Value& ct = a.cotangents[0];
  const Value& which = a.operands[0].value;
  std::vector<Value> out(a.operands.size());
  const Value zeros = ir::FullLike(b, ct, 0);
  for (size_t i = 1; i < a.operands.size(); ++i) {
    if (!a.operands[i].linear) continue;
    if (tensor::IsBool(which.dtype())) {
      out[i] = i == 1 ? Select(b, which, zeros, ct) : Select(b, which, ct, zeros);
    } else {
      const Value chosen =
          Binary(b, "eq", which, ir::ScalarLike(b, which, static_cast<double>(i - 1)));
      out[i] = Select(b, chosen, ct, zeros);
    }
  }
  return out;
}

bool AllEqual(std::span<const int> dims) {
  for (const int d : dims) {
    if (d != dims[0]) return false;
  }
  return true;
}

// The general case: batch dimensions first, missing ones filled by copies.
BatchResult BatchSelectAtFront(Builder& b, const BatchArgs& a) {
  std::vector<Value> v(a.values.begin(), a.values.end());
  const int64_t size = a.axis.size;
  if (v[0].rank() > 0) v[0] = ir::BatchAtFront(b, v[0], a.dims[0], size);
  bool scalars = true;
  for (size_t i = 1; i < v.size(); ++i) scalars = scalars && v[i].rank() == 0;
  for (size_t i = 1; i < v.size() && !scalars; ++i)
    v[i] = ir::BatchAtFront(b, v[i], a.dims[i], size);
  if (v[0].rank() > 0 && v[0].rank() < v[1].rank()) {
    v[0] = ir::BroadcastInDim(b, v[0], v[1].shape(), Dims{0});
  }
  if (v[0].rank() > v[1].rank()) {
    for (size_t i = 1; i < v.size(); ++i) v[i] = ir::Broadcast(b, v[i], v[0].shape());
  }
  return {b.Emit(a.op, a.params, v), {0}};
}

BatchResult BatchSelect(Builder& b, const BatchArgs& a) {
  const Value& which = a.values[0];
  const int which_dim = a.dims[0];
  const std::span<const int> case_dims = a.dims.subspan(1);
  const bool one_case_dim = AllEqual(case_dims);
  if (one_case_dim && case_dims[0] == which_dim) {
    std::vector<Value> v(a.values.begin(), a.values.end());
    // A scalar choice between arrays was mapped.
    if (which.shape() != v[1].shape())
      v[0] = ir::BroadcastInDim(b, which, v[1].shape(), Dims{which_dim});
    return {b.Emit(a.op, a.params, v), {which_dim}};
  }
  bool all_mapped = true;
  bool same_shapes = true;
  for (size_t i = 0; i < case_dims.size(); ++i) {
    all_mapped = all_mapped && case_dims[i] != kUnmapped;
    same_shapes = same_shapes && a.values[i + 1].shape() == a.values[1].shape();
  }
  if (which.rank() == 0 && all_mapped && (one_case_dim || same_shapes)) {
    std::vector<Value> v(a.values.begin(), a.values.end());
    for (size_t i = 2; i < v.size(); ++i) v[i] = ir::MoveAxis(b, v[i], a.dims[i], case_dims[0]);
    return {b.Emit(a.op, a.params, v), {case_dims[0]}};
  }
  return BatchSelectAtFront(b, a);
}

// ---- clamp ----

Types ClampType(const TypeArgs& a) {
  const Aval& low = a.operands[0];
  const Aval& x = a.operands[1];
  const Aval& high = a.operands[2];
  const auto check = [&x](std::string_view name, const Aval& bound) -> Status {
    if (bound.rank() == 0 || bound.shape == x.shape) return OkStatus();
    return TypeError(StrCat("clamp requires ", name, ".shape == operand.shape or ", name,
                            ".shape == (), got ", name, ".shape=", tensor::TupleText(bound.shape),
                            ", operand.shape=", tensor::TupleText(x.shape), "."));
  };
  RETURN_IF_ERROR(check("min", low));
  RETURN_IF_ERROR(check("max", high));
  for (size_t i = 0; i < 3; ++i) RETURN_IF_ERROR(CheckAccepts(a, i));
  RETURN_IF_ERROR(CheckSameDTypes("clamp", a.operands));
  return std::vector<Aval>{Aval{x.dtype, AllWeak(a.operands), x.shape}};
}

// The tangent where `first` and `second` hold, zero elsewhere.
Value WhereBoth(Builder& b, Value t, Value first, Value second, Value x) {
  const Value both = Binary(b, "and", first, second);
  return Select(b, both, t, ir::FullLike(b, x, 0));
}
Value JvpClampLow(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value below = Binary(b, "gt", x[0], x[1]);
  const Value ordered = Binary(b, "lt", x[0], x[2]);
  return WhereBoth(b, t, below, ordered, x[1]);
}
Value JvpClampOperand(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value above_low = Binary(b, "gt", x[1], x[0]);
  const Value below_high = Binary(b, "lt", x[1], x[2]);
  return WhereBoth(b, t, above_low, below_high, x[1]);
}
Value JvpClampHigh(Builder& b, Value t, Value, Operands x, const Params&) {
  const Value above = Binary(b, "lt", x[2], x[1]);
  return Select(b, above, t, ir::FullLike(b, x[1], 0));
}

BatchResult BatchClamp(Builder& b, const BatchArgs& a) {
  Value low = a.values[0];
  Value x = a.values[1];
  Value high = a.values[2];
  const int dim = a.dims[1];
  const auto emit = [&](int out_dim) -> BatchResult {
    return {b.Emit(a.op, a.params, std::vector<Value>{low, x, high}), {out_dim}};
  };
  if (a.dims[0] == dim && a.dims[2] == dim) {
    if (low.shape() == x.shape() && high.shape() == x.shape()) return emit(dim);
    if (low.rank() == 1 && high.rank() == 1) {
      low = ir::BroadcastInDim(b, low, x.shape(), Dims{dim});
      high = ir::BroadcastInDim(b, high, x.shape(), Dims{dim});
      return emit(dim);
    }
  } else if (low.rank() == 0 && high.rank() == 0 && dim != kUnmapped) {
    return emit(dim);
  }
  const int64_t size = a.axis.size;
  if (low.rank() > 0) low = ir::BatchAtFront(b, low, a.dims[0], size);
  if (high.rank() > 0) high = ir::BatchAtFront(b, high, a.dims[2], size);
  if (x.rank() > 0) x = ir::BatchAtFront(b, x, dim, size);
  if (low.rank() == 0 && x.rank() > 0) low = ir::Broadcast(b, low, x.shape());
  if (high.rank() == 0 && x.rank() > 0) high = ir::Broadcast(b, high, x.shape());
  if (low.rank() > 0 && low.rank() < x.rank()) low = ir::BroadcastInDim(b, low, x.shape(), Dims{0});
  if (high.rank() > 0 && high.rank() < x.rank())
    high = ir::BroadcastInDim(b, high, x.shape(), Dims{0});
  if (low.rank() > x.rank() || high.rank() > x.rank()) {
    x = ir::Broadcast(b, x, low.rank() > x.rank() ? low.shape() : high.shape());
  }
  return emit(0);
}

// ---- lowering ----

using stablehlo::CompareDirection;

template <CompareDirection Direction, bool TotalOrder>
Status LowerCompare(LowerContext& c) {
  const Values v = c.BroadcastOperands();
  const bool total = TotalOrder && tensor::IsFloat(c.in_aval(0).dtype);
  c.Out(total ? c.b().Compare(Direction, v[0], v[1], stablehlo::CompareType::kTotalOrder)
              : c.b().Compare(Direction, v[0], v[1]));
  return OkStatus();
}

// Physical form of `x` (of type `aval`, with key words last) broadcast to the shape of `to`.
ValueId BroadcastPhysical(FuncBuilder& b, ValueId x, const Aval& aval, const TensorType& to) {
  if (b.shape(x) == to.shape) return x;
  Dims dims;
  const auto rank = static_cast<int64_t>(to.rank());
  const auto words = lowering::PhysicalRank(aval);
  const auto own = static_cast<int64_t>(aval.rank());
  for (int64_t i = 0; i < own; ++i) dims.push_back(rank - words - own + i);
  for (int64_t i = 0; i < words; ++i) dims.push_back(rank - words + i);
  return b.BroadcastInDim(x, to.shape, dims);
}

// Keys are equal if all their words are.
template <bool Equal>
Status LowerEquality(LowerContext& c) {
  constexpr CompareDirection kDirection = Equal ? CompareDirection::kEq : CompareDirection::kNe;
  const Aval& x = c.in_aval(0);
  if (!tensor::IsKey(x.dtype)) return LowerCompare<kDirection, false>(c);
  const TensorType physical = lowering::PhysicalType(Aval{x.dtype, false, c.out_aval().shape});
  const ValueId left = BroadcastPhysical(c.b(), c.in(0), x, physical);
  const ValueId right = BroadcastPhysical(c.b(), c.in(1), c.in_aval(1), physical);
  const ValueId words = c.b().Compare(kDirection, left, right);
  const Dims axes{static_cast<int64_t>(physical.rank()) - 1};
  const ValueId init = c.b().Splat(TensorType::Scalar(DType::kBool), Equal);
  c.Out(c.b().Reduce(words, init, axes, Equal ? "stablehlo.and" : "stablehlo.or"));
  return OkStatus();
}

// StableHLO clamps what is ordered; complex numbers are compared as pairs, as maximum and minimum
// do.
Status LowerClamp(LowerContext& c) {
  const Values v = c.BroadcastOperands();
  const bool complex = tensor::IsComplex(c.out_aval().dtype);
  c.Out(complex ? MinOf(c.b(), MaxOf(c.b(), v[1], v[0]), v[2]) : c.b().Clamp(v[0], v[1], v[2]));
  return OkStatus();
}

// Cases from `first` on, by binary search.
ValueId SelectCase(LowerContext& c, ValueId which, std::span<const ValueId> cases, size_t first) {
  if (cases.size() == 1) return cases[0];
  const size_t mid = cases.size() / 2;
  const ValueId bound = FullOf(c.b(), c.b().type(which), static_cast<double>(first + mid));
  const ValueId below = c.b().Compare(CompareDirection::kLt, which, bound);
  const ValueId left = SelectCase(c, which, cases.first(mid), first);
  const ValueId right = SelectCase(c, which, cases.subspan(mid), first + mid);
  return c.b().Select(below, left, right);
}

Status LowerSelect(LowerContext& c) {
  ValueId which = c.in(0);
  const std::span<const ValueId> cases = std::span(c.ins()).subspan(1);
  if (tensor::IsKey(c.out_aval().dtype)) {
    which = c.b().BroadcastInDim(which, c.out_type().shape,
                                 ir::Range(static_cast<int64_t>(c.in_aval(0).rank())));
  }
  if (!tensor::IsBool(c.in_aval(0).dtype)) {
    c.Out(SelectCase(c, which, cases, 0));
  } else {
    c.Out(cases.size() == 1 ? cases[0] : c.b().Select(which, cases[1], cases[0]));
  }
  return OkStatus();
}

// ---- rows ----

constexpr uint16_t kOrdered = ir::kAcceptsOrdered;
constexpr uint16_t kNumberOrBool = ir::kAcceptsNumber | ir::kAcceptsBool;

constexpr Sample kCompareSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5]. let c:bool[3,5] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[] b:f32[7]. let c:bool[7] = OP a b in (c,) }"},
    {"{ lambda ; a:f32[0] b:f32[0]. let c:bool[0] = OP a b in (c,) }"},
};
constexpr Sample kSelectSamples[] = {
    {"{ lambda ; a:bool[3,5] b:f32[3,5] c:f32[3,5]. let d:f32[3,5] = OP a b c in (d,) }"},
    {"{ lambda ; a:bool[] b:f32[3,5] c:f32[3,5]. let d:f32[3,5] = OP a b c in (d,) }"},
    {"{ lambda ; a:i32[7] b:f32[7] c:f32[7] d:f32[7]. let e:f32[7] = OP a b c d in (e,) }",
     ir::Domain::kIndex},
};
constexpr Sample kClampSamples[] = {
    {"{ lambda ; a:f32[3,5] b:f32[3,5] c:f32[3,5]. let d:f32[3,5] = OP a b c in (d,) }"},
    {"{ lambda ; a:f32[3,5]. let b:f32[3,5] = OP -0.5:f32[] a 0.5:f32[] in (b,) }"},
};

constexpr OpDef kOps[] = {
    {.name = "eq",
     .arity = 2,
     .accepts = kNumberOrBool | ir::kAcceptsKey,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerEquality<true>,
     .spec = "primitives.md#eq",
     .samples = kCompareSamples},
    {.name = "ne",
     .arity = 2,
     .accepts = kNumberOrBool | ir::kAcceptsKey,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerEquality<false>,
     .spec = "primitives.md#ne",
     .samples = kCompareSamples},
    {.name = "ge",
     .arity = 2,
     .accepts = kOrdered,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kGe, false>,
     .spec = "primitives.md#ge",
     .samples = kCompareSamples},
    {.name = "gt",
     .arity = 2,
     .accepts = kOrdered,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kGt, false>,
     .spec = "primitives.md#gt",
     .samples = kCompareSamples},
    {.name = "le",
     .arity = 2,
     .accepts = kOrdered,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kLe, false>,
     .spec = "primitives.md#le",
     .samples = kCompareSamples},
    {.name = "lt",
     .arity = 2,
     .accepts = kOrdered,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kLt, false>,
     .spec = "primitives.md#lt",
     .samples = kCompareSamples},
    {.name = "eq_to",
     .arity = 2,
     .accepts = kNumberOrBool,
     .tier = 2,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kEq, true>,
     .spec = "primitives.md#eq_to",
     .samples = kCompareSamples},
    {.name = "le_to",
     .arity = 2,
     .accepts = kOrdered,
     .tier = 2,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kLe, true>,
     .spec = "primitives.md#le_to",
     .samples = kCompareSamples},
    {.name = "lt_to",
     .arity = 2,
     .accepts = kOrdered,
     .tier = 2,
     .type_rule = ComparisonType,
     .jvp = ir::JvpZero(),
     .batch = ir::BatchBroadcasting(),
     .lower = LowerCompare<CompareDirection::kLt, true>,
     .spec = "primitives.md#lt_to",
     .samples = kCompareSamples},
    {.name = "select_n",
     .type_rule = SelectType,
     .jvp = ir::JvpFull(JvpSelect),
     .transpose = TransposeSelect,
     .batch = ir::BatchFull(BatchSelect),
     .lower = LowerSelect,
     .spec = "primitives.md#select_n",
     .samples = kSelectSamples},
    {.name = "clamp",
     .arity = 3,
     .accepts = kNumberOrBool,
     .type_rule = ClampType,
     .jvp = ir::JvpTerms<JvpClampLow, JvpClampOperand, JvpClampHigh>(),
     .batch = ir::BatchFull(BatchClamp),
     .lower = LowerClamp,
     .spec = "primitives.md#clamp",
     .samples = kClampSamples},
};

}  // namespace

std::span<const OpDef> CompareOps() { return kOps; }

}  // namespace megalith::ops

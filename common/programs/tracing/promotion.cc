#include "common/programs/tracing/promotion.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/foundation/base/strings.h"

namespace megalith::tracing {
namespace {

// Nodes of the lattice: dtypes by their number, and the three kinds of Python numbers.
constexpr int kWeakInt = 100;
constexpr int kWeakFloat = 101;
constexpr int kWeakComplex = 102;

constexpr int N(DType d) { return static_cast<int>(d); }

// Edges to the next higher types (JAX's dtypes._type_promotion_lattice).
constexpr std::pair<int, int> kEdges[] = {
    {N(DType::kBool), kWeakInt},        {kWeakInt, N(DType::kU8)},
    {kWeakInt, N(DType::kU2)},          {kWeakInt, N(DType::kU4)},
    {kWeakInt, N(DType::kI8)},          {kWeakInt, N(DType::kI2)},
    {kWeakInt, N(DType::kI4)},          {N(DType::kU8), N(DType::kI16)},
    {N(DType::kU8), N(DType::kU16)},    {N(DType::kU16), N(DType::kI32)},
    {N(DType::kU16), N(DType::kU32)},   {N(DType::kU32), N(DType::kI64)},
    {N(DType::kU32), N(DType::kU64)},   {N(DType::kU64), kWeakFloat},
    {N(DType::kI8), N(DType::kI16)},    {N(DType::kI16), N(DType::kI32)},
    {N(DType::kI32), N(DType::kI64)},   {N(DType::kI64), kWeakFloat},
    {kWeakFloat, N(DType::kF4E2M1FN)},  {kWeakFloat, N(DType::kF8E3M4)},
    {kWeakFloat, N(DType::kF8E4M3)},    {kWeakFloat, N(DType::kF8E4M3B11FNUZ)},
    {kWeakFloat, N(DType::kF8E4M3FN)},  {kWeakFloat, N(DType::kF8E4M3FNUZ)},
    {kWeakFloat, N(DType::kF8E5M2)},    {kWeakFloat, N(DType::kF8E5M2FNUZ)},
    {kWeakFloat, N(DType::kF8E8M0FNU)}, {kWeakFloat, N(DType::kBF16)},
    {kWeakFloat, N(DType::kF16)},       {kWeakFloat, kWeakComplex},
    {N(DType::kBF16), N(DType::kF32)},  {N(DType::kF16), N(DType::kF32)},
    {N(DType::kF32), N(DType::kF64)},   {N(DType::kF32), N(DType::kC64)},
    {N(DType::kF64), N(DType::kC128)},  {kWeakComplex, N(DType::kC64)},
    {N(DType::kC64), N(DType::kC128)},
};

// The node and everything above it. Without 64-bit types u32 and i32 meet in i32.
std::set<int> UpperBounds(int node, bool x64) {
  std::set<int> out = {node};
  std::vector<int> todo = {node};
  while (!todo.empty()) {
    const int n = todo.back();
    todo.pop_back();
    for (auto [from, to] : kEdges) {
      if (from != n) continue;
      if (!x64 && from == N(DType::kU32) && to == N(DType::kI64)) to = N(DType::kI32);
      if (out.insert(to).second) todo.push_back(to);
    }
  }
  return out;
}

int NodeOf(DType d, bool weak) {
  if (!weak || tensor::IsBool(d)) return N(d);
  return tensor::IsComplex(d) ? kWeakComplex : tensor::IsFloat(d) ? kWeakFloat : kWeakInt;
}

DType DTypeOf(int node, bool x64) {
  switch (node) {
    case kWeakInt:
      return x64 ? DType::kI64 : DType::kI32;
    case kWeakFloat:
      return x64 ? DType::kF64 : DType::kF32;
    case kWeakComplex:
      return x64 ? DType::kC128 : DType::kC64;
    default:
      return static_cast<DType>(node);
  }
}

// The least upper bound, or -1.
int LeastUpperBound(const std::set<int>& nodes, bool x64) {
  std::optional<std::set<int>> common;
  for (const int n : nodes) {
    const std::set<int> bounds = UpperBounds(n, x64);
    if (!common) {
      common = bounds;
      continue;
    }
    std::set<int> both;
    std::set_intersection(common->begin(), common->end(), bounds.begin(), bounds.end(),
                          std::inserter(both, both.begin()));
    common = std::move(both);
  }
  for (const int c : *common) {
    const std::set<int> above = UpperBounds(c, x64);
    if (std::includes(above.begin(), above.end(), common->begin(), common->end())) return c;
  }
  return -1;
}

}  // namespace

Result<PromotedType> ResultType(std::span<const Aval> types, bool x64) {
  if (types.empty()) return ValueError("at least one array or dtype is required");
  bool all_weak = true;
  bool equal = true;
  for (const Aval& a : types) {
    all_weak = all_weak && a.weak_type;
    equal = equal && a.dtype == types[0].dtype;
  }
  if (types.size() == 1) return PromotedType{types[0].dtype, types[0].weak_type};
  if (equal && !all_weak) return PromotedType{types[0].dtype, false};
  std::set<int> nodes;
  for (const Aval& a : types) nodes.insert(NodeOf(a.dtype, a.weak_type && !all_weak));
  const int bound = LeastUpperBound(nodes, x64);
  if (bound < 0) {
    std::vector<std::string> names;
    for (const Aval& a : types) names.push_back(std::string(tensor::NumpyName(a.dtype)));
    return Status::WithClass(
        Code::kInvalidArgument, "TypePromotionError",
        StrCat("Input dtypes (", Join(names, ", "),
               ") have no available implicit dtype promotion path. Cast explicitly"));
  }
  const DType dtype = DTypeOf(bound, x64);
  const bool weak = all_weak || bound == kWeakInt || bound == kWeakFloat || bound == kWeakComplex;
  return PromotedType{dtype, weak && !tensor::IsBool(dtype)};
}

PromotedType InexactType(PromotedType t, bool x64) {
  if (tensor::IsInexact(t.dtype)) return t;
  return {x64 ? DType::kF64 : DType::kF32, t.weak};
}

Operands::Operands(Trace& trace, std::initializer_list<const Operand*> operands)
    : trace_(trace), where_((*operands.begin())->where) {
  for (const Operand* o : operands) arrays_.push_back(o->array);
  for (const Array& a : arrays_) {
    values_.push_back(a.number() ? Value() : trace_.Use(a, where_));
    avals_.push_back(a.number() ? NumberAval(*a.number(), trace_.x64()) : values_.back().aval());
  }
}

Operands::Operands(Trace& trace, std::span<const Array> arrays, Place where)
    : trace_(trace), where_(where), arrays_(arrays.begin(), arrays.end()) {
  for (const Array& a : arrays_) {
    values_.push_back(a.number() ? Value() : trace_.Use(a, where_));
    avals_.push_back(a.number() ? NumberAval(*a.number(), trace_.x64()) : values_.back().aval());
  }
}

Values Operands::Promoted() {
  const Result<PromotedType> type = ResultType(avals_, trace_.x64());
  if (type.ok()) return Converted(*type);
  trace_.builder().Fail(type.status());
  return Converted({avals_[0].dtype, avals_[0].weak_type});
}

Values Operands::PromotedInexact() {
  const Result<PromotedType> type = ResultType(avals_, trace_.x64());
  if (type.ok()) return Converted(InexactType(*type, trace_.x64()));
  trace_.builder().Fail(type.status());
  return Converted({avals_[0].dtype, avals_[0].weak_type});
}

Values Operands::Converted(PromotedType type) {
  Values out;
  Builder& b = trace_.builder();
  for (size_t i = 0; i < arrays_.size(); ++i) {
    const auto& number = arrays_[i].number();
    out.push_back(number ? b.Scalar(LiteralOf(*number, type.dtype, type.weak, trace_.x64()))
                         : ConvertTo(b, values_[i], type));
  }
  return out;
}

Value ConvertTo(Builder& b, Value x, PromotedType type) {
  return ir::ConvertElementType(b, x, type.dtype, type.weak);
}

void PromoteRanks(Builder& b, Values* values) {
  size_t rank = 0;
  bool differ = false;
  for (const Value& v : *values) {
    if (v.rank() == 0) continue;
    differ = differ || (rank != 0 && v.rank() != rank);
    rank = std::max(rank, v.rank());
  }
  if (!differ) return;
  for (Value& v : *values) {
    if (v.rank() == rank) continue;
    Shape shape(rank - v.rank(), 1);
    for (const int64_t d : v.shape()) shape.push_back(d);
    const auto first = static_cast<int64_t>(rank - v.rank());
    v = ir::BroadcastInDim(b, v, shape, ir::Range(first, static_cast<int64_t>(rank)));
  }
}

Result<Shape> BroadcastShape(std::span<const Shape> shapes) {
  size_t rank = 0;
  for (const Shape& s : shapes) rank = std::max(rank, s.size());
  Shape out(rank, 1);
  for (const Shape& s : shapes) {
    for (size_t i = 0; i < s.size(); ++i) {
      int64_t& d = out[rank - s.size() + i];
      if (s[i] == 1 || s[i] == d) continue;
      if (d != 1) {
        std::vector<std::string> texts;
        for (const Shape& each : shapes) texts.push_back(tensor::TupleText(each));
        return ValueError(
            StrCat("Incompatible shapes for broadcasting: shapes=[", Join(texts, ", "), "]"));
      }
      d = s[i];
    }
  }
  return out;
}

Value BroadcastTo(Builder& b, Value x, const Shape& shape) {
  if (x.shape() == shape) return x;
  const auto rank = static_cast<int64_t>(shape.size());
  return ir::BroadcastInDim(b, x, shape, ir::Range(rank - static_cast<int64_t>(x.rank()), rank));
}

}  // namespace megalith::tracing

// Products: transposes fold into dimension numbers, dimensions of size 1 go, and products that are
// no matrix products become elementwise operations, which fuse with what is around them.
#include <algorithm>
#include <optional>

#include "common/machines/codegen/passes/hash.h"
#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/rule.h"

namespace megalith::codegen {
namespace {

using stablehlo::DotDims;

constexpr std::string_view kDotDims = "dot_dimension_numbers";

// One side of a product.
struct Side {
  Dims batch, contract;
  Dims free;  // in order
};

Side SideOf(const DotDims& d, bool left, size_t rank) {
  Side s{left ? d.lhs_batch : d.rhs_batch, left ? d.lhs_contract : d.rhs_contract, {}};
  for (size_t i = 0; i < rank; ++i) {
    const auto dim = static_cast<int64_t>(i);
    if (!Contains(s.batch, dim) && !Contains(s.contract, dim)) s.free.push_back(dim);
  }
  return s;
}

Side SideOf(const Graph& g, const Node& n, uint32_t i) {
  return SideOf(n.attr(kDotDims).AsDot(), i == 0, g.operand_type(n, i).rank());
}

void SetSides(Node& n, const Side& left, const Side& right) {
  DotDims d;
  d.lhs_batch = left.batch;
  d.lhs_contract = left.contract;
  d.rhs_batch = right.batch;
  d.rhs_contract = right.contract;
  SetAttr(&n.attrs, kDotDims, Attr::Of(std::move(d)));
}

bool IsSorted(const Dims& dims) { return std::is_sorted(dims.begin(), dims.end()); }

// Folds if the dimensions that are left keep their order.
bool DotOfTranspose(Graph& g, Node& n) {
  for (uint32_t i = 0; i < 2; ++i) {
    const Node* transpose = g.DefOfKind(g.operand(n, i), OpKind::kTranspose);
    if (transpose == nullptr) continue;
    Side side = SideOf(g, n, i);
    for (Dims* dims : {&side.batch, &side.contract, &side.free}) {
      for (int64_t& d : *dims) d = transpose->ints("permutation")[static_cast<size_t>(d)];
    }
    if (!IsSorted(side.free)) continue;
    const Side other = SideOf(g, n, 1 - i);
    SetSides(n, i == 0 ? side : other, i == 0 ? other : side);
    g.SetOperand(n, i, g.operand(*transpose, 0));
    return true;
  }
  return false;
}

// A transpose that exchanges the two sides of the only product it reads.
bool TransposeOfDot(Graph& g, Node& n) {
  Node* dot = g.DefOfKind(g.operand(n, 0), OpKind::kDotGeneral);
  if (dot == nullptr || g.use_count(dot->first_result) != 1 || dot->attr("algorithm").present())
    return false;
  const Side left = SideOf(g, *dot, 0);
  const Side right = SideOf(g, *dot, 1);
  const auto permutation = n.ints("permutation");
  Dims exchanged;
  for (size_t i = 0; i < left.batch.size(); ++i) exchanged.push_back(static_cast<int64_t>(i));
  for (size_t i = 0; i < right.free.size(); ++i)
    exchanged.push_back(static_cast<int64_t>(left.batch.size() + left.free.size() + i));
  for (size_t i = 0; i < left.free.size(); ++i)
    exchanged.push_back(static_cast<int64_t>(left.batch.size() + i));
  if (!std::ranges::equal(permutation, exchanged)) return false;
  AttrDict attrs = dot->attrs;
  if (const Attr& precision = dot->attr("precision_config"); precision.present()) {
    std::vector<Attr> list = precision.AsList();
    std::ranges::reverse(list);
    SetAttr(&attrs, "precision_config", Attr::List(std::move(list)));
  }
  const ValueId x = g.operand(*dot, 0);
  const ValueId y = g.operand(*dot, 1);
  g.Become(n, OpKind::kDotGeneral, {y, x}, std::move(attrs));
  SetSides(n, right, left);
  return true;
}

// The shape and sides of an operand without the dimensions in `gone`.
TensorType Without(const TensorType& type, const Dims& gone, Side* side) {
  TensorType out{type.dtype, Shape{}};
  Dims place(type.rank(), -1);
  for (size_t i = 0; i < type.rank(); ++i) {
    if (Contains(gone, static_cast<int64_t>(i))) continue;
    place[i] = static_cast<int64_t>(out.rank());
    out.shape.push_back(type.shape[i]);
  }
  for (Dims* dims : {&side->batch, &side->contract, &side->free}) {
    Dims kept;
    for (const int64_t d : *dims) {
      if (place[static_cast<size_t>(d)] >= 0) kept.push_back(place[static_cast<size_t>(d)]);
    }
    *dims = kept;
  }
  return out;
}

// Batch and contracting dimensions of size 1 do nothing.
bool DotDropsOnes(Graph& g, Node& n) {
  Side sides[2] = {SideOf(g, n, 0), SideOf(g, n, 1)};
  const Shape& left = g.operand_type(n, 0).shape;
  Dims gone[2];
  size_t batches = 0;
  const auto drop = [&](const Dims& a, const Dims& b) {
    size_t count = 0;
    for (size_t i = 0; i < a.size(); ++i) {
      if (left[static_cast<size_t>(a[i])] != 1) continue;
      gone[0].push_back(a[i]);
      gone[1].push_back(b[i]);
      ++count;
    }
    return count;
  };
  batches = drop(sides[0].batch, sides[1].batch);
  drop(sides[0].contract, sides[1].contract);
  if (gone[0].empty()) return false;
  ValueId operands[2];
  for (uint32_t i = 0; i < 2; ++i) {
    const TensorType small = Without(g.operand_type(n, i), gone[i], &sides[i]);
    operands[i] = g.Emit(n, OpKind::kReshape, {g.operand(n, i)}, {}, small);
  }
  if (batches == 0) {
    SetSides(n, sides[0], sides[1]);
    g.SetOperands(n, {operands[0], operands[1]});
    return true;
  }
  TensorType type{g.result_type(n).dtype, Shape{}};
  for (uint32_t i = 0; i < 2; ++i) {
    for (const int64_t b : sides[i].batch) {
      if (i == 0) type.shape.push_back(g.shape(operands[i])[static_cast<size_t>(b)]);
    }
    for (const int64_t f : sides[i].free)
      type.shape.push_back(g.shape(operands[i])[static_cast<size_t>(f)]);
  }
  const ValueId dot = g.Emit(n, OpKind::kDotGeneral, {operands[0], operands[1]}, n.attrs, type);
  SetSides(*g.def(dot), sides[0], sides[1]);
  g.Become(n, OpKind::kReshape, {dot});
  return true;
}

// Both operands spread over [batch, left free, right free, contracting], multiplied.
ValueId Products(Graph& g, Node& n, const Side sides[2]) {
  const size_t batch = sides[0].batch.size();
  TensorType type{g.result_type(n).dtype, g.result_type(n).shape};
  const size_t first_contract = type.rank();
  for (const int64_t c : sides[0].contract)
    type.shape.push_back(g.operand_type(n, 0).shape[static_cast<size_t>(c)]);
  ValueId spread[2];
  for (uint32_t i = 0; i < 2; ++i) {
    Dims place(g.operand_type(n, i).rank(), 0);
    const auto put = [&](const Dims& dims, size_t at) {
      for (size_t k = 0; k < dims.size(); ++k)
        place[static_cast<size_t>(dims[k])] = static_cast<int64_t>(at + k);
    };
    put(sides[i].batch, 0);
    put(sides[i].free, batch + (i == 0 ? 0 : sides[0].free.size()));
    put(sides[i].contract, first_contract);
    spread[i] = g.Emit(n, OpKind::kBroadcastInDim, {g.operand(n, i)},
                       IntsAttr("broadcast_dimensions", place), type);
  }
  return g.Emit(n, OpKind::kMultiply, {spread[0], spread[1]}, {}, type);
}

bool MultipliesPlainly(const Graph& g, const Node& n) {
  const DType d = g.result_type(n).dtype;
  return g.operand_type(n, 0).dtype == d && g.operand_type(n, 1).dtype == d &&
         !n.attr("algorithm").present();
}

// Nothing is contracted: an outer product. The sum it stands for starts at 0, which turns a
// product of -0 into 0.
bool DotOfNothing(Graph& g, Node& n) {
  const DType d = g.result_type(n).dtype;
  const bool real = d == DType::kF32 || d == DType::kF64 || d == DType::kBF16 || d == DType::kF16;
  if ((!real && !IsWholeInt(d)) || !MultipliesPlainly(g, n)) return false;
  const Side sides[2] = {SideOf(g, n, 0), SideOf(g, n, 1)};
  if (!sides[0].contract.empty()) return false;
  const ValueId products = Products(g, n, sides);
  const TensorType type = g.result_type(n);
  if (real) {
    g.Become(n, OpKind::kAdd, {products, g.SplatDouble(type, 0)});
  } else {
    g.Replace(n, products);
  }
  return true;
}

// A reduction by addition of `x` over `dims`.
ValueId Sum(Graph& g, Node& at, ValueId x, const Dims& dims, const TensorType& type) {
  const TensorType scalar = TensorType::Scalar(type.dtype);
  Block* body = g.AddBlock({scalar, scalar}, OpKind::kAdd);
  const ValueId zero =
      tensor::IsFloat(type.dtype) ? g.SplatDouble(scalar, 0) : g.SplatInt(scalar, 0);
  return g
      .EmitNode(at, DefOf(OpKind::kReduce), std::initializer_list<ValueId>{x, zero},
                IntsAttr("dimensions", dims), std::span(&type, 1), {body})
      .first_result;
}

// Nothing is left of either side: sums of products, one per batch. There is no matrix to gain from.
bool DotOfVectors(Graph& g, Node& n) {
  const DType d = g.result_type(n).dtype;
  if ((d != DType::kF32 && d != DType::kF64 && !IsWholeInt(d)) || !MultipliesPlainly(g, n))
    return false;
  const Side sides[2] = {SideOf(g, n, 0), SideOf(g, n, 1)};
  if (sides[0].contract.empty() || !sides[0].free.empty() || !sides[1].free.empty()) return false;
  const ValueId products = Products(g, n, sides);
  const TensorType type = g.result_type(n);
  Dims dims;
  for (size_t i = 0; i < sides[0].contract.size(); ++i)
    dims.push_back(static_cast<int64_t>(type.rank() + i));
  g.Replace(n, Sum(g, n, products, dims, type));
  return true;
}

// A slice that takes a part of one dimension and all of the others.
struct Part {
  ValueId whole = kNoValue;
  size_t dim = 0;
  int64_t start = 0, limit = 0;
  Node* dot = nullptr;  // that reads it
};

std::optional<Part> PartOf(const Graph& g, ValueId v) {
  const Node* slice = g.DefOfKind(v, OpKind::kSlice);
  if (slice == nullptr) return std::nullopt;
  const Shape& from = g.operand_type(*slice, 0).shape;
  Part part{g.operand(*slice, 0), from.size()};
  for (size_t i = 0; i < from.size(); ++i) {
    if (slice->ints("strides")[i] != 1) return std::nullopt;
    if (g.shape(v)[i] == from[i]) continue;
    if (part.dim < from.size()) return std::nullopt;
    part.dim = i;
    part.start = slice->ints("start_indices")[i];
    part.limit = slice->ints("limit_indices")[i];
  }
  return part.dim < from.size() ? std::optional(part) : std::nullopt;
}

// The products of operand 1 - side of `n` with parts of the same array along the same dimension, in
// order; empty unless they take each of its elements once.
std::vector<Part> AllParts(const Graph& g, const Node& n, uint32_t side, const Part& one) {
  std::vector<Part> parts;
  g.ForEachUse(g.operand(n, 1 - side), [&](Node* user, uint32_t i) {
    if (user->kind != OpKind::kDotGeneral || i != 1 - side || user->block != n.block ||
        g.result_type(*user).dtype != g.result_type(n).dtype || !SameAttrs(user->attrs, n.attrs)) {
      return;
    }
    std::optional<Part> part = PartOf(g, g.operand(*user, side));
    if (!part || part->whole != one.whole || part->dim != one.dim) return;
    part->dot = user;
    parts.push_back(*part);
  });
  std::ranges::sort(parts, {}, &Part::start);
  int64_t at = 0;
  for (const Part& p : parts) {
    if (p.start != at) return {};
    at = p.limit;
  }
  return at == g.shape(one.whole)[one.dim] ? parts : std::vector<Part>();
}

// The same operand times every part of an array: one product with the array, whose parts would have
// to be copied. Not where copying parts of the result costs more.
bool DotsOfAllParts(Graph& g, Node& n) {
  for (uint32_t side = 0; side < 2; ++side) {
    const std::optional<Part> one = PartOf(g, g.operand(n, side));
    if (!one) continue;
    const Side own = SideOf(g, n, side);
    const auto free = std::ranges::find(own.free, static_cast<int64_t>(one->dim));
    if (free == own.free.end()) continue;
    const size_t place = own.batch.size() + (side == 0 ? 0 : SideOf(g, n, 0).free.size()) +
                         static_cast<size_t>(free - own.free.begin());
    TensorType type = g.result_type(n);
    type.shape[place] = g.shape(one->whole)[one->dim];
    if (stablehlo::ElementCount(type) > stablehlo::ElementCount(g.type(one->whole))) continue;
    const std::vector<Part> parts = AllParts(g, n, side, *one);
    if (parts.size() < 2) continue;
    Node* first = n.block->first;
    while (std::ranges::find(parts, first, &Part::dot) == parts.end()) first = first->next;
    ValueId operands[] = {g.operand(n, 0), g.operand(n, 1)};
    operands[side] = one->whole;
    const ValueId dot = g.Emit(*first, OpKind::kDotGeneral, operands, n.attrs, type);
    for (const Part& p : parts) {
      Dims start(type.rank(), 0), limit(type.shape);
      start[place] = p.start;
      limit[place] = p.limit;
      AttrDict attrs;
      SetAttr(&attrs, "start_indices", Attr::Ints(start));
      SetAttr(&attrs, "limit_indices", Attr::Ints(limit));
      SetAttr(&attrs, "strides", Attr::Ints(Dims(type.rank(), 1)));
      g.Become(*p.dot, OpKind::kSlice, {dot}, std::move(attrs));
    }
    return true;
  }
  return false;
}

constexpr Rule kRules[] = {
    {"dot_transpose", OpKind::kDotGeneral, DotOfTranspose, Keeps::kTerms},
    {"transpose_dot", OpKind::kTranspose, TransposeOfDot, Keeps::kTerms},
    {"dot_ones", OpKind::kDotGeneral, DotDropsOnes, Keeps::kTerms},
    {"dot_outer", OpKind::kDotGeneral, DotOfNothing, Keeps::kTerms},
    {"dot_vectors", OpKind::kDotGeneral, DotOfVectors, Keeps::kTerms},
    {"dot_parts", OpKind::kDotGeneral, DotsOfAllParts, Keeps::kTerms},
};

}  // namespace

std::span<const Rule> DotRules() { return kRules; }

}  // namespace megalith::codegen

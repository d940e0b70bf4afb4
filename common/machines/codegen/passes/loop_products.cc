// Products of one row at a time.
//
// A recurrent network multiplies a row of its input by the same weights in every turn. All rows at
// once are one matrix product, made before the loop, of which each turn reads its row: the weights
// are read once and not once per turn.
#include <algorithm>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"

namespace megalith::codegen {
namespace {

using stablehlo::DotDims;

// Room for the products of all turns.
constexpr int64_t kMostBytes = int64_t{1} << 28;

// An operand that is one position of an array from outside of the loop.
struct Row {
  Node* slice = nullptr;  // the dynamic_slice
  size_t dim = 0;         // along which it has size 1
};

bool IsOutside(const Graph& g, const Node& loop, ValueId v) {
  return Graph::Encloses(g.home(v), loop.block);
}

Row RowOf(const Graph& g, const Node& loop, const Block& body, ValueId v) {
  const Node* reshape = g.DefOfKind(v, OpKind::kReshape);
  if (reshape == nullptr) return {};
  Node* slice = g.DefOfKind(g.operand(*reshape, 0), OpKind::kDynamicSlice);
  if (slice == nullptr || slice->block != &body || !IsOutside(g, loop, g.operand(*slice, 0)))
    return {};
  const Shape& from = g.operand_type(*slice, 0).shape;
  const Shape& to = g.result_type(*slice).shape;
  Row row{slice, from.size()};
  Shape rest;
  for (size_t i = 0; i < from.size(); ++i) {
    if (from[i] == to[i]) {
      rest.push_back(from[i]);
    } else if (to[i] == 1 && row.dim == from.size()) {
      row.dim = i;
    } else {
      return {};
    }
  }
  if (row.dim == from.size() || !(rest == g.result_type(*reshape).shape)) return {};
  return row;
}

void Shift(Dims* dims, size_t from) {
  for (int64_t& d : *dims) d += d >= static_cast<int64_t>(from) ? 1 : 0;
}

// Where the dimension `row.dim` of operand `side` comes out of the product of whole arrays.
size_t PlaceOf(const Graph& g, const Node& dot, uint32_t side, size_t dim) {
  const DotDims& d = dot.attr("dot_dimension_numbers").AsDot();
  const Dims& contract = side == 0 ? d.lhs_contract : d.rhs_contract;
  size_t place = side == 0 ? 0 : g.operand_type(dot, 0).rank() - d.lhs_contract.size();
  for (size_t i = 0; i < dim; ++i) place += Contains(contract, static_cast<int64_t>(i)) ? 0 : 1;
  return place;
}

bool MakeBefore(Graph& g, Node& loop, Node& dot, uint32_t side, const Row& row) {
  const Shape& whole = g.operand_type(*row.slice, 0).shape;
  DotDims dims = dot.attr("dot_dimension_numbers").AsDot();
  const size_t place = PlaceOf(g, dot, side, row.dim);
  Shift(side == 0 ? &dims.lhs_contract : &dims.rhs_contract, row.dim);
  const TensorType out = g.result_type(dot);
  TensorType all{out.dtype, out.shape};
  all.shape.insert(place, whole[row.dim]);
  const int64_t bytes = stablehlo::ByteCount(all);
  if (bytes < 0 || bytes > kMostBytes) return false;
  AttrDict attrs = dot.attrs;
  SetAttr(&attrs, "dot_dimension_numbers", Attr::Of(std::move(dims)));
  ValueId operands[2] = {g.operand(dot, 0), g.operand(dot, 1)};
  operands[side] = g.operand(*row.slice, 0);
  const ValueId products = g.Emit(loop, OpKind::kDotGeneral, operands, std::move(attrs), all);
  const ValueId index = g.operand(*row.slice, static_cast<uint32_t>(row.dim) + 1);
  std::vector<ValueId> read(all.rank() + 1, g.SplatInt(g.type(index), 0));
  read[0] = products;
  read[place + 1] = index;
  TensorType one = all;
  one.shape[place] = 1;
  const ValueId slice =
      g.Emit(dot, OpKind::kDynamicSlice, read, IntsAttr("slice_sizes", one.shape), one);
  g.Become(dot, OpKind::kReshape, {slice});
  ++g.rewrites;
  return true;
}

// Worth it if the loop reads about all rows.
void MakeProductsBefore(Graph& g, Node& loop) {
  const Attr& turns = loop.attr(kTripCountAttr);
  if (!turns.present()) return;
  const Block& body = *loop.regions[1];
  for (Node* n = body.first; n != body.last;) {
    Node* next = n->next;
    if (n->kind == OpKind::kDotGeneral &&
        n->attr("dot_dimension_numbers").AsDot().lhs_batch.empty()) {
      for (uint32_t side = 0; side < 2; ++side) {
        if (!IsOutside(g, loop, g.operand(*n, 1 - side))) continue;
        const Row row = RowOf(g, loop, body, g.operand(*n, side));
        if (row.slice == nullptr) continue;
        const int64_t rows = g.operand_type(*row.slice, 0).shape[row.dim];
        if (rows <= turns.AsInt() + 1 && MakeBefore(g, loop, *n, side, row)) break;
      }
    }
    n = next;
  }
}

void Visit(Graph& g, Block& b) {
  for (Node* n = b.first; n != nullptr; n = n->next) {
    for (Block* inner : n->regions) Visit(g, *inner);
    if (n->kind == OpKind::kWhile) MakeProductsBefore(g, *n);
  }
}

}  // namespace

Status BatchLoopProducts(PassContext& context) {
  if (!context.options.allow_reordering) return OkStatus();
  Visit(context.graph, context.graph.body());
  while (context.graph.Pop() != nullptr) {  // erases what nobody needs any more
  }
  return OkStatus();
}

}  // namespace megalith::codegen

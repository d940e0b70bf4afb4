// Products of one row at a time.
//
// A recurrent network multiplies a row of its input by the same weights in every turn. Many rows at
// once are one matrix product, made before the loop, of which each turn reads its row: the weights
// are read once and not once per turn. Where the products of all turns would take much memory, the
// loop is put into another one that makes those of some turns at a time. Its gradient adds an outer
// product to the gradient of the weights in every turn; that sum is one matrix product too, made
// after the loop from the factors of all turns.
#include <algorithm>

#include "common/machines/codegen/passes/match.h"
#include "common/machines/codegen/passes/pass.h"

namespace megalith::codegen {
namespace {

using stablehlo::CompareDirection;
using stablehlo::DotDims;

// Room for the products of all turns.
constexpr int64_t kMostBytes = int64_t{1} << 28;
// Room for products that is taken without another loop. It is taken from the first level of cache,
// where the weights of the rest of a turn want to be.
constexpr int64_t kBlockBytes = int64_t{1} << 12;
// Fewer rows at a time gain too little.
constexpr int64_t kLeastRows = 8;
// Matrix products are made in blocks of so many rows.
constexpr int64_t kTileRows = 4;

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

// A product of a row, and what it becomes a row of.
struct RowProduct {
  Node* dot = nullptr;
  uint32_t side = 0;  // operand that is the row
  Row row;
  TensorType all;    // of the products of all rows
  size_t place = 0;  // dimension of `all` that numbers the rows
};

// Rows [first, first + rows) of its array, or all.
struct Rows {
  ValueId first = kNoValue;
  int64_t rows = 0;
};

ValueId IndexOf(const Graph& g, const Row& row) {
  return g.operand(*row.slice, static_cast<uint32_t>(row.dim) + 1);
}

void MakeBefore(Graph& g, Node& loop, const RowProduct& product, const Rows& rows) {
  Node& dot = *product.dot;
  const Row& row = product.row;
  const uint32_t side = product.side;
  const size_t place = product.place;
  DotDims dims = dot.attr("dot_dimension_numbers").AsDot();
  Shift(side == 0 ? &dims.lhs_contract : &dims.rhs_contract, row.dim);
  TensorType all = product.all;
  ValueId source = g.operand(*row.slice, 0);
  ValueId index = IndexOf(g, row);
  if (rows.first != kNoValue) {
    TensorType part = g.type(source);
    part.shape[row.dim] = rows.rows;
    std::vector<ValueId> read(part.rank() + 1, g.SplatInt(g.type(index), 0));
    read[0] = source;
    read[row.dim + 1] = rows.first;
    source = g.Emit(loop, OpKind::kDynamicSlice, read, IntsAttr("slice_sizes", part.shape), part);
    index = g.Emit(dot, OpKind::kSubtract, {index, rows.first}, {}, g.type(index));
    all.shape[place] = rows.rows;
  }
  AttrDict attrs = dot.attrs;
  SetAttr(&attrs, "dot_dimension_numbers", Attr::Of(std::move(dims)));
  ValueId operands[2] = {g.operand(dot, 0), g.operand(dot, 1)};
  operands[side] = source;
  const ValueId products = g.Emit(loop, OpKind::kDotGeneral, operands, std::move(attrs), all);
  std::vector<ValueId> read(all.rank() + 1, g.SplatInt(g.type(index), 0));
  read[0] = products;
  read[place + 1] = index;
  TensorType one = all;
  one.shape[place] = 1;
  const ValueId slice =
      g.Emit(dot, OpKind::kDynamicSlice, read, IntsAttr("slice_sizes", one.shape), one);
  g.Become(dot, OpKind::kReshape, {slice});
  ++g.rewrites;
}

// --- sums of outer products ---

// a (x) b, the dimensions of `a` before those of `b`.
struct Outer {
  ValueId a = kNoValue, b = kNoValue;
};

Outer OuterOf(const Graph& g, ValueId v) {
  const Node* n = g.def(v);
  if (n != nullptr && n->kind == OpKind::kAdd && IsFloatSplat(g, g.operand(*n, 1), 0.0))
    n = g.def(g.operand(*n, 0));
  if (n == nullptr || n->kind != OpKind::kMultiply) return {};
  const Node* x = g.DefOfKind(g.operand(*n, 0), OpKind::kBroadcastInDim);
  const Node* y = g.DefOfKind(g.operand(*n, 1), OpKind::kBroadcastInDim);
  if (x == nullptr || y == nullptr) return {};
  const auto first = [](const Node& b) {
    const auto dims = b.ints("broadcast_dimensions");
    return dims.empty() ? int64_t{-1} : dims[0];
  };
  if (first(*x) > first(*y)) std::swap(x, y);
  Shape joined = g.operand_type(*x, 0).shape;
  for (const int64_t d : g.operand_type(*y, 0).shape) joined.push_back(d);
  int64_t next = 0;
  for (const Node* b : {x, y}) {
    for (const int64_t d : b->ints("broadcast_dimensions")) {
      if (d != next++) return {};
    }
  }
  if (first(*x) != 0 || first(*y) < 0 || !(joined == g.shape(v))) return {};
  return {g.operand(*x, 0), g.operand(*y, 0)};
}

class OuterSums {
 public:
  OuterSums(Graph& g, Node& loop) : g_(g), loop_(loop), body_(*loop.regions[1]) {}

  void Run() {
    const Attr& turns = loop_.attr(kTripCountAttr);
    if (!turns.present() || loop_.attr(kInductionStartAttr).AsInt() != 0 ||
        loop_.attr(kInductionStepAttr).AsInt() != 1) {
      return;
    }
    turns_ = turns.AsInt();
    counter_ = body_.args[static_cast<size_t>(loop_.attr(kInductionAttr).AsInt())];
    const uint32_t carried = loop_.num_operands;
    for (uint32_t k = 0; k < carried; ++k) Try(k);
  }

 private:
  // The values of all turns as one array outside of the loop, turns along `dim`.
  struct Factor {
    ValueId all = kNoValue;
    uint32_t carried = 0;  // or a result of the loop
    size_t dim = 0;
  };

  void Try(uint32_t k) {
    const ValueId arg = body_.args[k];
    const DType d = g_.dtype(arg);
    if ((d != DType::kF32 && d != DType::kF64) || g_.use_count(arg) != 1 ||
        g_.use_count(loop_.regions[0]->args[k]) != 0) {
      return;
    }
    const Node* sum = g_.DefOfKind(g_.operand(*body_.last, k), OpKind::kAdd);
    if (sum == nullptr || sum->block != &body_ || g_.use_count(sum->first_result) != 1) return;
    const uint32_t term = g_.operand(*sum, 0) == arg ? 1 : 0;
    if (g_.operand(*sum, 1 - term) != arg) return;
    const Outer outer = OuterOf(g_, g_.operand(*sum, term));
    if (outer.a == kNoValue || IsOutside(g_, loop_, outer.a) || IsOutside(g_, loop_, outer.b) ||
        !IsWorthwhile(outer)) {
      return;
    }
    const ValueId index = IndexOf(outer);
    const Factor a = FactorOf(outer.a, index);
    const Factor b = FactorOf(outer.b, index);
    g_.SetOperand(*body_.last, k, arg);
    EmitSum(k, a, b);
    ++g_.rewrites;
  }

  bool IsWorthwhile(const Outer& outer) const {
    const int64_t a = stablehlo::ElementCount(g_.type(outer.a));
    const int64_t b = stablehlo::ElementCount(g_.type(outer.b));
    const int64_t width = tensor::ByteWidth(g_.dtype(outer.a));
    return a >= 4 && b >= 4 && (a + b) <= kMostBytes / width / std::max<int64_t>(turns_, 1);
  }

  // An index that is each of 0 ... turns - 1 once: the counter, or it backwards. That of a factor
  // which is a row of an array, so that the array can be used as it is.
  ValueId IndexOf(const Outer& outer) const {
    for (const ValueId v : {outer.a, outer.b}) {
      const Row row = RowOf(g_, loop_, body_, v);
      if (row.slice == nullptr) continue;
      const ValueId index = g_.operand(*row.slice, static_cast<uint32_t>(row.dim) + 1);
      if (index == counter_) return index;
      const Node* back = g_.DefOfKind(index, OpKind::kSubtract);
      if (back != nullptr && back->block == &body_ && g_.operand(*back, 1) == counter_ &&
          IsIntSplat(g_, g_.operand(*back, 0), turns_ - 1)) {
        return index;
      }
    }
    return counter_;
  }

  Factor FactorOf(ValueId v, ValueId index) {
    const Row row = RowOf(g_, loop_, body_, v);
    if (row.slice != nullptr) {
      const Shape& whole = g_.operand_type(*row.slice, 0).shape;
      if (g_.operand(*row.slice, static_cast<uint32_t>(row.dim) + 1) == index &&
          whole[row.dim] == turns_) {
        return {g_.operand(*row.slice, 0), 0, row.dim};
      }
    }
    for (const Stacked& s : stacked_) {
      if (s.value == v && s.index == index) return {kNoValue, s.carried, 0};
    }
    return {kNoValue, Stack(v, index), 0};
  }

  // Carries an array of the values of all turns.
  uint32_t Stack(ValueId v, ValueId index) {
    TensorType all = g_.type(v);
    all.shape.insert(0, turns_);
    TensorType one = all;
    one.shape[0] = 1;
    g_.AddCarried(loop_, g_.SplatDouble(all, 0), kNoValue);
    const uint32_t carried = loop_.num_operands - 1;
    Node& end = *body_.last;
    std::vector<ValueId> operands(all.rank() + 2, g_.SplatInt(g_.type(index), 0));
    operands[0] = body_.args[carried];
    operands[1] = g_.Emit(end, OpKind::kReshape, {v}, {}, one);
    operands[2] = index;
    g_.SetOperand(end, carried, g_.Emit(end, OpKind::kDynamicUpdateSlice, operands, {}, all));
    stacked_.push_back({v, index, carried});
    return carried;
  }

  void EmitSum(uint32_t k, const Factor& a, const Factor& b) {
    Node& after = *loop_.next;
    DotDims dims;
    dims.lhs_contract = {static_cast<int64_t>(a.dim)};
    dims.rhs_contract = {static_cast<int64_t>(b.dim)};
    AttrDict attrs;
    SetAttr(&attrs, "dot_dimension_numbers", Attr::Of(std::move(dims)));
    SetAttr(&attrs, "precision_config",
            Attr::List(std::vector<Attr>(2, Attr::Of(stablehlo::Precision::kDefault))));
    const auto value = [&](const Factor& f) {
      return f.all != kNoValue ? f.all : loop_.result(f.carried);
    };
    const ValueId old = loop_.result(k);
    const ValueId init = g_.operand(loop_, k);
    const TensorType type = g_.type(old);
    ValueId sum = g_.Emit(after, OpKind::kDotGeneral, {value(a), value(b)}, std::move(attrs), type);
    if (!IsFloatSplat(g_, init, 0.0)) sum = g_.Emit(after, OpKind::kAdd, {init, sum}, {}, type);
    g_.ReplaceUses(old, sum);
  }

  struct Stacked {
    ValueId value, index;
    uint32_t carried;
  };
  Graph& g_;
  Node& loop_;
  Block& body_;
  int64_t turns_ = 0;
  ValueId counter_ = kNoValue;
  std::vector<Stacked> stacked_;
};

// --- rows ---

// Products worth making before the loop: it reads about all rows.
std::vector<RowProduct> FindProducts(const Graph& g, const Node& loop) {
  std::vector<RowProduct> products;
  const Attr& turns = loop.attr(kTripCountAttr);
  if (!turns.present()) return products;
  const Block& body = *loop.regions[1];
  for (Node* n = body.first; n != body.last; n = n->next) {
    if (n->kind != OpKind::kDotGeneral ||
        !n->attr("dot_dimension_numbers").AsDot().lhs_batch.empty()) {
      continue;
    }
    for (uint32_t side = 0; side < 2; ++side) {
      if (!IsOutside(g, loop, g.operand(*n, 1 - side))) continue;
      const Row row = RowOf(g, loop, body, g.operand(*n, side));
      if (row.slice == nullptr) continue;
      const int64_t rows = g.operand_type(*row.slice, 0).shape[row.dim];
      if (rows > turns.AsInt() + 1) continue;
      RowProduct product{n, side, row, g.result_type(*n), PlaceOf(g, *n, side, row.dim)};
      product.all.shape.insert(product.place, rows);
      const int64_t bytes = stablehlo::ByteCount(product.all);
      if (bytes < 0 || bytes > kMostBytes) continue;
      products.push_back(std::move(product));
      break;
    }
  }
  return products;
}

// A loop that counts from 0 in ones, as a loop around it that takes some turns at a time needs it.
class Blocks {
 public:
  Blocks(Graph& g, Node& loop) : g_(g), loop_(loop) {}

  // How many turns to take at a time so that what they need, `bytes` per turn, is small; 0 if all
  // at once, because there is little or because no number divides the turns.
  int64_t Choose(int64_t bytes) const {
    const int64_t turns = loop_.attr(kTripCountAttr).AsInt();
    if (bytes <= 0 || turns <= kBlockBytes / bytes || Compare() == nullptr) return 0;
    const int64_t most = std::min(std::max(kBlockBytes / bytes, kLeastRows), turns - 1);
    for (const int64_t step : {kTileRows, int64_t{1}}) {
      for (int64_t block = most / step * step; block >= kLeastRows; block -= step) {
        if (turns % block == 0) return block;
      }
    }
    return 0;
  }

  // True for an index that is the counter, or it backwards: *forward says which.
  bool Counts(ValueId index, bool* forward) const {
    const int64_t turns = loop_.attr(kTripCountAttr).AsInt();
    *forward = index == Counter();
    if (*forward) return true;
    const Node* back = g_.DefOfKind(index, OpKind::kSubtract);
    return back != nullptr && back->block == loop_.regions[1] &&
           g_.operand(*back, 1) == Counter() && IsIntSplat(g_, g_.operand(*back, 0), turns - 1);
  }

  // Puts the loop into another one, which takes `block` turns at a time. After this First() says
  // where they begin.
  void Split(int64_t block) {
    const auto induction = static_cast<uint32_t>(loop_.attr(kInductionAttr).AsInt());
    const int64_t turns = loop_.attr(kTripCountAttr).AsInt();
    const TensorType type = g_.type(g_.operand(loop_, induction));
    Node& compare = *Compare();
    Block* condition = g_.AddBlock({type, type}, OpKind::kCompare);
    condition->first->attrs = compare.attrs;
    g_.SetType(condition->first->first_result, g_.result_type(compare));
    Block* body = g_.AddBlock({type, type}, OpKind::kAdd);
    g_.SetOperand(*body->first, 1, g_.SplatInt(type, block));
    const TensorType results[] = {type, type};
    const ValueId inits[] = {g_.SplatInt(type, 0), g_.SplatInt(type, turns)};
    Node& outer = g_.EmitNode(loop_, *loop_.def, inits, {}, results, {condition, body});
    g_.SetOperands(*body->last, {body->first->first_result, body->args[1]});
    const uint32_t carried = loop_.num_operands;
    for (uint32_t i = 0; i < carried; ++i) g_.AddCarried(outer, g_.operand(loop_, i), kNoValue);
    for (uint32_t i = 0; i < carried; ++i) {
      g_.ReplaceUses(loop_.result(i), outer.result(i + 2));
      g_.SetOperand(loop_, i, body->args[i + 2]);
    }
    g_.MoveBefore(loop_, *body->last);
    for (uint32_t i = 0; i < carried; ++i) g_.SetOperand(*body->last, i + 2, loop_.result(i));
    first_ = body->args[0];
    end_ = body->first->first_result;
    g_.SetOperand(compare, 1, end_);
    for (const std::string_view name : {kInductionAttr, kInductionStartAttr, kInductionStepAttr}) {
      SetAttr(&loop_.attrs, name, Attr());  // it starts anywhere now
    }
    SetAttr(&loop_.attrs, kTripCountAttr, Attr::Int(block));
    turns_ = turns;
  }

  // The first of the rows that the turns of one round read.
  ValueId First(bool forward) {
    if (forward) return first_;
    const TensorType type = g_.type(end_);
    return g_.Emit(loop_, OpKind::kSubtract, {g_.SplatInt(type, turns_), end_}, {}, type);
  }

 private:
  ValueId Counter() const {
    return loop_.regions[1]->args[static_cast<size_t>(loop_.attr(kInductionAttr).AsInt())];
  }
  // counter < turns, if that is what the condition is.
  Node* Compare() const {
    if (loop_.attr(kInductionStartAttr).AsInt() != 0 ||
        loop_.attr(kInductionStepAttr).AsInt() != 1) {
      return nullptr;
    }
    const Block& condition = *loop_.regions[0];
    const auto induction = static_cast<size_t>(loop_.attr(kInductionAttr).AsInt());
    Node* compare = g_.DefOfKind(g_.operand(*condition.last, 0), OpKind::kCompare);
    if (compare == nullptr || compare->block != &condition ||
        g_.operand(*compare, 0) != condition.args[induction] ||
        static_cast<CompareDirection>(compare->attr("comparison_direction").AsEnum()) !=
            CompareDirection::kLt ||
        !IsIntSplat(g_, g_.operand(*compare, 1), loop_.attr(kTripCountAttr).AsInt())) {
      return nullptr;
    }
    return compare;
  }

  Graph& g_;
  Node& loop_;
  ValueId first_ = kNoValue, end_ = kNoValue;
  int64_t turns_ = 0;
};

void MakeProductsBefore(Graph& g, Node& loop) {
  const std::vector<RowProduct> products = FindProducts(g, loop);
  if (products.empty()) return;
  Blocks blocks(g, loop);
  int64_t bytes = 0;  // of what could be made some turns at a time
  std::vector<bool> counted(products.size()), forward(products.size());
  for (size_t i = 0; i < products.size(); ++i) {
    const RowProduct& p = products[i];
    bool is_forward = false;
    counted[i] = blocks.Counts(IndexOf(g, p.row), &is_forward) &&
                 p.all.shape[p.place] >= loop.attr(kTripCountAttr).AsInt();
    forward[i] = is_forward;
    if (counted[i]) bytes += stablehlo::ByteCount(g.result_type(*p.dot));
  }
  const int64_t block = blocks.Choose(bytes);
  if (block > 0) blocks.Split(block);
  for (size_t i = 0; i < products.size(); ++i) {
    Rows rows;
    if (block > 0 && counted[i]) rows = {blocks.First(forward[i]), block};
    MakeBefore(g, loop, products[i], rows);
  }
}

void Visit(Graph& g, Block& b) {
  for (Node *n = b.first, *next = nullptr; n != nullptr; n = next) {
    next = n->next;
    for (Block* inner : n->regions) Visit(g, *inner);
    if (n->kind != OpKind::kWhile) continue;
    OuterSums(g, *n).Run();
    MakeProductsBefore(g, *n);
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

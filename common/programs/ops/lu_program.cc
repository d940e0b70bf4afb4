#include <algorithm>
#include <limits>

#include "common/programs/ops/factor_programs.h"
#include "common/programs/ops/indexing.h"
#include "common/programs/ops/linalg.h"
#include "common/programs/ops/loops.h"

namespace megalith::ops {
namespace {

constexpr int64_t kBlock = 128;
const IndexOptions kStatic{.mode = IndexMode::kFillOrDrop, .sorted = true, .unique = true};
const IndexOptions kArbitrary{.mode = IndexMode::kFillOrDrop};

Value Zero(Builder& b) { return b.Lit(Literal::Int(DType::kI32, 0)); }
// The loop counter, a Python number to JAX, as a 32-bit integer.
Value Narrow(Builder& b, Value k) { return ir::ConvertElementType(b, k, DType::kI32); }

Value SliceAt(Builder& b, Value x, std::span<const Value> starts, const Dims& sizes) {
  std::vector<Value> operands = {x};
  operands.insert(operands.end(), starts.begin(), starts.end());
  return b.Emit1("dynamic_slice", operands, {{"slice_sizes", ParamValue::Ints(sizes)}});
}

// a[:, k].
Value ColumnAt(Builder& b, Value a, Value k) {
  if (!b.ok()) return a;
  const Value column = Narrow(b, k);
  const Value first = WrapIndices(b, Zero(b), a.shape()[0]);
  const Value starts[] = {first, WrapIndices(b, column, a.shape()[1])};
  return ir::Squeeze(b, SliceAt(b, a, starts, Dims{a.shape()[0], 1}), Dims{1});
}

// a[k, None] for a matrix.
Value RowAt(Builder& b, Value a, Value k) {
  if (!b.ok()) return a;
  const Value row = Narrow(b, k);
  const Value wrapped = WrapIndices(b, row, a.shape()[0]);
  const Value starts[] = {wrapped, WrapIndices(b, Zero(b), a.shape()[1])};
  const Value values = ir::Squeeze(b, SliceAt(b, a, starts, Dims{1, a.shape()[1]}), Dims{0});
  return ir::ExpandDims(b, values, Dims{0});
}

// a[k, k].
Value PivotAt(Builder& b, Value a, Value k) {
  if (!b.ok()) return a;
  const Value row = Narrow(b, k);
  const Value column = Narrow(b, k);
  const Value wrapped = WrapIndices(b, row, a.shape()[0]);
  const Value starts[] = {wrapped, WrapIndices(b, column, a.shape()[1])};
  return ir::Squeeze(b, SliceAt(b, a, starts, Dims{1, 1}), Dims{0, 1});
}

// A vector of two row numbers, of which `k` is the loop counter.
Value RowPair(Builder& b, Value first, Value second) {
  Value parts[] = {first, second};
  for (Value& part : parts) {
    if (part.aval().weak_type) part = Narrow(b, part);
    part = ir::Broadcast(b, part, Dims{1});
  }
  return ir::Concatenate(b, parts, 0);
}

// x.at[rows].set(values) along the first dimension.
Value SetRows(Builder& b, Value x, Value rows, Value values) {
  if (!b.ok()) return x;
  const Value wrapped = WrapIndices(b, rows, x.shape()[0]);
  const Value vectors = ir::ExpandDims(b, wrapped, Dims{1});
  return Scatter(b, "scatter", x, vectors, values,
                 {ir::Range(1, static_cast<int64_t>(x.rank())), {0}, {0}}, kArbitrary);
}

// x.at[..., k].set(values) for the position k of dimension `axis`.
Value SetAt(Builder& b, Value x, int64_t axis, Value k, Value values) {
  if (!b.ok()) return x;
  const Value wrapped = WrapIndices(b, k, x.shape()[static_cast<size_t>(axis)]);
  const Value narrow =
      wrapped.dtype() == DType::kI32 && !wrapped.aval().weak_type ? wrapped : Narrow(b, wrapped);
  const Value index = ir::Broadcast(b, narrow, Dims{1});
  return Scatter(b, "scatter", x, index, values,
                 {ir::Range(static_cast<int64_t>(x.rank()) - 1), {axis}, {axis}}, kStatic);
}

// x.at[first : first + size of values].op(values) for constant positions; an update of nothing does
// nothing.
Value UpdateBlock(Builder& b, std::string_view op, Value x, const Dims& first, Value values) {
  if (!b.ok()) return x;
  const auto rank = static_cast<int64_t>(x.rank());
  Dims partial;
  std::vector<Value> starts;
  for (size_t i = 0; i < x.rank(); ++i) {
    if (values.shape()[i] == 0) return x;
    if (values.shape()[i] == x.shape()[i]) continue;
    partial.push_back(static_cast<int64_t>(i));
    starts.push_back(ir::Broadcast(b, b.Lit(Literal::Int(DType::kI32, first[i])), Dims{1}));
  }
  const Value index =
      starts.empty() ? IndexVector(b, DType::kI32, {}) : ir::Concatenate(b, starts, 0);
  return Scatter(b, op, x, index, values, {ir::Range(rank), {}, partial}, kStatic);
}

// a[r0:r1, c0:c1].
Value Block(Builder& b, Value a, int64_t r0, int64_t r1, int64_t c0, int64_t c1) {
  if (!b.ok()) return a;
  if (r0 == 0 && c0 == 0 && r1 == a.shape()[0] && c1 == a.shape()[1]) return a;
  return ir::Slice(b, a, Dims{r0, c0}, Dims{r1, c1});
}

// |re| + |im|, LAPACK's measure of a complex pivot.
Value Magnitude(Builder& b, Value column) {
  if (!tensor::IsComplex(column.dtype())) return ir::Unary(b, "abs", column);
  const Value re = ir::Unary(b, "abs", b.Emit1("real", {column}));
  const Value im = ir::Unary(b, "abs", b.Emit1("imag", {column}));
  return ir::Add(b, re, im);
}

// Step k of the elimination: exchanges rows so that the pivot is the largest, divides the column by
// it and subtracts the outer product from what is left. `state` is pivots, permutation and matrix.
std::vector<Value> LuStep(Builder& b, Value k, std::span<const Value> state) {
  Value pivot = state[0], perm = state[1], a = state[2];
  const int64_t m = a.shape()[0];
  const int64_t n = a.shape()[1];
  const Value rows = ir::Iota(b, DType::kI32, Shape{m}, 0);
  const Value columns = ir::Iota(b, DType::kI32, Shape{n}, 0);
  const Value magnitude = Magnitude(b, ColumnAt(b, a, k));
  const Value candidate = ir::Binary(b, "ge", rows, Narrow(b, k));
  const Value lowest = ir::FullLike(b, magnitude, -std::numeric_limits<double>::infinity());
  const Value masked = ir::Select(b, candidate, magnitude, lowest);
  const Value i = b.Emit1(
      "argmax", {masked},
      {{"axes", ParamValue::Ints(Dims{0})}, {"index_dtype", ParamValue::Type(DType::kI32)}});
  pivot = SetAt(b, pivot, 0, k, i);
  const Value from = RowPair(b, i, k);
  const Value exchanged = TakeRows(b, a, from, 0);
  a = SetRows(b, a, RowPair(b, k, i), exchanged);
  const Value back = RowPair(b, k, i);
  const Value exchanged_perm = TakeRows(b, perm, back, 0);
  perm = SetRows(b, perm, RowPair(b, i, k), exchanged_perm);

  const Value x = PivotAt(b, a, k);
  const Value below = ir::Binary(b, "gt", rows, Narrow(b, k));
  const Value usable = b.Emit1("ne", {x, ir::ScalarOf(b, a.dtype(), 0)});
  const Value divisible = b.Emit1("and", {below, usable});
  const Value quotient = ir::Div(b, ColumnAt(b, a, k), x);
  const Value column = ir::Select(b, divisible, quotient, ColumnAt(b, a, k));
  a = SetAt(b, a, 1, k, column);

  const Value left = ir::ExpandDims(b, ColumnAt(b, a, k), Dims{1});
  const Value outer = ir::Mul(b, left, RowAt(b, a, k));
  const Value row_numbers = ir::ExpandDims(b, rows, Dims{1});
  const Value below_pivot = ir::Binary(b, "gt", row_numbers, Narrow(b, k));
  const Value column_numbers = ir::ExpandDims(b, columns, Dims{0});
  const Value right_of_pivot = ir::Binary(b, "gt", column_numbers, Narrow(b, k));
  const Value rest = b.Emit1("and", {below_pivot, right_of_pivot});
  const Value nothing = ir::FullLike(b, outer, 0);
  const Value change = ir::Select(b, rest, outer, nothing);
  return {pivot, perm, ir::Sub(b, a, change)};
}

std::vector<Value> LuOfColumns(Builder& b, Value a) {
  const int64_t r = std::min(a.shape()[0], a.shape()[1]);
  const Value pivot = ir::Full(b, Shape{r}, DType::kI32, 0);
  const Value perm = ir::Iota(b, DType::kI32, Shape{a.shape()[0]}, 0);
  return CountedLoop(b, r, {pivot, perm, a}, LuStep);
}

// One matrix, by blocks of columns.
std::vector<Value> LuOfMatrix(Builder& b, Value a) {
  const int64_t m = a.shape()[0];
  const int64_t n = a.shape()[1];
  const int64_t r = std::min(m, n);
  Value pivot = ir::Full(b, Shape{r}, DType::kI32, 0);
  Value perm = ir::Iota(b, DType::kI32, Shape{m}, 0);
  for (int64_t k = 0; k < r && b.ok(); k += kBlock) {
    const int64_t end = std::min(r, k + kBlock);
    const Value offset = b.Lit(Literal::Int(DType::kI32, k));
    const std::vector<Value> block = LuOfColumns(b, Block(b, a, k, m, k, end));
    if (!b.ok()) break;
    pivot = UpdateBlock(b, "scatter", pivot, {k}, ir::Add(b, block[0], offset));
    const Value order = ir::Add(b, block[1], offset);
    perm = UpdateBlock(b, "scatter", perm, {k}, TakeRows(b, perm, order, 0));
    const Value order_again = ir::Add(b, block[1], offset);
    a = UpdateBlock(b, "scatter", a, {k, 0}, TakeRows(b, a, order_again, 0));
    a = UpdateBlock(b, "scatter", a, {k, k}, block[2]);
    if (end == n) continue;
    const Value factor = Block(b, a, k, end, k, end);
    const Value right = Block(b, a, k, end, end, n);
    const Value solved = TriangularSolve(b, factor, right,
                                         {.left_side = true, .lower = true, .unit_diagonal = true});
    a = UpdateBlock(b, "scatter", a, {k, end}, solved);
    const Value below = Block(b, a, end, m, k, end);
    const Value product = DotHighest(b, below, Block(b, a, k, end, end, n));
    a = UpdateBlock(b, "scatter-add", a, {end, end}, ir::Neg(b, product));
  }
  return {a, pivot, perm};
}

// x[i] for the loop counter i or an array of 32-bit integers.
Value ElementAt(Builder& b, Value x, Value i) {
  if (!b.ok()) return x;
  const int64_t size = x.shape()[0];
  Value index;
  if (i.aval().weak_type) {
    const Value negative = b.Emit1("lt", {i, ir::ScalarOf(b, i.dtype(), 0, /*weak=*/true)});
    const Value strong = ir::ConvertElementType(b, i, i.dtype());
    const Value from_end = ir::Add(b, strong, b.Lit(Literal::Int(i.dtype(), size)));
    index = ir::Select(b, negative, from_end, i);
  } else {
    index = WrapIndices(b, i, size);
  }
  return ir::Squeeze(b, SliceAt(b, x, {&index, 1}, Dims{1}), Dims{0});
}

}  // namespace

std::vector<Value> LuProgram(Builder& b, Value x) {
  const Shape batch(std::span<const int64_t>(x.shape()).first(x.rank() - 2));
  return OverBatch(b, {&x, 1}, {true}, batch, [](Builder& inner, std::span<const Value> v) {
    return LuOfMatrix(inner, v[0]);
  });
}

Value PivotsToPermutation(Builder& b, Value pivots, int64_t size) {
  if (!b.ok()) return pivots;
  const Shape batch(std::span<const int64_t>(pivots.shape()).first(pivots.rank() - 1));
  const int64_t count = pivots.shape()[pivots.rank() - 1];
  const Value start =
      ir::Iota(b, DType::kI32, ir::Concat(batch, Dims{size}), static_cast<int64_t>(batch.size()));
  if (size == 0 || count == 0) return start;
  const auto exchange = [](Builder& inner, std::span<const Value> v) {
    const Value j = ElementAt(inner, v[2], v[0]);
    const Value x = ElementAt(inner, v[1], v[0]);
    const Value y = ElementAt(inner, v[1], j);
    const Value once = SetAt(inner, v[1], 0, v[0], y);
    return std::vector<Value>{SetAt(inner, once, 0, j, x)};
  };
  return CountedLoop(b, count, {start}, [&](Builder& body, Value i, std::span<const Value> state) {
    const Value operands[] = {i, state[0], pivots};
    return OverBatch(body, operands, {false, true, true}, batch, exchange);
  })[0];
}

}  // namespace megalith::ops

#include "common/programs/ops/linalg.h"

#include <algorithm>

#include "common/foundation/base/strings.h"
#include "common/programs/batching/batching.h"
#include "common/programs/ops/indexing.h"

namespace megalith::ops {

using tensor::TupleText;

Result<MatrixShapes> SplitBatch(const TypeArgs& a, std::initializer_list<size_t> ranks,
                                bool same_dtypes) {
  MatrixShapes out;
  size_t i = 0;
  for (const size_t rank : ranks) {
    const Shape& shape = a.operands[i].shape;
    if (shape.size() < rank) {
      return TypeError(StrCat("Input ", i, " to ", a.op.name, " must have rank at least ", rank,
                              ", but got shape=", TupleText(shape)));
    }
    const std::span<const int64_t> dims = shape;
    const Shape batch(dims.first(shape.size() - rank));
    if (i == 0) out.batch = batch;
    if (batch.size() != out.batch.size()) {
      return TypeError(StrCat(
          "All inputs to ", a.op.name, " must have the same number of batch dimensions, but got [",
          out.batch.size(), ", ", batch.size(), "] batch dimensions for the inputs."));
    }
    if (!(batch == out.batch)) {
      return TypeError(StrCat("All inputs to ", a.op.name,
                              " must have the same batch dimensions, but got ",
                              TupleText(out.batch), " and ", TupleText(batch), "."));
    }
    out.dims.push_back(Shape(dims.last(rank)));
    ++i;
  }
  for (size_t k = 0; k < a.operands.size() && same_dtypes; ++k) RETURN_IF_ERROR(CheckAccepts(a, k));
  if (same_dtypes) RETURN_IF_ERROR(CheckSameDTypes(a.op.name, a.operands));
  return out;
}

Aval WithBatch(const TypeArgs& a, const MatrixShapes& m, DType dtype,
               std::initializer_list<int64_t> dims) {
  return Aval{dtype, AllWeak(a.operands), ir::Concat(m.batch, Dims(dims))};
}

BatchResult BatchLeading(Builder& b, const BatchArgs& a) {
  std::vector<Value> operands;
  for (size_t i = 0; i < a.values.size(); ++i) {
    operands.push_back(ir::BatchAtFront(b, a.values[i], a.dims[i], a.axis.size));
  }
  BatchResult out{b.Emit(a.op, a.params, operands), {}};
  out.dims.assign(out.values.size(), 0);
  return out;
}

namespace {

Result<ir::JaxprPtr> MappedJaxpr(ir::Session& session, std::span<const Value> operands,
                                 const std::vector<bool>& mapped, const Shape& batch,
                                 const BatchedFn& fn) {
  Builder inner(session);
  std::vector<Value> in;
  std::vector<int> dims;
  for (size_t i = 0; i < operands.size(); ++i) {
    Aval aval = operands[i].aval();
    if (mapped[i]) aval.shape = Shape(std::span<const int64_t>(aval.shape).subspan(batch.size()));
    in.push_back(inner.Input(aval));
    dims.push_back(mapped[i] ? 0 : kUnmapped);
  }
  const std::vector<Value> out = fn(inner, in);
  ASSIGN_OR_RETURN(ir::JaxprPtr jaxpr, inner.Finish(out));
  for (size_t i = batch.size(); i-- > 0;) {
    const ir::AxisData axis{"", batch[i]};
    const std::vector<batching::OutDim> dests(out.size(), {batching::OutDim::Kind::kAt, 0});
    ASSIGN_OR_RETURN(const batching::BatchedJaxpr next,
                     batching::BatchJaxprTo(session, jaxpr, dims, axis, dests));
    jaxpr = next.jaxpr;
  }
  return jaxpr;
}

}  // namespace

std::vector<Value> OverBatch(Builder& b, std::span<const Value> operands,
                             const std::vector<bool>& mapped, const Shape& batch,
                             const BatchedFn& fn) {
  if (!b.ok()) return {operands.begin(), operands.end()};
  if (batch.empty()) return fn(b, operands);
  const Result<ir::JaxprPtr> jaxpr = MappedJaxpr(b.session(), operands, mapped, batch, fn);
  if (!jaxpr.ok()) {
    b.Fail(jaxpr.status());
    return {operands.begin(), operands.end()};
  }
  return b.Inline(**jaxpr, {}, operands);
}

// ---- lax ----

Value MatrixTranspose(Builder& b, Value x) {
  if (!b.ok()) return x;
  Dims order = ir::Range(static_cast<int64_t>(x.rank()));
  std::swap(order[x.rank() - 2], order[x.rank() - 1]);
  return ir::Transpose(b, x, order);
}

Value ConjOrSame(Builder& b, Value x) { return tensor::IsComplex(x.dtype()) ? ir::Conj(b, x) : x; }
Value RealOrSame(Builder& b, Value x) {
  return tensor::IsComplex(x.dtype()) ? b.Emit1("real", {x}) : x;
}

Value Adjoint(Builder& b, Value x) {
  const Value t = MatrixTranspose(b, x);
  return ConjOrSame(b, t);
}

namespace {

// Row numbers plus `offset`, compared with column numbers.
Value CompareRowsWithColumns(Builder& b, std::string_view op, DType index, int64_t rows,
                             int64_t columns, int64_t offset) {
  const Shape shape{rows, columns};
  const Value row = ir::Iota(b, index, shape, 0);
  const Value shifted = ir::Add(b, row, b.Lit(Literal::Int(index, offset)));
  const Value column = ir::Iota(b, index, shape, 1);
  return b.Emit1(op, {shifted, column});
}

// True on and below the k-th diagonal, for every matrix of x.
Value TriangleMask(Builder& b, Value x, int64_t k) {
  const Shape& shape = x.shape();
  const DType index = b.session().x64() ? DType::kI64 : DType::kI32;
  const Value mask =
      CompareRowsWithColumns(b, "ge", index, shape[x.rank() - 2], shape[x.rank() - 1], k);
  return ir::Broadcast(b, mask, Dims(std::span<const int64_t>(shape).first(x.rank() - 2)));
}

}  // namespace

Value Tril(Builder& b, Value x, int64_t k) {
  if (!b.ok()) return x;
  const Value mask = TriangleMask(b, x, k);
  const Value zeros = ir::FullLike(b, x, 0);
  return ir::Select(b, mask, x, zeros);
}

Value Triu(Builder& b, Value x, int64_t k) {
  if (!b.ok()) return x;
  const Value mask = TriangleMask(b, x, k - 1);
  const Value zeros = ir::FullLike(b, x, 0);
  return ir::Select(b, mask, zeros, x);
}

Value Eye(Builder& b, DType dtype, int64_t rows, int64_t columns) {
  return ir::ConvertElementType(b, CompareRowsWithColumns(b, "eq", DType::kI32, rows, columns, 0),
                                dtype);
}

Value EyeOfRank(Builder& b, DType dtype, int64_t n, size_t rank) {
  const Value eye = Eye(b, dtype, n, n);
  return ir::ExpandDims(b, eye, ir::Range(static_cast<int64_t>(rank) - 2));
}

ParamValue HighestPrecision() {
  const ParamValue highest = ParamValue::Text("Precision.HIGHEST");
  return ParamValue::Tuple({highest, highest});
}

Value DotHighest(Builder& b, Value x, Value y) {
  const auto rank = static_cast<int64_t>(x.rank());
  const Dims batch = ir::Range(rank - 2);
  return ir::DotGeneral(b, x, y, {Dims{rank - 1}, Dims{rank - 2}, batch, batch},
                        HighestPrecision());
}

Value TriangularSolve(Builder& b, Value a, Value rhs, const TriangularSolveOptions& o) {
  return b.Emit1("triangular_solve", {a, rhs},
                 {{"left_side", ParamValue::Bool(o.left_side)},
                  {"lower", ParamValue::Bool(o.lower)},
                  {"transpose_a", ParamValue::Bool(o.transpose_a)},
                  {"conjugate_a", ParamValue::Bool(o.conjugate_a && tensor::IsComplex(a.dtype()))},
                  {"unit_diagonal", ParamValue::Bool(o.unit_diagonal)}});
}

// ---- jax.numpy ----

// Batch dimensions of size 1 are squeezed away and put back by a transpose of the result, as
// jnp.matmul does.
Value NumpyMatMul(Builder& b, Value x, Value y, const ParamValue& precision) {
  if (!b.ok()) return x;
  const auto batch_rank = static_cast<int64_t>(x.rank()) - 2;
  Dims x_squeeze, y_squeeze, x_batch, y_batch;
  Dims both, only_x, only_y;  // where each kind of dimension goes in the result
  for (int64_t i = 0; i < batch_rank; ++i) {
    const auto at = static_cast<size_t>(i);
    if (x.shape()[at] == 1) {
      only_y.push_back(i);
      x_squeeze.push_back(static_cast<int64_t>(both.size() + only_x.size() + x_squeeze.size()));
    } else if (y.shape()[at] == 1) {
      only_x.push_back(i);
      y_squeeze.push_back(static_cast<int64_t>(both.size() + only_y.size() + y_squeeze.size()));
    } else {
      x_batch.push_back(static_cast<int64_t>(both.size() + only_x.size()));
      y_batch.push_back(static_cast<int64_t>(both.size() + only_y.size()));
      both.push_back(i);
    }
  }
  only_x.push_back(batch_rank);
  only_y.push_back(batch_rank + 1);
  const DType dtype = x.dtype();
  const bool weak = x.aval().weak_type && y.aval().weak_type;
  x = ir::Squeeze(b, x, x_squeeze);
  y = ir::Squeeze(b, y, y_squeeze);
  const auto x_rank = static_cast<int64_t>(x.rank());
  const auto y_rank = static_cast<int64_t>(y.rank());
  const Value product =
      ir::DotGeneral(b, x, y, {Dims{x_rank - 1}, Dims{y_rank - 2}, x_batch, y_batch}, precision,
                     ParamValue::Type(dtype));
  const Value ordered = ir::Transpose(
      b, product, ir::InversePermutation(ir::Concat(both, ir::Concat(only_x, only_y))));
  return ir::ConvertElementType(b, ordered, dtype, weak);
}

Value NumpyOp(Builder& b, std::string_view op, Value x, Value y) {
  const size_t rank = std::max(x.rank(), y.rank());
  if (x.rank() > 0 && x.rank() < rank) x = ir::Broadcast(b, x, Dims(rank - x.rank(), 1));
  if (y.rank() > 0 && y.rank() < rank) y = ir::Broadcast(b, y, Dims(rank - y.rank(), 1));
  return NumpyBinary(b, op, x, y);
}

Value AsType(Builder& b, Value x, DType dtype) {
  return x.dtype() == dtype && !x.aval().weak_type ? x : ir::ConvertElementType(b, x, dtype);
}

Value WrapIndices(Builder& b, Value indices, int64_t size) {
  const Value negative = b.Emit1("lt", {indices, b.Lit(Literal::Int(indices.dtype(), 0))});
  const Value from_end = ir::Add(b, indices, b.Lit(Literal::Int(indices.dtype(), size)));
  return ir::Select(b, negative, from_end, indices);
}

Value TakeRows(Builder& b, Value x, Value indices, int64_t axis) {
  if (!b.ok()) return x;
  const Value wrapped = WrapIndices(b, indices, x.shape()[static_cast<size_t>(axis)]);
  const Value vectors = ir::ExpandDims(b, wrapped, Dims{1});
  Dims sizes = x.shape();
  sizes[static_cast<size_t>(axis)] = 1;
  const Dims others = ir::Without(ir::Range(static_cast<int64_t>(x.rank())), Dims{axis});
  return Gather(b, x, vectors, {others, {axis}, {axis}}, sizes, IndexOptions{});
}

namespace {

// Index pairs (i, i) for the diagonal of n-by-n matrices.
Value DiagonalIndices(Builder& b, Value i, int64_t rows, int64_t columns) {
  const Value row = WrapIndices(b, i, rows);
  const Value column = WrapIndices(b, i, columns);
  const Value pair[] = {ir::ExpandDims(b, row, Dims{1}), ir::ExpandDims(b, column, Dims{1})};
  return ir::Concatenate(b, pair, 1);
}

}  // namespace

Value ExtractDiagonal(Builder& b, Value x) {
  if (!b.ok()) return x;
  const auto rank = static_cast<int64_t>(x.rank());
  const int64_t rows = x.shape()[x.rank() - 2];
  const int64_t columns = x.shape()[x.rank() - 1];
  const Value i = ir::Iota(b, DType::kI32, Shape{std::min(rows, columns)}, 0);
  const Value indices = DiagonalIndices(b, i, rows, columns);
  Dims sizes = x.shape();
  sizes[x.rank() - 2] = 1;
  sizes[x.rank() - 1] = 1;
  const Dims last{rank - 2, rank - 1};
  return Gather(b, x, indices, {ir::Range(rank - 2), last, last}, sizes, IndexOptions{});
}

Value ConstructDiagonal(Builder& b, Value s) {
  if (!b.ok()) return s;
  const auto rank = static_cast<int64_t>(s.rank());
  const int64_t n = s.shape()[s.rank() - 1];
  const Value i = ir::Iota(b, DType::kI32, Shape{n}, 0);
  const Value zeros = ir::Full(b, ir::Concat(s.shape(), Dims{n}), s.dtype(), 0);
  const Value indices = DiagonalIndices(b, i, n, n);
  const Dims last{rank - 1, rank};
  return Scatter(b, "scatter", zeros, indices, s, {ir::Range(rank - 1), last, last},
                 {.mode = IndexMode::kFillOrDrop});
}

}  // namespace megalith::ops

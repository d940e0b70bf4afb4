// Matrices: what the type rules of linear algebra share, and the small lax and jax.numpy vocabulary
// their derivatives are written in. Matrices are the last two dimensions of arrays; those before
// are batch dimensions.
#pragma once

#include <functional>
#include <initializer_list>
#include <vector>

#include "common/programs/ir/emit.h"
#include "common/programs/ops/rules.h"

namespace megalith::ops {

// ---- types ----

// Operand shapes without their common batch dimensions.
struct MatrixShapes {
  Shape batch;
  std::vector<Shape> dims;  // one per operand, of the asked ranks
};
// Checks ranks, batch dimensions and dtype classes. `same_dtypes`: operands must agree.
Result<MatrixShapes> SplitBatch(const TypeArgs& a, std::initializer_list<size_t> ranks,
                                bool same_dtypes = true);
// A result type with the batch dimensions and the operands' common weakness.
Aval WithBatch(const TypeArgs& a, const MatrixShapes& m, DType dtype,
               std::initializer_list<int64_t> dims);

// Every operand gets its batch dimension first.
BatchResult BatchLeading(Builder& b, const BatchArgs& a);

// `fn` for every element of a batch: traced for one and mapped over the leading dimensions `batch`,
// innermost first. Operands without `mapped` have no batch dimensions and are the same for all;
// without batch dimensions `fn` is emitted as it is.
using BatchedFn = std::function<std::vector<Value>(Builder&, std::span<const Value>)>;
std::vector<Value> OverBatch(Builder& b, std::span<const Value> operands,
                             const std::vector<bool>& mapped, const Shape& batch,
                             const BatchedFn& fn);

// ---- lax ----

// x as a batch of matrices with rows and columns exchanged, and conjugated.
Value MatrixTranspose(Builder& b, Value x);
Value Adjoint(Builder& b, Value x);
// x.conj(): nothing for real arrays.
Value ConjOrSame(Builder& b, Value x);
// x.real: nothing for real arrays.
Value RealOrSame(Builder& b, Value x);
Value Tril(Builder& b, Value x, int64_t k = 0);
Value Triu(Builder& b, Value x, int64_t k = 0);
Value Eye(Builder& b, DType dtype, int64_t rows, int64_t columns);
// The same under leading dimensions of size 1, up to `rank`.
Value EyeOfRank(Builder& b, DType dtype, int64_t n, size_t rank);
ParamValue HighestPrecision();
// lax.dot for matrices and lax.batch_matmul for batches of them, at highest precision.
Value DotHighest(Builder& b, Value x, Value y);
struct TriangularSolveOptions {
  bool left_side = false;
  bool lower = false;
  bool transpose_a = false;
  bool conjugate_a = false;
  bool unit_diagonal = false;
};
Value TriangularSolve(Builder& b, Value a, Value rhs, const TriangularSolveOptions& options);

// ---- jax.numpy ----

// x @ y for arrays of equal rank.
Value NumpyMatMul(Builder& b, Value x, Value y, const ParamValue& precision = {});
// A broadcasting operator: the operand of lower rank gets leading dimensions of size 1.
Value NumpyOp(Builder& b, std::string_view op, Value x, Value y);
// x.astype(dtype).
Value AsType(Builder& b, Value x, DType dtype);
// indices + size where they are negative.
Value WrapIndices(Builder& b, Value indices, int64_t size);
// x[indices] along `axis` of an array, `indices` being a vector.
Value TakeRows(Builder& b, Value x, Value indices, int64_t axis);
// Diagonals of matrices, and matrices with given diagonals.
Value ExtractDiagonal(Builder& b, Value x);
Value ConstructDiagonal(Builder& b, Value s);

}  // namespace megalith::ops

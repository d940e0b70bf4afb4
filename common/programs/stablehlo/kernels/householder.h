// Reductions of matrices by elementary reflectors H = I - tau v v^H, with the signs and the storage
// of LAPACK: the first component of v is 1 and not stored, the others are where the zeros they made
// would be.
//
// All are backward stable: the result is exact for a matrix within a modest multiple of eps * size
// of the given one.
#pragma once

#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/matrix.h"

namespace megalith::stablehlo {

// A = Q R: R on and above the diagonal of `a`, one reflector below the diagonal of each column.
// Long computations poll `run`, here and below.
template <typename T>
Status QrInPlace(const Run& run, Matrix<T>* a, std::vector<T>* taus);

// The same with columns exchanged so that the diagonal of R falls: A P = Q R, where (*order)[j] is
// the column of A that became column j. Columns with `first[j]` set are moved to the front before
// and stay there.
template <typename T>
Status QrWithPivots(const Run& run, Matrix<T>* a, std::vector<T>* taus, std::vector<int64_t>* order,
                    const std::vector<bool>& first);

// The first a.columns() columns of the product of the reflectors below the diagonal of `a`, in
// order. Requires taus.size() <= a.columns() <= a.rows().
template <typename T>
Status ReflectorProduct(const Run& run, Matrix<T>* a, const std::vector<T>& taus);

// Q^H A Q = T, tridiagonal and real, for a hermitian A of which only the lower triangle is read.
// Reflector k acts on rows k + 1 and after, and is stored below the subdiagonal of column k of `a`.
template <typename T>
struct Tridiagonal {
  std::vector<double> d, e;  // diagonal and subdiagonal
  std::vector<T> taus;
};
template <typename T>
Status TridiagonalInPlace(const Run& run, Matrix<T>* a, Tridiagonal<T>* out);

// The same for a general square A: Q^H A Q = H is zero below the subdiagonal.
template <typename T>
Status HessenbergInPlace(const Run& run, Matrix<T>* a, std::vector<T>* taus);

// The product of the reflectors that either of the two has left in `a`, as a matrix of a's size.
template <typename T>
Status SubdiagonalReflectorProduct(const Run& run, const Matrix<T>& a, const std::vector<T>& taus,
                                   Matrix<T>* q);

// A = Q B P^H with an upper bidiagonal, real B, for A with at least as many rows as columns. `q` is
// square; `p` too.
template <typename T>
struct Bidiagonal {
  std::vector<double> d, e;  // diagonal and superdiagonal
  Matrix<T> q, p;
};
template <typename T>
Status Bidiagonalize(const Run& run, Matrix<T> a, Bidiagonal<T>* out);

// x y for long or wide matrices, summed in index order.
template <typename T>
Status Multiply(const Run& run, const Matrix<T>& x, const Matrix<T>& y, Matrix<T>* out);

}  // namespace megalith::stablehlo

// Whole decompositions of one matrix, in double (complex128). Signs and orders are LAPACK's as far
// as docs/formats/custom-calls.md says. `eps` is where iterations stop: IterationEps. For
// kernels/*.cc only.
#pragma once

#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/matrix.h"

namespace megalith::stablehlo {

// The other triangle becomes the adjoint of the one that counts.
template <typename T>
void MakeHermitian(bool lower, Matrix<T>* a);

// Eigenvalues, ascending, and eigenvectors as columns of a finite hermitian matrix; `lower` chooses
// the reduction that reads that triangle. False if the iteration does not converge, here and below.
template <typename T>
Result<bool> Eigh(const Run& run, double eps, bool lower, Matrix<T> a, std::vector<double>* values,
                  Matrix<T>* vectors);

// A = u diag(s) vh with square u and vh; s falls.
template <typename T>
struct SvdFactors {
  Matrix<T> u;
  std::vector<double> s;
  Matrix<T> vh;
};
// Requires finite elements.
template <typename T>
Result<bool> Svd(const Run& run, double eps, Matrix<T> a, SvdFactors<T>* out);

// A = z s z^H; s is upper triangular, of real matrices with blocks of two rows.
template <typename T>
struct SchurForm {
  Matrix<T> s, z;
  bool StartsPair(int64_t i) const { return i + 1 < s.rows() && s(i + 1, i) != T(0); }
};

// The eigenvalues in the order of the diagonal; the first of a conjugate pair has the positive
// imaginary part.
template <typename T>
std::vector<c128> Eigenvalues(const SchurForm<T>& f);
// Eigenvectors of A as columns, of length 1, the largest component of complex ones real.
template <typename T>
Matrix<c128> RightEigenvectors(const SchurForm<T>& f, const std::vector<c128>& values);
template <typename T>
Matrix<c128> LeftEigenvectors(const SchurForm<T>& f, const std::vector<c128>& values);

}  // namespace megalith::stablehlo

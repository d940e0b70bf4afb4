// Eigenvalues of tridiagonal matrices and singular values of bidiagonal ones, by implicit QR
// iterations. The choice of shifts, directions and signs follows LAPACK's xSTEQR and xBDSQR, so
// that vectors come out with the signs they have there for matrices small enough that LAPACK does
// not divide and conquer (25 rows). Iterations stop at the accuracy of the element type, as there:
// more of them would turn signs. `eps` is half the distance from 1 to the next number.
#pragma once

#include <vector>

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/matrix.h"

namespace megalith::stablehlo {

// The real symmetric tridiagonal matrix with diagonal `d` and subdiagonal `e`: on return `d` holds
// its eigenvalues, ascending, and row k of `vectors` (orthogonal) the eigenvector of d[k]. False if
// the iteration did not converge. Backward stable: eigenvalues err by a small multiple of eps times
// the norm.
Result<bool> TridiagonalEigen(const Run& run, double eps, std::vector<double>* d,
                              std::vector<double>* e, Matrix<double>* vectors);

// B = U diag(d) V^T for the real square bidiagonal matrix with diagonal `d` and superdiagonal `e`
// (subdiagonal if `lower`): on return `d` holds the singular values, descending and not negative;
// row k of `ut` and of `vt` the left and right singular vector of d[k]. Singular values of small
// matrices have high relative accuracy.
Result<bool> BidiagonalSvd(const Run& run, double eps, bool lower, std::vector<double>* d,
                           std::vector<double>* e, Matrix<double>* ut, Matrix<double>* vt);

}  // namespace megalith::stablehlo

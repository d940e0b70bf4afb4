// Schur forms of square matrices by implicitly shifted QR iterations, with LAPACK's choice of
// shifts (xLAHQR), so that eigenvalues come out in its order.
#pragma once

#include "common/foundation/base/status.h"
#include "common/programs/stablehlo/kernels/matrix.h"

namespace megalith::stablehlo {

// A = Z S Z^H with unitary Z and S upper triangular; of real matrices S has blocks of two rows on
// the diagonal for pairs of complex eigenvalues, with equal diagonal elements and off-diagonal ones
// of opposite sign. On return `a` holds S. Iterations stop at accuracy `eps`, half the distance
// from 1 to the next number. False if they do not. Backward stable.
template <typename T>
Result<bool> SchurInPlace(const Run& run, double eps, Matrix<T>* a, Matrix<T>* z);

}  // namespace megalith::stablehlo

// The library kernels "cholesky" and "triangular_solve": stablehlo's operations, batched over the
// leading dimensions.
//
// f32, f64, c64 and c128. Matrices of up to 64 rows are computed in f64 and rounded once, as the
// reference evaluator does; larger real ones in their own type, in blocks of 64, and larger complex
// ones in c128.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// One operand and result [..., n, n]. Parameters: lower (0 or 1), as of stablehlo.cholesky: which
// triangle is read and written; the other one of the result is zero. All of the triangle is NaN if
// a matrix is not positive definite. With a second result, i32[...], as LAPACK's xPOTRF: that is 0
// or the order of the first leading minor that is not positive, and the other triangle stays as it
// is in the operand.
extern const LibraryKernel kCholeskyKernel;

// Operands a [..., n, n] and b [..., n, columns] (right side: [..., rows, n]), result like b.
// Parameters: left_side, lower, unit_diagonal (0 or 1), transpose_a (0 none, 1 transpose,
// 2 adjoint), as of stablehlo.triangular_solve.
extern const LibraryKernel kTriangularSolveKernel;

}  // namespace megalith::kernels

// The library kernel "lu": P A = L U by rows, batched over the leading dimensions, as LAPACK's
// xGETRF.
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// Operand [..., m, n] of f32, f64, c64 or c128; results: like it, L below the diagonal (which is
// not stored: ones) and U on and above; i32[..., min(m, n)], the row that was exchanged with row i,
// counted from 1; i32[...], 0 or the first column without a pivot other than zero, counted from 1
// (elimination goes on). No parameters. A NaN counts as the largest element of its column.
//
// Matrices of up to 4096 elements are computed in f64 (c128) and rounded once, as the reference
// evaluator does; larger ones in their own type, real ones in blocks of 64 columns.
extern const LibraryKernel kLuKernel;

}  // namespace megalith::kernels

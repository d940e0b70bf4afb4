// Library kernels that call the machine's LAPACK (lapack_library.h), batched over the leading
// dimensions. Without it their `prepare` answers kUnimplemented.
//
// Operands are f32, f64, c64 or c128 (T; R its real part, C its complex type), k = min(m, n). Each
// kernel's parameters are its flags and then, per output, the number of the result that takes it or
// -1. Results that take none are zero. After a failure results other than `info`, i32[...], are
// NaN; so they are if an operand of a decomposition with iterations is not finite (info -4).
//
// | kernel         | operands       | flags                   | outputs                          |
// |----------------|----------------|-------------------------|----------------------------------|
// | lapack.geqrf   | T[m,n]         |                         | a T[m,n], tau T[k]               |
// | lapack.orgqr   | T[m,n], T[r]   |                         | a T[m,n]                         |
// | lapack.geqp3   | T[m,n], i32[n] |                         | a T[m,n], i32[n], tau T[k]       |
// | lapack.gehrd   | T[n,n]         |                         | a T[n,n], tau T[n-1], info       |
// | lapack.sytrd   | T[n,n]         | lower                   | a T[n,n], d R[n], e R[n-1],      |
// |                |                |                         | tau T[n-1], info                 |
// | lapack.syevd   | T[n,n]         | lower                   | vectors T[n,n], R[n], info       |
// | lapack.gesdd   | T[m,n]         | 0 values only, 1 k      | s R[k], u T[m,k or m],           |
// | lapack.gesvd   |                | vectors, 2 all          | vh T[k or n,n], info             |
// | lapack.geev    | T[n,n]         | left, right             | values C[n], their parts R[n]    |
// |                |                |                         | twice, vectors C[n,n] left and   |
// |                |                |                         | right, info                      |
// | lapack.gees    | T[n,n]         | vectors                 | s T[n,n], z T[n,n], values C[n], |
// |                |                |                         | parts R[n] twice, info           |
#pragma once

#include "common/machines/kernels/library.h"

namespace megalith::kernels {

extern const LibraryKernel kGeqrfKernel, kOrgqrKernel, kGeqp3Kernel, kGehrdKernel, kSytrdKernel,
    kSyevdKernel, kGesddKernel, kGesvdKernel, kGeevKernel, kGeesKernel;

}  // namespace megalith::kernels

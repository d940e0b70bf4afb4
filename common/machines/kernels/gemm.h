// Matrix products on our own register tiles: packing, blocking and threads.
#pragma once

#include <cstdint>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/dtype.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// A batch of matrices; strides in elements of `dtype`, of any sign or zero.
struct GemmOperand {
  DType dtype = DType::kInvalid;
  int64_t batch_stride = 0, inner_stride = 0, row_stride = 0, col_stride = 0;
};

// out[b] = lhs[b] (m by k) times rhs[b] (k by n) for b < batch * inner; out is dense
// [batch, inner, m, n].
//
// Products are computed in f64 if lhs, rhs or out is f64 or c128, else in f32, for inexact results;
// for integers and booleans modulo 2^64 if any has 64 bits, else 2^32; and rounded (wrapped) once
// to the type of the result. Complex products are real ones of the parts. Sums run along k, in
// blocks of a size that depends on the instruction set.
struct GemmProblem {
  int64_t batch = 1, inner = 1;  // product b is number b % inner of group b / inner
  int64_t m = 0, n = 0, k = 0;
  GemmOperand lhs, rhs;
  DType out = DType::kInvalid;
  Isa isa = MachineIsa();  // a lower one than the machine's is for tests
};

// kUnimplemented if an element type is not among bool, i8..i64, u8..u64, f16, bf16, f32, f64, c64
// and c128, or if a complex or inexact operand meets a real or integer result.
Status CheckGemm(const GemmProblem& problem);

// Needs no scratch: each thread packs blocks of the operands into up to 184 KiB of its stack.
// Requires CheckGemm(problem).ok() and operands that lie inside their arrays; `epilogue_row` is the
// number of elements in a row as the epilogue counts them. kCancelled and kDeadlineExceeded.
Status RunGemm(const GemmProblem& problem, const void* lhs, const void* rhs, void* out,
               int64_t epilogue_row, const KernelCall& call);

// Element (i, j) is data[i * row + j * col].
template <typename T>
struct StridedMatrix {
  const T* data;
  int64_t row, col;
};

// c[i * c_row + j] -= sum over p of a(i, p) b(p, j), on the calling thread: the step that blocked
// factorizations are made of. c must not overlap a or b.
void SubtractProduct(int64_t m, int64_t n, int64_t k, StridedMatrix<float> a,
                     StridedMatrix<float> b, float* c, int64_t c_row);
void SubtractProduct(int64_t m, int64_t n, int64_t k, StridedMatrix<double> a,
                     StridedMatrix<double> b, double* c, int64_t c_row);

}  // namespace megalith::kernels

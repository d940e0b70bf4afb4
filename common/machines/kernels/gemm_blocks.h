// The inner loops of matrix products, compiled once per instruction set (gemm_blocks_*.cc).
//
// Elements are float, double, uint32_t or uint64_t (integers wrap). Sums run over the depth in
// order, one accumulator per result element (`dots`: one per vector lane, added up at the end),
// with fused multiply-adds where the machine has them.
#pragma once

#include <cstdint>

#include "common/machines/kernels/isa.h"

namespace megalith::kernels {

// c[m,n] (+)= a[m,k] b[k,n], from panels or from matrices where they lie. Strides in elements.
template <typename T>
struct GemmBlock {
  int64_t m = 0, n = 0, k = 0;
  const T* a = nullptr;  // element (i, p) of row group g = i / rows, r = i % rows is
  int64_t a_group = 0;   // a[g * a_group + r * a_row + p * a_col]
  int64_t a_row = 0, a_col = 0;
  const T* b = nullptr;  // element (p, j) of column group g = j / cols, r = j % cols is
  int64_t b_group = 0;   // b[g * b_group + p * b_row + r]
  int64_t b_row = 0;
  T* c = nullptr;  // element (i, j) is c[i * c_row + j]
  int64_t c_row = 0;
  bool add = false;  // add to what is in c
};

template <typename T>
struct GemmKernels {
  int64_t rows = 0, cols = 0;  // of a register tile; the widths of packed panels
  void (*block)(const GemmBlock<T>&) = nullptr;
  // The same where b is transposed: element (p, j) is b[j * b_group + p], and a's rows are
  // contiguous: element (i, p) is a[i * a_row + p]. For few rows.
  void (*dots)(const GemmBlock<T>&) = nullptr;
  // to[p * width + i] = from[i * stride + p] for i < count <= width, p < k; zero for the other i.
  void (*transpose)(const T* from, int64_t stride, int64_t count, int64_t width, int64_t k,
                    T* to) = nullptr;
  // to[p * width + i] = from[p * stride + i] for i < count <= width, p < k; zero for the other i.
  void (*copy)(const T* from, int64_t stride, int64_t count, int64_t width, int64_t k,
               T* to) = nullptr;
};

// Those for `isa`, which the machine must have.
template <typename T>
const GemmKernels<T>& GemmKernelsFor(Isa isa);

}  // namespace megalith::kernels

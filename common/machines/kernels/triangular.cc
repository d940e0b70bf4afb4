#include "common/machines/kernels/triangular.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <vector>

#include "common/machines/kernels/gemm.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/matrix_batch.h"
#include "common/machines/kernels/matrix_scalar.h"

namespace megalith::kernels {
namespace {

constexpr int64_t kBlock = 64;
constexpr int64_t kStep = 8;      // rows that are solved by substitution
constexpr int64_t kColumns = 64;  // right-hand sides a thread takes at a time, at least
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

template <typename T>
[[gnu::always_inline]] inline T Conj(T x) {
  if constexpr (kComplex<T>) {
    return std::conj(x);
  } else {
    return x;
  }
}
template <typename T>
[[gnu::always_inline]] inline double RealOf(T x) {
  return static_cast<double>(std::real(x));
}

// ---- cholesky ----

// Factorizations give back 0, or the order of the first leading minor that is not positive.

// u = U^H U in place, of the upper triangle, row by row (its adjoint is the lower factor).
template <typename W>
int64_t FactorSmall(int64_t n, W* u) {
  int64_t failed = 0;
  OnBestIsa([n, u, &failed] __attribute__((always_inline)) {
    for (int64_t j = 0; j < n; ++j) {
      W* pivot_row = u + j * n;
      const double pivot = RealOf(pivot_row[j]);
      if (!(pivot > 0)) {
        failed = j + 1;
        return;
      }
      const double root = std::sqrt(pivot);
      pivot_row[j] = root;
      for (int64_t k = j + 1; k < n; ++k) pivot_row[k] /= root;
      for (int64_t i = j + 1; i < n; ++i) {
        const W factor = Conj(pivot_row[i]);
        W* row = u + i * n;
        for (int64_t k = i; k < n; ++k) row[k] -= Times(factor, pivot_row[k]);
      }
    }
  });
  return failed;
}

// out = the inverse of the lower triangular matrix whose transpose is u.
void InvertLower(int64_t n, const double* u, double* out) {
  std::fill_n(out, n * n, 0.0);
  OnBestIsa([=] __attribute__((always_inline)) {
    for (int64_t i = 0; i < n; ++i) {
      double* row = out + i * n;
      row[i] = 1;
      for (int64_t j = 0; j < i; ++j) {
        const double factor = u[j * n + i];
        for (int64_t k = 0; k <= j; ++k) row[k] -= factor * out[j * n + k];
      }
      for (int64_t k = 0; k <= i; ++k) row[k] /= u[i * n + i];
    }
  });
}

// The block at the start of a, of the matrix's diagonal, factored in double; and -1 times its
// inverse.
template <typename T>
int64_t FactorDiagonal(int64_t size, T* a, int64_t n, T* minus_inverse) {
  double block[kBlock * kBlock];
  double inverse[kBlock * kBlock];
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j <= i; ++j) block[j * size + i] = a[i * n + j];
  }
  if (const int64_t failed = FactorSmall(size, block); failed != 0) return failed;
  for (int64_t i = 0; i < size; ++i) {
    for (int64_t j = 0; j <= i; ++j) a[i * n + j] = static_cast<T>(block[j * size + i]);
  }
  InvertLower(size, block, inverse);
  for (int64_t i = 0; i < size * size; ++i) minus_inverse[i] = static_cast<T>(-inverse[i]);
  return 0;
}

// The lower triangle in place, right-looking: a block column, then what is right of it.
template <typename T>
int64_t FactorBlocks(int64_t n, T* a, const KernelCall& call) {
  alignas(64) T minus_inverse[kBlock * kBlock];
  for (int64_t at = 0; at < n; at += kBlock) {
    const int64_t size = std::min(kBlock, n - at);
    const int64_t failed = FactorDiagonal(size, a + at * n + at, n, minus_inverse);
    if (failed != 0) return at + failed;
    const int64_t below = at + size;
    const int64_t blocks = (n - below + kBlock - 1) / kBlock;
    call.pool.For(blocks, 2, [&](int64_t begin, int64_t end) {
      alignas(64) T old[kBlock * kBlock];
      for (int64_t b = begin; b < end; ++b) {
        const int64_t rows = std::min(kBlock, n - below - b * kBlock);
        T* panel = a + (below + b * kBlock) * n + at;
        for (int64_t i = 0; i < rows; ++i) {
          std::copy_n(panel + i * n, size, old + i * kBlock);
          std::fill_n(panel + i * n, size, T{});
        }
        SubtractProduct(rows, size, size, {old, kBlock, 1}, {minus_inverse, 1, size}, panel, n);
      }
    });
    // Longest rows first, so that threads finish together.
    call.pool.For(blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t b = blocks - end; b < blocks - begin; ++b) {
        const int64_t first = below + b * kBlock;
        const int64_t rows = std::min(kBlock, n - first);
        const StridedMatrix<T> left = {a + first * n + at, n, 1};
        SubtractProduct(rows, first - below, size, left, {a + below * n + at, 1, n},
                        a + first * n + below, n);
        // Of the block on the diagonal one triangle: the other one is not ours.
        alignas(64) T block[kBlock * kBlock];
        T* diagonal = a + first * n + first;
        for (int64_t i = 0; i < rows; ++i) std::copy_n(diagonal + i * n, rows, block + i * rows);
        SubtractProduct(rows, rows, size, left, {left.data, 1, n}, block, rows);
        for (int64_t i = 0; i < rows; ++i) std::copy_n(block + i * rows, i + 1, diagonal + i * n);
      }
    });
    if (!call.Poll().ok()) return 0;
  }
  return 0;
}

template <typename T>
void TransposeInPlace(int64_t n, T* a) {
  for (int64_t i0 = 0; i0 < n; i0 += kStep) {
    for (int64_t j0 = 0; j0 <= i0; j0 += kStep) {
      for (int64_t i = i0; i < std::min(n, i0 + kStep); ++i) {
        for (int64_t j = j0; j < std::min(i, j0 + kStep); ++j) {
          const T x = a[i * n + j];
          a[i * n + j] = Conj(a[j * n + i]);
          a[j * n + i] = Conj(x);
        }
      }
    }
    for (int64_t i = i0; i < std::min(n, i0 + kStep); ++i) a[i * n + i] = Conj(a[i * n + i]);
  }
}

template <typename T>
int64_t FactorWide(int64_t n, T* a, Wide<T>* wide) {
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) wide[j * n + i] = Conj(Wide<T>(a[i * n + j]));
  }
  if (const int64_t failed = FactorSmall(n, wide); failed != 0) return failed;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j <= i; ++j) a[i * n + j] = static_cast<T>(Conj(wide[j * n + i]));
  }
  return 0;
}

// a = the lower triangle of `in`, or the adjoint of its upper one, in the lower triangle.
template <typename T>
void LoadTriangle(int64_t n, bool lower, const T* in, T* a) {
  if (lower) {
    for (int64_t i = 0; i < n && in != a; ++i) std::copy_n(in + i * n, i + 1, a + i * n);
    return;
  }
  for (int64_t i0 = 0; i0 < n; i0 += kStep) {
    for (int64_t j0 = 0; j0 <= i0; j0 += kStep) {
      for (int64_t i = i0; i < std::min(n, i0 + kStep); ++i) {
        for (int64_t j = j0; j < std::min(i + 1, j0 + kStep); ++j) {
          a[i * n + j] = Conj(in[j * n + i]);
        }
      }
    }
  }
}

// `keep`: the other triangle of the result is that of `in`, else zero.
template <typename T>
int64_t Cholesky(int64_t n, bool lower, bool keep, const T* in, T* a, const KernelCall& call,
                 Wide<T>* wide) {
  LoadTriangle(n, lower, in, a);
  int64_t failed = 0;
  if (n <= kBlock) {
    Wide<T> small[kBlock * kBlock];
    failed = FactorWide(n, a, small);
  } else if constexpr (kComplex<T>) {
    failed = FactorWide(n, a, wide);
  } else {
    failed = FactorBlocks(n, a, call);
  }
  if (failed != 0) {
    for (int64_t i = 0; i < n; ++i) std::fill_n(a + i * n, i + 1, static_cast<T>(kNan));
  }
  for (int64_t i = 0; i < n; ++i) {
    T* right = a + i * n + i + 1;
    if (!keep || !lower) {
      std::fill_n(right, n - i - 1, T{});
    } else if (in != a) {
      std::copy_n(in + i * n + i + 1, n - i - 1, right);
    }
  }
  if (lower) return failed;
  TransposeInPlace(n, a);
  for (int64_t i = 0; i < n && keep; ++i) std::copy_n(in + i * n, i, a + i * n);
  return failed;
}

struct CholeskyState {
  MatrixBatch matrices;
  bool lower, with_info;
};

Status RunCholesky(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const CholeskyState*>(state);
  const int64_t n = s.matrices.rows;
  auto* const infos = static_cast<int32_t*>(s.with_info ? call.out[1] : nullptr);
  if (n == 0) {
    if (s.with_info) std::fill_n(infos, s.matrices.batch, 0);
    return OkStatus();
  }
  VisitMatrixType(s.matrices.dtype, [&]<typename T>(T*) {
    const T* in = static_cast<const T*>(call.in[0]);
    T* out = static_cast<T*>(call.out[0]);
    // Large complex matrices share one scratch matrix, so they come one after another.
    const bool one_by_one = kComplex<T> && n > kBlock;
    const int64_t grain =
        one_by_one ? s.matrices.batch : 1 + 20000 / std::max<int64_t>(n * n, 400) / n;
    call.pool.For(s.matrices.batch, std::max<int64_t>(grain, 1), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end && call.Poll().ok(); ++b) {
        const int64_t failed = Cholesky(n, s.lower, s.with_info, in + b * n * n, out + b * n * n,
                                        call, static_cast<Wide<T>*>(call.scratch));
        if (s.with_info) infos[b] = static_cast<int32_t>(failed);
      }
    });
  });
  return call.Poll();
}

Result<PreparedKernel> PrepareCholesky(std::string_view params, std::span<const ArraySpec> in,
                                       std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, UnpackParams(params));
  if (v.size() != 1 || v[0] < 0 || v[0] > 1) return InvalidArgument("cholesky wants one flag");
  if (in.size() != 1 || out.empty() || out.size() > 2 || !SameSpec(in[0], out[0])) {
    return InvalidArgument("cholesky has one operand and a result like it");
  }
  auto state = std::make_shared<CholeskyState>();
  state->lower = v[0] != 0;
  ASSIGN_OR_RETURN(state->matrices, ReadMatrixBatch(in[0]));
  const int64_t n = state->matrices.rows;
  if (n != state->matrices.columns) {
    return InvalidArgument(
        StrCat("cholesky wants square matrices, got [", tensor::DimsText(in[0].shape), "]"));
  }
  state->with_info = out.size() == 2;
  if (state->with_info) {
    const Shape batch = BatchDims(in[0].shape);
    if (!SameSpec(out[1], {DType::kI32, batch})) {
      return InvalidArgument("cholesky has one code per matrix");
    }
  }
  PreparedKernel kernel;
  kernel.in_place = state->with_info && !state->lower ? 0 : 1;
  if (tensor::IsComplex(in[0].dtype) && n > kBlock) {
    kernel.scratch_bytes = static_cast<uint64_t>(n) * static_cast<uint64_t>(n) * sizeof(c128);
  }
  kernel.state = std::move(state);
  kernel.run = RunCholesky;
  return kernel;
}

// ---- triangular_solve ----

struct SolveState {
  MatrixBatch a, b;
  bool left = true, lower = true, unit = false;
  int transpose = 0;
};

// A triangular matrix as it is used: op(a).
template <typename T>
struct Triangle {
  const T* data;
  int64_t row, col;
  bool forward;  // lower after op
  bool unit, conjugate;
  [[gnu::always_inline]] T at(int64_t i, int64_t j) const {
    const T x = data[i * row + j * col];
    return conjugate ? Conj(x) : x;
  }
};

// Rows [i0, i0 + size) of op(a) x = b, where rows before them (after, if backward) are done and
// subtracted; one step of substitution at a time.
template <typename T>
void Substitute(const Triangle<T>& a, int64_t i0, int64_t size, T* x, int64_t x_row, int64_t m) {
  OnBestIsa([=] __attribute__((always_inline)) {
    for (int64_t s = 0; s < size; ++s) {
      const int64_t i = a.forward ? i0 + s : i0 + size - 1 - s;
      T* row = x + i * x_row;
      for (int64_t o = 0; o < s; ++o) {
        const int64_t j = a.forward ? i0 + o : i0 + size - 1 - o;
        const T factor = a.at(i, j);
        const T* solved = x + j * x_row;
        for (int64_t c = 0; c < m; ++c) row[c] -= Times(factor, solved[c]);
      }
      if (a.unit) continue;
      const T diagonal = a.at(i, i);
      for (int64_t c = 0; c < m; ++c) row[c] /= diagonal;
    }
  });
}

// op(a) x = b for m columns of x, which holds b.
template <typename T>
void SolveColumns(const Triangle<T>& a, int64_t n, T* x, int64_t x_row, int64_t m) {
  if constexpr (kComplex<T>) {
    Substitute(a, 0, n, x, x_row, m);
  } else {
    for (int64_t done = 0; done < n; done += kStep) {
      const int64_t size = std::min(kStep, n - done);
      const int64_t i0 = a.forward ? done : n - done - size;
      const int64_t j0 = a.forward ? 0 : n - done;
      SubtractProduct(size, m, done, {a.data + i0 * a.row + j0 * a.col, a.row, a.col},
                      {x + j0 * x_row, x_row, 1}, x + i0 * x_row, x_row);
      Substitute(a, i0, size, x, x_row, m);
    }
  }
}

// A few columns at a time in the wide type: both fit on the stack. `x_col` is 1, or the columns of
// x are rows in memory (the right side).
template <typename T>
void SolveWide(const Triangle<T>& a, int64_t n, T* x, int64_t x_row, int64_t x_col, int64_t m) {
  using W = Wide<T>;
  W wide_a[kBlock * kBlock];
  W wide_x[kBlock * kStep * 2];
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) wide_a[i * n + j] = W(a.at(i, j));
  }
  const Triangle<W> triangle = {wide_a, n, 1, a.forward, a.unit, false};
  for (int64_t c0 = 0; c0 < m; c0 += kStep * 2) {
    const int64_t columns = std::min(kStep * 2, m - c0);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        wide_x[i * columns + c] = W(x[i * x_row + (c0 + c) * x_col]);
      }
    }
    Substitute(triangle, 0, n, wide_x, columns, columns);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t c = 0; c < columns; ++c) {
        x[i * x_row + (c0 + c) * x_col] = static_cast<T>(wide_x[i * columns + c]);
      }
    }
  }
}

// Rows of x op(a) = b: kept transposed, kColumns of them at a time, in `work` (n * kColumns).
template <typename T>
void SolveRows(const Triangle<T>& a_transposed, int64_t n, T* x, int64_t m, T* work) {
  for (int64_t r0 = 0; r0 < m; r0 += kColumns) {
    const int64_t rows = std::min(kColumns, m - r0);
    for (int64_t i0 = 0; i0 < n; i0 += kStep) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = i0; i < std::min(n, i0 + kStep); ++i) {
          work[i * kColumns + r] = x[(r0 + r) * n + i];
        }
      }
    }
    SolveColumns(a_transposed, n, work, kColumns, rows);
    for (int64_t i0 = 0; i0 < n; i0 += kStep) {
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t i = i0; i < std::min(n, i0 + kStep); ++i) {
          x[(r0 + r) * n + i] = work[i * kColumns + r];
        }
      }
    }
  }
}

template <typename T>
void Solve(const SolveState& s, const T* a, T* x, const KernelCall& call) {
  const int64_t n = s.a.rows;
  const int64_t m = s.left ? s.b.columns : s.b.rows;
  const bool transposed = (s.transpose != 0) == s.left;
  const Triangle<T> triangle = {
      a, transposed ? 1 : n, transposed ? n : 1, s.lower != transposed, s.unit, s.transpose == 2};
  if (n <= kBlock) {
    const int64_t grain = std::max<int64_t>(kStep * 2, 100000 / (n * n));
    call.pool.For(m, grain, [&](int64_t begin, int64_t end) {
      if (s.left) {
        SolveWide(triangle, n, x + begin, m, 1, end - begin);
      } else {
        SolveWide(triangle, n, x + begin * n, 1, n, end - begin);
      }
    });
  } else if (s.left) {
    call.pool.For(m, kColumns, [&](int64_t begin, int64_t end) {
      for (int64_t c = begin; c < end && call.Poll().ok(); c += 2 * kColumns) {
        SolveColumns(triangle, n, x + c, m, std::min(2 * kColumns, end - c));
      }
    });
  } else {
    SolveRows(triangle, n, x, m, static_cast<T*>(call.scratch));
  }
}

Status RunSolve(const void* state, const KernelCall& call) {
  const auto& s = *static_cast<const SolveState*>(state);
  const int64_t size_a = s.a.rows * s.a.columns;
  const int64_t size_b = s.b.rows * s.b.columns;
  if (size_b == 0 || s.b.batch == 0) return OkStatus();
  VisitMatrixType(s.a.dtype, [&]<typename T>(T*) {
    const T* a = static_cast<const T*>(call.in[0]);
    const T* b = static_cast<const T*>(call.in[1]);
    T* x = static_cast<T*>(call.out[0]);
    const bool one_by_one = s.a.rows > kBlock && !s.left;
    const int64_t work = s.a.rows * size_b;
    const int64_t grain = one_by_one ? s.b.batch : std::max<int64_t>(1, 20000 / work);
    call.pool.For(s.b.batch, grain, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end && call.Poll().ok(); ++i) {
        if (x != b) std::copy_n(b + i * size_b, size_b, x + i * size_b);
        Solve(s, a + i * size_a, x + i * size_b, call);
      }
    });
  });
  return call.Poll();
}

Result<PreparedKernel> PrepareSolve(std::string_view params, std::span<const ArraySpec> in,
                                    std::span<const ArraySpec> out) {
  ASSIGN_OR_RETURN(const std::vector<int64_t> v, UnpackParams(params));
  const bool flags = v.size() == 4 &&
                     std::all_of(v.begin(), v.end(), [](int64_t x) { return x >= 0 && x <= 2; }) &&
                     v[0] < 2 && v[1] < 2 && v[2] < 2;
  if (!flags) return InvalidArgument("triangular_solve wants three flags and a transposition");
  if (in.size() != 2 || out.size() != 1 || !SameSpec(in[1], out[0])) {
    return InvalidArgument("triangular_solve has two operands and a result like the second");
  }
  auto state = std::make_shared<SolveState>();
  ASSIGN_OR_RETURN(state->a, ReadMatrixBatch(in[0]));
  ASSIGN_OR_RETURN(state->b, ReadMatrixBatch(in[1]));
  state->left = v[0] != 0;
  state->lower = v[1] != 0;
  state->unit = v[2] != 0;
  state->transpose = static_cast<int>(v[3]);
  const MatrixBatch &a = state->a, &b = state->b;
  const int64_t n = state->left ? b.rows : b.columns;
  if (a.dtype != b.dtype || a.batch != b.batch || a.rows != a.columns || a.rows != n) {
    return InvalidArgument(StrCat("triangular_solve cannot solve [", tensor::DimsText(in[0].shape),
                                  "] for [", tensor::DimsText(in[1].shape), "]"));
  }
  PreparedKernel kernel;
  kernel.in_place = 2;
  if (!state->left && n > kBlock) {
    kernel.scratch_bytes =
        static_cast<uint64_t>(n * kColumns) * static_cast<uint64_t>(tensor::ByteWidth(a.dtype));
  }
  kernel.state = std::move(state);
  kernel.run = RunSolve;
  return kernel;
}

}  // namespace

const LibraryKernel kCholeskyKernel = {"cholesky", PrepareCholesky};
const LibraryKernel kTriangularSolveKernel = {"triangular_solve", PrepareSolve};

}  // namespace megalith::kernels

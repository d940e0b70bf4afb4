// The calls of lapack_calls.h that give back an info code, in double (complex128), rounded once at
// the end. What LAPACK leaves undefined is NaN after a failure and zero otherwise.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/programs/stablehlo/kernels/batched_call.h"
#include "common/programs/stablehlo/kernels/decompositions.h"
#include "common/programs/stablehlo/kernels/householder.h"
#include "common/programs/stablehlo/kernels/library_calls.h"
#include "common/programs/stablehlo/kernels/schur.h"
#include "common/programs/stablehlo/lapack_calls.h"

namespace megalith::stablehlo {
namespace {

constexpr int64_t kNotFinite = -4;  // what xGESDD and JAX's geev say of NaN and infinities
constexpr int64_t kNoConvergence = 1;

BatchedCall CallOf(Planner& planner, const Op& op, const LapackCall& lapack) {
  BatchedCall call;
  call.batch = lapack.batch;
  for (size_t i = 0; i < op.operands.size(); ++i) call.operands.push_back(planner.operand(op, i));
  for (uint32_t i = 0; i < op.num_results; ++i) call.results.push_back(planner.result(op, i));
  return call;
}

// Calls `make` with a value of the type that elements of the call are computed in.
template <typename Make>
Result<Kernel> MakeKernel(Planner& planner, const Op& op, const Make& make) {
  ASSIGN_OR_RETURN(const LapackCall lapack, ReadLapackCall(planner, op));
  const BatchedCall call = CallOf(planner, op, lapack);
  return tensor::IsComplex(call.dtype()) ? make(call, lapack, c128{})
                                         : make(call, lapack, double{});
}

void Failed(const BatchElement& e, const BatchedCall& call, int64_t info) {
  e.OutNan();
  e.OutInts(call.results.size() - 1, {info});
}

// ---- getrf ----

template <typename T>
double Size1(T v) {
  return std::abs(RealOf(v)) + std::abs(ImagOf(v));
}

// Of two candidates for a pivot; NaN is the largest.
template <typename T>
bool IsLarger(T a, T b) {
  return Size1(a) > Size1(b) || (std::isnan(Size1(a)) && !std::isnan(Size1(b)));
}

// P A = L U in place by columns; pivots count from 1. Returns the first column without a pivot,
// counted from 1, or 0.
template <typename T>
int64_t LuInPlace(Matrix<T>* a, std::vector<int64_t>* pivots) {
  const int64_t m = a->rows();
  const int64_t n = a->columns();
  int64_t info = 0;
  for (int64_t j = 0; j < std::min(m, n); ++j) {
    int64_t pivot = j;
    for (int64_t i = j + 1; i < m; ++i) {
      if (IsLarger((*a)(i, j), (*a)(pivot, j))) pivot = i;
    }
    pivots->push_back(pivot + 1);
    if ((*a)(pivot, j) == T(0)) {
      if (info == 0) info = j + 1;
      continue;
    }
    if (pivot != j) std::swap_ranges(a->row(j), a->row(j) + n, a->row(pivot));
    for (int64_t i = j + 1; i < m; ++i) {
      const T factor = (*a)(i, j) /= (*a)(j, j);
      for (int64_t k = j + 1; k < n; ++k) (*a)(i, k) -= factor * (*a)(j, k);
    }
  }
  return info;
}

// ---- gtsv ----

// Solves in place as xGTSV: du becomes the superdiagonal of U, the first elements of dl that above
// it. Returns the first row without a pivot, counted from 1, or 0.
template <typename T>
int64_t TridiagonalSolve(std::vector<T>* lower, std::vector<T>* diagonal, std::vector<T>* upper,
                         Matrix<T>* b) {
  const auto n = static_cast<int64_t>(diagonal->size());
  const int64_t columns = b->columns();
  // JAX's diagonals have n elements; the first of dl and the last of du do not count.
  T* dl = lower->data() + 1;
  T* d = diagonal->data();
  T* du = upper->data();
  for (int64_t k = 0; k + 1 < n; ++k) {
    T* row = b->row(k);
    T* next = b->row(k + 1);
    const bool last = k + 2 == n;
    if (dl[k] == T(0)) {
      if (d[k] == T(0)) return k + 1;
      continue;
    }
    if (Size1(d[k]) >= Size1(dl[k])) {
      const T factor = dl[k] / d[k];
      d[k + 1] -= factor * du[k];
      for (int64_t c = 0; c < columns; ++c) next[c] -= factor * row[c];
      if (!last) dl[k] = T(0);
      continue;
    }
    const T factor = d[k] / dl[k];
    d[k] = dl[k];
    const T old = d[k + 1];
    d[k + 1] = du[k] - factor * old;
    if (!last) {
      dl[k] = du[k + 1];
      du[k + 1] = -factor * dl[k];
    }
    du[k] = old;
    for (int64_t c = 0; c < columns; ++c) {
      const T value = row[c];
      row[c] = next[c];
      next[c] = value - factor * next[c];
    }
  }
  if (n > 0 && d[n - 1] == T(0)) return n;
  for (int64_t k = n - 1; k >= 0; --k) {
    for (int64_t c = 0; c < columns; ++c) {
      T value = b->row(k)[c];
      if (k + 1 < n) value -= du[k] * b->row(k + 1)[c];
      if (k + 2 < n) value -= dl[k] * b->row(k + 2)[c];
      b->row(k)[c] = value / d[k];
    }
  }
  return 0;
}

// ---- results that several calls have ----

// The tridiagonal form with the packed reflectors as xSYTRD leaves them.
template <typename T>
Status PackedTridiagonal(const BatchElement& e, bool lower, Matrix<T>* a, Tridiagonal<T>* t) {
  const Matrix<T> given = std::move(*a);
  *a = lower ? given : given.Reversed();
  RETURN_IF_ERROR(TridiagonalInPlace(e.run(), a, t));
  for (size_t i = 0; i < t->d.size(); ++i) {
    const auto k = static_cast<int64_t>(i);
    (*a)(k, k) = T(t->d[i]);
  }
  if (lower) return OkStatus();
  *a = a->Reversed();
  std::reverse(t->d.begin(), t->d.end());
  std::reverse(t->e.begin(), t->e.end());
  std::reverse(t->taus.begin(), t->taus.end());
  return OkStatus();
}

template <typename T>
void OutValues(const BatchElement& e, size_t first, const std::vector<c128>& values) {
  if constexpr (std::is_same_v<T, c128>) {
    e.Out(first, values);
  } else {
    std::vector<double> re, im;
    for (const c128& v : values) {
      re.push_back(v.real());
      im.push_back(v.imag());
    }
    e.Out(first, re);
    e.Out(first + 1, im);
  }
}

}  // namespace

Result<Kernel> PrepareGetrf(Planner& planner, const Op& op) {
  return MakeKernel(planner, op, []<typename T>(const BatchedCall& call, const LapackCall&, T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      std::vector<int64_t> pivots;
      const int64_t info = LuInPlace(&a, &pivots);
      e.Out(0, a);
      e.OutInts(1, pivots);
      e.OutInts(2, {info});
      return OkStatus();
    });
  });
}

Result<Kernel> PrepareGtsv(Planner& planner, const Op& op) {
  return MakeKernel(planner, op, []<typename T>(const BatchedCall& call, const LapackCall&, T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      std::vector<T> dl = e.InVector<T>(0), d = e.InVector<T>(1), du = e.InVector<T>(2);
      Matrix<T> b = e.In<T>(3);
      const int64_t info = TridiagonalSolve(&dl, &d, &du, &b);
      e.Out(0, dl);
      e.Out(1, d);
      e.Out(2, du);
      e.Out(3, b);
      e.OutInts(4, {info});
      return OkStatus();
    });
  });
}

Result<Kernel> PrepareGesvd(Planner& planner, const Op& op) {
  return MakeKernel(
      planner, op, []<typename T>(const BatchedCall& call, const LapackCall& lapack, T) {
        const bool vectors = lapack.option(0) != 'N';
        return BatchKernel(call, [call, vectors](const BatchElement& e) -> Status {
          Matrix<T> a = e.In<T>(0);
          const int64_t m = a.rows(), n = a.columns();
          if (!AllFinite(a)) {
            Failed(e, call, kNotFinite);
            return OkStatus();
          }
          SvdFactors<T> f;
          f.u = Matrix<T>::Identity(m, m);
          f.vh = Matrix<T>::Identity(n, n);
          if (a.size() > 0) {
            ASSIGN_OR_RETURN(const bool good, Svd(e.run(), IterationEps(call.dtype()), a, &f));
            if (!good) {
              Failed(e, call, kNoConvergence);
              return OkStatus();
            }
          }
          const int64_t p = call.results[2].shape.back();
          const int64_t q = call.results[3].shape[call.batch.size()];
          e.Out(0, Matrix<T>(m, n));
          e.Out(1, f.s);
          e.Out(2, vectors ? f.u.Resized(m, p) : Matrix<T>(m, p));
          e.Out(3, vectors ? f.vh.Resized(q, n) : Matrix<T>(q, n));
          e.OutInts(4, {0});
          return OkStatus();
        });
      });
}

Result<Kernel> PrepareSyevd(Planner& planner, const Op& op) {
  return MakeKernel(
      planner, op, []<typename T>(const BatchedCall& call, const LapackCall& lapack, T) {
        const bool vectors = lapack.option(0) == 'V', lower = lapack.option(1) == 'L';
        return BatchKernel(call, [call, vectors, lower](const BatchElement& e) -> Status {
          Matrix<T> a = e.In<T>(0);
          MakeHermitian(lower, &a);
          if (!AllFinite(a)) {
            Failed(e, call, kNotFinite);
            return OkStatus();
          }
          std::vector<double> w;
          Matrix<T> v;
          ASSIGN_OR_RETURN(const bool good,
                           Eigh(e.run(), IterationEps(call.dtype()), lower, a, &w, &v));
          if (!good) {
            Failed(e, call, kNoConvergence);
            return OkStatus();
          }
          e.Out(0, vectors ? v : Matrix<T>(a.rows(), a.rows()));
          e.Out(1, w);
          e.OutInts(2, {0});
          return OkStatus();
        });
      });
}

namespace {

// The Schur form of a finite matrix; otherwise, or without convergence, a code.
template <typename T>
Result<int64_t> SchurOf(const BatchElement& e, double eps, SchurForm<T>* f) {
  f->s = e.In<T>(0);
  if (!AllFinite(f->s)) return kNotFinite;
  ASSIGN_OR_RETURN(const bool good, SchurInPlace(e.run(), eps, &f->s, &f->z));
  return good ? 0 : kNoConvergence;
}

}  // namespace

Result<Kernel> PrepareGeev(Planner& planner, const Op& op) {
  return MakeKernel(
      planner, op, []<typename T>(const BatchedCall& call, const LapackCall& lapack, T) {
        const bool left = lapack.option(0) == 'V', right = lapack.option(1) == 'V';
        return BatchKernel(call, [call, left, right](const BatchElement& e) -> Status {
          SchurForm<T> f;
          ASSIGN_OR_RETURN(const int64_t info, SchurOf(e, IterationEps(call.dtype()), &f));
          if (info != 0) {
            Failed(e, call, info);
            return OkStatus();
          }
          const std::vector<c128> values = Eigenvalues(f);
          const int64_t n = f.s.rows();
          const size_t after = call.results.size() - 3;
          OutValues<T>(e, 0, values);
          e.Out(after, left ? LeftEigenvectors(f, values) : Matrix<c128>(n, n));
          e.Out(after + 1, right ? RightEigenvectors(f, values) : Matrix<c128>(n, n));
          e.OutInts(after + 2, {0});
          return OkStatus();
        });
      });
}

Result<Kernel> PrepareGees(Planner& planner, const Op& op) {
  return MakeKernel(
      planner, op, []<typename T>(const BatchedCall& call, const LapackCall& lapack, T) {
        const bool vectors = lapack.option(0) == 'V';
        return BatchKernel(call, [call, vectors](const BatchElement& e) -> Status {
          SchurForm<T> f;
          ASSIGN_OR_RETURN(const int64_t info, SchurOf(e, IterationEps(call.dtype()), &f));
          if (info != 0) {
            Failed(e, call, info);
            e.OutInts(call.results.size() - 2, {0});  // how many a sort would have selected
            return OkStatus();
          }
          e.Out(0, f.s);
          e.Out(1, vectors ? f.z : Matrix<T>(f.s.rows(), f.s.rows()));
          OutValues<T>(e, 2, Eigenvalues(f));
          e.OutInts(call.results.size() - 2, {0});
          e.OutInts(call.results.size() - 1, {0});
          return OkStatus();
        });
      });
}

Result<Kernel> PrepareGehrd(Planner& planner, const Op& op) {
  return MakeKernel(planner, op, []<typename T>(const BatchedCall& call, const LapackCall&, T) {
    return BatchKernel(call, [](const BatchElement& e) -> Status {
      Matrix<T> a = e.In<T>(0);
      std::vector<T> taus;
      if (a.rows() > 0) RETURN_IF_ERROR(HessenbergInPlace(e.run(), &a, &taus));
      e.Out(0, a);
      e.Out(1, taus);
      e.OutInts(2, {0});
      return OkStatus();
    });
  });
}

Result<Kernel> PrepareSytrd(Planner& planner, const Op& op) {
  return MakeKernel(planner, op,
                    []<typename T>(const BatchedCall& call, const LapackCall& lapack, T) {
                      const bool lower = lapack.option(0) == 'L';
                      return BatchKernel(call, [lower](const BatchElement& e) -> Status {
                        Matrix<T> a = e.In<T>(0);
                        Tridiagonal<T> t;
                        if (a.rows() > 0) RETURN_IF_ERROR(PackedTridiagonal(e, lower, &a, &t));
                        e.Out(0, a);
                        e.Out(1, t.d);
                        e.Out(2, t.e);
                        e.Out(3, t.taus);
                        e.OutInts(4, {0});
                        return OkStatus();
                      });
                    });
}

}  // namespace megalith::stablehlo

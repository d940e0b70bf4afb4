// megalith.eigh and megalith.svd: reduction by reflectors, then implicit QR iterations. In double
// (complex128) whatever the element type, rounded once at the end; signs of vectors as LAPACK's
// xSYEVD and xGESDD have them.
#include <algorithm>
#include <cmath>

#include "common/programs/stablehlo/kernels/batched_call.h"
#include "common/programs/stablehlo/kernels/decompositions.h"
#include "common/programs/stablehlo/kernels/householder.h"
#include "common/programs/stablehlo/kernels/library_calls.h"
#include "common/programs/stablehlo/kernels/spectral.h"

namespace megalith::stablehlo {
namespace {

// A power of two that brings elements near 1 if their squares would leave the range of double; 1
// otherwise.
template <typename T>
double SafeScale(const Matrix<T>& a) {
  double largest = 0;
  for (int64_t i = 0; i < a.size(); ++i) {
    largest = std::max({largest, std::abs(RealOf(a.data()[i])), std::abs(ImagOf(a.data()[i]))});
  }
  if (largest == 0 || (largest > 1e-140 && largest < 1e140)) return 1;
  return std::ldexp(1.0, -std::ilogb(largest));
}

template <typename T>
void Scale(double factor, Matrix<T>* a) {
  for (int64_t i = 0; i < a->size() && factor != 1; ++i) a->data()[i] *= factor;
}

}  // namespace

// ---- eigh ----

template <typename T>
void MakeHermitian(bool lower, Matrix<T>* a) {
  for (int64_t i = 0; i < a->rows(); ++i) {
    for (int64_t j = i + 1; j < a->columns(); ++j) {
      if (lower) {
        (*a)(i, j) = Conj((*a)(j, i));
      } else {
        (*a)(j, i) = Conj((*a)(i, j));
      }
    }
  }
}
template void MakeHermitian(bool lower, Matrix<double>* a);
template void MakeHermitian(bool lower, Matrix<c128>* a);

template <typename T>
Result<bool> Eigh(const Run& run, double eps, bool lower, Matrix<T> a, std::vector<double>* values,
                  Matrix<T>* vectors) {
  if (!lower) a = a.Reversed();
  const double scale = SafeScale(a);
  Scale(scale, &a);
  Tridiagonal<T> t;
  RETURN_IF_ERROR(TridiagonalInPlace(run, &a, &t));
  Matrix<T> q;
  RETURN_IF_ERROR(SubdiagonalReflectorProduct(run, a, t.taus, &q));
  if (!lower) {
    std::reverse(t.d.begin(), t.d.end());
    std::reverse(t.e.begin(), t.e.end());
    q = q.Reversed();
  }
  Matrix<double> z;
  ASSIGN_OR_RETURN(const bool converged, TridiagonalEigen(run, eps, &t.d, &t.e, &z));
  if (!converged) return false;
  Matrix<T> columns(z.columns(), z.rows());
  for (int64_t i = 0; i < z.rows(); ++i) {
    for (int64_t j = 0; j < z.columns(); ++j) columns(j, i) = T(z(i, j));
  }
  RETURN_IF_ERROR(Multiply(run, q, columns, vectors));
  for (double& w : t.d) w /= scale;
  *values = std::move(t.d);
  return true;
}
template Result<bool> Eigh(const Run& run, double eps, bool lower, Matrix<double> a,
                           std::vector<double>* values, Matrix<double>* vectors);
template Result<bool> Eigh(const Run& run, double eps, bool lower, Matrix<c128> a,
                           std::vector<double>* values, Matrix<c128>* vectors);

namespace {

template <typename T>
Kernel EighKernel(const BatchedCall& call, bool lower) {
  return BatchKernel(call,
                     [lower, eps = IterationEps(call.dtype())](const BatchElement& e) -> Status {
                       Matrix<T> a = e.In<T>(0);
                       // Only one triangle counts; what the other holds must not matter.
                       MakeHermitian(lower, &a);
                       std::vector<double> w;
                       Matrix<T> v;
                       bool good = AllFinite(a);
                       if (good) {
                         ASSIGN_OR_RETURN(good, Eigh(e.run(), eps, lower, std::move(a), &w, &v));
                       }
                       if (!good) {
                         e.OutNan();
                         return OkStatus();
                       }
                       e.Out(0, v);
                       e.Out(1, w);
                       return OkStatus();
                     });
}

// ---- svd ----

// `left` times the columns that `rows` holds as rows; columns beyond them are left's own.
template <typename T>
Result<Matrix<T>> TimesRows(const Run& run, const Matrix<T>& left, const Matrix<double>& rows) {
  Matrix<T> square = Matrix<T>::Identity(left.columns(), left.columns());
  for (int64_t i = 0; i < rows.rows(); ++i) {
    for (int64_t j = 0; j < rows.columns(); ++j) square(j, i) = T(rows(i, j));
  }
  Matrix<T> out;
  RETURN_IF_ERROR(Multiply(run, left, square, &out));
  return out;
}

// A = Q B P^H for A with at least as many rows as columns; with many more, A = Q0 R is reduced
// first. `adjoint` says that the caller's matrix is A^H: what is then iterated on is the lower form
// B^T, or the upper one of R^H, as LAPACK has it for wide matrices.
template <typename T>
Result<bool> TallSvd(const Run& run, double eps, const Matrix<T>& a, bool adjoint,
                     SvdFactors<T>* out) {
  const int64_t m = a.rows();
  const int64_t n = a.columns();
  const int64_t many = std::is_same_v<T, c128> ? n * 17 / 9 : n * 11 / 6;
  Bidiagonal<T> b;
  Matrix<T> q0;
  const bool reduce = m >= many && m > n;
  if (reduce) {
    Matrix<T> r = a;
    std::vector<T> taus;
    RETURN_IF_ERROR(QrInPlace(run, &r, &taus));
    q0 = r.Resized(m, m);
    RETURN_IF_ERROR(ReflectorProduct(run, &q0, taus));
    r = r.Resized(n, n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < i; ++j) r(i, j) = T(0);
    }
    RETURN_IF_ERROR(Bidiagonalize(run, adjoint ? r.Adjoint() : std::move(r), &b));
    // Of the adjoint, whose factors change places.
    if (adjoint) std::swap(b.q, b.p);
  } else {
    RETURN_IF_ERROR(Bidiagonalize(run, a, &b));
  }
  Matrix<double> left, right;  // singular vectors of B as rows, for A's side and for the other
  const bool lower = adjoint && !reduce;
  ASSIGN_OR_RETURN(const bool converged,
                   adjoint ? BidiagonalSvd(run, eps, lower, &b.d, &b.e, &right, &left)
                           : BidiagonalSvd(run, eps, lower, &b.d, &b.e, &left, &right));
  if (!converged) return false;
  out->s = std::move(b.d);
  ASSIGN_OR_RETURN(out->u, TimesRows(run, b.q, left));
  ASSIGN_OR_RETURN(const Matrix<T> v, TimesRows(run, b.p, right));
  out->vh = v.Adjoint();
  if (reduce) {
    Matrix<T> inner = Matrix<T>::Identity(m, m);
    for (int64_t i = 0; i < n; ++i) std::copy_n(out->u.row(i), n, inner.row(i));
    RETURN_IF_ERROR(Multiply(run, q0, inner, &out->u));
  }
  return true;
}

}  // namespace

template <typename T>
Result<bool> Svd(const Run& run, double eps, Matrix<T> a, SvdFactors<T>* out) {
  const double scale = SafeScale(a);
  Scale(scale, &a);
  const bool wide = a.rows() < a.columns();
  ASSIGN_OR_RETURN(const bool converged, TallSvd(run, eps, wide ? a.Adjoint() : a, wide, out));
  if (!converged) return false;
  for (double& s : out->s) s /= scale;
  if (wide) {
    const Matrix<T> u = out->vh.Adjoint();
    out->vh = out->u.Adjoint();
    out->u = u;
  }
  return true;
}
template Result<bool> Svd(const Run& run, double eps, Matrix<double> a, SvdFactors<double>* out);
template Result<bool> Svd(const Run& run, double eps, Matrix<c128> a, SvdFactors<c128>* out);

namespace {

template <typename T>
Kernel SvdKernel(const BatchedCall& call) {
  return BatchKernel(call, [call](const BatchElement& e) -> Status {
    Matrix<T> a = e.In<T>(0);
    SvdFactors<T> f;
    bool good = AllFinite(a);
    const bool empty = a.size() == 0;
    if (good && !empty) {
      ASSIGN_OR_RETURN(good, Svd(e.run(), IterationEps(call.dtype()), std::move(a), &f));
    } else if (good) {
      f.u = Matrix<T>::Identity(call.dim(0, 0), call.dim(0, 0));
      f.vh = Matrix<T>::Identity(call.dim(0, 1), call.dim(0, 1));
    }
    if (!good) {
      e.OutNan();
      return OkStatus();
    }
    e.Out(0, f.s);
    if (call.results.size() == 1) return OkStatus();
    e.Out(1, f.u.Resized(f.u.rows(), call.results[1].shape.back()));
    e.Out(2, f.vh.Resized(call.results[2].shape[call.batch.size()], f.vh.columns()));
    return OkStatus();
  });
}

}  // namespace

Result<Kernel> PrepareEigh(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  const int64_t n = call.dim(0, 0);
  RETURN_IF_ERROR(WantSquare(call));
  RETURN_IF_ERROR(
      WantResults(call, {call.operands[0], call.Type(tensor::RealPart(call.dtype()), {n})}));
  const bool lower = ConfigFlag(op, "lower");
  return tensor::IsComplex(call.dtype()) ? EighKernel<c128>(call, lower)
                                         : EighKernel<double>(call, lower);
}

Result<Kernel> PrepareSvd(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  const int64_t m = call.dim(0, 0);
  const int64_t n = call.dim(0, 1);
  const int64_t k = std::min(m, n);
  const TensorType s = call.Type(tensor::RealPart(call.dtype()), {k});
  if (call.results.size() == 1) {
    RETURN_IF_ERROR(WantResults(call, {s}));
  } else {
    const bool full = ConfigFlag(op, "full_matrices");
    RETURN_IF_ERROR(WantResults(call, {s, call.Type(call.dtype(), {m, full ? m : k}),
                                       call.Type(call.dtype(), {full ? n : k, n})}));
  }
  return tensor::IsComplex(call.dtype()) ? SvdKernel<c128>(call) : SvdKernel<double>(call);
}

}  // namespace megalith::stablehlo

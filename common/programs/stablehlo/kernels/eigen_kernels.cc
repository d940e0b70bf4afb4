// megalith.eig and megalith.schur: reduction to Hessenberg form, implicit QR iterations, back
// substitution. In double (complex128) whatever the element type, rounded once at the end.
#include <algorithm>
#include <cmath>
#include <limits>

#include "common/programs/stablehlo/kernels/batched_call.h"
#include "common/programs/stablehlo/kernels/decompositions.h"
#include "common/programs/stablehlo/kernels/householder.h"
#include "common/programs/stablehlo/kernels/library_calls.h"
#include "common/programs/stablehlo/kernels/schur.h"

namespace megalith::stablehlo {
template <typename T>
std::vector<c128> Eigenvalues(const SchurForm<T>& f) {
  std::vector<c128> out;
  for (int64_t i = 0; i < f.s.rows(); ++i) {
    if (!f.StartsPair(i)) {
      out.push_back(c128(f.s(i, i)));
      continue;
    }
    const double im = std::sqrt(std::abs(f.s(i, i + 1))) * std::sqrt(std::abs(f.s(i + 1, i)));
    const double re = RealOf(f.s(i, i));
    out.insert(out.end(), {c128(re, im), c128(re, -im)});
    ++i;
  }
  return out;
}

template std::vector<c128> Eigenvalues(const SchurForm<double>& f);
template std::vector<c128> Eigenvalues(const SchurForm<c128>& f);

namespace {

// Solves (S - lambda I) x = 0 upwards from row `known`, above which x is not set yet; S is upper
// triangular with blocks of two rows. A vanishing pivot is replaced by `least`.
template <typename T>
void SolveUpwards(const Matrix<T>& s, c128 lambda, int64_t known, double least,
                  std::vector<c128>* x) {
  const int64_t n = s.rows();
  const auto at = [&](int64_t i) -> c128& { return (*x)[static_cast<size_t>(i)]; };
  const auto rest = [&](int64_t row, int64_t from) {
    c128 sum{};
    for (int64_t j = from; j < n; ++j) sum -= c128(s(row, j)) * at(j);
    return sum;
  };
  const auto guarded = [&](c128 v) { return std::abs(v) < least ? c128(least) : v; };
  for (int64_t i = known - 1; i >= 0; --i) {
    if (i == 0 || s(i, i - 1) == T(0)) {
      at(i) = rest(i, i + 1) / guarded(c128(s(i, i)) - lambda);
      continue;
    }
    const c128 a = c128(s(i - 1, i - 1)) - lambda, b = c128(s(i - 1, i));
    const c128 c = c128(s(i, i - 1)), d = c128(s(i, i)) - lambda;
    const c128 top = rest(i - 1, i + 1), bottom = rest(i, i + 1);
    const c128 det = guarded(a * d - b * c);
    at(i - 1) = (d * top - b * bottom) / det;
    at(i) = (a * bottom - c * top) / det;
    --i;
  }
}

// Length 1, and the largest component of a complex vector real.
void Normalise(bool rotate, std::vector<c128>* v) {
  double sum = 0;
  for (const c128& each : *v) sum += std::norm(each);
  const double length = std::sqrt(sum);
  for (c128& each : *v) each /= length;
  if (!rotate) return;
  const auto shorter = [](c128 a, c128 b) { return std::norm(a) < std::norm(b); };
  const auto largest = std::max_element(v->begin(), v->end(), shorter);
  const c128 phase = std::conj(*largest) / std::abs(*largest);
  for (c128& each : *v) each *= phase;
  *largest = largest->real();
}

// Right eigenvectors as columns; those of the reversed adjoint are the left ones.
template <typename T>
Matrix<c128> Eigenvectors(const Matrix<T>& s, const Matrix<T>& z, const std::vector<c128>& values) {
  const int64_t n = s.rows();
  double size = 0;
  for (int64_t i = 0; i < s.size(); ++i) size = std::max(size, std::abs(s.data()[i]));
  const double least =
      std::max(std::numeric_limits<double>::epsilon() * size, std::numeric_limits<double>::min());
  Matrix<c128> out(n, n);
  for (int64_t k = 0; k < n; ++k) {
    const c128 lambda = values[static_cast<size_t>(k)];
    std::vector<c128> x(static_cast<size_t>(n));
    int64_t known = k;
    const bool pair = k + 1 < n && s(k + 1, k) != T(0);
    if (pair) {
      // The row of the larger off-diagonal element fixes the ratio of the two components.
      const c128 above = c128(s(k, k + 1)), below = c128(s(k + 1, k));
      const c128 gap = c128(0, lambda.imag());
      const bool upper = std::abs(above) >= std::abs(below);
      x[static_cast<size_t>(k)] = upper ? c128(1) : c128(0, 1) * gap / below;
      x[static_cast<size_t>(k + 1)] = upper ? gap / above : c128(0, 1);
    } else {
      x[static_cast<size_t>(k)] = 1;
    }
    SolveUpwards(s, lambda, known, least, &x);
    std::vector<c128> v(static_cast<size_t>(n));
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j)
        v[static_cast<size_t>(i)] += c128(z(i, j)) * x[static_cast<size_t>(j)];
    }
    const bool real = std::is_same_v<T, double> && lambda.imag() == 0;
    for (c128& each : v) each = real ? c128(each.real()) : each;
    Normalise(!real, &v);
    for (int64_t i = 0; i < n; ++i) {
      out(i, k) = v[static_cast<size_t>(i)];
      if (pair) out(i, k + 1) = std::conj(v[static_cast<size_t>(i)]);
    }
    if (pair) ++k;
  }
  return out;
}

}  // namespace

template <typename T>
Matrix<c128> RightEigenvectors(const SchurForm<T>& f, const std::vector<c128>& values) {
  return Eigenvectors(f.s, f.z, values);
}
template Matrix<c128> RightEigenvectors(const SchurForm<double>& f,
                                        const std::vector<c128>& values);
template Matrix<c128> RightEigenvectors(const SchurForm<c128>& f, const std::vector<c128>& values);

// u^H S = lambda u^H is S^H u = conj(lambda) u, and S^H read backwards is upper triangular.
template <typename T>
Matrix<c128> LeftEigenvectors(const SchurForm<T>& f, const std::vector<c128>& values) {
  const int64_t n = f.s.rows();
  std::vector<c128> reversed;
  for (size_t i = values.size(); i-- > 0;) reversed.push_back(std::conj(values[i]));
  Matrix<T> z(n, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) z(i, j) = f.z(i, n - 1 - j);
  }
  const Matrix<c128> found = Eigenvectors(f.s.Adjoint().Reversed(), z, reversed);
  Matrix<c128> out(n, n);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < n; ++j) out(i, j) = found(i, n - 1 - j);
  }
  return out;
}

template Matrix<c128> LeftEigenvectors(const SchurForm<double>& f, const std::vector<c128>& values);
template Matrix<c128> LeftEigenvectors(const SchurForm<c128>& f, const std::vector<c128>& values);

namespace {

template <typename T>
Result<bool> SchurOf(const BatchElement& e, double eps, SchurForm<T>* f) {
  f->s = e.In<T>(0);
  if (!AllFinite(f->s)) return false;
  return SchurInPlace(e.run(), eps, &f->s, &f->z);
}

template <typename T>
Kernel EigKernel(const BatchedCall& call, bool left, bool right) {
  return BatchKernel(
      call, [left, right, eps = IterationEps(call.dtype())](const BatchElement& e) -> Status {
        SchurForm<T> f;
        ASSIGN_OR_RETURN(const bool good, SchurOf(e, eps, &f));
        if (!good) {
          e.OutNan();
          return OkStatus();
        }
        const std::vector<c128> values = Eigenvalues(f);
        e.Out(0, values);
        if (left) e.Out(1, LeftEigenvectors(f, values));
        if (right) e.Out(left ? 2 : 1, RightEigenvectors(f, values));
        return OkStatus();
      });
}

template <typename T>
Kernel SchurKernel(const BatchedCall& call) {
  const bool vectors = call.results.size() > 1;
  return BatchKernel(call,
                     [vectors, eps = IterationEps(call.dtype())](const BatchElement& e) -> Status {
                       SchurForm<T> f;
                       ASSIGN_OR_RETURN(const bool good, SchurOf(e, eps, &f));
                       if (!good) {
                         e.OutNan();
                         return OkStatus();
                       }
                       e.Out(0, f.s);
                       if (vectors) e.Out(1, f.z);
                       return OkStatus();
                     });
}

}  // namespace

Result<Kernel> PrepareEig(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  RETURN_IF_ERROR(WantSquare(call));
  const int64_t n = call.dim(0, 0);
  const DType dtype = tensor::RealPart(call.dtype()) == DType::kF64 ? DType::kC128 : DType::kC64;
  const bool left = ConfigFlag(op, "left");
  const bool right = ConfigFlag(op, "right");
  const TensorType values = call.Type(dtype, {n});
  const TensorType vectors = call.Type(dtype, {n, n});
  if (left && right) {
    RETURN_IF_ERROR(WantResults(call, {values, vectors, vectors}));
  } else if (left || right) {
    RETURN_IF_ERROR(WantResults(call, {values, vectors}));
  } else {
    RETURN_IF_ERROR(WantResults(call, {values}));
  }
  return tensor::IsComplex(call.dtype()) ? EigKernel<c128>(call, left, right)
                                         : EigKernel<double>(call, left, right);
}

Result<Kernel> PrepareSchur(Planner& planner, const Op& op) {
  ASSIGN_OR_RETURN(const BatchedCall call, ReadBatchedCall(planner, op, {2}));
  RETURN_IF_ERROR(WantSquare(call));
  if (call.results.size() == 1) {
    RETURN_IF_ERROR(WantResults(call, {call.operands[0]}));
  } else {
    RETURN_IF_ERROR(WantResults(call, {call.operands[0], call.operands[0]}));
  }
  return tensor::IsComplex(call.dtype()) ? SchurKernel<c128>(call) : SchurKernel<double>(call);
}

}  // namespace megalith::stablehlo

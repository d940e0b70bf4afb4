#include "common/programs/stablehlo/kernels/householder.h"

#include <algorithm>
#include <numeric>

namespace megalith::stablehlo {
namespace {

// A column of reflector components: v[0] is 1.
template <typename T>
struct Reflector {
  std::vector<T> v;
  T tau{};
  double beta = 0;  // what it maps the vector to, times the first unit vector
};

// Below this a vector is brought up first: neither its norm nor what it is divided by would have
// all their digits, and the reciprocal of the latter could be infinite (xLARFG does the same).
constexpr double kSmall = 0x1p-960;
constexpr double kUp = 0x1p600;

// The reflector with H^H x = beta e1, beta real. A vector that is real and zero after its first
// element stays as it is.
template <typename T>
Reflector<T> ReflectorOf(std::vector<T> x) {
  Reflector<T> out;
  double largest = 0;
  for (const T& v : x) largest = std::max({largest, std::abs(RealOf(v)), std::abs(ImagOf(v))});
  bool done = ImagOf(x[0]) == 0;
  for (size_t i = 1; i < x.size(); ++i) done = done && x[i] == T(0);
  if (!done) {
    const bool small = largest < kSmall;
    if (small) {
      for (T& v : x) v *= kUp;
      largest *= kUp;
    }
    double sum = 0;
    for (const T& v : x) sum += std::norm(v / largest);
    out.beta = -std::copysign(largest * std::sqrt(sum), RealOf(x[0]));
    out.tau = (T(out.beta) - x[0]) / out.beta;
    const T scale = T(1) / (x[0] - T(out.beta));
    for (size_t i = 1; i < x.size(); ++i) x[i] *= scale;
    if (small) out.beta /= kUp;  // v and tau do not depend on the scale
  } else {
    out.beta = RealOf(x[0]);
  }
  x[0] = T(1);
  out.v = std::move(x);
  return out;
}

// A := (I - tau v v^H) A for rows row.. and columns [first, last).
template <typename T>
void ApplyLeft(Matrix<T>* a, const std::vector<T>& v, T tau, int64_t row, int64_t first,
               int64_t last) {
  if (tau == T(0) || first >= last) return;
  std::vector<T> sums(static_cast<size_t>(last - first));
  for (size_t i = 0; i < v.size(); ++i) {
    const T factor = Conj(v[i]);
    const T* x = a->row(row + static_cast<int64_t>(i)) + first;
    for (size_t j = 0; j < sums.size(); ++j) sums[j] += factor * x[j];
  }
  for (size_t i = 0; i < v.size(); ++i) {
    const T factor = tau * v[i];
    T* x = a->row(row + static_cast<int64_t>(i)) + first;
    for (size_t j = 0; j < sums.size(); ++j) x[j] -= factor * sums[j];
  }
}

// A := A (I - tau v v^H) for rows [first, last) and columns column...
template <typename T>
void ApplyRight(Matrix<T>* a, const std::vector<T>& v, T tau, int64_t column, int64_t first,
                int64_t last) {
  if (tau == T(0)) return;
  for (int64_t i = first; i < last; ++i) {
    T* x = a->row(i) + column;
    T sum{};
    for (size_t j = 0; j < v.size(); ++j) sum += x[j] * v[j];
    sum *= tau;
    for (size_t j = 0; j < v.size(); ++j) x[j] -= sum * Conj(v[j]);
  }
}

// Rows row.. of a column, and back.
template <typename T>
std::vector<T> Column(const Matrix<T>& a, int64_t column, int64_t row) {
  std::vector<T> out;
  for (int64_t i = row; i < a.rows(); ++i) out.push_back(a(i, column));
  return out;
}
template <typename T>
void StoreReflector(const Reflector<T>& h, int64_t column, int64_t row, Matrix<T>* a) {
  (*a)(row, column) = T(h.beta);
  for (size_t i = 1; i < h.v.size(); ++i) (*a)(row + static_cast<int64_t>(i), column) = h.v[i];
}
template <typename T>
std::vector<T> StoredReflector(const Matrix<T>& a, int64_t column, int64_t row) {
  std::vector<T> v = Column(a, column, row);
  v[0] = T(1);
  return v;
}

// One column of a QR decomposition.
template <typename T>
void QrStep(int64_t k, Matrix<T>* a, std::vector<T>* taus) {
  const Reflector<T> h = ReflectorOf(Column(*a, k, k));
  ApplyLeft(a, h.v, Conj(h.tau), k, k + 1, a->columns());
  StoreReflector(h, k, k, a);
  taus->push_back(h.tau);
}

template <typename T>
void SwapColumns(Matrix<T>* a, int64_t i, int64_t j) {
  for (int64_t r = 0; r < a->rows(); ++r) std::swap((*a)(r, i), (*a)(r, j));
}

}  // namespace

template <typename T>
Status QrInPlace(const Run& run, Matrix<T>* a, std::vector<T>* taus) {
  taus->clear();
  for (int64_t k = 0; k < std::min(a->rows(), a->columns()); ++k) {
    QrStep(k, a, taus);
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

template <typename T>
Status QrWithPivots(const Run& run, Matrix<T>* a, std::vector<T>* taus, std::vector<int64_t>* order,
                    const std::vector<bool>& first) {
  taus->clear();
  order->resize(static_cast<size_t>(a->columns()));
  std::iota(order->begin(), order->end(), 0);
  int64_t fixed = 0;
  for (int64_t j = 0; j < a->columns(); ++j) {
    if (!first[static_cast<size_t>(j)]) continue;
    SwapColumns(a, j, fixed);
    std::swap((*order)[static_cast<size_t>(j)], (*order)[static_cast<size_t>(fixed)]);
    ++fixed;
  }
  for (int64_t k = 0; k < std::min(a->rows(), a->columns()); ++k) {
    int64_t best = k;
    double largest = -1;
    // Norms are computed afresh: as accurate as can be, at twice the work of updating them.
    for (int64_t j = k; j < a->columns() && k >= fixed; ++j) {
      double sum = 0;
      for (int64_t i = k; i < a->rows(); ++i) sum += std::norm((*a)(i, j));
      if (sum > largest * (1 + 1e-14)) {
        best = j;
        largest = sum;
      }
    }
    SwapColumns(a, k, best);
    std::swap((*order)[static_cast<size_t>(k)], (*order)[static_cast<size_t>(best)]);
    QrStep(k, a, taus);
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

template <typename T>
Status ReflectorProduct(const Run& run, Matrix<T>* a, const std::vector<T>& taus) {
  Matrix<T> q = Matrix<T>::Identity(a->rows(), a->columns());
  for (auto k = static_cast<int64_t>(taus.size()); k-- > 0;) {
    ApplyLeft(&q, StoredReflector(*a, k, k), taus[static_cast<size_t>(k)], k, k, q.columns());
    RETURN_IF_ERROR(run.Poll());
  }
  *a = std::move(q);
  return OkStatus();
}

// The rank-two form of H^H A H: with p = tau A v and w = p - tau/2 (p^H v) v it is A - v w^H - w
// v^H.
template <typename T>
Status TridiagonalInPlace(const Run& run, Matrix<T>* a, Tridiagonal<T>* out) {
  const int64_t n = a->rows();
  *out = {};
  const auto lower = [&](int64_t i, int64_t j) { return i >= j ? (*a)(i, j) : Conj((*a)(j, i)); };
  for (int64_t i = 0; i < n; ++i) (*a)(i, i) = T(RealOf((*a)(i, i)));
  for (int64_t k = 0; k + 1 < n; ++k) {
    const Reflector<T> h = ReflectorOf(Column(*a, k, k + 1));
    const std::vector<T>& v = h.v;
    if (h.tau != T(0)) {
      std::vector<T> w(v.size());
      T overlap{};
      for (size_t i = 0; i < v.size(); ++i) {
        for (size_t j = 0; j < v.size(); ++j) {
          w[i] += lower(k + 1 + static_cast<int64_t>(i), k + 1 + static_cast<int64_t>(j)) * v[j];
        }
        w[i] *= h.tau;
        overlap += Conj(w[i]) * v[i];
      }
      for (size_t i = 0; i < v.size(); ++i) w[i] -= 0.5 * h.tau * overlap * v[i];
      for (size_t i = 0; i < v.size(); ++i) {
        T* row = a->row(k + 1 + static_cast<int64_t>(i)) + k + 1;
        for (size_t j = 0; j <= i; ++j) row[j] -= v[i] * Conj(w[j]) + w[i] * Conj(v[j]);
        row[i] = T(RealOf(row[i]));
      }
    }
    StoreReflector(h, k, k + 1, a);
    out->d.push_back(RealOf((*a)(k, k)));
    out->e.push_back(h.beta);
    out->taus.push_back(h.tau);
    RETURN_IF_ERROR(run.Poll());
  }
  if (n > 0) out->d.push_back(RealOf((*a)(n - 1, n - 1)));
  return OkStatus();
}

template <typename T>
Status HessenbergInPlace(const Run& run, Matrix<T>* a, std::vector<T>* taus) {
  const int64_t n = a->rows();
  taus->clear();
  for (int64_t k = 0; k + 1 < n; ++k) {
    const Reflector<T> h = ReflectorOf(Column(*a, k, k + 1));
    ApplyRight(a, h.v, h.tau, k + 1, 0, n);
    ApplyLeft(a, h.v, Conj(h.tau), k + 1, k + 1, n);
    StoreReflector(h, k, k + 1, a);
    taus->push_back(h.tau);
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

template <typename T>
Status SubdiagonalReflectorProduct(const Run& run, const Matrix<T>& a, const std::vector<T>& taus,
                                   Matrix<T>* q) {
  *q = Matrix<T>::Identity(a.rows(), a.rows());
  for (auto k = static_cast<int64_t>(taus.size()); k-- > 0;) {
    ApplyLeft(q, StoredReflector(a, k, k + 1), taus[static_cast<size_t>(k)], k + 1, k + 1,
              q->columns());
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

template <typename T>
Status Bidiagonalize(const Run& run, Matrix<T> a, Bidiagonal<T>* out) {
  const int64_t m = a.rows();
  const int64_t n = a.columns();
  *out = {};
  std::vector<Reflector<T>> left, right;
  for (int64_t k = 0; k < n; ++k) {
    left.push_back(ReflectorOf(Column(a, k, k)));
    ApplyLeft(&a, left.back().v, Conj(left.back().tau), k, k + 1, n);
    out->d.push_back(left.back().beta);
    if (k + 1 == n) break;
    std::vector<T> row;
    for (int64_t j = k + 1; j < n; ++j) row.push_back(Conj(a(k, j)));
    right.push_back(ReflectorOf(std::move(row)));
    ApplyRight(&a, right.back().v, right.back().tau, k + 1, k + 1, m);
    out->e.push_back(right.back().beta);
    RETURN_IF_ERROR(run.Poll());
  }
  out->q = Matrix<T>::Identity(m, m);
  for (auto k = static_cast<int64_t>(left.size()); k-- > 0;) {
    const auto& h = left[static_cast<size_t>(k)];
    ApplyLeft(&out->q, h.v, h.tau, k, k, m);
    RETURN_IF_ERROR(run.Poll());
  }
  out->p = Matrix<T>::Identity(n, n);
  for (auto k = static_cast<int64_t>(right.size()); k-- > 0;) {
    const auto& h = right[static_cast<size_t>(k)];
    ApplyLeft(&out->p, h.v, h.tau, k + 1, k + 1, n);
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

template <typename T>
Status Multiply(const Run& run, const Matrix<T>& x, const Matrix<T>& y, Matrix<T>* out) {
  *out = Matrix<T>(x.rows(), y.columns());
  for (int64_t i = 0; i < x.rows(); ++i) {
    T* row = out->row(i);
    for (int64_t k = 0; k < x.columns(); ++k) {
      const T factor = x(i, k);
      const T* other = y.row(k);
      for (int64_t j = 0; j < y.columns(); ++j) row[j] += factor * other[j];
    }
    RETURN_IF_ERROR(run.Poll());
  }
  return OkStatus();
}

#define MEGALITH_INSTANTIATE(T)                                                                    \
  template Status QrInPlace(const Run&, Matrix<T>*, std::vector<T>*);                              \
  template Status QrWithPivots(const Run&, Matrix<T>*, std::vector<T>*, std::vector<int64_t>*,     \
                               const std::vector<bool>&);                                          \
  template Status ReflectorProduct(const Run&, Matrix<T>*, const std::vector<T>&);                 \
  template Status TridiagonalInPlace(const Run&, Matrix<T>*, Tridiagonal<T>*);                     \
  template Status HessenbergInPlace(const Run&, Matrix<T>*, std::vector<T>*);                      \
  template Status SubdiagonalReflectorProduct(const Run&, const Matrix<T>&, const std::vector<T>&, \
                                              Matrix<T>*);                                         \
  template Status Bidiagonalize(const Run&, Matrix<T>, Bidiagonal<T>*);                            \
  template Status Multiply(const Run&, const Matrix<T>&, const Matrix<T>&, Matrix<T>*)
MEGALITH_INSTANTIATE(double);
MEGALITH_INSTANTIATE(c128);
#undef MEGALITH_INSTANTIATE

}  // namespace megalith::stablehlo

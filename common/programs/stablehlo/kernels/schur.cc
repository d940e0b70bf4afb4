#include "common/programs/stablehlo/kernels/schur.h"

#include <algorithm>
#include <limits>

#include "common/programs/stablehlo/kernels/householder.h"

namespace megalith::stablehlo {
namespace {

constexpr double kTiny = std::numeric_limits<double>::min();
constexpr int64_t kSweepsPerRow = 30;

double Size(double v) { return std::abs(v); }
double Size(c128 v) { return std::abs(v.real()) + std::abs(v.imag()); }

// The rotation that standardises [a b; c d]: upper triangular if its eigenvalues are real, else
// with equal diagonal elements. The block is replaced.
struct Block2 {
  double a, b, c, d;
};
double Sign(double v) { return std::copysign(1.0, v); }

Rotation StandardiseComplex(Block2* m, double p) {
  const double gap = m->a - m->d;
  const double sigma = m->b + m->c;
  const double tau = std::hypot(sigma, gap);
  double cs = std::sqrt(0.5 * (1 + std::abs(sigma) / tau));
  double sn = -(p / (tau * cs)) * Sign(sigma);
  const double aa = m->a * cs + m->b * sn, bb = -m->a * sn + m->b * cs;
  const double cc = m->c * cs + m->d * sn, dd = -m->c * sn + m->d * cs;
  const double mean = 0.5 * (aa * cs + cc * sn - bb * sn + dd * cs);
  *m = {mean, bb * cs + dd * sn, -aa * sn + cc * cs, mean};
  if (m->c == 0) return {cs, sn, 0};
  if (m->b == 0) {
    *m = {mean, -m->c, 0, mean};
    return {-sn, cs, 0};
  }
  if (Sign(m->b) != Sign(m->c)) return {cs, sn, 0};
  // The eigenvalues are real after all.
  const double root_b = std::sqrt(std::abs(m->b)), root_c = std::sqrt(std::abs(m->c));
  const double split = std::copysign(root_b * root_c, m->c);
  const double scale = 1 / std::sqrt(std::abs(m->b + m->c));
  *m = {mean + split, m->b - m->c, 0, mean - split};
  const double cs1 = root_b * scale, sn1 = root_c * scale;
  return {cs * cs1 - sn * sn1, cs * sn1 + sn * cs1, 0};
}

Rotation Standardise(Block2* m) {
  if (m->c == 0) return {1, 0, 0};
  if (m->b == 0) {
    *m = {m->d, -m->c, 0, m->a};
    return {0, 1, 0};
  }
  if (m->a == m->d && Sign(m->b) != Sign(m->c)) return {1, 0, 0};
  const double p = 0.5 * (m->a - m->d);
  const double larger = std::max(std::abs(m->b), std::abs(m->c));
  const double smaller = std::min(std::abs(m->b), std::abs(m->c)) * Sign(m->b) * Sign(m->c);
  const double scale = std::max(std::abs(p), larger);
  double z = p / scale * p + larger / scale * smaller;
  if (z < 4 * std::numeric_limits<double>::epsilon() / 2) return StandardiseComplex(m, p);
  z = p + std::copysign(std::sqrt(scale) * std::sqrt(z), p);
  const double tau = std::hypot(m->c, z);
  const Rotation out{z / tau, m->c / tau, 0};
  *m = {m->d + z, m->b - m->c, 0, m->d - larger / z * smaller};
  return out;
}

// One matrix on its way to Schur form. The active block is rows and columns [low, high].
template <typename T>
struct Iteration {
  Matrix<T>& h;
  Matrix<T>& z;
  double eps;
  int64_t low = 0, high = 0;

  int64_t n() const { return h.rows(); }

  // The start of the unreduced block that ends at `high`.
  int64_t FindLow() {
    for (int64_t k = high; k > 0; --k) {
      const double below = Size(h(k, k - 1));
      if (below <= kTiny * (static_cast<double>(n()) / eps)) return k;
      double scale = Size(h(k - 1, k - 1)) + Size(h(k, k));
      if (scale == 0 && k >= 2) scale += Size(h(k - 1, k - 2));
      if (scale == 0 && k + 1 < n()) scale += Size(h(k + 1, k));
      if (below > 2 * eps * scale) continue;
      // A product with the opposite element decides, by the criterion of Ahues and Tisseur.
      const double above = Size(h(k - 1, k));
      const double ab = std::max(below, above), ba = std::min(below, above);
      const double gap = Size(h(k - 1, k - 1) - h(k, k));
      const double aa = std::max(Size(h(k, k)), gap), bb = std::min(Size(h(k, k)), gap);
      const double s = aa + ab;
      if (ba * (ab / s) <= std::max(kTiny, 2 * eps * (bb * (aa / s)))) return k;
    }
    return 0;
  }

  // Rows and columns k.. of the reflector I - tau v v^H, v[0] = 1, applied on both sides of h and
  // to z.
  void Reflect(int64_t k, const std::vector<T>& v, T tau, int64_t first_column, int64_t last_row) {
    const auto size = static_cast<int64_t>(v.size());
    for (int64_t j = first_column; j < n(); ++j) {
      T sum{};
      for (int64_t i = 0; i < size; ++i) sum += Conj(v[static_cast<size_t>(i)]) * h(k + i, j);
      sum *= Conj(tau);
      for (int64_t i = 0; i < size; ++i) h(k + i, j) -= sum * v[static_cast<size_t>(i)];
    }
    const auto right = [&](Matrix<T>& m, int64_t end) {
      for (int64_t i = 0; i < end; ++i) {
        T sum{};
        for (int64_t j = 0; j < size; ++j) sum += m(i, k + j) * v[static_cast<size_t>(j)];
        sum *= tau;
        for (int64_t j = 0; j < size; ++j) m(i, k + j) -= sum * Conj(v[static_cast<size_t>(j)]);
      }
    };
    right(h, last_row + 1);
    right(z, n());
  }

  // The reflector that maps x to a multiple of the first unit vector; x becomes v, and its first
  // element the multiple.
  static T Annihilate(std::vector<T>* x, double* beta) {
    double largest = 0, sum = 0;
    for (const T& v : *x) largest = std::max(largest, Size(v));
    bool zero = ImagOf((*x)[0]) == 0;
    for (size_t i = 1; i < x->size(); ++i) zero = zero && (*x)[i] == T(0);
    *beta = RealOf((*x)[0]);
    T tau{};
    if (!zero) {
      for (const T& v : *x) sum += std::norm(v / largest);
      *beta = -std::copysign(largest * std::sqrt(sum), RealOf((*x)[0]));
      tau = (T(*beta) - (*x)[0]) / *beta;
      const T scale = T(1) / ((*x)[0] - T(*beta));
      for (size_t i = 1; i < x->size(); ++i) (*x)[i] *= scale;
    }
    (*x)[0] = T(1);
    return tau;
  }

  // Chases the bulge that the first column `v` of the shifted square (or of the shifted matrix)
  // makes at row m.
  void Chase(int64_t m, std::vector<T> v) {
    const auto full = static_cast<int64_t>(v.size());
    for (int64_t k = m; k < high; ++k) {
      const int64_t size = std::min(full, high - k + 1);
      if (k > m) {
        v.resize(static_cast<size_t>(size));
        for (int64_t i = 0; i < size; ++i) v[static_cast<size_t>(i)] = h(k + i, k - 1);
      } else {
        v.resize(static_cast<size_t>(size));
      }
      double beta = 0;
      const T tau = Annihilate(&v, &beta);
      if (k > m) {
        h(k, k - 1) = T(beta);
        for (int64_t i = 1; i < size; ++i) h(k + i, k - 1) = T(0);
      } else if (m > low) {
        h(k, k - 1) *= T(1) - Conj(tau);
      }
      Reflect(k, v, tau, k, std::min(k + full, high));
    }
  }

  // Scales row i, column i and column i of z by numbers of magnitude 1.
  void MakeSubdiagonalReal(int64_t i) {
    const T below = h(i, i - 1);
    if (ImagOf(below) == 0) return;
    const T phase = below / std::abs(below);
    for (int64_t j = i - 1; j < n(); ++j) h(i, j) *= Conj(phase);
    for (int64_t r = 0; r <= std::min(i + 1, high); ++r) h(r, i) *= phase;
    for (int64_t r = 0; r < n(); ++r) z(r, i) *= phase;
    h(i, i - 1) = T(std::abs(below));
  }

  void Sweep(int64_t round);
  // Deals with the blocks of one or two rows at the end; true if there was one.
  bool Deflate();
};

// ---- complex: one shift ----

template <>
bool Iteration<c128>::Deflate() {
  if (low != high) return false;
  --high;
  return true;
}

template <>
void Iteration<c128>::Sweep(int64_t round) {
  c128 shift = h(high, high);
  if (round > 0 && round % 20 == 10) {
    shift = h(low, low) + 0.75 * std::abs(h(low + 1, low).real());
  } else if (round > 0 && round % 20 == 0) {
    shift += 0.75 * std::abs(h(high, high - 1).real());
  } else {
    const c128 u = std::sqrt(h(high - 1, high)) * std::sqrt(h(high, high - 1));
    double s = Size(u);
    if (s != 0) {
      const c128 x = 0.5 * (h(high - 1, high - 1) - shift);
      const double sx = Size(x);
      s = std::max(s, sx);
      c128 y = s * std::sqrt((x / s) * (x / s) + (u / s) * (u / s));
      if (sx > 0 && (x / sx).real() * y.real() + (x / sx).imag() * y.imag() < 0) y = -y;
      shift -= u * (u / (x + y));
    }
  }
  int64_t m = high - 1;
  std::vector<c128> v(2);
  for (;; --m) {
    c128 first = h(m, m) - shift;
    double second = Size(h(m + 1, m));
    const double s = Size(first) + second;
    v = {first / s, h(m + 1, m) / s};
    if (m == low) break;
    const double scale = Size(v[0]) * (Size(h(m, m)) + Size(h(m + 1, m + 1)));
    if (Size(h(m, m - 1)) * Size(v[1]) <= 2 * eps * scale) break;
  }
  Chase(m, v);
  // The shifts above assume real subdiagonal elements.
  for (int64_t i = m > low ? m : high; i <= high; ++i) MakeSubdiagonalReal(i);
}

// ---- real: two shifts, real or a conjugate pair ----

template <>
bool Iteration<double>::Deflate() {
  if (high - low > 1) return false;
  if (low == high) {
    --high;
    return true;
  }
  const int64_t i = low;
  Block2 block{h(i, i), h(i, i + 1), h(i + 1, i), h(i + 1, i + 1)};
  const Rotation rot = Standardise(&block);
  Rotate(n() - i - 2, h.row(i) + i + 2, h.row(i + 1) + i + 2, rot.c, rot.s);
  for (int64_t r = 0; r < i; ++r) Rotate(1, &h(r, i), &h(r, i + 1), rot.c, rot.s);
  for (int64_t r = 0; r < n(); ++r) Rotate(1, &z(r, i), &z(r, i + 1), rot.c, rot.s);
  h(i, i) = block.a;
  h(i, i + 1) = block.b;
  h(i + 1, i) = block.c;
  h(i + 1, i + 1) = block.d;
  high -= 2;
  return true;
}

template <>
void Iteration<double>::Sweep(int64_t round) {
  Block2 s{h(high - 1, high - 1), h(high - 1, high), h(high, high - 1), h(high, high)};
  if (round > 0 && round % 10 == 0) {  // an exceptional shift, from either end in turn
    const bool top = round % 20 == 10;
    const double size = top ? std::abs(h(low + 1, low)) + std::abs(h(low + 2, low + 1))
                            : std::abs(h(high, high - 1)) + std::abs(h(high - 1, high - 2));
    const double diagonal = 0.75 * size + (top ? h(low, low) : h(high, high));
    s = {diagonal, -0.4375 * size, size, diagonal};
  }
  const double scale = std::abs(s.a) + std::abs(s.b) + std::abs(s.c) + std::abs(s.d);
  double r1 = 0, r2 = 0, im = 0;
  if (scale != 0) {
    s = {s.a / scale, s.b / scale, s.c / scale, s.d / scale};
    const double mean = (s.a + s.d) / 2;
    const double det = (s.a - mean) * (s.d - mean) - s.b * s.c;
    const double root = std::sqrt(std::abs(det));
    if (det >= 0) {
      r1 = r2 = mean * scale;
      im = root * scale;
    } else {
      const bool plus = std::abs(mean + root - s.d) <= std::abs(mean - root - s.d);
      r1 = r2 = (plus ? mean + root : mean - root) * scale;
    }
  }
  int64_t m = high - 2;
  std::vector<double> v;
  for (;; --m) {
    const double size = std::abs(h(m, m) - r2) + std::abs(im) + std::abs(h(m + 1, m));
    const double below = h(m + 1, m) / size;
    v = {below * h(m, m + 1) + (h(m, m) - r1) * ((h(m, m) - r2) / size) + im * (im / size),
         below * (h(m, m) + h(m + 1, m + 1) - r1 - r2), below * h(m + 2, m + 1)};
    const double sum = std::abs(v[0]) + std::abs(v[1]) + std::abs(v[2]);
    for (double& each : v) each /= sum;
    if (m == low) break;
    const double around = std::abs(h(m - 1, m - 1)) + std::abs(h(m, m)) + std::abs(h(m + 1, m + 1));
    if (std::abs(h(m, m - 1)) * (std::abs(v[1]) + std::abs(v[2])) <=
        2 * eps * std::abs(v[0]) * around)
      break;
  }
  Chase(m, v);
}

}  // namespace

template <typename T>
Result<bool> SchurInPlace(const Run& run, double eps, Matrix<T>* a, Matrix<T>* z) {
  const int64_t n = a->rows();
  std::vector<T> taus;
  RETURN_IF_ERROR(HessenbergInPlace(run, a, &taus));
  RETURN_IF_ERROR(SubdiagonalReflectorProduct(run, *a, taus, z));
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j + 1 < i; ++j) (*a)(i, j) = T(0);
  }
  Iteration<T> it{*a, *z, eps};
  it.high = n - 1;
  int64_t round = 0;
  while (it.high >= 0) {
    it.low = it.FindLow();
    if (it.low > 0) (*a)(it.low, it.low - 1) = T(0);
    if (it.Deflate()) {
      round = 0;
      continue;
    }
    if (round > kSweepsPerRow * std::max<int64_t>(10, n)) return false;
    it.Sweep(round++);
    RETURN_IF_ERROR(run.Poll());
  }
  return true;
}

template Result<bool> SchurInPlace(const Run&, double, Matrix<double>*, Matrix<double>*);
template Result<bool> SchurInPlace(const Run&, double, Matrix<c128>*, Matrix<c128>*);

}  // namespace megalith::stablehlo

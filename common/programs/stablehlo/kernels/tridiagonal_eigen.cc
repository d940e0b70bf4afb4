#include <algorithm>
#include <limits>

#include "common/programs/stablehlo/kernels/spectral.h"

namespace megalith::stablehlo {
namespace {

constexpr double kTiny = std::numeric_limits<double>::min();
constexpr int64_t kSweepsPerRow = 30;

// Eigenvalues of [a b; b c], the one of larger magnitude first, and its unit vector (c, s).
struct Eigen2 {
  double large, small, c, s;
};
Eigen2 EigenOf2x2(double a, double b, double c) {
  const double sum = a + c;
  const double gap = a - c;
  const double twice = b + b;
  const double root = std::hypot(gap, twice);
  const double high = std::abs(a) > std::abs(c) ? a : c;
  const double low = std::abs(a) > std::abs(c) ? c : a;
  Eigen2 out;
  const int sign = sum < 0 ? -1 : 1;
  out.large = sum == 0 ? 0.5 * root : 0.5 * (sum + sign * root);
  // The determinant over the larger one, without cancellation.
  out.small = sum == 0 ? -0.5 * root : high / out.large * low - b / out.large * b;
  const int gap_sign = gap >= 0 ? 1 : -1;
  const double cs = gap + gap_sign * root;
  if (std::abs(cs) > std::abs(twice)) {
    const double t = -twice / cs;
    out.s = 1 / std::sqrt(1 + t * t);
    out.c = t * out.s;
  } else if (twice == 0) {
    out.c = 1;
    out.s = 0;
  } else {
    const double t = -cs / twice;
    out.c = 1 / std::sqrt(1 + t * t);
    out.s = t * out.c;
  }
  if (sign == gap_sign) out = {out.large, out.small, -out.s, out.c};
  return out;
}

// One matrix being diagonalised. A block is [first, last] with no negligible off-diagonal element.
// Sweeps go up from the end of larger magnitude: QL if `step` is 1 (eigenvalues come out at the
// top), QR if it is -1.
struct TridiagonalIteration {
  std::vector<double>& d;
  std::vector<double>& e;
  Matrix<double>& z;
  double eps;
  int64_t sweeps_left;

  double& D(int64_t i) { return d[static_cast<size_t>(i)]; }
  // The element that couples i with its neighbour in the direction of the sweep.
  double& E(int64_t i, int64_t step) { return e[static_cast<size_t>(step > 0 ? i : i - 1)]; }
  // Rotates vectors i and i + 1.
  void RotateVectors(int64_t i, double c, double s) {
    Rotate(z.columns(), z.row(i), z.row(i + 1), c, s);
  }

  bool Negligible(int64_t i, int64_t step) {
    const double off = std::abs(E(i, step));
    return off * off <= eps * eps * std::abs(D(i)) * std::abs(D(i + step)) + kTiny;
  }

  void Solve2x2(int64_t at, int64_t step) {
    const int64_t i = step > 0 ? at : at - 1;
    const Eigen2 x = EigenOf2x2(D(i), e[static_cast<size_t>(i)], D(i + 1));
    RotateVectors(i, x.c, x.s);
    D(i) = x.large;
    D(i + 1) = x.small;
    e[static_cast<size_t>(i)] = 0;
  }

  // One implicit sweep over the unreduced part between `at` and `m` with Wilkinson's shift.
  void Sweep(int64_t at, int64_t m, int64_t step) {
    double p = D(at);
    double g = (D(at + step) - p) / (2 * E(at, step));
    g = D(m) - p + E(at, step) / (g + std::copysign(std::hypot(g, 1.0), g));
    double s = 1;
    double c = 1;
    p = 0;
    for (int64_t i = m - step; i != at - step; i -= step) {
      const double f = s * E(i, step);
      const double b = c * E(i, step);
      const Rotation rot = RotationOf(g, f);
      c = rot.c;
      s = rot.s;
      if (i != m - step) E(i + step, step) = rot.r;
      g = D(i + step) - p;
      const double r = (D(i) - g) * s + 2 * c * b;
      p = s * r;
      D(i + step) = g + p;
      g = c * r - b;
      RotateVectors(step > 0 ? i : i - 1, c, step > 0 ? -s : s);
    }
    D(at) -= p;
    E(at, step) = g;
  }

  Result<bool> Block(const Run& run, int64_t first, int64_t last) {
    const int64_t step = std::abs(D(last)) < std::abs(D(first)) ? -1 : 1;
    int64_t at = step > 0 ? first : last;
    const int64_t end = step > 0 ? last : first;
    while ((end - at) * step >= 0) {
      int64_t m = at;
      while (m != end && !Negligible(m, step)) m += step;
      if (m != end) E(m, step) = 0;
      if (m == at) {
        at += step;
      } else if (m == at + step) {
        Solve2x2(at, step);
        at += 2 * step;
      } else {
        if (sweeps_left-- == 0) return false;
        Sweep(at, m, step);
        RETURN_IF_ERROR(run.Poll());
      }
    }
    return true;
  }
};

// Ascending, with as few exchanges as possible.
void SortAscending(std::vector<double>* d, Matrix<double>* vectors) {
  for (size_t i = 0; i < d->size(); ++i) {
    const auto least = std::min_element(d->begin() + static_cast<int64_t>(i), d->end());
    if (*least == (*d)[i]) continue;
    std::swap_ranges(vectors->row(static_cast<int64_t>(i)),
                     vectors->row(static_cast<int64_t>(i)) + vectors->columns(),
                     vectors->row(least - d->begin()));
    std::swap((*d)[i], *least);
  }
}

}  // namespace

Result<bool> TridiagonalEigen(const Run& run, double eps, std::vector<double>* d,
                              std::vector<double>* e, Matrix<double>* vectors) {
  const auto n = static_cast<int64_t>(d->size());
  *vectors = Matrix<double>::Identity(n, n);
  TridiagonalIteration it{*d, *e, *vectors, eps, kSweepsPerRow * n};
  const auto splits = [&](int64_t i) {
    const double off = std::abs(it.E(i, 1));
    return off == 0 || off <= std::sqrt(std::abs(it.D(i))) * std::sqrt(std::abs(it.D(i + 1))) * eps;
  };
  for (int64_t first = 0; first < n;) {
    int64_t last = first;
    while (last + 1 < n && !splits(last)) ++last;
    if (last + 1 < n) it.E(last, 1) = 0;
    ASSIGN_OR_RETURN(const bool converged, it.Block(run, first, last));
    if (!converged) return false;
    first = last + 1;
  }
  SortAscending(d, vectors);
  return true;
}

}  // namespace megalith::stablehlo

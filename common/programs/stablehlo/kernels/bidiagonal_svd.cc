#include <algorithm>
#include <limits>

#include "common/programs/stablehlo/kernels/spectral.h"

namespace megalith::stablehlo {
namespace {

constexpr double kTiny = std::numeric_limits<double>::min();
// Relative accuracy asked of singular values; the factor trades sweeps for digits.
double ToleranceOf(double eps) { return std::clamp(std::pow(eps, -0.125), 10.0, 100.0) * eps; }

// The smaller singular value of [f g; 0 h].
double SmallerSingularValue(double f, double g, double h) {
  f = std::abs(f);
  g = std::abs(g);
  h = std::abs(h);
  const double low = std::min(f, h);
  const double high = std::max(f, h);
  if (low == 0) return 0;
  const double as = 1 + low / high;
  const double at = (high - low) / high;
  if (g < high) {
    const double au = (g / high) * (g / high);
    return low * (2 / (std::sqrt(as * as + au) + std::sqrt(at * at + au)));
  }
  const double au = high / g;
  if (au == 0) return low * high / g;
  const double c =
      1 / (std::sqrt(1 + (as * au) * (as * au)) + std::sqrt(1 + (at * au) * (at * au)));
  return 2 * (low * c) * au;
}

// [cl sl; -sl cl] [f g; 0 h] [cr -sr; sr cr] = diag(large, small), large being larger in magnitude.
struct Svd2 {
  double large, small, cl, sl, cr, sr;
};
Svd2 SvdOf2x2(double eps, double f, double g, double h) {
  double ft = f, ht = h;
  const bool swapped = std::abs(h) > std::abs(f);
  if (swapped) std::swap(ft, ht);
  const double fa = std::abs(ft), ha = std::abs(ht), ga = std::abs(g);
  double large = fa, small = ha, cl = 1, cr = 1, sl = 0, sr = 0;
  int deciding = swapped ? 2 : 0;  // which of f, g, h has the sign of `large`
  if (ga != 0) {
    if (ga > fa) deciding = 1;
    if (ga > fa && fa / ga < eps) {
      large = ga;
      small = ha > 1 ? fa / (ga / ha) : fa / ga * ha;
      cl = 1;
      sl = ht / g;
      sr = 1;
      cr = ft / g;
    } else {
      const double gap = fa - ha;
      const double l = gap == fa ? 1 : gap / fa;
      const double m = g / ft;
      const double t = 2 - l;
      const double s = std::sqrt(t * t + m * m);
      const double r = l == 0 ? std::abs(m) : std::sqrt(l * l + m * m);
      const double a = 0.5 * (s + r);
      small = ha / a;
      large = fa * a;
      double tangent;
      if (m * m == 0) {
        tangent = l == 0 ? std::copysign(2.0, ft) * std::copysign(1.0, g)
                         : g / std::copysign(gap, ft) + m / t;
      } else {
        tangent = (m / (s + t) + m / (r + l)) * (1 + a);
      }
      const double root = std::sqrt(tangent * tangent + 4);
      cr = 2 / root;
      sr = tangent / root;
      cl = (cr + sr * m) / a;
      sl = ht / ft * sr / a;
    }
  }
  Svd2 out = swapped ? Svd2{large, small, sr, cr, sl, cl} : Svd2{large, small, cl, sl, cr, sr};
  const double sign =
      deciding == 0
          ? std::copysign(1.0, out.cr) * std::copysign(1.0, out.cl) * std::copysign(1.0, f)
      : deciding == 1
          ? std::copysign(1.0, out.sr) * std::copysign(1.0, out.cl) * std::copysign(1.0, g)
          : std::copysign(1.0, out.sr) * std::copysign(1.0, out.sl) * std::copysign(1.0, h);
  out.large = std::copysign(out.large, sign);
  out.small = std::copysign(out.small, sign * std::copysign(1.0, f) * std::copysign(1.0, h));
  return out;
}

// One matrix being diagonalised. `ll` and `m` bound the block that is worked on.
struct BidiagonalIteration {
  std::vector<double>& d;
  std::vector<double>& e;
  Matrix<double>& ut;
  Matrix<double>& vt;
  double eps;
  double tolerance = ToleranceOf(eps);
  double threshold = 0;
  int64_t ll = 0, m = 0;
  int64_t old_ll = -1, old_m = -1;
  bool down = true;          // whether the bulge is chased downwards
  double low = 0, high = 0;  // bounds of the block's singular values

  double& D(int64_t i) { return d[static_cast<size_t>(i)]; }
  double& E(int64_t i) { return e[static_cast<size_t>(i)]; }
  void RotateLeft(int64_t i, double c, double s) {
    Rotate(ut.columns(), ut.row(i), ut.row(i + 1), c, s);
  }
  void RotateRight(int64_t i, double c, double s) {
    Rotate(vt.columns(), vt.row(i), vt.row(i + 1), c, s);
  }

  // Finds the lowest block; true if there is one with more than one row.
  bool FindBlock() {
    high = std::abs(D(m));
    for (ll = m; ll > 0; --ll) {
      if (std::abs(E(ll - 1)) <= threshold) {
        E(ll - 1) = 0;
        break;
      }
      high = std::max({high, std::abs(D(ll - 1)), std::abs(E(ll - 1))});
    }
    if (ll < m) return true;
    --m;
    return false;
  }

  void Solve2x2() {
    const Svd2 x = SvdOf2x2(eps, D(m - 1), E(m - 1), D(m));
    D(m - 1) = x.large;
    E(m - 1) = 0;
    D(m) = x.small;
    RotateRight(m - 1, x.cr, x.sr);
    RotateLeft(m - 1, x.cl, x.sl);
    m -= 2;
  }

  // Drops an element that is negligible to relative accuracy; true if it did. Bounds the smallest
  // singular value.
  bool Deflate() {
    const int64_t near = down ? m - 1 : ll;
    if (std::abs(E(near)) <= tolerance * std::abs(down ? D(m) : D(ll))) {
      E(near) = 0;
      return true;
    }
    double mu = std::abs(down ? D(ll) : D(m));
    low = mu;
    for (int64_t k = 0; k < m - ll; ++k) {
      const int64_t i = down ? ll + k : m - 1 - k;
      if (std::abs(E(i)) <= tolerance * mu) {
        E(i) = 0;
        return true;
      }
      mu = std::abs(down ? D(i + 1) : D(i)) * (mu / (mu + std::abs(E(i))));
      low = std::min(low, mu);
    }
    return false;
  }

  double Shift() {
    const auto n = static_cast<double>(d.size());
    if (n * tolerance * (low / high) <= std::max(eps, 0.01 * tolerance)) return 0;
    const double start = std::abs(down ? D(ll) : D(m));
    const double shift = down ? SmallerSingularValue(D(m - 1), E(m - 1), D(m))
                              : SmallerSingularValue(D(ll), E(ll), D(ll + 1));
    return start > 0 && (shift / start) * (shift / start) < eps ? 0 : shift;
  }

  void SweepDownUnshifted() {
    double cs = 1, old_cs = 1, old_sn = 0;
    for (int64_t i = ll; i < m; ++i) {
      const Rotation right = RotationOf(D(i) * cs, E(i));
      if (i > ll) E(i - 1) = old_sn * right.r;
      const Rotation left = RotationOf(old_cs * right.r, D(i + 1) * right.s);
      D(i) = left.r;
      cs = right.c;
      old_cs = left.c;
      old_sn = left.s;
      RotateRight(i, right.c, right.s);
      RotateLeft(i, left.c, left.s);
    }
    const double h = D(m) * cs;
    D(m) = h * old_cs;
    E(m - 1) = h * old_sn;
  }

  void SweepUpUnshifted() {
    double cs = 1, old_cs = 1, old_sn = 0;
    for (int64_t i = m; i > ll; --i) {
      const Rotation left = RotationOf(D(i) * cs, E(i - 1));
      if (i < m) E(i) = old_sn * left.r;
      const Rotation right = RotationOf(old_cs * left.r, D(i - 1) * left.s);
      D(i) = right.r;
      cs = left.c;
      old_cs = right.c;
      old_sn = right.s;
      RotateRight(i - 1, right.c, -right.s);
      RotateLeft(i - 1, left.c, -left.s);
    }
    const double h = D(ll) * cs;
    D(ll) = h * old_cs;
    E(ll) = h * old_sn;
  }

  void SweepDown(double shift) {
    double f = (std::abs(D(ll)) - shift) * (std::copysign(1.0, D(ll)) + shift / D(ll));
    double g = E(ll);
    for (int64_t i = ll; i < m; ++i) {
      const Rotation right = RotationOf(f, g);
      if (i > ll) E(i - 1) = right.r;
      f = right.c * D(i) + right.s * E(i);
      E(i) = right.c * E(i) - right.s * D(i);
      g = right.s * D(i + 1);
      D(i + 1) = right.c * D(i + 1);
      const Rotation left = RotationOf(f, g);
      D(i) = left.r;
      f = left.c * E(i) + left.s * D(i + 1);
      D(i + 1) = left.c * D(i + 1) - left.s * E(i);
      if (i + 1 < m) {
        g = left.s * E(i + 1);
        E(i + 1) = left.c * E(i + 1);
      }
      RotateRight(i, right.c, right.s);
      RotateLeft(i, left.c, left.s);
    }
    E(m - 1) = f;
  }

  void SweepUp(double shift) {
    double f = (std::abs(D(m)) - shift) * (std::copysign(1.0, D(m)) + shift / D(m));
    double g = E(m - 1);
    for (int64_t i = m; i > ll; --i) {
      const Rotation left = RotationOf(f, g);
      if (i < m) E(i) = left.r;
      f = left.c * D(i) + left.s * E(i - 1);
      E(i - 1) = left.c * E(i - 1) - left.s * D(i);
      g = left.s * D(i - 1);
      D(i - 1) = left.c * D(i - 1);
      const Rotation right = RotationOf(f, g);
      D(i) = right.r;
      f = right.c * E(i - 1) + right.s * D(i - 1);
      D(i - 1) = right.c * D(i - 1) - right.s * E(i - 1);
      if (i > ll + 1) {
        g = right.s * E(i - 2);
        E(i - 2) = right.c * E(i - 2);
      }
      RotateRight(i - 1, right.c, -right.s);
      RotateLeft(i - 1, left.c, -left.s);
    }
    E(ll) = f;
  }

  void Sweep() {
    const double shift = Shift();
    if (shift == 0) {
      down ? SweepDownUnshifted() : SweepUpUnshifted();
    } else {
      down ? SweepDown(shift) : SweepUp(shift);
    }
    double& last = E(down ? m - 1 : ll);
    if (std::abs(last) <= threshold) last = 0;
  }

  Result<bool> Iterate(const Run& run) {
    const auto n = static_cast<int64_t>(d.size());
    int64_t work_left = 6 * n * n;  // rows swept
    for (m = n - 1; m > 0;) {
      if (!FindBlock()) continue;
      if (ll == m - 1) {
        Solve2x2();
        continue;
      }
      // The bulge runs from the large end to the small one; the direction is kept while the block
      // shrinks.
      if (ll > old_m || m < old_ll) down = std::abs(D(ll)) >= std::abs(D(m));
      if (Deflate()) continue;
      old_ll = ll;
      old_m = m;
      work_left -= m - ll;
      if (work_left < 0) return false;
      Sweep();
      RETURN_IF_ERROR(run.Poll());
    }
    return true;
  }
};

// Off-diagonal elements below this do not matter for any singular value.
double Threshold(double eps, const std::vector<double>& d, const std::vector<double>& e) {
  const auto n = static_cast<double>(d.size());
  double mu = std::abs(d[0]);
  double least = mu;
  for (size_t i = 1; i < d.size() && least != 0; ++i) {
    mu = std::abs(d[i]) * (mu / (mu + std::abs(e[i - 1])));
    least = std::min(least, mu);
  }
  return std::max(ToleranceOf(eps) * (least / std::sqrt(n)), 6 * n * n * kTiny);
}

void SwapRows(Matrix<double>* a, int64_t i, int64_t j) {
  std::swap_ranges(a->row(i), a->row(i) + a->columns(), a->row(j));
}

void MakePositiveAndDescending(std::vector<double>* d, Matrix<double>* ut, Matrix<double>* vt) {
  const auto n = static_cast<int64_t>(d->size());
  for (int64_t i = 0; i < n; ++i) {
    double& value = (*d)[static_cast<size_t>(i)];
    if (!std::signbit(value)) continue;
    value = -value;
    for (int64_t j = 0; j < n; ++j) (*vt)(i, j) = -(*vt)(i, j);
  }
  for (int64_t last = n - 1; last > 0; --last) {
    int64_t least = 0;
    for (int64_t j = 1; j <= last; ++j) {
      if ((*d)[static_cast<size_t>(j)] <= (*d)[static_cast<size_t>(least)]) least = j;
    }
    if (least == last) continue;
    std::swap((*d)[static_cast<size_t>(least)], (*d)[static_cast<size_t>(last)]);
    SwapRows(ut, least, last);
    SwapRows(vt, least, last);
  }
}

}  // namespace

Result<bool> BidiagonalSvd(const Run& run, double eps, bool lower, std::vector<double>* d,
                           std::vector<double>* e, Matrix<double>* ut, Matrix<double>* vt) {
  const auto n = static_cast<int64_t>(d->size());
  *ut = Matrix<double>::Identity(n, n);
  *vt = Matrix<double>::Identity(n, n);
  if (n == 0) return true;
  if (n == 1) {  // here it is the left vector that takes the sign
    (*ut)(0, 0) = std::copysign(1.0, (*d)[0]);
    (*d)[0] = std::abs((*d)[0]);
    return true;
  }
  std::vector<Rotation> to_upper;
  for (size_t i = 0; lower && i + 1 < d->size(); ++i) {
    const Rotation rot = RotationOf((*d)[i], (*e)[i]);
    (*d)[i] = rot.r;
    (*e)[i] = rot.s * (*d)[i + 1];
    (*d)[i + 1] = rot.c * (*d)[i + 1];
    to_upper.push_back(rot);
  }
  BidiagonalIteration it{*d, *e, *ut, *vt, eps};
  it.threshold = Threshold(eps, *d, *e);
  ASSIGN_OR_RETURN(const bool converged, it.Iterate(run));
  if (!converged) return false;
  MakePositiveAndDescending(d, ut, vt);
  // Singular vectors of the lower form: undo the rotations, last first, on the components of the
  // left ones.
  for (size_t k = to_upper.size(); k-- > 0;) {
    for (int64_t row = 0; row < n; ++row) {
      double* x = ut->row(row) + k;
      Rotate(1, x, x + 1, to_upper[k].c, -to_upper[k].s);
    }
  }
  return true;
}

}  // namespace megalith::stablehlo

#include "common/programs/stablehlo/kernels/complex_math.h"

#include <algorithm>
#include <limits>

namespace megalith::stablehlo {
namespace {

using c64 = std::complex<float>;
using c128 = std::complex<double>;

template <typename C>
bool HasInf(C a) {
  return std::isinf(a.real()) || std::isinf(a.imag());
}
template <typename C>
bool HasNan(C a) {
  return std::isnan(a.real()) || std::isnan(a.imag());
}

// log(hypot(x, y)) accurate near 1.
double LogHypot(double x, double y) {
  const double big = std::max(std::fabs(x), std::fabs(y));
  const double small = std::min(std::fabs(x), std::fabs(y));
  if (std::isinf(x) || std::isinf(y)) return std::numeric_limits<double>::infinity();
  if (std::isnan(x) || std::isnan(y)) return std::numeric_limits<double>::quiet_NaN();
  if (big > 0.5 && big < 2.0) {
    // log1p of (big - 1)(big + 1) + small^2 keeps the digits that 1 would swallow.
    return 0.5 * std::log1p((big - 1.0) * (big + 1.0) + small * small);
  }
  return std::log(std::hypot(x, y));
}

}  // namespace

// Scales by a power of two (exact) so that neither the squares nor the products leave the range.
c128 ComplexDivide(c128 a, c128 b) {
  const double m = std::max(std::fabs(b.real()), std::fabs(b.imag()));
  int e = 0;
  if (m != 0 && std::isfinite(m)) std::frexp(m, &e);
  const double br = std::ldexp(b.real(), -e);
  const double bi = std::ldexp(b.imag(), -e);
  const double d = br * br + bi * bi;
  // Products of large parts stay finite, and those of small ones exact.
  const double big = std::max(std::fabs(a.real()), std::fabs(a.imag()));
  const int shift = big < 0x1p-900 ? 512 : big >= 0x1p1000 ? -64 : 0;
  const double ar = std::ldexp(a.real(), shift), ai = std::ldexp(a.imag(), shift);
  const double re = std::ldexp((ar * br + ai * bi) / d, -e - shift);
  const double im = std::ldexp((ai * br - ar * bi) / d, -e - shift);
  if (!std::isnan(re) || !std::isnan(im)) return {re, im};
  constexpr double kInf = std::numeric_limits<double>::infinity();
  if (d == 0 && (!std::isnan(a.real()) || !std::isnan(a.imag()))) {  // nonzero / 0
    const double sign = std::copysign(kInf, b.real());
    return {sign * a.real(), sign * a.imag()};
  }
  if (HasInf(a) && std::isfinite(b.real()) && std::isfinite(b.imag())) {
    const double ur = std::copysign(std::isinf(a.real()) ? 1.0 : 0.0, a.real());
    const double ui = std::copysign(std::isinf(a.imag()) ? 1.0 : 0.0, a.imag());
    return {kInf * (ur * b.real() + ui * b.imag()), kInf * (ui * b.real() - ur * b.imag())};
  }
  if (HasInf(b) && std::isfinite(a.real()) && std::isfinite(a.imag())) {
    const double cr = std::copysign(std::isinf(b.real()) ? 1.0 : 0.0, b.real());
    const double ci = std::copysign(std::isinf(b.imag()) ? 1.0 : 0.0, b.imag());
    return {0.0 * (a.real() * cr + a.imag() * ci), 0.0 * (a.imag() * cr - a.real() * ci)};
  }
  return {re, im};
}
c64 ComplexDivide(c64 a, c64 b) { return c64(ComplexDivide(c128(a), c128(b))); }

double ComplexAbs(c128 a) { return std::hypot(a.real(), a.imag()); }
float ComplexAbs(c64 a) {
  return static_cast<float>(std::hypot(double(a.real()), double(a.imag())));
}

c128 ComplexSign(c128 a) {
  if (a.real() == 0 && a.imag() == 0) return a;
  if (HasNan(a)) {
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return {nan, nan};
  }
  const double m = ComplexAbs(a);
  return {a.real() / m, a.imag() / m};
}
c64 ComplexSign(c64 a) { return c64(ComplexSign(c128(a))); }

c128 ComplexPower(c128 a, c128 b) {
  if (b.real() == 0 && b.imag() == 0) return {1, 0};
  if (a.real() == 0 && a.imag() == 0) {
    if (b.real() > 0) return {0, 0};
    const double nan = std::numeric_limits<double>::quiet_NaN();
    return b.imag() == 0 ? c128(std::numeric_limits<double>::infinity(), nan) : c128(nan, nan);
  }
  const double log_abs = LogHypot(a.real(), a.imag());
  const double angle = std::atan2(a.imag(), a.real());
  const double magnitude = std::exp(b.real() * log_abs - b.imag() * angle);
  const double phase = b.imag() * log_abs + b.real() * angle;
  return {magnitude * std::cos(phase), magnitude * std::sin(phase)};
}
c64 ComplexPower(c64 a, c64 b) { return c64(ComplexPower(c128(a), c128(b))); }

c128 ComplexLog1p(c128 a) {
  const double x = a.real();
  const double y = a.imag();
  const double angle = std::atan2(y, 1.0 + x);
  // |1 + a|^2 - 1 = x (2 + x) + y^2
  const double t = x * (2.0 + x) + y * y;
  if (std::fabs(t) < 0.5) return {0.5 * std::log1p(t), angle};
  return {LogHypot(1.0 + x, y), angle};
}

c128 ComplexExpm1(c128 a) {
  if (a.imag() == 0) return {std::expm1(a.real()), a.imag()};
  const double s = std::sin(a.imag() / 2);
  const double em1 = std::expm1(a.real());
  // e^x cos y - 1 = (e^x - 1) cos y - 2 sin^2(y / 2)
  return {em1 * std::cos(a.imag()) - 2 * s * s, std::exp(a.real()) * std::sin(a.imag())};
}

c128 ComplexExp(c128 a) {
  if (a.imag() == 0) return {std::exp(a.real()), a.imag()};
  const double c = std::cos(a.imag());
  const double s = std::sin(a.imag());
  const double half = std::exp(a.real() / 2);
  const double whole = std::exp(a.real());
  if (std::isinf(whole) && std::isfinite(a.real())) return {half * c * half, half * s * half};
  return {whole * c, whole * s};
}

c128 ComplexRsqrt(c128 a) {
  if (a.real() == 0 && a.imag() == 0) {
    return {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()};
  }
  if (HasInf(a) && !HasNan(a)) return {0.0, std::copysign(0.0, -a.imag())};
  return ComplexDivide(c128(1, 0), std::sqrt(a));
}

c128 ComplexLogistic(c128 a) { return ComplexDivide(c128(1, 0), c128(1, 0) + ComplexExp(-a)); }

c128 ComplexCbrt(c128 a) {
  if (a.real() == 0 && a.imag() == 0) return a;
  const double angle = std::atan2(a.imag(), a.real()) / 3;
  const double m = std::cbrt(ComplexAbs(a));
  return {m * std::cos(angle), m * std::sin(angle)};
}

// -i log((x + i y) / sqrt(x^2 + y^2))
c128 ComplexAtan2(c128 y, c128 x) {
  const c128 numerator(x.real() - y.imag(), x.imag() + y.real());
  const c128 root = std::sqrt(ComplexMultiply(x, x) + ComplexMultiply(y, y));
  const c128 l = std::log(ComplexDivide(numerator, root));
  return {l.imag(), -l.real()};
}

// The C library's is careful with large arguments; on the real axis the imaginary part keeps its
// sign.
c128 ComplexTanh(c128 a) {
  if (a.imag() == 0) return {std::tanh(a.real()), a.imag()};
  return std::tanh(a);
}

// Of an infinite real part both parts are NaN, also on the real axis, where C makes the imaginary
// one of tanh a zero.
c128 ComplexTan(c128 a) {
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  if (!std::isfinite(a.real()) && std::isfinite(a.imag())) return {kNan, kNan};
  const c128 t = ComplexTanh({-a.imag(), a.real()});
  return {t.imag(), -t.real()};
}

}  // namespace megalith::stablehlo

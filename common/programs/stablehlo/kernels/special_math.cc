#include "common/programs/stablehlo/kernels/special_math.h"

#include <math.h>  // lgamma_r

#include <cmath>
#include <limits>

namespace megalith::stablehlo {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kPi = 3.141592653589793238462643383279502884;

// Bernoulli numbers B2, B4, ..., B24.
constexpr double kBernoulli[] = {
    1.0 / 6, -1.0 / 30,     1.0 / 42,      -1.0 / 30,       5.0 / 66,       -691.0 / 2730,
    7.0 / 6, -3617.0 / 510, 43867.0 / 798, -174611.0 / 330, 854513.0 / 138, -236364091.0 / 2730};

}  // namespace

double LogGamma(double x) {
  if (std::isinf(x)) return kInf;
  int sign = 0;
  return ::lgamma_r(x, &sign);
}

double Digamma(double x) {
  if (std::isnan(x) || x == -kInf) return kNan;
  if (x == kInf) return kInf;
  double reflected = 0;
  if (x <= 0) {
    const double fraction = x - std::round(x);
    if (fraction == 0) return kNan;
    reflected = -kPi / std::tan(kPi * fraction);
    x = 1 - x;
  }
  double sum = 0;
  while (x < 10) {
    sum -= 1 / x;
    x += 1;
  }
  const double inverse_square = 1 / (x * x);
  double series = 0;
  for (int k = 8; k >= 1; --k) series = (series + kBernoulli[k - 1] / (2 * k)) * inverse_square;
  return sum + std::log(x) - 0.5 / x - series + reflected;
}

double Zeta(double s, double q) {
  if (std::isnan(s) || std::isnan(q)) return kNan;
  if (s == 1) return kInf;
  if (s < 1) return kNan;
  if (q <= 0) {
    if (q == std::floor(q)) return s == std::floor(s) && std::fmod(s, 2) == 0 ? kInf : kNan;
    if (s != std::floor(s) || q < -10000) return kNan;
  }
  if (q == kInf) return 0;
  if (s == kInf) return q < 1 ? kInf : q == 1 ? 1 : 0;
  double sum = 0;
  double a = q;
  for (int k = 0; k < 12 || a < 12; ++k, a += 1) {
    const double term = std::pow(a, -s);
    sum += term;
    if (std::fabs(term) < std::fabs(sum) * 1e-18 && a > 0) return sum;
  }
  const double power = std::pow(a, -s);
  sum += power * a / (s - 1) + 0.5 * power;
  // Terms B2k / (2k)! * s (s + 1) ... (s + 2k - 2) * a^(-s - 2k + 1).
  double factor = s * power / a;
  double factorial = 2;
  for (int k = 1; k <= 12; ++k) {
    const double term = kBernoulli[k - 1] / factorial * factor;
    sum += term;
    if (std::fabs(term) < std::fabs(sum) * 1e-17) break;
    factor *= (s + 2 * k - 1) * (s + 2 * k) / (a * a);
    factorial *= (2.0 * k + 1) * (2.0 * k + 2);
  }
  return sum;
}

double Polygamma(double n, double x) {
  if (std::isnan(n) || std::isnan(x) || n < 0 || n != std::floor(n)) return kNan;
  if (n == 0) return Digamma(x);
  const double zeta = Zeta(n + 1, x);
  const double sign = std::fmod(n, 2) == 0 ? -1 : 1;
  if (n <= 170) return sign * std::tgamma(n + 1) * zeta;
  return sign * std::copysign(std::exp(LogGamma(n + 1) + std::log(std::fabs(zeta))), zeta);
}

double ErfInv(double y) {
  const double magnitude = std::fabs(y);
  if (!(magnitude <= 1)) return kNan;
  if (magnitude == 1) return std::copysign(kInf, y);
  if (y == 0) return y;
  double w = -std::log((1 - magnitude) * (1 + magnitude));
  double p = 0;
  if (w < 5) {
    w -= 2.5;
    constexpr double kCentral[] = {2.81022636e-08,  3.43273939e-07, -3.5233877e-06,
                                   -4.39150654e-06, 0.00021858087,  -0.00125372503,
                                   -0.00417768164,  0.246640727,    1.50140941};
    for (const double c : kCentral) p = c + p * w;
  } else {
    w = std::sqrt(w) - 3;
    constexpr double kTail[] = {-0.000200214257, 0.000100950558, 0.00134934322,
                                -0.00367342844,  0.00573950773,  -0.0076224613,
                                0.00943887047,   1.00167406,     2.83297682};
    for (const double c : kTail) p = c + p * w;
  }
  double x = p * magnitude;
  for (int step = 0; step < 30; ++step) {
    // Near 1 the complement keeps the digits; 1 - magnitude is exact there.
    const double error = magnitude < 0.5 ? std::erf(x) - magnitude : (1 - magnitude) - std::erfc(x);
    const double slope = 2 / std::sqrt(kPi) * std::exp(-x * x);
    const double newton = error / slope;
    const double delta = newton / (1 + x * newton);
    x -= delta;
    if (std::fabs(delta) <= 1e-16 * x) break;
  }
  return std::copysign(x, y);
}

double BesselI1e(double x) {
  const double a = std::fabs(x);
  if (std::isnan(a)) return kNan;
  if (a == kInf) return std::copysign(0.0, x);
  double value = 0;
  if (a <= 30) {
    // (a/2) sum (a^2/4)^k / (k! (k+1)!): all terms positive.
    const double t = a * a / 4;
    double term = a / 2;
    for (int k = 1; term > value * 1e-17; ++k) {
      value += term;
      term *= t / (static_cast<double>(k) * (k + 1));
    }
    value *= std::exp(-a);
  } else {
    // 1 - (4 - 1)/(8a) + (4 - 1)(4 - 9)/(2! (8a)^2) - ...
    double term = 1;
    for (int k = 1; k < 60 && std::fabs(term) > 1e-18; ++k) {
      value += term;
      const double odd = 2.0 * k - 1;
      term *= -(4 - odd * odd) / (k * 8 * a);
    }
    value /= std::sqrt(2 * kPi * a);
  }
  return std::copysign(value, x);
}

}  // namespace megalith::stablehlo

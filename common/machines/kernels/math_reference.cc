#include "common/machines/kernels/math_reference.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <iterator>
#include <limits>

namespace megalith::kernels {
namespace {

template <typename T>
T Rsqrt(T x) {
  return T{1} / std::sqrt(x);
}

// As the reference evaluator has it: zero where exp(-x) overflows in the type of the result.
double Logistic(double x) { return x < -88.722839 ? 0 : 1 / (1 + std::exp(-x)); }
long double WideLogistic(long double x) {
  return x < -709.782712893384L ? 0 : 1 / (1 + std::exp(-x));
}

template <typename T>
T LogGamma(T x) {
  return std::isinf(x) ? std::numeric_limits<T>::infinity() : std::lgamma(x);
}

// Recurrence up to 40, then the asymptotic series.
long double WideDigamma(long double x) {
  constexpr long double kPi = 3.14159265358979323846264338327950288L;
  if (x != x || x == -INFINITY) return NAN;
  if (x == INFINITY) return x;
  long double reflected = 0;
  if (x <= 0) {
    const long double fraction = x - std::round(x);
    if (fraction == 0) return NAN;
    reflected = -kPi / std::tan(kPi * fraction);
    x = 1 - x;
  }
  long double sum = 0;
  for (; x < 40; x += 1) sum -= 1 / x;
  const long double s = 1 / (x * x);
  const long double series =
      s * (1 / 12.0L - s * (1 / 120.0L - s * (1 / 252.0L - s * (1 / 240.0L - s / 132))));
  return sum + std::log(x) - 0.5L / x - series + reflected;
}
double Digamma(double x) { return static_cast<double>(WideDigamma(x)); }

// Newton from a rough start.
long double WideErfInv(long double y) {
  const long double a = std::fabs(y);
  if (!(a <= 1)) return NAN;
  if (a == 1) return std::copysign(static_cast<long double>(INFINITY), y);
  if (a == 0) return y;
  const long double log = std::log1p(-a * a);
  const long double u = 2 / (3.14159265358979323846L * 0.147L) + log / 2;
  long double x = std::sqrt(std::sqrt(u * u - log / 0.147L) - u);
  if (a < 1e-6L) x = a * 0.886226925452758013649L;
  for (int i = 0; i < 8; ++i) {
    const long double error = a < 0.5L ? std::erf(x) - a : (1 - a) - std::erfc(x);
    const long double newton = error * 0.886226925452758013649L * std::exp(x * x);
    x -= newton / (1 + x * newton);
  }
  return std::copysign(x, y);
}
double ErfInv(double y) { return static_cast<double>(WideErfInv(y)); }

using Op = ScalarOp;
using One = double (*)(double);
using WideOne = long double (*)(long double);

constexpr MathReference Of1(Op op, One f, WideOne wide, double f32_ulps, double f64_ulps,
                            double floor = 0) {
  return {op, f, wide, nullptr, nullptr, f32_ulps, f64_ulps, floor};
}
constexpr MathReference Of2(Op op, double (*f)(double, double),
                            long double (*wide)(long double, long double), double f32_ulps,
                            double f64_ulps) {
  return {op, nullptr, nullptr, f, wide, f32_ulps, f64_ulps, 0};
}

constexpr MathReference kReferences[] = {
    Of1(Op::kRsqrt, Rsqrt<double>, Rsqrt<long double>, 1.5, 1.5),
    Of1(Op::kCbrt, std::cbrt, std::cbrt, 1, 1),
    Of1(Op::kExp, std::exp, std::exp, 1, 1),
    Of1(Op::kExpm1, std::expm1, std::expm1, 2, 2),
    Of1(Op::kLog, std::log, std::log, 1, 1),
    Of1(Op::kLog1p, std::log1p, std::log1p, 2, 2),
    Of1(Op::kSine, std::sin, std::sin, 2, 1),
    Of1(Op::kCosine, std::cos, std::cos, 2, 1),
    Of1(Op::kTan, std::tan, std::tan, 1, 3),
    Of1(Op::kTanh, std::tanh, std::tanh, 2, 2),
    Of1(Op::kLogistic, Logistic, WideLogistic, 3, 3),
    Of1(Op::kErf, std::erf, std::erf, 2, 2),
    Of1(Op::kErfc, std::erfc, std::erfc, 1, 5),
    Of1(Op::kErfInv, ErfInv, WideErfInv, 3, 4),
    Of1(Op::kLgamma, LogGamma<double>, LogGamma<long double>, 1, 6, 1),
    Of1(Op::kDigamma, Digamma, WideDigamma, 1, 8, 16),
    Of1(Op::kAsin, std::asin, std::asin, 1, 3),
    Of1(Op::kAcos, std::acos, std::acos, 1, 3),
    Of1(Op::kAtan, std::atan, std::atan, 1, 2),
    Of1(Op::kSinh, std::sinh, std::sinh, 1, 4),
    Of1(Op::kCosh, std::cosh, std::cosh, 1, 4),
    Of1(Op::kAsinh, std::asinh, std::asinh, 1, 4),
    Of1(Op::kAcosh, std::acosh, std::acosh, 1, 4),
    Of1(Op::kAtanh, std::atanh, std::atanh, 1, 4),
    Of2(Op::kRemainder, std::fmod, std::fmod, 0, 0),
    Of2(Op::kPower, std::pow, std::pow, 1, 2),
    Of2(Op::kAtan2, std::atan2, std::atan2, 1, 2),
};

// `mantissa` and `exponents`: bits of the mantissa, largest exponent + 1 of the type compared in.
template <typename Wide>
double Ulps(Wide got, Wide want, double floor, int mantissa, int exponents) {
  if (got != got || want != want) return got != got && want != want ? 0 : INFINITY;
  if (want == 0 && got == 0) return std::signbit(got) == std::signbit(want) ? 0 : INFINITY;
  const Wide most = std::ldexp(Wide{1}, exponents);
  got = std::clamp(got, -most, most);
  want = std::clamp(want, -most, most);
  if (got == want) return 0;
  const Wide scale = std::max(std::fabs(want), static_cast<Wide>(floor));
  const int e =
      std::clamp(scale == 0 ? -exponents : std::ilogb(scale), 2 - exponents, exponents - 1);
  return static_cast<double>(std::fabs(got - want) / std::ldexp(Wide{1}, e - mantissa));
}

template <typename T>
constexpr T kSpecial[] = {T(0),
                          -T(0),
                          T(1),
                          T(-1),
                          T(0.5),
                          T(-0.5),
                          T(1.5),
                          T(2),
                          T(-2),
                          T(3),
                          T(-3),
                          T(10),
                          T(-10),
                          std::numeric_limits<T>::infinity(),
                          -std::numeric_limits<T>::infinity(),
                          std::numeric_limits<T>::quiet_NaN(),
                          std::numeric_limits<T>::min(),
                          -std::numeric_limits<T>::min(),
                          std::numeric_limits<T>::denorm_min(),
                          -std::numeric_limits<T>::denorm_min(),
                          std::numeric_limits<T>::max(),
                          std::numeric_limits<T>::lowest(),
                          std::numeric_limits<T>::epsilon(),
                          T(3.14159265358979323846),
                          T(1.57079632679489661923)};

uint64_t Mix(uint64_t x) {  // splitmix64
  x += 0x9E3779B97F4A7C15;
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EB;
  return x ^ (x >> 31);
}

}  // namespace

std::span<const MathReference> MathReferences() { return kReferences; }

double UlpsOff(float got, double want) { return Ulps<double>(got, want, 0, 23, 128); }
double UlpsOff(double got, long double want, double floor) {
  return Ulps<long double>(got, want, floor, 52, 1024);
}

float SampleF32(int64_t index, int64_t count) {
  constexpr int64_t kSpecials = std::size(kSpecial<float>);
  if (index < kSpecials) return kSpecial<float>[index];
  const uint64_t random = Mix(static_cast<uint64_t>(index));
  // Half of the samples from the exponents where functions change, half from all.
  const auto step = static_cast<uint32_t>(index * 512 / count);
  const uint32_t top = index % 2 == 0 ? step : (step & 256) | (96 + (step & 63));
  return std::bit_cast<float>(top << 23 | static_cast<uint32_t>(random >> 41));
}

double SampleF64(int64_t index, int64_t count) {
  constexpr int64_t kSpecials = std::size(kSpecial<double>);
  if (index < kSpecials) return kSpecial<double>[index];
  const uint64_t random = Mix(static_cast<uint64_t>(index));
  const auto step = static_cast<uint64_t>(index * 4096 / count);
  const uint64_t top = index % 2 == 0 ? step : (step & 2048) | (992 + (step & 63));
  return std::bit_cast<double>(top << 52 | random >> 12);
}

}  // namespace megalith::kernels

// The formulas of vector_math.h for float64; include that header instead.
//
// Polynomials are Chebyshev fits, made with 60 digits; their own error is below a tenth of an ulp.
#pragma once

#include "common/machines/kernels/vector_math_base.h"

namespace megalith::kernels::vector_math {

// exp(x) = 2^n (1 + r + r^2 P(r)) with x = n ln 2 + r. 1 ulp.
template <Double B>
typename B::F Exp(B& b, typename B::F x) {
  const auto low = b.Float(-746), high = b.Float(710);
  const auto c = b.Select(x > high, high, b.Select(x < low, low, x));
  const auto n = ToNearest(b, c * b.Float(1.4426950408889634));
  // The upper part has 33 bits, so that its product with n is exact.
  auto r = b.Fma(n.value, b.Float(-6.93147180369123816490e-01), c);
  r = b.Fma(n.value, b.Float(-1.90821492927058770002e-10), r);
  const auto p = Horner(b, r,
                        {0.5, 0.16666666666666671, 0.0416666666666666698, 0.00833333333332608312,
                         0.00138888888888837112, 0.000198412698750022788, 2.48015873256774619e-5,
                         2.75572551700008874e-6, 2.75572734787185805e-7, 2.51053127296221018e-8,
                         2.09147553258932022e-9});
  const auto y = b.Float(1) + b.Fma(r * r, p, r);
  return Scale(b, y, n.integer);
}

// x = 2^e (1 + f), 1 + f within a factor of sqrt(2) of 1, s = f / (2 + f);
// log(1 + f) = f - s (f - R) with R = 2/3 s^2 + 2/5 s^4 + ... 1 ulp.
template <Double B>
typename B::F Log(B& b, typename B::F x) {
  const auto tiny = x < b.Float(2.2250738585072014e-308);
  const auto bits = b.Bits(b.Select(tiny, x * b.Float(18014398509481984.0), x));
  const auto e = (bits - b.Int(0x3FE6A09E667F3BCD)) >> 52;
  const auto f = b.FromBits(bits - (e << 52)) - b.Float(1);
  const auto exponent = FromSmallInt(b, e) - b.Select(tiny, b.Float(54), b.Float(0));
  const auto s = f / (b.Float(2) + f);
  const auto z = s * s;
  const auto r = z * Horner(b, z,
                            {0.666666666666666969, 0.399999999998994432, 0.285714286260032687,
                             0.22222211130259877, 0.18182889455674946, 0.153317106182107716,
                             0.14616585424888622});
  const auto half = b.Float(0.5) * f * f;
  const auto low = b.Fma(exponent, b.Float(1.90821492927058770002e-10), s * (half + r));
  auto y = b.Fma(exponent, b.Float(6.93147180369123816490e-01), f - (half - low));
  y = b.Select(x < Infinity(b), y, x);
  y = b.Select(x < b.Float(0), NaN(b), y);
  return b.Select(x == b.Float(0), -Infinity(b), y);
}

// x + x^3 P(x^2) below 0.625, 1 - 2/(exp(2x) + 1) above. 3 ulps.
template <Double B>
typename B::F Tanh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto s = a * a;
  const auto p = Horner(
      b, s,
      {-0.333333333333333333, 0.133333333333333208, -0.0539682539682359013, 0.021869488535133222,
       -0.00886323549980199257, 0.00359212750759925223, -0.00145582839983032459,
       0.000589981815838823207, -0.000238889446367511739, 9.60410915702626599e-5,
       -3.70810692154423339e-5, 1.22099217901627817e-5, -2.4388316314720878e-6});
  const auto small = b.Fma(a * s, p, a);
  const auto large = b.Float(1) - b.Float(2) / (Exp(b, a + a) + b.Float(1));
  return CopySign(b, b.Select(a < b.Float(0.625), small, large), x);
}

// 1 / (1 + exp(-x)); zero where exp(-x) overflows. 3 ulps.
template <Double B>
typename B::F Logistic(B& b, typename B::F x) {
  return b.Float(1) / (b.Float(1) + Exp(b, -x));
}

// exp(x) - 1 = 2^n (p + 1 - 2^-n) with p = exp(r) - 1. 2 ulps.
template <Double B>
typename B::F Expm1(B& b, typename B::F x) {
  const auto low = b.Float(-40), high = b.Float(710);
  const auto c = b.Select(x > high, high, b.Select(x < low, low, x));
  const auto n = ToNearest(b, c * b.Float(1.4426950408889634));
  auto r = b.Fma(n.value, b.Float(-6.93147180369123816490e-01), c);
  r = b.Fma(n.value, b.Float(-1.90821492927058770002e-10), r);
  const auto p = Horner(b, r,
                        {0.5, 0.16666666666666671, 0.0416666666666666698, 0.00833333333332608312,
                         0.00138888888888837112, 0.000198412698750022788, 2.48015873256774619e-5,
                         2.75572551700008874e-6, 2.75572734787185805e-7, 2.51053127296221018e-8,
                         2.09147553258932022e-9});
  const auto y = b.Fma(r * r, p, r);
  const auto less = b.Float(1) - Scale(b, b.Float(1), b.Int(0) - n.integer);
  return b.Select(x == b.Float(0), x, Scale(b, less + y, n.integer));
}

// log(u) + (x - (u - 1)) / u with u = 1 + x rounded. 2 ulps.
template <Double B>
typename B::F Log1p(B& b, typename B::F x) {
  const auto one = b.Float(1);
  const auto u = one + x;
  auto y = Log(b, u) + (x - (u - one)) / u;
  y = b.Select(u == b.Float(0), -Infinity(b), y);
  return b.Select((x == b.Float(0)) | (u == Infinity(b)), x, y);
}

template <Double B>
typename B::F Rsqrt(B& b, typename B::F x) {
  return b.Float(1) / b.Sqrt(x);
}

// From expm1 below 20, from exp above; in two factors, so that only the result overflows. 4 ulps.
template <Double B>
typename B::F Sinh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto e = Expm1(b, a);
  const auto small = b.Float(0.5) * (e + e / (e + b.Float(1)));
  const auto half = Exp(b, b.Float(0.5) * a);
  const auto large = (b.Float(0.5) * half) * half;
  return CopySign(b, b.Select(a < b.Float(20), small, large), x);
}
template <Double B>
typename B::F Cosh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto e = Exp(b, a);
  const auto small = b.Float(0.5) * e + b.Float(0.5) / e;
  const auto half = Exp(b, b.Float(0.5) * a);
  const auto large = (b.Float(0.5) * half) * half;
  return b.Select(a < b.Float(20), small, large);
}

// log1p(a + a^2 / (1 + sqrt(a^2 + 1))), log(a) + ln 2 from 2^28. 4 ulps.
template <Double B>
typename B::F Asinh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto one = b.Float(1);
  const auto s = a * a;
  const auto small = Log1p(b, a + s / (one + b.Sqrt(s + one)));
  const auto large = Log(b, a) + b.Float(0.6931471805599453);
  return CopySign(b, b.Select(a < b.Float(268435456.0), small, large), x);
}
// log1p(t + sqrt(2t + t^2)) with t = x - 1. 4 ulps.
template <Double B>
typename B::F Acosh(B& b, typename B::F x) {
  const auto t = x - b.Float(1);
  const auto small = Log1p(b, t + b.Sqrt(t * (b.Float(2) + t)));
  const auto large = Log(b, x) + b.Float(0.6931471805599453);
  return b.Select(x < b.Float(1), NaN(b), b.Select(x < b.Float(268435456.0), small, large));
}
// log1p(2a / (1 - a)) / 2. 4 ulps.
template <Double B>
typename B::F Atanh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto y = b.Float(0.5) * Log1p(b, (a + a) / (b.Float(1) - a));
  return CopySign(b, b.Select(a == b.Float(1), Infinity(b), b.Select(a > b.Float(1), NaN(b), y)),
                  x);
}

// The root of the mantissa from a polynomial, two steps of Halley and one of Newton. 1 ulp.
template <Double B>
typename B::F Cbrt(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto tiny = a < b.Float(2.2250738585072014e-308);
  const auto scaled = b.Select(tiny, a * b.Float(18014398509481984.0), a);  // 2^54 = (2^18)^3
  const auto e = b.Shr(b.Bits(scaled), 52) - b.Int(1023);
  const auto third =
      ToNearest(b, b.Floor((FromSmallInt(b, e) + b.Float(0.5)) * b.Float(1.0 / 3.0)));
  const auto three = third.integer + third.integer + third.integer;
  const auto m = Scale(b, scaled, b.Int(0) - three);  // in [1, 8)
  auto t = Horner(b, m,
                  {0.60843491868658613, 0.488812335815058427, -0.11212010655657865,
                   0.0182516566895894227, -0.00159688733731637408, 5.65525489422110188e-5});
  for (int i = 0; i < 2; ++i) {
    const auto cube = t * t * t;
    t = t * (cube + m + m) / (cube + cube + m);
  }
  // The residual m - t^3 of t cut to 26 bits, whose square is exact.
  const auto cut = b.FromBits(b.Bits(t) & b.Int(-(int64_t{1} << 27)));
  const auto square = cut * cut;
  const auto quotient = m / square;
  t = cut + cut * ((quotient - cut) / (cut + cut + quotient));
  const auto shift = third.integer - b.Select(tiny, b.Int(18), b.Int(0));
  const auto y = CopySign(b, Scale(b, t, shift), x);
  return b.Select((a == b.Float(0)) | ~(a < Infinity(b)), x, y);
}

// --- numbers of twice the precision ---

template <Double B>
struct Sum {
  typename B::F hi, lo;  // |lo| at most half an ulp of hi
};
template <Double B>
Sum<B> TwoSum(B&, typename B::F x, typename B::F y) {
  const auto s = x + y;
  const auto t = s - x;
  return {s, (x - (s - t)) + (y - t)};
}
// For |x| >= |y|.
template <Double B>
Sum<B> QuickSum(B&, typename B::F x, typename B::F y) {
  const auto s = x + y;
  return {s, y - (s - x)};
}
template <Double B>
Sum<B> TwoProduct(B& b, typename B::F x, typename B::F y) {
  const auto p = x * y;
  if (b.HasFma()) return {p, b.Fma(x, y, -p)};
  // Dekker: the upper half of each factor has 26 bits.
  const auto mask = b.Int(-(int64_t{1} << 27));
  const auto xh = b.FromBits(b.Bits(x) & mask), yh = b.FromBits(b.Bits(y) & mask);
  const auto xl = x - xh, yl = y - yh;
  return {p, ((xh * yh - p) + xh * yl + xl * yh) + xl * yl};
}
template <Double B>
Sum<B> Product(B& b, Sum<B> x, Sum<B> y) {
  const auto p = TwoProduct(b, x.hi, y.hi);
  return QuickSum(b, p.hi, p.lo + (x.hi * y.lo + x.lo * y.hi));
}

// log(x) with some 66 bits for positive finite x: s = f / (2 + f), 2s + 2/3 s^3 in twice the
// precision, the rest of the series in one.
template <Double B>
Sum<B> LogSum(B& b, typename B::F x) {
  const auto tiny = x < b.Float(2.2250738585072014e-308);
  const auto bits = b.Bits(b.Select(tiny, x * b.Float(18014398509481984.0), x));
  const auto e = (bits - b.Int(0x3FE6A09E667F3BCD)) >> 52;
  const auto f = b.FromBits(bits - (e << 52)) - b.Float(1);
  const auto n = FromSmallInt(b, e) - b.Select(tiny, b.Float(54), b.Float(0));
  const auto d = QuickSum(b, b.Float(2), f);
  const auto sh = f / d.hi;
  const auto back = TwoProduct(b, sh, d.hi);
  const auto sl = (((f - back.hi) - back.lo) - sh * d.lo) / d.hi;
  const auto s = QuickSum(b, sh, sl);
  const auto z = Product(b, s, s);
  const auto rest = z.hi * z.hi *
                    Horner(b, z.hi,
                           {0.4, 0.285714285714285645, 0.222222222222284697, 0.181818181796449906,
                            0.153846157629081495, 0.133332963979638333, 0.11766819021629554,
                            0.104561951104014916, 0.107636215150112598});
  const Sum<B> third = {b.Float(0.6666666666666666), b.Float(3.700743415417188e-17)};
  const auto cubic = Product(b, z, third);
  const auto factor = QuickSum(b, cubic.hi, cubic.lo + rest);  // beside 2s, times s
  const auto extra = Product(b, s, factor);
  const auto twice = QuickSum(b, s.hi + s.hi, extra.hi);
  const auto low = twice.lo + (extra.lo + s.lo + s.lo);
  const auto whole = TwoSum(b, n * b.Float(0.6931471804855391), twice.hi);
  const auto more = TwoSum(b, whole.hi, n * b.Float(7.440617110012397e-11));
  return QuickSum(b, more.hi, more.lo + (whole.lo + (low + n * b.Float(-1.3124698417785255e-27))));
}

// What x^y is where it is not exp(y log |x|); `y` tells integers and odd ones from others.
template <class B>
typename B::F PowerSpecials(B& b, typename B::F x, typename B::F y, typename B::F power) {
  const auto zero = b.Float(0), one = b.Float(1), infinity = Infinity(b);
  const auto ax = b.Abs(x), ay = b.Abs(y);
  const auto half = y * b.Float(0.5);
  const auto integer = b.Floor(y) == y;
  const auto odd = integer & (b.Floor(half) != half);
  const auto negative = b.Bits(x) < b.Int(0);
  auto r = power;
  const auto pole = ((ax == zero) & (y < zero)) | ((ax == infinity) & (y > zero));
  r = b.Select((ax == zero) | (ax == infinity), b.Select(pole, infinity, zero), r);
  r = b.Select(negative & odd, -r, r);
  r = b.Select((x < zero) & (ax < infinity) & (ay < infinity) & ~integer, NaN(b), r);
  const auto up = ((ax > one) & (y > zero)) | ((ax < one) & (y < zero));
  const auto grows = b.Select(up, infinity, zero);
  r = b.Select(ay == infinity, b.Select(ax == one, one, grows), r);
  r = b.Select((x != x) | (y != y), x + y, r);
  return b.Select((x == one) | (y == zero), one, r);
}

// exp(y log |x|), the logarithm and the product in twice the precision. 2 ulps.
template <Double B>
typename B::F Pow(B& b, typename B::F x, typename B::F y) {
  const auto ax = b.Abs(x);
  const auto log = LogSum(b, b.Select((ax > b.Float(0)) & (ax < Infinity(b)), ax, b.Float(1)));
  // Beyond this the result is zero or infinite, or 1 for log = 0; the product stays finite.
  const auto bound = b.Float(1e18);
  const auto c = b.Select(y > bound, bound, b.Select(y < -bound, -bound, y));
  const auto p = TwoProduct(b, log.hi, c);
  const auto low = p.lo + log.lo * c;
  const auto e = Exp(b, p.hi);
  const auto power = b.Select((e > b.Float(0)) & (e < Infinity(b)), b.Fma(e, low, e), e);
  return PowerSpecials(b, x, y, power);
}

}  // namespace megalith::kernels::vector_math

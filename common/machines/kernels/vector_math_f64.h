// The formulas of vector_math.h for float64; include that header instead.
//
// Polynomials are Chebyshev fits, made with 60 digits; their own error is below a tenth of an ulp.
#pragma once

#include "common/machines/kernels/vector_math.h"

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

}  // namespace megalith::kernels::vector_math

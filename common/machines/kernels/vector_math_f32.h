// The formulas of vector_math.h for float32; include that header instead.
//
// Polynomials are Chebyshev fits, made with 60 digits and rounded to float; their own error is
// below a quarter of an ulp. Functions that are rare or would need extended precision go through
// the float64 formula and round once.
#pragma once

#include "common/machines/kernels/vector_math.h"

namespace megalith::kernels::vector_math {

// exp(x) = 2^n (1 + r + r^2 P(r)) with x = n ln 2 + r. 1 ulp.
template <Single B>
typename B::F Exp(B& b, typename B::F x) {
  // Outside the result is zero or infinite anyway; written so that NaN stays.
  const auto low = b.Float(-104), high = b.Float(89);
  const auto c = b.Select(x > high, high, b.Select(x < low, low, x));
  const auto n = ToNearest(b, c * b.Float(1.44269504));
  auto r = b.Fma(n.value, b.Float(-0.693359375), c);
  r = b.Fma(n.value, b.Float(2.12194440e-4), r);
  const auto p =
      Horner(b, r, {0.5, 0.166666672, 0.0416664556, 0.00833331048, 0.00139345415, 0.000198919806});
  const auto y = b.Float(1) + b.Fma(r * r, p, r);
  return Scale(b, y, n.integer);
}

// x = 2^e (1 + f), 1 + f within a factor of sqrt(2) of 1;
// log(x) = e ln 2 + f - f^2/2 + f^3 P(f). 1 ulp.
template <Single B>
typename B::F Log(B& b, typename B::F x) {
  const auto tiny = x < b.Float(1.17549435e-38);
  const auto bits = b.Bits(b.Select(tiny, x * b.Float(33554432.0), x));
  const auto e = (bits - b.Int(0x3F3504F3)) >> 23;
  const auto f = b.FromBits(bits - (e << 23)) - b.Float(1);
  const auto exponent = FromSmallInt(b, e) - b.Select(tiny, b.Float(25), b.Float(0));
  const auto p = Horner(b, f,
                        {0.333333313, -0.24999997, 0.200007156, -0.166678026, 0.142490581,
                         -0.124256872, 0.116854198, -0.114797339, 0.0697161183});
  const auto square = f * f;
  auto y = b.Fma(exponent, b.Float(-2.12194440e-4), square * f * p);
  y = b.Fma(square, b.Float(-0.5), y);
  y = b.Fma(exponent, b.Float(0.693359375), f + y);
  y = b.Select(x < Infinity(b), y, x);
  y = b.Select(x < b.Float(0), NaN(b), y);
  return b.Select(x == b.Float(0), -Infinity(b), y);
}

// x + x^3 P(x^2) below 0.625, 1 - 2/(exp(2x) + 1) above. 2 ulps.
template <Single B>
typename B::F Tanh(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto s = a * a;
  const auto p = Horner(
      b, s,
      {-0.333333343, 0.133333042, -0.0539592579, 0.0217689183, -0.00834394526, 0.00229274482});
  const auto small = b.Fma(a * s, p, a);
  const auto large = b.Float(1) - b.Float(2) / (Exp(b, a + a) + b.Float(1));
  return CopySign(b, b.Select(a < b.Float(0.625), small, large), x);
}

// 1 / (1 + exp(-x)); zero where exp(-x) overflows. 3 ulps.
template <Single B>
typename B::F Logistic(B& b, typename B::F x) {
  return b.Float(1) / (b.Float(1) + Exp(b, -x));
}

}  // namespace megalith::kernels::vector_math

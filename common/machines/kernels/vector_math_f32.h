// The formulas of vector_math.h for float32; include that header instead.
//
// Polynomials are Chebyshev fits, made with 60 digits and rounded to float; their own error is
// below a quarter of an ulp. Functions that are rare or would need extended precision go through
// the float64 formula and round once.
#pragma once

#include "common/machines/kernels/vector_math_special.h"

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
// log(x) = e ln 2 + f - f^2/2 + f^3 P(f), `moved` being added to e. For normal x > 0. 1 ulp.
template <Single B>
typename B::F LogNormal(B& b, typename B::F x, typename B::F moved) {
  const auto bits = b.Bits(x);
  const auto e = (bits - b.Int(0x3F3504F3)) >> 23;
  const auto f = b.FromBits(bits - (e << 23)) - b.Float(1);
  const auto exponent = FromSmallInt(b, e) + moved;
  const auto p = Horner(b, f,
                        {0.333333313, -0.24999997, 0.200007156, -0.166678026, 0.142490581,
                         -0.124256872, 0.116854198, -0.114797339, 0.0697161183});
  const auto square = f * f;
  auto y = b.Fma(exponent, b.Float(-2.12194440e-4), square * f * p);
  y = b.Fma(square, b.Float(-0.5), y);
  return b.Fma(exponent, b.Float(0.693359375), f + y);
}
template <Single B>
typename B::F Log(B& b, typename B::F x) {
  const auto tiny = x < b.Float(1.17549435e-38);
  auto y = LogNormal(b, b.Select(tiny, x * b.Float(33554432.0), x),
                     b.Select(tiny, b.Float(-25), b.Float(0)));
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

// exp(x) - 1 = 2^n (p + 1 - 2^-n) with p = exp(r) - 1. 2 ulps.
template <Single B>
typename B::F Expm1(B& b, typename B::F x) {
  const auto low = b.Float(-20), high = b.Float(89);
  const auto c = b.Select(x > high, high, b.Select(x < low, low, x));
  const auto n = ToNearest(b, c * b.Float(1.44269504));
  auto r = b.Fma(n.value, b.Float(-0.693359375), c);
  r = b.Fma(n.value, b.Float(2.12194440e-4), r);
  const auto p =
      Horner(b, r, {0.5, 0.166666672, 0.0416664556, 0.00833331048, 0.00139345415, 0.000198919806});
  const auto y = b.Fma(r * r, p, r);
  const auto less = b.Float(1) - Scale(b, b.Float(1), b.Int(0) - n.integer);
  return b.Select(x == b.Float(0), x, Scale(b, less + y, n.integer));
}

// log(u) + (x - (u - 1)) / u with u = 1 + x rounded. 2 ulps.
template <Single B>
typename B::F Log1p(B& b, typename B::F x) {
  const auto one = b.Float(1);
  const auto u = one + x;
  auto y = Log(b, u) + (x - (u - one)) / u;
  y = b.Select(u == b.Float(0), -Infinity(b), y);
  return b.Select((x == b.Float(0)) | (u == Infinity(b)), x, y);
}

template <Single B>
typename B::F Rsqrt(B& b, typename B::F x) {
  return b.Float(1) / b.Sqrt(x);
}

// --- sin, cos, tan ---

// The angle in right angles: x = n pi/2 + r.
template <Single B>
struct ReducedSingle {
  typename B::F r;
  typename B::I quarter;
};

// Three parts of pi/2; the first product needs to be exact, which a fused multiply-add sees to.
template <Single B>
ReducedSingle<B> ReduceSingle(B& b, typename B::F x) {
  const auto n = ToNearest(b, x * b.Float(0.636619772));
  auto r = b.Fma(n.value, b.Float(-1.5707963705062866), x);
  r = b.Fma(n.value, b.Float(4.371138828673793e-08), r);
  r = b.Fma(n.value, b.Float(1.7151245100058819e-15), r);
  return {r, n.integer};
}
template <Single B>
typename B::F SineSingle(B& b, typename B::F r) {
  const auto z = r * r;
  const auto p = Horner(b, z, {-0.166666672, 0.00833333191, -0.000198400827, 2.72493139e-06});
  return b.Fma(r * z, p, r);
}
template <Single B>
typename B::F CosineSingle(B& b, typename B::F r) {
  const auto z = r * r;
  const auto p = Horner(b, z, {0.0416666679, -0.00138888881, 2.48005963e-05, -2.73004474e-07});
  return b.Fma(z * z, p, b.Fma(z, b.Float(-0.5), b.Float(1)));
}
// sin of the reduced angle plus `quarters` right angles.
template <Single B>
typename B::F SineOf(B& b, const ReducedSingle<B>& r, int quarters) {
  const auto q = r.quarter + b.Int(quarters);
  const auto y = b.Select((q & b.Int(1)) == b.Int(0), SineSingle(b, r.r), CosineSingle(b, r.r));
  return b.FromBits(b.Bits(y) ^ ((q & b.Int(2)) << 30));
}
// Angles from here on, and all of them without fused multiply-add, go through float64.
constexpr double kFewTurnsSingle = 65536;

// 2 ulps each, 3 for tan.
template <Single B>
typename B::F Sine(B& b, typename B::F x) {
  const auto wide = [&] {
    auto w = b.Wide();
    return b.Narrow(Sine(w, b.Widen(x)));
  };
  if (!b.HasFma()) return wide();
  const auto a = b.Abs(x);
  return b.Rarely(a > b.Float(kFewTurnsSingle), FlipSign(b, SineOf(b, ReduceSingle(b, a), 0), x),
                  wide);
}
template <Single B>
typename B::F Cosine(B& b, typename B::F x) {
  const auto wide = [&] {
    auto w = b.Wide();
    return b.Narrow(Cosine(w, b.Widen(x)));
  };
  if (!b.HasFma()) return wide();
  const auto a = b.Abs(x);
  return b.Rarely(a > b.Float(kFewTurnsSingle), SineOf(b, ReduceSingle(b, a), 1), wide);
}
template <Single B>
typename B::F Tan(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Tan(w, b.Widen(x)));
}

// x + x P(x^2) to 1, 1 - exp(-x^2) P(t) / (1 + 2x) with t = (x - 1.5) / (x + 1.5) beyond. 2 ulps.
template <Single B>
typename B::F Erf(B& b, typename B::F x) {
  const auto one = b.Float(1);
  const auto a = b.Abs(x);
  const auto p = Horner(b, a * a,
                        {0.128379166, -0.37612626, 0.112835944, -0.0268542115, 0.00518908724,
                         -0.00080168643, 7.87587487e-05});
  const auto near = b.Fma(a, p, a);
  const auto c = b.Select(a > b.Float(4.1), b.Float(4.1), a);
  const auto t = (c - b.Float(1.5)) / (c + b.Float(1.5));
  const auto q = Horner(b, t,
                        {1.28634167, -0.033963155, -0.237734869, 0.114156879, 0.0208422467,
                         -0.0187958609, -0.00407457165});
  const auto far = one - Exp(b, -(c * c)) * (q / (one + c + c));
  return CopySign(b, b.Select(a < one, near, far), x);
}

// exp(y log |x|) in float64: neither the logarithm's error nor the product's shows. 1 ulp.
template <Single B>
typename B::F Pow(B& b, typename B::F x, typename B::F y) {
  auto w = b.Wide();
  const auto ax = b.Abs(x);
  const auto log = Log(w, b.Widen(b.Select(ax < Infinity(b), ax, b.Float(1))));
  return PowerSpecials(b, x, y, b.Narrow(Exp(w, b.Widen(y) * log)));
}

// y P(w), w = -log(1 - y^2) < 5; beyond, y Q(sqrt(w)). 3 ulps. For numbers spread evenly over
// (-1, 1), one in 300 has the larger w.
template <Single B>
typename B::F ErfInv(B& b, typename B::F y) {
  const auto one = b.Float(1);
  const auto a = b.Abs(y);
  const auto inside = b.Select(a < one, a, b.Float(0.5));
  const auto w = -LogNormal(b, (one - inside) * (one + inside), b.Float(0));
  const auto central =
      Horner(b, w - one,
             {1.12737441, 0.247832894, 0.00425064284, -0.00237644278, 0.000100281315,
              3.82289945e-05, -4.40157555e-06, -5.24696645e-07, 1.41911912e-07, -8.79105677e-09});
  const auto p = b.Rarely(w >= b.Float(5), central, [&] {
    return Horner(b, b.Sqrt(w) - b.Float(3),
                  {2.83297682, 1.00167501, 0.00944528636, -0.00763728889, 0.00568697322,
                   -0.00359740527, 0.00148509268, -5.6776953e-05, -0.000309573166, 0.000115704221});
  });
  const auto limit = b.Select(a == one, Infinity(b), NaN(b));
  return CopySign(b, b.Select(a < one, p * inside, limit), y);
}

// --- through float64: 1 ulp each ---

template <Single B>
typename B::F Cbrt(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Cbrt(w, b.Widen(x)));
}
template <Single B>
typename B::F Erfc(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Erfc(w, b.Widen(x)));
}
template <Single B>
typename B::F Lgamma(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Lgamma(w, b.Widen(x)));
}
template <Single B>
typename B::F Digamma(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Digamma(w, b.Widen(x)));
}
template <Single B>
typename B::F Asin(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Asin(w, b.Widen(x)));
}
template <Single B>
typename B::F Acos(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Acos(w, b.Widen(x)));
}
template <Single B>
typename B::F Atan(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Atan(w, b.Widen(x)));
}
template <Single B>
typename B::F Atan2(B& b, typename B::F y, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Atan2(w, b.Widen(y), b.Widen(x)));
}
template <Single B>
typename B::F Sinh(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Sinh(w, b.Widen(x)));
}
template <Single B>
typename B::F Cosh(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Cosh(w, b.Widen(x)));
}
template <Single B>
typename B::F Asinh(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Asinh(w, b.Widen(x)));
}
template <Single B>
typename B::F Acosh(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Acosh(w, b.Widen(x)));
}
template <Single B>
typename B::F Atanh(B& b, typename B::F x) {
  auto w = b.Wide();
  return b.Narrow(Atanh(w, b.Widen(x)));
}
template <Single B>
typename B::F Remainder(B& b, typename B::F x, typename B::F y) {
  auto w = b.Wide();
  return b.Narrow(Remainder(w, b.Widen(x), b.Widen(y)));
}

}  // namespace megalith::kernels::vector_math

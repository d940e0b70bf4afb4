// The error functions and gamma functions of vector_math.h for float64; include that header
// instead.
#pragma once

#include "common/machines/kernels/vector_math_trig.h"

namespace megalith::kernels::vector_math {

// erf of |x| <= 1: x + x P(x^2).
template <Double B>
typename B::F ErfNearZero(B& b, typename B::F x) {
  const auto p = Horner(b, x * x,
                        {0.128379167095512574, -0.376126389031837524, 0.112837916709551202,
                         -0.0268661706451298408, 0.00522397762542329831, -0.00085483270219348296,
                         0.000120553329028887354, -1.49256475675193321e-5, 1.64620454414684189e-6,
                         -1.63646421581676153e-7, 1.4792401209404813e-8, -1.21645600572834501e-9,
                         8.70904512905310669e-11, -4.23094582429533782e-12});
  return b.Fma(x, p, x);
}
// erfc of a >= 0.5: exp(-a^2) P(t) / (1 + 2a), t = (a - 3) / (a + 3), a^2 in twice the precision.
template <Double B>
typename B::F ErfcTail(B& b, typename B::F x) {
  const auto most = b.Float(28);
  const auto a = b.Select(x > most, most, x);
  const auto t = (a - b.Float(3)) / (a + b.Float(3));
  const auto p =
      Horner(b, t, {1.25300805826972965,      -0.135621106124581343,    -0.0475622943534505761,
                    0.129645158702783495,     -0.119273663415324318,    0.0683080273430707668,
                    -0.0237705149180364438,   0.00252939183267518599,   0.00188869034660493786,
                    -0.000779832439879313293, -0.000105159652247351902, 0.000125100373138233607,
                    4.94845353391924817e-6,   -2.0104454851557475e-5,   -7.2706031098829302e-7,
                    3.48168698345204623e-6,   3.44825369682477919e-7,   -6.29912910328254137e-7,
                    -1.21692406276396537e-7,  1.1177528463195771e-7,    2.29239300992189896e-8,
                    -1.54105529247466698e-8});
  const auto square = TwoProduct(b, a, a);
  const auto e = Exp(b, -square.hi);
  const auto scaled = p / (b.Float(1) + a + a);
  return e * b.Fma(scaled, -square.lo, scaled);
}
// 2 ulps; erfc 5.
template <Double B>
typename B::F Erf(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto far = b.Float(1) - ErfcTail(b, b.Select(a < b.Float(1), b.Float(1), a));
  return CopySign(b, b.Select(a < b.Float(1), ErfNearZero(b, a), far), x);
}
template <Double B>
typename B::F Erfc(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto half = b.Float(0.5);
  const auto tail = ErfcTail(b, b.Select(a < half, half, a));
  const auto far = b.Select(x < b.Float(0), b.Float(2) - tail, tail);
  return b.Select(a < half, b.Float(1) - ErfNearZero(b, x), far);
}

// y P(w), w = -log(1 - y^2), in three ranges of w, and one step of Halley. 4 ulps.
template <Double B>
typename B::F ErfInv(B& b, typename B::F y) {
  const auto one = b.Float(1);
  const auto a = b.Abs(y);
  const auto inside = b.Select(a < one, a, b.Float(0.5));
  const auto w = -Log1p(b, -inside * inside);
  const auto far = -Log(b, (one - inside) * (one + inside));
  const auto central =
      Horner(b, w - b.Float(3.125),
             {1.65365456275043643, 0.24015818239056719, -0.00603367154408424216,
              -0.000740702182419368155, 0.000186735284397587945, -1.38831021146741874e-5,
              -1.366098269991623e-6, 4.23837315743510368e-7, -2.89037612438650175e-8,
              -4.21900210168651983e-9, 1.03132168654278524e-9, -3.78036327870101826e-11,
              -1.23967149804024523e-11, 1.36424986445907845e-12});
  const auto root = b.Sqrt(far);
  const auto outer =
      Horner(b, root - b.Float(3.25),
             {3.08388561049222068, 1.00525868666796091, 0.00537106315555613124,
              -0.00374457348517552113, 0.00248790372417090948, -0.00173027022615549297,
              0.000976206968427261071, -0.000258303296616626291, -3.17282156112534132e-5});
  const auto outermost =
      Horner(b, root - b.Float(5.1),
             {4.95093484903287191, 1.01026656575783662, -0.000198752378629387868,
              -0.000186545983955504928, 6.63713367881166389e-5, -1.70316692308472801e-5,
              4.42155040726193825e-6, -9.87705296436841707e-7});
  const auto p =
      b.Select(far < b.Float(6.25), central, b.Select(far < b.Float(16), outer, outermost));
  const auto x = p * inside;
  // Near 1 the complement keeps the digits; 1 - a is exact there.
  const auto near = Erf(b, x) - inside;
  const auto complement = (one - inside) - Erfc(b, x);
  const auto error = b.Select(inside < b.Float(0.5), near, complement);
  const auto newton = error * b.Float(0.886226925452758) * Exp(b, x * x);
  const auto r = x - newton / (one + x * newton);
  const auto limit = b.Select(a == one, Infinity(b), NaN(b));
  return CopySign(b, b.Select(a < one, r, limit), y);
}

// log gamma of x > 0. From 8 on Stirling's series; below, x is moved into [1.5, 2.5) by the
// recurrence and log gamma(2 + z) = z P(z). 6 ulps, of the
// larger of the result and 1.
template <Double B>
typename B::F LgammaPositive(B& b, typename B::F x) {
  const auto one = b.Float(1);
  const auto low = x < b.Float(0.5), below = x < b.Float(1.5);
  auto m = b.Select(low, x + b.Float(2), b.Select(below, x + one, x));
  auto factor = b.Select(low, x * (x + one), b.Select(below, x, one));
  for (int i = 0; i < 6; ++i) {
    const auto above = m >= b.Float(2.5);
    m = b.Select(above, m - one, m);
    factor = b.Select(above, factor * m, factor);
  }
  const auto large = x >= b.Float(8);
  const auto log = Log(b, b.Select(large, x, factor));
  const auto z = b.Select(low, x, b.Select(below, x - one, m - b.Float(2)));  // exact
  const auto near =
      z * Horner(b, z,
                 {0.422784335098467136, 0.32246703342411322, -0.0673523010531956387,
                  0.0205808084277833798, -0.0073855510289355447, 0.00289051033086590093,
                  -0.00119275390099830869, 0.000509669519652667278, -0.000223154977462927232,
                  9.94576169215713313e-5, -4.49237275642476526e-5, 2.05060197017476186e-5,
                  -9.45628851510171917e-6, 4.38285453838466677e-6, -1.97431068884210674e-6,
                  9.24285222516227674e-7, -5.8112777689212462e-7, 2.74753900519096639e-7});
  const auto small = b.Select(below, near - log, near + log);
  const auto inverse = one / x;
  const auto series =
      inverse * Horner(b, inverse * inverse,
                       {1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360,
                        1.0 / 156, -3617.0 / 122400, 43867.0 / 244188});
  const auto stirling =
      (x - b.Float(0.5)) * (log - one) + (b.Float(0.9189385332046728 - 0.5) + series);
  // Beyond this x log(x) - x is all there is, and overflows only where it should.
  const auto huge = x * (log - one);
  return b.Select(large, b.Select(x > b.Float(1e17), huge, stirling), small);
}

// sin(pi x) for x >= 0, from the distance to the nearest integer.
template <Double B>
typename B::F SineOfPi(B& b, typename B::F x) {
  const auto whole = b.RoundEven(x);
  const auto f = (x - whole) * b.Float(3.141592653589793);
  return b.Abs(SineOf(b, ReduceFewTurns(b, b.Abs(f)), 0));
}

// By reflection for negative x; infinite at the poles. 6 ulps, of the larger of the result and 1
// (lgamma is zero at 1 and 2, and between the poles).
template <Double B>
typename B::F Lgamma(B& b, typename B::F x) {
  const auto a = b.Abs(x);
  const auto infinity = Infinity(b);
  const auto sane = b.Select((a > b.Float(0)) & (a < infinity), a, b.Float(1));
  const auto positive = LgammaPositive(b, sane);
  const auto sine = SineOfPi(b, sane);
  // Tiny arguments: the reflection's quotient overflows, -log |x| does not.
  const auto tiny = a < b.Float(1e-60);
  const auto reflected = b.Select(
      tiny, -Log(b, sane),
      Log(b, b.Float(3.141592653589793) / (sine * b.Select(tiny, b.Float(1), sane))) - positive);
  auto r = b.Select(x < b.Float(0), reflected, positive);
  r = b.Select((x < b.Float(0)) & (sine == b.Float(0)), infinity, r);
  r = b.Select((a == b.Float(0)) | (a == infinity), infinity, r);
  return b.Select(x == x, r, x);
}

// Up to 10 by the recurrence, then the asymptotic series; by reflection for negative x. NaN at the
// poles. 8 ulps, of the larger of the result and 16.
template <Double B>
typename B::F Digamma(B& b, typename B::F x) {
  const auto zero = b.Float(0), one = b.Float(1), infinity = Infinity(b);
  const auto left = x <= zero;
  const auto fraction = x - b.RoundEven(x);
  const auto angle = fraction * b.Float(3.141592653589793);
  const auto tangent = FlipSign(b, TangentOf(b, ReduceFewTurns(b, b.Abs(angle))), angle);
  const auto reflected = b.Select(left, b.Float(-3.141592653589793) / tangent, zero);
  auto m = b.Select(left, one - x, x);
  auto sum = zero;
  for (int i = 0; i < 10; ++i) {
    const auto small = m < b.Float(10);
    sum = b.Select(small, sum - one / m, sum);
    m = b.Select(small, m + one, m);
  }
  const auto inverse = one / m;
  const auto square = inverse * inverse;
  const auto series = square * Horner(b, square,
                                      {1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132,
                                       -691.0 / 32760, 1.0 / 12, -3617.0 / 8160});
  auto r = sum + Log(b, m) - b.Float(0.5) * inverse - series + reflected;
  r = b.Select(left & (fraction == zero), NaN(b), r);
  r = b.Select(x == infinity, infinity, r);
  return b.Select(x == -infinity, NaN(b), r);
}

}  // namespace megalith::kernels::vector_math

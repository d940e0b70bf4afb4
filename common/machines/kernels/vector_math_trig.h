// The trigonometric functions of vector_math.h for float64; include that header instead.
#pragma once

#include "common/machines/kernels/vector_math_f64.h"

namespace megalith::kernels::vector_math {

// x = n pi/2 + hi + lo; `quarter` is n in its lowest two bits.
template <Double B>
struct Reduced {
  typename B::F hi, lo;
  typename B::I quarter;
};

// The angle below which Cody and Waite's reduction holds: n has 19 bits.
constexpr double kFewTurns = 500000;

// pi/2 in three parts of 33 bits, whose products with n are exact, and a rest.
template <Double B>
Reduced<B> ReduceFewTurns(B& b, typename B::F x) {
  const auto n = ToNearest(b, x * b.Float(0.6366197723675814));
  const auto first = x - n.value * b.Float(1.5707963267341256);
  const auto second = TwoSum(b, first, n.value * b.Float(-6.077100506303966e-11));
  const auto third = TwoSum(b, second.hi, n.value * b.Float(-2.0222662487111665e-21));
  const auto low = (second.lo + third.lo) - n.value * b.Float(8.4784276603689e-32);
  const auto r = QuickSum(b, third.hi, low);
  return {r.hi, r.lo, n.integer};
}

// 2/pi, 24 bits at a time, after three chunks of zeros.
inline constexpr double kTwoOverPi[] = {
    0,        0,        0,        10680707, 7228996,  1387004, 2578385, 16069853, 12639074,
    9804092,  4427841,  16666979, 11263675, 12935607, 2387514, 4345298, 14681673, 3074569,
    13734428, 16653803, 1880361,  10960616, 8533493,  3062596, 8710556, 7349940,  6258241,
    3772886,  3769171,  3798172,  8675211,  12450088, 3874808, 9961438, 366607,   15675153,
    9132554,  7151469,  3571407,  2607881,  12013382, 4155038, 6285869, 7677882,  13102053,
    15825725, 473591,   9065106,  15363067, 6271263,  9264392, 5636912, 4652155};

// Payne and Hanek's reduction for finite x from 2^18 on. x = s 2^(24 j) with an integer s; the
// chunks of 2/pi that contribute multiples of 8 turns are left out, and nine follow.
template <Double B>
Reduced<B> ReduceManyTurns(B& b, typename B::F x) {
  const auto e = b.Shr(b.Bits(x), 52) - b.Int(1023);
  const auto j =
      ToNearest(b, b.Floor((FromSmallInt(b, e) + b.Float(0.5 - 52)) * b.Float(1.0 / 24)));
  const auto shift = (j.integer << 4) + (j.integer << 3);
  const auto s = x * PowerOfTwo(b, b.Int(0) - shift);
  const auto sh = b.FromBits(b.Bits(s) & b.Int(-(int64_t{1} << 27)));
  const auto sl = s - sh;
  const auto zero = b.Float(0);
  auto total = zero, error = zero, rest = zero;
  const auto add = [&](typename B::F part, typename B::F weight) {
    const auto p = part * weight;
    const auto turns = b.Floor(p * b.Float(0.125)) * b.Float(8);
    const auto t = TwoSum(b, total, p - turns);
    const auto u = TwoSum(b, error, t.lo);
    total = t.hi;
    error = u.hi;
    rest = rest + u.lo;
  };
  double scale = 1;
  for (int k = -1; k < 8; ++k, scale *= 1.0 / (1 << 24)) {
    const auto chunk = b.Lookup(kTwoOverPi, j.integer + b.Int(k + 3)) * b.Float(scale);
    add(sh, chunk);
    add(sl, chunk);
  }
  const auto n = ToNearest(b, total);
  const auto f = TwoSum(b, total - n.value, error);
  const auto low = f.lo + rest;
  const auto p = TwoProduct(b, f.hi, b.Float(1.5707963267948966));
  const auto r = QuickSum(
      b, p.hi, p.lo + (f.hi * b.Float(6.123233995736766e-17) + low * b.Float(1.5707963267948966)));
  return {r.hi, r.lo, n.integer};
}

// sin and cos of |hi| <= pi/4.
template <Double B>
typename B::F SineNearZero(B& b, typename B::F hi, typename B::F lo) {
  const auto z = hi * hi;
  const auto p = Horner(b, z,
                        {-0.166666666666666646, 0.00833333333333092456, -0.000198412698367224178,
                         2.75573160838163586e-6, -2.50511279440141876e-8, 1.5917848524808261e-10});
  return hi + b.Fma(hi * z, p, lo * b.Fma(z, b.Float(-0.5), b.Float(1)));
}
template <Double B>
typename B::F CosineNearZero(B& b, typename B::F hi, typename B::F lo) {
  const auto z = hi * hi;
  const auto p =
      Horner(b, z,
             {0.0416666666666666654, -0.00138888888888873823, 2.48015872987430693e-5,
              -2.75573172600088382e-7, 2.08761438279931325e-9, -1.13824567780613059e-11});
  const auto half = z * b.Float(0.5);
  const auto w = b.Float(1) - half;
  return w + (((b.Float(1) - w) - half) + (z * z * p - hi * lo));
}

// sin of the reduced angle plus `quarters` right angles.
template <Double B>
typename B::F SineOf(B& b, const Reduced<B>& r, int quarters) {
  const auto q = r.quarter + b.Int(quarters);
  const auto sine = SineNearZero(b, r.hi, r.lo);
  const auto cosine = CosineNearZero(b, r.hi, r.lo);
  const auto y = b.Select((q & b.Int(1)) == b.Int(0), sine, cosine);
  return b.FromBits(b.Bits(y) ^ ((q & b.Int(2)) << (B::kBits - 2)));
}
template <Double B>
typename B::F TangentOf(B& b, const Reduced<B>& r) {
  const auto sine = SineNearZero(b, r.hi, r.lo);
  const auto cosine = CosineNearZero(b, r.hi, r.lo);
  const auto even = (r.quarter & b.Int(1)) == b.Int(0);
  return b.Select(even, sine, -cosine) / b.Select(even, cosine, sine);
}

// f(reduced |x|), by the reduction that holds for each lane.
template <Double B, class Function>
typename B::F OfReduced(B& b, typename B::F a, Function f) {
  const auto large = a > b.Float(kFewTurns);
  return b.Rarely(large, f(ReduceFewTurns(b, b.Select(large, b.Float(0), a))), [&] {
    const auto infinite = a == Infinity(b);
    const auto c = b.Select(large & ~infinite, a, b.Float(1048576));
    return b.Select(infinite, NaN(b), f(ReduceManyTurns(b, c)));
  });
}

// 2 ulps each, 3 for tan.
template <Double B>
typename B::F Sine(B& b, typename B::F x) {
  return FlipSign(b, OfReduced(b, b.Abs(x), [&](const Reduced<B>& r) { return SineOf(b, r, 0); }),
                  x);
}
template <Double B>
typename B::F Cosine(B& b, typename B::F x) {
  return OfReduced(b, b.Abs(x), [&](const Reduced<B>& r) { return SineOf(b, r, 1); });
}
template <Double B>
typename B::F Tan(B& b, typename B::F x) {
  return FlipSign(b, OfReduced(b, b.Abs(x), [&](const Reduced<B>& r) { return TangentOf(b, r); }),
                  x);
}

// The angle of (x, y), neither negative: pi/2 - x/y, pi/4 + (y - x)/(y + x) or y/x, whichever has
// the smaller quotient. 2 ulps.
template <Double B>
typename B::F FirstQuadrant(B& b, typename B::F y0, typename B::F x0) {
  const auto infinity = Infinity(b);
  const auto both = (y0 == infinity) & (x0 == infinity);
  const auto huge = (y0 > b.Float(1e300)) | (x0 > b.Float(1e300));
  const auto scale = b.Select(huge, b.Float(0.25), b.Float(1));
  const auto y = b.Select(both, b.Float(1), y0 * scale);
  const auto x = b.Select(both, b.Float(1), x0 * scale);
  const auto steep = y > x * b.Float(2.414213562373095);
  const auto middle = y > x * b.Float(0.41421356237309503);
  const auto top = b.Select(steep, -x, b.Select(middle, y - x, y));
  const auto below = b.Select(steep, y, b.Select(middle, y + x, x));
  const auto q = top / b.Select(below == b.Float(0), b.Float(1), below);
  const auto z = q * q;
  const auto p = Horner(
      b, z,
      {-0.333333333333333333, 0.199999999999999915, -0.14285714285711513, 0.111111111107540818,
       -0.0909090906697131454, 0.0769230673464230326, -0.0666664198992891805, 0.058819248144534423,
       -0.0525803730281643677, 0.0471936788172864715, -0.041043265590528304, 0.0306331622419498103,
       -0.0139156571487931185});
  const auto zero = b.Float(0);
  const auto hi = b.Select(steep, b.Float(1.5707963267948966),
                           b.Select(middle, b.Float(0.7853981633974483), zero));
  const auto lo = b.Select(steep, b.Float(6.123233995736766e-17),
                           b.Select(middle, b.Float(3.061616997868383e-17), zero));
  return hi + (q + b.Fma(q * z, p, lo));
}

template <Double B>
typename B::F Atan2(B& b, typename B::F y, typename B::F x) {
  const auto r = FirstQuadrant(b, b.Abs(y), b.Abs(x));
  const auto left = b.Bits(x) < b.Int(0);
  const auto turned = b.Float(3.141592653589793) - (r - b.Float(1.2246467991473532e-16));
  const auto angle = CopySign(b, b.Select(left, turned, r), y);
  return b.Select((x != x) | (y != y), x + y, angle);
}
template <Double B>
typename B::F Atan(B& b, typename B::F x) {
  return CopySign(b, FirstQuadrant(b, b.Abs(x), b.Float(1)), x);
}
// atan2(x, sqrt((1 - x) (1 + x))). 3 ulps.
template <Double B>
typename B::F Asin(B& b, typename B::F x) {
  const auto one = b.Float(1);
  return CopySign(b, FirstQuadrant(b, b.Abs(x), b.Sqrt((one - x) * (one + x))), x);
}
// 2 atan2(sqrt(1 - x), sqrt(1 + x)). 3 ulps.
template <Double B>
typename B::F Acos(B& b, typename B::F x) {
  const auto one = b.Float(1);
  const auto half = FirstQuadrant(b, b.Sqrt(one - x), b.Sqrt(one + x));
  return half + half;
}

// The exponent of x > 0 plus 1023, denormals normalized.
template <Double B>
typename B::I BiasedExponent(B& b, typename B::F x) {
  const auto tiny = x < b.Float(2.2250738585072014e-308);
  const auto scaled = b.Select(tiny, x * b.Float(18014398509481984.0), x);
  return b.Shr(b.Bits(scaled), 52) - b.Select(tiny, b.Int(54), b.Int(0));
}

// x - y trunc(x / y), exact: each turn takes off the quotient's upper bits, so that the product and
// the difference are exact.
template <Double B>
typename B::F Remainder(B& b, typename B::F x, typename B::F y) {
  const auto ax = b.Abs(x), ay = b.Abs(y);
  const auto zero = b.Float(0), infinity = Infinity(b);
  const auto sound = (ax < infinity) & (ay > zero);
  const auto divisor = b.Select(sound & (ay < infinity), ay, b.Float(1));
  const auto start = b.Select(sound & (ay < infinity), ax, zero);
  const auto r = b.Repeat(
      start, [&](typename B::F rest) { return rest >= divisor; },
      [&](typename B::F rest) {
        // divisor * 2^k at most rest, with k no larger than keeps the quotient below 2^26.
        const auto gap = BiasedExponent(b, rest) - BiasedExponent(b, divisor);
        const auto k = b.Select(gap > b.Int(24), gap - b.Int(24), b.Int(0));
        const auto some = b.Select(k > b.Int(1000), b.Int(1000), k);
        const auto step = Scale(b, Scale(b, divisor, some), k - some);
        const auto q = b.Floor(rest / step);
        // The quotient may be one too large where rest / step rounded up.
        const auto high = b.FromBits(b.Bits(step) & b.Int(-(int64_t{1} << 27)));
        const auto left = (rest - q * high) - q * (step - high);
        return b.Select(left < zero, left + step, left);
      });
  const auto y1 = b.Select(ay == infinity, ax, r);
  const auto bad = ~(ax < infinity) | (ay == zero) | (y != y);
  return b.Select(bad, NaN(b), CopySign(b, y1, x));
}

}  // namespace megalith::kernels::vector_math

// The machine the formulas of vector_math.h are written for, and what they share.
//
// A machine `B` describes lanes of one float type and is passed by reference as the first argument
// of every function. Its value types are copied freely. What it has to provide:
//
//   B::kBits                    32 or 64: the width of the float type
//   B::F, B::I, B::M            lanes of floats, of signed integers of that width, of truths
//   F b.Float(double)           the constant, rounded to the float type
//   I b.Int(int64_t)            the constant, cut to the width
//   F: + - * / unary -          IEEE, never contracted or reassociated; denormals are kept
//   F: < <= > >= == !=          -> M; false with NaN, but != true
//   I: + - & | ^ ~              wrap
//   I: << int, >> int           shift by a constant below the width; >> is arithmetic
//   I: < > ==                   -> M, signed
//   M: & | ~
//   I b.Shr(I, int)             logical shift
//   I b.Bits(F), F b.FromBits(I)
//   F b.Select(M, F, F), I b.Select(M, I, I)
//   F b.Fma(x, y, z)            x*y + z, fused if b.HasFma(), else rounded twice
//   bool b.HasFma()             a property of the machine, not of values
//   F b.Sqrt(F)                 correctly rounded
//   F b.Floor(F), b.Ceil(F), b.Trunc(F), b.RoundEven(F)
//                               exact for every float, -0 and NaN kept (SoftFloor and the like,
//                               below, for machines without such an instruction)
//   F b.Abs(F)                  clears the sign
//   F b.Lookup(table, I)        element of a `const double (&)[n]` (64-bit machines only);
//                               the index is in range
//   F b.Rarely(M m, F usual, slow)
//                               Select(m, slow(), usual), where slow() (a callable giving F) is
//                               long and worth jumping over if no lane of m is true
//   F b.Repeat(F state, while, body)
//                               while any lane has while(state) (-> M), puts body(state) (-> F) in
//                               place of the state in those lanes
//   W b.Wide()                  on 32-bit machines: a 64-bit machine (`typename B::W`) with as many
//   W::F b.Widen(F)             lanes, and the conversions to and from it (F b.Narrow(W::F) rounds
//                               to nearest even)
//
#pragma once

#include <cstdint>

#include "common/machines/kernels/scalar_ops.h"

namespace megalith::kernels::vector_math {

template <class B>
concept Single = B::kBits == 32;
template <class B>
concept Double = B::kBits == 64;

// c[0] + x*(c[1] + x*(c[2] + ...)).
template <class B, int n>
typename B::F Horner(B& b, typename B::F x, const double (&c)[n]) {
  typename B::F p = b.Float(c[n - 1]);
  for (int i = n - 2; i >= 0; --i) p = b.Fma(p, x, b.Float(c[i]));
  return p;
}

template <class B>
constexpr int kMantissa = B::kBits == 32 ? 23 : 52;
template <class B>
constexpr int64_t kSignBit = B::kBits == 32 ? int64_t{0x80000000} : INT64_MIN;
template <class B>
constexpr int64_t kInfinityBits = B::kBits == 32 ? int64_t{0x7F800000} : 0x7FF0000000000000;
template <class B>
constexpr int64_t kBias = B::kBits == 32 ? 127 : 1023;
// 1.5 * 2^mantissa: adding it leaves an integer in the low bits.
template <class B>
constexpr double kMagic = B::kBits == 32 ? 12582912.0 : 6755399441055744.0;

template <class B>
typename B::F Infinity(B& b) {
  return b.FromBits(b.Int(kInfinityBits<B>));
}
template <class B>
typename B::F NaN(B& b) {
  return b.FromBits(b.Int(kInfinityBits<B> | int64_t{1} << (kMantissa<B> - 1)));
}

// |x| with the sign of s.
template <class B>
typename B::F CopySign(B& b, typename B::F x, typename B::F s) {
  const auto sign = b.Int(kSignBit<B>);
  return b.FromBits((b.Bits(x) & ~sign) | (b.Bits(s) & sign));
}
template <class B>
typename B::F FlipSign(B& b, typename B::F x, typename B::F s) {
  return b.FromBits(b.Bits(x) ^ (b.Bits(s) & b.Int(kSignBit<B>)));
}

// The nearest integer of |x| < 2^(mantissa - 2), as a float and as an integer.
template <class B>
struct Nearest {
  typename B::F value;
  typename B::I integer;
};
template <class B>
Nearest<B> ToNearest(B& b, typename B::F x) {
  const auto magic = b.Float(kMagic<B>);
  const auto shifted = x + magic;
  return {shifted - magic, b.Bits(shifted) - b.Bits(magic)};
}
// An integer of at most that size as a float.
template <class B>
typename B::F FromSmallInt(B& b, typename B::I i) {
  const auto magic = b.Float(kMagic<B>);
  return b.FromBits(b.Bits(magic) + i) - magic;
}

// 2^n for n in the range of normal exponents.
template <class B>
typename B::F PowerOfTwo(B& b, typename B::I n) {
  return b.FromBits((n + b.Int(kBias<B>)) << kMantissa<B>);
}
// x * 2^n, rounded once, for |n| up to twice the largest exponent.
template <class B>
typename B::F Scale(B& b, typename B::F x, typename B::I n) {
  const auto half = n >> 1;
  return x * PowerOfTwo(b, half) * PowerOfTwo(b, n - half);
}

// Rounding for machines without an instruction for it.
template <class B>
typename B::F SoftRoundEven(B& b, typename B::F x) {
  const auto shift = b.Float(B::kBits == 32 ? 8388608.0 : 4503599627370496.0);
  const auto magnitude = b.Abs(x);
  const auto rounded = (magnitude + shift) - shift;
  return b.Select(magnitude < shift, CopySign(b, rounded, x), x);
}
template <class B>
typename B::F SoftTrunc(B& b, typename B::F x) {
  const auto rounded = b.Abs(SoftRoundEven(b, x));
  const auto down = b.Select(rounded > b.Abs(x), rounded - b.Float(1), rounded);
  return b.Select(x == x, CopySign(b, down, x), x);
}
template <class B>
typename B::F SoftFloor(B& b, typename B::F x) {
  const auto rounded = SoftRoundEven(b, x);
  return b.Select(rounded > x, rounded - b.Float(1), rounded);
}
template <class B>
typename B::F SoftCeil(B& b, typename B::F x) {
  const auto rounded = SoftRoundEven(b, x);
  return b.Select(rounded < x, CopySign(b, rounded + b.Float(1), x), rounded);
}

// --- exact operations that are more than an instruction ---

template <class B>
typename B::F Sign(B& b, typename B::F x) {
  const auto zero = b.Float(0);
  return b.Select((x < zero) | (x > zero), CopySign(b, b.Float(1), x), x);
}

// Halves away from zero.
template <class B>
typename B::F RoundAway(B& b, typename B::F x) {
  const auto whole = b.Trunc(x);
  const auto next = whole + CopySign(b, b.Float(1), x);
  return b.Select(b.Abs(x - whole) >= b.Float(0.5), next, whole);
}

// NaN wins, the first of two; of two zeros the positive one is the larger.
template <class B>
typename B::F Maximum(B& b, typename B::F x, typename B::F y) {
  const auto larger = b.Select((x > y) | (x != x), x, y);
  return b.Select(x == y, b.FromBits(b.Bits(x) & b.Bits(y)), larger);
}
template <class B>
typename B::F Minimum(B& b, typename B::F x, typename B::F y) {
  const auto smaller = b.Select((x < y) | (x != x), x, y);
  return b.Select(x == y, b.FromBits(b.Bits(x) | b.Bits(y)), smaller);
}

template <class B>
typename B::F NextAfter(B& b, typename B::F x, typename B::F y) {
  const auto zero = b.Float(0);
  const auto away = ((x < y) & (x > zero)) | ((x > y) & (x < zero));
  const auto bits = b.Bits(x);
  auto r = b.FromBits(b.Select(away, bits + b.Int(1), bits - b.Int(1)));
  r = b.Select(x == zero, CopySign(b, b.FromBits(b.Int(1)), y), r);
  r = b.Select(x == y, y, r);
  return b.Select((x != x) | (y != y), x + y, r);
}

// `imm` is that of kReducePrecision. Rounds the mantissa to nearest even, then what no longer fits
// the exponent becomes an infinity or a zero.
template <class B>
typename B::F ReducePrecision(B& b, typename B::F x, uint64_t imm) {
  constexpr int kExponent = B::kBits == 32 ? 8 : 11;
  const int exponent_bits = static_cast<int>(imm >> 8), mantissa_bits = static_cast<int>(imm & 255);
  const auto sign = b.Bits(x) & b.Int(kSignBit<B>);
  const auto whole = b.Bits(b.Abs(x));
  auto magnitude = whole;
  const auto infinity = b.Int(kInfinityBits<B>);
  if (mantissa_bits < kMantissa<B>) {
    const int drop = kMantissa<B> - mantissa_bits;
    const int64_t unit = int64_t{1} << drop;
    const auto odd = b.Shr(magnitude, drop) & b.Int(1);
    magnitude = (magnitude + b.Int(unit / 2 - 1) + odd) & b.Int(-unit);
  }
  if (exponent_bits < kExponent) {
    const int64_t bias = (int64_t{1} << (exponent_bits - 1)) - 1;
    const auto exponent = b.Shr(magnitude, kMantissa<B>);
    magnitude = b.Select(exponent > b.Int(kBias<B> + bias), infinity, magnitude);
    magnitude = b.Select(exponent < b.Int(kBias<B> - bias + 1), b.Int(0), magnitude);
  }
  return b.Select(x == x, b.FromBits(sign | magnitude), x);
}

}  // namespace megalith::kernels::vector_math

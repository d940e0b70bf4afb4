// What the tile routines are written in: blocks of lanes as large as a register, and the machine
// (vector_math.h) made of them. Included only by files that are compiled once per instruction set;
// MEGALITH_TILES names the namespace of that set. Everything is local to the file, so that no code
// of one set is ever linked into another.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <type_traits>

#include "common/machines/kernels/tiles.h"
#include "common/machines/kernels/vector_math.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

#if defined(__AVX512F__)
constexpr int kRegisterBytes = 64;
#elif defined(__AVX2__)
constexpr int kRegisterBytes = 32;
#else
constexpr int kRegisterBytes = 16;
#endif

template <class T, int L>
struct VecOf {
  typedef T type __attribute__((vector_size(sizeof(T) * L)));
};
template <class T, int L>
using Vec = typename VecOf<T, L>::type;

template <int bytes>
struct WordOf;
template <>
struct WordOf<1> {
  using Signed = int8_t;
  using Unsigned = uint8_t;
};
template <>
struct WordOf<2> {
  using Signed = int16_t;
  using Unsigned = uint16_t;
};
template <>
struct WordOf<4> {
  using Signed = int32_t;
  using Unsigned = uint32_t;
};
template <>
struct WordOf<8> {
  using Signed = int64_t;
  using Unsigned = uint64_t;
};
template <class T>
using SignedOf = typename WordOf<sizeof(T)>::Signed;
template <class T>
using UnsignedOf = typename WordOf<sizeof(T)>::Unsigned;

template <class V>
V Load(const void* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof(v));
  return v;
}
template <class V>
void Store(V v, void* p) {
  __builtin_memcpy(p, &v, sizeof(v));
}

// The first `count` lanes; the others are zero.
template <class T, int L>
Vec<T, L> LoadPart(const void* p, int64_t count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) * L == 64 && sizeof(T) == 4) {
    return (Vec<T, L>)_mm512_maskz_loadu_epi32(static_cast<__mmask16>((1u << count) - 1), p);
  } else if constexpr (sizeof(T) * L == 64 && sizeof(T) == 8) {
    return (Vec<T, L>)_mm512_maskz_loadu_epi64(static_cast<__mmask8>((1u << count) - 1), p);
  }
#endif
  T lanes[L] = {};
  for (int64_t i = 0; i < count; ++i) {
    __builtin_memcpy(&lanes[i], static_cast<const char*>(p) + i * sizeof(T), sizeof(T));
  }
  return Load<Vec<T, L>>(lanes);
}
template <class T, int L>
void StorePart(Vec<T, L> v, void* p, int64_t count) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) * L == 64 && sizeof(T) == 4) {
    _mm512_mask_storeu_epi32(p, static_cast<__mmask16>((1u << count) - 1), (__m512i)v);
    return;
  } else if constexpr (sizeof(T) * L == 64 && sizeof(T) == 8) {
    _mm512_mask_storeu_epi64(p, static_cast<__mmask8>((1u << count) - 1), (__m512i)v);
    return;
  }
#endif
  T lanes[L];
  Store(v, lanes);
  for (int64_t i = 0; i < count; ++i) {
    __builtin_memcpy(static_cast<char*>(p) + i * sizeof(T), &lanes[i], sizeof(T));
  }
}

template <class A, class... More>
constexpr int MaxBytes() {
  int most = sizeof(A);
  ((most = static_cast<int>(sizeof(More)) > most ? static_cast<int>(sizeof(More)) : most), ...);
  return most;
}

// Bytes a lane of the operation takes in its widest intermediate, if it says so.
template <class Op>
constexpr int LaneBytes() {
  if constexpr (requires { Op::kLaneBytes; }) return Op::kLaneBytes;
  return 1;
}

// Runs Op over n elements, a register of the widest type at a time.
template <class Op, class R, class... A>
void Tile(const void* const* in, uint32_t splats, void* out, int64_t n, uint64_t imm) {
  constexpr int kMost = MaxBytes<R, A...>();
  constexpr int L = kRegisterBytes / (kMost > LaneBytes<Op>() ? kMost : LaneBytes<Op>());
  const char* from[sizeof...(A) + 1] = {};
  int64_t step[sizeof...(A) + 1] = {};
  constexpr int64_t kBytes[] = {sizeof(A)..., 0};
  for (unsigned k = 0; k < sizeof...(A); ++k) {
    from[k] = static_cast<const char*>(in[k]);
    step[k] = (splats >> k & 1) != 0 ? 0 : kBytes[k];
  }
  char* to = static_cast<char*>(out);
  const auto full = [&]<unsigned... k>(int64_t i, std::integer_sequence<unsigned, k...>) {
    Store(Op::template Apply<L>(Load<Vec<A, L>>(from[k] + i * step[k])..., imm),
          to + i * static_cast<int64_t>(sizeof(R)));
  };
  const auto part = [&]<unsigned... k>(int64_t i, std::integer_sequence<unsigned, k...>) {
    StorePart<R, L>(Op::template Apply<L>(LoadPart<A, L>(from[k] + i * step[k], n - i)..., imm),
                    to + i * static_cast<int64_t>(sizeof(R)), n - i);
  };
  constexpr auto kOperands = std::make_integer_sequence<unsigned, sizeof...(A)>();
  int64_t i = 0;
  for (; i + L <= n; i += L) full(i, kOperands);
  if (i < n) part(i, kOperands);
}

// The machine of vector_math.h on L lanes of T.
template <class T, int L>
struct Machine {
  static constexpr int kBits = sizeof(T) * 8;
  static constexpr int kBytes = sizeof(T) * L;
  using Raw = Vec<T, L>;
  using Words = Vec<SignedOf<T>, L>;
  using Unsigned = Vec<UnsignedOf<T>, L>;
  using W = Machine<double, L>;

  struct M {
    Words v;
    M operator&(M o) const { return {v & o.v}; }
    M operator|(M o) const { return {v | o.v}; }
    M operator~() const { return {~v}; }
  };
  struct I {
    Words v;
    I operator+(I o) const { return {(Words)((Unsigned)v + (Unsigned)o.v)}; }
    I operator-(I o) const { return {(Words)((Unsigned)v - (Unsigned)o.v)}; }
    I operator&(I o) const { return {v & o.v}; }
    I operator|(I o) const { return {v | o.v}; }
    I operator^(I o) const { return {v ^ o.v}; }
    I operator~() const { return {~v}; }
    I operator<<(int n) const { return {(Words)((Unsigned)v << n)}; }
    I operator>>(int n) const { return {v >> n}; }
    M operator<(I o) const { return {v < o.v}; }
    M operator>(I o) const { return {v > o.v}; }
    M operator==(I o) const { return {v == o.v}; }
  };
  struct F {
    Raw v;
    F operator+(F o) const { return {v + o.v}; }
    F operator-(F o) const { return {v - o.v}; }
    F operator*(F o) const { return {v * o.v}; }
    F operator/(F o) const { return {v / o.v}; }
    F operator-() const { return {-v}; }
    M operator<(F o) const { return {v < o.v}; }
    M operator<=(F o) const { return {v <= o.v}; }
    M operator>(F o) const { return {v > o.v}; }
    M operator>=(F o) const { return {v >= o.v}; }
    M operator==(F o) const { return {v == o.v}; }
    M operator!=(F o) const { return {v != o.v}; }
  };

  F Float(double value) const {
    return {(Raw)(Words{} + __builtin_bit_cast(SignedOf<T>, static_cast<T>(value)))};
  }
  I Int(int64_t value) const { return {Words{} + static_cast<SignedOf<T>>(value)}; }
  I Bits(F x) const { return {(Words)x.v}; }
  F FromBits(I x) const { return {(Raw)x.v}; }
  I Shr(I x, int n) const { return {(Words)((Unsigned)x.v >> n)}; }
  F Select(M m, F x, F y) const { return {m.v ? x.v : y.v}; }
  I Select(M m, I x, I y) const { return {m.v ? x.v : y.v}; }
  F Abs(F x) const {
    return {(Raw)((Unsigned)x.v & static_cast<UnsignedOf<T>>(static_cast<UnsignedOf<T>>(-1) >> 1))};
  }

  static constexpr bool HasFma() {
#if defined(__FMA__) || defined(__AVX512F__)
    return true;
#else
    return false;
#endif
  }
  F Fma(F x, F y, F z) const {
    if constexpr (!HasFma()) return {x.v * y.v + z.v};
#if defined(__AVX512F__)
    if constexpr (kBytes == 64 && kBits == 32) return {(Raw)_mm512_fmadd_ps(x.v, y.v, z.v)};
    if constexpr (kBytes == 64 && kBits == 64) return {(Raw)_mm512_fmadd_pd(x.v, y.v, z.v)};
#endif
#if defined(__FMA__)
    if constexpr (kBytes == 32 && kBits == 32) return {(Raw)_mm256_fmadd_ps(x.v, y.v, z.v)};
    if constexpr (kBytes == 32 && kBits == 64) return {(Raw)_mm256_fmadd_pd(x.v, y.v, z.v)};
#endif
    return Lanes([&](int i) {
      return static_cast<T>(kBits == 32 ? __builtin_fmaf(x.v[i], y.v[i], z.v[i])
                                        : __builtin_fma(x.v[i], y.v[i], z.v[i]));
    });
  }
  F Sqrt(F x) const {
#if defined(__AVX512F__)
    if constexpr (kBytes == 64 && kBits == 32) return {(Raw)_mm512_sqrt_ps(x.v)};
    if constexpr (kBytes == 64 && kBits == 64) return {(Raw)_mm512_sqrt_pd(x.v)};
#endif
#if defined(__AVX2__)
    if constexpr (kBytes == 32 && kBits == 32) return {(Raw)_mm256_sqrt_ps(x.v)};
    if constexpr (kBytes == 32 && kBits == 64) return {(Raw)_mm256_sqrt_pd(x.v)};
#endif
    if constexpr (kBytes == 16 && kBits == 32) return {(Raw)_mm_sqrt_ps(x.v)};
    if constexpr (kBytes == 16 && kBits == 64) return {(Raw)_mm_sqrt_pd(x.v)};
    return Lanes([&](int i) {
      return static_cast<T>(kBits == 32 ? __builtin_sqrtf(x.v[i]) : __builtin_sqrt(x.v[i]));
    });
  }
  F Floor(F x) const { return Round<_MM_FROUND_TO_NEG_INF>(x); }
  F Ceil(F x) const { return Round<_MM_FROUND_TO_POS_INF>(x); }
  F Trunc(F x) const { return Round<_MM_FROUND_TO_ZERO>(x); }
  F RoundEven(F x) const { return Round<_MM_FROUND_TO_NEAREST_INT>(x); }

  template <int n>
  F Lookup(const double (&table)[n], I index) const {
    return Lanes([&](int i) { return table[index.v[i]]; });
  }
  bool Any(M m) const {
    SignedOf<T> any = 0;
    for (int i = 0; i < L; ++i) any |= m.v[i];
    return any != 0;
  }
  template <class Slow>
  F Rarely(M m, F usual, Slow slow) const {
    return __builtin_expect(Any(m), 0) ? Select(m, slow(), usual) : usual;
  }
  template <class While, class Body>
  F Repeat(F state, While condition, Body body) const {
    for (M m = condition(state); Any(m); m = condition(state)) {
      state = Select(m, body(state), state);
    }
    return state;
  }

  W Wide() const { return {}; }
  typename W::F Widen(F x) const { return {__builtin_convertvector(x.v, typename W::Raw)}; }
  F Narrow(typename W::F x) const { return {__builtin_convertvector(x.v, Raw)}; }

 private:
  template <class G>
  static F Lanes(G g) {
    T lanes[L];
    for (int i = 0; i < L; ++i) lanes[i] = g(i);
    return {Load<Raw>(lanes)};
  }
  template <int mode>
  F Round(F x) const {
    [[maybe_unused]] constexpr int kMode = mode | _MM_FROUND_NO_EXC;
#if defined(__AVX512F__)
    if constexpr (kBytes == 64 && kBits == 32) return {(Raw)_mm512_roundscale_ps(x.v, kMode)};
    if constexpr (kBytes == 64 && kBits == 64) return {(Raw)_mm512_roundscale_pd(x.v, kMode)};
#endif
#if defined(__AVX2__)
    if constexpr (kBytes == 32 && kBits == 32) return {(Raw)_mm256_round_ps(x.v, kMode)};
    if constexpr (kBytes == 32 && kBits == 64) return {(Raw)_mm256_round_pd(x.v, kMode)};
#endif
    if constexpr (mode == _MM_FROUND_TO_NEG_INF) return vector_math::SoftFloor(*this, x);
    if constexpr (mode == _MM_FROUND_TO_POS_INF) return vector_math::SoftCeil(*this, x);
    if constexpr (mode == _MM_FROUND_TO_ZERO) return vector_math::SoftTrunc(*this, x);
    return vector_math::SoftRoundEven(*this, x);
  }
};

}  // namespace
}  // namespace megalith::kernels::MEGALITH_TILES

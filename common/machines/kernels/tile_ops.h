// Operations that are an instruction or a few, on blocks of lanes: what the routines of
// tiles_basic.cc and tiles_reduce.cc are made of. As tile_blocks.h, only for files that are
// compiled once per instruction set.
#pragma once

#include "common/machines/kernels/tile_blocks.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

template <class V>
using Element = std::remove_cvref_t<decltype(V{}[0])>;

// Integers wrap: they are computed on unsigned lanes.
struct AddOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a + b;
  }
};
struct SubtractOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a - b;
  }
};
struct MultiplyOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a * b;
  }
};
struct DivideOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a / b;
  }
};
struct AndOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a & b;
  }
};
struct OrOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a | b;
  }
};
struct XorOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a ^ b;
  }
};
struct NegateOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return -a;
  }
};
struct NotOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return ~a;
  }
};
struct NotBoolOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return a ^ 1;
  }
};
struct CopyOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return a;
  }
};

struct MaximumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a > b ? a : b;
  }
};
struct MinimumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    return a < b ? a : b;
  }
};

// Lanes of 0 and 1 from lanes of zeros and ones.
template <int L, class Mask>
Vec<uint8_t, L> Truth(Mask mask) {
  return (Vec<uint8_t, L>)__builtin_convertvector(mask, Vec<int8_t, L>) & 1;
}
struct EqualOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a == b);
  }
};
struct NotEqualOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a != b);
  }
};
struct LessOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a < b);
  }
};
struct LessEqualOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a <= b);
  }
};
struct GreaterOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a > b);
  }
};
struct GreaterEqualOp {
  template <int L, class V>
  static auto Apply(V a, V b, uint64_t) {
    return Truth<L>(a >= b);
  }
};
struct IsFiniteOp {
  template <int L, class V>
  static auto Apply(V a, uint64_t) {
    return Truth<L>((a - a) == (a - a));
  }
};
struct SelectOp {
  template <int L, class P, class V>
  static V Apply(P p, V a, V b, uint64_t) {
    using Words = Vec<SignedOf<Element<V>>, L>;
    return __builtin_convertvector(p, Words) != 0 ? a : b;
  }
};

struct AbsOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    using T = Element<V>;
    if constexpr (std::is_floating_point_v<T>) {
      return Machine<T, L>().Abs({a}).v;
    } else {
      using Unsigned = Vec<UnsignedOf<T>, L>;
      return a < 0 ? (V) - (Unsigned)a : a;
    }
  }
};
struct SignOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return (V)(a < 0) - (V)(a > 0);
  }
};
struct FloorOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return Machine<Element<V>, L>().Floor({a}).v;
  }
};
struct CeilOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return Machine<Element<V>, L>().Ceil({a}).v;
  }
};
struct RoundEvenOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return Machine<Element<V>, L>().RoundEven({a}).v;
  }
};
struct SqrtOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return Machine<Element<V>, L>().Sqrt({a}).v;
  }
};

// Shifting by the width or more moves every bit out.
template <class V>
constexpr int kWidth = sizeof(Element<V>) * 8;
struct ShiftLeftOp {
  template <int L, class V>
  static V Apply(V a, V s, uint64_t) {
    return s < kWidth<V> ? a << (s & (kWidth<V> - 1)) : V{};
  }
};
struct ShiftRightLogicalOp {
  template <int L, class V>
  static V Apply(V a, V s, uint64_t) {
    return s < kWidth<V> ? a >> (s & (kWidth<V> - 1)) : V{};
  }
};
struct ShiftRightArithmeticOp {
  template <int L, class V>
  static V Apply(V a, V s, uint64_t) {
    using Signed = Vec<SignedOf<Element<V>>, L>;
    const V last = V{} + (kWidth<V> - 1);
    return (V)((Signed)a >> (Signed)(s < kWidth<V> ? s : last));
  }
};

// By the amount modulo the width.
struct RotateLeftOp {
  template <int L, class V>
  static V Apply(V a, V s, uint64_t) {
    const V left = s & (kWidth<V> - 1);
    return a << left | a >> ((kWidth<V> - left) & (kWidth<V> - 1));
  }
};

// Lane by lane, for what has no instruction on vectors.
template <class F>
struct EachOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    for (int i = 0; i < L; ++i) a[i] = F::Lane(a[i]);
    return a;
  }
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    for (int i = 0; i < L; ++i) a[i] = F::Lane(a[i], b[i]);
    return a;
  }
};
struct PopcountLane {
  template <class T>
  static T Lane(T a) {
    return static_cast<T>(__builtin_popcountll(a));
  }
};
struct LeadingZerosLane {
  template <class T>
  static T Lane(T a) {
    return static_cast<T>(a == 0 ? sizeof(T) * 8 : __builtin_clzll(a) - (64 - sizeof(T) * 8));
  }
};
struct DivideLane {
  template <class T>
  static T Lane(T a, T b) {
    if (b == 0) return static_cast<T>(-1);
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return static_cast<T>(UnsignedOf<T>{0} - static_cast<UnsignedOf<T>>(a));
    }
    return static_cast<T>(a / b);
  }
};
struct RemainderLane {
  template <class T>
  static T Lane(T a, T b) {
    if (b == 0) return a;
    if constexpr (std::is_signed_v<T>) {
      if (b == -1) return 0;
    }
    return static_cast<T>(a % b);
  }
};
struct FmodLane {
  static float Lane(float a, float b) { return __builtin_fmodf(a, b); }
  static double Lane(double a, double b) { return __builtin_fmod(a, b); }
};
// By repeated squaring; a negative exponent leaves only powers of 1 and -1.
struct PowerLane {
  template <class T>
  static T Lane(T a, T b) {
    if constexpr (std::is_signed_v<T>) {
      if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 == 0 ? 1 : -1) : 0;
    }
    uint64_t base = static_cast<uint64_t>(a);
    uint64_t power = 1;
    for (auto e = static_cast<UnsignedOf<T>>(b); e != 0; e = static_cast<UnsignedOf<T>>(e >> 1)) {
      if ((e & 1) != 0) power *= base;
      base *= base;
    }
    return static_cast<T>(power);
  }
};

}  // namespace
}  // namespace megalith::kernels::MEGALITH_TILES

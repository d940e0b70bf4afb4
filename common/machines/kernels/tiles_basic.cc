// Tile routines of the operations that are an instruction or a few. Compiled once per instruction
// set.
#include "common/machines/kernels/tile_blocks.h"
#include "common/machines/kernels/tile_sets.h"

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

// --- tables: the routine for a type ---

template <class T>
struct Type {
  using type = T;
};
// Calls f with the element type, or with the unsigned integer of its width.
template <class F>
TileFn ForType(DType d, F f) {
  switch (d) {
    case DType::kI8:
      return f(Type<int8_t>());
    case DType::kI16:
      return f(Type<int16_t>());
    case DType::kI32:
      return f(Type<int32_t>());
    case DType::kI64:
      return f(Type<int64_t>());
    case DType::kBool:
    case DType::kU8:
      return f(Type<uint8_t>());
    case DType::kU16:
      return f(Type<uint16_t>());
    case DType::kU32:
      return f(Type<uint32_t>());
    case DType::kU64:
      return f(Type<uint64_t>());
    case DType::kF32:
      return f(Type<float>());
    case DType::kF64:
      return f(Type<double>());
    default:
      return nullptr;
  }
}
template <class F>
TileFn ForWord(DType d, F f) {
  switch (d) {
    case DType::kBool:
    case DType::kI8:
    case DType::kU8:
      return f(Type<uint8_t>());
    case DType::kI16:
    case DType::kU16:
      return f(Type<uint16_t>());
    case DType::kI32:
    case DType::kU32:
    case DType::kF32:
      return f(Type<uint32_t>());
    case DType::kI64:
    case DType::kU64:
    case DType::kF64:
      return f(Type<uint64_t>());
    default:
      return nullptr;
  }
}
bool IsReal(DType d) { return d == DType::kF32 || d == DType::kF64; }
bool IsSignedInt(DType d) { return d >= DType::kI2 && d <= DType::kI64; }

template <class Op>
TileFn Words2(DType d) {
  return ForWord(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, T, T, T>;
  });
}
template <class Op>
TileFn Words1(DType d) {
  return ForWord(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, T, T>;
  });
}
template <class Op>
TileFn Floats1(DType d) {
  if (d == DType::kF32) return Tile<Op, float, float>;
  return d == DType::kF64 ? Tile<Op, double, double> : nullptr;
}
template <class Op>
TileFn Floats2(DType d) {
  if (d == DType::kF32) return Tile<Op, float, float, float>;
  return d == DType::kF64 ? Tile<Op, double, double, double> : nullptr;
}
// Floats as they are, integers as words.
template <class Op>
TileFn Numbers2(DType d) {
  return IsReal(d) ? Floats2<Op>(d) : Words2<Op>(d);
}
template <class Op>
TileFn Numbers1(DType d) {
  return IsReal(d) ? Floats1<Op>(d) : Words1<Op>(d);
}
template <class Op>
TileFn Integers2(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    if constexpr (std::is_integral_v<T>) {
      return Tile<Op, T, T, T>;
    } else {
      return nullptr;
    }
  });
}
template <class Op>
TileFn Compare(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    return Tile<Op, uint8_t, T, T>;
  });
}
template <class F>
TileFn Each2(DType d) {
  return Integers2<EachOp<F>>(d);
}
template <class Op>
TileFn Signed1(DType d) {
  return ForType(d, [](auto t) -> TileFn {
    using T = typename decltype(t)::type;
    if constexpr (std::is_integral_v<T> && std::is_signed_v<T>) {
      return Tile<Op, T, T>;
    } else {
      return nullptr;
    }
  });
}
// 1 but for zero.
struct NotZeroOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return a != 0 ? V{} + 1 : V{};
  }
};

TileFn FindOnBool(ScalarOp op) {
  switch (op) {
    case ScalarOp::kAdd:
    case ScalarOp::kMaximum:
      return Tile<OrOp, uint8_t, uint8_t, uint8_t>;
    case ScalarOp::kMultiply:
    case ScalarOp::kMinimum:
      return Tile<AndOp, uint8_t, uint8_t, uint8_t>;
    case ScalarOp::kNot:
      return Tile<NotBoolOp, uint8_t, uint8_t>;
    default:
      return nullptr;
  }
}

TileFn FindUnary(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kNegate:
      return Numbers1<NegateOp>(d);
    case ScalarOp::kAbs:
      if (IsReal(d)) return Floats1<AbsOp>(d);
      return IsSignedInt(d) ? Signed1<AbsOp>(d) : Words1<CopyOp>(d);
    case ScalarOp::kSign:
      return IsSignedInt(d) ? Signed1<SignOp>(d) : Words1<NotZeroOp>(d);
    case ScalarOp::kFloor:
      return Floats1<FloorOp>(d);
    case ScalarOp::kCeil:
      return Floats1<CeilOp>(d);
    case ScalarOp::kRoundEven:
      return Floats1<RoundEvenOp>(d);
    case ScalarOp::kSqrt:
      return Floats1<SqrtOp>(d);
    case ScalarOp::kNot:
      return Words1<NotOp>(d);
    case ScalarOp::kPopcount:
      return Words1<EachOp<PopcountLane>>(d);
    case ScalarOp::kCountLeadingZeros:
      return Words1<EachOp<LeadingZerosLane>>(d);
    case ScalarOp::kBitcast:
      return Words1<CopyOp>(d);
    case ScalarOp::kIsFinite:
      if (d == DType::kF32) return Tile<IsFiniteOp, uint8_t, float>;
      return Tile<IsFiniteOp, uint8_t, double>;
    default:
      return nullptr;
  }
}

TileFn FindArithmetic(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kAdd:
      return Numbers2<AddOp>(d);
    case ScalarOp::kSubtract:
      return Numbers2<SubtractOp>(d);
    case ScalarOp::kMultiply:
      return Numbers2<MultiplyOp>(d);
    case ScalarOp::kDivide:
      return IsReal(d) ? Floats2<DivideOp>(d) : Each2<DivideLane>(d);
    case ScalarOp::kRemainder:
      return IsReal(d) ? Floats2<EachOp<FmodLane>>(d) : Each2<RemainderLane>(d);
    case ScalarOp::kPower:
      return IsReal(d) ? nullptr : Each2<PowerLane>(d);
    case ScalarOp::kMaximum:
      return Integers2<MaximumOp>(d);
    case ScalarOp::kMinimum:
      return Integers2<MinimumOp>(d);
    case ScalarOp::kAnd:
      return Words2<AndOp>(d);
    case ScalarOp::kOr:
      return Words2<OrOp>(d);
    case ScalarOp::kXor:
      return Words2<XorOp>(d);
    case ScalarOp::kShiftLeft:
      return Words2<ShiftLeftOp>(d);
    case ScalarOp::kShiftRightLogical:
      return Words2<ShiftRightLogicalOp>(d);
    case ScalarOp::kShiftRightArithmetic:
      return Words2<ShiftRightArithmeticOp>(d);
    default:
      return nullptr;
  }
}

TileFn FindCompare(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kEqual:
      return Compare<EqualOp>(d);
    case ScalarOp::kNotEqual:
      return Compare<NotEqualOp>(d);
    case ScalarOp::kLess:
      return Compare<LessOp>(d);
    case ScalarOp::kLessEqual:
      return Compare<LessEqualOp>(d);
    case ScalarOp::kGreater:
      return Compare<GreaterOp>(d);
    case ScalarOp::kGreaterEqual:
      return Compare<GreaterEqualOp>(d);
    default:
      return nullptr;
  }
}

// --- all elements into one ---

struct FloatMaximumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    Machine<Element<V>, L> machine;
    return vector_math::Maximum(machine, {a}, {b}).v;
  }
};
struct FloatMinimumOp {
  template <int L, class V>
  static V Apply(V a, V b, uint64_t) {
    Machine<Element<V>, L> machine;
    return vector_math::Minimum(machine, {a}, {b}).v;
  }
};

// Op on two numbers: on the first lane of the smallest register.
template <class Op, class T>
T Combine(T a, T b) {
  constexpr int L = 16 / static_cast<int>(sizeof(T));
  return Op::template Apply<L>(Vec<T, L>{a}, Vec<T, L>{b}, 0)[0];
}

// Four accumulators of a register each, then their lanes: out[0] = in[0][0] op in[0][1] op ...
template <class Op, class T>
void Reduce(const void* const* in, uint32_t, void* out, int64_t n, uint64_t) {
  constexpr int L = kRegisterBytes / static_cast<int>(sizeof(T));
  using V = Vec<T, L>;
  const char* from = static_cast<const char*>(in[0]);
  constexpr int64_t kBytes = sizeof(V);
  int64_t i = 0;
  T result;
  __builtin_memcpy(&result, from, sizeof(T));
  if (n >= 4 * L) {
    V acc[4];
    for (int k = 0; k < 4; ++k) acc[k] = Load<V>(from + k * kBytes);
    for (i = 4 * L; i + 4 * L <= n; i += 4 * L) {
      for (int k = 0; k < 4; ++k) {
        const V next = Load<V>(from + i * static_cast<int64_t>(sizeof(T)) + k * kBytes);
        acc[k] = Op::template Apply<L>(acc[k], next, 0);
      }
    }
    acc[0] = Op::template Apply<L>(acc[0], acc[1], 0);
    acc[2] = Op::template Apply<L>(acc[2], acc[3], 0);
    acc[0] = Op::template Apply<L>(acc[0], acc[2], 0);
    for (; i + L <= n; i += L) {
      const V next = Load<V>(from + i * static_cast<int64_t>(sizeof(T)));
      acc[0] = Op::template Apply<L>(acc[0], next, 0);
    }
    T lanes[L];
    Store(acc[0], lanes);
    for (int width = L / 2; width > 0; width /= 2) {
      for (int k = 0; k < width; ++k) lanes[k] = Combine<Op>(lanes[k], lanes[k + width]);
    }
    result = lanes[0];
  } else {
    i = 1;
  }
  for (; i < n; ++i) {
    T next;
    __builtin_memcpy(&next, from + i * static_cast<int64_t>(sizeof(T)), sizeof(T));
    result = Combine<Op>(result, next);
  }
  __builtin_memcpy(out, &result, sizeof(T));
}

template <class Op>
TileFn ReduceOf(DType d) {
  switch (d) {
    case DType::kF32:
      return Reduce<Op, float>;
    case DType::kF64:
      return Reduce<Op, double>;
    default:
      return nullptr;
  }
}

}  // namespace

TileFn FindReduce(ScalarOp op, DType d) {
  switch (op) {
    case ScalarOp::kAdd:
      return ReduceOf<AddOp>(d);
    case ScalarOp::kMultiply:
      return ReduceOf<MultiplyOp>(d);
    case ScalarOp::kMaximum:
      return ReduceOf<FloatMaximumOp>(d);
    case ScalarOp::kMinimum:
      return ReduceOf<FloatMinimumOp>(d);
    default:
      return nullptr;
  }
}

TileFn FindBasic(ScalarOp op, DType operand, DType) {
  if (operand == DType::kBool) {
    if (const TileFn fn = FindOnBool(op)) return fn;
  }
  if (op == ScalarOp::kSelect) {
    return ForWord(operand, [](auto t) -> TileFn {
      using T = typename decltype(t)::type;
      return Tile<SelectOp, T, uint8_t, T, T>;
    });
  }
  if (const TileFn fn = FindUnary(op, operand)) return fn;
  if (const TileFn fn = FindArithmetic(op, operand)) return fn;
  return FindCompare(op, operand);
}

}  // namespace megalith::kernels::MEGALITH_TILES

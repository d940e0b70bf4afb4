// Arithmetic on integers (wrapping), floats, complex numbers and booleans.
#include <algorithm>
#include <limits>

#include "common/programs/stablehlo/kernels/complex_math.h"
#include "common/programs/stablehlo/kernels/span_loops.h"

namespace megalith::stablehlo {
namespace {

struct AddF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Wrap<T>(a) + Wrap<T>(b));
    else
      return a + b;
  }
};

struct SubtractF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Wrap<T>(a) - Wrap<T>(b));
    else
      return a - b;
  }
};

struct MultiplyF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Wrap<T>(a) * Wrap<T>(b));
    else
      return a * b;
  }
  static c64 Apply(c64 a, c64 b) { return ComplexMultiply(a, b); }
  static c128 Apply(c128 a, c128 b) { return ComplexMultiply(a, b); }
};

// x / 0 has all bits set; the smallest value divided by -1 is itself.
struct DivideF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) return static_cast<T>(-1);
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return static_cast<T>(Wrap<T>(0) - Wrap<T>(a));
      }
      return static_cast<T>(a / b);
    } else {
      return a / b;
    }
  }
  static c64 Apply(c64 a, c64 b) { return ComplexDivide(a, b); }
  static c128 Apply(c128 a, c128 b) { return ComplexDivide(a, b); }
};

// The sign of the dividend; x rem 0 is x for integers, NaN for floats.
struct RemainderF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b == 0) return a;
      if constexpr (std::is_signed_v<T>) {
        if (b == -1) return 0;
      }
      return static_cast<T>(a % b);
    } else {
      return std::fmod(a, b);
    }
  }
};

// NaN wins; of two zeros the positive one is the larger.
struct MaximumF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return std::max(a, b);
    } else {
      if (a != a) return a;
      if (b != b) return b;
      if (a == b) return std::signbit(a) ? b : a;
      return a > b ? a : b;
    }
  }
  static c64 Apply(c64 a, c64 b) { return Lexicographic(a, b) ? b : a; }
  static c128 Apply(c128 a, c128 b) { return Lexicographic(a, b) ? b : a; }
  template <typename C>
  static bool Lexicographic(C a, C b) {
    return a.real() < b.real() || (a.real() == b.real() && a.imag() < b.imag());
  }
};

struct MinimumF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return std::min(a, b);
    } else {
      if (a != a) return a;
      if (b != b) return b;
      if (a == b) return std::signbit(a) ? a : b;
      return a < b ? a : b;
    }
  }
  static c64 Apply(c64 a, c64 b) { return MaximumF::Lexicographic(b, a) ? b : a; }
  static c128 Apply(c128 a, c128 b) { return MaximumF::Lexicographic(b, a) ? b : a; }
};

struct NegateF {
  template <typename T>
  static T Apply(T a) {
    if constexpr (std::is_integral_v<T>)
      return static_cast<T>(Wrap<T>(0) - Wrap<T>(a));
    else
      return -a;
  }
};

struct AbsF {
  template <typename T>
  static T Apply(T a) {
    if constexpr (std::is_unsigned_v<T>)
      return a;
    else if constexpr (std::is_integral_v<T>)
      return a < 0 ? static_cast<T>(Wrap<T>(0) - Wrap<T>(a)) : a;
    else
      return std::fabs(a);
  }
  static float Apply(c64 a) { return ComplexAbs(a); }
  static double Apply(c128 a) { return ComplexAbs(a); }
};

// NaN stays NaN, zeros keep their sign; for complex numbers x / |x|.
struct SignF {
  template <typename T>
  static T Apply(T a) {
    if constexpr (std::is_unsigned_v<T>)
      return a != 0 ? 1 : 0;
    else if constexpr (std::is_integral_v<T>)
      return static_cast<T>((a > 0) - (a < 0));
    else
      return a == 0 || a != a ? a : std::copysign(T(1), a);
  }
  static c64 Apply(c64 a) { return ComplexSign(a); }
  static c128 Apply(c128 a) { return ComplexSign(a); }
};

struct SquareF {
  template <typename T>
  static T Apply(T a) {
    return MultiplyF::Apply(a, a);
  }
};

// a^b by repeated squaring; a negative exponent truncates toward zero, which leaves only powers of
// 1 and -1.
struct PowerF {
  template <typename T>
  static T Apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if constexpr (std::is_signed_v<T>) {
        if (b < 0) {
          if (a == 1) return 1;
          if (a == -1) return b % 2 == 0 ? 1 : -1;
          return 0;
        }
      }
      auto base = Wrap<T>(a);
      Wrap<T> out = 1;
      for (auto e = Wrap<T>(b); e != 0; e >>= 1) {
        if ((e & 1) != 0) out *= base;
        base *= base;
      }
      return static_cast<T>(out);
    } else {
      return std::pow(a, b);
    }
  }
  static c64 Apply(c64 a, c64 b) { return ComplexPower(a, b); }
  static c128 Apply(c128 a, c128 b) { return ComplexPower(a, b); }
};

struct OrF {
  static uint8_t Apply(uint8_t a, uint8_t b) { return a | b; }
};
struct AndF {
  static uint8_t Apply(uint8_t a, uint8_t b) { return a & b; }
};

template <typename F, int arity>
SpanFn NumberLoops(DType d) {
  if (const SpanFn fn = FloatLoops<F, arity>(d)) return fn;
  if (const SpanFn fn = IntLoops<F, arity>(d)) return fn;
  return ComplexLoops<F, arity>(d);
}

// On booleans, addition and maximum are `or`, multiplication and minimum are `and`.
template <typename F, typename BoolF>
SpanFn AnyLoops(DType d) {
  if (const SpanFn fn = BoolLoop<BoolF, 2>(d)) return fn;
  return NumberLoops<F, 2>(d);
}

SpanFn RemainderLoops(DType d) {
  if (const SpanFn fn = FloatLoops<RemainderF, 2>(d)) return fn;
  return IntLoops<RemainderF, 2>(d);
}

SpanFn AbsLoops(DType d) {
  if (d == DType::kC64) return Loop1<AbsF, float, c64>;
  if (d == DType::kC128) return Loop1<AbsF, double, c128>;
  if (const SpanFn fn = FloatLoops<AbsF, 1>(d)) return fn;
  return IntLoops<AbsF, 1>(d);
}

}  // namespace

Result<SpanKernel> SpanAdd(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, AnyLoops<AddF, OrF>);
}
Result<SpanKernel> SpanSubtract(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<SubtractF, 2>);
}
Result<SpanKernel> SpanMultiply(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, AnyLoops<MultiplyF, AndF>);
}
Result<SpanKernel> SpanDivide(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<DivideF, 2>);
}
Result<SpanKernel> SpanRemainder(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, RemainderLoops);
}
Result<SpanKernel> SpanMaximum(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, AnyLoops<MaximumF, OrF>);
}
Result<SpanKernel> SpanMinimum(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, AnyLoops<MinimumF, AndF>);
}
Result<SpanKernel> SpanNegate(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<NegateF, 1>);
}
Result<SpanKernel> SpanAbs(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, AbsLoops);
}
Result<SpanKernel> SpanSign(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<SignF, 1>);
}
Result<SpanKernel> SpanSquare(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<SquareF, 1>);
}
Result<SpanKernel> SpanPower(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NumberLoops<PowerF, 2>);
}

}  // namespace megalith::stablehlo

// Logic and bit patterns of integers and booleans.
#include <bit>

#include "common/programs/stablehlo/kernels/span_loops.h"

namespace megalith::stablehlo {
namespace {

struct AndF {
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct OrF {
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct XorF {
  template <typename T>
  static T Apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
struct NotF {
  template <typename T>
  static T Apply(T a) {
    return static_cast<T>(~a);
  }
};
struct NotBoolF {
  static uint8_t Apply(uint8_t a) { return a ^ 1; }
};

// Shifting by the width or more, or by a negative amount, moves every bit out.
template <typename T>
constexpr bool InRange(T amount) {
  return std::make_unsigned_t<T>(amount) < sizeof(T) * 8;
}
struct ShiftLeftF {
  template <typename T>
  static T Apply(T a, T s) {
    return InRange(s) ? static_cast<T>(Wrap<T>(a) << s) : T(0);
  }
};
struct ShiftRightLogicalF {
  template <typename T>
  static T Apply(T a, T s) {
    return InRange(s) ? static_cast<T>(std::make_unsigned_t<T>(a) >> s) : T(0);
  }
};
struct ShiftRightArithmeticF {
  template <typename T>
  static T Apply(T a, T s) {
    using S = std::make_signed_t<T>;
    return static_cast<T>(static_cast<S>(a) >>
                          (InRange(s) ? static_cast<int>(s) : static_cast<int>(sizeof(T) * 8 - 1)));
  }
};
struct PopcntF {
  template <typename T>
  static T Apply(T a) {
    return static_cast<T>(std::popcount(std::make_unsigned_t<T>(a)));
  }
};
struct LeadingZerosF {
  template <typename T>
  static T Apply(T a) {
    return static_cast<T>(std::countl_zero(std::make_unsigned_t<T>(a)));
  }
};

template <typename F>
SpanFn LogicLoops(DType d) {
  if (const SpanFn fn = BoolLoop<F, 2>(d)) return fn;
  return IntLoops<F, 2>(d);
}
SpanFn NotLoops(DType d) {
  if (const SpanFn fn = BoolLoop<NotBoolF, 1>(d)) return fn;
  return IntLoops<NotF, 1>(d);
}

// For 2- and 4-bit integers the patterns of their own width matter: `Bits` is that width, operands
// are cut to it first.
template <typename F, int bits, int arity>
void NarrowLoop(const void* const* in, void* out, int64_t n, const void*) {
  constexpr uint8_t kMask = (1 << bits) - 1;
  const uint8_t* a = static_cast<const uint8_t*>(in[0]);
  const uint8_t* b = arity == 2 ? static_cast<const uint8_t*>(in[1]) : a;
  uint8_t* o = static_cast<uint8_t*>(out);
  for (int64_t i = 0; i < n; ++i) {
    if constexpr (arity == 2) {
      o[i] = F::Apply(static_cast<uint8_t>(a[i] & kMask), static_cast<uint8_t>(b[i] & kMask));
    } else {
      o[i] = F::Apply(static_cast<uint8_t>(a[i] & kMask));
    }
  }
}

template <int bits>
struct NarrowLeadingZerosF {
  static uint8_t Apply(uint8_t a) { return static_cast<uint8_t>(std::countl_zero(a) - (8 - bits)); }
};

// The loop for a type narrower than a byte, or the ordinary one.
template <typename F2, typename F4, int arity>
Result<SpanKernel> FindNarrow(const Op& op, std::span<const DType> operands, DType result,
                              SpanFn (*find)(DType)) {
  const int bits = tensor::BitWidth(operands[0]);
  if (bits == 2) return Widen(SpanKernel{NarrowLoop<F2, 2, arity>, nullptr}, operands, result);
  if (bits == 4) return Widen(SpanKernel{NarrowLoop<F4, 4, arity>, nullptr}, operands, result);
  return FindLoop(op, operands, result, find);
}

}  // namespace

Result<SpanKernel> SpanAnd(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, LogicLoops<AndF>);
}
Result<SpanKernel> SpanOr(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, LogicLoops<OrF>);
}
Result<SpanKernel> SpanXor(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, LogicLoops<XorF>);
}
Result<SpanKernel> SpanNot(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, NotLoops);
}
Result<SpanKernel> SpanShiftLeft(const Op& op, std::span<const DType> operands, DType result) {
  return FindNarrow<ShiftLeftF, ShiftLeftF, 2>(op, operands, result, IntLoops<ShiftLeftF, 2>);
}
Result<SpanKernel> SpanShiftRightLogical(const Op& op, std::span<const DType> operands,
                                         DType result) {
  return FindNarrow<ShiftRightLogicalF, ShiftRightLogicalF, 2>(op, operands, result,
                                                               IntLoops<ShiftRightLogicalF, 2>);
}
Result<SpanKernel> SpanShiftRightArithmetic(const Op& op, std::span<const DType> operands,
                                            DType result) {
  // A narrow unsigned value has its sign bit at its own top: extend it first, as the signed type
  // would store it.
  const DType d = operands[0];
  if (d == DType::kU2 || d == DType::kU4) {
    const auto signed_loop = [](const void* const* in, void* out, int64_t n, const void* params) {
      const int unused = 8 - static_cast<int>(*static_cast<const int*>(params));
      const uint8_t* a = static_cast<const uint8_t*>(in[0]);
      const uint8_t* s = static_cast<const uint8_t*>(in[1]);
      uint8_t* o = static_cast<uint8_t*>(out);
      for (int64_t i = 0; i < n; ++i) {
        const auto extended = static_cast<int8_t>(static_cast<int8_t>(a[i] << unused) >> unused);
        o[i] =
            static_cast<uint8_t>(ShiftRightArithmeticF::Apply(extended, static_cast<int8_t>(s[i])));
      }
    };
    return Widen(SpanKernel{+signed_loop, std::make_shared<const int>(tensor::BitWidth(d))},
                 operands, result);
  }
  return FindLoop(op, operands, result, IntLoops<ShiftRightArithmeticF, 2>);
}
Result<SpanKernel> SpanPopcnt(const Op& op, std::span<const DType> operands, DType result) {
  return FindNarrow<PopcntF, PopcntF, 1>(op, operands, result, IntLoops<PopcntF, 1>);
}
Result<SpanKernel> SpanCountLeadingZeros(const Op& op, std::span<const DType> operands,
                                         DType result) {
  return FindNarrow<NarrowLeadingZerosF<2>, NarrowLeadingZerosF<4>, 1>(op, operands, result,
                                                                       IntLoops<LeadingZerosF, 1>);
}

}  // namespace megalith::stablehlo

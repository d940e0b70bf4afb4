// Comparisons, selections, parts of complex numbers, predicates.
#include <bit>
#include <cmath>

#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

struct EqF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a == b;
  }
};
struct NeF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a != b;
  }
};
struct GeF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a >= b;
  }
};
struct GtF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a > b;
  }
};
struct LeF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a <= b;
  }
};
struct LtF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return a < b;
  }
};

// Maps float bits so that integer order is the total order -NaN < -inf < ... < -0 < 0 < ... < inf <
// NaN.
inline int32_t TotalOrderKey(float v) {
  const auto i = std::bit_cast<int32_t>(v);
  return i < 0 ? i ^ 0x7FFFFFFF : i;
}
inline int64_t TotalOrderKey(double v) {
  const auto i = std::bit_cast<int64_t>(v);
  return i < 0 ? i ^ 0x7FFFFFFFFFFFFFFF : i;
}
template <typename F>
struct TotalF {
  template <typename T>
  static uint8_t Apply(T a, T b) {
    return F::Apply(TotalOrderKey(a), TotalOrderKey(b));
  }
};

template <typename F>
SpanFn CompareLoops(DType d) {
  if (const SpanFn fn = BoolLoop<F, 2, uint8_t>(d)) return fn;
  if (const SpanFn fn = FloatLoops<F, 2, uint8_t>(d)) return fn;
  return IntLoops<F, 2, uint8_t>(d);
}
template <typename F>
SpanFn EqualityLoops(DType d) {
  if (const SpanFn fn = ComplexLoops<F, 2, uint8_t>(d)) return fn;
  return CompareLoops<F>(d);
}
template <typename F>
SpanFn TotalLoops(DType d) {
  return FloatLoops<TotalF<F>, 2, uint8_t>(d);
}

// --- select, clamp: any element of a width ---

template <typename T>
void SelectLoop(const void* const* in, void* out, int64_t n, const void*) {
  const uint8_t* p = static_cast<const uint8_t*>(in[0]);
  const T* a = static_cast<const T*>(in[1]);
  const T* b = static_cast<const T*>(in[2]);
  T* o = static_cast<T*>(out);
#ifndef __clang__
#pragma GCC ivdep
#endif
  for (int64_t i = 0; i < n; ++i) o[i] = p[i] != 0 ? a[i] : b[i];
}

struct Wide {
  uint64_t words[2];
};

// min(max(x, low), high), NaN in any of them winning, -0 below 0.
struct ClampF {
  template <typename T>
  static T Apply(T low, T x, T high) {
    if constexpr (std::is_floating_point_v<T>) {
      if (x != x || low != low) return x != x ? x : low;
      if (high != high) return high;
      const auto less = [](T a, T b) {
        return a < b || (a == b && std::signbit(a) && !std::signbit(b));
      };
      const T raised = less(x, low) ? low : x;
      return less(high, raised) ? high : raised;
    }
    const T raised = x < low ? low : x;
    return raised > high ? high : raised;
  }
};
SpanFn ClampLoops(DType d) {
  if (const SpanFn fn = BoolLoop<ClampF, 3>(d)) return fn;
  if (const SpanFn fn = FloatLoops<ClampF, 3>(d)) return fn;
  return IntLoops<ClampF, 3>(d);
}

// --- parts ---

struct ComplexF {
  static c64 Apply(float re, float im) { return {re, im}; }
  static c128 Apply(double re, double im) { return {re, im}; }
};
struct RealF {
  template <typename T>
  static T Apply(T a) {
    return a;
  }
  static float Apply(c64 a) { return a.real(); }
  static double Apply(c128 a) { return a.real(); }
};
struct ImagF {
  template <typename T>
  static T Apply(T) {
    return 0;
  }
  static float Apply(c64 a) { return a.imag(); }
  static double Apply(c128 a) { return a.imag(); }
};
struct ConjF {
  template <typename T>
  static T Apply(T a) {
    return a;
  }
  static c64 Apply(c64 a) { return std::conj(a); }
  static c128 Apply(c128 a) { return std::conj(a); }
};
template <typename F>
SpanFn PartLoops(DType d) {
  if (d == DType::kC64) return Loop1<F, float, c64>;
  if (d == DType::kC128) return Loop1<F, double, c128>;
  return FloatLoops<F, 1>(d);
}
SpanFn ConjLoops(DType d) {
  if (const SpanFn fn = ComplexLoops<ConjF, 1>(d)) return fn;
  return FloatLoops<ConjF, 1>(d);
}

struct IsFiniteF {
  template <typename T>
  static uint8_t Apply(T a) {
    return std::isfinite(a);
  }
};
struct IsInfF {
  template <typename T>
  static uint8_t Apply(T a) {
    return std::isinf(a);
  }
};
struct IsPosInfF {
  template <typename T>
  static uint8_t Apply(T a) {
    return std::isinf(a) && a > 0;
  }
};
struct IsNegInfF {
  template <typename T>
  static uint8_t Apply(T a) {
    return std::isinf(a) && a < 0;
  }
};

}  // namespace

Result<SpanKernel> SpanCompare(const Op& op, std::span<const DType> operands, DType result) {
  using Find = SpanFn (*)(DType);
  // In the order of CompareDirection.
  static constexpr Find kPartial[] = {EqualityLoops<EqF>, EqualityLoops<NeF>, CompareLoops<GeF>,
                                      CompareLoops<GtF>,  CompareLoops<LeF>,  CompareLoops<LtF>};
  static constexpr Find kTotal[] = {TotalLoops<EqF>, TotalLoops<NeF>, TotalLoops<GeF>,
                                    TotalLoops<GtF>, TotalLoops<LeF>, TotalLoops<LtF>};
  const auto direction = static_cast<size_t>(op.attr("comparison_direction").AsEnum());
  const Attr& type = op.attr("compare_type");
  const bool total = type.present() && type.AsEnum() == static_cast<int>(CompareType::kTotalOrder);
  return FindLoop(op, operands, result, total ? kTotal[direction] : kPartial[direction]);
}

// Moves elements without looking at them, so narrow types need no conversion.
Result<SpanKernel> SpanSelect(const Op& op, std::span<const DType>, DType result) {
  switch (tensor::ByteWidth(result)) {
    case 1:
      return SpanKernel{SelectLoop<uint8_t>, nullptr};
    case 2:
      return SpanKernel{SelectLoop<uint16_t>, nullptr};
    case 4:
      return SpanKernel{SelectLoop<uint32_t>, nullptr};
    case 8:
      return SpanKernel{SelectLoop<uint64_t>, nullptr};
    case 16:
      return SpanKernel{SelectLoop<Wide>, nullptr};
    default:
      return Unimplemented(
          StrCat(op.name(), " is not supported for ", tensor::MlirName(result), " elements"));
  }
}

Result<SpanKernel> SpanClamp(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, ClampLoops);
}
Result<SpanKernel> SpanComplex(const Op&, std::span<const DType> operands, DType) {
  return SpanKernel{operands[0] == DType::kF64 ? Loop2<ComplexF, c128, double, double>
                                               : Loop2<ComplexF, c64, float, float>,
                    nullptr};
}
Result<SpanKernel> SpanReal(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, PartLoops<RealF>);
}
Result<SpanKernel> SpanImag(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, PartLoops<ImagF>);
}
Result<SpanKernel> SpanConj(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, ConjLoops);
}
Result<SpanKernel> SpanIsFinite(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<IsFiniteF, 1, uint8_t>);
}
Result<SpanKernel> SpanIsInf(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<IsInfF, 1, uint8_t>);
}
Result<SpanKernel> SpanIsPosInf(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<IsPosInfF, 1, uint8_t>);
}
Result<SpanKernel> SpanIsNegInf(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<IsNegInfF, 1, uint8_t>);
}

}  // namespace megalith::stablehlo

// Functions of floats and complex numbers: roots, exponentials, logarithms, trigonometry, rounding.
//
// f32 calls the C library's float functions (errors of an ulp or so), f64 its double functions;
// complex64 computes in complex128 and rounds.
#include <bit>

#include "common/programs/stablehlo/kernels/complex_math.h"
#include "common/programs/stablehlo/kernels/span_loops.h"
#include "common/programs/stablehlo/op_def.h"

namespace megalith::stablehlo {
namespace {

// A function given for reals and for complex128.
template <typename F>
struct OverComplex {
  template <typename T>
  static T Apply(T a) {
    return F::Real(a);
  }
  static c128 Apply(c128 a) { return F::Complex(a); }
  static c64 Apply(c64 a) { return c64(F::Complex(c128(a))); }
};

struct CbrtF {
  template <typename T>
  static T Real(T a) {
    return std::cbrt(a);
  }
  static c128 Complex(c128 a) { return ComplexCbrt(a); }
};
struct CosineF {
  template <typename T>
  static T Real(T a) {
    return std::cos(a);
  }
  static c128 Complex(c128 a) { return std::cos(a); }
};
struct ExponentialF {
  template <typename T>
  static T Real(T a) {
    return std::exp(a);
  }
  static c128 Complex(c128 a) { return ComplexExp(a); }
};
struct Expm1F {
  template <typename T>
  static T Real(T a) {
    return std::expm1(a);
  }
  static c128 Complex(c128 a) { return ComplexExpm1(a); }
};
struct LogF {
  template <typename T>
  static T Real(T a) {
    return std::log(a);
  }
  static c128 Complex(c128 a) { return std::log(a); }
};
struct Log1pF {
  template <typename T>
  static T Real(T a) {
    return std::log1p(a);
  }
  static c128 Complex(c128 a) { return ComplexLog1p(a); }
};
struct LogisticF {
  template <typename T>
  static T Real(T a) {
    return T(1) / (T(1) + std::exp(-a));
  }
  static c128 Complex(c128 a) { return ComplexLogistic(a); }
};
struct RsqrtF {
  template <typename T>
  static T Real(T a) {
    return T(1) / std::sqrt(a);
  }
  static c128 Complex(c128 a) { return ComplexRsqrt(a); }
};
struct SineF {
  template <typename T>
  static T Real(T a) {
    return std::sin(a);
  }
  static c128 Complex(c128 a) { return std::sin(a); }
};
struct SqrtF {
  template <typename T>
  static T Real(T a) {
    return std::sqrt(a);
  }
  static c128 Complex(c128 a) { return std::sqrt(a); }
};
struct TanF {
  template <typename T>
  static T Real(T a) {
    return std::tan(a);
  }
  static c128 Complex(c128 a) { return ComplexTan(a); }
};
struct TanhF {
  template <typename T>
  static T Real(T a) {
    return std::tanh(a);
  }
  static c128 Complex(c128 a) { return ComplexTanh(a); }
};

struct CeilF {
  template <typename T>
  static T Apply(T a) {
    return std::ceil(a);
  }
};
struct FloorF {
  template <typename T>
  static T Apply(T a) {
    return std::floor(a);
  }
};
struct RoundAwayF {
  template <typename T>
  static T Apply(T a) {
    return std::round(a);
  }
};
struct RoundEvenF {
  template <typename T>
  static T Apply(T a) {
    return std::nearbyint(a);
  }  // the default mode is nearest, ties to even
};

struct Atan2F {
  template <typename T>
  static T Apply(T y, T x) {
    return std::atan2(y, x);
  }
  static c128 Apply(c128 y, c128 x) { return ComplexAtan2(y, x); }
  static c64 Apply(c64 y, c64 x) { return c64(ComplexAtan2(c128(y), c128(x))); }
};

template <typename F>
SpanFn InexactLoops(DType d) {
  if (const SpanFn fn = FloatLoops<OverComplex<F>, 1>(d)) return fn;
  return ComplexLoops<OverComplex<F>, 1>(d);
}

SpanFn Atan2Loops(DType d) {
  if (const SpanFn fn = FloatLoops<Atan2F, 2>(d)) return fn;
  return ComplexLoops<Atan2F, 2>(d);
}

// --- reduce_precision ---

struct PrecisionBits {
  int exponent, mantissa;
};

// Rounds the mantissa to nearest even, then what no longer fits the exponent becomes an infinity or
// a zero.
template <typename T, typename U, int kMantissa, int kExponent>
void ReducePrecisionLoop(const void* const* in, void* out, int64_t n, const void* raw) {
  const auto p = *static_cast<const PrecisionBits*>(raw);
  const T* a = static_cast<const T*>(in[0]);
  T* o = static_cast<T*>(out);
  constexpr U kSign = U{1} << (sizeof(U) * 8 - 1);
  constexpr U kInfinity = ((U{1} << kExponent) - 1) << kMantissa;
  for (int64_t i = 0; i < n; ++i) {
    const U bits = std::bit_cast<U>(a[i]);
    const U sign = bits & kSign;
    U magnitude = bits & ~kSign;
    if (magnitude > kInfinity) {  // NaN
      o[i] = a[i];
      continue;
    }
    if (p.mantissa < kMantissa) {
      const int drop = kMantissa - p.mantissa;
      const U odd = (magnitude >> drop) & 1;
      magnitude += (U{1} << (drop - 1)) - 1 + odd;
      magnitude &= ~((U{1} << drop) - 1);
    }
    if (p.exponent < kExponent && magnitude < kInfinity) {
      constexpr int64_t kBias = (int64_t{1} << (kExponent - 1)) - 1;
      const int64_t bias = (int64_t{1} << (p.exponent - 1)) - 1;
      const auto exponent = static_cast<int64_t>(magnitude >> kMantissa);
      if (exponent > kBias + bias) magnitude = kInfinity;
      if (exponent <= kBias - bias) magnitude = 0;
    }
    o[i] = std::bit_cast<T>(static_cast<U>(sign | magnitude));
  }
}

}  // namespace

Result<SpanKernel> SpanCbrt(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<CbrtF>);
}
Result<SpanKernel> SpanCosine(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<CosineF>);
}
Result<SpanKernel> SpanExponential(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<ExponentialF>);
}
Result<SpanKernel> SpanExponentialMinusOne(const Op& op, std::span<const DType> operands,
                                           DType result) {
  return FindLoop(op, operands, result, InexactLoops<Expm1F>);
}
Result<SpanKernel> SpanLog(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<LogF>);
}
Result<SpanKernel> SpanLogPlusOne(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<Log1pF>);
}
Result<SpanKernel> SpanLogistic(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<LogisticF>);
}
Result<SpanKernel> SpanRsqrt(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<RsqrtF>);
}
Result<SpanKernel> SpanSine(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<SineF>);
}
Result<SpanKernel> SpanSqrt(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<SqrtF>);
}
Result<SpanKernel> SpanTan(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<TanF>);
}
Result<SpanKernel> SpanTanh(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, InexactLoops<TanhF>);
}
Result<SpanKernel> SpanCeil(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<CeilF, 1>);
}
Result<SpanKernel> SpanFloor(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, FloatLoops<FloorF, 1>);
}
Result<SpanKernel> SpanRoundNearestAfz(const Op& op, std::span<const DType> operands,
                                       DType result) {
  return FindLoop(op, operands, result, FloatLoops<RoundAwayF, 1>);
}
Result<SpanKernel> SpanRoundNearestEven(const Op& op, std::span<const DType> operands,
                                        DType result) {
  return FindLoop(op, operands, result, FloatLoops<RoundEvenF, 1>);
}
Result<SpanKernel> SpanAtan2(const Op& op, std::span<const DType> operands, DType result) {
  return FindLoop(op, operands, result, Atan2Loops);
}
Result<SpanKernel> SpanReducePrecision(const Op& op, std::span<const DType> operands,
                                       DType result) {
  const auto bits = std::make_shared<PrecisionBits>();
  bits->exponent = static_cast<int>(std::min<int64_t>(op.attr("exponent_bits").AsInt(), 64));
  bits->mantissa = static_cast<int>(std::min<int64_t>(op.attr("mantissa_bits").AsInt(), 64));
  const SpanFn fn = ComputeType(operands[0]) == DType::kF64
                        ? ReducePrecisionLoop<double, uint64_t, 52, 11>
                        : ReducePrecisionLoop<float, uint32_t, 23, 8>;
  return Widen(SpanKernel{fn, bits}, operands, result);
}

}  // namespace megalith::stablehlo

// stablehlo.convert between any two element types.
//
// Integers wrap, floats round to nearest even, float to integer truncates and saturates with NaN
// going to zero, and anything but zero is true. Narrow floats are converted by way of double when
// the source has more bits than float.
#include <algorithm>
#include <limits>

#include "common/foundation/tensor/small_float.h"
#include "common/programs/stablehlo/kernels/span_loops.h"

namespace megalith::stablehlo {
namespace {

template <typename To, typename From>
To Saturate(From v) {
  if (v != v) return 0;
  // The limits are powers of two (or one less, which rounds up to one): compare before casting.
  constexpr auto kLow = static_cast<From>(std::numeric_limits<To>::min());
  const From high = std::ldexp(From(1), std::numeric_limits<To>::digits);
  if (v <= kLow) return std::numeric_limits<To>::min();
  if (v >= high) return std::numeric_limits<To>::max();
  return static_cast<To>(v);
}

template <typename T>
struct IsComplexT : std::false_type {};
template <typename T>
struct IsComplexT<std::complex<T>> : std::true_type {};

template <typename To>
struct ConvertF {
  template <typename From>
  static To Apply(From v) {
    if constexpr (IsComplexT<From>::value) {
      if constexpr (IsComplexT<To>::value)
        return To(v);
      else
        return Apply(v.real());
    } else if constexpr (IsComplexT<To>::value) {
      return To(static_cast<typename To::value_type>(v));
    } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
      return Saturate<To>(v);
    } else {
      return static_cast<To>(v);
    }
  }
};

struct ToBoolF {
  template <typename From>
  static uint8_t Apply(From v) {
    return v != From(0);
  }
};

template <typename F, typename To>
SpanFn FromLoops(DType from) {
  switch (from) {
    case DType::kBool:
    case DType::kU8:
      return Loop1<F, To, uint8_t>;
    case DType::kI8:
      return Loop1<F, To, int8_t>;
    case DType::kI16:
      return Loop1<F, To, int16_t>;
    case DType::kI32:
      return Loop1<F, To, int32_t>;
    case DType::kI64:
      return Loop1<F, To, int64_t>;
    case DType::kU16:
      return Loop1<F, To, uint16_t>;
    case DType::kU32:
      return Loop1<F, To, uint32_t>;
    case DType::kU64:
      return Loop1<F, To, uint64_t>;
    case DType::kF32:
      return Loop1<F, To, float>;
    case DType::kF64:
      return Loop1<F, To, double>;
    case DType::kC64:
      return Loop1<F, To, c64>;
    case DType::kC128:
      return Loop1<F, To, c128>;
    default:
      return nullptr;
  }
}

SpanFn ConvertLoop(DType from, DType to) {
  switch (to) {
    case DType::kBool:
      return FromLoops<ToBoolF, uint8_t>(from);
    case DType::kI8:
      return FromLoops<ConvertF<int8_t>, int8_t>(from);
    case DType::kI16:
      return FromLoops<ConvertF<int16_t>, int16_t>(from);
    case DType::kI32:
      return FromLoops<ConvertF<int32_t>, int32_t>(from);
    case DType::kI64:
      return FromLoops<ConvertF<int64_t>, int64_t>(from);
    case DType::kU8:
      return FromLoops<ConvertF<uint8_t>, uint8_t>(from);
    case DType::kU16:
      return FromLoops<ConvertF<uint16_t>, uint16_t>(from);
    case DType::kU32:
      return FromLoops<ConvertF<uint32_t>, uint32_t>(from);
    case DType::kU64:
      return FromLoops<ConvertF<uint64_t>, uint64_t>(from);
    case DType::kF32:
      return FromLoops<ConvertF<float>, float>(from);
    case DType::kF64:
      return FromLoops<ConvertF<double>, double>(from);
    case DType::kC64:
      return FromLoops<ConvertF<c64>, c64>(from);
    case DType::kC128:
      return FromLoops<ConvertF<c128>, c128>(from);
    default:
      return nullptr;
  }
}

constexpr int64_t kChunk = 256;

// From wide types to a float of at most 16 bits: through double, rounding once.
struct NarrowParams {
  SpanFn to_double;
  DType to;
};

void NarrowSpan(const void* const* in, void* out, int64_t n, const void* raw) {
  const NarrowParams& p = *static_cast<const NarrowParams*>(raw);
  const int width = tensor::ByteWidth(p.to);
  double values[kChunk];  // enough: ChunkedSpan is always around this one
  p.to_double(in, values, n, nullptr);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = tensor::EncodeSmallFloat(p.to, values[i]);
    if (width == 2) {
      static_cast<uint16_t*>(out)[i] = bits;
    } else {
      static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(bits);
    }
  }
}

struct ChunkedParams {
  SpanKernel inner;
  int64_t in_width, out_width;
};

// Calls the inner kernel for at most kChunk elements at a time.
void ChunkedSpan(const void* const* in, void* out, int64_t n, const void* raw) {
  const ChunkedParams& p = *static_cast<const ChunkedParams*>(raw);
  for (int64_t at = 0; at < n; at += kChunk) {
    const void* from[] = {static_cast<const char*>(in[0]) + at * p.in_width};
    p.inner(from, static_cast<char*>(out) + at * p.out_width, std::min(kChunk, n - at));
  }
}

// Float to an integer narrower than a byte: saturate at its own limits.
struct SaturateParams {
  SpanFn to_double;
  double low, high;
};

void SaturateSpan(const void* const* in, void* out, int64_t n, const void* raw) {
  const SaturateParams& p = *static_cast<const SaturateParams*>(raw);
  double values[kChunk];
  p.to_double(in, values, n, nullptr);
  for (int64_t i = 0; i < n; ++i) {
    const double v = values[i] != values[i] ? 0.0 : std::clamp(values[i], p.low, p.high);
    static_cast<uint8_t*>(out)[i] = static_cast<uint8_t>(static_cast<int>(v));
  }
}

SpanKernel Chunked(SpanKernel inner, DType from, DType to) {
  auto params = std::make_shared<ChunkedParams>();
  params->inner = std::move(inner);
  params->in_width = tensor::ByteWidth(from);
  params->out_width = tensor::ByteWidth(to);
  return SpanKernel{ChunkedSpan, std::move(params)};
}

}  // namespace

Result<SpanKernel> SpanConvert(const Op&, std::span<const DType> operands, DType result) {
  const DType from = operands[0];
  const DType wide_from = ComputeType(from);
  const DType wide_to = ComputeType(result);
  const bool narrow_float = tensor::IsFloat(result) && wide_to != result;
  const bool narrow_int = tensor::IsInteger(result) && wide_to != result;
  const bool more_than_float = wide_from != DType::kF32 && wide_from != DType::kC64;
  if (narrow_float && more_than_float) {
    auto params =
        std::make_shared<NarrowParams>(NarrowParams{ConvertLoop(wide_from, DType::kF64), result});
    const SpanKernel inner = Widen(SpanKernel{NarrowSpan, std::move(params)}, operands, DType::kI8);
    return Chunked(inner, from, result);
  }
  if (narrow_int && (tensor::IsInexact(wide_from))) {
    const int bits = tensor::BitWidth(result);
    const bool is_signed = tensor::IsSigned(result);
    const double high = is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1;
    const double low = is_signed ? -(1 << (bits - 1)) : 0;
    auto params = std::make_shared<SaturateParams>(
        SaturateParams{ConvertLoop(wide_from, DType::kF64), low, high});
    const SpanKernel inner =
        Widen(SpanKernel{SaturateSpan, std::move(params)}, operands, DType::kI8);
    return Chunked(inner, from, result);
  }
  const SpanFn fn = ConvertLoop(wide_from, wide_to);
  CHECK(fn != nullptr);
  return Widen(SpanKernel{fn, nullptr}, operands, result);
}

}  // namespace megalith::stablehlo

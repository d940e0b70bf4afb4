#include "common/foundation/tensor/small_float.h"

#include <cmath>
#include <limits>

#include "common/foundation/base/status.h"
#include "common/foundation/tensor/half.h"

namespace megalith::tensor {
namespace {

// How a format spends its all-ones exponent.
enum class Special {
  kIeee,    // infinities and NaNs, as IEEE 754
  kFn,      // one NaN pattern per sign (all ones), no infinity
  kFnuz,    // the pattern of -0 is the only NaN, no infinity
  kFnOnly,  // neither infinity nor NaN: overflow saturates (f4)
  kE8M0,    // unsigned power of two, all ones is NaN, no zero
};

struct Format {
  int exponent_bits;
  int mantissa_bits;
  int bias;
  Special special;
};

Format FormatOf(DType d) {
  switch (d) {
    case DType::kF4E2M1FN:
      return {2, 1, 1, Special::kFnOnly};
    case DType::kF8E3M4:
      return {3, 4, 3, Special::kIeee};
    case DType::kF8E4M3:
      return {4, 3, 7, Special::kIeee};
    case DType::kF8E4M3B11FNUZ:
      return {4, 3, 11, Special::kFnuz};
    case DType::kF8E4M3FN:
      return {4, 3, 7, Special::kFn};
    case DType::kF8E4M3FNUZ:
      return {4, 3, 8, Special::kFnuz};
    case DType::kF8E5M2:
      return {5, 2, 15, Special::kIeee};
    case DType::kF8E5M2FNUZ:
      return {5, 2, 16, Special::kFnuz};
    case DType::kF8E8M0FNU:
      return {8, 0, 127, Special::kE8M0};
    case DType::kF16:
      return {5, 10, 15, Special::kIeee};
    case DType::kBF16:
      return {8, 7, 127, Special::kIeee};
    default:
      break;
  }
  CHECK(false && "not a small float");
  return {};
}

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

double Magnitude(const Format& f, int exponent, uint32_t mantissa) {
  if (exponent == 0) return std::ldexp(static_cast<double>(mantissa), 1 - f.bias - f.mantissa_bits);
  return std::ldexp(static_cast<double>(mantissa | (1u << f.mantissa_bits)),
                    exponent - f.bias - f.mantissa_bits);
}

}  // namespace

double DecodeSmallFloat(DType dtype, uint16_t bits) {
  const Format f = FormatOf(dtype);
  if (f.special == Special::kE8M0)
    return (bits & 0xFF) == 0xFF ? kNan : std::ldexp(1.0, (bits & 0xFF) - 127);
  const uint32_t mantissa = bits & ((1u << f.mantissa_bits) - 1);
  const int max_exponent = (1 << f.exponent_bits) - 1;
  const int exponent = (bits >> f.mantissa_bits) & max_exponent;
  const bool negative = (bits >> (f.mantissa_bits + f.exponent_bits)) & 1;
  const uint32_t all_ones = (1u << f.mantissa_bits) - 1;
  double v = 0;
  if (f.special == Special::kIeee && exponent == max_exponent) {
    v = mantissa == 0 ? kInf : kNan;
  } else if (f.special == Special::kFn && exponent == max_exponent && mantissa == all_ones) {
    v = kNan;
  } else if (f.special == Special::kFnuz && negative && exponent == 0 && mantissa == 0) {
    return kNan;
  } else {
    v = Magnitude(f, exponent, mantissa);
  }
  return negative ? -v : v;
}

uint16_t EncodeSmallFloat(DType dtype, double value) {
  const Format f = FormatOf(dtype);
  const int max_exponent = (1 << f.exponent_bits) - 1;
  const uint32_t all_ones = (1u << f.mantissa_bits) - 1;
  const uint32_t sign_bit = 1u << (f.exponent_bits + f.mantissa_bits);
  if (f.special == Special::kE8M0) {
    if (!(value > 0)) return 0xFF;
    int e = 0;
    const double m = std::frexp(value, &e);  // value = m * 2^e, m in [0.5, 1)
    int exponent = e - 1 + 127;
    // Nearest power of two; the tie 1.5 * 2^k goes to the even exponent field, as rounding the
    // mantissa away does.
    const double fraction = 2 * m;
    if (fraction > 1.5 || (fraction == 1.5 && (exponent & 1))) ++exponent;
    if (std::isinf(value) || exponent > 254) return 0xFF;
    return static_cast<uint16_t>(exponent < 0 ? 0 : exponent);
  }
  const bool negative = std::signbit(value);
  uint32_t nan = 0;
  uint32_t infinity = 0;
  uint32_t largest = 0;
  switch (f.special) {
    case Special::kIeee:
      nan =
          (static_cast<uint32_t>(max_exponent) << f.mantissa_bits) | (1u << (f.mantissa_bits - 1));
      infinity = static_cast<uint32_t>(max_exponent) << f.mantissa_bits;
      largest = infinity - 1;
      break;
    case Special::kFn:
      nan = infinity = (static_cast<uint32_t>(max_exponent) << f.mantissa_bits) | all_ones;
      largest = nan - 1;
      break;
    case Special::kFnuz:
      nan = infinity = sign_bit;
      largest = sign_bit - 1;
      break;
    case Special::kFnOnly:
      infinity = largest = sign_bit - 1;
      nan = sign_bit;  // ml_dtypes turns NaN into -0
      break;
    case Special::kE8M0:
      break;
  }
  const uint32_t sign = negative ? sign_bit : 0;
  if (std::isnan(value)) {
    if (f.special == Special::kFnuz || f.special == Special::kFnOnly)
      return static_cast<uint16_t>(nan);
    return static_cast<uint16_t>(nan | sign);
  }
  const auto overflow = [&]() -> uint16_t {
    if (f.special == Special::kFnuz) return static_cast<uint16_t>(infinity);
    return static_cast<uint16_t>(infinity | sign);
  };
  const double magnitude = std::fabs(value);
  if (std::isinf(magnitude)) return overflow();
  if (magnitude == 0) return static_cast<uint16_t>(f.special == Special::kFnuz ? 0 : sign);
  int e = 0;
  std::frexp(magnitude, &e);
  int exponent = e - 1 + f.bias;
  if (exponent < 1) exponent = 1;  // subnormal range shares the scale of exponent 1
  // An integer number of units in the last place; the division is exact, rint rounds ties to even.
  const double units = std::rint(std::ldexp(magnitude, f.bias + f.mantissa_bits - exponent));
  if (exponent > max_exponent + 1) return overflow();
  const uint64_t hidden = 1ull << f.mantissa_bits;
  const auto whole = static_cast<uint64_t>(units);
  // Carry out of the mantissa moves into the exponent field by plain addition.
  const uint64_t code =
      whole >= hidden ? (static_cast<uint64_t>(exponent) << f.mantissa_bits) + (whole - hidden)
                      : whole;
  if (code > largest) return overflow();
  if (code == 0 && f.special == Special::kFnuz) return 0;
  return static_cast<uint16_t>(code | sign);
}

F16::F16(float v) : bits(HalfOf(v)) {}

F16::operator float() const { return FloatOf(bits); }

}  // namespace megalith::tensor

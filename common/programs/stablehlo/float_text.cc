// The digits come from exact integer arithmetic, and are cut and rounded the way LLVM's APFloat
// does it (half up, after dropping digits that a bound on the binary length says are not needed):
// texts are compared byte by byte.
#include "common/programs/stablehlo/float_text.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <cstring>
#include <vector>

#include "common/foundation/base/strings.h"
#include "common/foundation/tensor/small_float.h"

namespace megalith::stablehlo {
namespace {

using tensor::DType;

// An unsigned integer of any size, 32 bits per limb, least significant first.
class BigInt {
 public:
  explicit BigInt(uint64_t v) {
    for (; v != 0; v >>= 32) limbs_.push_back(static_cast<uint32_t>(v));
  }
  bool zero() const { return limbs_.empty(); }
  int bits() const {
    return limbs_.empty()
               ? 0
               : static_cast<int>(limbs_.size() - 1) * 32 + std::bit_width(limbs_.back());
  }
  void Multiply(uint32_t factor) {
    uint64_t carry = 0;
    for (uint32_t& limb : limbs_) {
      carry += uint64_t{limb} * factor;
      limb = static_cast<uint32_t>(carry);
      carry >>= 32;
    }
    if (carry != 0) limbs_.push_back(static_cast<uint32_t>(carry));
  }
  // Divides and returns the remainder.
  uint32_t Divide(uint32_t divisor) {
    uint64_t remainder = 0;
    for (size_t i = limbs_.size(); i-- > 0;) {
      remainder = (remainder << 32) | limbs_[i];
      limbs_[i] = static_cast<uint32_t>(remainder / divisor);
      remainder %= divisor;
    }
    while (!limbs_.empty() && limbs_.back() == 0) limbs_.pop_back();
    return static_cast<uint32_t>(remainder);
  }

 private:
  std::vector<uint32_t> limbs_;
};

// Sign, integer significand and binary exponent of a finite value: value = significand *
// 2^exponent.
struct Parts {
  bool negative;
  uint64_t significand;
  int exponent;
};

Parts Split(double v) {
  int e = 0;
  const double m = std::frexp(std::fabs(v), &e);  // [0.5, 1)
  return {std::signbit(v), static_cast<uint64_t>(std::ldexp(m, 53)), e - 53};
}

// Decimal digits (least significant first) and decimal exponent, at most `precision` digits.
void Digits(Parts p, int precision, std::string* digits, int* exponent) {
  const int zeros = std::countr_zero(p.significand);
  p.significand >>= zeros;
  int exp = p.exponent + zeros;
  BigInt n(p.significand);
  if (exp > 0) {
    for (; exp > 0; exp -= 16) n.Multiply(1u << std::min(exp, 16));
    exp = 0;
  } else {
    for (int left = -exp; left > 0; left -= 13) {
      uint32_t power = 1;
      for (int i = 0; i < std::min(left, 13); ++i) power *= 5;
      n.Multiply(power);
    }
  }
  // 196/59 bounds log2(10) from above: so many whole digits can be dropped without touching the
  // wanted ones.
  const int wanted_bits = (precision * 196 + 58) / 59;
  if (n.bits() > wanted_bits) {
    const int drop = (n.bits() - wanted_bits) * 59 / 196;
    exp += drop;
    for (int left = drop; left > 0; left -= 9) {
      uint32_t power = 1;
      for (int i = 0; i < std::min(left, 9); ++i) power *= 10;
      n.Divide(power);
    }
  }
  digits->clear();
  while (!n.zero()) {
    const uint32_t d = n.Divide(10);
    if (digits->empty() && d == 0) {
      ++exp;
    } else {
      digits->push_back(static_cast<char>('0' + d));
    }
  }
  const int count = static_cast<int>(digits->size());
  if (count > precision) {
    auto first = static_cast<size_t>(count - precision);
    const bool up = (*digits)[first - 1] >= '5';
    if (!up) {
      while (first < digits->size() && (*digits)[first] == '0') ++first;
    } else {
      size_t i = first;
      while (i < digits->size() && (*digits)[i] == '9') {
        ++i;
        ++first;
      }
      if (i < digits->size()) ++(*digits)[i];
    }
    exp += static_cast<int>(first);
    if (up && first == digits->size()) {
      *digits = "1";
    } else {
      digits->erase(0, first);
    }
  }
  *exponent = exp;
}

// d.ddddde+dd, padded to `precision` digits after the point.
std::string Short(const Parts& p, int precision) {
  std::string out = p.negative ? "-" : "";
  if (p.significand == 0)
    return out + "0." + std::string(static_cast<size_t>(precision), '0') + "e+00";
  std::string digits;
  int exp = 0;
  Digits(p, precision, &digits, &exp);
  exp += static_cast<int>(digits.size()) - 1;
  out += digits.back();
  out += '.';
  out.append(digits.rbegin() + 1, digits.rend());
  out.append(static_cast<size_t>(precision) - digits.size() + 1, '0');
  StrAppend(&out, 'e', exp < 0 ? '-' : '+', std::abs(exp) < 10 ? "0" : "", std::abs(exp));
  return out;
}

// The form for values that six digits do not name.
std::string Long(const Parts& p, int precision) {
  constexpr int kMaxPadding = 3;
  std::string out = p.negative ? "-" : "";
  std::string digits;
  int exp = 0;
  Digits(p, precision, &digits, &exp);
  const int n = static_cast<int>(digits.size());
  bool scientific = false;
  if (exp >= 0) {
    scientific = exp > kMaxPadding || n + exp > precision;
  } else if (exp + n - 1 < 0) {
    scientific = -(exp + n - 1) > kMaxPadding;
  }
  std::reverse(digits.begin(), digits.end());
  if (scientific) {
    exp += n - 1;
    StrAppend(&out, digits[0], '.', n == 1 ? "0" : std::string_view(digits).substr(1));
    StrAppend(&out, 'E', exp < 0 ? '-' : '+', std::abs(exp));
    return out;
  }
  if (exp >= 0) return out + digits + std::string(static_cast<size_t>(exp), '0');
  const int whole = n + exp;
  if (whole > 0) {
    StrAppend(&out, std::string_view(digits).substr(0, static_cast<size_t>(whole)), '.',
              std::string_view(digits).substr(static_cast<size_t>(whole)));
  } else {
    StrAppend(&out, "0.", std::string(static_cast<size_t>(-whole), '0'), digits);
  }
  return out;
}

// Digits that name any value of the format: 2 + significant bits / log2(10).
int LongPrecision(DType dtype) {
  int bits = 0;
  switch (dtype) {
    case DType::kF64:
      bits = 53;
      break;
    case DType::kF32:
      bits = 24;
      break;
    case DType::kF16:
      bits = 11;
      break;
    case DType::kBF16:
      bits = 8;
      break;
    case DType::kF8E3M4:
      bits = 5;
      break;
    case DType::kF8E5M2:
    case DType::kF8E5M2FNUZ:
      bits = 3;
      break;
    case DType::kF4E2M1FN:
      bits = 2;
      break;
    case DType::kF8E8M0FNU:
      bits = 1;
      break;
    default:
      bits = 4;
      break;  // f8E4M3 and its kin
  }
  return 2 + bits * 59 / 196;
}

double Decode(DType dtype, uint64_t bits) {
  if (dtype == DType::kF64) return std::bit_cast<double>(bits);
  if (dtype == DType::kF32) return std::bit_cast<float>(static_cast<uint32_t>(bits));
  return tensor::DecodeSmallFloat(dtype, static_cast<uint16_t>(bits));
}

// Reads `text` back in the format itself (not by way of double), so that it may be compared with
// the original.
uint64_t Encode(DType dtype, const std::string& text) {
  const bool negative = text.front() == '-';
  const char* first = text.data() + (negative ? 1 : 0);
  const char* last = text.data() + text.size();
  if (dtype == DType::kF32) {
    float v = 0;
    std::from_chars(first, last, v);
    return std::bit_cast<uint32_t>(negative ? -v : v);
  }
  double v = 0;
  std::from_chars(first, last, v);
  if (negative) v = -v;
  return dtype == DType::kF64 ? std::bit_cast<uint64_t>(v) : tensor::EncodeSmallFloat(dtype, v);
}

}  // namespace

void AppendFloatText(DType dtype, uint64_t bits, std::string* out) {
  const double v = Decode(dtype, bits);
  if (std::isfinite(v)) {
    Parts p = Split(v);
    if (v == 0) p.significand = 0;
    const std::string six = Short(p, 6);
    if (Encode(dtype, six) == bits) {
      *out += six;
      return;
    }
    if (p.significand != 0) {
      const std::string longer = Long(p, LongPrecision(dtype));
      if (longer.find('.') != std::string::npos) {
        *out += longer;
        return;
      }
    }
  }
  const int digits = (tensor::BitWidth(dtype) + 3) / 4;
  constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string hex;
  for (int i = digits; i-- > 0;) hex += kHex[(bits >> (4 * i)) & 15];
  const size_t first = std::min(hex.find_first_not_of('0'), hex.size() - 1);
  StrAppend(out, "0x", std::string_view(hex).substr(first));
}

}  // namespace megalith::stablehlo

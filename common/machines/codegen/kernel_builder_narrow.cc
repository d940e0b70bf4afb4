// Integers of less than a byte and floats of at most a byte in fused kernels. A register holds the
// element's byte, so that moving it costs nothing; what computes decodes its operands and encodes
// its result, as the reference evaluator does. Nothing that runs kernels knows of them.
#include "common/machines/codegen/kernel_builder.h"

#include <bit>
#include <cmath>
#include <limits>
#include <optional>

namespace megalith::codegen {
namespace {

enum class Special : uint8_t {
  kIeee,  // infinities and NaN have the exponent of all ones
  kNan,   // all ones is NaN, there is no infinity
  kZero,  // the pattern of -0 is the only NaN, there is no infinity
  kNone,  // neither: numbers that are too large become the largest, NaN -0
};

struct Format {
  DType dtype;
  int exponent, mantissa, bias;  // bits, bits, and what the exponent field has too much
  Special special;
};
constexpr Format kFormats[] = {
    {DType::kF4E2M1FN, 2, 1, 1, Special::kNone}, {DType::kF8E3M4, 3, 4, 3, Special::kIeee},
    {DType::kF8E4M3, 4, 3, 7, Special::kIeee},   {DType::kF8E4M3B11FNUZ, 4, 3, 11, Special::kZero},
    {DType::kF8E4M3FN, 4, 3, 7, Special::kNan},  {DType::kF8E4M3FNUZ, 4, 3, 8, Special::kZero},
    {DType::kF8E5M2, 5, 2, 15, Special::kIeee},  {DType::kF8E5M2FNUZ, 5, 2, 16, Special::kZero},
};

const Format* FormatOf(DType dtype) {
  for (const Format& f : kFormats) {
    if (f.dtype == dtype) return &f;
  }
  return nullptr;
}

bool IsPartOfByte(DType dtype) { return tensor::IsInteger(dtype) && tensor::BitWidth(dtype) < 8; }

// The patterns of a format, without a sign.
struct Patterns {
  uint64_t sign, nan, infinity, largest;
};
Patterns PatternsOf(const Format& f) {
  const uint64_t sign = uint64_t{1} << (f.exponent + f.mantissa);
  const uint64_t top = ((uint64_t{1} << f.exponent) - 1) << f.mantissa;
  switch (f.special) {
    case Special::kIeee:
      return {sign, top | uint64_t{1} << (f.mantissa - 1), top, top - 1};
    case Special::kNan:
      return {sign, sign - 1, sign - 1, sign - 2};
    case Special::kZero:
      return {sign, sign, sign, sign - 1};
    case Special::kNone:
      return {sign, sign, sign - 1, sign - 1};
  }
  return {};
}

}  // namespace

bool IsNarrow(DType type) { return IsPartOfByte(type) || FormatOf(type) != nullptr; }

DType ComputedAs(DType type) {
  if (IsPartOfByte(type)) return tensor::IsSigned(type) ? DType::kI8 : DType::kU8;
  return FormatOf(type) != nullptr ? DType::kF32 : kernels::RegisterType(type);
}

uint32_t KernelBuilder::Word(DType type, uint64_t bits) {
  return Emit(ScalarOp::kConstant, type, {}, bits);
}

// The number that a register with the byte of a narrow element stands for.
uint32_t KernelBuilder::Decoded(uint32_t value, DType storage) {
  if (!IsNarrow(storage)) return value;
  if (const auto it = decoded_.find(value); it != decoded_.end()) return it->second;
  const uint32_t number =
      IsPartOfByte(storage) ? DecodedInt(value, storage) : DecodedFloat(value, storage);
  decoded_[value] = number;
  return number;
}

uint32_t KernelBuilder::DecodedInt(uint32_t value, DType storage) {
  if (!tensor::IsSigned(storage)) return value;
  return Emit(ScalarOp::kBitcast, DType::kI8, {value});
}

// The byte moved to where f32 has exponent and mantissa, and multiplied by what its exponent has
// too little: exact, denormal numbers included.
uint32_t KernelBuilder::DecodedFloat(uint32_t value, DType storage) {
  const DType u32 = DType::kU32, f32 = DType::kF32, truth = DType::kBool;
  const Format& f = *FormatOf(storage);
  const Patterns p = PatternsOf(f);
  const int shift = 23 - f.mantissa;
  const uint32_t byte = Emit(ScalarOp::kConvert, u32, {value});
  const uint32_t magnitude = Emit(ScalarOp::kAnd, u32, {byte, Word(u32, p.sign - 1)});
  const uint32_t moved =
      Emit(ScalarOp::kShiftLeft, u32, {magnitude, Word(u32, static_cast<uint64_t>(shift))});
  const uint32_t small = Emit(ScalarOp::kBitcast, f32, {moved});
  uint32_t number =
      Emit(ScalarOp::kMultiply, f32, {small, Number(f32, std::ldexp(1.0, 127 - f.bias))});
  const uint32_t nan = Number(f32, std::numeric_limits<double>::quiet_NaN());
  if (f.special == Special::kIeee) {
    const uint32_t end = Word(u32, p.infinity);
    const uint32_t infinity = Number(f32, std::numeric_limits<double>::infinity());
    const uint32_t is_end = Emit(ScalarOp::kEqual, truth, {magnitude, end});
    const uint32_t is_nan = Emit(ScalarOp::kGreater, truth, {magnitude, end});
    number = Emit(ScalarOp::kSelect, f32, {is_end, infinity, number});
    number = Emit(ScalarOp::kSelect, f32, {is_nan, nan, number});
  } else if (f.special == Special::kNan) {
    const uint32_t is_nan = Emit(ScalarOp::kEqual, truth, {magnitude, Word(u32, p.nan)});
    number = Emit(ScalarOp::kSelect, f32, {is_nan, nan, number});
  }
  const auto up = static_cast<uint64_t>(31 - f.exponent - f.mantissa);
  const uint32_t sign = Emit(ScalarOp::kShiftLeft, u32,
                             {Emit(ScalarOp::kAnd, u32, {byte, Word(u32, p.sign)}), Word(u32, up)});
  const uint32_t bits = Emit(ScalarOp::kBitcast, u32, {number});
  number = Emit(ScalarOp::kBitcast, f32, {Emit(ScalarOp::kOr, u32, {bits, sign})});
  if (f.special != Special::kZero) return number;
  const uint32_t is_nan = Emit(ScalarOp::kEqual, truth, {byte, Word(u32, p.nan)});
  return Emit(ScalarOp::kSelect, f32, {is_nan, nan, number});
}

// The byte of a narrow element: integers are cut, floats rounded to nearest even.
uint32_t KernelBuilder::Encoded(uint32_t value, DType storage) {
  return IsPartOfByte(storage) ? EncodedInt(value, storage) : EncodedFloat(value, storage);
}

uint32_t KernelBuilder::EncodedInt(uint32_t value, DType storage) {
  const int bits = tensor::BitWidth(storage);
  if (!tensor::IsSigned(storage)) {
    const uint64_t mask = (uint64_t{1} << bits) - 1;
    return Emit(ScalarOp::kAnd, DType::kU8, {value, Word(DType::kU8, mask)});
  }
  const uint32_t unused = Word(DType::kI8, static_cast<uint64_t>(8 - bits));
  const uint32_t top = Emit(ScalarOp::kShiftLeft, DType::kI8, {value, unused});
  const uint32_t cut = Emit(ScalarOp::kShiftRightArithmetic, DType::kI8, {top, unused});
  return Emit(ScalarOp::kBitcast, DType::kU8, {cut});
}

// `value` is f32 or f64. Normal numbers are rounded as integers, denormal ones by adding a number
// whose last place is theirs.
uint32_t KernelBuilder::EncodedFloat(uint32_t value, DType storage) {
  const Format& f = *FormatOf(storage);
  const Patterns p = PatternsOf(f);
  const DType real = stage().instrs[value].type, truth = DType::kBool;
  const bool wide = real == DType::kF64;
  const DType word = wide ? DType::kU64 : DType::kU32;
  const int mantissa = wide ? 52 : 23, bias = wide ? 1023 : 127;
  const int shift = mantissa - f.mantissa;
  const auto number = [&](uint64_t bits) { return Word(word, bits); };
  const auto bits_of = [&](uint32_t x) { return Emit(ScalarOp::kBitcast, word, {x}); };
  const uint32_t bits = bits_of(value);
  const uint32_t magnitude = Emit(ScalarOp::kAbs, real, {value});

  const uint32_t all = bits_of(magnitude);
  const uint32_t places = number(static_cast<uint64_t>(shift));
  const uint32_t odd = Emit(ScalarOp::kAnd, word,
                            {Emit(ScalarOp::kShiftRightLogical, word, {all, places}), number(1)});
  const uint32_t half = number((uint64_t{1} << (shift - 1)) - 1);
  const uint32_t up = Emit(ScalarOp::kAdd, word, {all, Emit(ScalarOp::kAdd, word, {half, odd})});
  const uint32_t rounded = Emit(ScalarOp::kShiftRightLogical, word, {up, places});
  const uint32_t normal =
      Emit(ScalarOp::kSubtract, word,
           {rounded, number(static_cast<uint64_t>(bias - f.bias) << f.mantissa)});

  const uint32_t last_place = Number(real, std::ldexp(1.0, shift + 1 - f.bias));
  const uint32_t sum = Emit(ScalarOp::kAdd, real, {magnitude, last_place});
  const uint32_t denormal = Emit(ScalarOp::kSubtract, word, {bits_of(sum), bits_of(last_place)});

  const uint32_t least = Number(real, std::ldexp(1.0, 1 - f.bias));
  const uint32_t is_small = Emit(ScalarOp::kLess, truth, {magnitude, least});
  uint32_t code = Emit(ScalarOp::kSelect, word, {is_small, denormal, normal});
  const uint32_t overflows = Emit(ScalarOp::kGreater, truth, {code, number(p.largest)});
  code = Emit(ScalarOp::kSelect, word, {overflows, number(p.infinity), code});
  const uint32_t is_nan = Emit(ScalarOp::kNotEqual, truth, {value, value});
  const auto down = static_cast<uint64_t>((wide ? 63 : 31) - f.exponent - f.mantissa);
  uint32_t sign =
      Emit(ScalarOp::kAnd, word,
           {Emit(ScalarOp::kShiftRightLogical, word, {bits, number(down)}), number(p.sign)});
  if (f.special == Special::kZero) {  // no -0, and NaN has that pattern already
    const uint32_t zero = Emit(ScalarOp::kEqual, truth, {code, number(0)});
    sign = Emit(ScalarOp::kSelect, word, {zero, number(0), sign});
  }
  const bool signed_nan = f.special == Special::kIeee || f.special == Special::kNan;
  if (signed_nan) code = Emit(ScalarOp::kSelect, word, {is_nan, number(p.nan), code});
  code = Emit(ScalarOp::kOr, word, {code, sign});
  if (!signed_nan) code = Emit(ScalarOp::kSelect, word, {is_nan, number(p.nan), code});
  return Emit(ScalarOp::kConvert, DType::kU8, {code});
}

// Where kernels and the evaluator convert a number of register type `from` to a narrow one.
uint32_t KernelBuilder::ConvertedToNarrow(uint32_t value, DType storage) {
  const DType from = stage().instrs[value].type;
  if (!IsPartOfByte(storage)) {
    // What f32 cannot hold is rounded from f64.
    const bool exact = tensor::IsBool(from) || tensor::BitWidth(from) <= 16;
    const DType real = tensor::IsFloat(from) ? from : exact ? DType::kF32 : DType::kF64;
    return Encoded(Cast(value, real), storage);
  }
  const DType byte = ComputedAs(storage);
  uint32_t cast = Cast(value, byte);
  if (tensor::IsFloat(from)) {
    const int bits = tensor::BitWidth(storage) - (tensor::IsSigned(storage) ? 1 : 0);
    const int64_t most = (int64_t{1} << bits) - 1;
    const int64_t least = tensor::IsSigned(storage) ? -most - 1 : 0;
    const auto limit = [&](int64_t n) { return Word(byte, static_cast<uint64_t>(n) & 0xFF); };
    cast = Emit(ScalarOp::kMinimum, byte, {cast, limit(most)});
    cast = Emit(ScalarOp::kMaximum, byte, {cast, limit(least)});
  }
  return Encoded(cast, storage);
}

}  // namespace megalith::codegen

// Tile routines of conversions: between register types, and between storage and registers. Compiled
// once per instruction set.
#include "common/machines/kernels/tile_blocks.h"
#include "common/machines/kernels/tile_sets.h"

namespace megalith::kernels::MEGALITH_TILES {
namespace {

template <class V>
using Element = std::remove_cvref_t<decltype(V{}[0])>;

template <class R>
struct ConvertOp {
  template <int L, class V>
  static Vec<R, L> Apply(V a, uint64_t) {
    using T = Element<V>;
    if constexpr (std::is_floating_point_v<T> && std::is_integral_v<R>) {
      return Saturate<L>(a);
    } else {
      return __builtin_convertvector(a, Vec<R, L>);
    }
  }

  // Truncates; beyond the limits of R the limit, NaN gives 0.
  template <int L, class V>
  static Vec<R, L> Saturate(V a) {
    using T = Element<V>;
    constexpr bool kSigned = std::is_signed_v<R>;
    constexpr int kDigits = static_cast<int>(sizeof(R)) * 8 - (kSigned ? 1 : 0);
    constexpr R kHighest = static_cast<R>(static_cast<UnsignedOf<R>>(-1) >> (kSigned ? 1 : 0));
    constexpr R kLowest = kSigned ? static_cast<R>(-kHighest - 1) : R{0};
    constexpr T kHigh = static_cast<T>(uint64_t{1} << (kDigits - 1)) * 2;
    constexpr T kLow = static_cast<T>(kLowest);
    const auto high = a >= kHigh;
    const auto low = a <= kLow;
    const V inside = ((a < kHigh) & (a > kLow)) ? a : V{};
    Vec<R, L> r = __builtin_convertvector(inside, Vec<R, L>);
    using Words = Vec<SignedOf<R>, L>;
    r = __builtin_convertvector(high, Words) != 0 ? Vec<R, L>{} + kHighest : r;
    return __builtin_convertvector(low, Words) != 0 ? Vec<R, L>{} + kLowest : r;
  }
};
struct ToBoolOp {
  template <int L, class V>
  static Vec<uint8_t, L> Apply(V a, uint64_t) {
    return (Vec<uint8_t, L>)__builtin_convertvector(a != 0, Vec<int8_t, L>) & 1;
  }
};

template <class R>
TileFn From(DType from) {
  switch (from) {
    case DType::kI8:
      return Tile<ConvertOp<R>, R, int8_t>;
    case DType::kI16:
      return Tile<ConvertOp<R>, R, int16_t>;
    case DType::kI32:
      return Tile<ConvertOp<R>, R, int32_t>;
    case DType::kI64:
      return Tile<ConvertOp<R>, R, int64_t>;
    case DType::kBool:
    case DType::kU8:
      return Tile<ConvertOp<R>, R, uint8_t>;
    case DType::kU16:
      return Tile<ConvertOp<R>, R, uint16_t>;
    case DType::kU32:
      return Tile<ConvertOp<R>, R, uint32_t>;
    case DType::kU64:
      return Tile<ConvertOp<R>, R, uint64_t>;
    case DType::kF32:
      return Tile<ConvertOp<R>, R, float>;
    case DType::kF64:
      return Tile<ConvertOp<R>, R, double>;
    default:
      return nullptr;
  }
}
TileFn ToBool(DType from) {
  switch (from) {
    case DType::kBool:
    case DType::kI8:
    case DType::kU8:
      return Tile<ToBoolOp, uint8_t, uint8_t>;
    case DType::kI16:
    case DType::kU16:
      return Tile<ToBoolOp, uint8_t, uint16_t>;
    case DType::kI32:
    case DType::kU32:
      return Tile<ToBoolOp, uint8_t, uint32_t>;
    case DType::kI64:
    case DType::kU64:
      return Tile<ToBoolOp, uint8_t, uint64_t>;
    case DType::kF32:
      return Tile<ToBoolOp, uint8_t, float>;
    case DType::kF64:
      return Tile<ToBoolOp, uint8_t, double>;
    default:
      return nullptr;
  }
}
bool IsReal(DType d) { return d == DType::kF32 || d == DType::kF64; }

// Quiets NaN, cuts its payload.
struct EncodeBf16Op {
  template <int L, class V>
  static Vec<uint16_t, L> Apply(V a, uint64_t) {
    using Words = Vec<uint32_t, L>;
    const Words u = (Words)a;
    const Words rounded = (u + 0x7FFF + ((u >> 16) & 1)) >> 16;
    const Words nan = (u >> 16) | 0x40;
    return __builtin_convertvector(a == a ? rounded : nan, Vec<uint16_t, L>);
  }
};
struct DecodeBf16Op {
  template <int L, class V>
  static Vec<float, L> Apply(V a, uint64_t) {
    return (Vec<float, L>)(__builtin_convertvector(a, Vec<uint32_t, L>) << 16);
  }
};
// Denormals are exact through an addition that puts their bits in place.
struct DecodeF16Op {
  template <int L, class V>
  static Vec<float, L> Apply(V a, uint64_t) {
    using Words = Vec<uint32_t, L>;
    using Floats = Vec<float, L>;
    const Words h = __builtin_convertvector(a, Words);
    const Words sign = (h & 0x8000) << 16;
    const Words magnitude = (h & 0x7FFF) << 13;
    const Words normal = magnitude + (112u << 23);
    const Words special = magnitude + (224u << 23);
    const Floats tiny = (Floats)(magnitude + (113u << 23)) - 6.103515625e-05f;
    const Words value = (h & 0x7C00) == 0 ? (Words)tiny : (h & 0x7C00) == 0x7C00 ? special : normal;
    return (Floats)(value | sign);
  }
};
struct EncodeF16Op {
  template <int L, class V>
  static Vec<uint16_t, L> Apply(V a, uint64_t) {
    using Words = Vec<uint32_t, L>;
    using Floats = Vec<float, L>;
    const Words u = (Words)a;
    const Words sign = (u >> 16) & 0x8000;
    const Words m = u & 0x7FFFFFFF;
    const Words normal = (m - (112u << 23) + 0xFFF + ((m >> 13) & 1)) >> 13;
    const Words tiny = (Words)((Floats)m + 0.5f) - (126u << 23);  // 0.5 has an ulp of 2^-24
    Words h = (Vec<int32_t, L>)m < (113 << 23) ? tiny : normal;
    h = (Vec<int32_t, L>)m >= 0x477FF000 ? Words{} + 0x7C00 : h;  // 65520 and above
    h = (Vec<int32_t, L>)m > 0x7F800000 ? Words{} + 0x7E00 : h;
    return __builtin_convertvector(h | sign, Vec<uint16_t, L>);
  }
};
template <class Encode, class Decode>
struct RoundOp {
  template <int L, class V>
  static V Apply(V a, uint64_t) {
    return Decode::template Apply<L>(Encode::template Apply<L>(a, 0), 0);
  }
};
struct RoundToOp {
  template <int L, class V>
  static V Apply(V a, uint64_t to) {
    if (to == static_cast<uint64_t>(DType::kBF16)) {
      return RoundOp<EncodeBf16Op, DecodeBf16Op>::template Apply<L>(a, 0);
    }
    return RoundOp<EncodeF16Op, DecodeF16Op>::template Apply<L>(a, 0);
  }
};

}  // namespace

TileFn FindConvert(DType from, DType to) {
  switch (to) {
    case DType::kBool:
      return ToBool(from);
    case DType::kI8:
      return IsReal(from) ? From<int8_t>(from) : From<uint8_t>(from);
    case DType::kI16:
      return IsReal(from) ? From<int16_t>(from) : From<uint16_t>(from);
    case DType::kI32:
      return IsReal(from) ? From<int32_t>(from) : From<uint32_t>(from);
    case DType::kI64:
      return IsReal(from) ? From<int64_t>(from) : From<uint64_t>(from);
    case DType::kU8:
      return From<uint8_t>(from);
    case DType::kU16:
      return From<uint16_t>(from);
    case DType::kU32:
      return From<uint32_t>(from);
    case DType::kU64:
      return From<uint64_t>(from);
    case DType::kF32:
      if (from == DType::kBF16) return Tile<DecodeBf16Op, float, uint16_t>;
      if (from == DType::kF16) return Tile<DecodeF16Op, float, uint16_t>;
      return From<float>(from);
    case DType::kF64:
      return From<double>(from);
    case DType::kBF16:
      return from == DType::kF32 ? Tile<EncodeBf16Op, uint16_t, float> : nullptr;
    case DType::kF16:
      return from == DType::kF32 ? Tile<EncodeF16Op, uint16_t, float> : nullptr;
    default:
      return nullptr;
  }
}

TileFn FindRoundTo() { return Tile<RoundToOp, float, float>; }

}  // namespace megalith::kernels::MEGALITH_TILES

#include "common/machines/kernels/sort_keys.h"

#include <algorithm>
#include <cstring>

#include "common/machines/kernels/isa.h"

namespace megalith::kernels {
namespace {

// Unsigned integers of type U; signed ones; floats, whose infinity has the bits `infinity`.
template <typename Unsigned>
struct UnsignedKey {
  using U = Unsigned;
  static constexpr bool kIsFloat = false;
  static constexpr U kSign = 0;
  static constexpr U kInfinity = 0;
};
template <typename Unsigned>
struct SignedKey : UnsignedKey<Unsigned> {
  static constexpr Unsigned kSign =
      static_cast<Unsigned>(Unsigned{1} << (8 * sizeof(Unsigned) - 1));
};
template <typename Unsigned, Unsigned infinity>
struct FloatKey : SignedKey<Unsigned> {
  static constexpr bool kIsFloat = true;
  static constexpr Unsigned kInfinity = infinity;
};

template <typename K>
struct Codec {
  using U = typename K::U;
  static constexpr int kBits = 8 * sizeof(U);
  static constexpr U kSign = K::kSign;
  static constexpr U kMagnitude = static_cast<U>(~kSign);
  // The infinity with the top bit of the fraction set: the NaN that arithmetic makes.
  static constexpr U kNan =
      static_cast<U>(K::kInfinity | (K::kInfinity & (~K::kInfinity + 1)) >> 1);

  [[gnu::always_inline]] static bool IsNan(U u) {
    return K::kIsFloat && static_cast<U>(u & kMagnitude) > K::kInfinity;
  }
  [[gnu::always_inline]] static U Uniform(U u) {
    if constexpr (K::kIsFloat) {
      u = static_cast<U>(u & kMagnitude) == 0 ? U{0} : u;
      u = IsNan(u) ? kNan : u;
    }
    return u;
  }
  // `flip` is all ones for a descending order.
  [[gnu::always_inline]] static U Encode(U u, bool uniform, U flip) {
    if constexpr (K::kIsFloat) {
      u = uniform ? Uniform(u) : u;
      const U negative = static_cast<U>(U{0} - static_cast<U>(u >> (kBits - 1)));
      u = static_cast<U>(u ^ static_cast<U>(negative | kSign));
    } else {
      u = static_cast<U>(u ^ kSign);
    }
    return static_cast<U>(u ^ flip);
  }
  [[gnu::always_inline]] static U Decode(U u, U flip) {
    u = static_cast<U>(u ^ flip);
    if constexpr (K::kIsFloat) {
      const U positive = static_cast<U>(U{0} - static_cast<U>(u >> (kBits - 1)));
      return static_cast<U>(u ^ static_cast<U>(static_cast<U>(~positive) | kSign));
    }
    return static_cast<U>(u ^ kSign);
  }
  static U Flip(KeyOptions o) { return static_cast<U>(o.descending ? ~U{0} : U{0}); }
  static bool IsUniform(KeyOptions o) { return o.order != SortOrder::kTotal; }

  // Calls put(i, key) for every element and says what was there.
  template <typename Get, typename Put>
  static KeyFindings Each(int64_t n, KeyOptions options, const Get& get, const Put& put) {
    const U flip = Flip(options);
    U nan = 0, merged = 0;
    OnBestIsa([&]() __attribute__((always_inline)) {
      U any_nan = 0, any_merged = 0;
      if (K::kIsFloat && IsUniform(options)) {
#ifndef __clang__
#pragma GCC ivdep
#endif
        for (int64_t i = 0; i < n; ++i) {
          const U u = get(i);
          any_nan |= static_cast<U>(IsNan(u) ? 1 : 0);
          any_merged |= static_cast<U>(u ^ Uniform(u));
          put(i, Encode(u, true, flip));
        }
      } else {
#ifndef __clang__
#pragma GCC ivdep
#endif
        for (int64_t i = 0; i < n; ++i) put(i, Encode(get(i), false, flip));
      }
      nan = any_nan;
      merged = any_merged;
    });
    return {nan != 0, merged != 0};
  }

  static KeyFindings EncodeColumn(const void* column, int64_t n, KeyOptions options, void* keys) {
    const U* from = static_cast<const U*>(column);
    U* to = static_cast<U*>(keys);
    return Each(
        n, options, [=](int64_t i) __attribute__((always_inline)) { return from[i]; },
        [=](int64_t i, U key) __attribute__((always_inline)) { to[i] = key; });
  }
  static void DecodeColumn(const void* keys, int64_t n, KeyOptions options, void* column) {
    const U* from = static_cast<const U*>(keys);
    U* to = static_cast<U*>(column);
    const U flip = Flip(options);
    OnBestIsa([&]() __attribute__((always_inline)) {
    // In place or not, element i depends on element i alone.
#ifndef __clang__
#pragma GCC ivdep
#endif
      for (int64_t i = 0; i < n; ++i) to[i] = Decode(from[i], flip);
    });
  }
  static KeyFindings Pack(const void* column, int64_t n, KeyOptions options, uint64_t* packed) {
    const U* from = static_cast<const U*>(column);
    return Each(
        n, options, [=](int64_t i) __attribute__((always_inline)) { return from[i]; },
        [=](int64_t i, U key) __attribute__((always_inline)) {
          packed[i] = uint64_t{key} << 32 | static_cast<uint32_t>(i);
        });
  }
  static void Unpack(const uint64_t* packed, int64_t n, KeyOptions options, void* column) {
    U* to = static_cast<U*>(column);
    const U flip = Flip(options);
    OnBestIsa([&]() __attribute__((always_inline)) {
      for (int64_t i = 0; i < n; ++i) to[i] = Decode(static_cast<U>(packed[i] >> 32), flip);
    });
  }
  static KeyFindings Append(const void* column, int64_t n, KeyOptions options,
                            KeyedIndex* elements) {
    const U* from = static_cast<const U*>(column);
    return Each(
        n, options,
        [=](int64_t i) __attribute__((always_inline)) { return from[elements[i].index]; },
        [=](int64_t i, U key) __attribute__((always_inline)) {
          if constexpr (kBits == 64) {
            elements[i].key = key;
          } else {
            elements[i].key = elements[i].key << kBits | key;
          }
        });
  }
  static void Restore(const void* column, int64_t n, KeyOptions options, void* sorted) {
    const U* from = static_cast<const U*>(column);
    U* to = static_cast<U*>(sorted);
    const U flip = Flip(options);
    const auto first = [&](U value) {
      const U key = Encode(value, true, flip);
      return std::partition_point(to, to + n, [&](U u) { return Encode(u, true, flip) < key; });
    };
    U* zeros = first(0);
    U* nans = first(kNan);
    for (int64_t i = 0; i < n; ++i) {
      if (static_cast<U>(from[i] & kMagnitude) == 0) *zeros++ = from[i];
      if (IsNan(from[i])) *nans++ = from[i];
    }
  }
  static bool Before(const void* column, int64_t a, int64_t b, KeyOptions options) {
    const U* from = static_cast<const U*>(column);
    if (options.order == SortOrder::kPlain && (IsNan(from[a]) || IsNan(from[b]))) return false;
    const U flip = Flip(options);
    return Encode(from[a], IsUniform(options), flip) < Encode(from[b], IsUniform(options), flip);
  }
  static bool Equal(const void* column, int64_t a, int64_t b, KeyOptions options) {
    const U* from = static_cast<const U*>(column);
    if (options.order == SortOrder::kPlain && (IsNan(from[a]) || IsNan(from[b]))) return false;
    return Encode(from[a], IsUniform(options), 0) == Encode(from[b], IsUniform(options), 0);
  }
};

template <typename K>
constexpr KeyOps kOps = {
    .bits = Codec<K>::kBits,
    .is_float = K::kIsFloat,
    .encode = Codec<K>::EncodeColumn,
    .decode = Codec<K>::DecodeColumn,
    .pack = sizeof(typename K::U) <= 4 ? Codec<K>::Pack : nullptr,
    .unpack = sizeof(typename K::U) <= 4 ? Codec<K>::Unpack : nullptr,
    .append = Codec<K>::Append,
    .restore = K::kIsFloat ? Codec<K>::Restore : nullptr,
    .before = Codec<K>::Before,
    .equal = Codec<K>::Equal,
};

}  // namespace

const KeyOps* FindKeyOps(DType dtype) {
  switch (dtype) {
    case DType::kBool:
    case DType::kU2:
    case DType::kU4:
    case DType::kU8:
      return &kOps<UnsignedKey<uint8_t>>;
    case DType::kI2:
    case DType::kI4:
    case DType::kI8:
      return &kOps<SignedKey<uint8_t>>;
    case DType::kU16:
      return &kOps<UnsignedKey<uint16_t>>;
    case DType::kI16:
      return &kOps<SignedKey<uint16_t>>;
    case DType::kU32:
      return &kOps<UnsignedKey<uint32_t>>;
    case DType::kI32:
      return &kOps<SignedKey<uint32_t>>;
    case DType::kU64:
      return &kOps<UnsignedKey<uint64_t>>;
    case DType::kI64:
      return &kOps<SignedKey<uint64_t>>;
    case DType::kF16:
      return &kOps<FloatKey<uint16_t, 0x7C00>>;
    case DType::kBF16:
      return &kOps<FloatKey<uint16_t, 0x7F80>>;
    case DType::kF32:
      return &kOps<FloatKey<uint32_t, 0x7F800000>>;
    case DType::kF64:
      return &kOps<FloatKey<uint64_t, 0x7FF0000000000000>>;
    default:
      return nullptr;
  }
}

}  // namespace megalith::kernels

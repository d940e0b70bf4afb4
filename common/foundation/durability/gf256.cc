#include "common/foundation/durability/gf256.h"

#include <array>
#include <cstring>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace megalith::durability {
namespace {

constexpr uint32_t kPolynomial = 0x11D;

struct Tables {
  std::array<uint8_t, 510> power{};
  std::array<uint8_t, 256> log{};
  constexpr Tables() {
    uint32_t x = 1;
    for (uint32_t i = 0; i < 255; ++i) {
      power[i] = power[i + 255] = static_cast<uint8_t>(x);
      log[x] = static_cast<uint8_t>(i);
      x <<= 1;
      if (x & 0x100) x ^= kPolynomial;
    }
  }
  constexpr uint8_t Multiply(uint8_t a, uint8_t b) const {
    return a == 0 || b == 0 ? 0 : power[log[a] + log[b]];
  }
};
constexpr Tables kTables;

// Products of one factor with all low and all high nibbles: their sum is the product of a byte.
struct NibbleTables {
  alignas(16) uint8_t low[16];
  alignas(16) uint8_t high[16];
};

constexpr std::array<NibbleTables, 256> kNibbles = [] {
  std::array<NibbleTables, 256> out{};
  for (uint32_t factor = 0; factor < 256; ++factor) {
    for (uint32_t i = 0; i < 16; ++i) {
      out[factor].low[i] = kTables.Multiply(static_cast<uint8_t>(factor), static_cast<uint8_t>(i));
      out[factor].high[i] =
          kTables.Multiply(static_cast<uint8_t>(factor), static_cast<uint8_t>(i << 4));
    }
  }
  return out;
}();

uint64_t Load64(const uint8_t* p) {
  uint64_t v = 0;
  std::memcpy(&v, p, sizeof(v));
  return v;
}
void Store64(uint8_t* p, uint64_t v) { std::memcpy(p, &v, sizeof(v)); }

// All kernels finish what is shorter than a vector with these.
void SumFrom(size_t at, uint8_t* into, const uint8_t* const* sources, size_t count, size_t bytes,
             bool overwrite) {
  for (; at + 8 <= bytes; at += 8) {
    uint64_t v = overwrite ? 0 : Load64(into + at);
    for (size_t s = 0; s < count; ++s) v ^= Load64(sources[s] + at);
    Store64(into + at, v);
  }
  for (; at < bytes; ++at) {
    uint8_t v = overwrite ? 0 : into[at];
    for (size_t s = 0; s < count; ++s) v = static_cast<uint8_t>(v ^ sources[s][at]);
    into[at] = v;
  }
}

void MultiplyAddFrom(size_t at, uint8_t* into, const uint8_t* source, const NibbleTables& t,
                     size_t bytes) {
  for (; at < bytes; ++at) {
    const uint8_t b = source[at];
    into[at] = static_cast<uint8_t>(into[at] ^ t.low[b & 15] ^ t.high[b >> 4]);
  }
}

void ScaleFrom(size_t at, uint8_t* row, const NibbleTables& t, size_t bytes) {
  for (; at < bytes; ++at)
    row[at] = static_cast<uint8_t>(t.low[row[at] & 15] ^ t.high[row[at] >> 4]);
}

void DoubleAddFrom(size_t at, uint8_t* into, const uint8_t* source, size_t bytes) {
  constexpr uint64_t kTops = 0x8080808080808080u;
  for (; at + 8 <= bytes; at += 8) {
    const uint64_t v = Load64(into + at);
    const uint64_t tops = (v & kTops) >> 7;
    uint64_t doubled = ((v & ~kTops) << 1) ^ (tops * (kPolynomial & 0xFF));
    if (source != nullptr) doubled ^= Load64(source + at);
    Store64(into + at, doubled);
  }
  for (; at < bytes; ++at) {
    const uint32_t doubled = into[at] * 2u;
    into[at] = static_cast<uint8_t>(doubled ^ (doubled & 0x100 ? kPolynomial : 0) ^
                                    (source != nullptr ? source[at] : 0));
  }
}

void SumPortable(uint8_t* into, const uint8_t* const* sources, size_t count, size_t bytes,
                 bool overwrite) {
  SumFrom(0, into, sources, count, bytes, overwrite);
}
void MultiplyAddPortable(uint8_t* into, const uint8_t* source, uint8_t factor, size_t bytes) {
  MultiplyAddFrom(0, into, source, kNibbles[factor], bytes);
}
void ScalePortable(uint8_t* row, uint8_t factor, size_t bytes) {
  ScaleFrom(0, row, kNibbles[factor], bytes);
}
void DoubleAddPortable(uint8_t* into, const uint8_t* source, size_t bytes) {
  DoubleAddFrom(0, into, source, bytes);
}

constexpr Gf256Kernels kPortable = {"portable", SumPortable, MultiplyAddPortable, ScalePortable,
                                    DoubleAddPortable};

#if defined(__x86_64__)

// SSE2 is part of every x86-64 machine; SSSE3 adds pshufb.
#define MEGALITH_SSSE3 __attribute__((target("ssse3")))

__m128i* To128(uint8_t* p) { return reinterpret_cast<__m128i*>(p); }
const __m128i* To128(const uint8_t* p) { return reinterpret_cast<const __m128i*>(p); }

void SumSse2(uint8_t* into, const uint8_t* const* sources, size_t count, size_t bytes,
             bool overwrite) {
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    __m128i a = overwrite ? _mm_setzero_si128() : _mm_loadu_si128(To128(into + at));
    __m128i b = overwrite ? _mm_setzero_si128() : _mm_loadu_si128(To128(into + at + 16));
    for (size_t s = 0; s < count; ++s) {
      a = _mm_xor_si128(a, _mm_loadu_si128(To128(sources[s] + at)));
      b = _mm_xor_si128(b, _mm_loadu_si128(To128(sources[s] + at + 16)));
    }
    _mm_storeu_si128(To128(into + at), a);
    _mm_storeu_si128(To128(into + at + 16), b);
  }
  SumFrom(at, into, sources, count, bytes, overwrite);
}

void DoubleAddSse2(uint8_t* into, const uint8_t* source, size_t bytes) {
  const __m128i reduce = _mm_set1_epi8(kPolynomial & 0xFF);
  size_t at = 0;
  for (; at + 16 <= bytes; at += 16) {
    const __m128i v = _mm_loadu_si128(To128(into + at));
    const __m128i negative = _mm_cmpgt_epi8(_mm_setzero_si128(), v);
    __m128i d = _mm_xor_si128(_mm_add_epi8(v, v), _mm_and_si128(negative, reduce));
    if (source != nullptr) d = _mm_xor_si128(d, _mm_loadu_si128(To128(source + at)));
    _mm_storeu_si128(To128(into + at), d);
  }
  DoubleAddFrom(at, into, source, bytes);
}

MEGALITH_SSSE3 __m128i Product128(__m128i v, __m128i low, __m128i high) {
  const __m128i nibble = _mm_set1_epi8(15);
  return _mm_xor_si128(_mm_shuffle_epi8(low, _mm_and_si128(v, nibble)),
                       _mm_shuffle_epi8(high, _mm_and_si128(_mm_srli_epi64(v, 4), nibble)));
}

MEGALITH_SSSE3 void MultiplyAddSsse3(uint8_t* into, const uint8_t* source, uint8_t factor,
                                     size_t bytes) {
  const NibbleTables& t = kNibbles[factor];
  const __m128i low = _mm_load_si128(To128(t.low));
  const __m128i high = _mm_load_si128(To128(t.high));
  size_t at = 0;
  for (; at + 16 <= bytes; at += 16) {
    const __m128i p = Product128(_mm_loadu_si128(To128(source + at)), low, high);
    _mm_storeu_si128(To128(into + at), _mm_xor_si128(p, _mm_loadu_si128(To128(into + at))));
  }
  MultiplyAddFrom(at, into, source, t, bytes);
}

MEGALITH_SSSE3 void ScaleSsse3(uint8_t* row, uint8_t factor, size_t bytes) {
  const NibbleTables& t = kNibbles[factor];
  const __m128i low = _mm_load_si128(To128(t.low));
  const __m128i high = _mm_load_si128(To128(t.high));
  size_t at = 0;
  for (; at + 16 <= bytes; at += 16) {
    _mm_storeu_si128(To128(row + at), Product128(_mm_loadu_si128(To128(row + at)), low, high));
  }
  ScaleFrom(at, row, t, bytes);
}

#define MEGALITH_AVX2 __attribute__((target("avx2")))

__m256i* To256(uint8_t* p) { return reinterpret_cast<__m256i*>(p); }
const __m256i* To256(const uint8_t* p) { return reinterpret_cast<const __m256i*>(p); }

MEGALITH_AVX2 void SumAvx2(uint8_t* into, const uint8_t* const* sources, size_t count, size_t bytes,
                           bool overwrite) {
  size_t at = 0;
  const __m256i zero = _mm256_setzero_si256();
  for (; at + 128 <= bytes; at += 128) {
    __m256i a = overwrite ? zero : _mm256_loadu_si256(To256(into + at));
    __m256i b = overwrite ? zero : _mm256_loadu_si256(To256(into + at + 32));
    __m256i c = overwrite ? zero : _mm256_loadu_si256(To256(into + at + 64));
    __m256i d = overwrite ? zero : _mm256_loadu_si256(To256(into + at + 96));
    for (size_t s = 0; s < count; ++s) {
      const uint8_t* const from = sources[s] + at;
      a = _mm256_xor_si256(a, _mm256_loadu_si256(To256(from)));
      b = _mm256_xor_si256(b, _mm256_loadu_si256(To256(from + 32)));
      c = _mm256_xor_si256(c, _mm256_loadu_si256(To256(from + 64)));
      d = _mm256_xor_si256(d, _mm256_loadu_si256(To256(from + 96)));
    }
    _mm256_storeu_si256(To256(into + at), a);
    _mm256_storeu_si256(To256(into + at + 32), b);
    _mm256_storeu_si256(To256(into + at + 64), c);
    _mm256_storeu_si256(To256(into + at + 96), d);
  }
  for (; at + 32 <= bytes; at += 32) {
    __m256i a = overwrite ? zero : _mm256_loadu_si256(To256(into + at));
    for (size_t s = 0; s < count; ++s)
      a = _mm256_xor_si256(a, _mm256_loadu_si256(To256(sources[s] + at)));
    _mm256_storeu_si256(To256(into + at), a);
  }
  SumFrom(at, into, sources, count, bytes, overwrite);
}

MEGALITH_AVX2 void DoubleAddAvx2(uint8_t* into, const uint8_t* source, size_t bytes) {
  const __m256i reduce = _mm256_set1_epi8(kPolynomial & 0xFF);
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    const __m256i v = _mm256_loadu_si256(To256(into + at));
    const __m256i negative = _mm256_cmpgt_epi8(_mm256_setzero_si256(), v);
    __m256i d = _mm256_xor_si256(_mm256_add_epi8(v, v), _mm256_and_si256(negative, reduce));
    if (source != nullptr) d = _mm256_xor_si256(d, _mm256_loadu_si256(To256(source + at)));
    _mm256_storeu_si256(To256(into + at), d);
  }
  DoubleAddFrom(at, into, source, bytes);
}

MEGALITH_AVX2 __m256i Product256(__m256i v, __m256i low, __m256i high) {
  const __m256i nibble = _mm256_set1_epi8(15);
  return _mm256_xor_si256(
      _mm256_shuffle_epi8(low, _mm256_and_si256(v, nibble)),
      _mm256_shuffle_epi8(high, _mm256_and_si256(_mm256_srli_epi64(v, 4), nibble)));
}

MEGALITH_AVX2 void MultiplyAddAvx2(uint8_t* into, const uint8_t* source, uint8_t factor,
                                   size_t bytes) {
  const NibbleTables& t = kNibbles[factor];
  const __m256i low = _mm256_broadcastsi128_si256(_mm_load_si128(To128(t.low)));
  const __m256i high = _mm256_broadcastsi128_si256(_mm_load_si128(To128(t.high)));
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    const __m256i p = Product256(_mm256_loadu_si256(To256(source + at)), low, high);
    _mm256_storeu_si256(To256(into + at),
                        _mm256_xor_si256(p, _mm256_loadu_si256(To256(into + at))));
  }
  MultiplyAddFrom(at, into, source, t, bytes);
}

MEGALITH_AVX2 void ScaleAvx2(uint8_t* row, uint8_t factor, size_t bytes) {
  const NibbleTables& t = kNibbles[factor];
  const __m256i low = _mm256_broadcastsi128_si256(_mm_load_si128(To128(t.low)));
  const __m256i high = _mm256_broadcastsi128_si256(_mm_load_si128(To128(t.high)));
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    _mm256_storeu_si256(To256(row + at),
                        Product256(_mm256_loadu_si256(To256(row + at)), low, high));
  }
  ScaleFrom(at, row, t, bytes);
}

// GFNI's own product is modulo another polynomial; its affine transform takes any matrix over bits.
// Byte 7 - i of the matrix says which bits of the operand make bit i of the result.
constexpr std::array<uint64_t, 256> kMatrices = [] {
  std::array<uint64_t, 256> out{};
  for (uint32_t factor = 0; factor < 256; ++factor) {
    for (uint32_t bit = 0; bit < 8; ++bit) {
      const uint8_t column =
          kTables.Multiply(static_cast<uint8_t>(factor), static_cast<uint8_t>(1u << bit));
      for (uint32_t i = 0; i < 8; ++i) {
        if ((column >> i) & 1) out[factor] |= uint64_t{1} << (8 * (7 - i) + bit);
      }
    }
  }
  return out;
}();

#define MEGALITH_GFNI __attribute__((target("gfni,avx2")))

MEGALITH_GFNI void MultiplyAddGfni(uint8_t* into, const uint8_t* source, uint8_t factor,
                                   size_t bytes) {
  const __m256i matrix = _mm256_set1_epi64x(static_cast<int64_t>(kMatrices[factor]));
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    const __m256i p =
        _mm256_gf2p8affine_epi64_epi8(_mm256_loadu_si256(To256(source + at)), matrix, 0);
    _mm256_storeu_si256(To256(into + at),
                        _mm256_xor_si256(p, _mm256_loadu_si256(To256(into + at))));
  }
  if (at < bytes) MultiplyAddFrom(at, into, source, kNibbles[factor], bytes);
}

MEGALITH_GFNI void ScaleGfni(uint8_t* row, uint8_t factor, size_t bytes) {
  const __m256i matrix = _mm256_set1_epi64x(static_cast<int64_t>(kMatrices[factor]));
  size_t at = 0;
  for (; at + 32 <= bytes; at += 32) {
    _mm256_storeu_si256(To256(row + at), _mm256_gf2p8affine_epi64_epi8(
                                             _mm256_loadu_si256(To256(row + at)), matrix, 0));
  }
  if (at < bytes) ScaleFrom(at, row, kNibbles[factor], bytes);
}

constexpr Gf256Kernels kSse2 = {"sse2", SumSse2, MultiplyAddPortable, ScalePortable, DoubleAddSse2};
constexpr Gf256Kernels kSsse3 = {"ssse3", SumSse2, MultiplyAddSsse3, ScaleSsse3, DoubleAddSse2};
constexpr Gf256Kernels kAvx2 = {"avx2", SumAvx2, MultiplyAddAvx2, ScaleAvx2, DoubleAddAvx2};
constexpr Gf256Kernels kGfni = {"gfni", SumAvx2, MultiplyAddGfni, ScaleGfni, DoubleAddAvx2};

#endif  // __x86_64__

const std::vector<const Gf256Kernels*>& Available() {
  static const std::vector<const Gf256Kernels*> available = [] {
    std::vector<const Gf256Kernels*> out = {&kPortable};
#if defined(__x86_64__)
    out.push_back(&kSse2);
    if (__builtin_cpu_supports("ssse3")) out.push_back(&kSsse3);
    if (__builtin_cpu_supports("avx2")) out.push_back(&kAvx2);
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("gfni")) out.push_back(&kGfni);
#endif
    return out;
  }();
  return available;
}

}  // namespace

uint8_t Gf256Multiply(uint8_t a, uint8_t b) { return kTables.Multiply(a, b); }
uint8_t Gf256Inverse(uint8_t a) { return kTables.power[255 - kTables.log[a]]; }
uint8_t Gf256Power(uint32_t exponent) { return kTables.power[exponent % 255]; }

const Gf256Kernels& BestGf256Kernels() { return *Available().back(); }
std::span<const Gf256Kernels* const> AllGf256Kernels() { return Available(); }

}  // namespace megalith::durability

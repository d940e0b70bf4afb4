// Stores that go around the caches, for results too great to stay in them: a whole cache line at a
// time, which then need not be read first.
#pragma once

#include <cstdint>
#include <cstring>

#if defined(__x86_64__)
#include <emmintrin.h>
#endif

namespace megalith::kernels {

// Results smaller than this are likely to be read again before they leave the cache.
inline constexpr int64_t kStreamingBytes = int64_t{12} << 20;

// Copies `bytes`, a multiple of 64, to `to`, which is aligned to 64.
[[gnu::always_inline]] inline void StreamLines(char* to, const char* from, int64_t bytes) {
#if defined(__x86_64__)
  for (int64_t at = 0; at < bytes; at += 64) {
    __m128i v[4];
    std::memcpy(v, from + at, 64);
    for (int i = 0; i < 4; ++i) _mm_stream_si128(reinterpret_cast<__m128i*>(to + at) + i, v[i]);
  }
#else
  std::memcpy(to, from, static_cast<size_t>(bytes));
#endif
}

// Must follow StreamLines before another thread is told that the bytes are there.
inline void FinishStreaming() {
#if defined(__x86_64__)
  _mm_sfence();
#endif
}

}  // namespace megalith::kernels

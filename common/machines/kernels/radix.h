// Stable sorting of integer keys: least significant digit first, eight bits at a time, on one
// thread or several; by counting smaller keys (without branches) for short arrays.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <limits>
#include <memory>
#include <type_traits>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// A key with what travels with it, for keys of more than 32 bits.
struct KeyedIndex {
  uint64_t key;
  uint64_t index;
  [[gnu::always_inline]] friend bool operator<(const KeyedIndex& a, const KeyedIndex& b) {
    return a.key < b.key || (a.key == b.key && a.index < b.index);
  }
};

template <typename E>
[[gnu::always_inline]] inline uint64_t SortKey(const E& e) {
  if constexpr (std::is_same_v<E, KeyedIndex>) {
    return e.key;
  } else {
    return e;
  }
}

namespace radix {

inline constexpr int kBits = 8;
inline constexpr int64_t kBuckets = 1 << kBits;
inline constexpr int kMaxThreads = 32;
inline constexpr int64_t kParallelLength = 1 << 16;  // below, one thread is faster

// rank[i] = the place of element i in the stable order. `keys` and `rank` hold a multiple of
// kLanes elements; those beyond n are the greatest number.
template <typename S>
[[gnu::always_inline]] inline void Ranks(const S* __restrict keys, int64_t padded,
                                         S* __restrict rank) {
  constexpr int64_t kLanes = 64 / sizeof(S);
  for (int64_t block = 0; block < padded; block += kLanes) {
    const S* mine = keys + block;
    S count[kLanes] = {};
    for (int64_t j = 0; j < block; ++j) {
      for (int64_t l = 0; l < kLanes; ++l) count[l] += keys[j] <= mine[l];
    }
    for (int64_t j = 0; j < kLanes; ++j) {
      for (int64_t l = 0; l < kLanes; ++l)
        count[l] += (mine[j] < mine[l]) | ((mine[j] == mine[l]) & (j < l));
    }
    for (int64_t j = block + kLanes; j < padded; ++j) {
      for (int64_t l = 0; l < kLanes; ++l) count[l] += keys[j] < mine[l];
    }
    for (int64_t l = 0; l < kLanes; ++l) rank[block + l] = count[l];
  }
}

template <typename S, typename E>
[[gnu::always_inline]] inline void RankSort(const E* from, E* to, int64_t n, int low_bit,
                                            uint64_t mask) {
  constexpr int64_t kLanes = 64 / sizeof(S);
  alignas(64) S keys[128];
  alignas(64) S rank[128];
  using U = std::make_unsigned_t<S>;
  constexpr U kFlip = U{1} << (8 * sizeof(S) - 1);
  const int64_t padded = (n + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = 0; i < n; ++i)
    keys[i] = static_cast<S>(static_cast<U>((SortKey(from[i]) >> low_bit) & mask) ^ kFlip);
  for (int64_t i = n; i < padded; ++i) keys[i] = std::numeric_limits<S>::max();
  Ranks<S>(keys, padded, rank);
  for (int64_t i = 0; i < n; ++i) to[rank[i]] = from[i];
}

template <typename E>
void Count(const E* from, int64_t n, int shift, uint32_t* counts) {
  for (int64_t i = 0; i < n; ++i) ++counts[(SortKey(from[i]) >> shift) & (kBuckets - 1)];
}

template <typename E>
void Distribute(const E* from, int64_t n, int shift, uint32_t* places, E* to) {
  for (int64_t i = 0; i < n; ++i) {
    const E e = from[i];
    to[places[(SortKey(e) >> shift) & (kBuckets - 1)]++] = e;
  }
}

template <typename E>
E* SortAlone(E* a, E* b, int64_t n, int low_bit, int passes) {
  uint32_t counts[8][kBuckets];
  std::memset(counts, 0, sizeof(counts[0]) * static_cast<size_t>(passes));
  for (int64_t i = 0; i < n; ++i) {
    uint64_t key = SortKey(a[i]) >> low_bit;
    for (int p = 0; p < passes; ++p, key >>= kBits) ++counts[p][key & (kBuckets - 1)];
  }
  for (int p = 0; p < passes; ++p) {
    const int shift = low_bit + p * kBits;
    if (counts[p][(SortKey(a[0]) >> shift) & (kBuckets - 1)] == static_cast<uint64_t>(n)) continue;
    uint32_t place = 0;
    for (uint32_t& c : counts[p]) {
      const uint32_t count = c;
      c = place;
      place += count;
    }
    Distribute(a, n, shift, counts[p], b);
    std::swap(a, b);
  }
  return a;
}

template <typename E>
Result<E*> SortTogether(E* a, E* b, int64_t n, int low_bit, int passes, int threads,
                        const KernelCall& call) {
  const auto counts = std::make_unique<uint32_t[]>(static_cast<size_t>(threads * kBuckets));
  const int64_t share = (n + threads - 1) / threads;
  const auto length = [&](int64_t t) { return std::clamp<int64_t>(n - t * share, 0, share); };
  for (int p = 0; p < passes; ++p) {
    const int shift = low_bit + p * kBits;
    RETURN_IF_ERROR(call.Poll());
    call.pool.For(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        uint32_t* mine = counts.get() + t * kBuckets;
        std::fill_n(mine, kBuckets, 0);
        Count(a + t * share, length(t), shift, mine);
      }
    });
    uint32_t place = 0;
    bool one_bucket = false;
    for (int64_t d = 0; d < kBuckets; ++d) {
      const uint32_t first = place;
      for (int64_t t = 0; t < threads; ++t) {
        uint32_t& c = counts[static_cast<size_t>(t * kBuckets + d)];
        const uint32_t count = c;
        c = place;
        place += count;
      }
      one_bucket = one_bucket || place - first == static_cast<uint64_t>(n);
    }
    if (one_bucket) continue;
    call.pool.For(threads, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t)
        Distribute(a + t * share, length(t), shift, counts.get() + t * kBuckets, b);
    });
    std::swap(a, b);
  }
  return a;
}

}  // namespace radix

// Sorts a[0, n) by bits [low_bit, high_bit) of SortKey, stably, using `b` of the same size. Gives
// the one of the two that holds the result. Requires n < 2^32. `together`: use call.pool.
template <typename E>
Result<E*> RadixSort(E* a, E* b, int64_t n, int low_bit, int high_bit, bool together,
                     const KernelCall& call) {
  const int bits = high_bit - low_bit;
  if (n <= 1) return a;
  if (n <= (bits <= 32 ? 128 : 64)) {
    const uint64_t mask = ~uint64_t{0} >> (64 - bits);
    OnBestIsa<Isa::kAvx2>([&]() __attribute__((always_inline)) {
      if (bits <= 32) {
        radix::RankSort<int32_t>(a, b, n, low_bit, mask);
      } else {
        radix::RankSort<int64_t>(a, b, n, low_bit, mask);
      }
    });
    return b;
  }
  const int passes = (bits + radix::kBits - 1) / radix::kBits;
  const auto threads = static_cast<int>(std::min<int64_t>(
      {call.pool.threads(), radix::kMaxThreads, n / (radix::kParallelLength / 2)}));
  if (together && threads > 1) return radix::SortTogether(a, b, n, low_bit, passes, threads, call);
  return radix::SortAlone(a, b, n, low_bit, passes);
}

}  // namespace megalith::kernels

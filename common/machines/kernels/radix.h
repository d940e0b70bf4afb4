// Sorting of integer keys in place: most significant digit first, on one thread or several; by
// counting smaller keys (without branches) where few are left. Elements that compare equal are the
// same, so the order is that of a stable sort: what travels with a key has its position.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <type_traits>

#include "common/foundation/base/status.h"
#include "common/machines/kernels/isa.h"
#include "common/machines/kernels/library.h"

namespace megalith::kernels {

// A key with its position, for keys of more than 32 bits. Sorted by both.
struct KeyedIndex {
  uint64_t key;
  uint64_t index;
  [[gnu::always_inline]] friend bool operator<(const KeyedIndex& a, const KeyedIndex& b) {
    return a.key < b.key || (a.key == b.key && a.index < b.index);
  }
};

template <typename E>
[[gnu::always_inline]] inline auto SortKey(const E& e) {
  if constexpr (std::is_same_v<E, KeyedIndex>) {
    return e.key;
  } else {
    return e;
  }
}

// What a column turned out to hold.
struct KeyFindings {
  bool nan = false;
  // Elements that differ though their keys are equal: -0, or NaNs other than the usual one.
  bool merged = false;
};

namespace radix {

inline constexpr int kBits = 8;
inline constexpr int64_t kBuckets = 1 << kBits;
inline constexpr int kFirstBits = 10;  // of the first digit, that of all threads
inline constexpr int64_t kFirstBuckets = 1 << kFirstBits;
inline constexpr int kMaxThreads = 32;
inline constexpr int64_t kParallelLength = 1 << 16;  // below, one thread is faster
inline constexpr int64_t kChunkBytes = 16384;        // of keys that are made at a time
template <typename E>
inline constexpr bool kHasIndex = std::is_same_v<E, KeyedIndex>;

inline constexpr int64_t kMaxRanked = 128;

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
[[gnu::always_inline]] inline void RankSort(E* a, int64_t n, uint64_t mask) {
  constexpr int64_t kLanes = 64 / sizeof(S);
  alignas(64) S keys[kMaxRanked];
  alignas(64) S rank[kMaxRanked];
  E copy[kMaxRanked];
  using U = std::make_unsigned_t<S>;
  constexpr U kFlip = U{1} << (8 * sizeof(S) - 1);
  const int64_t padded = (n + kLanes - 1) / kLanes * kLanes;
  for (int64_t i = 0; i < n; ++i)
    keys[i] = static_cast<S>(static_cast<U>(uint64_t{SortKey(a[i])} & mask) ^ kFlip);
  for (int64_t i = n; i < padded; ++i) keys[i] = std::numeric_limits<S>::max();
  Ranks<S>(keys, padded, rank);
  std::copy_n(a, n, copy);
  for (int64_t i = 0; i < n; ++i) a[rank[i]] = copy[i];
}

// Sorts up to kMaxRanked elements stably by their keys, which differ in the low `bits` bits only.
template <typename E>
void SortFew(E* a, int64_t n, int bits) {
  OnBestIsa<Isa::kAvx2>([&]() __attribute__((always_inline)) {
    if (bits <= 32) {
      RankSort<int32_t>(a, n, (uint64_t{1} << bits) - 1);
    } else {
      RankSort<int64_t>(a, n, ~uint64_t{0} >> (64 - bits));
    }
  });
}

// Elements as numbers of kElementBits bits: the position is the low half of a KeyedIndex.
template <typename E>
[[gnu::always_inline]] inline uint32_t Digit(const E& e, int shift) {
  if constexpr (kHasIndex<E>) {
    return (shift >= 64 ? e.key >> (shift - 64) : e.index >> shift) & (kBuckets - 1);
  } else {
    return static_cast<uint32_t>(e >> shift) & (kBuckets - 1);
  }
}

// Brings elements to their buckets; `heads` are the starts of these, `ends` their ends.
template <typename E>
void Permute(E* a, int shift, uint32_t* heads, const uint32_t* ends) {
  for (int64_t b = 0; b < kBuckets; ++b) {
    uint32_t head = heads[b];
    const uint32_t end = ends[b];
    while (head < end) {
      E e = a[head];
      uint32_t d = Digit(e, shift);
      while (d != b) {
        std::swap(e, a[heads[d]++]);
        d = Digit(e, shift);
      }
      a[head++] = e;
      heads[b] = head;
    }
  }
}

// Bits in which the elements differ at all: those of keys, and of positions.
struct Differing {
  uint64_t key = 0, index = 0;
};
template <typename E>
Differing FindDiffering(const E* a, int64_t n) {
  Differing found;
  OnBestIsa([&]() __attribute__((always_inline)) {
    const E first = a[0];
    if constexpr (kHasIndex<E>) {
      for (int64_t i = 1; i < n; ++i) {
        found.key |= a[i].key ^ first.key;
        found.index |= a[i].index ^ first.index;
      }
    } else {
      E differ = 0;
      for (int64_t i = 1; i < n; ++i) differ |= a[i] ^ first;
      found.key = differ;
    }
  });
  return found;
}

// Elements that are sorted with as many beside them, on the stack.
template <typename E>
inline constexpr int64_t kSpared = 32768 / sizeof(E);

// Sorts up to kSpared elements by their bits [low, high), least significant digit first: stable.
template <typename E>
void SortSpared(E* a, int64_t n, int low, int high) {
  E spare[kSpared<E>];
  uint32_t counts[sizeof(E)][kBuckets];
  int shifts[sizeof(E)];
  int passes = 0;
  const Differing differing = FindDiffering(a, n);
  for (int shift = low; shift < high; shift += kBits) {
    const uint64_t bits = kHasIndex<E> && shift < 64 ? differing.index : differing.key;
    const int at = kHasIndex<E> && shift >= 64 ? shift - 64 : shift;
    if (((bits >> at) & (kBuckets - 1)) != 0) shifts[passes++] = shift;
  }
  std::fill_n(&counts[0][0], passes * kBuckets, 0);
  for (int64_t i = 0; i < n; ++i) {
    for (int p = 0; p < passes; ++p) ++counts[p][Digit(a[i], shifts[p])];
  }
  E* from = a;
  E* to = spare;
  for (int p = 0; p < passes; ++p) {
    uint32_t place = 0;
    for (uint32_t& c : counts[p]) {
      const uint32_t count = c;
      c = place;
      place += count;
    }
    for (int64_t i = 0; i < n; ++i) {
      const E e = from[i];
      to[counts[p][Digit(e, shifts[p])]++] = e;
    }
    std::swap(from, to);
  }
  if (from != a) std::copy_n(from, n, a);
}

// Sorts elements that are equal but for their low `high` bits. `ordered`: equal keys, which lie
// from bit `low` on, are in the order of their positions.
template <typename E>
void SortRange(E* a, int64_t n, int low, int high, bool ordered) {
  constexpr int64_t kRanked = sizeof(E) >= 8 ? kMaxRanked / 2 : kMaxRanked;
  constexpr int64_t kInserted = 6;
  while (high > low || !ordered) {
    if (n <= (ordered || !kHasIndex<E> ? kInserted : 4 * kInserted)) {
      for (int64_t i = 1; i < n; ++i) {
        const E e = a[i];
        int64_t at = i;
        for (; at > 0 && e < a[at - 1]; --at) a[at] = a[at - 1];
        a[at] = e;
      }
      return;
    }
    if (n <= kRanked && (ordered || !kHasIndex<E>)) {
      return SortFew(a, n, kHasIndex<E> ? high - 64 : high);
    }
    if (n <= kSpared<E>) return SortSpared(a, n, ordered ? low : 0, high);
    const bool in_key = kHasIndex<E> && high > 64;
    const int shift = std::max(high - kBits, in_key ? 64 : 0);
    uint32_t heads[kBuckets] = {};
    uint32_t ends[kBuckets];
    for (int64_t i = 0; i < n; ++i) ++heads[Digit(a[i], shift)];
    high = shift;
    if (heads[Digit(a[0], shift)] == n) {
      if (high == 0) return;
      continue;
    }
    uint32_t place = 0;
    for (int64_t b = 0; b < kBuckets; ++b) {
      place += heads[b];
      heads[b] = place - heads[b];
      ends[b] = place;
    }
    Permute(a, shift, heads, ends);
    for (int64_t b = 0; high > 0 && b < kBuckets; ++b) {
      const uint32_t begin = b == 0 ? 0 : ends[b - 1];
      SortRange(a + begin, ends[b] - begin, low, high, low == 0);
    }
    return;
  }
}

// The first digit of long arrays, out of the place where keys come from: no element waits for
// another, and several threads take part.
template <typename E, typename Make>
class FirstDigit {
 public:
  FirstDigit(E* a, int64_t n, int low, int threads, const Make& make, const KernelCall& call)
      : a_(a), n_(n), low_(low), threads_(threads), make_(make), call_(call) {}

  // What was found; with a NaN and `needs_order` nothing else is done.
  Result<KeyFindings> Run(bool needs_order) {
    const KeyFindings found = FindDigit();
    if (found.nan && needs_order) return found;
    call_.pool.For(threads_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) Count(t);
    });
    uint32_t place = 0;
    uint32_t starts[kFirstBuckets + 1];
    for (int64_t d = 0; d < kFirstBuckets; ++d) {
      starts[d] = place;
      for (int64_t t = 0; t < threads_; ++t) {
        place += parts_[t].counts[d];
        parts_[t].counts[d] = place - parts_[t].counts[d];
      }
    }
    starts[kFirstBuckets] = place;
    RETURN_IF_ERROR(call_.Poll());
    call_.pool.For(threads_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) Distribute(t);
    });
    RETURN_IF_ERROR(call_.Poll());
    const int high = shift_ + (kHasIndex<E> ? 64 : 0);
    call_.pool.For(kFirstBuckets, 8, [&](int64_t begin, int64_t end) {
      if (!call_.Poll().ok()) return;
      for (int64_t d = begin; d < end; ++d)
        SortRange(a_ + starts[d], starts[d + 1] - starts[d], low_, high, true);
    });
    RETURN_IF_ERROR(call_.Poll());
    return found;
  }

 private:
  static constexpr int64_t kChunk = kChunkBytes / sizeof(E);
  struct Part {
    KeyFindings found;
    uint64_t differ;  // bits in which keys are not those of element 0
    uint32_t counts[kFirstBuckets];
  };

  // Calls visit(keys, how many) for the share of thread `t`.
  template <typename Visit>
  KeyFindings ForEachChunk(int64_t t, const Visit& visit) const {
    E keys[kChunk];
    KeyFindings found;
    for (int64_t at = n_ * t / threads_; at < n_ * (t + 1) / threads_; at += kChunk) {
      const int64_t count = std::min(kChunk, n_ * (t + 1) / threads_ - at);
      const KeyFindings f = make_(at, count, keys);
      found = {found.nan || f.nan, found.merged || f.merged};
      visit(keys, count);
    }
    return found;
  }

  // Finds the highest bits in which keys differ at all.
  KeyFindings FindDigit() {
    E first;
    make_(0, 1, &first);
    call_.pool.For(threads_, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        Part& part = parts_[t];
        part.differ = 0;
        part.found = ForEachChunk(t, [&](const E* keys, int64_t count) {
          OnBestIsa([&]() __attribute__((always_inline)) {
            std::conditional_t<kHasIndex<E>, uint64_t, E> differ{};
            for (int64_t i = 0; i < count; ++i) differ |= SortKey(keys[i]) ^ SortKey(first);
            part.differ |= differ;
          });
        });
      }
    });
    KeyFindings found;
    uint64_t differ = 0;
    for (int64_t t = 0; t < threads_; ++t) {
      differ |= parts_[t].differ;
      found.nan = found.nan || parts_[t].found.nan;
      found.merged = found.merged || parts_[t].found.merged;
    }
    shift_ = std::max(0, static_cast<int>(std::bit_width(differ)) - kFirstBits);
    return found;
  }

  int64_t First(const E& e) const {
    return static_cast<int64_t>(SortKey(e) >> shift_) & (kFirstBuckets - 1);
  }
  void Count(int64_t t) {
    uint32_t* counts = parts_[t].counts;
    std::fill_n(counts, kFirstBuckets, 0);
    ForEachChunk(t, [&](const E* keys, int64_t count) {
      for (int64_t i = 0; i < count; ++i) ++counts[First(keys[i])];
    });
  }
  void Distribute(int64_t t) {
    uint32_t* places = parts_[t].counts;
    ForEachChunk(t, [&](const E* keys, int64_t count) {
      for (int64_t i = 0; i < count; ++i) a_[places[First(keys[i])]++] = keys[i];
    });
  }

  E* const a_;
  const int64_t n_;
  const int low_;
  const int64_t threads_;
  const Make& make_;
  const KernelCall& call_;
  int shift_ = 0;
  Part parts_[kMaxThreads];
};

}  // namespace radix

// Writes elements 0 to n to `a`, sorted by bits [low, high) of their keys; below `low` are
// positions. make(begin, count, to) writes elements [begin, begin + count) in their first order,
// from memory that is not a's, and says what they are like. If there is a NaN and `needs_order`,
// `a` is left in no state. Requires n < 2^32. `together`: use call.pool.
template <typename E, typename Make>
Result<KeyFindings> SortMade(E* a, int64_t n, int low, int high, bool needs_order, bool together,
                             const KernelCall& call, const Make& make) {
  if (radix::kHasIndex<E>) {
    low += 64;
    high += 64;
  }
  if (together && n >= radix::kParallelLength) {
    const auto threads = static_cast<int>(std::min<int64_t>(
        {call.pool.threads(), radix::kMaxThreads, n / (radix::kParallelLength / 2)}));
    return radix::FirstDigit<E, Make>(a, n, low, threads, make, call).Run(needs_order);
  }
  const KeyFindings found = make(0, n, a);
  if (!found.nan || !needs_order) radix::SortRange(a, n, low, high, true);
  return found;
}

}  // namespace megalith::kernels

// The part of a RowMap that a second tier uses: rows are copied out while they stay, and freed once
// they are safe elsewhere.
#include <cstring>
#include <numeric>

#include "common/learning/embedding/row_map.h"

namespace megalith::embedding {
namespace {

// Under one hold of a shard's lock; a look at one takes some ten nanoseconds.
constexpr uint32_t kBucketsPerTurn = 1024;
constexpr uint32_t kBucketsAhead = 8;  // asked for before they are looked at

// From one bucket to the next: about the golden section of all, so that buckets passed in one go
// lie evenly over the index. Emptying them one after the other would leave the rest of the index
// too full, and probes there would become long.
uint32_t StrideOf(uint32_t buckets) {
  auto stride = static_cast<uint32_t>(uint64_t{buckets} * 618 / 1000);
  while (stride > 1 && std::gcd(stride, buckets) != 1) --stride;
  return std::max(stride, 1U);
}

}  // namespace

void RowMap::Sweep(Hand& hand, size_t limit, const std::function<bool(Fid fid)>& take,
                   RowCopies& out) const {
  Shard* shard = ShardAt(hand.shard);
  if (shard == nullptr) {
    hand.shard = 0;
    shard = ShardAt(0);
  }
  if (hand.buckets.size() <= hand.shard) hand.buckets.resize(hand.shard + 1, 0);
  uint32_t& at = hand.buckets[hand.shard];
  ++hand.shard;
  std::vector<const Entry*> taken;
  taken.reserve(limit + kBucketEntries);
  out.fids.reserve(out.fids.size() + limit + kBucketEntries);
  out.timestamps.reserve(out.timestamps.size() + limit + kBucketEntries);
  out.payloads.reserve(out.payloads.size() + (limit + kBucketEntries) * row_bytes());

  const Locked locked(*shard);
  const Index& index = *shard->index.load(std::memory_order_relaxed);
  const uint32_t buckets = index.buckets;
  const uint32_t stride = StrideOf(buckets);
  const auto after = [&](uint32_t bucket, uint64_t steps) {
    return static_cast<uint32_t>((bucket + steps * stride) % buckets);
  };
  if (at >= buckets) at = 0;
  uint32_t looked = 0;
  for (; looked < buckets && looked < kBucketsPerTurn && taken.size() < limit; ++looked) {
    __builtin_prefetch(index.entries + uint64_t{after(at, kBucketsAhead)} * kBucketEntries);
    const Entry* const bucket = index.entries + uint64_t{at} * kBucketEntries;
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      const Word word = bucket[k].Get();
      if (!word.live() || !take(bucket[k].fid.load(std::memory_order_relaxed))) continue;
      Fetch(arena_.Row(word.number()), row_bytes());
      taken.push_back(bucket + k);
    }
    at = after(at, 1);
  }
  for (const Entry* entry : taken) {
    const Word word = entry->Get();
    out.Add(entry->fid.load(std::memory_order_relaxed), word.timestamp(), arena_.Row(word.number()),
            row_bytes());
  }
  hand.looked += uint64_t{looked} * kBucketEntries;
}

size_t RowMap::EraseSame(const RowCopies& rows, size_t bytes) {
  size_t erased = 0;
  Pipeline(rows.fids, bytes, [&](size_t i, Probe& probe) {
    const Locked locked(*this, probe.hash, probe.shard);
    Settle(rows.fids[i], locked, probe);
    if (probe.entry == nullptr || probe.word.timestamp() != rows.timestamps[i] ||
        std::memcmp(probe.payload, rows.payloads.data() + i * row_bytes(), bytes) != 0) {
      return;
    }
    KeepForSnapshot(*probe.shard, *probe.entry, probe.word);
    Remove(*probe.shard, *probe.entry, probe.word);
    ++erased;
  });
  return erased;
}

}  // namespace megalith::embedding

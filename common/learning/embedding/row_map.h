// The map from fids to rows: concurrent, collisionless, growing a piece at a time.
//
// Structure: a directory picks a shard by the top bits of the fid's hash (extendible hashing); a
// shard is an open-addressing index of buckets of one cache line over rows in the arena. An entry
// is {fid 8 bytes, timestamp 4 bytes, snapshot parity 1 bit, row number 31 bits}; four make a
// bucket. A shard grows by a fifth when 86 % are used and splits in two when it holds
// kMaxShardRows, so an insert never moves more than one shard's entries (some tens of
// microseconds), and rows never move. Memory beyond the payload, at any size: 18.6 to 22.3 bytes.
//
// A lookup touches one line of index and the lines of the payload. A batch is worked in chunks of
// three stages, each of which asks for the memory that the next one reads: bucket, row, then the
// work itself. That is where the speed comes from: many cache misses are in flight at once.
//
// Threads: all methods may be called concurrently except where they say otherwise. Each row is read
// and written under its shard's spin lock, one shard at a time, in input order.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/row_arena.h"

namespace megalith::embedding {

class RowMap {
 public:
  static constexpr uint32_t kMaxShardRows = 16384;
  static constexpr size_t kChunk = 32;  // fids in flight at once

  // `max_bytes` bounds rows and index together. `hash_seed` decides where fids go; take it at
  // random where clients choose fids, so that they cannot choose ones that collide.
  RowMap(size_t payload_bytes, uint64_t max_bytes, uint64_t hash_seed);
  ~RowMap();
  RowMap(const RowMap&) = delete;
  RowMap& operator=(const RowMap&) = delete;

  // Of one row: the payload padded to four.
  size_t row_bytes() const { return arena_.row_bytes(); }
  uint64_t rows() const { return rows_.load(std::memory_order_relaxed); }
  // Rows handed out and index.
  uint64_t bytes() const {
    return arena_.reserved_bytes() + index_bytes_.load(std::memory_order_relaxed);
  }
  // Share of index entries in use.
  double load_factor() const;

  // A lower bound than what is used refuses new rows, no more.
  void SetMaxBytes(uint64_t max_bytes) { max_bytes_.store(max_bytes, std::memory_order_relaxed); }

  // Makes room for `rows` at once, if the map is still empty; before others use it.
  // Errors: kResourceExhausted.
  Status Reserve(uint64_t rows);

  // Calls on_row(i, payload, timestamp) for every fid in order, under the row's lock; `payload` is
  // null where there is no row. The first `read_bytes` of each payload are fetched ahead.
  template <typename OnRow>
  void Visit(std::span<const Fid> fids, size_t read_bytes, OnRow&& on_row) const;

  // What Update does with a fid that has no row.
  enum class Missing { kSkip, kInsert };

  // Calls on_missing(i) for a fid without a row; where it answers kInsert a row is made with
  // timestamp 0 and undefined payload. Then on_row(i, payload, timestamp, created) under the row's
  // lock, for changing payload and timestamp; not called for skipped fids. Returns
  // kResourceExhausted if new rows were refused for want of memory (on_full(i) was called for
  // each); every other fid has been worked all the same.
  template <typename OnMissing, typename OnRow, typename OnFull>
  Status Update(std::span<const Fid> fids, OnMissing&& on_missing, OnRow&& on_row,
                OnFull&& on_full);

  // Frees the row of `fid`; false if there was none.
  bool Erase(Fid fid);

  // Frees every row for which `drop` answers true. `drop` runs under the row's lock; a shard is
  // locked for the time of one pass over its index. Fids dropped are appended to `dropped`.
  void EraseIf(const std::function<bool(Fid fid, uint32_t timestamp)>& drop,
               std::vector<Fid>* dropped);

  // Appends the fids of some rows and moves `*cursor`, which starts at 0; false when there are no
  // more. Needs no snapshot: a fid that has its row during the whole walk comes at least once,
  // others may. A shard is locked for the time of one pass over its index.
  bool ScanFids(uint64_t* cursor, std::vector<Fid>* fids) const;

  // Frees everything and returns the memory. Errors: kFailedPrecondition  a snapshot is being read.
  // Update and Erase must not run meanwhile; Visit may.
  Status Clear();

  // --- snapshots: the rows as they are at one moment, read while writers go on ---

  // Marks the moment. Update and Erase must not run during this call (microseconds).
  // Errors: kFailedPrecondition  another snapshot is being read.
  Status BeginSnapshot();

  struct RowView {
    Fid fid;
    uint32_t timestamp;
    const std::byte* payload;
  };
  // Hands every row as it was at BeginSnapshot to `sink`, in no particular order, without holding a
  // lock; the views live until `sink` returns. A writer that changes a row not yet read first keeps
  // the old one aside, so the memory needed is at most the rows changed meanwhile. After an error
  // of the sink, which is returned, the snapshot is over. Must be called once after each
  // BeginSnapshot.
  Status ReadSnapshot(const std::function<Status(std::span<const RowView> rows)>& sink);

 private:
  // `row` is the row's number + 1 with the snapshot parity on top; zero: there is no row. Then a
  // timestamp of zero says that the entry was never used, else one was erased and probes go on.
  struct Entry {
    Fid fid;
    uint32_t timestamp;
    uint32_t row;

    bool live() const { return row != 0; }
    bool never_used() const { return row == 0 && timestamp == 0; }
  };
  static_assert(sizeof(Entry) == 16);
  static constexpr uint32_t kParityBit = uint32_t{1} << 31;
  static constexpr uint32_t kErasedMark = 1;
  static constexpr uint32_t kBucketEntries = 4;
  static constexpr uint32_t kNoRow = UINT32_MAX;

  struct alignas(64) Shard {
    mutable std::atomic<uint32_t> locked{0};
    uint32_t version = 0;   // counts changes of which fids have rows
    uint32_t rebuilds = 0;  // counts changes of where entries are
    uint32_t used = 0;
    // Relaxed reads outside the lock only compute addresses to fetch ahead.
    std::atomic<Entry*> entries{nullptr};
    std::atomic<uint32_t> buckets{0};
    uint32_t erased = 0;          // entries that only keep probes going
    uint32_t depth = 0;           // leading hash bits that all rows here share
    uint32_t prefix = 0;          // those bits
    uint32_t free_head = kNoRow;  // freed rows, linked through their first bytes
    uint32_t fresh_next = 0;      // rows reserved and not yet used
    uint32_t fresh_end = 0;
    struct Kept;
    std::unique_ptr<Kept> kept;  // rows changed or erased since the snapshot, as they were
    Shard();
    ~Shard();
  };

  struct Directory {
    explicit Directory(uint32_t bits);
    uint32_t depth;
    std::vector<std::atomic<Shard*>> shards;  // 2^depth
  };

  struct Probe {
    uint64_t hash;
    Shard* shard;
    Entry* entry;  // null: no row
    std::byte* payload;
    uint32_t version;
  };

  uint64_t Hash(Fid fid) const {
    // The finaliser of MurmurHash3 (public domain): a bijection of 64-bit words.
    uint64_t h = static_cast<uint64_t>(fid) ^ hash_seed_;
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdULL;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ULL;
    return h ^ (h >> 33);
  }
  // Leading bits; defined for bits = 0 too.
  static uint64_t Leading(uint64_t hash, uint32_t bits) { return (hash >> 1) >> (63 - bits); }
  static uint32_t BucketOf(uint64_t hash, uint32_t buckets) {
    return static_cast<uint32_t>((uint64_t{static_cast<uint32_t>(hash)} * buckets) >> 32);
  }

  Shard* Locate(uint64_t hash) const {
    const Directory* directory = directory_.load(std::memory_order_acquire);
    return directory->shards[Leading(hash, directory->depth)].load(std::memory_order_acquire);
  }
  static void Lock(const Shard& shard) {
    if (shard.locked.exchange(1, std::memory_order_acquire) != 0) LockSlowly(shard);
  }
  static void LockSlowly(const Shard& shard);
  static void Unlock(const Shard& shard) { shard.locked.store(0, std::memory_order_release); }

  // Locks the shard that holds `hash` now, starting from `shard`, which may have split since.
  Shard* LockOwner(uint64_t hash, Shard* shard) const {
    while (true) {
      Lock(*shard);
      if (Leading(hash, shard->depth) == shard->prefix) return shard;
      Unlock(*shard);
      shard = Locate(hash);
    }
  }

  std::byte* PayloadOf(const Entry& entry) const {
    return arena_.Row((entry.row & ~kParityBit) - 1);
  }

  // The entry of `fid`; null if there is none. Requires the lock.
  static Entry* Find(const Shard& shard, uint64_t hash, Fid fid) {
    Entry* entries = shard.entries.load(std::memory_order_relaxed);
    const uint32_t buckets = shard.buckets.load(std::memory_order_relaxed);
    for (uint32_t b = BucketOf(hash, buckets);; b = b + 1 == buckets ? 0 : b + 1) {
      Entry* bucket = entries + uint64_t{b} * kBucketEntries;
      bool ends = false;
      for (uint32_t k = 0; k < kBucketEntries; ++k) {
        if (bucket[k].fid == fid && bucket[k].live()) return bucket + k;
        ends |= bucket[k].never_used();
      }
      if (ends) return nullptr;
    }
  }

  // Always inlined: g++ 12 takes a function that only fetches ahead for one without effect and
  // drops calls of it.
  [[gnu::always_inline]] static void Fetch(const std::byte* address, size_t bytes) {
    for (size_t i = 0; i < bytes; i += 64) __builtin_prefetch(address + i);
    // The last line where the payload does not start at a line's start.
    if ((reinterpret_cast<uintptr_t>(address) & 63) != 0) __builtin_prefetch(address + bytes - 1);
  }

  // Stage one: where the fid's bucket is.
  void Announce(Fid fid, Probe& probe) const {
    probe.hash = Hash(fid);
    probe.shard = Locate(probe.hash);
    const Entry* entries = probe.shard->entries.load(std::memory_order_relaxed);
    const uint32_t buckets = probe.shard->buckets.load(std::memory_order_relaxed);
    __builtin_prefetch(entries + uint64_t{BucketOf(probe.hash, buckets)} * kBucketEntries);
  }

  // Stage two: where its row is.
  void Approach(Fid fid, size_t read_bytes, Probe& probe) const {
    probe.shard = LockOwner(probe.hash, probe.shard);
    probe.version = probe.shard->version;
    probe.entry = Find(*probe.shard, probe.hash, fid);
    probe.payload = probe.entry == nullptr ? nullptr : PayloadOf(*probe.entry);
    Unlock(*probe.shard);
    if (probe.payload != nullptr) Fetch(probe.payload, read_bytes);
  }

  // Runs work(i, probe) for every fid in order, each chunk's stages one after the other. A pipeline
  // with the stages interleaved, fid by fid, was a fifth slower: locks order memory, and between
  // them the processor could not look ahead.
  template <typename Work>
  void Pipeline(std::span<const Fid> fids, size_t read_bytes, Work&& work) const {
    Probe probes[kChunk];
    for (size_t base = 0; base < fids.size(); base += kChunk) {
      const std::span<const Fid> chunk = fids.subspan(base, std::min(kChunk, fids.size() - base));
      for (size_t j = 0; j < chunk.size(); ++j) Announce(chunk[j], probes[j]);
      for (size_t j = 0; j < chunk.size(); ++j) Approach(chunk[j], read_bytes, probes[j]);
      for (size_t j = 0; j < chunk.size(); ++j) work(base + j, probes[j]);
    }
  }

  // Locks the shard of `fid` again and brings the probe up to date.
  void Settle(Fid fid, Probe& probe) const {
    Shard* owner = LockOwner(probe.hash, probe.shard);
    if (owner == probe.shard && owner->version == probe.version) return;
    probe.shard = owner;
    probe.entry = Find(*owner, probe.hash, fid);
    probe.payload = probe.entry == nullptr ? nullptr : PayloadOf(*probe.entry);
  }

  // Makes a row and returns it through `probe`; the shard that is locked afterwards may be another.
  // Errors: kResourceExhausted (the lock is held all the same).
  Status Insert(Fid fid, Probe& probe);
  Status TakeRow(Shard& shard, uint32_t& number);
  // Rebuilds the index with `buckets` buckets. Requires the lock.
  Status Rebuild(Shard& shard, uint32_t buckets);
  bool MaySplit(const Shard& shard) const;
  // Moves the entries whose next hash bit is one to a new shard. Requires the lock, which stays
  // held; the new shard comes back locked too, so that nobody else inserts in between.
  Result<Shard*> Split(Shard& shard);
  // Enters a shard into the directory, which is enlarged where it must be. Requires mu_.
  void Publish(Shard& shard);
  // Makes the one empty shard into 2^depth shards of `buckets` buckets. Requires mu_.
  Status Subdivide(uint32_t depth, uint32_t buckets);
  void Remove(Shard& shard, Entry* entry);
  Entry* Put(Entry* entries, uint32_t buckets, const Entry& entry) const;

  // Keeps the row aside if a snapshot still needs it as it is. Requires the lock.
  void KeepForSnapshot(Shard& shard, Entry& entry) {
    if (((entry.row & kParityBit) != 0) != parity_.load(std::memory_order_relaxed)) {
      Keep(shard, entry);
    }
  }
  void Keep(Shard& shard, Entry& entry);
  Shard* ShardAt(size_t index) const;  // null past the end

  // Where a snapshot's walk over a shard stands. A rebuilt index is walked from its start; parity
  // tells what has been read.
  struct ShardCursor {
    uint32_t rebuilds = 0;
    uint64_t entry = 0;
  };
  struct CopiedRows;
  // Copies up to `limit` rows of the snapshot, and those kept aside; true if more may remain.
  bool ReadSome(Shard& shard, ShardCursor& cursor, size_t limit, CopiedRows& out);

  RowArena arena_;
  std::atomic<uint64_t> max_bytes_;
  const uint64_t hash_seed_;
  std::atomic<uint64_t> rows_{0};
  std::atomic<uint64_t> index_bytes_{0};
  std::atomic<Directory*> directory_{nullptr};
  std::atomic<bool> parity_{false};  // of rows a running snapshot is done with, and of new ones
  std::atomic<bool> snapshot_{false};

  mutable std::mutex mu_;
  std::deque<Shard> shards_;                             // grows under mu_; elements stay in place
  std::vector<std::unique_ptr<Directory>> directories_;  // guarded by mu_; old ones stay readable
};

template <typename OnRow>
void RowMap::Visit(std::span<const Fid> fids, size_t read_bytes, OnRow&& on_row) const {
  Pipeline(fids, read_bytes, [&](size_t i, Probe& probe) {
    Settle(fids[i], probe);
    if (probe.entry != nullptr) {
      on_row(i, static_cast<const std::byte*>(probe.payload), probe.entry->timestamp);
    } else {
      on_row(i, static_cast<const std::byte*>(nullptr), uint32_t{0});
    }
    Unlock(*probe.shard);
  });
}

template <typename OnMissing, typename OnRow, typename OnFull>
Status RowMap::Update(std::span<const Fid> fids, OnMissing&& on_missing, OnRow&& on_row,
                      OnFull&& on_full) {
  Status full;
  Pipeline(fids, row_bytes(), [&](size_t i, Probe& probe) {
    Settle(fids[i], probe);
    if (probe.entry != nullptr) {
      KeepForSnapshot(*probe.shard, *probe.entry);
      on_row(i, probe.payload, probe.entry->timestamp, false);
    } else if (on_missing(i) == Missing::kInsert) {
      Status inserted = Insert(fids[i], probe);
      if (inserted.ok()) {
        on_row(i, probe.payload, probe.entry->timestamp, true);
      } else {
        on_full(i);
        full = std::move(inserted);
      }
    }
    Unlock(*probe.shard);
  });
  return full;
}

}  // namespace megalith::embedding

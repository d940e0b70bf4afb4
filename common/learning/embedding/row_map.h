// The map from fids to rows: concurrent, collisionless, growing a piece at a time.
//
// Structure: a directory picks a shard by the top bits of the fid's hash (extendible hashing); a
// shard is an open-addressing index of buckets of one cache line over rows in the arena. An entry
// is {fid 8 bytes, timestamp 4 bytes, snapshot parity 1 bit, row number 31 bits}; four make a
// bucket. A shard grows by a fifth when 86 % are used and splits in two when it holds
// max_shard_rows, so an insert never moves more than one shard's entries (a few milliseconds at
// most), and rows never move. Memory beyond the payload, at any size: 18.6 to 22.3 bytes.
//
// A lookup touches one line of index and the lines of the payload. A batch is worked in chunks of
// three stages, each of which asks for the memory that the next one reads: bucket, row, then the
// work itself. That is where the speed comes from: many cache misses are in flight at once.
//
// Threads: all methods may be called concurrently except where they say otherwise. Writers take
// their shard's spin lock, one shard at a time, in input order. Readers take none: they copy the
// row and see by the shard's sequence number whether a writer came in between (a sequence lock; all
// shared words are atomic), and only then ask for the lock. So growth, which changes the sequence
// number for a moment at its end only, does not hold readers up. Index memory that was replaced is
// freed when the last reader that could see it has gone.
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
#include "common/learning/embedding/hashing.h"
#include "common/learning/embedding/retired_memory.h"
#include "common/learning/embedding/row_arena.h"

namespace megalith::embedding {

class RowMap {
 public:
  static constexpr uint32_t kMaxShardRows = 1 << 18;  // unless told otherwise
  static constexpr int kReadAttempts = 256;           // before a reader asks for the lock
  static constexpr size_t kChunk = 32;                // fids in flight at once

  // `max_bytes` bounds rows and index together. `hash_seed` decides where fids go; take it at
  // random where clients choose fids, so that they cannot choose ones that collide.
  RowMap(size_t payload_bytes, uint64_t max_bytes, uint64_t hash_seed,
         uint32_t max_shard_rows = kMaxShardRows);
  ~RowMap();
  RowMap(const RowMap&) = delete;
  RowMap& operator=(const RowMap&) = delete;

  // Of one row: the payload padded to eight.
  size_t row_bytes() const { return arena_.row_bytes(); }
  uint64_t rows() const { return rows_.load(std::memory_order_relaxed); }
  // Rows handed out and index.
  uint64_t bytes() const {
    return arena_.reserved_bytes() + index_bytes_.load(std::memory_order_relaxed);
  }
  uint64_t index_bytes() const { return index_bytes_.load(std::memory_order_relaxed); }
  // Share of index entries in use.
  double load_factor() const;

  // A lower bound than what is used refuses new rows, no more.
  void SetMaxBytes(uint64_t max_bytes) { max_bytes_.store(max_bytes, std::memory_order_relaxed); }

  // Makes room for `rows` at once, if the map is still empty; before others use it. The system
  // gives the memory as it is touched. Errors: kInvalidArgument     more rows than a map holds
  //         kResourceExhausted.
  Status Reserve(uint64_t rows);

  // For every fid in order: copies the first `bytes` of its payload to into(i) and calls
  // done(i, found, timestamp); where there is no row, nothing is copied. No lock is held in `done`.
  template <typename Into, typename Done>
  void Visit(std::span<const Fid> fids, size_t bytes, Into&& into, Done&& done) const;

  // What Update does with a fid that has no row.
  enum class Missing { kSkip, kInsert };

  // Calls on_missing(i) for a fid without a row; where it answers kInsert a row is made with
  // timestamp 0 and undefined payload. Then on_row(i, payload, timestamp, created) under the row's
  // lock, for changing a copy of payload and timestamp that readers see when it returns, at once;
  // not called for skipped fids. Returns kResourceExhausted if new rows were refused for want of
  // memory (on_full(i) was called for each); every other fid has been worked all the same.
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
  // others may, and any may come again. At most some ten thousand at a time.
  bool ScanFids(uint64_t* cursor, std::vector<Fid>* fids) const;

  // --- for a second tier (cold/cold_tier.h) ---

  // Rows outside the map; payloads of row_bytes() each.
  struct RowCopies {
    std::vector<Fid> fids;
    std::vector<uint32_t> timestamps;
    std::vector<std::byte> payloads;

    void Add(Fid fid, uint32_t timestamp, const std::byte* payload, size_t bytes) {
      fids.push_back(fid);
      timestamps.push_back(timestamp);
      payloads.insert(payloads.end(), payload, payload + bytes);
    }
    void Clear() {
      fids.clear();
      timestamps.clear();
      payloads.clear();
    }
  };

  // Where the hand of a clock over all entries stands: on every shard at a place of its own, so
  // that rows are taken from all shards alike and their memory is used again in all of them.
  struct Hand {
    size_t shard = 0;
    std::vector<uint32_t> buckets;  // by shard
    uint64_t looked = 0;            // entries passed since somebody set it to 0
  };
  // Moves the hand over some entries of one shard, at most a few thousand, and copies rows for
  // which `take` answers true, about `limit` at most. `take` runs under the shard's lock.
  void Sweep(Hand& hand, size_t limit, const std::function<bool(Fid fid)>& take,
             RowCopies& out) const;

  // Frees rows that are still as they were copied, by timestamp and the first `bytes` of their
  // payloads; returns how many.
  size_t EraseSame(const RowCopies& rows, size_t bytes);

  // Frees everything and returns the memory. Errors: kFailedPrecondition  a snapshot is being read.
  // Update and Erase must not run meanwhile; Visit may.
  Status Clear();

  // --- snapshots: the rows as they are at one moment, read while writers go on ---

  // Marks the moment. Update and Erase must not run during this call (microseconds).
  // Errors: kFailedPrecondition  another snapshot is being read.
  Status BeginSnapshot();

  // Whether a snapshot has begun and is not read to its end.
  bool in_snapshot() const { return snapshot_.load(std::memory_order_acquire); }

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
  // Timestamp in the upper half, then the snapshot parity, then the row's number + 1; row bits of
  // zero: there is no row. Then a word of zero says that the entry was never used, any other that
  // one was erased and probes go on.
  class Word {
   public:
    Word() = default;
    explicit Word(uint64_t bits) : bits_(bits) {}
    Word(uint32_t timestamp, uint32_t row)
        : bits_(uint64_t{timestamp} << 32 | row) {}  // row with parity
    uint64_t bits() const { return bits_; }
    uint32_t timestamp() const { return static_cast<uint32_t>(bits_ >> 32); }
    uint32_t row() const { return static_cast<uint32_t>(bits_); }  // with parity
    uint32_t number() const { return (row() & ~kParityBit) - 1; }
    bool parity() const { return (row() & kParityBit) != 0; }
    bool live() const { return (row() & ~kParityBit) != 0; }
    bool never_used() const { return bits_ == 0; }

   private:
    uint64_t bits_ = 0;
  };
  static constexpr uint32_t kParityBit = uint32_t{1} << 31;
  static constexpr uint32_t kBucketEntries = 4;
  static constexpr uint32_t kNoRow = UINT32_MAX;

  struct Entry {
    std::atomic<Fid> fid;
    std::atomic<uint64_t> word;

    Word Get() const { return Word(word.load(std::memory_order_acquire)); }
    // Release: what was written before is seen by who sees this.
    void Set(Word w) { word.store(w.bits(), std::memory_order_release); }
    void Set(Fid f, Word w) {
      fid.store(f, std::memory_order_release);
      Set(w);
    }
  };
  static_assert(sizeof(Entry) == 16);

  // Entries of a shard and how many. Large ones lie in the system's own pages and cost no memory
  // before they are touched.
  struct alignas(64) Index {
    uint32_t buckets;
    Entry* entries;

    uint64_t count() const { return uint64_t{buckets} * kBucketEntries; }
    static uint64_t Bytes(uint64_t buckets) { return sizeof(Index) + EntryBytes(buckets); }
    static uint64_t EntryBytes(uint64_t buckets) {
      return buckets * kBucketEntries * sizeof(Entry);
    }
    static Index* Make(uint32_t buckets);  // null: no memory
    static void Free(void* index);         // null: nothing
  };
  struct FreeIndex {
    void operator()(Index* index) const { Index::Free(index); }
  };
  using OwnedIndex = std::unique_ptr<Index, FreeIndex>;

  struct alignas(64) Shard {
    mutable std::atomic<uint32_t> locked{0};
    // Odd while a writer changes what readers see.
    std::atomic<uint32_t> sequence{0};
    std::atomic<Index*> index{nullptr};
    std::atomic<uint32_t> depth{0};   // leading hash bits that all rows here share
    std::atomic<uint32_t> prefix{0};  // those bits
    uint32_t rebuilds = 0;            // counts changes of where entries are
    uint32_t used = 0;
    uint32_t erased = 0;          // entries that only keep probes going
    uint32_t free_head = kNoRow;  // freed rows, linked through their first bytes
    uint32_t fresh_next = 0;      // rows reserved and not yet used
    uint32_t fresh_end = 0;
    struct Kept;
    std::unique_ptr<Kept> kept;  // rows changed or erased since the snapshot, as they were
    Shard();
    ~Shard();

    bool Holds(uint64_t hash) const {
      return Leading(hash, depth.load(std::memory_order_acquire)) ==
             prefix.load(std::memory_order_acquire);
    }
  };

  // While one lives, readers know that what they copy may be half changed. Requires the lock.
  class Changing {
   public:
    explicit Changing(Shard& shard) : shard_(shard) {
      shard_.sequence.store(shard_.sequence.load(std::memory_order_relaxed) + 1,
                            std::memory_order_relaxed);
    }
    ~Changing() {
      shard_.sequence.store(shard_.sequence.load(std::memory_order_relaxed) + 1,
                            std::memory_order_release);
    }
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;

   private:
    Shard& shard_;
  };

  // Rows are words to threads that share them. Sizes are multiples of four bytes.
  using SharedWord [[gnu::may_alias]] = uint64_t;
  using SharedHalf [[gnu::may_alias]] = uint32_t;
  // Acquire and release on each word order them with the sequence number, without fences.
  [[gnu::always_inline]] static void CopyOut(const std::byte* row, size_t bytes, std::byte* to) {
    size_t at = 0;
#pragma GCC unroll 8
    for (; at + 8 <= bytes; at += 8) {
      const SharedWord word =
          __atomic_load_n(reinterpret_cast<const SharedWord*>(row + at), __ATOMIC_ACQUIRE);
      __builtin_memcpy(to + at, &word, 8);
    }
    if (at < bytes) {
      const SharedHalf half =
          __atomic_load_n(reinterpret_cast<const SharedHalf*>(row + at), __ATOMIC_ACQUIRE);
      __builtin_memcpy(to + at, &half, bytes - at);
    }
  }
  // Writes whole words: `row` has room for bytes rounded up to eight.
  [[gnu::always_inline]] static void CopyIn(const std::byte* from, size_t bytes, std::byte* row) {
#pragma GCC unroll 8
    for (size_t at = 0; at < bytes; at += 8) {
      SharedWord word = 0;
      __builtin_memcpy(&word, from + at, 8);
      __atomic_store_n(reinterpret_cast<SharedWord*>(row + at), word, __ATOMIC_RELEASE);
    }
  }

  // Room for one row, aligned for words.
  class RowScratch {
   public:
    explicit RowScratch(size_t bytes) : large_(bytes > sizeof(small_) ? bytes / 8 : 0) {}
    std::byte* data() const {
      return reinterpret_cast<std::byte*>(large_.empty() ? small_ : large_.data());
    }

   private:
    mutable uint64_t small_[128];
    mutable std::vector<uint64_t> large_;
  };

  struct Directory {
    explicit Directory(uint32_t bits);
    uint32_t depth;
    std::vector<std::atomic<Shard*>> shards;  // 2^depth
  };

  struct Probe {
    uint64_t hash;
    Shard* shard;
    Index* index;        // of the shard when it was looked at
    Entry* entry;        // null: no row
    std::byte* payload;  // of the entry
    Word word;           // of the entry
  };

  uint64_t Hash(Fid fid) const { return Mix(static_cast<uint64_t>(fid) ^ hash_seed_); }
  // Leading bits; defined for bits = 0 too.
  static uint64_t Leading(uint64_t hash, uint32_t bits) { return (hash >> 1) >> (63 - bits); }
  Shard* Locate(uint64_t hash) const {
    const Directory* directory = directory_.load(std::memory_order_acquire);
    return directory->shards[Leading(hash, directory->depth)].load(std::memory_order_acquire);
  }

  // Holds a shard's lock.
  class [[nodiscard]] Locked {
   public:
    explicit Locked(Shard& shard) : shard_(&shard) { Acquire(shard); }
    // Of the shard that holds `hash` now, starting from `shard`, which may have split since.
    Locked(const RowMap& map, uint64_t hash, Shard* shard) {
      while (true) {
        Acquire(*shard);
        if (shard->Holds(hash)) break;
        Release(*shard);
        shard = map.Locate(hash);
      }
      shard_ = shard;
    }
    ~Locked() { Release(*shard_); }
    Locked(const Locked&) = delete;
    Locked& operator=(const Locked&) = delete;
    void Swap(Locked& other) { std::swap(shard_, other.shard_); }
    Shard& shard() const { return *shard_; }

   private:
    static void Acquire(const Shard& shard) {
      if (shard.locked.exchange(1, std::memory_order_acquire) != 0) AcquireSlowly(shard);
    }
    static void AcquireSlowly(const Shard& shard);
    static void Release(const Shard& shard) { shard.locked.store(0, std::memory_order_release); }

    Shard* shard_;
  };

  static Entry* BucketAt(Index& index, uint64_t hash) {
    const uint64_t low = static_cast<uint32_t>(hash);
    return index.entries + ((low * index.buckets) >> 32) * kBucketEntries;
  }

  // The entry of `fid` and its word; null if there is none. Without the lock the answer may be of
  // another moment, which the sequence number tells.
  static Entry* Find(Index& index, uint64_t hash, Fid fid, Word& word) {
    Entry* bucket = BucketAt(index, hash);
    // Where in its bucket a fid lies is chance, so that a loop which leaves at it would be
    // mispredicted every time; all four are compared instead.
    uint32_t matches = 0;
#pragma GCC unroll 4
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      matches |= static_cast<uint32_t>(bucket[k].fid.load(std::memory_order_acquire) == fid) << k;
    }
    if (matches != 0) [[likely]] {
      Entry* entry = bucket + __builtin_ctz(matches);
      word = entry->Get();
      if (word.live()) [[likely]]
        return entry;
    }
    return FindFrom(index, bucket, fid, word);
  }
  // The same, by going through the buckets from `bucket` on to the first with room.
  static Entry* FindFrom(Index& index, Entry* bucket, Fid fid, Word& word);

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
    probe.index = probe.shard->index.load(std::memory_order_acquire);
    __builtin_prefetch(BucketAt(*probe.index, probe.hash));
  }

  // Stage two: where its row is, as far as one can see without the lock.
  void Approach(Fid fid, size_t bytes, Probe& probe) const {
    probe.entry = Find(*probe.index, probe.hash, fid, probe.word);
    if (probe.entry != nullptr) Fetch(arena_.Row(probe.word.number()), bytes);
  }

  // Runs work(i, probe) for every fid in order, each chunk's stages one after the other: with the
  // stages interleaved, fid by fid, it was no faster.
  template <typename Work>
  void Pipeline(std::span<const Fid> fids, size_t bytes, Work&& work) const {
    const RetiredMemory::Reader reader(retired_);
    Probe probes[kChunk];
    for (size_t base = 0; base < fids.size(); base += kChunk) {
      const std::span<const Fid> chunk = fids.subspan(base, std::min(kChunk, fids.size() - base));
      for (size_t j = 0; j < chunk.size(); ++j) Announce(chunk[j], probes[j]);
      for (size_t j = 0; j < chunk.size(); ++j) Approach(chunk[j], bytes, probes[j]);
      for (size_t j = 0; j < chunk.size(); ++j) work(base + j, probes[j]);
    }
  }

  // Reads a row without the lock; false if a writer came in between.
  template <typename Into>
  bool TryRead(Fid fid, size_t bytes, const Probe& probe, Into&& into, bool& found,
               uint32_t& timestamp) const {
    const Shard& shard = *probe.shard;
    const uint32_t before = shard.sequence.load(std::memory_order_acquire);
    if ((before & 1) != 0) return false;
    Index* index = shard.index.load(std::memory_order_acquire);
    Entry* entry = probe.entry;
    Word word;
    if (index == probe.index && entry != nullptr &&
        entry->fid.load(std::memory_order_acquire) == fid && (word = entry->Get()).live())
        [[likely]] {
      found = true;
    } else {
      found = Find(*index, probe.hash, fid, word) != nullptr;
      // A shard that has split since has no say about fids that left it.
      if (!found && !shard.Holds(probe.hash)) return false;
    }
    if (found) {
      CopyOut(arena_.Row(word.number()), bytes, into());
      timestamp = word.timestamp();
    }
    return shard.sequence.load(std::memory_order_relaxed) == before;
  }

  // The same with the lock.
  template <typename Into>
  void ReadLocked(Fid fid, size_t bytes, const Probe& probe, Into&& into, bool& found,
                  uint32_t& timestamp) const {
    const Locked locked(*this, probe.hash, probe.shard);
    Index& index = *locked.shard().index.load(std::memory_order_relaxed);
    Word word;
    found = Find(index, probe.hash, fid, word) != nullptr;
    if (found) {
      CopyOut(arena_.Row(word.number()), bytes, into());
      timestamp = word.timestamp();
    }
  }

  // Finds the row of `fid` in its shard, which is locked.
  void Settle(Fid fid, const Locked& locked, Probe& probe) const {
    probe.shard = &locked.shard();
    Index& index = *probe.shard->index.load(std::memory_order_relaxed);
    probe.entry = Find(index, probe.hash, fid, probe.word);
    if (probe.entry != nullptr) probe.payload = arena_.Row(probe.word.number());
  }

  // Takes a row for a new fid and makes room for its entry; the shard that is locked afterwards may
  // be another. Errors: kResourceExhausted (a lock is held all the same).
  Status MakeRoom(Probe& probe, Locked& locked, uint32_t& number);
  // Enters it. Requires the lock.
  void Enter(Fid fid, uint32_t timestamp, uint32_t number, Probe& probe);
  Status TakeRow(Shard& shard, uint32_t& number);
  // Rebuilds the index with `buckets` buckets. Requires the lock.
  Status Rebuild(Shard& shard, uint32_t buckets);
  bool MaySplit(const Shard& shard) const;
  // Moves the entries whose next hash bit is one to a new shard. Of the two, the one that holds
  // `hash` is locked afterwards, without a moment in which somebody else could insert.
  Status Split(Locked& locked, uint64_t hash);
  // Makes the directory tell shards of `depth` bits apart. Requires mu_.
  void DeepenDirectory(uint32_t depth);
  // Enters a shard into the directory, which is deep enough. Requires mu_.
  void Publish(Shard& shard);
  // Makes the one empty shard into 2^depth shards of `buckets` buckets. Requires mu_.
  Status Subdivide(uint32_t depth, uint32_t buckets);
  void Remove(Shard& shard, Entry& entry, Word word);
  // Enters it where probing from its bucket first finds room. Requires room.
  void Put(Index& index, Fid fid, Word word) const;
  Status BudgetReached() const;

  // Keeps the row aside if a snapshot still needs it as it is. Requires the lock.
  void KeepForSnapshot(Shard& shard, Entry& entry, Word& word) {
    if (word.parity() != parity_.load(std::memory_order_relaxed)) Keep(shard, entry, word);
  }
  void Keep(Shard& shard, Entry& entry, Word& word);
  // With the parity of rows that the snapshot is done with.
  uint32_t RowBits(uint32_t number) const {
    return (number + 1) | (parity_.load(std::memory_order_relaxed) ? kParityBit : 0);
  }
  Shard* ShardAt(size_t index) const;  // null past the end

  // Where a snapshot's walk over a shard stands. A rebuilt index is walked from its start; parity
  // tells what has been read.
  struct ShardCursor {
    uint32_t rebuilds = 0;
    uint64_t entry = 0;
  };
  struct CopiedRows;
  // Copies some rows of the snapshot; true if more may remain.
  bool ReadSome(Shard& shard, ShardCursor& cursor, CopiedRows& out);
  // Rows of the shard that were kept aside so far; may be null.
  static std::unique_ptr<Shard::Kept> TakeKept(Shard& shard);

  RowArena arena_;
  mutable RetiredMemory retired_;
  std::atomic<uint64_t> max_bytes_;
  const uint64_t hash_seed_;
  const uint32_t max_shard_rows_;
  std::atomic<uint64_t> rows_{0};
  std::atomic<uint64_t> index_bytes_{0};
  std::atomic<Directory*> directory_{nullptr};
  std::atomic<bool> parity_{false};  // of rows a running snapshot is done with, and of new ones
  std::atomic<bool> snapshot_{false};

  mutable std::mutex mu_;
  std::deque<Shard> shards_;                             // grows under mu_; elements stay in place
  std::vector<std::unique_ptr<Directory>> directories_;  // guarded by mu_; old ones stay readable
};

template <typename Into, typename Done>
void RowMap::Visit(std::span<const Fid> fids, size_t bytes, Into&& into, Done&& done) const {
  Pipeline(fids, bytes, [&](size_t i, Probe& probe) {
    bool found = false;
    uint32_t timestamp = 0;
    const auto place = [&] { return into(i); };
    // The lock is the last resort: who holds it may be rebuilding the index, which takes a while,
    // whereas what makes a reading fail is over in nanoseconds.
    int attempts = 0;
    while (!TryRead(fids[i], bytes, probe, place, found, timestamp)) [[unlikely]] {
      if (++attempts == kReadAttempts) {
        ReadLocked(fids[i], bytes, probe, place, found, timestamp);
        break;
      }
      probe.shard = Locate(probe.hash);
      probe.entry = nullptr;
    }
    done(i, found, timestamp);
  });
}

template <typename OnMissing, typename OnRow, typename OnFull>
Status RowMap::Update(std::span<const Fid> fids, OnMissing&& on_missing, OnRow&& on_row,
                      OnFull&& on_full) {
  Status full;
  const size_t bytes = row_bytes();
  const RowScratch scratch(bytes);
  std::byte* const copy = scratch.data();
  Pipeline(fids, bytes, [&](size_t i, Probe& probe) {
    Locked locked(*this, probe.hash, probe.shard);
    Settle(fids[i], locked, probe);
    if (probe.entry != nullptr) {
      KeepForSnapshot(*probe.shard, *probe.entry, probe.word);
      __builtin_memcpy(copy, probe.payload, bytes);
      uint32_t timestamp = probe.word.timestamp();
      on_row(i, copy, timestamp, false);
      const Changing changing(*probe.shard);
      CopyIn(copy, bytes, probe.payload);
      probe.entry->Set(Word(timestamp, probe.word.row()));
    } else if (on_missing(i) == Missing::kInsert) {
      uint32_t number = 0;
      Status room = MakeRoom(probe, locked, number);
      if (room.ok()) {
        uint32_t timestamp = 0;
        on_row(i, copy, timestamp, true);
        // Nobody can read the row yet (who found it under another fid sees that it was erased), so
        // readers need not wait for the first touch of its memory.
        CopyIn(copy, bytes, arena_.Row(number));
        const Changing changing(*probe.shard);
        Enter(fids[i], timestamp, number, probe);
      } else {
        on_full(i);
        full = std::move(room);
      }
    }
  });
  return full;
}

}  // namespace megalith::embedding

#include "common/learning/embedding/row_map.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string>
#include <thread>

#include "common/foundation/base/large_memory.h"

namespace megalith::embedding {
namespace {

constexpr uint64_t kLargeIndex = uint64_t{2} << 20;  // from this size on the system's own pages
constexpr uint32_t kMaxReservedRows = 64;            // that one shard takes from the arena at once
constexpr uint32_t kMaxDepth = 24;
// The directory has at most 2^this entries per shard; hashes that would split a shard further are
// not spread as hashes are, and their shard grows instead.
constexpr uint32_t kMaxDirectorySlack = 5;
constexpr size_t kReadAhead = 8;       // rows fetched ahead by passes over a shard
constexpr size_t kRowsPerRead = 1024;  // of a snapshot, handed over at once
// Copied under one hold of a shard's lock. A writer to a table of few shards often meets the reader
// of a snapshot, which should be gone after a microsecond.
constexpr size_t kRowsPerHold = 32;
constexpr size_t kRowsPerBlock = 128;  // kept aside
constexpr size_t kFidsPerScan = 16384;

// At most 86 in a hundred entries are used; a rebuilt index has 72 used, so room for a fifth more.
bool IsFull(uint32_t used, uint32_t buckets) {
  return uint64_t{used} * 100 > uint64_t{buckets} * 4 * 86;
}
uint32_t BucketsFor(uint64_t rows) {
  return static_cast<uint32_t>(std::max<uint64_t>(1, (rows * 100 + 4 * 72 - 1) / (4 * 72)));
}

uint64_t PhysicalMemory() {
  return static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
         static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

void FreeEntries(void* memory, uint64_t bytes) {
  if (bytes >= kLargeIndex) {
    UnmapZeroed(memory, bytes);
  } else {
    std::free(memory);
  }
}

Status NoMemory() {
  return ResourceExhausted("the system gives no memory for the table's index; evict rows");
}

}  // namespace

// Rows as they were at a snapshot, copied out of the map; room for `capacity` of them.
struct RowMap::CopiedRows {
  CopiedRows(size_t capacity, size_t row_bytes) : row_bytes(row_bytes) {
    fids.reserve(capacity);
    timestamps.reserve(capacity);
    payloads = std::make_unique_for_overwrite<std::byte[]>(capacity * row_bytes);
  }
  size_t size() const { return fids.size(); }
  bool full() const { return fids.size() == fids.capacity(); }

  // Requires !full().
  void Add(Fid fid, Word word, const std::byte* payload) {
    std::memcpy(payloads.get() + size() * row_bytes, payload, row_bytes);
    timestamps.push_back(word.timestamp());
    fids.push_back(fid);
  }
  void Clear() {
    fids.clear();
    timestamps.clear();
  }

  size_t row_bytes;
  std::vector<Fid> fids;
  std::vector<uint32_t> timestamps;
  std::unique_ptr<std::byte[]> payloads;
};
struct RowMap::Shard::Kept {
  std::vector<CopiedRows> blocks;  // all but the last are full
};

RowMap::Shard::Shard() = default;
RowMap::Shard::~Shard() { Index::Free(index.load(std::memory_order_relaxed)); }

RowMap::Index* RowMap::Index::Make(uint32_t buckets) {
  const uint64_t bytes = EntryBytes(buckets);
  void* memory = nullptr;
  if (bytes >= kLargeIndex) {
    memory = MapZeroed(bytes, Pages::kLarge);
  } else if ((memory = AllocateArray(bytes)) != nullptr) {
    std::memset(memory, 0, bytes);
  }
  if (memory == nullptr) return nullptr;
  auto* index =
      new (std::nothrow) Index{.buckets = buckets, .entries = static_cast<Entry*>(memory)};
  if (index == nullptr) FreeEntries(memory, bytes);
  return index;
}

void RowMap::Index::Free(void* memory) {
  if (memory == nullptr) return;
  auto* index = static_cast<Index*>(memory);
  FreeEntries(index->entries, EntryBytes(index->buckets));
  delete index;
}

RowMap::Directory::Directory(uint32_t bits) : depth(bits), shards(size_t{1} << bits) {}

RowMap::RowMap(size_t payload_bytes, uint64_t max_bytes, uint64_t hash_seed,
               uint32_t max_shard_rows)
    : arena_(payload_bytes),
      max_bytes_(max_bytes),
      hash_seed_(hash_seed),
      max_shard_rows_(max_shard_rows) {
  Shard& first = shards_.emplace_back();
  first.index.store(Index::Make(1), std::memory_order_relaxed);
  CHECK(first.index.load() != nullptr);
  index_bytes_ = Index::Bytes(1);
  directories_.push_back(std::make_unique<Directory>(0));
  directories_.back()->shards[0].store(&first, std::memory_order_relaxed);
  directory_.store(directories_.back().get(), std::memory_order_release);
}

RowMap::~RowMap() = default;

double RowMap::load_factor() const {
  const uint64_t entries = index_bytes_.load(std::memory_order_relaxed) / sizeof(Entry);
  return static_cast<double>(rows()) / static_cast<double>(entries);
}

void RowMap::Locked::AcquireSlowly(const Shard& shard) {
  int spins = 0;
  do {
    while (shard.locked.load(std::memory_order_relaxed) != 0) {
      // The holder works for less than a microsecond unless it was put to sleep.
      if (++spins >= 128) {
        spins = 0;
        std::this_thread::yield();
      }
    }
  } while (shard.locked.exchange(1, std::memory_order_acquire) != 0);
}

RowMap::Entry* RowMap::FindFrom(Index& index, Entry* bucket, Fid fid, Word& word) {
  Entry* const end = index.entries + index.count();
  for (uint32_t probed = 0; probed < index.buckets; ++probed) {
    bool ends = false;
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      word = bucket[k].Get();
      if (bucket[k].fid.load(std::memory_order_acquire) == fid && word.live()) return bucket + k;
      ends |= word.never_used();
    }
    if (ends) return nullptr;
    bucket += kBucketEntries;
    if (bucket == end) bucket = index.entries;
  }
  return nullptr;
}

void RowMap::Put(Index& index, Fid fid, Word word) const {
  Entry* const end = index.entries + index.count();
  for (Entry* bucket = BucketAt(index, Hash(fid));;) {
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      if (!bucket[k].Get().never_used()) continue;
      bucket[k].Set(fid, word);
      return;
    }
    bucket += kBucketEntries;
    if (bucket == end) bucket = index.entries;
  }
}

Status RowMap::BudgetReached() const {
  return ResourceExhausted("the table has reached its max_bytes of " +
                           std::to_string(max_bytes_.load(std::memory_order_relaxed)) +
                           "; evict rows or raise it");
}

Status RowMap::Rebuild(Shard& shard, uint32_t buckets) {
  Index& old = *shard.index.load(std::memory_order_relaxed);
  if (buckets > old.buckets && bytes() + (buckets - old.buckets) * uint64_t{64} >
                                   max_bytes_.load(std::memory_order_relaxed)) {
    return BudgetReached();
  }
  Index* index = Index::Make(buckets);
  if (index == nullptr) return NoMemory();
  for (uint64_t i = 0; i < old.count(); ++i) {
    const Word word = old.entries[i].Get();
    if (word.live()) Put(*index, old.entries[i].fid.load(std::memory_order_relaxed), word);
  }
  index_bytes_.fetch_add(Index::Bytes(buckets) - Index::Bytes(old.buckets),
                         std::memory_order_relaxed);
  shard.erased = 0;
  ++shard.rebuilds;
  {
    const Changing changing(shard);
    shard.index.store(index, std::memory_order_release);
  }
  retired_.Retire(&old, Index::Free);
  return OkStatus();
}

Status RowMap::Split(Locked& locked, uint64_t hash) {
  Shard& shard = locked.shard();
  Index& old = *shard.index.load(std::memory_order_relaxed);
  const uint32_t depth = shard.depth.load(std::memory_order_relaxed);
  const std::span<Entry> entries(old.entries, old.count());
  const auto leaves = [&](const Entry& entry) {
    return (Leading(Hash(entry.fid.load(std::memory_order_relaxed)), depth + 1) & 1) != 0;
  };
  uint32_t leaving = 0;
  for (const Entry& entry : entries) leaving += entry.Get().live() && leaves(entry) ? 1 : 0;
  OwnedIndex stay(Index::Make(BucketsFor(uint64_t{shard.used} - leaving + 1)));
  OwnedIndex leave(Index::Make(BucketsFor(uint64_t{leaving} + 1)));
  if (stay == nullptr || leave == nullptr) return NoMemory();
  for (const Entry& entry : entries) {
    const Word word = entry.Get();
    if (!word.live()) continue;
    Put(leaves(entry) ? *leave : *stay, entry.fid.load(std::memory_order_relaxed), word);
  }

  // What may find no memory comes first; from then on nothing fails.
  const std::lock_guard lock(mu_);
  DeepenDirectory(depth + 1);
  Shard& other = shards_.emplace_back();
  Locked other_locked(other);
  index_bytes_.fetch_add(
      Index::Bytes(stay->buckets) + Index::Bytes(leave->buckets) - Index::Bytes(old.buckets),
      std::memory_order_relaxed);
  const uint32_t prefix = shard.prefix.load(std::memory_order_relaxed);
  other.index.store(leave.release(), std::memory_order_relaxed);
  other.used = leaving;
  other.depth.store(depth + 1, std::memory_order_relaxed);
  other.prefix.store(prefix * 2 + 1, std::memory_order_relaxed);
  // For a moment both shards answer for the rows that move, alike since both are locked: so no
  // reader is without an answer.
  Publish(other);
  {
    const Changing changing(shard);
    shard.index.store(stay.release(), std::memory_order_release);
    shard.depth.store(depth + 1, std::memory_order_release);
    shard.prefix.store(prefix * 2, std::memory_order_release);
  }
  shard.used -= leaving;
  shard.erased = 0;
  ++shard.rebuilds;
  if (!shard.Holds(hash)) locked.Swap(other_locked);
  retired_.Retire(&old, Index::Free);
  return OkStatus();
}

void RowMap::DeepenDirectory(uint32_t depth) {
  while (directories_.back()->depth < depth) {
    const Directory& directory = *directories_.back();
    auto larger = std::make_unique<Directory>(directory.depth + 1);
    for (size_t i = 0; i < larger->shards.size(); ++i) {
      larger->shards[i].store(directory.shards[i / 2].load(std::memory_order_relaxed),
                              std::memory_order_relaxed);
    }
    directories_.push_back(std::move(larger));
  }
}

void RowMap::Publish(Shard& shard) {
  Directory* directory = directories_.back().get();
  const uint32_t depth = shard.depth.load(std::memory_order_relaxed);
  const uint32_t free_bits = directory->depth - depth;
  const size_t first = size_t{shard.prefix.load(std::memory_order_relaxed)} << free_bits;
  for (size_t i = 0; i < size_t{1} << free_bits; ++i) {
    directory->shards[first + i].store(&shard, std::memory_order_release);
  }
  directory_.store(directory, std::memory_order_release);
}

Status RowMap::TakeRow(Shard& shard, uint32_t& number) {
  if (shard.free_head != kNoRow) {
    number = shard.free_head;
    std::memcpy(&shard.free_head, arena_.Row(number), sizeof(shard.free_head));
    return OkStatus();
  }
  if (shard.fresh_next == shard.fresh_end) {
    const uint32_t count = std::clamp<uint32_t>(shard.used / 64, 1, kMaxReservedRows);
    const uint64_t held = bytes();
    const uint64_t limit = max_bytes_.load(std::memory_order_relaxed);
    const uint64_t room = held < limit ? (limit - held) / row_bytes() : 0;
    if (room == 0) return BudgetReached();
    const auto taken = static_cast<uint32_t>(std::min<uint64_t>(count, room));
    ASSIGN_OR_RETURN(shard.fresh_next, arena_.Reserve(taken));
    shard.fresh_end = shard.fresh_next + taken;
  }
  number = shard.fresh_next++;
  return OkStatus();
}

bool RowMap::MaySplit(const Shard& shard) const {
  const uint32_t depth = shard.depth.load(std::memory_order_relaxed);
  if (depth >= kMaxDepth) return false;
  const std::lock_guard lock(mu_);
  return (size_t{1} << (depth + 1)) <= (shards_.size() << kMaxDirectorySlack);
}

Status RowMap::MakeRoom(Probe& probe, Locked& locked, uint32_t& number) {
  const auto buckets = [](const Shard& shard) {
    return shard.index.load(std::memory_order_relaxed)->buckets;
  };
  while (IsFull(probe.shard->used + probe.shard->erased + 1, buckets(*probe.shard))) {
    Shard& shard = *probe.shard;
    if (shard.used < max_shard_rows_ || !MaySplit(shard)) {
      Status grown = Rebuild(shard, BucketsFor(uint64_t{shard.used} + 1));
      if (!grown.ok() && shard.erased > 0) grown = Rebuild(shard, buckets(shard));
      RETURN_IF_ERROR(grown);
      continue;
    }
    RETURN_IF_ERROR(Split(locked, probe.hash));
    probe.shard = &locked.shard();
  }
  return TakeRow(*probe.shard, number);
}

void RowMap::Enter(Fid fid, uint32_t timestamp, uint32_t number, Probe& probe) {
  Put(*probe.shard->index.load(std::memory_order_relaxed), fid, Word(timestamp, RowBits(number)));
  ++probe.shard->used;
  rows_.fetch_add(1, std::memory_order_relaxed);
}

void RowMap::Remove(Shard& shard, Entry& entry, Word word) {
  const uint32_t number = word.number();
  // Where probing ends in this bucket anyway, the entry can be as new.
  Index& index = *shard.index.load(std::memory_order_relaxed);
  const Entry* bucket = &entry - (&entry - index.entries) % kBucketEntries;
  const bool ends = std::any_of(bucket, bucket + kBucketEntries,
                                [](const Entry& e) { return e.Get().never_used(); });
  const Changing changing(shard);
  entry.Set(0, ends ? Word() : Word(1, 0));
  const std::array<uint32_t, 2> link{shard.free_head, 0};
  CopyIn(reinterpret_cast<const std::byte*>(link.data()), sizeof(link), arena_.Row(number));
  shard.free_head = number;
  shard.erased += ends ? 0 : 1;
  --shard.used;
  rows_.fetch_sub(1, std::memory_order_relaxed);
}

bool RowMap::Erase(Fid fid) {
  const RetiredMemory::Reader reader(retired_);
  Probe probe;
  probe.hash = Hash(fid);
  const Locked locked(*this, probe.hash, Locate(probe.hash));
  Settle(fid, locked, probe);
  if (probe.entry == nullptr) return false;
  KeepForSnapshot(*probe.shard, *probe.entry, probe.word);
  Remove(*probe.shard, *probe.entry, probe.word);
  return true;
}

void RowMap::EraseIf(const std::function<bool(Fid fid, uint32_t timestamp)>& drop,
                     std::vector<Fid>* dropped) {
  for (size_t i = 0; Shard* shard = ShardAt(i); ++i) {
    const Locked locked(*shard);
    Index& index = *shard->index.load(std::memory_order_relaxed);
    for (uint64_t k = 0; k < index.count(); ++k) {
      Entry& entry = index.entries[k];
      Word word = entry.Get();
      const Fid fid = entry.fid.load(std::memory_order_relaxed);
      if (!word.live() || !drop(fid, word.timestamp())) continue;
      if (dropped != nullptr) dropped->push_back(fid);
      KeepForSnapshot(*shard, entry, word);
      Remove(*shard, entry, word);
    }
    // An index that is mostly air is given back; failing to leaves it as it is.
    const uint32_t wanted = BucketsFor(uint64_t{shard->used} + 1);
    if (wanted < index.buckets / 2) (void)Rebuild(*shard, wanted);
  }
}

// Rows that a split moves away go to a shard at the end of the list, which the walk has yet to see.
// A shard whose index was rebuilt is walked from its start again. The cursor is {shard 24 bits,
// rebuilds 8 bits, bucket 32 bits}.
bool RowMap::ScanFids(uint64_t* cursor, std::vector<Fid>* fids) const {
  const uint64_t number = *cursor >> 40;
  Shard* shard = ShardAt(number);
  if (shard == nullptr) return false;
  fids->reserve(fids->size() + kFidsPerScan);  // not under the lock
  const Locked locked(*shard);
  Index& index = *shard->index.load(std::memory_order_relaxed);
  const uint64_t rebuilds = shard->rebuilds & 0xff;
  const bool rebuilt = ((*cursor >> 32) & 0xff) != rebuilds;
  uint64_t bucket = rebuilt ? 0 : *cursor & UINT32_MAX;
  size_t found = 0;
  for (; bucket < index.buckets && found + kBucketEntries <= kFidsPerScan; ++bucket) {
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      const Entry& entry = index.entries[bucket * kBucketEntries + k];
      if (!entry.Get().live()) continue;
      fids->push_back(entry.fid.load(std::memory_order_relaxed));
      ++found;
    }
  }
  const bool ended = bucket >= index.buckets;
  *cursor = ended ? (number + 1) << 40 : number << 40 | rebuilds << 32 | bucket;
  return true;
}

Status RowMap::Reserve(uint64_t rows) {
  if (rows > RowArena::kMaxRows) {
    return InvalidArgument("initial_capacity " + std::to_string(rows) + ": a table holds at most " +
                           std::to_string(RowArena::kMaxRows) + " rows; use more servers");
  }
  const std::lock_guard lock(mu_);
  if (shards_.size() > 1 || shards_.front().used > 0) return OkStatus();
  uint32_t depth = 0;
  while ((rows >> depth) > max_shard_rows_ / 2 && depth < kMaxDepth) ++depth;
  const uint32_t buckets = BucketsFor((rows >> depth) + 1);
  const uint64_t index_bytes = Index::Bytes(buckets) << depth;
  const uint64_t limit = std::min(max_bytes_.load(), PhysicalMemory());
  if (index_bytes > limit) {
    return ResourceExhausted("initial_capacity " + std::to_string(rows) + " needs " +
                             std::to_string(index_bytes) + " bytes of index; max_bytes and the " +
                             "machine's memory allow " + std::to_string(limit));
  }
  return Subdivide(depth, buckets);
}

Status RowMap::Subdivide(uint32_t depth, uint32_t buckets) {
  std::vector<OwnedIndex> indexes(size_t{1} << depth);
  for (OwnedIndex& index : indexes) {
    index.reset(Index::Make(buckets));
    if (index == nullptr) return NoMemory();
  }
  auto directory = std::make_unique<Directory>(depth);
  Index::Free(shards_.front().index.load(std::memory_order_relaxed));
  for (size_t prefix = 0; prefix < indexes.size(); ++prefix) {
    Shard& shard = prefix == 0 ? shards_.front() : shards_.emplace_back();
    shard.depth = depth;
    shard.prefix = static_cast<uint32_t>(prefix);
    shard.index.store(indexes[prefix].release(), std::memory_order_relaxed);
    directory->shards[prefix].store(&shard, std::memory_order_relaxed);
  }
  index_bytes_ = Index::Bytes(buckets) << depth;
  directories_.push_back(std::move(directory));
  directory_.store(directories_.back().get(), std::memory_order_release);
  return OkStatus();
}

Status RowMap::Clear() {
  if (snapshot_.load(std::memory_order_acquire)) {
    return FailedPrecondition("the table is being saved; clear it when that has ended");
  }
  const std::lock_guard lock(mu_);
  uint64_t index_bytes = 0;
  for (Shard& shard : shards_) {
    const Locked locked(shard);
    Index* empty = Index::Make(1);
    CHECK(empty != nullptr);
    Index* old = shard.index.load(std::memory_order_relaxed);
    {
      const Changing changing(shard);
      shard.index.store(empty, std::memory_order_release);
    }
    retired_.Retire(old, Index::Free);
    shard.used = shard.erased = 0;
    shard.free_head = kNoRow;
    shard.fresh_next = shard.fresh_end = 0;
    ++shard.rebuilds;
    index_bytes += Index::Bytes(1);
  }
  index_bytes_.store(index_bytes, std::memory_order_relaxed);
  rows_.store(0, std::memory_order_relaxed);
  // No new reader finds a row; those that did find one leave before the rows' memory goes.
  retired_.Synchronize();
  arena_.Reset();
  return OkStatus();
}

RowMap::Shard* RowMap::ShardAt(size_t index) const {
  const std::lock_guard lock(mu_);
  return index < shards_.size() ? const_cast<Shard*>(&shards_[index]) : nullptr;
}

void RowMap::Keep(Shard& shard, Entry& entry, Word& word) {
  if (shard.kept == nullptr) shard.kept = std::make_unique<Shard::Kept>();
  std::vector<CopiedRows>& blocks = shard.kept->blocks;
  if (blocks.empty() || blocks.back().full()) blocks.emplace_back(kRowsPerBlock, row_bytes());
  blocks.back().Add(entry.fid.load(std::memory_order_relaxed), word, arena_.Row(word.number()));
  // Readers do not look at parity, so this is no change to them.
  word = Word(word.timestamp(), word.row() ^ kParityBit);
  entry.Set(word);
}

Status RowMap::BeginSnapshot() {
  if (snapshot_.exchange(true, std::memory_order_acq_rel)) {
    return FailedPrecondition("the table is being saved already; try again when that has ended");
  }
  parity_.store(!parity_.load(std::memory_order_relaxed), std::memory_order_release);
  return OkStatus();
}

bool RowMap::ReadSome(Shard& shard, ShardCursor& cursor, CopiedRows& out) {
  const bool parity = parity_.load(std::memory_order_relaxed);
  const Locked locked(shard);
  if (cursor.rebuilds != shard.rebuilds) cursor = {.rebuilds = shard.rebuilds, .entry = 0};
  Index& index = *shard.index.load(std::memory_order_relaxed);
  const size_t limit = std::min(out.size() + kRowsPerHold, kRowsPerRead);
  uint64_t i = cursor.entry;
  for (; i < index.count() && out.size() < limit; ++i) {
    if (i + kReadAhead < index.count()) {
      const Word ahead = index.entries[i + kReadAhead].Get();
      if (ahead.live()) Fetch(arena_.Row(ahead.number()), row_bytes());
    }
    Entry& entry = index.entries[i];
    const Word word = entry.Get();
    if (!word.live() || word.parity() == parity) continue;
    out.Add(entry.fid.load(std::memory_order_relaxed), word, arena_.Row(word.number()));
    entry.Set(Word(word.timestamp(), word.row() ^ kParityBit));
  }
  cursor.entry = i;
  return i < index.count();
}

std::unique_ptr<RowMap::Shard::Kept> RowMap::TakeKept(Shard& shard) {
  const Locked locked(shard);
  return std::move(shard.kept);
}

Status RowMap::ReadSnapshot(const std::function<Status(std::span<const RowView> rows)>& sink) {
  CHECK(snapshot_.load(std::memory_order_acquire));
  Status status;
  std::vector<RowView> views;
  // After an error the walk goes on without the sink: every entry must come out with the new
  // parity.
  const auto hand_over = [&](const CopiedRows& rows) {
    if (!status.ok() || rows.size() == 0) return;
    views.clear();
    for (size_t i = 0; i < rows.size(); ++i) {
      views.push_back({.fid = rows.fids[i],
                       .timestamp = rows.timestamps[i],
                       .payload = rows.payloads.get() + i * row_bytes()});
    }
    status = sink(views);
  };
  CopiedRows copied(kRowsPerRead, row_bytes());
  // Shards that come from splits meanwhile are at the end of the list, so they are read too.
  for (size_t index = 0; Shard* shard = ShardAt(index); ++index) {
    ShardCursor cursor;
    for (bool more = true; more;) {
      copied.Clear();
      do more = ReadSome(*shard, cursor, copied);
      while (more && !copied.full());
      hand_over(copied);
      // Early too, so that what is kept aside does not pile up. After the walk's end none is added.
      if (const auto kept = TakeKept(*shard)) {
        for (const CopiedRows& block : kept->blocks) hand_over(block);
      }
    }
  }
  snapshot_.store(false, std::memory_order_release);
  return status;
}

}  // namespace megalith::embedding

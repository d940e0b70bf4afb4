#include "common/learning/embedding/row_map.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>

namespace megalith::embedding {
namespace {

constexpr uint64_t kEntryBytes = 16;
constexpr uint64_t kBucketBytes = 64;
constexpr uint32_t kMaxReservedRows = 64;  // that one shard takes from the arena at once
constexpr uint32_t kMaxDepth = 24;
// The directory has at most 2^this entries per shard; hashes that would split a shard further are
// not spread as hashes are, and their shard grows instead.
constexpr uint32_t kMaxDirectorySlack = 5;
constexpr size_t kReadAhead = 8;       // rows fetched ahead by passes over a shard
constexpr size_t kRowsPerRead = 1024;  // copied under one hold of a shard's lock

// At most 86 in a hundred entries are used; a rebuilt index has 72 used, so room for a fifth more.
bool IsFull(uint32_t used, uint32_t buckets) {
  return uint64_t{used} * 100 > uint64_t{buckets} * 4 * 86;
}
uint32_t BucketsFor(uint64_t rows) {
  return static_cast<uint32_t>(std::max<uint64_t>(1, (rows * 100 + 4 * 72 - 1) / (4 * 72)));
}

// Zeroed, 64-byte aligned; null if there is no memory.
void* AllocateBuckets(uint64_t buckets) {
  void* memory = std::aligned_alloc(64, buckets * kBucketBytes);
  if (memory != nullptr) std::memset(memory, 0, buckets * kBucketBytes);
  return memory;
}

Status NoMemory() {
  return ResourceExhausted("the system gives no memory for the table's index; evict rows");
}

}  // namespace

// Rows as they were at a snapshot, copied out of the map.
struct RowMap::CopiedRows {
  std::vector<Fid> fids;
  std::vector<uint32_t> timestamps;
  std::vector<std::byte> payloads;

  void Add(const Entry& entry, const std::byte* payload, size_t bytes) {
    fids.push_back(entry.fid);
    timestamps.push_back(entry.timestamp);
    payloads.insert(payloads.end(), payload, payload + bytes);
  }
  void Clear() {
    fids.clear();
    timestamps.clear();
    payloads.clear();
  }
};
struct RowMap::Shard::Kept : RowMap::CopiedRows {};

RowMap::Shard::Shard() = default;
RowMap::Shard::~Shard() { std::free(entries.load(std::memory_order_relaxed)); }

RowMap::Directory::Directory(uint32_t bits) : depth(bits), shards(size_t{1} << bits) {}

RowMap::RowMap(size_t payload_bytes, uint64_t max_bytes, uint64_t hash_seed)
    : arena_(payload_bytes), max_bytes_(max_bytes), hash_seed_(hash_seed) {
  Shard& first = shards_.emplace_back();
  first.entries.store(static_cast<Entry*>(AllocateBuckets(1)), std::memory_order_relaxed);
  CHECK(first.entries.load() != nullptr);
  first.buckets.store(1, std::memory_order_relaxed);
  index_bytes_ = kBucketBytes;
  directories_.push_back(std::make_unique<Directory>(0));
  directories_.back()->shards[0].store(&first, std::memory_order_relaxed);
  directory_.store(directories_.back().get(), std::memory_order_release);
}

RowMap::~RowMap() = default;

double RowMap::load_factor() const {
  const uint64_t entries = index_bytes_.load(std::memory_order_relaxed) / kEntryBytes;
  return static_cast<double>(rows()) / static_cast<double>(entries);
}

void RowMap::LockSlowly(const Shard& shard) {
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

RowMap::Entry* RowMap::Put(Entry* entries, uint32_t buckets, const Entry& entry) const {
  for (uint32_t b = BucketOf(Hash(entry.fid), buckets);; b = b + 1 == buckets ? 0 : b + 1) {
    Entry* bucket = entries + uint64_t{b} * kBucketEntries;
    for (uint32_t k = 0; k < kBucketEntries; ++k) {
      if (!bucket[k].never_used()) continue;
      bucket[k] = entry;
      return bucket + k;
    }
  }
}

Status RowMap::Rebuild(Shard& shard, uint32_t buckets) {
  const uint32_t old_buckets = shard.buckets.load(std::memory_order_relaxed);
  if (buckets > old_buckets && bytes() + (buckets - old_buckets) * kBucketBytes > max_bytes_) {
    return ResourceExhausted("the table has reached its max_bytes of " +
                             std::to_string(max_bytes_.load()) + "; evict rows or raise it");
  }
  auto* entries = static_cast<Entry*>(AllocateBuckets(buckets));
  if (entries == nullptr) return NoMemory();
  Entry* old = shard.entries.load(std::memory_order_relaxed);
  for (uint64_t i = 0; i < uint64_t{old_buckets} * kBucketEntries; ++i) {
    if (old[i].live()) Put(entries, buckets, old[i]);
  }
  shard.entries.store(entries, std::memory_order_relaxed);
  shard.buckets.store(buckets, std::memory_order_relaxed);
  shard.erased = 0;
  ++shard.version;
  ++shard.rebuilds;
  index_bytes_.fetch_add((uint64_t{buckets} - old_buckets) * kBucketBytes,
                         std::memory_order_relaxed);
  std::free(old);
  return OkStatus();
}

Result<RowMap::Shard*> RowMap::Split(Shard& shard) {
  Entry* old = shard.entries.load(std::memory_order_relaxed);
  const uint32_t old_buckets = shard.buckets.load(std::memory_order_relaxed);
  const std::span<const Entry> entries(old, uint64_t{old_buckets} * kBucketEntries);
  const auto leaves = [&](const Entry& entry) {
    return (Leading(Hash(entry.fid), shard.depth + 1) & 1) != 0;
  };
  uint32_t leaving = 0;
  for (const Entry& entry : entries) leaving += entry.live() && leaves(entry) ? 1 : 0;
  const uint32_t stay_buckets = BucketsFor(uint64_t{shard.used} - leaving + 1);
  const uint32_t leave_buckets = BucketsFor(uint64_t{leaving} + 1);
  auto* stay = static_cast<Entry*>(AllocateBuckets(stay_buckets));
  auto* leave = static_cast<Entry*>(AllocateBuckets(leave_buckets));
  if (stay == nullptr || leave == nullptr) {
    std::free(stay);
    std::free(leave);
    return NoMemory();
  }
  for (const Entry& entry : entries) {
    if (!entry.live()) continue;
    if (leaves(entry)) {
      Put(leave, leave_buckets, entry);
    } else {
      Put(stay, stay_buckets, entry);
    }
  }

  const std::lock_guard lock(mu_);
  Shard& other = shards_.emplace_back();
  Lock(other);  // the caller unlocks the one of the two that it does not need
  other.entries.store(leave, std::memory_order_relaxed);
  other.buckets.store(leave_buckets, std::memory_order_relaxed);
  other.used = leaving;
  other.depth = shard.depth + 1;
  other.prefix = shard.prefix * 2 + 1;
  shard.entries.store(stay, std::memory_order_relaxed);
  shard.buckets.store(stay_buckets, std::memory_order_relaxed);
  shard.used -= leaving;
  shard.erased = 0;
  shard.depth += 1;
  shard.prefix *= 2;
  ++shard.version;
  ++shard.rebuilds;
  index_bytes_.fetch_add((uint64_t{stay_buckets} + leave_buckets - old_buckets) * kBucketBytes,
                         std::memory_order_relaxed);
  std::free(old);
  Publish(other);
  return &other;
}

void RowMap::Publish(Shard& shard) {
  Directory* directory = directories_.back().get();
  while (directory->depth < shard.depth) {
    auto larger = std::make_unique<Directory>(directory->depth + 1);
    for (size_t i = 0; i < larger->shards.size(); ++i) {
      larger->shards[i].store(directory->shards[i / 2].load(std::memory_order_relaxed),
                              std::memory_order_relaxed);
    }
    directories_.push_back(std::move(larger));
    directory = directories_.back().get();
  }
  const uint32_t free_bits = directory->depth - shard.depth;
  const size_t first = size_t{shard.prefix} << free_bits;
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
    if (room == 0) {
      return ResourceExhausted("the table has reached its max_bytes of " +
                               std::to_string(max_bytes_.load()) + "; evict rows or raise it");
    }
    const auto taken = static_cast<uint32_t>(std::min<uint64_t>(count, room));
    ASSIGN_OR_RETURN(shard.fresh_next, arena_.Reserve(taken));
    shard.fresh_end = shard.fresh_next + taken;
  }
  number = shard.fresh_next++;
  return OkStatus();
}

bool RowMap::MaySplit(const Shard& shard) const {
  if (shard.depth >= kMaxDepth) return false;
  const std::lock_guard lock(mu_);
  return (size_t{1} << (shard.depth + 1)) <= (shards_.size() << kMaxDirectorySlack);
}

Status RowMap::Insert(Fid fid, Probe& probe) {
  Shard* shard = probe.shard;
  while (IsFull(shard->used + shard->erased + 1, shard->buckets.load(std::memory_order_relaxed))) {
    if (shard->used < kMaxShardRows || !MaySplit(*shard)) {
      Status grown = Rebuild(*shard, BucketsFor(uint64_t{shard->used} + 1));
      if (!grown.ok() && shard->erased > 0) {
        grown = Rebuild(*shard, shard->buckets.load(std::memory_order_relaxed));
      }
      RETURN_IF_ERROR(grown);
      continue;
    }
    ASSIGN_OR_RETURN(Shard * other, Split(*shard));
    const bool moved = Leading(probe.hash, shard->depth) != shard->prefix;
    Unlock(moved ? *shard : *other);
    if (moved) shard = other;
    probe.shard = shard;
  }
  uint32_t number = 0;
  RETURN_IF_ERROR(TakeRow(*shard, number));
  const uint32_t parity = parity_.load(std::memory_order_relaxed) ? kParityBit : 0;
  probe.entry = Put(shard->entries.load(std::memory_order_relaxed),
                    shard->buckets.load(std::memory_order_relaxed),
                    {.fid = fid, .timestamp = 0, .row = (number + 1) | parity});
  probe.payload = arena_.Row(number);
  ++shard->used;
  ++shard->version;
  rows_.fetch_add(1, std::memory_order_relaxed);
  return OkStatus();
}

void RowMap::Remove(Shard& shard, Entry* entry) {
  const uint32_t number = (entry->row & ~kParityBit) - 1;
  std::memcpy(arena_.Row(number), &shard.free_head, sizeof(shard.free_head));
  shard.free_head = number;
  // Where probing ends in this bucket anyway, the entry can be as new.
  Entry* entries = shard.entries.load(std::memory_order_relaxed);
  const Entry* bucket = entry - (entry - entries) % kBucketEntries;
  const bool ends =
      std::any_of(bucket, bucket + kBucketEntries, [](const Entry& e) { return e.never_used(); });
  *entry = {.fid = 0, .timestamp = ends ? 0 : kErasedMark, .row = 0};
  shard.erased += ends ? 0 : 1;
  --shard.used;
  ++shard.version;
  rows_.fetch_sub(1, std::memory_order_relaxed);
}

bool RowMap::Erase(Fid fid) {
  const uint64_t hash = Hash(fid);
  Shard* shard = LockOwner(hash, Locate(hash));
  Entry* entry = Find(*shard, hash, fid);
  if (entry != nullptr) {
    KeepForSnapshot(*shard, *entry);
    Remove(*shard, entry);
  }
  Unlock(*shard);
  return entry != nullptr;
}

void RowMap::EraseIf(const std::function<bool(Fid fid, uint32_t timestamp)>& drop,
                     std::vector<Fid>* dropped) {
  for (size_t index = 0; Shard* shard = ShardAt(index); ++index) {
    Lock(*shard);
    Entry* entries = shard->entries.load(std::memory_order_relaxed);
    const uint32_t buckets = shard->buckets.load(std::memory_order_relaxed);
    for (uint64_t i = 0; i < uint64_t{buckets} * kBucketEntries; ++i) {
      Entry& entry = entries[i];
      if (!entry.live() || !drop(entry.fid, entry.timestamp)) continue;
      if (dropped != nullptr) dropped->push_back(entry.fid);
      KeepForSnapshot(*shard, entry);
      Remove(*shard, &entry);
    }
    // An index that is mostly air is given back; failing to leaves it as it is.
    const uint32_t wanted = BucketsFor(uint64_t{shard->used} + 1);
    if (wanted < buckets / 2) (void)Rebuild(*shard, wanted);
    Unlock(*shard);
  }
}

// Rows that a split moves away go to a shard at the end of the list, which the walk has yet to see.
bool RowMap::ScanFids(uint64_t* cursor, std::vector<Fid>* fids) const {
  const Shard* shard = ShardAt(*cursor);
  if (shard == nullptr) return false;
  ++*cursor;
  fids->reserve(fids->size() + kMaxShardRows);  // not under the lock
  Lock(*shard);
  const Entry* entries = shard->entries.load(std::memory_order_relaxed);
  const uint64_t count = uint64_t{shard->buckets.load(std::memory_order_relaxed)} * kBucketEntries;
  for (uint64_t i = 0; i < count; ++i) {
    if (entries[i].live()) fids->push_back(entries[i].fid);
  }
  Unlock(*shard);
  return true;
}

Status RowMap::Reserve(uint64_t rows) {
  const std::lock_guard lock(mu_);
  if (shards_.size() > 1 || shards_.front().used > 0 || rows < kMaxShardRows / 2) {
    return OkStatus();
  }
  uint32_t depth = 0;
  while ((rows >> depth) > kMaxShardRows / 2 && depth < 24) ++depth;
  const uint32_t buckets = BucketsFor((rows >> depth) + 1);
  const uint64_t index_bytes = (uint64_t{buckets} << depth) * kBucketBytes;
  if (index_bytes > max_bytes_) {
    return ResourceExhausted("initial_capacity " + std::to_string(rows) + " needs " +
                             std::to_string(index_bytes) + " bytes of index, max_bytes is " +
                             std::to_string(max_bytes_.load()));
  }
  return Subdivide(depth, buckets);
}

Status RowMap::Subdivide(uint32_t depth, uint32_t buckets) {
  std::vector<Entry*> indexes(size_t{1} << depth);
  for (Entry*& index : indexes) {
    index = static_cast<Entry*>(AllocateBuckets(buckets));
    if (index != nullptr) continue;
    for (Entry* made : indexes) std::free(made);
    return NoMemory();
  }
  std::free(shards_.front().entries.load(std::memory_order_relaxed));
  auto directory = std::make_unique<Directory>(depth);
  for (size_t prefix = 0; prefix < indexes.size(); ++prefix) {
    Shard& shard = prefix == 0 ? shards_.front() : shards_.emplace_back();
    shard.depth = depth;
    shard.prefix = static_cast<uint32_t>(prefix);
    shard.entries.store(indexes[prefix], std::memory_order_relaxed);
    shard.buckets.store(buckets, std::memory_order_relaxed);
    directory->shards[prefix].store(&shard, std::memory_order_relaxed);
  }
  index_bytes_ = (uint64_t{buckets} << depth) * kBucketBytes;
  directories_.push_back(std::move(directory));
  directory_.store(directories_.back().get(), std::memory_order_release);
  return OkStatus();
}

Status RowMap::Clear() {
  if (snapshot_.load(std::memory_order_acquire)) {
    return FailedPrecondition("the table is being saved; clear it when that has ended");
  }
  // Readers hold one shard's lock while they look at a row; with all of them held none looks.
  const std::lock_guard lock(mu_);
  for (Shard& shard : shards_) Lock(shard);
  for (Shard& shard : shards_) {
    std::fill_n(shard.entries.load(std::memory_order_relaxed),
                uint64_t{shard.buckets.load(std::memory_order_relaxed)} * kBucketEntries, Entry{});
    shard.used = shard.erased = 0;
    shard.free_head = kNoRow;
    shard.fresh_next = shard.fresh_end = 0;
    ++shard.version;
    ++shard.rebuilds;
  }
  arena_.Reset();
  rows_.store(0, std::memory_order_relaxed);
  for (Shard& shard : shards_) Unlock(shard);
  return OkStatus();
}

RowMap::Shard* RowMap::ShardAt(size_t index) const {
  const std::lock_guard lock(mu_);
  return index < shards_.size() ? const_cast<Shard*>(&shards_[index]) : nullptr;
}

void RowMap::Keep(Shard& shard, Entry& entry) {
  if (shard.kept == nullptr) shard.kept = std::make_unique<Shard::Kept>();
  shard.kept->Add(entry, PayloadOf(entry), row_bytes());
  entry.row ^= kParityBit;
}

Status RowMap::BeginSnapshot() {
  if (snapshot_.exchange(true, std::memory_order_acq_rel)) {
    return FailedPrecondition("the table is being saved already; try again when that has ended");
  }
  parity_.store(!parity_.load(std::memory_order_relaxed), std::memory_order_release);
  return OkStatus();
}

bool RowMap::ReadSome(Shard& shard, ShardCursor& cursor, size_t limit, CopiedRows& out) {
  const bool parity = parity_.load(std::memory_order_relaxed);
  Lock(shard);
  if (cursor.rebuilds != shard.rebuilds) cursor = {.rebuilds = shard.rebuilds, .entry = 0};
  Entry* entries = shard.entries.load(std::memory_order_relaxed);
  const uint64_t count = uint64_t{shard.buckets.load(std::memory_order_relaxed)} * kBucketEntries;
  size_t taken = 0;
  uint64_t i = cursor.entry;
  for (; i < count && taken < limit; ++i) {
    if (i + kReadAhead < count && entries[i + kReadAhead].live()) {
      Fetch(PayloadOf(entries[i + kReadAhead]), row_bytes());
    }
    Entry& entry = entries[i];
    if (!entry.live() || ((entry.row & kParityBit) != 0) == parity) continue;
    out.Add(entry, PayloadOf(entry), row_bytes());
    entry.row ^= kParityBit;
    ++taken;
  }
  cursor.entry = i;
  const std::unique_ptr<Shard::Kept> kept = std::move(shard.kept);
  Unlock(shard);
  if (kept != nullptr) {
    out.fids.insert(out.fids.end(), kept->fids.begin(), kept->fids.end());
    out.timestamps.insert(out.timestamps.end(), kept->timestamps.begin(), kept->timestamps.end());
    out.payloads.insert(out.payloads.end(), kept->payloads.begin(), kept->payloads.end());
  }
  return i < count;
}

Status RowMap::ReadSnapshot(const std::function<Status(std::span<const RowView> rows)>& sink) {
  CHECK(snapshot_.load(std::memory_order_acquire));
  Status status;
  CopiedRows copied;
  std::vector<RowView> views;
  // Shards that come from splits meanwhile are at the end of the list, so they are read too. After
  // an error the walk goes on without the sink: every entry must come out with the new parity.
  for (size_t index = 0; Shard* shard = ShardAt(index); ++index) {
    ShardCursor cursor;
    for (bool more = true; more;) {
      copied.Clear();
      more = ReadSome(*shard, cursor, kRowsPerRead, copied);
      if (!status.ok() || copied.fids.empty()) continue;
      views.clear();
      for (size_t i = 0; i < copied.fids.size(); ++i) {
        views.push_back({.fid = copied.fids[i],
                         .timestamp = copied.timestamps[i],
                         .payload = copied.payloads.data() + i * row_bytes()});
      }
      status = sink(views);
    }
  }
  snapshot_.store(false, std::memory_order_release);
  return status;
}

}  // namespace megalith::embedding

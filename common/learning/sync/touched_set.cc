#include "common/learning/sync/touched_set.h"

#include <algorithm>
#include <array>

#include "common/foundation/base/rng.h"
#include "common/learning/embedding/hashing.h"

namespace megalith::sync {
namespace {

constexpr size_t kFirstSlots = 256;
constexpr size_t kChunk = 2048;  // fids sorted by shard at a time; fits the first-level cache

}  // namespace

TouchedSet::TouchedSet(Options options, const Clock& clock)
    : options_(options),
      clock_(clock),
      hash_seed_(EntropySeed()),
      shards_(std::make_unique<Shard[]>(kShards)) {}

TouchedSet::~TouchedSet() = default;

uint64_t TouchedSet::Hash(Fid fid, uint32_t table) const {
  return embedding::Mix(static_cast<uint64_t>(fid) ^ (uint64_t{table} << 40) ^ hash_seed_);
}

TouchedSet::TableEntry& TouchedSet::EntryOf(const std::string& name) {
  {
    const std::shared_lock lock(names_mu_);
    const auto found = by_name_.find(name);
    if (found != by_name_.end()) return *found->second;
  }
  const std::unique_lock lock(names_mu_);
  const auto found = by_name_.find(name);
  if (found != by_name_.end()) return *found->second;
  TableEntry& entry = entries_.emplace_back();
  entry.name = name;
  entry.number = static_cast<uint32_t>(entries_.size());
  by_name_.emplace(name, &entry);
  return entry;
}

std::vector<TouchedSet::TableEntry*> TouchedSet::Entries() const {
  const std::shared_lock lock(names_mu_);
  std::vector<TableEntry*> entries;
  for (const auto& [name, entry] : by_name_) entries.push_back(entry);
  return entries;
}

void TouchedSet::Touch() {
  if (first_touch_.load(std::memory_order_relaxed) != 0) return;
  int64_t none = 0;
  const int64_t now = std::max<int64_t>(1, clock_.Monotonic().count());
  first_touch_.compare_exchange_strong(none, now, std::memory_order_relaxed);
}

void TouchedSet::Grow(Shard& shard) const {
  std::vector<Slot> old = std::move(shard.slots);
  shard.slots.assign(old.empty() ? kFirstSlots : old.size() * 2, Slot{});
  for (const Slot& slot : old) {
    if (slot.table == 0) continue;
    const uint32_t table = slot.table & ~kErasedBit;
    *Place(shard, slot.fid, table, Hash(slot.fid, table)) = slot;
  }
}

// Where the key is, or the free slot where it goes. The low bits of the hash chose the shard.
TouchedSet::Slot* TouchedSet::Place(Shard& shard, Fid fid, uint32_t table, uint64_t hash) {
  const size_t mask = shard.slots.size() - 1;
  for (size_t i = (hash >> 6) & mask;; i = (i + 1) & mask) {
    Slot& slot = shard.slots[i];
    if (slot.table == 0 || (slot.fid == fid && (slot.table & ~kErasedBit) == table)) return &slot;
  }
}

void TouchedSet::Written(const std::string& table, std::span<const Fid> fids) {
  Insert(table, fids, 0);
}

void TouchedSet::Erased(const std::string& table, std::span<const Fid> fids) {
  Insert(table, fids, kErasedBit);
}

void TouchedSet::Insert(const std::string& table, std::span<const Fid> fids, uint32_t flag) {
  TableEntry& entry = EntryOf(table);
  for (; !fids.empty(); fids = fids.subspan(std::min(kChunk, fids.size()))) {
    const std::span<const Fid> chunk = fids.first(std::min(kChunk, fids.size()));
    // Every fid may be a new key.
    if (size_.load(std::memory_order_relaxed) + chunk.size() > options_.max_keys) MakeRoom();
    // A table that is to be walked after this generation needs no keys of written rows. The
    // generation is read first: a later one means a later walk.
    const uint32_t open = generation_.load(std::memory_order_acquire);
    if (flag == 0 && entry.dirty.load(std::memory_order_acquire) >= open) {
      Touch();
      continue;
    }

    std::array<uint64_t, kChunk> hashes;
    std::array<uint16_t, kChunk> order;
    std::array<uint16_t, kShards + 1> ends{};
    for (size_t i = 0; i < chunk.size(); ++i) {
      hashes[i] = Hash(chunk[i], entry.number);
      ++ends[hashes[i] % kShards + 1];
    }
    for (size_t s = 0; s < kShards; ++s) ends[s + 1] += ends[s];
    std::array<uint16_t, kShards + 1> next = ends;
    for (size_t i = 0; i < chunk.size(); ++i) {
      order[next[hashes[i] % kShards]++] = static_cast<uint16_t>(i);
    }
    for (size_t s = 0; s < kShards; ++s) {
      if (ends[s] == ends[s + 1]) continue;
      Shard& shard = shards_[s];
      const std::lock_guard lock(shard.mu);
      // Read under the lock: who collects ends the generation first and then takes every lock.
      const uint32_t generation = generation_.load(std::memory_order_acquire);
      Touch();  // after it: a generation that has ended gets no first touch any more
      const size_t count = ends[s + 1] - ends[s];
      while ((shard.used + count) * 4 > shard.slots.size() * 3) Grow(shard);
      const size_t mask = shard.slots.size() - 1;
      for (size_t k = ends[s]; k < ends[s + 1]; ++k) {
        __builtin_prefetch(&shard.slots[(hashes[order[k]] >> 6) & mask], 1);
      }
      size_t added = 0;
      for (size_t k = ends[s]; k < ends[s + 1]; ++k) {
        const size_t i = order[k];
        Slot& slot = *Place(shard, chunk[i], entry.number, hashes[i]);
        if (slot.table == 0) {
          slot.fid = chunk[i];
          slot.table = entry.number;
          ++shard.used;
          ++added;
        }
        if (slot.generation != generation) slot.generation = generation;
        // Stays when the row is written again: two callers may be heard in the wrong order.
        if ((slot.table & flag) != flag) slot.table |= flag;
      }
      if (added != 0) size_.fetch_add(added, std::memory_order_relaxed);
    }
  }
}

void TouchedSet::Replaced(const std::string& table) {
  TableEntry& entry = EntryOf(table);
  const std::lock_guard lock(mu_);
  entry.dirty.store(generation_.load(std::memory_order_acquire), std::memory_order_release);
  replaced_.insert(table);
  Touch();
}

std::set<std::string> TouchedSet::TakeReplaced() {
  const std::lock_guard lock(mu_);
  return std::exchange(replaced_, {});
}

uint32_t TouchedSet::Close() {
  const int64_t touched = first_touch_.exchange(0, std::memory_order_relaxed);
  const uint32_t closed = generation_.fetch_add(1, std::memory_order_acq_rel);
  if (touched != 0) opened_.emplace_back(closed, std::chrono::nanoseconds(touched));
  return closed;
}

TouchedSet::Target TouchedSet::AddTarget() {
  const std::lock_guard lock(mu_);
  TargetState state;
  state.acked = Close();
  state.all = true;
  state.since = clock_.Monotonic();
  targets_.emplace(next_target_, state);
  return next_target_++;
}

TouchedSet::Target TouchedSet::AddTargetUpToDate() {
  const std::lock_guard lock(mu_);
  TargetState state;
  state.acked = Close();
  targets_.emplace(next_target_, state);
  return next_target_++;
}

bool TouchedSet::Rebase(Target target, Target like) {
  const std::lock_guard lock(mu_);
  const auto to = targets_.find(target);
  const auto from = targets_.find(like);
  if (to == targets_.end() || from == targets_.end()) return false;
  to->second.acked = from->second.acked;
  to->second.all = from->second.all;
  to->second.since = clock_.Monotonic();
  to->second.walking.reset();
  ++to->second.epoch;
  return true;
}

void TouchedSet::MarkAll(Target target) {
  const std::lock_guard lock(mu_);
  const auto found = targets_.find(target);
  if (found == targets_.end()) return;
  if (!found->second.all) found->second.since = clock_.Monotonic();
  found->second.all = true;
  found->second.walking.reset();
  ++found->second.epoch;
}

bool TouchedSet::LacksAll(Target target) const {
  const std::lock_guard lock(mu_);
  const auto found = targets_.find(target);
  return found == targets_.end() || found->second.all;
}

void TouchedSet::RemoveTarget(Target target) {
  const std::lock_guard lock(mu_);
  targets_.erase(target);
}

std::shared_ptr<const Delta> TouchedSet::Collect(Target target) {
  const std::lock_guard lock(mu_);
  const auto found = targets_.find(target);
  if (found == targets_.end()) return nullptr;
  TargetState& state = found->second;
  const bool touched = first_touch_.load(std::memory_order_relaxed) != 0;
  const uint32_t upto = touched ? Close() : generation_.load(std::memory_order_acquire) - 1;
  state.collected_epoch = state.epoch;
  if (state.all) state.walking = upto;
  return Gather(state.acked, upto, state.all);
}

std::shared_ptr<const Delta> TouchedSet::Gather(uint32_t from, uint32_t upto, bool all) {
  const std::shared_ptr<const Delta> last = last_delta_.lock();
  if (last != nullptr && last->from == from && last->upto == upto && last->all == all) return last;
  auto delta = std::make_shared<Delta>();
  delta->from = from;
  delta->upto = upto;
  delta->all = all;
  const std::vector<TableEntry*> entries = Entries();
  size_t numbers = 1;
  for (const TableEntry* entry : entries) numbers = std::max<size_t>(numbers, entry->number + 1);
  std::vector<char> walked(numbers, all ? 1 : 0);
  for (const TableEntry* entry : entries) {
    const uint32_t dirty = entry->dirty.load(std::memory_order_acquire);
    if (dirty <= from || dirty > upto) continue;  // marked after the end: the next delta has it
    walked[entry->number] = 1;
    if (!all) delta->full_tables.push_back(entry->name);
  }
  std::vector<std::vector<Fid>> fids(numbers);
  for (size_t s = 0; s < kShards; ++s) {
    const std::lock_guard lock(shards_[s].mu);
    for (const Slot& slot : shards_[s].slots) {
      if (slot.table == 0 || slot.generation <= from) continue;
      const uint32_t table = slot.table & ~kErasedBit;
      if (table >= numbers) continue;  // a table first heard of after the generation ended
      if (walked[table] != 0 && (slot.table & kErasedBit) == 0) continue;
      fids[table].push_back(slot.fid);
    }
  }
  for (const TableEntry* entry : entries) {
    std::vector<Fid>& of_table = fids[entry->number];
    if (of_table.empty()) continue;
    std::sort(of_table.begin(), of_table.end());
    delta->keys.push_back({.table = entry->name, .fids = std::move(of_table)});
  }
  last_delta_ = delta;
  return delta;
}

void TouchedSet::Acknowledge(Target target, const Delta& delta) {
  const std::lock_guard lock(mu_);
  const auto found = targets_.find(target);
  if (found == targets_.end()) return;
  TargetState& state = found->second;
  if (state.epoch != state.collected_epoch) return;
  if (state.all && !delta.all) return;
  state.acked = std::max(state.acked, delta.upto);
  state.all = false;
  state.walking.reset();
}

// A target that lacks everything holds back written keys only from where its walk began.
TouchedSet::Watermarks TouchedSet::HeldBack() const {
  const uint32_t open = generation_.load(std::memory_order_acquire);
  Watermarks marks{.written = open - 1, .erased = open - 1};
  if (targets_.empty()) return {};
  for (const auto& [id, state] : targets_) {
    marks.erased = std::min(marks.erased, state.acked);
    const uint32_t written = state.all ? state.walking.value_or(open - 1) : state.acked;
    marks.written = std::min(marks.written, written);
  }
  return marks;
}

template <typename Keep>
TouchedSet::Census TouchedSet::Filter(Keep&& keep) {
  Census census;
  for (size_t s = 0; s < kShards; ++s) {
    Shard& shard = shards_[s];
    const std::lock_guard lock(shard.mu);
    std::vector<Slot> kept;
    for (const Slot& slot : shard.slots) {
      if (slot.table == 0 || !keep(slot)) continue;
      kept.push_back(slot);
      const uint32_t table = slot.table & ~kErasedBit;
      std::vector<size_t>& counts = (slot.table & kErasedBit) != 0 ? census.erased : census.written;
      if (counts.size() <= table) counts.resize(table + 1);
      ++counts[table];
    }
    if (kept.size() == shard.used) continue;
    size_.fetch_sub(shard.used - kept.size(), std::memory_order_relaxed);
    // Memory follows what the shard had between two passes, so that in steady use it keeps its
    // slots.
    size_t slots = shard.slots.size();
    while (slots > kFirstSlots && shard.used * 8 < slots) slots /= 2;
    if (slots == shard.slots.size()) {
      std::fill(shard.slots.begin(), shard.slots.end(), Slot{});
    } else {
      shard.slots = std::vector<Slot>(slots);
    }
    shard.used = kept.size();
    for (const Slot& slot : kept) {
      const uint32_t table = slot.table & ~kErasedBit;
      *Place(shard, slot.fid, table, Hash(slot.fid, table)) = slot;
    }
  }
  return census;
}

void TouchedSet::Trim() {
  const std::lock_guard lock(mu_);
  const Watermarks marks = HeldBack();
  if (marks.written <= trimmed_written_ && marks.erased <= trimmed_erased_) return;
  trimmed_written_ = marks.written;
  trimmed_erased_ = marks.erased;
  if (size_.load(std::memory_order_relaxed) > 0) {
    Filter([&marks](const Slot& slot) {
      return slot.generation > marks.written ||
             ((slot.table & kErasedBit) != 0 && slot.generation > marks.erased);
    });
  }
  while (!opened_.empty() && opened_.front().first <= std::min(marks.written, marks.erased)) {
    opened_.pop_front();
  }
}

// Targets behind the foremost one are sent everything later. False if there is none behind.
bool TouchedSet::ExpelLaggards() {
  uint32_t foremost = 0;
  for (const auto& [id, state] : targets_) {
    if (!state.all) foremost = std::max(foremost, state.acked);
  }
  bool expelled = false;
  for (auto& [id, state] : targets_) {
    const bool behind =
        state.all ? state.walking.value_or(foremost) < foremost : state.acked < foremost;
    if (!behind) continue;
    expelled = true;
    if (!state.all) state.since = clock_.Monotonic();
    state.all = true;
    state.walking.reset();
    ++state.epoch;
    ++stats_.expelled_targets;
  }
  return expelled;
}

void TouchedSet::MakeRoom() {
  const std::lock_guard lock(mu_);
  const size_t goal = options_.max_keys - options_.max_keys / 4;
  if (size_.load(std::memory_order_relaxed) <= goal) return;  // somebody else did it
  Census census;
  const auto prune = [&] {
    const Watermarks marks = HeldBack();
    census = Filter([&marks](const Slot& slot) {
      return slot.generation > marks.written ||
             ((slot.table & kErasedBit) != 0 && slot.generation > marks.erased);
    });
    return size_.load(std::memory_order_relaxed) <= goal;
  };
  if (prune()) return;
  if (ExpelLaggards() && prune()) return;
  const auto largest = [](const std::vector<size_t>& counts) {
    const auto it = std::max_element(counts.begin(), counts.end());
    return it == counts.end() || *it == 0 ? size_t{0} : static_cast<size_t>(it - counts.begin());
  };
  while (size_.load(std::memory_order_relaxed) > goal) {
    size_t table = largest(census.written);
    const bool erased = table == 0;
    if (erased) table = largest(census.erased);
    if (table == 0) return;
    const size_t before = size_.load(std::memory_order_relaxed);
    if (!erased) {
      const std::shared_lock names(names_mu_);
      // Who writes to the table from here on sees the mark or is seen by the walk.
      entries_[table - 1].dirty.store(generation_.load(std::memory_order_acquire),
                                      std::memory_order_release);
      Touch();
      ++stats_.dirtied_tables;
    }
    census = Filter([&](const Slot& slot) {
      return (slot.table & ~kErasedBit) != table || ((slot.table & kErasedBit) != 0) != erased;
    });
    if (erased) stats_.dropped += before - size_.load(std::memory_order_relaxed);
  }
}

std::chrono::nanoseconds TouchedSet::Lag(Target target) const {
  const std::lock_guard lock(mu_);
  const auto found = targets_.find(target);
  if (found == targets_.end()) return std::chrono::nanoseconds(0);
  const std::chrono::nanoseconds now = clock_.Monotonic();
  std::chrono::nanoseconds oldest = now;
  const TargetState& state = found->second;
  if (state.all) oldest = std::min(oldest, state.since);
  for (const auto& [generation, touched] : opened_) {
    if (generation <= state.acked) continue;
    oldest = std::min(oldest, touched);
    break;
  }
  const int64_t open = first_touch_.load(std::memory_order_relaxed);
  if (open != 0) oldest = std::min(oldest, std::chrono::nanoseconds(open));
  return now - oldest;
}

TouchedSet::Stats TouchedSet::GetStats() const {
  const std::lock_guard lock(mu_);
  Stats stats = stats_;
  stats.keys = size_.load(std::memory_order_relaxed);
  return stats;
}

}  // namespace megalith::sync

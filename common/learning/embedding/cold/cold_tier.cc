#include "common/learning/embedding/cold/cold_tier.h"

#include <algorithm>
#include <bit>
#include <utility>

namespace megalith::embedding {
namespace {

constexpr uint64_t kSpareBytes = uint64_t{1} << 20;
constexpr size_t kMinPlaces = size_t{1} << 12;
constexpr size_t kMaxPlaces = size_t{1} << 28;
constexpr uint64_t kIndexBytesPerRow = 20;
constexpr uint64_t kIndexBytesPerEntry = 16;
constexpr size_t kRowsPerTurn = 64;     // that the hand takes from one shard before it goes on
constexpr size_t kMaxRowsMoved = 4096;  // at once
constexpr uint64_t kRoundsPerMove = 4;  // after which every row that is not in use has been seen

// Bytes of uses for the rows that fit, twice as many so that few share one.
size_t Places(uint64_t budget, size_t row_bytes) {
  const uint64_t rows = std::min<uint64_t>(budget / (row_bytes + kIndexBytesPerRow), kMaxPlaces);
  return std::clamp<size_t>(std::bit_ceil(2 * rows), kMinPlaces, kMaxPlaces);
}

}  // namespace

ColdTier::ColdTier(RowMap& map, std::shared_ptr<WriteGate> gate, size_t payload_bytes,
                   uint64_t memory_budget_bytes, std::unique_ptr<ColdStore> store)
    : map_(map),
      gate_(std::move(gate)),
      payload_bytes_(payload_bytes),
      store_(std::move(store)),
      budget_(memory_budget_bytes),
      place_mask_(Places(memory_budget_bytes, map.row_bytes()) - 1),
      used_(place_mask_ + 1),
      asked_for_(place_mask_ + 1),
      clean_mask_(place_mask_ / 2),
      clean_(clean_mask_ + 1) {}

ColdTier::~ColdTier() = default;

uint64_t ColdTier::MaxMapBytes(uint64_t memory_budget_bytes) {
  const uint64_t spare = std::max(memory_budget_bytes / 4, kSpareBytes);
  return memory_budget_bytes > UINT64_MAX - spare ? UINT64_MAX : memory_budget_bytes + spare;
}

void ColdTier::SetBudget(uint64_t memory_budget_bytes, uint64_t max_bytes) {
  const uint64_t before = budget_.exchange(memory_budget_bytes, std::memory_order_relaxed);
  // The map's limit counts what its arena has taken, which a lower budget does not give back.
  map_.SetMaxBytes(
      std::min(max_bytes, std::max(MaxMapBytes(memory_budget_bytes), map_.bytes() + kSpareBytes)));
  if (memory_budget_bytes < before) budget_fell_.store(true, std::memory_order_release);
}

Status ColdTier::CountRead(Status status) {
  if (!status.ok()) read_errors_.fetch_add(1, std::memory_order_relaxed);
  return status;
}

// --- reading ---

Status ColdTier::ReadDisk(std::span<const Fid> fids, std::span<const size_t> positions,
                          const ColdStore::OnRow& on_row) {
  if (!disk_used_.load(std::memory_order_acquire) || positions.empty()) return OkStatus();
  std::vector<Fid> wanted;
  std::vector<size_t> at;
  wanted.reserve(positions.size());
  at.reserve(positions.size());
  {
    // Asked before the disk is read: who is buried now was without a row since the map was asked,
    // or for a moment in between.
    std::unique_lock<std::mutex> lock;
    const bool some = buried_count_.load(std::memory_order_acquire) != 0;
    if (some) lock = std::unique_lock(buried_mu_);
    for (const size_t i : positions) {
      if (some && buried_.contains(fids[i])) continue;
      wanted.push_back(fids[i]);
      at.push_back(i);
    }
  }
  return CountRead(
      store_->Read(wanted, [&](size_t k, uint32_t timestamp, const std::byte* payload) {
        on_row(at[k], timestamp, payload);
      }));
}

bool ColdTier::Asked(uint64_t key) {
  std::atomic<uint8_t>& place = asked_for_[PlaceOf(key)];
  const auto print = static_cast<uint8_t>(key >> 56 & 0xfc);
  const uint8_t round = round_.load(std::memory_order_relaxed);
  const uint8_t mark = place.load(std::memory_order_relaxed);
  const auto age = static_cast<uint8_t>((round - mark) & 3);
  if ((mark & 0xfc) == print && age < 2) return true;
  place.store(static_cast<uint8_t>(print | (round & 3)), std::memory_order_relaxed);
  return false;
}

Status ColdTier::VisitCold(std::span<const Fid> fids, std::span<const size_t> missing, Use use,
                           const ColdStore::OnRow& on_row,
                           const std::function<void(size_t i)>& absent) {
  const bool lookup = use == Use::kLookup;
  Brought wanted;
  if (lookup) {
    wanted.versions.resize(fids.size());
    for (const size_t i : missing) wanted.versions[i] = VersionOf(fids[i]);
  }
  std::vector<bool> found(fids.size());
  uint64_t hits = 0;
  std::vector<uint64_t> row((map_.row_bytes() + 7) / 8);
  RETURN_IF_ERROR(
      ReadDisk(fids, missing, [&](size_t i, uint32_t timestamp, const std::byte* payload) {
        found[i] = true;
        ++hits;
        on_row(i, timestamp, payload);
        if (!lookup || !Asked(ColdKey(fids[i]))) return;
        std::memcpy(row.data(), payload, payload_bytes_);
        wanted.found.push_back(static_cast<uint32_t>(i));
        wanted.rows.Add(fids[i], timestamp, reinterpret_cast<const std::byte*>(row.data()),
                        map_.row_bytes());
      }));
  for (const size_t i : missing) {
    if (!found[i]) absent(i);
  }
  if (!lookup) return OkStatus();
  cold_lookups_.fetch_add(missing.size(), std::memory_order_relaxed);
  cold_hits_.fetch_add(hits, std::memory_order_relaxed);
  if (!wanted.found.empty()) PromoteRead(fids, wanted);
  return OkStatus();
}

// Brings back what a lookup has read, if nobody has to be waited for.
void ColdTier::PromoteRead(std::span<const Fid> fids, const Brought& brought) {
  const WriteGate::Shared gate(*gate_, std::try_to_lock);
  if (!gate.held()) return;
  const uint64_t bytes = brought.found.size() * map_.row_bytes();
  if (UsedBytes() + bytes > budget_.load(std::memory_order_relaxed)) {
    const std::unique_lock moving(moving_, std::try_to_lock);
    if (!moving.owns_lock() || !Demote(brought.found.size())) return;
  }
  const WriteGate::Shared moves(moves_);
  Brought current;
  for (size_t k = 0; k < brought.found.size(); ++k) {
    const size_t i = brought.found[k];
    if (VersionOf(fids[i]) != brought.versions[i]) continue;
    current.found.push_back(brought.found[k]);
    current.rows.Add(fids[i], brought.rows.timestamps[k],
                     brought.rows.payloads.data() + k * map_.row_bytes(), map_.row_bytes());
  }
  Enter(fids, &current);
}

// --- writing ---

void ColdTier::FindMissing(std::span<const Fid> chunk, std::vector<size_t>* missing) {
  map_.Visit(
      chunk, 0, [](size_t) { return static_cast<std::byte*>(nullptr); },
      [&](size_t i, bool found, uint32_t) {
        if (found) {
          Touch(ColdKey(chunk[i]));
        } else {
          missing->push_back(i);
        }
      });
}

void ColdTier::Bring(std::span<const Fid> chunk, Brought* out) {
  out->versions.resize(chunk.size());
  for (size_t i = 0; i < chunk.size(); ++i) out->versions[i] = VersionOf(chunk[i]);
  FindMissing(chunk, &out->missing);
  ReadInto(chunk, out->missing, out);
}

void ColdTier::ReadInto(std::span<const Fid> chunk, std::span<const size_t> positions,
                        Brought* out) {
  std::vector<uint64_t> row((map_.row_bytes() + 7) / 8);
  Status status =
      ReadDisk(chunk, positions, [&](size_t i, uint32_t timestamp, const std::byte* payload) {
        std::memcpy(row.data(), payload, payload_bytes_);
        out->found.push_back(static_cast<uint32_t>(i));
        out->rows.Add(chunk[i], timestamp, reinterpret_cast<const std::byte*>(row.data()),
                      map_.row_bytes());
      });
  if (status.ok()) return;
  // Whose row the error hid is not known: none of those that were not found is worked.
  out->unreadable.resize(chunk.size());
  for (const size_t i : positions) out->unreadable[i] = true;
  for (const uint32_t i : out->found) out->unreadable[i] = false;
  out->status = std::move(status);
}

void ColdTier::Recheck(std::span<const Fid> chunk, Brought* brought) {
  std::vector<bool> moved(chunk.size());
  std::vector<size_t> again;
  std::vector<Fid> fids;
  for (size_t i = 0; i < chunk.size(); ++i) {
    if (VersionOf(chunk[i]) == brought->versions[i]) continue;
    moved[i] = true;
    again.push_back(i);
    fids.push_back(chunk[i]);
  }
  if (again.empty()) return;
  Brought kept;
  for (size_t k = 0; k < brought->found.size(); ++k) {
    if (moved[brought->found[k]]) continue;
    kept.found.push_back(brought->found[k]);
    kept.rows.Add(brought->rows.fids[k], brought->rows.timestamps[k],
                  brought->rows.payloads.data() + k * map_.row_bytes(), map_.row_bytes());
  }
  brought->found = std::move(kept.found);
  brought->rows = std::move(kept.rows);
  std::vector<size_t> missing;
  FindMissing(fids, &missing);
  for (size_t& i : missing) i = again[i];
  if (!brought->unreadable.empty()) {
    for (const size_t i : again) brought->unreadable[i] = false;
  }
  ReadInto(chunk, missing, brought);
}

void ColdTier::Enter(std::span<const Fid> chunk, Brought* brought) {
  uint64_t entered = 0;
  const RowMap::RowCopies& rows = brought->rows;
  Status full = map_.Update(
      rows.fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t k, std::byte* row, uint32_t& timestamp, bool created) {
        if (!created) return;
        std::memcpy(row, rows.payloads.data() + k * map_.row_bytes(), map_.row_bytes());
        timestamp = rows.timestamps[k];
        Touch(ColdKey(rows.fids[k]));
        SetClean(rows.fids[k]);
        ++entered;
      },
      [&](size_t k) {
        brought->unreadable.resize(chunk.size());
        brought->unreadable[brought->found[k]] = true;
      });
  if (!full.ok() && brought->status.ok()) {
    brought->status = full.Annotate("rows cannot come back from the cold tier");
  }
  cold_rows_.fetch_sub(entered, std::memory_order_relaxed);
  promotions_.fetch_add(entered, std::memory_order_relaxed);
}

Status ColdTier::Prepare(std::span<const Fid> fids) {
  if (!disk_used_.load(std::memory_order_acquire)) return OkStatus();
  for (size_t base = 0; base < fids.size(); base += kChunk) {
    const std::span<const Fid> chunk = fids.subspan(base, std::min(kChunk, fids.size() - base));
    Brought brought;
    Bring(chunk, &brought);
    RETURN_IF_ERROR(brought.status);
    if (brought.found.empty()) continue;
    const WriteGate::Shared gate(*gate_);
    MakeRoom(brought.found.size());
    const WriteGate::Shared moves(moves_);
    Recheck(chunk, &brought);
    Enter(chunk, &brought);
    RETURN_IF_ERROR(brought.status);
  }
  return OkStatus();
}

Status ColdTier::Update(std::span<const Fid> fids, const Hooks& hooks) {
  Status status;
  for (size_t base = 0; base < fids.size(); base += kChunk) {
    const std::span<const Fid> chunk = fids.subspan(base, std::min(kChunk, fids.size() - base));
    Brought brought;
    Bring(chunk, &brought);
    MakeRoom(brought.missing.size());
    const WriteGate::Shared moves(moves_);
    Recheck(chunk, &brought);
    if (!brought.found.empty()) Enter(chunk, &brought);
    Status updated = map_.Update(
        chunk,
        [&](size_t i) {
          if (brought.unreadable.empty() || !brought.unreadable[i]) {
            return hooks.on_missing(base + i);
          }
          hooks.on_unreadable(base + i);
          return RowMap::Missing::kSkip;
        },
        [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
          if (created) Touch(ColdKey(chunk[i]));
          SetWritten(chunk[i]);
          hooks.on_row(base + i, row, timestamp, created);
        },
        [&](size_t i) { hooks.on_full(base + i); });
    if (status.ok()) status = brought.status.ok() ? std::move(updated) : brought.status;
  }
  MakeRoom(0);  // a first batch found nothing that could leave
  return status;
}

// --- moving rows to the disk ---

void ColdTier::MakeRoom(size_t rows) {
  const auto excess = [&]() -> size_t {
    const uint64_t budget = budget_.load(std::memory_order_relaxed);
    // A little below, for rows that shards hold ready.
    const uint64_t limit = budget - budget / 32;
    const uint64_t wanted = UsedBytes() + rows * map_.row_bytes();
    return wanted <= limit ? 0 : (wanted - limit + map_.row_bytes() - 1) / map_.row_bytes();
  };
  if (excess() == 0) return;
  const std::lock_guard moving(moving_);
  for (size_t more = excess(); more != 0; more = excess()) {
    if (!Demote(more)) break;
  }
  if (!budget_fell_.load(std::memory_order_acquire)) return;
  // Indexes that are mostly air now are made smaller, for they count too.
  budget_fell_.store(false, std::memory_order_release);
  map_.EraseIf([](Fid, uint32_t) { return false; }, nullptr);
}

void ColdTier::Sweep(size_t rows, RowMap::RowCopies* written, RowMap::RowCopies* clean) {
  RowMap::RowCopies taken;
  std::unordered_set<Fid> seen;
  std::vector<bool> is_clean;
  seen.reserve(rows);
  taken.fids.reserve(rows + kRowsPerTurn);
  taken.timestamps.reserve(rows + kRowsPerTurn);
  taken.payloads.reserve((rows + kRowsPerTurn) * map_.row_bytes());
  is_clean.reserve(rows + kRowsPerTurn);
  // Under the lock of the row's shard, as the copying that follows: what is clean here is what the
  // copy has.
  const auto take = [&](Fid fid) {
    const uint8_t mark = used_[PlaceOf(ColdKey(fid))].load(std::memory_order_relaxed);
    if (Recent(mark) || !seen.insert(fid).second) return false;
    is_clean.push_back(IsClean(fid));
    return true;
  };
  const uint64_t entries = std::max<uint64_t>(map_.index_bytes() / kIndexBytesPerEntry, 1);
  uint64_t looked = 0;
  while (taken.fids.size() < rows && looked < kRoundsPerMove * entries) {
    const uint64_t before = hand_.looked;
    map_.Sweep(hand_, std::min(kRowsPerTurn, rows - taken.fids.size()), take, taken);
    looked += hand_.looked - before;
    if (hand_.looked < entries) continue;
    hand_.looked = 0;
    round_.fetch_add(1, std::memory_order_relaxed);
  }
  for (size_t i = 0; i < taken.fids.size(); ++i) {
    (is_clean[i] ? clean : written)
        ->Add(taken.fids[i], taken.timestamps[i], taken.payloads.data() + i * map_.row_bytes(),
              map_.row_bytes());
  }
}

bool ColdTier::Demote(size_t rows) {
  // In batches that make a write worth while, yet no more than a small part of what is in memory.
  const auto some = static_cast<size_t>(std::min<uint64_t>(map_.rows() / 64 + 1, 1024));
  RowMap::RowCopies copies;
  RowMap::RowCopies clean;
  Sweep(std::min(std::max(rows, some), kMaxRowsMoved), &copies, &clean);
  if (!copies.fids.empty()) {
    EraseBuried();
    disk_used_.store(true, std::memory_order_release);
    const Status written =
        store_->Write(copies.fids, copies.timestamps, copies.payloads.data(), map_.row_bytes());
    if (!written.ok()) {
      write_errors_.fetch_add(1, std::memory_order_relaxed);
      copies.Clear();
    }
  }
  const size_t count = copies.fids.size() + clean.fids.size();
  if (count == 0) return false;
  const WriteGate::Exclusive alone(moves_);
  // Their copies on the disk are of rows that live.
  Unbury(copies.fids);
  cold_rows_.fetch_add(count, std::memory_order_relaxed);
  const size_t moved =
      map_.EraseSame(copies, payload_bytes_) + map_.EraseSame(clean, payload_bytes_);
  cold_rows_.fetch_sub(count - moved, std::memory_order_relaxed);
  // After the rows have left: who takes the new version before would still find them.
  for (const RowMap::RowCopies* left : {&copies, &clean}) {
    for (const Fid fid : left->fids) NewVersion(fid);
  }
  demotions_.fetch_add(moved, std::memory_order_relaxed);
  written_.fetch_add(copies.fids.size(), std::memory_order_relaxed);
  return moved > 0;
}

void ColdTier::Bury(std::span<const Fid> fids) {
  const std::lock_guard lock(buried_mu_);
  buried_.insert(fids.begin(), fids.end());
  buried_count_.store(buried_.size(), std::memory_order_release);
}

void ColdTier::Unbury(std::span<const Fid> fids) {
  if (buried_count_.load(std::memory_order_acquire) == 0) return;
  const std::lock_guard lock(buried_mu_);
  for (const Fid fid : fids) buried_.erase(fid);
  buried_count_.store(buried_.size(), std::memory_order_release);
}

// Makes up for what the disk did not take before. To be done before copies of rows that live again
// are written.
void ColdTier::EraseBuried() {
  if (buried_count_.load(std::memory_order_acquire) == 0) return;
  std::vector<Fid> fids;
  {
    const std::lock_guard lock(buried_mu_);
    fids.assign(buried_.begin(), buried_.end());
  }
  if (store_->Erase(fids).ok()) Unbury(fids);
}

ColdTierStats ColdTier::Stats() const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  const ColdStore::Stats store = store_->GetStats();
  return {.hot_rows = map_.rows(),
          .cold_rows = get(cold_rows_),
          .hot_bytes = map_.bytes(),
          .disk_bytes = store.disk_bytes,
          .cache_bytes = store.memory_bytes + used_.size() + asked_for_.size() +
                         clean_.size() * sizeof(clean_[0]),
          .cold_lookups = get(cold_lookups_),
          .cold_hits = get(cold_hits_),
          .promotions = get(promotions_),
          .demotions = get(demotions_),
          .written = get(written_),
          .read_errors = get(read_errors_),
          .write_errors = get(write_errors_)};
}

}  // namespace megalith::embedding

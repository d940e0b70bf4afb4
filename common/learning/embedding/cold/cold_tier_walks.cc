// Rows that are erased, and walks over all rows: scans and snapshots.
#include "common/learning/embedding/cold/cold_tier.h"

#include <algorithm>
#include <utility>

namespace megalith::embedding {

// --- erasing ---

void ColdTier::EraseChunk(std::span<const Fid> fids, const Drop& drop, std::vector<Fid>* erased,
                          Status* status) {
  const std::lock_guard moving(moving_);
  // Nothing leaves the map from here on, so that what the disk has of cold rows stays as it is.
  std::vector<size_t> missing;
  FindMissing(fids, &missing);
  std::vector<bool> cold(fids.size()), unreadable(fids.size());
  std::vector<uint32_t> times(fids.size());
  const Status read = ReadDisk(fids, missing, [&](size_t i, uint32_t timestamp, const std::byte*) {
    cold[i] = true;
    times[i] = timestamp;
  });
  if (!read.ok()) {
    *status = read;
    for (const size_t i : missing) unreadable[i] = !cold[i];
  }

  const WriteGate::Exclusive alone(moves_);
  std::vector<bool> hot(fids.size());
  map_.Visit(
      fids, 0, [](size_t) { return static_cast<std::byte*>(nullptr); },
      [&](size_t i, bool found, uint32_t timestamp) {
        hot[i] = found;
        if (found) times[i] = timestamp;
      });
  std::vector<size_t> going;
  std::unordered_set<Fid> gone;
  for (size_t i = 0; i < fids.size(); ++i) {
    if (!hot[i] && !cold[i] && (!unreadable[i] || drop != nullptr)) continue;
    if (drop != nullptr && !drop(fids[i], times[i])) continue;
    if (gone.insert(fids[i]).second) going.push_back(i);
  }
  if (going.empty()) return;
  const std::vector<Fid> leaving(gone.begin(), gone.end());
  if (disk_used_.load(std::memory_order_acquire)) {
    const Status wiped = store_->Erase(leaving);
    if (!wiped.ok()) {
      write_errors_.fetch_add(1, std::memory_order_relaxed);
      Bury(leaving);
    } else {
      Unbury(leaving);
    }
  }
  for (const size_t i : going) {
    if (hot[i]) {
      (void)map_.Erase(fids[i]);
    } else if (cold[i] || cold_rows_.load(std::memory_order_relaxed) > 0) {
      cold_rows_.fetch_sub(1, std::memory_order_relaxed);
    }
    NewVersion(fids[i]);
    if (erased != nullptr) erased->push_back(fids[i]);
  }
}

Status ColdTier::Erase(std::span<const Fid> fids, const Drop& drop, std::vector<Fid>* erased) {
  Status status;
  for (size_t base = 0; base < fids.size(); base += kChunk) {
    EraseChunk(fids.subspan(base, std::min(kChunk, fids.size() - base)), drop, erased, &status);
  }
  return status;
}

Status ColdTier::EraseIf(const Drop& drop, std::vector<Fid>* erased) {
  Status status;
  std::vector<Fid> candidates;
  const auto erase = [&] {
    Status some = Erase(candidates, drop, erased);
    if (!some.ok()) status = std::move(some);
    candidates.clear();
  };
  // First memory, then the disk: who moves from one to the other meanwhile is seen at least once,
  // since its copy stays on the disk.
  std::vector<Fid> fids;
  for (uint64_t cursor = 0; map_.ScanFids(&cursor, &fids); fids.clear()) {
    map_.Visit(
        fids, 0, [](size_t) { return static_cast<std::byte*>(nullptr); },
        [&](size_t i, bool found, uint32_t timestamp) {
          if (found && drop(fids[i], timestamp)) candidates.push_back(fids[i]);
        });
    if (!candidates.empty()) erase();
  }
  if (!disk_used_.load(std::memory_order_acquire)) return status;
  const std::unique_ptr<ColdStore::View> view = store_->Take();
  Status walked = CountRead(view->Walk(0, [&](uint64_t key, uint32_t timestamp, const std::byte*) {
    const Fid fid = FidOfColdKey(key);
    if (drop(fid, timestamp)) candidates.push_back(fid);
    if (candidates.size() == kChunk) erase();
    return true;
  }));
  if (!candidates.empty()) erase();
  return walked.ok() ? status : walked;
}

Status ColdTier::Clear() {
  if (map_.in_snapshot()) {
    return FailedPrecondition("the table is being saved; clear it when that has ended");
  }
  const std::lock_guard moving(moving_);
  // The disk first, so that no reader finds an old copy of a row that memory has lost.
  if (disk_used_.load(std::memory_order_acquire)) {
    const Status cleared = store_->Clear();
    if (!cleared.ok()) write_errors_.fetch_add(1, std::memory_order_relaxed);
    RETURN_IF_ERROR(cleared);
  }
  RETURN_IF_ERROR(map_.Clear());
  for (auto& version : versions_) version.fetch_add(1, std::memory_order_release);
  cold_rows_.store(0, std::memory_order_relaxed);
  const std::lock_guard lock(buried_mu_);
  buried_.clear();
  buried_count_.store(0, std::memory_order_release);
  return OkStatus();
}

// --- walks ---

// While the cursor is in memory it is the map's. On the disk it is 24 bits of one, which no shard
// has as its number, and the upper 40 bits of the next key; all ones at the end.
bool ColdTier::ScanFids(uint64_t* cursor, std::vector<Fid>* fids) {
  constexpr uint64_t kOnDisk = ~uint64_t{0} << 40;
  constexpr uint64_t kLastPrefix = (uint64_t{1} << 40) - 1;
  constexpr size_t kFidsPerScan = 16384;
  if (*cursor == UINT64_MAX) return false;
  if (*cursor < kOnDisk) {
    if (map_.ScanFids(cursor, fids)) return true;
    *cursor = kOnDisk;
  }
  if (!disk_used_.load(std::memory_order_acquire)) return false;
  std::unordered_set<Fid> buried;
  {
    const std::lock_guard lock(buried_mu_);
    buried = buried_;
  }
  size_t found = 0;
  uint64_t last = 0;
  uint64_t next = UINT64_MAX;
  const Status walked =
      CountRead(store_->Take()->Walk(*cursor << 24, [&](uint64_t key, uint32_t, const std::byte*) {
        const uint64_t prefix = key >> 24;
        if (found >= kFidsPerScan && prefix != last && prefix != kLastPrefix) {
          next = kOnDisk | prefix;
          return false;
        }
        last = prefix;
        if (!buried.contains(FidOfColdKey(key))) fids->push_back(FidOfColdKey(key));
        ++found;
        return true;
      }));
  *cursor = walked.ok() ? next : UINT64_MAX;
  return true;
}

Status ColdTier::BeginSnapshot() {
  RETURN_IF_ERROR(map_.BeginSnapshot());
  auto moment = std::make_unique<Moment>();
  if (disk_used_.load(std::memory_order_acquire)) moment->view = store_->Take();
  {
    const std::lock_guard lock(buried_mu_);
    moment->buried = buried_;
  }
  moment_ = std::move(moment);
  return OkStatus();
}

Status ColdTier::ReadSnapshot(
    const std::function<Status(std::span<const RowMap::RowView> rows)>& sink) {
  const std::unique_ptr<Moment> moment = std::move(moment_);
  std::vector<uint64_t> hot;
  Status status = map_.ReadSnapshot([&](std::span<const RowMap::RowView> rows) {
    if (moment->view != nullptr) {
      for (const RowMap::RowView& row : rows) hot.push_back(ColdKey(row.fid));
    }
    return sink(rows);
  });
  // From here on another snapshot may begin: ours is all in `moment`.
  if (!status.ok() || moment->view == nullptr) return status;
  std::sort(hot.begin(), hot.end());
  const size_t stride = map_.row_bytes();
  RowMap::RowCopies rows;
  std::vector<uint64_t> row((stride + 7) / 8);
  const auto hand_over = [&] {
    std::vector<RowMap::RowView> views;
    for (size_t i = 0; i < rows.fids.size(); ++i) {
      views.push_back({.fid = rows.fids[i],
                       .timestamp = rows.timestamps[i],
                       .payload = rows.payloads.data() + i * stride});
    }
    status = sink(views);
    rows.Clear();
  };
  auto next_hot = hot.begin();
  Status walked = CountRead(
      moment->view->Walk(0, [&](uint64_t key, uint32_t timestamp, const std::byte* payload) {
        while (next_hot != hot.end() && *next_hot < key) ++next_hot;
        if (next_hot != hot.end() && *next_hot == key) return true;
        const Fid fid = FidOfColdKey(key);
        if (moment->buried.contains(fid)) return true;
        std::memcpy(row.data(), payload, payload_bytes_);
        rows.Add(fid, timestamp, reinterpret_cast<const std::byte*>(row.data()), stride);
        if (rows.fids.size() == kChunk) hand_over();
        return status.ok();
      }));
  if (status.ok() && walked.ok() && !rows.fids.empty()) hand_over();
  return status.ok() ? walked : status;
}

}  // namespace megalith::embedding

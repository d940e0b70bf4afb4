// The second tier of a table: rows that have not been used for the longest time leave memory for a
// ColdStore, and come back when they are used again. Readers and writers see one table.
//
// A row is hot if the map has it, and cold if only the store has it. The store may also hold an old
// copy of a hot row: what the map has counts. So bringing a row back writes nothing to the disk,
// and a row is never without a place.
//
// How a row moves, and why nobody sees it missing or twice:
//   * To the disk (Demote, one thread at a time: `moving_`): rows are copied out of the map, the
//     copies are written and acknowledged, then, with no writer at work (`moves_` held
//     exclusively, for the time of some hundred erasures), those rows leave the map that are still
//     as they were copied.
//   * To memory: writers hold `moves_` shared while they look what is missing, enter it into the
//     map and change it. What they read from the disk before that is used only if no row of the
//     same stripe has left the map in between (`versions_`); so an old copy never overwrites.
//   * A reader takes no lock: it looks into the map, then for what is missing on the disk. A row
//     that it missed in memory was on the disk at that moment, and what it finds there afterwards
//     was the row's value then or later.
//   * Erasing holds `moving_` and `moves_` alone, and erases on the disk first: no copy written by
//     a move in progress can bring a row back. If the disk does not take the erasure, the fid is
//     remembered as buried, and its copy is not looked at any more.
//   * A snapshot's moment excludes moves as it excludes writers (the table's gate), so that at the
//     moment every row is hot or cold. The map then keeps what was hot (RowMap), the store's view
//     what it had, and copies of rows that were hot are left out of the latter.
// Order of locks: the table's gate, `moving_`, `moves_`. None of them is a spin lock, and no call
// of the store runs under one.
//
// Which rows leave: a clock over the map's entries. Each use of a row marks its place in a table of
// bytes (by hash, so two rows may share one) with the clock's round; the hand takes rows not used
// in this round or the one before. A lookup brings a cold row back at its second time, a write at
// once. A row that was brought back and not written since is remembered as clean, in a table by
// hash that forgets when two meet: it leaves memory without being written again.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <unordered_set>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/cold/cold_store.h"
#include "common/learning/embedding/row_map.h"
#include "common/learning/embedding/write_gate.h"

namespace megalith::embedding {

struct ColdTierStats {
  uint64_t hot_rows = 0;      // in memory
  uint64_t cold_rows = 0;     // on the disk only
  uint64_t hot_bytes = 0;     // rows and index in memory
  uint64_t disk_bytes = 0;    // of files, copies that no longer count included
  uint64_t cache_bytes = 0;   // of the store's memory and of marks of use
  uint64_t cold_lookups = 0;  // fids looked up that memory did not have
  uint64_t cold_hits = 0;     // of those, found on the disk
  uint64_t promotions = 0;    // rows brought back to memory
  uint64_t demotions = 0;     // rows that left it
  uint64_t written = 0;       // rows written to the disk; clean ones leave without
  uint64_t read_errors = 0;
  uint64_t write_errors = 0;
};

// Threads: every method may be called concurrently, except where they ask for the gate. Errors of
// all methods are those of ColdStore.
class ColdTier {
 public:
  // `map` outlives this; `gate` is the table's.
  ColdTier(RowMap& map, std::shared_ptr<WriteGate> gate, size_t payload_bytes,
           uint64_t memory_budget_bytes, std::unique_ptr<ColdStore> store);
  ~ColdTier();
  ColdTier(const ColdTier&) = delete;
  ColdTier& operator=(const ColdTier&) = delete;

  // What the map may take at most: some more than the budget, for rows that the disk does not take.
  static uint64_t MaxMapBytes(uint64_t memory_budget_bytes);
  // Rows beyond a lower one leave with the next writes; their memory is kept for rows to come.
  // `max_bytes` bounds the map in any case.
  void SetBudget(uint64_t memory_budget_bytes, uint64_t max_bytes);

  uint64_t rows() const { return map_.rows() + cold_rows_.load(std::memory_order_relaxed); }

  enum class Use {
    kPeek,    // leaves no trace
    kLookup,  // counts as use of the row
  };
  // As RowMap::Visit, in no particular order. After an error `done` was not called for some fids.
  // A lookup may move rows.
  template <typename Into, typename Done>
  Status Visit(std::span<const Fid> fids, size_t bytes, Use use, Into&& into, Done&& done);

  // Brings the rows of `fids` into memory as far as they exist, so that Update finds them there.
  Status Prepare(std::span<const Fid> fids);

  struct Hooks {
    std::function<RowMap::Missing(size_t i)> on_missing;
    std::function<void(size_t i, std::byte* row, uint32_t& timestamp, bool created)> on_row;
    std::function<void(size_t i)> on_full;
    // The row exists or may exist, and cannot be brought to memory; it is as it was.
    std::function<void(size_t i)> on_unreadable;
  };
  // As RowMap::Update. Requires the gate shared. Returns the first error, after all other fids have
  // been worked.
  Status Update(std::span<const Fid> fids, const Hooks& hooks);

  using Drop = std::function<bool(Fid fid, uint32_t timestamp)>;
  // Erases rows for which `drop` answers true (null: all). Appends those that had a row and lost it
  // to `erased`. A row that cannot be read is erased without `drop`, and stays with it. Requires
  // the gate shared.
  Status Erase(std::span<const Fid> fids, const Drop& drop, std::vector<Fid>* erased);
  // The same for all rows. Reads the whole disk.
  Status EraseIf(const Drop& drop, std::vector<Fid>* erased);
  // Erases all rows. Requires the gate exclusively. Errors: kFailedPrecondition  as RowMap::Clear.
  Status Clear();

  // As RowMap::ScanFids. An error of the disk ends the walk, and is counted.
  bool ScanFids(uint64_t* cursor, std::vector<Fid>* fids);

  // As those of RowMap. BeginSnapshot requires the gate exclusively.
  Status BeginSnapshot();
  Status ReadSnapshot(const std::function<Status(std::span<const RowMap::RowView> rows)>& sink);

  ColdTierStats Stats() const;

 private:
  static constexpr size_t kChunk = 1024;  // fids between looking after the budget
  static constexpr size_t kStripes = 4096;

  // Fids of a chunk that the map does not have, and what the disk has of them.
  struct Brought {
    std::vector<uint32_t> versions;  // of each fid of the chunk, before anything was looked at
    std::vector<size_t> missing;     // positions in the chunk
    std::vector<uint32_t> found;     // positions in the chunk, of `rows`
    RowMap::RowCopies rows;
    std::vector<bool> unreadable;  // by position; empty: none
    Status status;
  };

  size_t StripeOf(uint64_t key) const { return key % kStripes; }
  uint32_t VersionOf(Fid fid) const {
    return versions_[StripeOf(ColdKey(fid))].load(std::memory_order_acquire);
  }
  // The row has left memory or the table. Requires moves_ alone.
  void NewVersion(Fid fid) {
    versions_[StripeOf(ColdKey(fid))].fetch_add(1, std::memory_order_release);
  }
  size_t PlaceOf(uint64_t key) const { return (key >> 16) & place_mask_; }
  bool Recent(uint8_t mark) const {
    return static_cast<uint8_t>(round_.load(std::memory_order_relaxed) - mark) < 2;
  }
  void Touch(uint64_t key) {
    std::atomic<uint8_t>& place = used_[PlaceOf(key)];
    const uint8_t round = round_.load(std::memory_order_relaxed);
    if (place.load(std::memory_order_relaxed) != round) {
      place.store(round, std::memory_order_relaxed);
    }
  }

  // Every call for a fid runs under its shard's lock, so that a row that was written is never
  // clean; who meets another in its place may only take its mark away.
  void SetClean(Fid fid) {
    clean_[CleanPlaceOf(fid)].store(fid ^ kNobody, std::memory_order_relaxed);
  }
  void SetWritten(Fid fid) {
    std::atomic<Fid>& place = clean_[CleanPlaceOf(fid)];
    if (place.load(std::memory_order_relaxed) == (fid ^ kNobody)) {
      place.store(0, std::memory_order_relaxed);
    }
  }
  bool IsClean(Fid fid) const {
    return fid != kNobody &&
           clean_[CleanPlaceOf(fid)].load(std::memory_order_relaxed) == (fid ^ kNobody);
  }
  size_t CleanPlaceOf(Fid fid) const { return (ColdKey(fid) >> 24) & clean_mask_; }
  static constexpr Fid kNobody = -1;  // zero stands for it in a place

  // Notes that a cold row was looked up; true if it was before, in this round or the last. A place
  // keeps six bits of the key and two of the round.
  bool Asked(uint64_t key);

  // Reads those of `fids` (at `positions`) that are on the disk and not buried.
  Status ReadDisk(std::span<const Fid> fids, std::span<const size_t> positions,
                  const ColdStore::OnRow& on_row);
  // The part of Visit for fids that the map does not have.
  Status VisitCold(std::span<const Fid> fids, std::span<const size_t> missing, Use use,
                   const ColdStore::OnRow& on_row, const std::function<void(size_t i)>& absent);
  void PromoteRead(std::span<const Fid> fids, const Brought& brought);

  void FindMissing(std::span<const Fid> chunk, std::vector<size_t>* missing);
  void Bring(std::span<const Fid> chunk, Brought* out);
  void ReadInto(std::span<const Fid> chunk, std::span<const size_t> positions, Brought* out);
  // Looks again for what may have moved since Bring. Requires moves_.
  void Recheck(std::span<const Fid> chunk, Brought* brought);
  // Enters what was brought into the map. Requires moves_.
  void Enter(std::span<const Fid> chunk, Brought* brought);

  uint64_t UsedBytes() const { return map_.rows() * map_.row_bytes() + map_.index_bytes(); }
  // Moves rows out until `rows` more fit the budget, or none can be moved. Requires the gate
  // shared, and not moves_.
  void MakeRoom(size_t rows);
  bool Demote(size_t rows);  // requires moving_; false: nothing has moved
  // Takes rows that may leave; those that need not be written go to `clean`. Requires moving_.
  void Sweep(size_t rows, RowMap::RowCopies* written, RowMap::RowCopies* clean);
  void EraseChunk(std::span<const Fid> fids, const Drop& drop, std::vector<Fid>* erased,
                  Status* status);
  void Bury(std::span<const Fid> fids);
  void EraseBuried();  // requires moving_
  void Unbury(std::span<const Fid> fids);
  Status CountRead(Status status);

  RowMap& map_;
  const std::shared_ptr<WriteGate> gate_;
  const size_t payload_bytes_;
  const std::unique_ptr<ColdStore> store_;
  std::atomic<uint64_t> budget_;
  std::atomic<bool> budget_fell_{false};
  const size_t place_mask_;
  std::vector<std::atomic<uint8_t>> used_;       // rounds of uses, by hash
  std::vector<std::atomic<uint8_t>> asked_for_;  // of lookups of cold rows, see Asked
  std::atomic<uint8_t> round_{2};
  const size_t clean_mask_;
  std::vector<std::atomic<Fid>> clean_;
  std::array<std::atomic<uint32_t>, kStripes> versions_{};

  std::mutex moving_;
  RowMap::Hand hand_;  // guarded by moving_
  WriteGate moves_;

  std::atomic<bool> disk_used_{false};  // something was written since the last Clear
  std::atomic<uint64_t> cold_rows_{0};
  mutable std::mutex buried_mu_;
  std::unordered_set<Fid> buried_;  // guarded by buried_mu_
  std::atomic<size_t> buried_count_{0};

  struct Moment {
    std::unique_ptr<ColdStore::View> view;
    std::unordered_set<Fid> buried;
  };
  std::unique_ptr<Moment> moment_;  // of the snapshot that has begun and is not yet being read

  std::atomic<uint64_t> cold_lookups_{0}, cold_hits_{0}, promotions_{0}, demotions_{0}, written_{0},
      read_errors_{0}, write_errors_{0};
};

template <typename Into, typename Done>
Status ColdTier::Visit(std::span<const Fid> fids, size_t bytes, Use use, Into&& into, Done&& done) {
  Status status;
  std::vector<size_t> missing;
  for (size_t base = 0; base < fids.size(); base += kChunk) {
    const std::span<const Fid> chunk = fids.subspan(base, std::min(kChunk, fids.size() - base));
    missing.clear();
    map_.Visit(
        chunk, bytes, [&](size_t i) { return into(base + i); },
        [&](size_t i, bool found, uint32_t timestamp) {
          if (found) {
            if (use == Use::kLookup) Touch(ColdKey(chunk[i]));
            done(base + i, true, timestamp);
          } else {
            missing.push_back(i);
          }
        });
    if (missing.empty()) continue;
    Status read = VisitCold(
        chunk, missing, use,
        [&](size_t i, uint32_t timestamp, const std::byte* payload) {
          std::memcpy(into(base + i), payload, std::min(bytes, payload_bytes_));
          done(base + i, true, timestamp);
        },
        [&](size_t i) { done(base + i, false, uint32_t{0}); });
    if (!read.ok()) status = std::move(read);
  }
  return status;
}

}  // namespace megalith::embedding

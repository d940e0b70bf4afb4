// An embedding table: rows of floats keyed by fid, with their optimizer state. Two fids never share
// a row. Semantics: embedding-tables.md sections 2 and 8.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/cold/cold_tier.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/gradients.h"
#include "common/learning/embedding/row_layout.h"
#include "common/learning/embedding/row_map.h"
#include "common/learning/embedding/table_config.h"
#include "common/learning/embedding/write_gate.h"

namespace megalith::embedding {

// Hears of rows that changed, after the change and before the caller's answer. Thread-safe.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  virtual void Written(std::span<const Fid> fids) = 0;
  virtual void Erased(std::span<const Fid> fids) = 0;
};

// What a batch of writes did, in rows (occurrences of fids, or fids if deduplicated).
struct WriteReport {
  int64_t applied = 0;
  int64_t created = 0;           // of those applied
  int64_t erased = 0;            // zero values under skip_zero_embedding
  int64_t filtered = 0;          // new fids that the filter holds back
  int64_t refused = 0;           // new fids for which the table's max_bytes has no room
  int64_t non_finite = 0;        // gradients skipped or clipped
  int64_t guarded = 0;           // steps not taken: learning rate or denominator zero
  int64_t snapshot_missing = 0;  // steps of delay compensation without a snapshot
  int64_t unreadable = 0;        // rows of the cold tier that the disk does not give; left as is

  WriteReport& operator+=(const WriteReport& other);
};

struct TableStats {
  uint64_t rows = 0;           // in memory and on disk
  uint64_t bytes = 0;          // rows and index in memory
  uint64_t payload_bytes = 0;  // of one row
  double load_factor = 0;      // of the index
  uint64_t lookups = 0;        // fids looked up
  uint64_t hits = 0;
  uint64_t evicted = 0;
  WriteReport writes;  // totals
  int64_t max_update_time = 0;
  std::optional<ColdTierStats> cold;  // of a table with a cold tier
};

// Threads: every method may be called concurrently. A row is read and written whole: no reader sees
// half an update. A batch is not atomic, but a snapshot holds all of a batch or nothing. A table
// with a cold tier is the same to its callers, but that the disk may fail: methods that return a
// status then have the errors of ColdStore (kDataLoss, kResourceExhausted, kUnavailable).
class Table {
 public:
  struct Options {
    std::shared_ptr<AdmissionFilter> filter;  // none: every fid is admitted
    std::shared_ptr<WriteObserver> observer;
    std::shared_ptr<WriteGate> gate;  // of tables saved together; none: one of its own
    uint64_t hash_seed = 0;
    OpenColdStore open_cold_store;  // none: a configuration with a cold tier is refused
  };

  // Errors: those of RowLayout::Make and of open_cold_store; kInvalidArgument  the limits of the
  // table or its cold tier; kResourceExhausted  no memory for initial_capacity;
  // kFailedPrecondition  a cold tier without open_cold_store.
  static Result<std::unique_ptr<Table>> Make(TableConfig config, Options options);

  // Another table over the same rows, statistics and observer, configured otherwise: expiry,
  // budget, learning rates and other fields of the same records. This one stays usable. Errors:
  // those of Make; kFailedPrecondition  rows would have another shape or meaning.
  Result<std::unique_ptr<Table>> Reconfigured(TableConfig config) const;

  const TableConfig& config() const { return config_; }
  const RowLayout& layout() const { return *layout_; }
  int64_t dim() const { return layout_->dim(); }
  int64_t slices() const { return layout_->slices(); }
  uint64_t size() const {
    return state_->cold == nullptr ? state_->map.rows() : state_->cold->rows();
  }
  WriteGate& gate() const { return *options_.gate; }

  // Copies the row of each fid, in order, into `out`; a fid without a row reads as zeros and is not
  // inserted. Returns how many fids had a row.
  // Errors: kInvalidArgument  out.size() != fids.size() * dim().
  Result<int64_t> Lookup(std::span<const Fid> fids, std::span<float> out) const;

  // Each row as an EntryDump message without its id; empty for a fid without a row.
  // Errors: kFailedPrecondition  a serving table has no optimizer state to dump.
  Result<std::vector<std::string>> LookupEntries(std::span<const Fid> fids) const;

  // Calls `on_row(i, payload, timestamp)` for each fid with a copy of its row, payload null where
  // there is none; in no particular order. Errors: those of a cold tier; for fids whose row could
  // not be read `on_row` is not called.
  Status VisitRows(std::span<const Fid> fids,
                   const std::function<void(size_t i, const std::byte* payload,
                                            uint32_t timestamp)>& on_row) const;

  // A row that the disk does not give counts as there.
  bool Contains(Fid fid) const;

  // Brings rows of a cold tier into memory, so that a write that follows finds them there and does
  // not fail for a disk. Without a cold tier nothing.
  Status Prefetch(std::span<const Fid> fids) {
    return state_->cold == nullptr ? OkStatus() : state_->cold->Prepare(fids);
  }

  // Appends the fids of some rows, at most some ten thousand, and moves `*cursor`, which starts
  // at 0; false when there are no more. A fid that has its row during the whole walk comes at least
  // once. Needs no snapshot, so a walk may take as long as it wants.
  bool ScanFids(uint64_t* cursor, std::vector<Fid>* fids) const {
    return state_->cold == nullptr ? state_->map.ScanFids(cursor, fids)
                                   : state_->cold->ScanFids(cursor, fids);
  }

  // Overwrites values; a new row gets fresh optimizer state, an existing one keeps its own.
  // Errors of this and of AssignAdd: kInvalidArgument  values.size() != fids.size() * dim(), a
  // value is not finite, or update_time is not in seconds since 1970 (no row has changed then).
  Result<WriteReport> Assign(std::span<const Fid> fids, std::span<const float> values,
                             int64_t update_time);

  // Adds to the values; a new row starts from its initial values.
  Result<WriteReport> AssignAdd(std::span<const Fid> fids, std::span<const float> values,
                                int64_t update_time);

  // One optimizer step per row (Gradients says which). A new row starts from its initial values.
  // Errors: kInvalidArgument     sizes do not fit, a gradient is not finite under kReject, a
  //                              learning rate is not finite, or update_time is not in seconds
  //                              since 1970 (no row has changed then);
  //         kFailedPrecondition  a serving table does not learn.
  Result<WriteReport> Optimize(const Gradients& gradients);

  // The two halves of Optimize: all that can fail, and the steps. What Prepare returns refers to
  // the spans of `gradients` and holds for this table and its other configurations.
  Result<PreparedGradients> Prepare(const Gradients& gradients) const;
  WriteReport Apply(const PreparedGradients& prepared);

  // Back to initial values and fresh state, at time `now`; made if missing, whatever the filter
  // says. 1 for each fid that had a row, else 0; -1 where max_bytes has no room, or a disk does not
  // give the row. Errors: kInvalidArgument  `now` is not in seconds since 1970.
  Result<std::vector<int32_t>> Reinitialize(std::span<const Fid> fids, int64_t now);

  // Drops rows whose slot's expiry lies `now` - timestamp seconds back or more. Without `now`, the
  // newest update time the table has seen is meant. Returns how many.
  int64_t Evict();
  int64_t Evict(int64_t now);

  // Drops rows of these fids. Returns how many had one.
  int64_t Erase(std::span<const Fid> fids);

  // Drops every row. Errors: kFailedPrecondition  the table is being saved; those of a cold tier
  // (then no row is dropped).
  Status Clear();

  // Whether a row last written at `timestamp` has expired at `now`.
  bool Expired(Fid fid, uint32_t timestamp, int64_t now) const;

  // Writes whole rows as a file or a log has them: `payloads` is fids.size() times
  // layout().payload_bytes(). The filter is not asked. Errors: kResourceExhausted.
  Status Load(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
              std::span<const std::byte> payloads);

  int64_t max_update_time() const {
    return state_->max_update_time.load(std::memory_order_relaxed);
  }
  // Never lowers it.
  void RaiseMaxUpdateTime(int64_t time);

  // --- the rows at one moment ---
  // BeginSnapshot needs gate() held exclusively; every one is followed by one ReadSnapshot, which
  // may take its time. See RowMap for memory. Errors: kFailedPrecondition  one is being read.
  Status BeginSnapshot() {
    return state_->cold == nullptr ? state_->map.BeginSnapshot() : state_->cold->BeginSnapshot();
  }

  using RowView = RowMap::RowView;
  // In no particular order; the views live until `sink` returns.
  Status ReadSnapshot(const std::function<Status(std::span<const RowView> rows)>& sink) {
    return state_->cold == nullptr ? state_->map.ReadSnapshot(sink)
                                   : state_->cold->ReadSnapshot(sink);
  }

  TableStats Stats() const;

 private:
  // What stays when the configuration changes.
  struct State {
    State(size_t payload_bytes, const TableConfig& config, uint64_t hash_seed)
        : map(payload_bytes, MaxMapBytes(config), hash_seed) {}
    RowMap map;
    std::unique_ptr<ColdTier> cold;  // null: all rows are in memory
    std::atomic<int64_t> max_update_time{0};
    std::atomic<uint64_t> lookups{0}, hits{0}, evicted{0};
    std::atomic<int64_t> applied{0}, created{0}, erased{0}, filtered{0}, refused{0}, non_finite{0},
        guarded{0}, snapshot_missing{0}, unreadable{0};
  };

  Table(TableConfig config, std::unique_ptr<RowLayout> layout, Options options,
        std::shared_ptr<State> state);

  static Status CheckLimits(const TableConfig& config);
  static uint64_t MaxMapBytes(const TableConfig& config);
  Status CheckBatch(size_t fids, size_t values) const;
  // RowMap::Visit as a lookup does it, and RowMap::Update, of both tiers.
  template <typename Into, typename Done>
  Status LookUp(std::span<const Fid> fids, size_t bytes, Into&& into, Done&& done) const;
  template <typename OnMissing, typename OnRow, typename OnFull, typename OnUnreadable>
  Status UpdateRows(std::span<const Fid> fids, OnMissing&& on_missing, OnRow&& on_row,
                    OnFull&& on_full, OnUnreadable&& on_unreadable);
  // Requires the gate shared.
  Status EraseRows(std::span<const Fid> fids, std::vector<Fid>* erased);
  RowMap::Missing Admit(Fid fid, uint32_t count, WriteReport& report);
  // Adds to the totals, tells the observer.
  void Finish(const WriteReport& report, std::span<const Fid> written, std::span<const Fid> erased);
  Result<WriteReport> Write(std::span<const Fid> fids, std::span<const float> values,
                            int64_t update_time, bool add);
  // Writes one run of rows, whose order does not matter to skip_zero_embedding.
  void WriteRun(std::span<const Fid> fids, const float* values, uint32_t time, bool add,
                WriteReport& report, std::vector<Fid>& written);
  void StepRow(const PreparedGradients& batch, size_t i, std::byte* row, WriteReport& report) const;

  const TableConfig config_;
  const std::unique_ptr<RowLayout> layout_;
  const Options options_;  // gate is set
  const std::shared_ptr<State> state_;
};

}  // namespace megalith::embedding

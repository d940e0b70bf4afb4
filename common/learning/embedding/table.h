// An embedding table: rows of floats keyed by fid, with their optimizer state. Two fids never share
// a row. Semantics: embedding-tables.md sections 2 and 8.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <shared_mutex>
#include <span>
#include <string>
#include <vector>

#include "common/foundation/base/status.h"
#include "common/learning/embedding/fid.h"
#include "common/learning/embedding/filters/filter.h"
#include "common/learning/embedding/row_layout.h"
#include "common/learning/embedding/row_map.h"
#include "common/learning/embedding/table_config.h"

namespace megalith::embedding {

// Hears of rows that changed, after the change and before the caller's answer. Thread-safe.
class WriteObserver {
 public:
  virtual ~WriteObserver() = default;
  virtual void Written(std::span<const Fid> fids) = 0;
  virtual void Erased(std::span<const Fid> fids) = 0;
};

// What is done with a gradient row that holds NaN or an infinity.
enum class NonFinite {
  kReject,  // the whole batch is refused before any row changes
  kSkip,    // the row is left out and counted
  kClip,    // NaN becomes 0, infinities the largest finite float; counted
};

// One batch of gradient steps.
struct Gradients {
  std::span<const Fid> fids;
  std::span<const float> values;          // fids.size() * dim()
  std::span<const float> learning_rates;  // slices(); empty: as configured, warm-up included
  std::span<const float> snapshots;       // fids.size() * dim() or empty (delay compensation)
  int64_t update_time = 0;                // unix seconds of the sample
  int64_t global_step = 0;                // >= 0
  // Sums the gradients of equal fids and takes one step for each fid, in order of first
  // occurrence; otherwise every occurrence is a step, in order.
  bool dedup = false;
  NonFinite non_finite = NonFinite::kReject;
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
};

struct TableStats {
  uint64_t rows = 0;
  uint64_t bytes = 0;          // rows and index
  uint64_t payload_bytes = 0;  // of one row
  double load_factor = 0;      // of the index
  uint64_t lookups = 0;        // fids looked up
  uint64_t hits = 0;
  uint64_t evicted = 0;
  WriteReport writes;  // totals
  int64_t max_update_time = 0;
};

// Keeps a moment still: writers hold it shared for a batch, a snapshot's first instant holds it
// exclusively. Tables saved together share one.
using WriteGate = std::shared_mutex;

// Threads: every method may be called concurrently. A row is read and written whole: no reader sees
// half an update. A batch is not atomic, but a snapshot holds all of a batch or nothing.
class Table {
 public:
  struct Options {
    std::shared_ptr<AdmissionFilter> filter;  // none: every fid is admitted
    WriteObserver* observer = nullptr;        // outlives the table
    std::shared_ptr<WriteGate> gate;          // none: one of its own
    uint64_t hash_seed = 0;
  };

  // Errors: those of RowLayout::Make; kResourceExhausted  no memory for initial_capacity.
  static Result<std::unique_ptr<Table>> Make(TableConfig config, Options options);

  const TableConfig& config() const { return config_; }
  const RowLayout& layout() const { return *layout_; }
  int64_t dim() const { return layout_->dim(); }
  int64_t slices() const { return layout_->slices(); }
  uint64_t size() const { return map_.rows(); }
  WriteGate& gate() const { return *gate_; }

  // Copies the row of each fid, in order, into `out`; a fid without a row reads as zeros and is not
  // inserted. Returns how many fids had a row.
  // Errors: kInvalidArgument  out.size() != fids.size() * dim().
  Result<int64_t> Lookup(std::span<const Fid> fids, std::span<float> out) const;

  // Each row as an EntryDump message without its id; empty for a fid without a row.
  // Errors: kFailedPrecondition  a serving table has no optimizer state to dump.
  Result<std::vector<std::string>> LookupEntries(std::span<const Fid> fids) const;

  // Calls `on_row(i, payload, timestamp)` for each fid, payload null where there is no row; under
  // the row's lock.
  void VisitRows(std::span<const Fid> fids,
                 const std::function<void(size_t i, const std::byte* payload, uint32_t timestamp)>&
                     on_row) const;

  bool Contains(Fid fid) const;

  // Overwrites values; a new row gets fresh optimizer state, an existing one keeps its own.
  // Errors of this and of AssignAdd: kInvalidArgument  values.size() != fids.size() * dim(), or a
  // value is not finite (no row has changed then).
  Result<WriteReport> Assign(std::span<const Fid> fids, std::span<const float> values,
                             int64_t update_time);

  // Adds to the values; a new row starts from its initial values.
  Result<WriteReport> AssignAdd(std::span<const Fid> fids, std::span<const float> values,
                                int64_t update_time);

  // One optimizer step per row (Gradients says which). A new row starts from its initial values.
  // Errors: kInvalidArgument     sizes do not fit, a gradient is not finite under kReject, or a
  //                              learning rate is not finite (no row has changed then);
  //         kFailedPrecondition  a serving table does not learn.
  Result<WriteReport> Optimize(const Gradients& gradients);

  // Back to initial values and fresh state, at time `now`; made if missing, whatever the filter
  // says. 1 for each fid that had a row, else 0; -1 where max_bytes has no room.
  std::vector<int32_t> Reinitialize(std::span<const Fid> fids, int64_t now);

  // Drops rows whose slot's expiry lies `now` - timestamp seconds back or more. Without `now`, the
  // newest update time the table has seen is meant. Returns how many.
  int64_t Evict();
  int64_t Evict(int64_t now);

  // Drops rows of these fids. Returns how many had one.
  int64_t Erase(std::span<const Fid> fids);

  // Drops every row. Errors: kFailedPrecondition  the table is being saved.
  Status Clear();

  // Whether a row last written at `timestamp` has expired at `now`.
  bool Expired(Fid fid, uint32_t timestamp, int64_t now) const;

  // Writes whole rows as a file or a log has them: `payloads` is fids.size() times
  // layout().payload_bytes(). The filter is not asked. Errors: kResourceExhausted.
  Status Load(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
              std::span<const std::byte> payloads);

  int64_t max_update_time() const { return max_update_time_.load(std::memory_order_relaxed); }
  // Never lowers it.
  void RaiseMaxUpdateTime(int64_t time);

  // --- the rows at one moment ---
  // BeginSnapshot needs gate() held exclusively; every one is followed by one ReadSnapshot, which
  // may take its time. See RowMap for memory. Errors: kFailedPrecondition  one is being read.
  Status BeginSnapshot() { return map_.BeginSnapshot(); }

  using RowView = RowMap::RowView;
  // In no particular order; the views live until `sink` returns.
  Status ReadSnapshot(const std::function<Status(std::span<const RowView> rows)>& sink) {
    return map_.ReadSnapshot(sink);
  }

  TableStats Stats() const;

 private:
  Table(TableConfig config, std::unique_ptr<RowLayout> layout, Options options);

  Status CheckBatch(size_t fids, size_t values) const;
  RowMap::Missing Admit(Fid fid, uint32_t count, WriteReport& report);
  // Adds to the totals, tells the observer.
  void Finish(const WriteReport& report, std::span<const Fid> written, std::span<const Fid> erased);
  Result<WriteReport> Write(std::span<const Fid> fids, std::span<const float> values,
                            int64_t update_time, bool add);
  void StepRow(const Gradients& batch, std::span<const float> rates, size_t i, std::byte* row,
               WriteReport& report) const;

  const TableConfig config_;
  const std::unique_ptr<RowLayout> layout_;
  const Options options_;
  const std::shared_ptr<WriteGate> gate_;
  RowMap map_;
  std::atomic<int64_t> max_update_time_{0};
  mutable std::atomic<uint64_t> lookups_{0};
  mutable std::atomic<uint64_t> hits_{0};
  std::atomic<uint64_t> evicted_{0};
  struct Totals {
    std::atomic<int64_t> applied{0}, created{0}, erased{0}, filtered{0}, refused{0}, non_finite{0},
        guarded{0}, snapshot_missing{0};
  };
  Totals totals_;
};

}  // namespace megalith::embedding

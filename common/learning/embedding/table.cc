#include "common/learning/embedding/table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <utility>

#include "common/learning/embedding/dedup.h"

namespace megalith::embedding {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

bool AllFinite(std::span<const float> values) {
  // A float is NaN or infinite when its exponent is all ones; adding up the comparisons instead of
  // leaving early lets the loop run in vector registers.
  uint32_t bad = 0;
  for (const float v : values) {
    uint32_t bits;
    std::memcpy(&bits, &v, sizeof(bits));
    bad |= static_cast<uint32_t>((bits & 0x7f800000U) == 0x7f800000U);
  }
  return bad == 0;
}

// Where the first value that is not finite lies, for messages.
size_t FirstNonFinite(std::span<const float> values) {
  return static_cast<size_t>(
      std::find_if(values.begin(), values.end(), [](float v) { return !std::isfinite(v); }) -
      values.begin());
}

// "About zero" as the original's files and serving tables mean it (checkpoint-format.md section 6).
bool IsZeroRow(std::span<const float> values) {
  double norm = 0;
  for (const float v : values) norm += static_cast<double>(v) * v;
  return norm < std::numeric_limits<float>::min();
}

uint32_t ClampTime(int64_t time) {
  return static_cast<uint32_t>(std::clamp<int64_t>(time, 0, UINT32_MAX));
}

}  // namespace

Result<std::unique_ptr<Table>> Table::Make(TableConfig config, Options options) {
  if (config.max_bytes == 0) return InvalidArgument("max_bytes must be above zero");
  ASSIGN_OR_RETURN(std::unique_ptr<RowLayout> layout, RowLayout::Make(config));
  const uint64_t capacity = config.initial_capacity;
  std::unique_ptr<Table> table(new Table(std::move(config), std::move(layout), std::move(options)));
  RETURN_IF_ERROR(table->map_.Reserve(capacity));
  return table;
}

Table::Table(TableConfig config, std::unique_ptr<RowLayout> layout, Options options)
    : config_(std::move(config)),
      layout_(std::move(layout)),
      options_(std::move(options)),
      gate_(options_.gate != nullptr ? options_.gate : std::make_shared<WriteGate>()),
      map_(layout_->payload_bytes(), config_.max_bytes, options_.hash_seed) {}

Status Table::CheckBatch(size_t fids, size_t values) const {
  const auto dim = static_cast<size_t>(layout_->dim());
  if (values % dim != 0 || values / dim != fids) {
    return InvalidArgument(std::to_string(fids) + " fids of dim " + std::to_string(dim) + " need " +
                           std::to_string(fids) + " * " + std::to_string(dim) + " values, got " +
                           std::to_string(values));
  }
  return OkStatus();
}

void Table::RaiseMaxUpdateTime(int64_t time) {
  int64_t seen = max_update_time_.load(std::memory_order_relaxed);
  while (seen < time &&
         !max_update_time_.compare_exchange_weak(seen, time, std::memory_order_relaxed)) {
  }
}

Result<int64_t> Table::Lookup(std::span<const Fid> fids, std::span<float> out) const {
  RETURN_IF_ERROR(CheckBatch(fids.size(), out.size()));
  const auto dim = static_cast<size_t>(layout_->dim());
  const RowLayout& layout = *layout_;
  float* rows = out.data();
  int64_t hits = 0;
  map_.Visit(fids, layout.read_bytes(), [&](size_t i, const std::byte* row, uint32_t) {
    if (row == nullptr) {
      std::memset(rows + i * dim, 0, dim * sizeof(float));
      return;
    }
    layout.Read(row, rows + i * dim);
    ++hits;
  });
  lookups_.fetch_add(fids.size(), std::memory_order_relaxed);
  hits_.fetch_add(static_cast<uint64_t>(hits), std::memory_order_relaxed);
  return hits;
}

void Table::VisitRows(std::span<const Fid> fids,
                      const std::function<void(size_t i, const std::byte* payload,
                                               uint32_t timestamp)>& on_row) const {
  map_.Visit(fids, map_.row_bytes(), on_row);
}

Result<std::vector<std::string>> Table::LookupEntries(std::span<const Fid> fids) const {
  if (layout_->kind() == EntryKind::kServing) {
    return FailedPrecondition("a serving table keeps no optimizer state, so it has no entries");
  }
  std::vector<std::string> entries(fids.size());
  VisitRows(fids, [&](size_t i, const std::byte* payload, uint32_t timestamp) {
    if (payload != nullptr) layout_->AppendEntryDump(nullptr, timestamp, payload, entries[i]);
  });
  return entries;
}

bool Table::Contains(Fid fid) const {
  bool found = false;
  map_.Visit(std::span(&fid, 1), 0,
             [&](size_t, const std::byte* row, uint32_t) { found = row != nullptr; });
  return found;
}

RowMap::Missing Table::Admit(Fid fid, uint32_t count, WriteReport& report) {
  if (options_.filter == nullptr || !options_.filter->ShouldFilter(fid, count)) {
    return RowMap::Missing::kInsert;
  }
  ++report.filtered;
  return RowMap::Missing::kSkip;
}

void Table::Finish(const WriteReport& report, std::span<const Fid> written,
                   std::span<const Fid> erased) {
  const auto add = [](std::atomic<int64_t>& total, int64_t n) {
    if (n != 0) total.fetch_add(n, std::memory_order_relaxed);
  };
  add(totals_.applied, report.applied);
  add(totals_.created, report.created);
  add(totals_.erased, report.erased);
  add(totals_.filtered, report.filtered);
  add(totals_.refused, report.refused);
  add(totals_.non_finite, report.non_finite);
  add(totals_.guarded, report.guarded);
  add(totals_.snapshot_missing, report.snapshot_missing);
  if (options_.observer == nullptr) return;
  if (!written.empty()) options_.observer->Written(written);
  if (!erased.empty()) options_.observer->Erased(erased);
}

Result<WriteReport> Table::Write(std::span<const Fid> fids, std::span<const float> values,
                                 int64_t update_time, bool add) {
  RETURN_IF_ERROR(CheckBatch(fids.size(), values.size()));
  const auto dim = static_cast<size_t>(layout_->dim());
  if (!AllFinite(values)) {
    const size_t at = FirstNonFinite(values);
    return InvalidArgument("value " + std::to_string(at % dim) + " of row " +
                           std::to_string(at / dim) + " is not finite");
  }
  const std::shared_lock gate(*gate_);
  RaiseMaxUpdateTime(update_time);
  const uint32_t time = ClampTime(update_time);
  WriteReport report;
  std::vector<Fid> written;
  std::vector<Fid> erased;
  if (options_.observer != nullptr) written.reserve(fids.size());
  const auto run = [&](size_t from, size_t to) {
    (void)map_.Update(
        fids.subspan(from, to - from), [&](size_t i) { return Admit(fids[from + i], 1, report); },
        [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
          const Fid fid = fids[from + i];
          if (created) layout_->Init(fid, row);
          const float* value = values.data() + (from + i) * dim;
          if (add) {
            layout_->AssignAdd(value, row);
          } else {
            layout_->Assign(value, row);
          }
          timestamp = time;
          ++report.applied;
          report.created += created ? 1 : 0;
          if (options_.observer != nullptr) written.push_back(fid);
        },
        [&](size_t) { ++report.refused; });
  };
  if (!config_.skip_zero_embedding || add) {
    run(0, fids.size());
  } else {
    // Order matters where a fid comes twice, so the rows between zero rows are runs of their own.
    size_t from = 0;
    for (size_t i = 0; i < fids.size(); ++i) {
      if (!IsZeroRow(values.subspan(i * dim, dim))) continue;
      run(from, i);
      from = i + 1;
      if (map_.Erase(fids[i])) {
        ++report.erased;
        erased.push_back(fids[i]);
      }
    }
    run(from, fids.size());
  }
  Finish(report, written, erased);
  return report;
}

Result<WriteReport> Table::Assign(std::span<const Fid> fids, std::span<const float> values,
                                  int64_t update_time) {
  return Write(fids, values, update_time, false);
}

Result<WriteReport> Table::AssignAdd(std::span<const Fid> fids, std::span<const float> values,
                                     int64_t update_time) {
  return Write(fids, values, update_time, true);
}

void Table::StepRow(const Gradients& batch, std::span<const float> rates, size_t i, std::byte* row,
                    WriteReport& report) const {
  const auto dim = static_cast<size_t>(layout_->dim());
  StepInput input{.gradient = batch.values.subspan(i * dim, dim),
                  .learning_rates = rates,
                  .global_step = batch.global_step,
                  .snapshot = {}};
  if (!batch.snapshots.empty()) input.snapshot = batch.snapshots.subspan(i * dim, dim);
  const StepOutcome outcome = layout_->Step(input, row);
  report.guarded += outcome.guarded ? 1 : 0;
  report.snapshot_missing += outcome.snapshot_missing ? 1 : 0;
}

namespace {

// The batch with gradients that are not finite left out or clipped; owns what it had to copy.
struct CleanGradients {
  std::vector<Fid> fids;
  std::vector<float> values;
  std::vector<float> snapshots;
};

void Clean(Gradients& batch, size_t dim, CleanGradients& store, WriteReport& report) {
  const bool skip = batch.non_finite == NonFinite::kSkip;
  for (size_t i = 0; i < batch.fids.size(); ++i) {
    const std::span<const float> row = batch.values.subspan(i * dim, dim);
    const bool finite = AllFinite(row);
    report.non_finite += finite ? 0 : 1;
    if (!finite && skip) continue;
    store.fids.push_back(batch.fids[i]);
    for (const float v : row) {
      store.values.push_back(std::isnan(v) ? 0.0F
                                           : std::clamp(v, std::numeric_limits<float>::lowest(),
                                                        std::numeric_limits<float>::max()));
    }
    if (!batch.snapshots.empty()) {
      const auto from = batch.snapshots.begin() + static_cast<std::ptrdiff_t>(i * dim);
      store.snapshots.insert(store.snapshots.end(), from, from + static_cast<std::ptrdiff_t>(dim));
    }
  }
  batch.fids = store.fids;
  batch.values = store.values;
  batch.snapshots = store.snapshots;
}

Status ApplyPolicy(Gradients& batch, size_t dim, CleanGradients& store, WriteReport& report) {
  if (AllFinite(batch.values)) return OkStatus();
  if (batch.non_finite != NonFinite::kReject) {
    Clean(batch, dim, store, report);
    return OkStatus();
  }
  const size_t at = FirstNonFinite(batch.values);
  return InvalidArgument("gradient " + std::to_string(at % dim) + " of row " +
                         std::to_string(at / dim) +
                         " is not finite; the table's policy refuses the batch");
}

// The occurrences of those fids of `unique` that are left in `fids`, which has the same order.
std::vector<uint32_t> CountsOf(std::span<const Fid> fids, const DedupedGradients& unique) {
  std::vector<uint32_t> counts;
  for (size_t i = 0, from = 0; i < fids.size(); ++i, ++from) {
    while (unique.fids[from] != fids[i]) ++from;
    counts.push_back(unique.counts[from]);
  }
  return counts;
}

}  // namespace

Result<WriteReport> Table::Optimize(const Gradients& gradients) {
  if (layout_->kind() == EntryKind::kServing) {
    return FailedPrecondition("a serving table does not learn; send gradients to a training table");
  }
  const auto dim = static_cast<size_t>(layout_->dim());
  RETURN_IF_ERROR(CheckBatch(gradients.fids.size(), gradients.values.size()));
  if (!gradients.snapshots.empty()) {
    RETURN_IF_ERROR(
        CheckBatch(gradients.fids.size(), gradients.snapshots.size()).Annotate("snapshots"));
  }
  if (gradients.global_step < 0) return InvalidArgument("global_step is negative");
  std::vector<float> configured;
  std::span<const float> rates = gradients.learning_rates;
  if (rates.empty()) {
    configured = layout_->DefaultLearningRates(gradients.global_step);
    rates = configured;
  }
  if (rates.size() != static_cast<size_t>(layout_->slices())) {
    return InvalidArgument("the table has " + std::to_string(layout_->slices()) +
                           " segments, got " + std::to_string(rates.size()) + " learning rates");
  }
  if (!AllFinite(rates)) return InvalidArgument("a learning rate is not finite");

  WriteReport report;
  Gradients batch = gradients;
  CleanGradients clean;
  RETURN_IF_ERROR(ApplyPolicy(batch, dim, clean, report));
  DedupedGradients unique;
  CleanGradients clean_sums;
  if (batch.dedup) {
    SumDuplicates(batch.fids, batch.values, batch.snapshots, dim, unique);
    batch.fids = unique.fids;
    batch.values = unique.values;
    batch.snapshots = unique.snapshots;
    // Finite gradients may have a sum that is not; a batch that stays whole keeps its counts.
    if (!AllFinite(batch.values)) {
      RETURN_IF_ERROR(ApplyPolicy(batch, dim, clean_sums, report));
      unique.counts = CountsOf(batch.fids, unique);
    }
  }

  const std::shared_lock gate(*gate_);
  RaiseMaxUpdateTime(batch.update_time);
  const uint32_t time = ClampTime(batch.update_time);
  std::vector<Fid> written;
  if (options_.observer != nullptr) written.reserve(batch.fids.size());
  (void)map_.Update(
      batch.fids,
      [&](size_t i) { return Admit(batch.fids[i], batch.dedup ? unique.counts[i] : 1, report); },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
        if (created) layout_->Init(batch.fids[i], row);
        StepRow(batch, rates, i, row, report);
        timestamp = time;
        ++report.applied;
        report.created += created ? 1 : 0;
        if (options_.observer != nullptr) written.push_back(batch.fids[i]);
      },
      [&](size_t) { ++report.refused; });
  Finish(report, written, {});
  return report;
}

std::vector<int32_t> Table::Reinitialize(std::span<const Fid> fids, int64_t now) {
  const std::shared_lock gate(*gate_);
  RaiseMaxUpdateTime(now);
  std::vector<int32_t> had_row(fids.size());
  WriteReport report;
  std::vector<Fid> written;
  (void)map_.Update(
      fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
        layout_->Init(fids[i], row);
        timestamp = ClampTime(now);
        had_row[i] = created ? 0 : 1;
        ++report.applied;
        report.created += created ? 1 : 0;
        if (options_.observer != nullptr) written.push_back(fids[i]);
      },
      [&](size_t i) {
        had_row[i] = -1;
        ++report.refused;
      });
  Finish(report, written, {});
  return had_row;
}

bool Table::Expired(Fid fid, uint32_t timestamp, int64_t now) const {
  uint32_t days = config_.expire.default_days;
  if (!config_.expire.days_of_slot.empty()) {
    const auto found = config_.expire.days_of_slot.find(static_cast<uint32_t>(SlotV2(fid)));
    if (found != config_.expire.days_of_slot.end()) days = found->second;
  }
  return now - static_cast<int64_t>(timestamp) >= static_cast<int64_t>(days) * kSecondsPerDay;
}

int64_t Table::Evict() { return Evict(max_update_time()); }

int64_t Table::Evict(int64_t now) {
  const std::shared_lock gate(*gate_);
  std::vector<Fid> dropped;
  map_.EraseIf([&](Fid fid, uint32_t timestamp) { return Expired(fid, timestamp, now); }, &dropped);
  evicted_.fetch_add(dropped.size(), std::memory_order_relaxed);
  Finish({}, {}, dropped);
  return static_cast<int64_t>(dropped.size());
}

int64_t Table::Erase(std::span<const Fid> fids) {
  const std::shared_lock gate(*gate_);
  std::vector<Fid> erased;
  for (const Fid fid : fids) {
    if (map_.Erase(fid)) erased.push_back(fid);
  }
  WriteReport report;
  report.erased = static_cast<int64_t>(erased.size());
  Finish(report, {}, erased);
  return report.erased;
}

Status Table::Clear() {
  const std::unique_lock gate(*gate_);
  std::vector<Fid> dropped;
  if (options_.observer != nullptr) {
    map_.EraseIf([](Fid, uint32_t) { return true; }, &dropped);
  }
  RETURN_IF_ERROR(map_.Clear());
  Finish({}, {}, dropped);
  return OkStatus();
}

Status Table::Load(std::span<const Fid> fids, std::span<const uint32_t> timestamps,
                   std::span<const std::byte> payloads) {
  const size_t bytes = layout_->payload_bytes();
  if (timestamps.size() != fids.size() || payloads.size() / bytes != fids.size() ||
      payloads.size() % bytes != 0) {
    return InvalidArgument("rows of " + std::to_string(fids.size()) + " fids come with " +
                           std::to_string(timestamps.size()) + " times and " +
                           std::to_string(payloads.size()) + " bytes");
  }
  const std::shared_lock gate(*gate_);
  uint32_t newest = 0;
  std::vector<Fid> written;
  const Status status = map_.Update(
      fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool) {
        std::memcpy(row, payloads.data() + i * bytes, bytes);
        timestamp = timestamps[i];
        newest = std::max(newest, timestamps[i]);
        if (options_.observer != nullptr) written.push_back(fids[i]);
      },
      [](size_t) {});
  RaiseMaxUpdateTime(newest);
  Finish({}, written, {});
  return status;
}

TableStats Table::Stats() const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  TableStats stats;
  stats.rows = map_.rows();
  stats.bytes = map_.bytes();
  stats.payload_bytes = layout_->payload_bytes();
  stats.load_factor = map_.load_factor();
  stats.lookups = get(lookups_);
  stats.hits = get(hits_);
  stats.evicted = get(evicted_);
  stats.writes = {.applied = get(totals_.applied),
                  .created = get(totals_.created),
                  .erased = get(totals_.erased),
                  .filtered = get(totals_.filtered),
                  .refused = get(totals_.refused),
                  .non_finite = get(totals_.non_finite),
                  .guarded = get(totals_.guarded),
                  .snapshot_missing = get(totals_.snapshot_missing)};
  stats.max_update_time = max_update_time();
  return stats;
}

}  // namespace megalith::embedding

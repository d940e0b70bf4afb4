#include "common/learning/embedding/table.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

namespace megalith::embedding {
namespace {

constexpr int64_t kSecondsPerDay = 86400;

// "About zero" as the original's files and serving tables mean it (checkpoint-format.md section 6).
bool IsZeroRow(std::span<const float> values) {
  double norm = 0;
  for (const float v : values) norm += static_cast<double>(v) * v;
  return norm < std::numeric_limits<float>::min();
}

// Rows keep 32 bits of it. A time in milliseconds would make every other row expire.
Status CheckTime(int64_t time) {
  if (time >= 0 && time <= UINT32_MAX) return OkStatus();
  return InvalidArgument("the time " + std::to_string(time) +
                         " is not in seconds since 1970; those are 0 to " +
                         std::to_string(UINT32_MAX));
}

}  // namespace

WriteReport& WriteReport::operator+=(const WriteReport& other) {
  applied += other.applied;
  created += other.created;
  erased += other.erased;
  filtered += other.filtered;
  refused += other.refused;
  non_finite += other.non_finite;
  guarded += other.guarded;
  snapshot_missing += other.snapshot_missing;
  unreadable += other.unreadable;
  return *this;
}

Status Table::CheckLimits(const TableConfig& config) {
  if (config.max_bytes == 0) return InvalidArgument("max_bytes must be above zero");
  if (!config.cold_tier) return OkStatus();
  const uint64_t budget = config.cold_tier->memory_budget_bytes;
  if (budget == 0) return InvalidArgument("the cold tier's memory_budget_bytes must be above zero");
  if (config.cold_tier->max_disk_bytes == 0) {
    return InvalidArgument("the cold tier's max_disk_bytes must be above zero");
  }
  if (config.max_bytes >= budget) return OkStatus();
  return InvalidArgument("max_bytes is " + std::to_string(config.max_bytes) +
                         ", below the cold tier's memory_budget_bytes of " +
                         std::to_string(budget) + "; with a cold tier leave max_bytes out");
}

uint64_t Table::MaxMapBytes(const TableConfig& config) {
  if (!config.cold_tier) return config.max_bytes;
  return std::min(config.max_bytes, ColdTier::MaxMapBytes(config.cold_tier->memory_budget_bytes));
}

Result<std::unique_ptr<Table>> Table::Make(TableConfig config, Options options) {
  RETURN_IF_ERROR(CheckLimits(config));
  if (options.gate == nullptr) options.gate = std::make_shared<WriteGate>();
  ASSIGN_OR_RETURN(std::unique_ptr<RowLayout> layout, RowLayout::Make(config));
  auto state = std::make_shared<State>(layout->payload_bytes(), config, options.hash_seed);
  if (config.cold_tier) {
    if (options.open_cold_store == nullptr) {
      return FailedPrecondition(
          "the table has a cold tier and there is no directory for cold rows; start the server "
          "with cold_dir, or leave cold_tier out");
    }
    const ColdTierConfig& cold = *config.cold_tier;
    ASSIGN_OR_RETURN(std::unique_ptr<ColdStore> store,
                     options.open_cold_store(cold, layout->payload_bytes()));
    state->cold = std::make_unique<ColdTier>(state->map, options.gate, layout->payload_bytes(),
                                             cold.memory_budget_bytes, std::move(store));
  } else {
    RETURN_IF_ERROR(state->map.Reserve(config.initial_capacity));
  }
  return std::unique_ptr<Table>(
      new Table(std::move(config), std::move(layout), std::move(options), std::move(state)));
}

Table::Table(TableConfig config, std::unique_ptr<RowLayout> layout, Options options,
             std::shared_ptr<State> state)
    : config_(std::move(config)),
      layout_(std::move(layout)),
      options_(std::move(options)),
      state_(std::move(state)) {}

Result<std::unique_ptr<Table>> Table::Reconfigured(TableConfig config) const {
  RETURN_IF_ERROR(CheckLimits(config));
  if (config.cold_tier.has_value() != config_.cold_tier.has_value() ||
      (config.cold_tier &&
       (config.cold_tier->directory != config_.cold_tier->directory ||
        config.cold_tier->cache_bytes != config_.cold_tier->cache_bytes ||
        config.cold_tier->max_disk_bytes != config_.cold_tier->max_disk_bytes))) {
    return FailedPrecondition(
        "of a cold tier only memory_budget_bytes changes while the table exists; make a new table "
        "instead");
  }
  if (config.kind != config_.kind || config.segments.size() != config_.segments.size()) {
    return FailedPrecondition("the number of segments and the kind of a table stay as they are");
  }
  for (size_t i = 0; i < config.segments.size(); ++i) {
    const SegmentConfig& was = config_.segments[i];
    const SegmentConfig& is = config.segments[i];
    const auto base = [](const RuleConfig& rule) {
      return rule.base.empty() ? std::string() : rule.base[0].name;
    };
    if (is.dim != was.dim || is.optimizer.name != was.optimizer.name ||
        base(is.optimizer) != base(was.optimizer) ||
        (config.kind == EntryKind::kServing && is.compressor != was.compressor)) {
      return FailedPrecondition(
          "segment " + std::to_string(i) +
          " would change its dim, optimizer or stored form; make a new table instead");
    }
  }
  ASSIGN_OR_RETURN(std::unique_ptr<RowLayout> layout, RowLayout::Make(config));
  CHECK(layout->payload_bytes() == layout_->payload_bytes());
  if (state_->cold == nullptr) {
    state_->map.SetMaxBytes(config.max_bytes);
  } else {
    state_->cold->SetBudget(config.cold_tier->memory_budget_bytes, config.max_bytes);
  }
  return std::unique_ptr<Table>(new Table(std::move(config), std::move(layout), options_, state_));
}

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
  int64_t seen = state_->max_update_time.load(std::memory_order_relaxed);
  while (seen < time &&
         !state_->max_update_time.compare_exchange_weak(seen, time, std::memory_order_relaxed)) {
  }
}

template <typename Into, typename Done>
Status Table::LookUp(std::span<const Fid> fids, size_t bytes, Into&& into, Done&& done) const {
  if (state_->cold != nullptr) {
    return state_->cold->Visit(fids, bytes, ColdTier::Use::kLookup, into, done);
  }
  state_->map.Visit(fids, bytes, into, done);
  return OkStatus();
}

template <typename OnMissing, typename OnRow, typename OnFull, typename OnUnreadable>
Status Table::UpdateRows(std::span<const Fid> fids, OnMissing&& on_missing, OnRow&& on_row,
                         OnFull&& on_full, OnUnreadable&& on_unreadable) {
  if (state_->cold == nullptr) return state_->map.Update(fids, on_missing, on_row, on_full);
  return state_->cold->Update(fids, {.on_missing = on_missing,
                                     .on_row = on_row,
                                     .on_full = on_full,
                                     .on_unreadable = on_unreadable});
}

Status Table::EraseRows(std::span<const Fid> fids, std::vector<Fid>* erased) {
  if (state_->cold != nullptr) return state_->cold->Erase(fids, nullptr, erased);
  for (const Fid fid : fids) {
    if (state_->map.Erase(fid)) erased->push_back(fid);
  }
  return OkStatus();
}

Result<int64_t> Table::Lookup(std::span<const Fid> fids, std::span<float> out) const {
  RETURN_IF_ERROR(CheckBatch(fids.size(), out.size()));
  const auto dim = static_cast<size_t>(layout_->dim());
  const RowLayout& layout = *layout_;
  const size_t bytes = layout.read_bytes();
  float* rows = out.data();
  int64_t hits = 0;
  if (layout.reads_plainly()) {
    RETURN_IF_ERROR(LookUp(
        fids, bytes, [&](size_t i) { return reinterpret_cast<std::byte*>(rows + i * dim); },
        [&](size_t i, bool found, uint32_t) {
          hits += found ? 1 : 0;
          if (!found) std::memset(rows + i * dim, 0, bytes);
        }));
  } else {
    std::vector<uint64_t> scratch((bytes + 7) / 8);
    auto* row = reinterpret_cast<std::byte*>(scratch.data());
    RETURN_IF_ERROR(LookUp(
        fids, bytes, [&](size_t) { return row; },
        [&](size_t i, bool found, uint32_t) {
          hits += found ? 1 : 0;
          if (found) {
            layout.Read(row, rows + i * dim);
          } else {
            std::memset(rows + i * dim, 0, dim * sizeof(float));
          }
        }));
  }
  state_->lookups.fetch_add(fids.size(), std::memory_order_relaxed);
  state_->hits.fetch_add(static_cast<uint64_t>(hits), std::memory_order_relaxed);
  return hits;
}

Status Table::VisitRows(std::span<const Fid> fids,
                        const std::function<void(size_t i, const std::byte* payload,
                                                 uint32_t timestamp)>& on_row) const {
  std::vector<uint64_t> scratch(state_->map.row_bytes() / 8);
  auto* row = reinterpret_cast<std::byte*>(scratch.data());
  const auto into = [&](size_t) { return row; };
  const auto done = [&](size_t i, bool found, uint32_t timestamp) {
    on_row(i, found ? row : nullptr, timestamp);
  };
  const size_t bytes = state_->map.row_bytes();
  if (state_->cold != nullptr) {
    return state_->cold->Visit(fids, bytes, ColdTier::Use::kPeek, into, done);
  }
  state_->map.Visit(fids, bytes, into, done);
  return OkStatus();
}

Result<std::vector<std::string>> Table::LookupEntries(std::span<const Fid> fids) const {
  if (layout_->kind() == EntryKind::kServing) {
    return FailedPrecondition("a serving table keeps no optimizer state, so it has no entries");
  }
  std::vector<std::string> entries(fids.size());
  RETURN_IF_ERROR(VisitRows(fids, [&](size_t i, const std::byte* payload, uint32_t timestamp) {
    if (payload != nullptr) layout_->AppendEntryDump(nullptr, timestamp, payload, entries[i]);
  }));
  return entries;
}

bool Table::Contains(Fid fid) const {
  bool contained = false;
  const Status read = VisitRows(
      std::span(&fid, 1),
      [&](size_t, const std::byte* payload, uint32_t) { contained = payload != nullptr; });
  return contained || !read.ok();
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
  add(state_->applied, report.applied);
  add(state_->created, report.created);
  add(state_->erased, report.erased);
  add(state_->filtered, report.filtered);
  add(state_->refused, report.refused);
  add(state_->non_finite, report.non_finite);
  add(state_->guarded, report.guarded);
  add(state_->snapshot_missing, report.snapshot_missing);
  add(state_->unreadable, report.unreadable);
  if (options_.observer == nullptr) return;
  if (!written.empty()) options_.observer->Written(written);
  if (!erased.empty()) options_.observer->Erased(erased);
}

void Table::WriteRun(std::span<const Fid> fids, const float* values, uint32_t time, bool add,
                     WriteReport& report, std::vector<Fid>& written) {
  const auto dim = static_cast<size_t>(layout_->dim());
  (void)UpdateRows(
      fids, [&](size_t i) { return Admit(fids[i], 1, report); },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
        if (created) layout_->Init(fids[i], row);
        if (add) {
          layout_->AssignAdd(values + i * dim, row);
        } else {
          layout_->Assign(values + i * dim, row);
        }
        timestamp = time;
        ++report.applied;
        report.created += created ? 1 : 0;
        if (options_.observer != nullptr) written.push_back(fids[i]);
      },
      [&](size_t) { ++report.refused; }, [&](size_t) { ++report.unreadable; });
}

Result<WriteReport> Table::Write(std::span<const Fid> fids, std::span<const float> values,
                                 int64_t update_time, bool add) {
  RETURN_IF_ERROR(CheckBatch(fids.size(), values.size()));
  RETURN_IF_ERROR(CheckTime(update_time));
  const auto dim = static_cast<size_t>(layout_->dim());
  if (!AllFinite(values)) {
    const size_t at = FirstNonFinite(values);
    return InvalidArgument("value " + std::to_string(at % dim) + " of row " +
                           std::to_string(at / dim) + " is not finite");
  }
  RETURN_IF_ERROR(Prefetch(fids));
  const WriteGate::Shared gate(*options_.gate);
  RaiseMaxUpdateTime(update_time);
  const auto time = static_cast<uint32_t>(update_time);
  WriteReport report;
  std::vector<Fid> written;
  std::vector<Fid> erased;
  if (!config_.skip_zero_embedding || add) {
    WriteRun(fids, values.data(), time, add, report, written);
  } else {
    // Order matters where a fid comes twice, so the rows between zero rows are runs of their own.
    size_t from = 0;
    for (size_t i = 0; i <= fids.size(); ++i) {
      if (i < fids.size() && !IsZeroRow(values.subspan(i * dim, dim))) continue;
      WriteRun(fids.subspan(from, i - from), values.data() + from * dim, time, add, report,
               written);
      from = i + 1;
      if (i < fids.size()) (void)EraseRows(fids.subspan(i, 1), &erased);
    }
    report.erased = static_cast<int64_t>(erased.size());
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

void Table::StepRow(const PreparedGradients& batch, size_t i, std::byte* row,
                    WriteReport& report) const {
  const auto dim = static_cast<size_t>(layout_->dim());
  StepInput input{.gradient = batch.values.subspan(i * dim, dim),
                  .learning_rates = batch.learning_rates,
                  .global_step = batch.global_step,
                  .snapshot = {}};
  if (!batch.snapshots.empty()) input.snapshot = batch.snapshots.subspan(i * dim, dim);
  const StepOutcome outcome = layout_->Step(input, row);
  report.guarded += outcome.guarded ? 1 : 0;
  report.snapshot_missing += outcome.snapshot_missing ? 1 : 0;
}

Result<PreparedGradients> Table::Prepare(const Gradients& gradients) const {
  if (layout_->kind() == EntryKind::kServing) {
    return FailedPrecondition("a serving table does not learn; send gradients to a training table");
  }
  RETURN_IF_ERROR(CheckBatch(gradients.fids.size(), gradients.values.size()));
  if (!gradients.snapshots.empty()) {
    RETURN_IF_ERROR(
        CheckBatch(gradients.fids.size(), gradients.snapshots.size()).Annotate("snapshots"));
  }
  RETURN_IF_ERROR(CheckTime(gradients.update_time));
  if (gradients.global_step < 0) return InvalidArgument("global_step is negative");
  const std::span<const float> rates = gradients.learning_rates;
  if (!rates.empty() && rates.size() != static_cast<size_t>(layout_->slices())) {
    return InvalidArgument("the table has " + std::to_string(layout_->slices()) +
                           " segments, got " + std::to_string(rates.size()) + " learning rates");
  }
  if (!AllFinite(rates)) return InvalidArgument("a learning rate is not finite");
  ASSIGN_OR_RETURN(PreparedGradients prepared,
                   PrepareGradients(gradients, static_cast<size_t>(layout_->dim())));
  if (rates.empty()) {
    prepared.configured_rates = layout_->DefaultLearningRates(gradients.global_step);
    prepared.learning_rates = prepared.configured_rates;
  }
  // A disk that fails does so here, before the first step.
  if (state_->cold != nullptr) RETURN_IF_ERROR(state_->cold->Prepare(prepared.fids));
  return prepared;
}

Result<WriteReport> Table::Optimize(const Gradients& gradients) {
  ASSIGN_OR_RETURN(const PreparedGradients prepared, Prepare(gradients));
  return Apply(prepared);
}

WriteReport Table::Apply(const PreparedGradients& batch) {
  const WriteGate::Shared gate(*options_.gate);
  RaiseMaxUpdateTime(batch.update_time);
  const auto time = static_cast<uint32_t>(batch.update_time);
  WriteReport report;
  report.non_finite = batch.non_finite;
  std::vector<Fid> written;
  if (options_.observer != nullptr) written.reserve(batch.fids.size());
  (void)UpdateRows(
      batch.fids,
      [&](size_t i) {
        return Admit(batch.fids[i], batch.counts.empty() ? 1 : batch.counts[i], report);
      },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
        if (created) layout_->Init(batch.fids[i], row);
        StepRow(batch, i, row, report);
        timestamp = time;
        ++report.applied;
        report.created += created ? 1 : 0;
        if (options_.observer != nullptr) written.push_back(batch.fids[i]);
      },
      [&](size_t) { ++report.refused; }, [&](size_t) { ++report.unreadable; });
  Finish(report, written, {});
  return report;
}

Result<std::vector<int32_t>> Table::Reinitialize(std::span<const Fid> fids, int64_t now) {
  RETURN_IF_ERROR(CheckTime(now));
  const WriteGate::Shared gate(*options_.gate);
  RaiseMaxUpdateTime(now);
  std::vector<int32_t> had_row(fids.size());
  WriteReport report;
  std::vector<Fid> written;
  (void)UpdateRows(
      fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool created) {
        layout_->Init(fids[i], row);
        timestamp = static_cast<uint32_t>(now);
        had_row[i] = created ? 0 : 1;
        ++report.applied;
        report.created += created ? 1 : 0;
        if (options_.observer != nullptr) written.push_back(fids[i]);
      },
      [&](size_t i) {
        had_row[i] = -1;
        ++report.refused;
      },
      [&](size_t i) {
        had_row[i] = -1;
        ++report.unreadable;
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
  now = std::clamp<int64_t>(now, 0, UINT32_MAX);  // rows are of no other time
  const WriteGate::Shared gate(*options_.gate);
  std::vector<Fid> dropped;
  const auto expired = [&](Fid fid, uint32_t timestamp) { return Expired(fid, timestamp, now); };
  if (state_->cold != nullptr) {
    (void)state_->cold->EraseIf(expired, &dropped);  // counted; what cannot be read stays
  } else {
    state_->map.EraseIf(expired, &dropped);
  }
  state_->evicted.fetch_add(dropped.size(), std::memory_order_relaxed);
  Finish({}, {}, dropped);
  return static_cast<int64_t>(dropped.size());
}

int64_t Table::Erase(std::span<const Fid> fids) {
  const WriteGate::Shared gate(*options_.gate);
  std::vector<Fid> erased;
  (void)EraseRows(fids, &erased);  // an error of a disk is counted, and the row is gone
  WriteReport report;
  report.erased = static_cast<int64_t>(erased.size());
  Finish(report, {}, erased);
  return report.erased;
}

Status Table::Clear() {
  const WriteGate::Exclusive gate(*options_.gate);
  std::vector<Fid> dropped;
  if (state_->cold != nullptr) {
    if (options_.observer != nullptr) {
      for (uint64_t cursor = 0; state_->cold->ScanFids(&cursor, &dropped);) {
      }
      std::sort(dropped.begin(), dropped.end());
      dropped.erase(std::unique(dropped.begin(), dropped.end()), dropped.end());
    }
    RETURN_IF_ERROR(state_->cold->Clear());
  } else {
    if (options_.observer != nullptr) {
      state_->map.EraseIf([](Fid, uint32_t) { return true; }, &dropped);
    }
    RETURN_IF_ERROR(state_->map.Clear());
  }
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
  const WriteGate::Shared gate(*options_.gate);
  uint32_t newest = 0;
  std::vector<Fid> written;
  const Status status = UpdateRows(
      fids, [](size_t) { return RowMap::Missing::kInsert; },
      [&](size_t i, std::byte* row, uint32_t& timestamp, bool) {
        std::memcpy(row, payloads.data() + i * bytes, bytes);
        timestamp = timestamps[i];
        newest = std::max(newest, timestamps[i]);
        if (options_.observer != nullptr) written.push_back(fids[i]);
      },
      [](size_t) {}, [](size_t) {});
  RaiseMaxUpdateTime(newest);
  Finish({}, written, {});
  return status;
}

TableStats Table::Stats() const {
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  TableStats stats;
  stats.rows = size();
  stats.bytes = state_->map.bytes();
  stats.payload_bytes = layout_->payload_bytes();
  stats.load_factor = state_->map.load_factor();
  stats.lookups = get(state_->lookups);
  stats.hits = get(state_->hits);
  stats.evicted = get(state_->evicted);
  stats.writes = {.applied = get(state_->applied),
                  .created = get(state_->created),
                  .erased = get(state_->erased),
                  .filtered = get(state_->filtered),
                  .refused = get(state_->refused),
                  .non_finite = get(state_->non_finite),
                  .guarded = get(state_->guarded),
                  .snapshot_missing = get(state_->snapshot_missing),
                  .unreadable = get(state_->unreadable)};
  stats.max_update_time = max_update_time();
  if (state_->cold != nullptr) stats.cold = state_->cold->Stats();
  return stats;
}

}  // namespace megalith::embedding

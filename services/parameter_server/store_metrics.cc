#include "services/parameter_server/store_metrics.h"

#include <mutex>

#include "common/foundation/telemetry/metric_table.h"

namespace megalith::services {

using telemetry::MetricRegistry;

StoreMetrics::StoreMetrics(MetricRegistry& registry)
    : registry_(registry),
      repeated_(registry.GetCounter(telemetry::kTableRepeated)),
      log_seconds_(registry.GetHistogram(telemetry::kTableLogSeconds)),
      log_bytes_(registry.GetCounter(telemetry::kTableLogBytes)),
      log_records_(registry.GetCounter(telemetry::kTableLogRecords)) {}

const StoreMetrics::Cells& StoreMetrics::CellsOf(std::string_view table) {
  {
    const std::shared_lock lock(mu_);
    const auto found = cells_.find(table);
    if (found != cells_.end()) return found->second;
  }
  const std::unique_lock lock(mu_);
  const Cells cells{.rows = &registry_.GetGauge(telemetry::kTableRows, {table}),
                    .bytes = &registry_.GetGauge(telemetry::kTableBytes, {table}),
                    .lookups = &registry_.GetCounter(telemetry::kTableLookups, {table}),
                    .hits = &registry_.GetCounter(telemetry::kTableHits, {table}),
                    .applied = &registry_.GetCounter(telemetry::kTableApplied, {table}),
                    .filtered = &registry_.GetCounter(telemetry::kTableFiltered, {table}),
                    .refused = &registry_.GetCounter(telemetry::kTableRefused, {table}),
                    .non_finite = &registry_.GetCounter(telemetry::kTableNonFinite, {table}),
                    .evicted = &registry_.GetCounter(telemetry::kTableEvicted, {table})};
  return cells_.emplace(table, cells).first->second;
}

void StoreMetrics::LookedUp(std::string_view table, uint64_t ids, uint64_t hits) {
  const Cells& cells = CellsOf(table);
  cells.lookups->Add(ids);
  cells.hits->Add(hits);
}

void StoreMetrics::Written(std::string_view table, const embedding::WriteReport& report) {
  const Cells& cells = CellsOf(table);
  cells.applied->Add(static_cast<uint64_t>(report.applied));
  cells.filtered->Add(static_cast<uint64_t>(report.filtered));
  cells.refused->Add(static_cast<uint64_t>(report.refused));
  cells.non_finite->Add(static_cast<uint64_t>(report.non_finite));
}

void StoreMetrics::Evicted(std::string_view table, uint64_t rows) {
  CellsOf(table).evicted->Add(rows);
}

void StoreMetrics::Holds(std::string_view table, const embedding::Table& now) {
  const Cells& cells = CellsOf(table);
  const embedding::TableStats stats = now.Stats();
  cells.rows->Set(static_cast<double>(stats.rows));
  cells.bytes->Set(static_cast<double>(stats.bytes));
  if (stats.cold) HoldsCold(table, *stats.cold);
}

void StoreMetrics::Following::Reach(uint64_t total) {
  // Who comes late has an older total.
  if (total <= reported) return;
  counter->Add(total - reported);
  reported = total;
}

void StoreMetrics::HoldsCold(std::string_view table, const embedding::ColdTierStats& now) {
  const std::unique_lock lock(mu_);
  auto found = cold_.find(table);
  if (found == cold_.end()) {
    const auto follow = [&](const telemetry::MetricDef& def) {
      return Following{.counter = &registry_.GetCounter(def, {table})};
    };
    const auto errors = [&](std::string_view operation) {
      return Following{.counter =
                           &registry_.GetCounter(telemetry::kTableColdErrors, {table, operation})};
    };
    found =
        cold_
            .emplace(table,
                     ColdCells{.rows = &registry_.GetGauge(telemetry::kTableColdRows, {table}),
                               .bytes = &registry_.GetGauge(telemetry::kTableColdBytes, {table}),
                               .lookups = follow(telemetry::kTableColdLookups),
                               .hits = follow(telemetry::kTableColdHits),
                               .promoted = follow(telemetry::kTablePromoted),
                               .demoted = follow(telemetry::kTableDemoted),
                               .read_errors = errors("read"),
                               .write_errors = errors("write")})
            .first;
  }
  ColdCells& cells = found->second;
  cells.rows->Set(static_cast<double>(now.cold_rows));
  cells.bytes->Set(static_cast<double>(now.disk_bytes));
  cells.lookups.Reach(now.cold_lookups);
  cells.hits.Reach(now.cold_hits);
  cells.promoted.Reach(now.promotions);
  cells.demoted.Reach(now.demotions);
  cells.read_errors.Reach(now.read_errors);
  cells.write_errors.Reach(now.write_errors);
}

void StoreMetrics::Dropped(std::string_view table) {
  const Cells& cells = CellsOf(table);
  cells.rows->Set(0);
  cells.bytes->Set(0);
  const std::unique_lock lock(mu_);
  const auto cold = cold_.find(table);
  if (cold == cold_.end()) return;
  // Another table of the name counts from nothing; counters go on from where they are.
  cold->second.rows->Set(0);
  cold->second.bytes->Set(0);
  for (Following* total :
       {&cold->second.lookups, &cold->second.hits, &cold->second.promoted, &cold->second.demoted,
        &cold->second.read_errors, &cold->second.write_errors}) {
    total->reported = 0;
  }
}

void StoreMetrics::Logged(const embedding::UpdateLog::Commit& commit) {
  log_seconds_.Observe(commit.seconds);
  log_bytes_.Add(commit.bytes);
  log_records_.Add(commit.records);
}

}  // namespace megalith::services

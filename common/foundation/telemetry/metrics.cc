#include "common/foundation/telemetry/metrics.h"

#include "common/foundation/base/status.h"

namespace megalith::telemetry {

void Histogram::Observe(double v) {
  size_t i = 0;
  while (i < bounds_.size() && v > bounds_[i]) ++i;
  counts_[i].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(v, std::memory_order_relaxed);
}

uint64_t Histogram::total() const {
  uint64_t n = 0;
  for (size_t i = 0; i <= bounds_.size(); ++i) n += count(i);
  return n;
}

MetricRegistry::Family& MetricRegistry::FamilyOf(const MetricDef& def, MetricKind kind) {
  CHECK(def.kind == kind);
  Family& family = families_[def.name];
  if (family.def == nullptr) family.def = &def;
  CHECK(family.def == &def);
  return family;
}

template <typename Cell, typename... Args>
Cell& MetricRegistry::CellOf(Cells<Cell>& cells, const MetricDef& def,
                             std::initializer_list<std::string_view> labels, const Args&... args) {
  size_t names = 0;
  while (names < def.labels.size() && !def.labels[names].empty()) ++names;
  CHECK(labels.size() == names);
  LabelValues values(labels.begin(), labels.end());
  auto at = cells.find(values);
  if (at == cells.end()) {
    if (cells.size() >= kMaxCells) values.assign(names, "other");
    at = cells.try_emplace(std::move(values), nullptr).first;
    if (at->second == nullptr) at->second = std::make_unique<Cell>(args...);
  }
  return *at->second;
}

Counter& MetricRegistry::GetCounter(const MetricDef& def,
                                    std::initializer_list<std::string_view> labels) {
  const std::lock_guard<std::mutex> lock(mu_);
  return CellOf(FamilyOf(def, MetricKind::kCounter).counters, def, labels);
}

Gauge& MetricRegistry::GetGauge(const MetricDef& def,
                                std::initializer_list<std::string_view> labels) {
  const std::lock_guard<std::mutex> lock(mu_);
  return CellOf(FamilyOf(def, MetricKind::kGauge).gauges, def, labels);
}

Histogram& MetricRegistry::GetHistogram(const MetricDef& def,
                                        std::initializer_list<std::string_view> labels) {
  const std::lock_guard<std::mutex> lock(mu_);
  return CellOf(FamilyOf(def, MetricKind::kHistogram).histograms, def, labels, def.buckets);
}

std::vector<MetricFamily> MetricRegistry::Snapshot() const {
  const std::lock_guard<std::mutex> lock(mu_);
  std::vector<MetricFamily> out;
  for (const auto& [name, family] : families_) {
    MetricFamily f{.def = family.def, .samples = {}};
    for (const auto& [labels, cell] : family.counters) {
      f.samples.push_back(
          {.labels = labels, .value = static_cast<double>(cell->value()), .counts = {}});
    }
    for (const auto& [labels, cell] : family.gauges) {
      f.samples.push_back({.labels = labels, .value = cell->value(), .counts = {}});
    }
    for (const auto& [labels, cell] : family.histograms) {
      MetricSample s{.labels = labels, .value = cell->sum(), .counts = {}};
      for (size_t i = 0; i <= cell->bounds().size(); ++i) s.counts.push_back(cell->count(i));
      f.samples.push_back(std::move(s));
    }
    out.push_back(std::move(f));
  }
  return out;
}

}  // namespace megalith::telemetry

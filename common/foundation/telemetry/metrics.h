// Counters, gauges and histograms with closed label sets. This header is light: the HTTP endpoint
// that shows the values is in backend/metrics_server.h.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace megalith::telemetry {

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

// One row of metric_table.h. Names are megalith_<area>_<what>_<unit> in base units; counters end in
// _total.
struct MetricDef {
  std::string_view name;
  MetricKind kind = MetricKind::kCounter;
  std::array<std::string_view, 3> labels;  // names; unused ones are empty and last
  std::string_view help;
  std::span<const double> buckets;  // of a histogram: upper bounds, increasing
};

// Only grows. Thread-safe; one relaxed atomic addition.
class Counter {
 public:
  void Add(uint64_t n = 1) { value_.fetch_add(n, std::memory_order_relaxed); }
  uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> value_{0};
};

// Thread-safe.
class Gauge {
 public:
  void Set(double v) { value_.store(v, std::memory_order_relaxed); }
  void Add(double v) { value_.fetch_add(v, std::memory_order_relaxed); }
  double value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<double> value_{0};
};

// Thread-safe; a scan of the bounds and two atomic additions.
class Histogram {
 public:
  explicit Histogram(std::span<const double> bounds)
      : bounds_(bounds), counts_(std::make_unique<std::atomic<uint64_t>[]>(bounds.size() + 1)) {}
  void Observe(double v);
  std::span<const double> bounds() const { return bounds_; }
  // Observations in bucket i (not cumulative); i == bounds().size() is what lies above the last
  // bound.
  uint64_t count(size_t i) const { return counts_[i].load(std::memory_order_relaxed); }
  uint64_t total() const;
  double sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  const std::span<const double> bounds_;
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

// What a registry holds at one moment, for serializers and tests.
struct MetricSample {
  std::vector<std::string> labels;  // values, in the order of the row's names
  double value = 0;                 // counter and gauge; the sum of a histogram
  std::vector<uint64_t> counts;     // of a histogram, not cumulative, one more than it has bounds
};
struct MetricFamily {
  const MetricDef* def = nullptr;
  std::vector<MetricSample> samples;
};

// Owns the cells. Thread-safe. The Get methods take a lock: call them once and keep the reference,
// which stays valid as long as the registry. A row must be the same object at every call (rows are
// inline constants).
//
// A family holds at most kMaxCells label combinations; further ones share a cell whose labels all
// read "other", so that a label fed from outside cannot exhaust memory.
class MetricRegistry {
 public:
  static constexpr size_t kMaxCells = 1000;

  MetricRegistry() = default;
  MetricRegistry(const MetricRegistry&) = delete;
  MetricRegistry& operator=(const MetricRegistry&) = delete;

  // `labels` gives one value per label name of the row; the kind must be that of the row (CHECK).
  Counter& GetCounter(const MetricDef& def, std::initializer_list<std::string_view> labels = {});
  Gauge& GetGauge(const MetricDef& def, std::initializer_list<std::string_view> labels = {});
  Histogram& GetHistogram(const MetricDef& def,
                          std::initializer_list<std::string_view> labels = {});

  // Families by name, samples by label values.
  std::vector<MetricFamily> Snapshot() const;

 private:
  using LabelValues = std::vector<std::string>;
  template <typename Cell>
  using Cells = std::map<LabelValues, std::unique_ptr<Cell>>;
  struct Family {
    const MetricDef* def = nullptr;
    Cells<Counter> counters;
    Cells<Gauge> gauges;
    Cells<Histogram> histograms;
  };
  Family& FamilyOf(const MetricDef& def, MetricKind kind);  // requires mu_
  template <typename Cell, typename... Args>
  static Cell& CellOf(Cells<Cell>& cells, const MetricDef& def,
                      std::initializer_list<std::string_view> labels, const Args&... args);

  mutable std::mutex mu_;
  std::map<std::string_view, Family> families_;  // guarded by mu_
};

}  // namespace megalith::telemetry

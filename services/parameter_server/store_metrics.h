// The counters of a parameter server, by table.
#pragma once

#include <map>
#include <shared_mutex>
#include <string>
#include <string_view>

#include "common/foundation/telemetry/metrics.h"
#include "common/learning/embedding/server/update_log.h"
#include "common/learning/embedding/table.h"

namespace megalith::services {

// Thread-safe.
class StoreMetrics {
 public:
  // `registry` must outlive this.
  explicit StoreMetrics(telemetry::MetricRegistry& registry);

  void LookedUp(std::string_view table, uint64_t ids, uint64_t hits);
  void Written(std::string_view table, const embedding::WriteReport& report);
  void Evicted(std::string_view table, uint64_t rows);
  // Rows and bytes as they are now.
  void Holds(std::string_view table, const embedding::Table& now);
  void Dropped(std::string_view table);
  void Repeated() { repeated_.Add(); }
  void Logged(const embedding::UpdateLog::Commit& commit);

 private:
  struct Cells {
    telemetry::Gauge* rows;
    telemetry::Gauge* bytes;
    telemetry::Counter* lookups;
    telemetry::Counter* hits;
    telemetry::Counter* applied;
    telemetry::Counter* filtered;
    telemetry::Counter* refused;
    telemetry::Counter* non_finite;
    telemetry::Counter* evicted;
  };
  // A counter that follows a total.
  struct Following {
    telemetry::Counter* counter = nullptr;
    uint64_t reported = 0;
    void Reach(uint64_t total);
  };
  struct ColdCells {
    telemetry::Gauge* rows;
    telemetry::Gauge* bytes;
    Following lookups, hits, promoted, demoted, read_errors, write_errors;
  };
  const Cells& CellsOf(std::string_view table);
  void HoldsCold(std::string_view table, const embedding::ColdTierStats& now);

  telemetry::MetricRegistry& registry_;
  telemetry::Counter& repeated_;
  telemetry::Histogram& log_seconds_;
  telemetry::Counter& log_bytes_;
  telemetry::Counter& log_records_;
  std::shared_mutex mu_;
  std::map<std::string, Cells, std::less<>> cells_;     // guarded by mu_
  std::map<std::string, ColdCells, std::less<>> cold_;  // guarded by mu_
};

}  // namespace megalith::services

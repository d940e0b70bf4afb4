// Configuration of the cache service.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "common/foundation/config/field.h"

namespace megalith::services {

struct CacheServiceConfig {
  int64_t max_disk_bytes = 4ll << 30;
  int64_t max_memory_bytes = 256ll << 20;
  int64_t max_value_bytes = 1ll << 30;
  int64_t sidecar_overhead_percent = 10;
  int64_t scrub_bytes_per_second = 64ll << 20;
  std::chrono::milliseconds scrub_interval = std::chrono::hours(24);
};

inline constexpr config::ConfigField<CacheServiceConfig> kCacheServiceFields[] = {
    config::Field<&CacheServiceConfig::max_disk_bytes>(
        "max_disk_bytes", "budget of the disk tier; least recently used entries go first"),
    config::Field<&CacheServiceConfig::max_memory_bytes>("max_memory_bytes",
                                                         "budget of the memory tier"),
    config::Field<&CacheServiceConfig::max_value_bytes>("max_value_bytes",
                                                        "largest value that may be stored"),
    config::Field<&CacheServiceConfig::sidecar_overhead_percent>(
        "sidecar_overhead_percent",
        "share of an entry that may be damaged and is repaired; 0: no sidecars are written")
        .Range(0, 400),
    config::Field<&CacheServiceConfig::scrub_bytes_per_second>("scrub_bytes_per_second",
                                                               "how much a scrub reads at most")
        .Range(1, INT64_MAX),
    config::Field<&CacheServiceConfig::scrub_interval>(
        "scrub_interval_ms", "from the end of a scrub to the next; 0: only scrubs asked for"),
};

}  // namespace megalith::services

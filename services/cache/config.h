// Configuration of the cache service.
#pragma once

#include <cstdint>
#include <span>

#include "common/foundation/config/field.h"

namespace megalith::services {

struct CacheServiceConfig {
  int64_t max_disk_bytes = 4ll << 30;
  int64_t max_memory_bytes = 256ll << 20;
  int64_t max_value_bytes = 1ll << 30;
};

inline constexpr config::ConfigField<CacheServiceConfig> kCacheServiceFields[] = {
    config::Field<&CacheServiceConfig::max_disk_bytes>(
        "max_disk_bytes", "budget of the disk tier; least recently used entries go first"),
    config::Field<&CacheServiceConfig::max_memory_bytes>("max_memory_bytes",
                                                         "budget of the memory tier"),
    config::Field<&CacheServiceConfig::max_value_bytes>("max_value_bytes",
                                                        "largest value that may be stored"),
};

}  // namespace megalith::services

// Configuration of the compile service.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/base/policy.h"
#include "common/foundation/config/field.h"
#include "services/common/policy_words.h"

namespace megalith::services {

struct CompileServiceConfig {
  Policy policy = Policy::kStrict;
  std::string target;
  std::string cache_address;
  int64_t max_package_bytes = 1ll << 30;
};

inline constexpr config::ConfigField<CompileServiceConfig> kCompileServiceFields[] = {
    config::Field<&CompileServiceConfig::policy>(
        "policy", "what to do with unknown options and versions by default"),
    config::Field<&CompileServiceConfig::target>(
        "target", "target of requests that name none; empty: the compiler's"),
    config::Field<&CompileServiceConfig::cache_address>(
        "cache_address", "address of the cache service; empty: found by discovery"),
    config::Field<&CompileServiceConfig::max_package_bytes>("max_package_bytes",
                                                            "largest executable package"),
};

}  // namespace megalith::services

// Configuration of the compile service.
#pragma once

#include <chrono>
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
  int32_t workers = 2;
  int64_t queue_programs = 256;
  int64_t queue_programs_of_client = 64;
  std::chrono::milliseconds queue_budget{60'000};
  std::chrono::milliseconds time_budget{300'000};
  int64_t memory_budget_bytes = 2ll << 30;
  int64_t service_memory_bytes = 4ll << 30;
  int32_t callers = 512;
  int32_t callers_of_client = 384;
};

inline constexpr config::ConfigField<CompileServiceConfig> kCompileServiceFields[] = {
    config::Field<&CompileServiceConfig::policy>(
        "policy", "what to do with unknown options and versions by default"),
    config::Field<&CompileServiceConfig::target>(
        "target", "target of requests that name none; empty: the compiler's"),
    config::Field<&CompileServiceConfig::max_package_bytes>("max_package_bytes",
                                                            "largest executable package"),
    config::Field<&CompileServiceConfig::workers>("workers", "programs compiled at the same time")
        .Range(1, 1024),
    config::Field<&CompileServiceConfig::queue_programs>(
        "queue_programs",
        "programs that wait for a worker; beyond, callers are refused, or less urgent ones give "
        "way")
        .Range(1, 1'000'000),
    config::Field<&CompileServiceConfig::queue_programs_of_client>(
        "queue_programs_of_client", "the most of them that one client may have")
        .Range(1, 1'000'000),
    config::Field<&CompileServiceConfig::queue_budget>(
        "queue_budget_ms", "how long a caller waits for a worker before it is refused")
        .Range(1, 86'400'000),
    config::Field<&CompileServiceConfig::time_budget>("time_budget_ms",
                                                      "longest compilation of one program")
        .Range(1, 86'400'000),
    config::Field<&CompileServiceConfig::memory_budget_bytes>(
        "memory_budget_bytes", "memory one compilation may take, as estimated from the program"),
    config::Field<&CompileServiceConfig::service_memory_bytes>(
        "service_memory_bytes",
        "memory that all running compilations may take; further ones wait until it suffices"),
    config::Field<&CompileServiceConfig::callers>(
        "callers", "calls served at the same time, waiting ones included; each holds a thread")
        .Range(1, 10'000),
    config::Field<&CompileServiceConfig::callers_of_client>("callers_of_client",
                                                            "the most of them from one client")
        .Range(1, 10'000),
};

// Where the other services are; not used by the all-in-one process.
inline constexpr config::ConfigField<CompileServiceConfig> kCompilePeerFields[] = {
    config::Field<&CompileServiceConfig::cache_address>(
        "cache_address", "address of the cache service; empty: found by discovery"),
};

}  // namespace megalith::services

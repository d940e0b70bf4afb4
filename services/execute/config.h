// Configuration of the execute service.
#pragma once

#include <cstdint>
#include <string>

#include "common/foundation/config/field.h"

namespace megalith::services {

struct ExecuteServiceConfig {
  std::string trace_address;
  std::string compile_address;
  std::string cache_address;
  int32_t max_loaded_programs = 256;
  int64_t max_buffer_bytes = 2ll << 30;
  int64_t max_tensor_bytes = 1ll << 30;
  int32_t callers = 128;
};

inline constexpr config::ConfigField<ExecuteServiceConfig> kExecuteServiceFields[] = {
    config::Field<&ExecuteServiceConfig::max_loaded_programs>(
        "max_loaded_programs", "executables kept in memory; the least recently used one makes room")
        .Range(1, 1'000'000),
    config::Field<&ExecuteServiceConfig::max_buffer_bytes>("max_buffer_bytes",
                                                           "all tensors kept for clients together"),
    config::Field<&ExecuteServiceConfig::max_tensor_bytes>("max_tensor_bytes",
                                                           "largest argument or buffer"),
    config::Field<&ExecuteServiceConfig::callers>(
        "callers",
        "unary calls served at the same time, those included that wait for a compiler; each holds "
        "a thread. No more than threads + max_streams of all calls run programs at once")
        .Range(1, 10'000),
};

// Where the other services are; not used by the all-in-one process.
inline constexpr config::ConfigField<ExecuteServiceConfig> kExecutePeerFields[] = {
    config::Field<&ExecuteServiceConfig::trace_address>(
        "trace_address", "address of the trace service; empty: found by discovery"),
    config::Field<&ExecuteServiceConfig::compile_address>(
        "compile_address", "address of the compile service; empty: found by discovery"),
    config::Field<&ExecuteServiceConfig::cache_address>(
        "cache_address", "address of the cache service; empty: found by discovery"),
};

}  // namespace megalith::services
